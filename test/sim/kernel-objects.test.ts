/**
 * Machine, plan and reconciler together over a kernel that is slow, refuses, loses answers and announcements and is meddled with by others,
 * under any order of messages and restarts: when nobody disturbs any more the kernel holds what the plans of all that is bound say and
 * nothing else, and when nothing is bound any more nothing of a binding is left.
 */
import fc from "fast-check";
import t from "tap";
import type { Ipv6Address } from "../../controller/base/ip.js";
import { Secret } from "../../controller/base/secret.js";
import { RefusedPaths } from "../../controller/daemon/home-agent/refused-paths.js";
import { planBinding, planHomeAgentSite } from "../../controller/plan/home-agent/plan.js";
import { planMobileNode, planMobileNodeSite } from "../../controller/plan/mobile-node/plan.js";
import type { KernelObject } from "../../controller/plan/objects/objects.js";
import { planSubscriberSecurity } from "../../controller/plan/security/subscriber.js";
import type { MobileNodePlanSite, NodeSecurity } from "../../controller/plan/site.js";
import type { HomeAgentEffect } from "../../controller/protocol/mip6/home-agent/inputs.js";
import { dataPaths } from "../../controller/protocol/mip6/home-agent/machine.js";
import type { DataPath } from "../../controller/protocol/mip6/inputs.js";
import type { MobileNodeRecord } from "../../controller/protocol/mip6/mobile-node/inputs.js";
import type { MobileNodeInput } from "../../controller/protocol/mip6/mobile-node/machine.js";
import type { NetworkView } from "../../controller/protocol/movement/network-view.js";
import { randomRuns } from "../lib/random-runs.js";
import { Chart, SITE } from "../unit/protocol/mip6/mobile-node/chart.js";
import { type Command, command, HomeAgentRun, NODES, PLAN_SITE, require } from "./home-agent-run.js";
import { type KernelAct, kernelAct, perform } from "./kernel-acts.js";
import { nodeAct } from "./node-acts.js";
import { PlannedKernel, turn } from "./planned-kernel.js";

const KEY = { spi: 0x1000, algorithm: "aes-gcm" as const, key: new Secret(new Uint8Array(20)) };
const KEYS: NodeSecurity = { update: KEY, acknowledgement: KEY, replayWindow: 64 };

const HOME_AGENT_SITE = { ...PLAN_SITE, addressDiscovery: true };
const SHARED = new Map<string, readonly KernelObject[]>([
  ["site", planHomeAgentSite(HOME_AGENT_SITE)],
  ...NODES.map((node, i) => {
    const keys = { ...KEYS, update: { ...KEY, spi: 0x1000 + i }, acknowledgement: { ...KEY, spi: 0x2000 + i } };
    return [`security ${node}`, planSubscriberSecurity(node, keys, HOME_AGENT_SITE)] as const;
  }),
]);
const BINDING = "binding ";

class HomeAgentOverKernel extends HomeAgentRun {
  readonly planned = new PlannedKernel();
  #refused = this.#noneRefused();

  override see(effect: HomeAgentEffect): void {
    const { reconciler } = this.planned;
    if (effect.kind === "data-path")
      reconciler.setGroup(
        `${BINDING}${effect.path.homeAddress}`,
        planBinding(effect.path, HOME_AGENT_SITE),
        effect.path.revision,
      );
    if (effect.kind === "data-path-removed") reconciler.removeGroup(`${BINDING}${effect.homeAddress}`, effect.revision);
  }

