/** A node's dealings with correspondents at work, with fakes: the kernel's questions, and what is left of them. */
import t from "tap";
import { type IpAddress, type Ipv6Address, ipv6 } from "../../../../../controller/base/ip.js";
import { NodeCorrespondents } from "../../../../../controller/daemon/mobile-node/correspondents/correspondents.js";
import type { Service } from "../../../../../controller/daemon/service.js";
import { mobileNodePlanSite } from "../../../../../controller/daemon/sites.js";
import type { Demand } from "../../../../../controller/kernel/xfrm/demand-watch.js";
import { OWNERSHIP } from "../../../../../controller/plan/objects/objects.js";
import { demandReqid } from "../../../../../controller/plan/route-optimisation/site.js";
import { POLICY_PRIORITY } from "../../../../../controller/plan/site.js";
import { mobileNodeConfig } from "../../../../../schemas/config/mobile-node.js";
import { FakeGround, type Stored } from "../../../../fake/service-ground.js";

const [HOA, CN, COA] = ["2001:db8:1::10", "2001:db8:c::2", "2001:db8:f::2"].map(ipv6) as [
  Ipv6Address,
  Ipv6Address,
  Ipv6Address,
];
const AWAY = { kind: "away", careOf: COA } as const;

async function started(routeOptimisation: object, records: Iterable<readonly [string, Stored]> = []) {
  const config = mobileNodeConfig.parse({
    role: "mobile-node",
    protocol: "mip6",
    security: { method: "static-keys" },
    mobileNode: { homeAddress: HOA, homeAgent: { ipv6: "2001:db8:1::1" }, routeOptimisation },
  });
  const wishes = config.mobileNode.routeOptimisation;
  if (wishes === undefined) throw new Error("no wishes");
  const world = new FakeGround("mobile-node", []);
  for (const [key, stored] of records) world.records.set(key, stored);
  const planSite = mobileNodePlanSite(config, []);
  const policyAt = (priority: number): number =>
    [...world.kernel.objects.values()].filter(
      (one) => one.kind === "xfrm-policy" && one.priority === OWNERSHIP.policyPriorityBase + priority,
    ).length;
  const forgotten: { readonly correspondents: readonly IpAddress[]; readonly atFirst: boolean }[] = [];
  let ask: (demand: Demand) => void = () => undefined;
  const close = (): void => undefined;
  const node = new NodeCorrespondents(
    {
      ...{ config, ground: world.ground, planSite: () => planSite, path: () => undefined },
      ports: {
        watchDemand: (onDemand) => {
          ask = onDemand;
          return { close };
        },
        watchProblems: () => ({ close }),
        openStates: () => ({
          look: async () => [],
          forgetQuestions: async (_, correspondents) => {
            forgotten.push({ correspondents, atFirst: policyAt(POLICY_PRIORITY.demand + 1) === 1 });
          },
          close,
        }),
        random: (octets) => new Uint8Array(octets).fill(1),
      },
    },
    wishes,
  );
  await world.start({
    prepare: () => node.prepare({ kind: "between" }),
    listen: close,
    begin: () => node.begin(),
    onGroupResult: (result: Parameters<Service["onGroupResult"]>[0]) => void node.onGroupResult(result),
  } as unknown as Service);
  t.teardown(() => node.close());
  return {
    ...{ node, world, forgotten, policyAt },
    demand: async (correspondent = CN): Promise<void> => {
      ask({ homeAddress: HOA, correspondent, reqid: demandReqid(planSite) });
      await world.settled();
    },
  };
}

t.test("the kernel forgets that it has asked before the policy is renewed: else nobody would ask again", async (t) => {
  const { node, world, forgotten, policyAt, demand } = await started({ minimumAgeSeconds: 3600 });
  node.see(AWAY);
  await world.settled();
  t.equal(policyAt(POLICY_PRIORITY.demand + 1), 1);
  await demand();
  node.see({ kind: "between", careOf: COA });
  node.see(AWAY);
  await world.settled();
  t.strictSame(forgotten, [{ correspondents: [CN], atFirst: true }]);
  t.strictSame([policyAt(POLICY_PRIORITY.demand), policyAt(POLICY_PRIORITY.demand + 1)], [1, 0]);
});

t.test("whom a node has silenced who comes after it may hear of: nothing is left that nobody would lift", async (t) => {
  const { node, world, policyAt, demand } = await started({ deny: ["2001:db8:c::/48"] });
  node.see(AWAY);
  await world.settled();
  await demand();
  t.equal(policyAt(POLICY_PRIORITY.silence), 1);
  node.close();
  world.ground.groups.commit();
  await world.settled();
  t.equal(policyAt(POLICY_PRIORITY.silence), 0);
});

t.test("a record whose binding has ended, or that is none, is forgotten at the start", async (t) => {
  const record = { correspondent: CN, careOf: COA, sequence: 7, lifetimeSeconds: 420, remainingSeconds: 400 };
  const other = "2001:db8:c::3";
  const { world } = await started({}, [
    [`correspondent:${CN}`, { record, ageSeconds: 20 }],
    [`correspondent:${other}`, { record: { ...record, correspondent: other }, ageSeconds: 401 }],
    ["correspondent:x", { record: { role: "x" }, ageSeconds: 0 }],
    [HOA, { record: {}, ageSeconds: 0 }],
  ]);
  t.strictSame([...world.records.keys()], [`correspondent:${CN}`, HOA]);
});

t.test(
  "told to forget, it lets a correspondent in that was refused, and asks the kernel whether anybody still sends",
  async (t) => {
    const { node, world, forgotten, policyAt, demand } = await started({ deny: ["2001:db8:c::/48"] });
    node.see(AWAY);
    await world.settled();
    await demand();
    t.match(node.view(), [{ correspondent: CN, state: "paused", reason: "policy" }]);
    await t.rejects(node.forget(ipv6("2001:db8:c::3")), {
      code: "MIP_COMMAND",
      message: /2001:db8:c::3 is no correspon/,
    });
    t.match(await node.forget(CN), { command: "forget-correspondent", nodes: 1, outcome: "begun" });
    await world.settled();
    t.strictSame(node.view(), []);
    t.equal(policyAt(POLICY_PRIORITY.silence), 0);
    t.strictSame(forgotten.at(-1)?.correspondents, [CN]);
    await demand();
    t.match(await node.forget(), { outcome: "begun" }, "all");
    await world.settled();
    t.strictSame(node.view(), []);
  },
);
