/** What an ESP state has besides its key: encapsulation, marks, and who may have which SPI beside whom. The vectors: xfrm.test.ts. */
import t from "tap";
import { ipv6 } from "../../../../controller/base/ip.js";
import type { KernelNames } from "../../../../controller/kernel/codec.js";
import * as c from "../../../../controller/kernel/xfrm/constants.js";
import { XFRM_STRUCTS } from "../../../../controller/kernel/xfrm/layout.js";
import { xfrmStateCodec } from "../../../../controller/kernel/xfrm/state.js";
import { readAttributeList } from "../../../../controller/netlink/attribute.js";
import { objectsEqual } from "../../../../controller/plan/objects/equal.js";
import { objectKey } from "../../../../controller/plan/objects/objects.js";
import type { XfrmMark, XfrmPolicy, XfrmState } from "../../../../controller/plan/objects/security.js";
import {
  NEGOTIATED,
  ORIGINAL_MARK,
  RECEIVING_PLAIN_MARK,
  RECEIVING_UDP_MARK,
  SENDING_MARK,
  UDP_MARK_BIT,
} from "../../../../controller/plan/security/marks.js";
import { attributeLines, type CodecVector, loadCodecVectors, vectorMessage } from "../../../lib/codec-vectors.js";

const NAMES: KernelNames = { interfaceIndex: () => 0, interfaceName: () => undefined };
const VECTORS = loadCodecVectors<XfrmState | XfrmPolicy>("xfrm.json");
/** linux/udp.h: TCP_ENCAP_ESPINTCP. */
const UDP_ENCAP_ESPINTCP = 7;

const state = (of: string): XfrmState => VECTORS.find(({ name }) => name === of)?.object as XfrmState;
const ESP = state("esp transport for the Mobility Header");
const HAO = state("home address option of a mobile node");
const esp = (changes: object): XfrmState => ({
  ...ESP,
  transform: { ...ESP.transform, ...changes } as XfrmState["transform"],
});
const decode = (message: { type: number; flags: number; body: Uint8Array }, ownOnly = true) =>
  xfrmStateCodec.decode(message, NAMES, ownOnly);

t.test("of an ESP state only the ports of an encapsulation that is there already change in place", (t) => {
  const ports = (sourcePort: number, destinationPort: number) => ({ encapsulation: { sourcePort, destinationPort } });
  const before = esp(ports(4500, 4500));
  t.equal(xfrmStateCodec.update(esp(ports(4500, 40000)), before, NAMES)?.[0]?.type, c.XFRM_MSG_UPDSA);
  t.equal(xfrmStateCodec.update(esp(ports(40000, 4500)), before, NAMES)?.[0]?.type, c.XFRM_MSG_UPDSA);
  t.equal(xfrmStateCodec.update(ESP, before, NAMES), undefined, "no encapsulation any more");
  t.equal(xfrmStateCodec.update(before, ESP, NAMES), undefined, "an encapsulation where none was");
  for (const other of [
    { ...esp(ports(4500, 40000)), reqid: ESP.reqid + 1 },
    { ...esp(ports(4500, 40000)), source: ipv6("2001:db8::5") },
    esp({ ...ports(4500, 40000), hideDscp: true }),
    esp({ ...ports(4500, 40000), setMark: { value: 1, mask: 1 } }),
  ])
    t.equal(xfrmStateCodec.update(other, before, NAMES), undefined);
  t.equal(xfrmStateCodec.update(ESP, HAO, NAMES), undefined, "another transformation");
  t.end();
});

t.test("another source of ESP in UDP is to be announced only where we receive it", (t) => {
  const encapsulation = { sourcePort: 4500, destinationPort: 4500 };
  const interval = `${c.XFRMA_MTIMER_THRESH}: 3c000000`;
  const lines = (changes: object): string[] =>
    attributeLines(
      xfrmStateCodec.create(esp(changes), NAMES)[0]?.body.subarray(XFRM_STRUCTS.xfrm_usersa_info.size) ??
        new Uint8Array(0),
    );
  t.ok(lines({ encapsulation, mark: RECEIVING_UDP_MARK }).includes(interval));
  for (const changes of [{ encapsulation }, { mark: RECEIVING_PLAIN_MARK }, { encapsulation, mark: SENDING_MARK }])
    t.notOk(lines(changes).includes(interval));
  t.end();
});

t.test("what the IKE daemon installed is not ours, and stands beside ours with the same SPI", (t) => {
  const keyOf = (mark: XfrmMark): string => objectKey(esp({ mark }));
  const marks = [ORIGINAL_MARK, SENDING_MARK, RECEIVING_PLAIN_MARK, RECEIVING_UDP_MARK];
  t.equal(new Set(marks.map(keyOf)).size, marks.length);
  const original: XfrmState = { ...esp({ mark: ORIGINAL_MARK }), reqid: NEGOTIATED.reqidBase + 1 };
  const [request] = xfrmStateCodec.create(original, NAMES);
  if (request === undefined) throw new TypeError("no request");
  t.equal(decode(request), undefined);
  t.ok(objectsEqual(decode(request, false) ?? ESP, original));
  t.end();
});

t.test("no packet meets the mark of two of them", (t) => {
  const meets = (packet: number, { value, mask }: XfrmMark): boolean => (packet & mask) >>> 0 === value;
  for (const packet of [0, 0x4191, UDP_MARK_BIT]) t.notOk(meets(packet, ORIGINAL_MARK));
  t.ok(meets(0, RECEIVING_PLAIN_MARK));
  t.notOk(meets(0, RECEIVING_UDP_MARK));
  t.ok(meets(UDP_MARK_BIT | 0x4191, RECEIVING_UDP_MARK));
  t.notOk(meets(UDP_MARK_BIT, RECEIVING_PLAIN_MARK));
  t.end();
});

t.test("an encapsulation that is none of ours makes the state none of ours", (t) => {
  const overTcp = vectorMessage(
    VECTORS.find(({ name, direction }) => name === "esp in UDP" && direction === "reply") as CodecVector<XfrmState>,
  );
  t.ok(decode(overTcp));
  t.equal(decode({ ...overTcp, body: withEncapsulation(overTcp.body, UDP_ENCAP_ESPINTCP) }), undefined, "ESP in TCP");
  t.end();
});

/** The same message with another kind of encapsulation. */
function withEncapsulation(body: Uint8Array, encapType: number): Uint8Array {
  const changed = body.slice();
  const header = XFRM_STRUCTS.xfrm_usersa_info.size;
  const attribute = readAttributeList(changed.subarray(header)).find(({ type }) => type === c.XFRMA_ENCAP);
  if (attribute === undefined) throw new TypeError("no encapsulation");
  attribute.payload[0] = encapType;
  return changed;
}
