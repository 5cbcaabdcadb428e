/** The announcement of a move of the IKE SA, octet for octet as a hand-made one that charon 5.9.8 followed. */
import t from "tap";
import { toHex } from "../../../../controller/base/bytes.js";
import { EncodeError } from "../../../../controller/base/errors.js";
import { hostPrefix, ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { XFRM_MSG_MIGRATE } from "../../../../controller/kernel/xfrm/constants.js";
import { type MoveAnnouncement, migrateRequest } from "../../../../controller/kernel/xfrm/migrate.js";

const [HOME_ADDRESS, HOME_AGENT] = [ipv6("2001:db8:1::100"), ipv6("2001:db8:1::1")];
const MOVE: MoveAnnouncement = {
  selector: { source: hostPrefix(HOME_ADDRESS), destination: hostPrefix(HOME_AGENT), protocol: 135 },
  reqid: 0x44000010,
  local: ipv4("10.0.0.2"),
  remote: ipv4("203.0.113.1"),
};

/** From Python's struct module: the policy's selector and direction, XFRMA_MIGRATE, XFRMA_KMADDRESS without its addresses. */
const [POLICY, MIGRATE, KMADDRESS] = [
  "20010db800010000000000000000000120010db800010000000000000000010000000000000000000a008080870000000000000000000000" +
    "0000000001000000",
  `50001100${"20010db8000100000000000000000100".repeat(4)}32000000100000440a000a00`,
  "2c001300",
];

t.test("between IPv4 ends", (t) => {
  const request = migrateRequest(MOVE);
  t.equal(request.type, XFRM_MSG_MIGRATE);
  const ends = `0a000002${"00".repeat(12)}cb007101${"00".repeat(12)}`;
  t.equal(toHex(request.body), `${POLICY}${MIGRATE}${KMADDRESS}${ends}0000000002000000`);
  t.end();
});

t.test("between IPv6 ends", (t) => {
  const request = migrateRequest({ ...MOVE, local: ipv6("2001:db8:a::11"), remote: HOME_AGENT });
  const ends = "20010db8000a0000000000000000001120010db8000100000000000000000001";
  t.equal(toHex(request.body), `${POLICY}${MIGRATE}${KMADDRESS}${ends}000000000a000000`);
  t.end();
});

t.test("not between two families", (t) => {
  t.throws(() => migrateRequest({ ...MOVE, local: HOME_ADDRESS }), EncodeError);
  t.end();
});
