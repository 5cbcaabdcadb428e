/** Registration messages as a packet socket has them. */
import t from "tap";
import { ipv4 } from "../../../../controller/base/ip.js";
import { decodeUdpFrame } from "../../../../controller/daemon/mip4/udp-frame.js";
import { encodeIpv4Packet, ipv4Header } from "../../../../controller/wire/ip/ipv4.js";
import { Protocol } from "../../../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../../../controller/wire/ip/udp.js";

const ADDRESSES = { source: ipv4("10.9.0.5"), destination: ipv4("192.0.2.1") } as const;
const PORTS = { sourcePort: 434, destinationPort: 434 } as const;

function frame(
  given: { readonly checksum?: boolean; readonly spoil?: boolean; readonly moreFragments?: boolean } = {},
) {
  const { checksum = true, spoil = false, moreFragments = false } = given;
  const payload = encodeUdp({ ...PORTS, payload: Uint8Array.of(1, 2, 3) }, checksum ? ADDRESSES : undefined);
  if (spoil) payload[7] = ((payload[7] ?? 0) + 1) & 0xff;
  const header = { ...ipv4Header({ ...ADDRESSES, protocol: Protocol.udp }), dontFragment: false, moreFragments };
  return { data: encodeIpv4Packet({ header, payload }), truncated: false, checksumPending: false };
}

t.test("a wrong checksum makes it void, but where it is still to be made; none is no wrong one", (t) => {
  t.match(decodeUdpFrame(frame()), { ok: true, value: { datagram: { ...PORTS, payload: Uint8Array.of(1, 2, 3) } } });
  t.match(decodeUdpFrame(frame({ spoil: true })), { ok: false, error: { reason: "checksum" } });
  t.match(decodeUdpFrame({ ...frame({ spoil: true }), checksumPending: true }), { ok: true });
  t.match(decodeUdpFrame(frame({ checksum: false })), { ok: true });
  t.end();
});

t.test("what is cut off or a fragment is an error, and so are any octets but a datagram", (t) => {
  t.match(decodeUdpFrame({ ...frame(), truncated: true }), { ok: false });
  t.match(decodeUdpFrame(frame({ moreFragments: true })), { ok: false, error: { message: /fragment/ } });
  const { data, ...facts } = frame();
  for (let length = 0; length < data.length; length++)
    t.equal(decodeUdpFrame({ data: data.subarray(0, length), ...facts }).ok, false, `${length} octets`);
  t.end();
});
