/** Who listens to which groups, by what nodes report and by what they do not report any more. */
import t from "tap";
import { type IpAddress, type Ipv6Address, ipv4, ipv6 } from "../../../../../../controller/base/ip.js";
import { after, instant, seconds } from "../../../../../../controller/base/time.js";
import {
  type MulticastEffect,
  type MulticastInput,
  type MulticastSite,
  MulticastState,
  memberships,
  nextDeadline,
  step,
} from "../../../../../../controller/protocol/mip6/home-agent/multicast/machine.js";
import { scopeOf } from "../../../../../../controller/protocol/mip6/home-agent/multicast/scope.js";
import { type MldMessage, RecordType } from "../../../../../../controller/wire/ip/membership.js";

const ALICE = ipv6("2001:db8:1::10");
const BOB = ipv6("2001:db8:1::11");
const GROUP = ipv6("ff3e::99");
const GROUP4 = ipv4("239.1.1.9");
const SITE: MulticastSite = {
  queryIntervalSeconds: 100,
  robustness: 2,
  mostMembersPerGroup: 2,
  mostGroupsPerNode: 2,
  mostGroups: 3,
  localScopes: false,
};
const START = instant(1_000_000);

const records = (recordType: number, group: Ipv6Address, ...sources: readonly Ipv6Address[]): MldMessage => ({
  type: "records",
  records: [{ recordType, group, sources }],
});
const joins = (group = GROUP): MldMessage => records(RecordType.changeToExclude, group);

class World {
  readonly state: MulticastState;
  now = START;

  constructor(site: Partial<MulticastSite> = {}) {
    this.state = new MulticastState({ ...SITE, ...site });
    for (const homeAddress of [ALICE, BOB]) this.step({ kind: "bound", homeAddress });
  }

  step(input: MulticastInput): readonly MulticastEffect[] {
    return step(this.state, input, this.now);
  }

  report(message: MldMessage, homeAddress = ALICE): readonly string[] {
    return this.step({ kind: "report", homeAddress, message }).map((effect) =>
      effect.kind === "drop" ? effect.reason : effect.kind,
    );
  }

  wait(time: number): readonly MulticastEffect[] {
    const effects: MulticastEffect[] = [];
    const end = after(this.now, seconds(time));
    for (let next = nextDeadline(this.state); next !== undefined && next <= end; next = nextDeadline(this.state)) {
      this.now = next;
      for (const effect of this.step({ kind: "timer" })) effects.push(effect);
    }
    this.now = end;
    return effects;
  }

  groups(): Record<string, readonly string[]> {
    return Object.fromEntries(
      [...memberships(this.state)].map(({ group, members }) => [group, members.map((one) => one.homeAddress)]),
    );
  }
}

t.test("what a record says of whether its sender listens (RFC 3810 §5.2.12)", (t) => {
  const source = ipv6("2001:db8:9::9");
  const { modeIsInclude, modeIsExclude, changeToInclude, changeToExclude, allowNewSources, blockOldSources } =
    RecordType;
  const cases: readonly (readonly [MldMessage, boolean])[] = [
    [records(modeIsExclude, GROUP), true],
    [records(changeToExclude, GROUP, source), true],
    [records(modeIsInclude, GROUP, source), true],
    [records(changeToInclude, GROUP, source), true],
    [records(allowNewSources, GROUP, source), true],
    [records(modeIsInclude, GROUP), false],
    [records(changeToInclude, GROUP), false],
    [records(allowNewSources, GROUP), false],
    [records(blockOldSources, GROUP, source), false],
    [records(9, GROUP, source), false],
    [{ type: "report", version: 1, group: GROUP }, true],
    [{ type: "done", group: GROUP }, false],
    [{ type: "query", group: GROUP, responseCode: 0 }, false],
  ];
  for (const [message, listens] of cases) {
    const world = new World();
    world.report(message);
    t.strictSame(world.groups(), listens ? { [GROUP]: [ALICE] } : {}, JSON.stringify(message));
  }
  t.end();
});

t.test("who leaves is out at once, and nobody else", (t) => {
  for (const message of [records(RecordType.changeToInclude, GROUP), { type: "done", group: GROUP } as const]) {
    const world = new World();
    t.strictSame(world.report(joins()), ["joined", "notify"]);
    t.strictSame(world.report(joins()), [], "again: nothing new");
    world.report(joins(), BOB);
    t.strictSame(world.report(message), ["left", "notify"]);
    t.strictSame(world.report(message), []);
    t.strictSame(world.groups(), { [GROUP]: [BOB] });
  }
  t.end();
});

