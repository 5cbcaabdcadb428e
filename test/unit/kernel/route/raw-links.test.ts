/** Wires and plain tunnels of test networks against what iproute2 sends. */
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import {
  deleteLinkRequest,
  type IpipTunnel,
  ipipRequest,
  linkStateRequest,
  moveLinkRequest,
  type VethEnd,
  vethRequest,
} from "../../../../controller/kernel/route/raw-links.js";
import { readAttributes } from "../../../../controller/netlink/attribute.js";
import * as rt from "../../../../controller/netlink/rtnetlink.js";
import { attributeTree, loadCodecVectors, vectorMessage } from "../../../lib/codec-vectors.js";

type RawLink =
  | ({ readonly type: "ipip" } & IpipTunnel)
  | { readonly type: "veth"; readonly end: VethEnd; readonly peer: VethEnd };

/** What iproute2 says and we leave to the kernel's defaults, all zero: underlying link, flags, protocol (any or 4), mark. */
const ZEROS = new Set(["18/2/1", "18/2/8", "18/2/15", "18/2/16", "18/2/17", "18/2/18", "18/2/20"]);

/** A link message within a veth's: a header of 16 octets and attributes again, in any order. */
const peer = (hex: string): string =>
  [hex.slice(0, 32), ...attributeTree(fromHex(hex.slice(32))).map((line) => line.trim())].join(" ");

/** Attributes by path. */
function attributesOf(body: Uint8Array): Record<string, string> {
  const result: Record<string, string> = {};
  const lines = attributeTree(body.subarray(16), (path) => path === "18" || path === "18/2");
  lines.forEach((line, i) => {
    const value = lines[i + 1]?.trim() ?? "";
    if (!line.endsWith(":") || value.endsWith(":")) return;
    const path = line.trim().slice(0, -1);
    if (!(ZEROS.has(path) && /^0*$/.test(value))) result[path] = path === "18/1" ? value.replace(/00$/, "") : value;
  });
  return result;
}

for (const vector of loadCodecVectors<RawLink>("raw-links.json")) {
  t.test(vector.name, (t) => {
    const { object } = vector;
    const request = object.type === "veth" ? vethRequest(object.end, object.peer) : ipipRequest(object);
    const recorded = vectorMessage(vector);
    t.equal(request.type, recorded.type);
    t.equal(toHex(request.body.subarray(0, 16)), toHex(recorded.body.subarray(0, 16)));
    const [ours, theirs] = [attributesOf(request.body), attributesOf(recorded.body)] as const;
    if (object.type === "ipip" && object.remote === undefined && object.external !== true) delete ours["18/2/3"]; // 0.0.0.0
    if (object.type === "ipip") delete theirs["18/2/9"]; // IPIP, the default
    if (object.type === "veth") for (const one of [ours, theirs]) one["18/2/1"] = peer(one["18/2/1"] ?? "");
    t.strictSame(ours, theirs);
    t.end();
  });
}

t.test("state, namespace and end of any link", (t) => {
  const up = linkStateRequest("w0", true);
  t.equal(toHex(up.body.subarray(0, 16)), "0000000000000000" + "01000000" + "01000000");
  t.equal(toHex(linkStateRequest("w0", false).body.subarray(8, 16)), "00000000" + "01000000");
  t.equal(readAttributes(moveLinkRequest("w0", 7).body.subarray(16)).get(rt.IFLA_NET_NS_FD)?.u32(), 7);
  t.equal(deleteLinkRequest("w0").type, rt.RTM_DELLINK);
  const elsewhere = vethRequest({ name: "w0", namespace: 5 }, { name: "w1", namespace: 6 });
  t.equal(readAttributes(elsewhere.body.subarray(16)).get(rt.IFLA_NET_NS_FD)?.u32(), 5);
  t.end();
});
