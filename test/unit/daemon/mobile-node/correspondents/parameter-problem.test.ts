/** Which ICMPv6 errors say that a correspondent does not know Mobile IPv6. */
import t from "tap";
import { ipv6 } from "../../../../../controller/base/ip.js";
import { erroneousMessage } from "../../../../../controller/daemon/mobile-node/correspondents/parameter-problem.js";
import { encodeIcmpv6 } from "../../../../../controller/wire/icmpv6.js";
import { encodeIpv6Packet } from "../../../../../controller/wire/ip/ipv6.js";

const CN = ipv6("2001:db8:c::2");
const HEADER = { trafficClass: 0, flowLabel: 0, hopLimit: 64, source: ipv6("2001:db8:f::2"), destination: CN };
const [MOBILITY, UDP, OPTIONS] = [135, 17, 60];
const error = (code: number, nextHeader: number, payload: Uint8Array): Uint8Array =>
  encodeIcmpv6({
    type: "parameter-problem",
    code,
    pointer: 40,
    packet: encodeIpv6Packet({ header: { ...HEADER, nextHeader }, payload }),
  });

t.test("F6275-11.3.5-01: an unknown next header or option of a mobility message, and nothing else", (t) => {
  const message = new Uint8Array(16);
  const behindOption = new Uint8Array(40);
  behindOption.set([MOBILITY, 2]);
  t.strictSame(erroneousMessage(error(1, MOBILITY, message)), { destination: CN });
  t.strictSame(erroneousMessage(error(2, OPTIONS, behindOption)), { destination: CN });
  t.equal(erroneousMessage(error(0, MOBILITY, message)), undefined, "a field in error is no unknown header");
  t.equal(erroneousMessage(error(1, UDP, message)), undefined, "about somebody else's packet");
  for (let length = 0; length < 48; length++)
    t.equal(erroneousMessage(error(1, MOBILITY, message).subarray(0, length)), undefined);
  t.end();
});
