/**
 * A home agent's machine under any order of updates, answers of the kernel, ends of probes, timers, operators and restarts, and the rules
 * that hold after each of them. Shared by the properties of the machine and by those of machine, plan and reconciler together.
 */
import fc from "fast-check";
import { type Ipv4Address, type Ipv6Address, ipv4, ipv6 } from "../../controller/base/ip.js";
import { type Seq16, seq16 } from "../../controller/base/seq16.js";
import { planBinding } from "../../controller/plan/home-agent/plan.js";
import { objectKey } from "../../controller/plan/objects/objects.js";
import type { HomeAgentPlanSite } from "../../controller/plan/site.js";
import type { HomeAgentEffect } from "../../controller/protocol/mip6/home-agent/inputs.js";
import { dataPaths, nextDeadline } from "../../controller/protocol/mip6/home-agent/machine.js";
import { isBound } from "../../controller/protocol/mip6/home-agent/states.js";
import { type DataPath, sameEndpoint } from "../../controller/protocol/mip6/inputs.js";
import type { MobilityMessage } from "../../controller/wire/mip6/messages/mobility-message.js";
import {
  alternateCareOf,
  atHome,
  bindingUpdate,
  COA,
  HA,
  HA4,
  HOA,
  HOA_B,
  HOA_C,
  HOA4,
  HOA4_B,
  HomeAgentHarness,
  native,
  option6,
  option29,
  option32,
  prefix,
  SILENT,
  subscribers,
  udp,
} from "./home-agent-harness.js";

export const NODES = [HOA, HOA_B, HOA_C, ipv6("2001:db8:1::13")];
export const STRANGER = ipv6("2001:db8:1::99");
export const CARE_OF = ["2001:db8:2::20", "2001:db8:3::20", "fe80::1"].map(ipv6);
export const OUTER = ["198.51.100.7", "198.51.100.8", "203.0.113.1"].map(ipv4);
const NETWORKS = [prefix("2001:db8:100::/56"), prefix("10.1.0.0/24")];
const POOL = { prefixes: [prefix("192.0.2.128/31")], leaseSeconds: 100 };

const update = fc.record({
  kind: fc.constant("update" as const),
  node: fc.constantFrom(...NODES, ...NODES, STRANGER),
  via: fc.constantFrom("native", "udp", "home"),
  careOf: fc.constantFrom(...CARE_OF),
  alternate: fc.option(fc.constantFrom(...CARE_OF)),
  outer: fc.constantFrom(...OUTER),
  port: fc.constantFrom(4191, 40000),
  claimed: fc.option(fc.constantFrom(...OUTER)),
  networks: fc.array(fc.constantFrom("2001:db8:100::", "2001:db8:100::1", "2001:db8:200::"), { maxLength: 2 }),
  ipv4Network: fc.option(fc.constantFrom("10.1.0.0", "10.2.0.0", "0.0.0.0")),
  ipv4Homes: fc.array(fc.constantFrom(HOA4, HOA4_B, "0.0.0.0", "192.0.2.128", "192.0.2.129", "224.0.0.1"), {
    maxLength: 2,
  }),
  /** Added to the last number sent: mostly forward. */
  ahead: fc.constantFrom(1, 1, 1, 2, 0, -1, 32768, 40000),
  lifetimeUnits: fc.constantFrom(0, 1, 5, 150, 0xffff),
  flags: fc.constantFrom(
    {},
    {},
    {},
    { forceUdp: true },
    { linkLocalCompatibility: true },
    { mobileRouter: true },
    { mobileRouter: true },
    { mobileRouter: true, homeRegistration: false },
    { homeRegistration: false },
  ),
  protection: fc.constantFrom("esp" as const, "esp" as const, "esp" as const, "none" as const),
});
export const command = fc.oneof(
  { weight: 6, arbitrary: update },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("kernel" as const),
      which: fc.nat(5),
      failure: fc.constantFrom(undefined, undefined, "EIO"),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("dad" as const),
      node: fc.constantFrom(...NODES),
      conflict: fc.boolean(),
      linkLocal: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("advance" as const), by: fc.constantFrom(0, 0.5, 1, 3, 10, 100, 700) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("remove" as const),
      node: fc.constantFrom(...NODES),
      ipv4Only: fc.boolean(),
      acknowledged: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("notice" as const), what: fc.constantFrom("switch", "refresh") }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("storage" as const), writable: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("unstored" as const),
      node: fc.constantFrom(...NODES),
      /** So many updates ago. */
      back: fc.constantFrom(0, 0, 1, 2),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("option-refused" as const),
      node: fc.constantFrom(...NODES, STRANGER),
      source: fc.constantFrom(...CARE_OF),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const), down: fc.constantFrom(0, 1, 50) }) },
);
export type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;
type Update = Extract<Command, { readonly kind: "update" }>;