  /** As the service has it. */
  #noneRefused(): RefusedPaths<DataPath> {
    return new RefusedPaths({
      schedule: (delayMs, run) => this.planned.schedule(delayMs, run),
      pathOf: (homeAddress) => [...dataPaths(this.harness.state)].find((path) => path.homeAddress === homeAddress),
      ask: (path) => {
        this.see({ kind: "data-path", path });
        this.planned.reconciler.commit();
      },
    });
  }

  async begin(): Promise<void> {
    for (const [group, objects] of SHARED) this.planned.wantShared(group, objects);
    this.planned.reconciler.commit();
    await this.planned.reconciler.settled();
    this.planned.reconciler.declareComplete();
    await this.#turn();
  }

  async command(one: Command): Promise<void> {
    // The reconciler alone answers for the kernel.
    if (one.kind === "kernel") return;
    if (one.kind === "restart") {
      await this.planned.restart();
      this.#refused = this.#noneRefused();
      this.do(one);
      return this.begin();
    }
    this.do(one);
    if (one.kind === "advance") await this.planned.advance(one.by * 1000);
    await this.#turn();
  }

  async disturb(one: KernelAct): Promise<void> {
    if (one.kind === "settle") return this.calm();
    await perform(this.planned, one);
    await this.#turn();
  }

  /** Nobody disturbs: the kernel has what is bound, and what is bound is what the kernel has. */
  async calm(): Promise<void> {
    this.harness.step({ kind: "storage", writable: true });
    this.check();
    this.planned.reconciler.commit();
    await this.planned.settle(() => this.#serve());
    this.#compare();
    const { differences } = await this.planned.reconciler.audit();
    const known = differences.filter(({ key }) => !this.planned.foreign.has(key));
    require(known.length === 0, `the audit finds ${JSON.stringify(known)}`);
    require(this.planned.reconciler.failedObjects === 0, "nothing has failed");
  }

  async end(): Promise<void> {
    await this.calm();
    this.harness.advance(0xffff * 4 + 100);
    this.check();
    await this.calm();
    require([...dataPaths(this.harness.state)].length === 0, "nothing is bound");
    require(this.harness.state.cache.size === 0, "the cache is empty");
  }

  #compare(): void {
    const bindings = [...dataPaths(this.harness.state)].flatMap((path) => planBinding(path, HOME_AGENT_SITE));
    const problems = this.planned.differences([...[...SHARED.values()].flat(), ...bindings]);
    require(problems.length === 0, problems.join("; "));
  }

  async #turn(): Promise<void> {
    this.#serve();
    this.planned.reconciler.commit();
    await turn();
  }

  /** What a service does with its results. */
  #serve(): void {
    for (const { group, revision, failure } of this.planned.results.splice(0)) {
      if (!group.startsWith(BINDING)) continue;
      const homeAddress = group.slice(BINDING.length) as Ipv6Address;
      const input = { kind: "programmed", homeAddress, revision } as const;
      this.#refused.answered(homeAddress, revision, failure === undefined);
      this.harness.step(failure === undefined ? input : { ...input, failure: failure.message });
      this.check();
    }
    this.planned.reconciler.commit();
  }
}

t.test("a home agent: whatever happens, the kernel ends up with what is bound and nothing else", async (test) => {
  const act = fc.oneof(fc.record({ command }), fc.record({ disturb: kernelAct }));
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(act, { maxLength: 60, size: "max" }), async (probes, acts) => {
      const run = new HomeAgentOverKernel(probes);
      await run.planned.restart();
      await run.begin();
      for (const one of acts) await ("command" in one ? run.command(one.command) : run.disturb(one.disturb));
      await run.end();
    }),
    randomRuns(150),
  );
  test.pass("held");
});

const NODE_SITE: MobileNodePlanSite = { ...SITE, profile: { dscp: "copy", ttl: 64 } };
const NODE_SHARED = planMobileNodeSite(NODE_SITE, KEYS);
const LIFETIME_SECONDS = 80;
/** The longest pause between two attempts, and how many there are at most. */
const RETRY_SECONDS = 32;
const MAX_TRIES = 5;

/** A chart whose kernel is the reconciler's. */
class NodeOverKernel extends Chart {
  readonly planned: PlannedKernel;
  #seen = 0;
  #network: NetworkView | undefined;