t.test("what is not reported again within the membership interval ends (RFC 3810 §9.4)", (t) => {
  const world = new World();
  world.report(joins());
  world.report(joins(), BOB);
  world.wait(200);
  world.report(joins(), BOB);
  t.strictSame(world.groups(), { [GROUP]: [ALICE, BOB] });
  world.wait(11);
  t.strictSame(world.groups(), { [GROUP]: [BOB] }, "2 × 100 s and the time for an answer");
  world.wait(200);
  t.strictSame(world.groups(), {});
  t.end();
});

t.test("nodes are asked, soon after they are bound or move, and then again and again", (t) => {
  const world = new World();
  const asked = (time: number): number =>
    world.wait(time).filter((effect) => effect.kind === "query" && effect.homeAddress === ALICE).length;
  t.equal(asked(2), 1);
  t.equal(asked(10), 1, "once more, should it have been lost");
  t.equal(asked(1000), 10);
  world.step({ kind: "bound", homeAddress: ALICE });
  t.equal(asked(10), 2, "at its new place");
  world.step({ kind: "unbound", homeAddress: ALICE });
  t.equal(asked(1000), 0);
  t.end();
});

t.test("memberships end with the binding, and who is not bound has none", (t) => {
  const world = new World();
  world.report(joins());
  world.step({ kind: "unbound", homeAddress: ALICE });
  t.strictSame(world.groups(), {});
  t.strictSame(world.report(joins()), ["unknown-binding"]);
  t.end();
});

t.test("IPv4 groups are for nodes with an IPv4 home address, and end with it", (t) => {
  const world = new World();
  const message = { type: "report", version: 2, group: GROUP4 } as const;
  const report = (): readonly string[] =>
    world
      .step({ kind: "report", homeAddress: ALICE, message })
      .map((effect) => (effect.kind === "drop" ? effect.reason : effect.kind));
  t.strictSame(report(), ["wrong-source"]);
  world.step({ kind: "bound", homeAddress: ALICE, ipv4HomeAddress: ipv4("198.51.100.10") });
  t.strictSame(report(), ["joined", "notify"]);
  world.step({ kind: "bound", homeAddress: ALICE });
  t.strictSame(world.groups(), {});
  t.end();
});

t.test("groups of a node, members of a group and groups in all are bounded", (t) => {
  const group = (last: number): Ipv6Address => ipv6(`ff3e::${last.toString(16)}`);
  const world = new World();
  for (const last of [1, 2]) t.strictSame(world.report(joins(group(last))), ["joined", "notify"]);
  t.strictSame(world.report(joins(group(3))), ["multicast-limit"], "two of one node");
  t.strictSame(world.report(joins(group(3)), BOB), ["joined", "notify"]);
  t.strictSame(world.report(joins(group(4)), BOB), ["multicast-limit"], "three in all");
  const crowded = new World({ mostMembersPerGroup: 1 });
  crowded.report(joins());
  t.strictSame(crowded.report(joins(), BOB), ["multicast-limit"]);
  t.end();
});

t.test(
  "link-local groups never, those of smaller scope than global when the operator wants it (RFC 6275 §10.4.2)",
  (t) => {
    const scopes: readonly (readonly [IpAddress, string])[] = [
      [ipv6("ff01::1"), "link"],
      [ipv6("ff02::fb"), "link"],
      [ipv6("ff12::1"), "link"],
      [ipv6("ff05::2"), "local"],
      [ipv6("ff18::2"), "local"],
      [ipv6("ff0e::101"), "global"],
      [ipv6("ff3e::99"), "global"],
      [ipv6("ff0f::1"), "none"],
      [ALICE, "none"],
      [ipv4("224.0.0.251"), "link"],
      [ipv4("224.0.1.1"), "global"],
      [ipv4("239.1.1.9"), "global"],
      [ipv4("239.192.0.1"), "local"],
      [ipv4("239.255.255.250"), "local"],
      [ipv4("198.51.100.1"), "none"],
    ];
    for (const [group, scope] of scopes) t.equal(scopeOf(group), scope, group);
    const local = ipv6("ff05::2");
    t.strictSame(new World().report(joins(local)), ["multicast-scope"]);
    t.strictSame(new World({ localScopes: true }).report(joins(local)), ["joined", "notify"]);
    t.strictSame(new World({ localScopes: true }).report(joins(ipv6("ff02::fb"))), []);
    t.strictSame(new World().report(joins(ALICE)), ["multicast-scope"]);
    t.end();
  },
);
