/** The thresholds of the kernel's policy hash: octets of the request and of the answer, and whose they are. */
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import type { KernelNames } from "../../../../controller/kernel/codec.js";
import { policyHashCodec } from "../../../../controller/kernel/xfrm/policy-hash.js";
import { OWNERSHIP } from "../../../../controller/plan/objects/objects.js";

const NAMES: KernelNames = { interfaceIndex: () => 0, interfaceName: () => undefined };
const OURS = { kind: "policy-hash", ...OWNERSHIP.policyHash } as const;
const WANTED = "00000000 0600 0300 0020 0000 0600 0400 0080 0000".replaceAll(" ", "");
const BEGINNING = "00000000 0600 0300 2020 0000 0600 0400 8080 0000".replaceAll(" ", "");

t.test("made and changed it is set; removed it is what the kernel begins with", (t) => {
  const bodies = [policyHashCodec.create(OURS, NAMES), policyHashCodec.update(OURS, OURS, NAMES)].flatMap((requests) =>
    (requests ?? []).map(({ type, body }) => [type, toHex(body)]),
  );
  t.strictSame(bodies, [
    [0x24, WANTED],
    [0x24, WANTED],
  ]);
  t.strictSame(
    policyHashCodec.remove(OURS, NAMES).map(({ body }) => toHex(body)),
    [BEGINNING],
  );
  t.end();
});

t.test("ours is what stands as we set it", (t) => {
  const decode = (type: number, octets: string, ownOnly: boolean) =>
    policyHashCodec.decode({ type, flags: 0, body: fromHex(octets) }, NAMES, ownOnly);
  // struct xfrmu_spdinfo comes along (attribute 1) and means nothing here.
  const info = `${WANTED}08000100ffffffff`;
  t.strictSame(decode(0x24, info, true), OURS);
  t.equal(decode(0x24, BEGINNING, true), undefined);
  t.match(decode(0x24, BEGINNING, false), { ipv4: { localBits: 32, remoteBits: 32 } });
  const [half4, half6] = [WANTED.replace("0020", "2020"), WANTED.replace("0080", "8080")];
  for (const half of [half4, half6]) t.equal(decode(0x24, half, true), undefined, "one family is not enough");
  t.equal(decode(0x13, info, true), undefined, "another message");
  t.equal(decode(0x24, "00000000", false), undefined, "a kernel without thresholds");
  t.end();
});