  constructor(planned = new PlannedKernel()) {
    super({ lifetimeSeconds: LIFETIME_SECONDS });
    this.planned = planned;
    this.kernel = "silent";
  }

  override give(input: MobileNodeInput): this {
    super.give(input);
    if (input.kind === "network") this.#network = input.view;
    for (const effect of this.effects.slice(this.#seen))
      if (effect.kind === "data-path")
        this.planned.reconciler.setGroup("binding", planMobileNode(effect.path, NODE_SITE), effect.path.revision);
    this.#seen = this.effects.length;
    return this;
  }

  async begin(): Promise<void> {
    this.planned.wantShared("site", NODE_SHARED);
    this.planned.reconciler.commit();
    await this.planned.reconciler.settled();
    this.planned.reconciler.declareComplete();
    await this.turn();
  }

  async turn(): Promise<void> {
    this.#serve();
    this.planned.reconciler.commit();
    await turn();
  }

  async calm(): Promise<void> {
    this.planned.reconciler.commit();
    await this.planned.settle(() => this.#serve());
    // What the kernel has refused the machine asks for again by itself.
    for (let tries = 0; this.state.path?.status === "failed" && tries < MAX_TRIES; tries++) {
      this.wait(RETRY_SECONDS);
      await this.planned.settle(() => this.#serve());
    }
    const plan = this.path === undefined ? [] : planMobileNode(this.path, NODE_SITE);
    const problems = this.planned.differences([...NODE_SHARED, ...plan]);
    require(problems.length === 0, problems.join("; "));
    const { registration, phase } = this.state;
    const over = registration !== undefined && registration.expiresAt < this.now && phase !== "stopped";
    require(!over, "no binding past its lifetime");
  }

  /** Killed and started again, with the journal's last record and the network as it is. */
  async restart(): Promise<NodeOverKernel> {
    await this.planned.restart();
    const next = new NodeOverKernel(this.planned).#takeUp(this);
    await next.begin();
    return next;
  }

  #takeUp(former: NodeOverKernel): this {
    const record = former.effects.filter((effect) => effect.kind === "journal").at(-1)?.record;
    this.now = former.now;
    if (record !== undefined) {
      const read = JSON.parse(JSON.stringify(record)) as MobileNodeRecord;
      this.give({ kind: "restore", record: read, ageSeconds: 0 });
    }
    const view = former.#network;
    return view === undefined ? this : this.give({ kind: "network", view });
  }

  #serve(): void {
    for (const { group, revision, failure } of this.planned.results.splice(0)) {
      if (group !== "binding") continue;
      const input = { kind: "programmed", homeAddress: SITE.homeAddress, revision } as const;
      this.give(failure === undefined ? input : { ...input, failure: failure.message });
    }
    this.planned.reconciler.commit();
  }
}

t.test("a mobile node: whatever happens, the kernel ends up with its path and nothing else", async (test) => {
  const node = fc.oneof({ weight: 10, arbitrary: nodeAct }, { weight: 1, arbitrary: fc.constant("restart" as const) });
  const act = fc.oneof(fc.record({ node }), fc.record({ disturb: kernelAct }));
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 60, size: "max" }), async (acts) => {
      let chart = new NodeOverKernel();
      await chart.planned.restart();
      await chart.begin();
      for (const one of acts) {
        if ("disturb" in one)
          await (one.disturb.kind === "settle" ? chart.calm() : perform(chart.planned, one.disturb));
        else if (one.node === "restart") chart = await chart.restart();
        else one.node(chart);
        await chart.turn();
      }
      await chart.calm();
      chart.give({ kind: "stop" }).wait(60);
      require(chart.state.phase === "stopped", `phase ${chart.state.phase}`);
      await chart.calm();
      await chart.planned.reconciler.removeAll();
      const left = chart.planned.differences([]);
      require(left.length === 0, left.join("; "));
    }),
    randomRuns(150),
  );
  test.pass("held");
});