const COPIED = { dscp: "copy", ttl: 64 } as const;
export const PLAN_SITE: HomeAgentPlanSite = {
  addresses: { ipv6: HA, ipv4: HA4 },
  homePrefixes: [prefix("2001:db8:1::/64"), prefix("192.0.2.0/24")],
  homeDevice: "home0",
  mtu: 1400,
  profiles: new Map([
    ["default", COPIED],
    ["gold", COPIED],
  ]),
  prefixLengths: { ipv4: [24], ipv6: [56] },
};

/** What the runs came by: a property over inputs that lead nowhere would say nothing. */
export const seenStates = new Set<string>();
export const seenStatuses = new Set<number>();

export class HomeAgentRun {
  harness: HomeAgentHarness;
  readonly #changes: ConstructorParameters<typeof HomeAgentHarness>[0];
  /** The plan as the effects tell it. */
  #plan = new Map<Ipv6Address, DataPath>();
  #revision = 0;
  /** What each node sent: the longest lifetime requested by sequence number. */
  readonly #requested = new Map<Ipv6Address, Map<Seq16, number>>();
  readonly #sequence = new Map<Ipv6Address, Seq16>();

  constructor(duplicateAddressDetection: boolean) {
    this.#changes = {
      duplicateAddressDetection,
      ipv4Pool: POOL,
      refreshRequests: true,
      subscribers: subscribers([
        { homeAddress: HOA, ipv4HomeAddress: HOA4, profile: "default", prefixes: NETWORKS },
        {
          homeAddress: HOA_B,
          ipv4HomeAddress: HOA4_B,
          profile: "gold",
          prefixes: [prefix("2001:db8:200::/56")],
          mobileRouter: "explicit",
        },
        ...NODES.slice(2).map((homeAddress) => ({ homeAddress, profile: "default" })),
      ]),
    };
    this.harness = this.#silent(new HomeAgentHarness(this.#changes));
  }

  /** An effect, before the rules are looked at. */
  protected see(_: HomeAgentEffect): void {}

  #silent(harness: HomeAgentHarness): HomeAgentHarness {
    harness.kernelMood = SILENT;
    harness.dadMood = () => "silent";
    return harness;
  }

  do(one: Command): void {
    switch (one.kind) {
      case "update":
        this.#send(one);
        break;
      case "kernel": {
        const effect = this.harness.asked[one.which % Math.max(1, this.harness.asked.length)];
        if (effect !== undefined) this.harness.answerKernel(one.failure, effect);
        break;
      }
      case "dad": {
        const linkLocal = ipv6(`fe80::${one.node.slice(one.node.lastIndexOf(":") + 1)}`);
        this.harness.answerDad(one.linkLocal ? linkLocal : one.node, one.conflict, one.node);
        break;
      }
      case "advance":
        this.harness.advance(one.by);
        break;
      case "remove":
        this.harness.step({ kind: "remove", homeAddress: one.node, ipv4Only: one.ipv4Only });
        if (one.acknowledged) this.harness.deliver(native(CARE_OF[0] ?? COA, one.node), this.#acknowledgement());
        break;
      case "notice": {
        const subject =
          one.what === "switch" ? { kind: "switch" as const, homeAgents: [] } : { kind: "refresh" as const };
        this.harness.step({ kind: "notice", homeAddresses: NODES, subject });
        break;
      }
      case "storage":
        this.harness.step({ kind: "storage", writable: one.writable });
        break;
      case "unstored": {
        const sequence = seq16((this.#sequence.get(one.node) ?? 0) - one.back);
        this.harness.step({ kind: "unstored", homeAddress: one.node, sequence });
        break;
      }
      case "option-refused": {
        const { node: homeAddress, source } = one;
        const packet = { kind: "option-refused" as const, source, destination: HA, homeAddress, protocol: 17 };
        this.harness.step(packet);
        break;
      }
      case "restart":
        this.harness = this.#silent(this.harness.restart(one.down, this.#changes));
        this.#plan = new Map();
        this.#revision = 0;
        break;
    }
    this.check();
  }

  /** Of the latest revocation. */
  #acknowledgement(): MobilityMessage {
    const flags = { proxyBinding: false, ipv4HomeAddressOnly: false, global: false };
    const sequence = this.harness.state.revocationSequence;
    return { type: "binding-revocation-acknowledgement", status: 0, sequence, flags, options: [] };
  }

  #send(one: Update): void {
    const sequence = seq16((this.#sequence.get(one.node) ?? 0) + one.ahead);
    this.#sequence.set(one.node, sequence);
    const requested = this.#requested.get(one.node) ?? new Map<Seq16, number>();
    this.#requested.set(one.node, requested.set(sequence, Math.max(one.lifetimeUnits, requested.get(sequence) ?? 0)));
    const arrival =
      one.via === "udp"
        ? udp(one.outer, one.port, one.node)
        : one.via === "home"
          ? atHome(one.node)
          : native(one.careOf, one.node);
    const options = [
      ...(one.alternate === null ? [] : [alternateCareOf(one.alternate)]),
      ...one.networks.map((address) => option6(`${address}/56`)),
      ...one.ipv4Homes.map((address) => option29(address)),
      ...(one.ipv4Network === null ? [] : [option29(one.ipv4Network, 24, true)]),
      ...(one.claimed === null ? [] : [option32(one.claimed)]),
    ];
    const { lifetimeUnits, flags, protection } = one;
    this.harness.deliver({ ...arrival, protection }, bindingUpdate({ sequence, lifetimeUnits, flags, options }));
  }

  check(): void {
    for (const effect of this.harness.take()) {
      this.see(effect);
      if (effect.kind === "data-path") {
        this.#newRevision(effect.path.revision);
        this.#plan.set(effect.path.homeAddress, effect.path);
        this.#checkPath(effect.path);
        this.#checkIpv4Owners();
        this.#checkNetworks(effect.path);
      } else if (effect.kind === "data-path-removed") {
        this.#newRevision(effect.revision);
        this.#plan.delete(effect.homeAddress);
      } else if (effect.kind === "send" && effect.message.type === "binding-acknowledgement") {
        const { status, sequence, lifetimeUnits } = effect.message;
        seenStatuses.add(status);
        const requested = this.#requested.get(effect.destination)?.get(sequence);
        require(requested !== undefined, `sequence ${sequence} was never sent`);
        require(lifetimeUnits <= (requested ?? 0), `granted ${lifetimeUnits}, requested ${requested}`);
        require(status < 128 || lifetimeUnits === 0, "a refusal grants nothing");
        require(effect.destination !== STRANGER || status >= 128, "strangers are refused");
      }
    }
    const wanted = [...dataPaths(this.harness.state)].sort(byHomeAddress);
    const told = [...this.#plan.values()].sort(byHomeAddress);
    require(JSON.stringify(wanted) === JSON.stringify(told), "the effects tell the same paths as the state");
    this.#checkEntries();
  }

  #newRevision(revision: number): void {
    require(revision > this.#revision, "revisions only grow");
    this.#revision = revision;
  }

  #checkPath(path: DataPath): void {
    require(path.ingress.length >= 1 && path.ingress.length <= 9, "bounded ingress");
    const [first] = path.ingress;
    require(first !== undefined && sameEndpoint(first, path.egress), "payload is accepted from where it is sent to");
    path.ingress.forEach((one, i) => {
      require(path.ingress.findIndex((other) => sameEndpoint(one, other)) === i, "no endpoint twice");
    });
  }

  #checkIpv4Owners(): void {
    const addresses = [...this.#plan.values()].map((path) => path.ipv4HomeAddress).filter((one) => one !== undefined);
    require(new Set<Ipv4Address>(addresses).size === addresses.length, "no IPv4 home address twice");
  }

  #checkNetworks({ homeAddress, mobileRouter, prefixes = [] }: DataPath): void {
    const { ownership } = this.harness.state;
    require(mobileRouter === true || prefixes.length === 0, "networks are those of routers");
    for (const { address } of prefixes) require(ownership.routerTo(address) === homeAddress, "nobody else's network");
  }

  #checkEntries(): void {
    const { state, now, journal } = this.harness;
    require(state.cache.size <= NODES.length, "entries are bounded by subscribers");
    for (const entry of state.cache.entries()) {
      seenStates.add(entry.state);
      const { established } = entry;
      require(established === undefined || established.expiresAt >= now, "no binding past its lifetime");
      const record = journal.get(entry.homeAddress)?.record;
      if (entry.state === "established") {
        require(record?.["kind"] === "bound" &&
          record["sequence"] === entry.sequence, "what is bound is in the journal");
      }
      if (!isBound(entry.state)) require(record?.["kind"] === "invalidated", "what is over is over in the journal");
      if (entry.state === "invalidated") require(state.ipv4.leaseOf(entry.homeAddress) === undefined, "no lease left");
      require(nextDeadline(state) !== undefined, "every entry ends some day");
    }
    for (const key of journal.keys()) require(state.cache.get(key as Ipv6Address) !== undefined, "no record too many");
    for (const homeAddress of NODES) {
      const lent = state.ipv4.leaseOf(homeAddress);
      if (lent !== undefined) require(state.ipv4.ownerOf(lent) === homeAddress, "leases and owners agree");
    }
    require(Number.isFinite(now), "time goes on");
  }

  /** What the kernel is to hold of one node is nobody else's. */
  #checkObjects(): void {
    const owners = new Map<string, Ipv6Address>();
    for (const path of this.#plan.values()) {
      for (const object of planBinding(path, PLAN_SITE)) {
        const key = objectKey(object);
        require((owners.get(key) ?? path.homeAddress) === path.homeAddress, `${key} is of two nodes`);
        owners.set(key, path.homeAddress);
      }
    }
  }

  /** Everybody answers, time passes: nothing may be left. */
  settle(): void {
    this.#checkObjects();
    this.harness.step({ kind: "storage", writable: true });
    while (this.harness.asked.length > 0) this.harness.answerKernel();
    this.harness.kernelMood = () => undefined;
    this.harness.advance(0xffff * 4 + 100);
    this.check();
    require(this.harness.state.cache.size === 0, "the cache is empty");
    require(this.harness.journal.size === 0, "the journal is empty");
    require(this.harness.deadline === undefined, "nothing is due");
    require(this.#plan.size === 0, "the plan is empty");
    require(NODES.every((node) => this.harness.state.ipv4.leaseOf(node) === undefined), "nothing is lent");
  }
}

const byHomeAddress = (a: DataPath, b: DataPath): number => (a.homeAddress < b.homeAddress ? -1 : 1);

export function require(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}
