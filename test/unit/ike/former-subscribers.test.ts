/** After a start nobody keeps keys that the configuration does not give it. */
import t from "tap";
import { endFormerSubscribers } from "../../../controller/ike/former-subscribers.js";
import type { ViciSection } from "../../../controller/vici/message.js";

const [A, B, C] = ["dsmipd-2001:db8:1::a", "dsmipd-2001:db8:1::b", "dsmipd-2001:db8:1::c"] as const;
const [D, E] = ["dsmipd-2001:db8:1::d", "dsmipd-2001:db8:1::e"] as const;
const ENTITLED = new Map([
  [A, { identity: "node-a@example.org", reqids: new Set([16, 19]) }],
  [B, { identity: "CN=Node B, O=Example", reqids: new Set([20, 23]) }],
  [D, { identity: "@node-d.example.org", reqids: new Set([28]) }],
  [E, { identity: "email:node-e@example.org", reqids: new Set([32]) }],
]);
const sa = (uniqueid: number, id: string, reqid: number, state = "ESTABLISHED"): ViciSection => ({
  ...{ uniqueid: String(uniqueid), state, "remote-id": id },
  "child-sas": { child: { reqid: String(reqid) } },
});

async function run(conns: readonly string[], sas: readonly (readonly [string, ViciSection])[]) {
  const commands: string[] = [];
  const daemon = {
    stream: async () => sas.map(([name, section]) => ({ [name]: section })),
    command: async (name: string, section: ViciSection = {}) => {
      if (name === "get-conns") return { conns: [...conns] };
      commands.push(`${name} ${String(section["name"] ?? section["ike-id"])}`);
      return {};
    },
  };
  return { ended: await endFormerSubscribers(daemon, ENTITLED), commands };
}

t.test("subscribers keep what they have", async (test) => {
  const kept = [
    [A, sa(1, "node-a@example.org", 19)],
    [B, sa(2, "cn=Node B,O=Example", 20)],
    [B, sa(3, "%any", 20, "CONNECTING")],
    [D, sa(5, "node-d.example.org", 28)],
    [E, sa(6, "node-e@example.org", 32)],
    ["somebody-else", sa(4, "x", 1)],
  ] as const;
  test.strictSame(await run([A, B, "somebody-else"], kept), { ended: [], commands: [] });
});

t.test(
  "who is none any more does not, nor a former owner of the home address, nor keys that are another's now",
  async (test) => {
    const gone = await run([A, C], [[C, sa(7, "node-c@example.org", 24)]]);
    test.strictSame(gone, { ended: [C], commands: [`unload-conn ${C}`, "terminate 7"] });
    test.strictSame((await run([A], [[A, sa(8, "node-c@example.org", 16)]])).commands, ["terminate 8"]);
    test.strictSame((await run([A], [[A, sa(9, "node-a@example.org", 20)]])).commands, ["terminate 9"]);
  },
);

const withChildren = (uniqueid: number, children: ViciSection): ViciSection => ({
  ...sa(uniqueid, "node-a@example.org", 16),
  "child-sas": children,
});

t.test(
  "one child whose request id is another node's now is enough; one that tells none yet is no reason",
  async (test) => {
    const mixed = withChildren(10, { mine: { reqid: "16" }, theirs: { reqid: "20" } });
    test.strictSame((await run([A], [[A, mixed]])).commands, ["terminate 10"]);
    const young = withChildren(11, { mine: { reqid: "16" }, rekeying: { state: "REKEYING" } });
    test.strictSame((await run([A], [[A, young]])).commands, []);
    const childless = withChildren(12, {});
    test.strictSame((await run([A], [[A, childless]])).commands, [], "an IKE SA before its first child");
  },
);
