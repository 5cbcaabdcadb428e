/** What a foreign agent says of itself, how often, and what it keeps over a restart. */
import t from "tap";
import { IPV4_ANY, type Ipv4Address, ipv4 } from "../../../../../controller/base/ip.js";
import { nextSequence, type ToLink } from "../../../../../controller/protocol/mip4/advertisements.js";
import type { ForeignAgentEffect } from "../../../../../controller/protocol/mip4/foreign-agent/inputs.js";
import { beginsAnew } from "../../../../../controller/protocol/mip4/foreign-agent/machine.js";
import {
  decodeAgentDiscovery,
  encodeAgentDiscovery,
} from "../../../../../controller/wire/mip4/messages/agent-discovery.js";
import { COA, dropsOf, ForeignAgentBench, HOA, LINK, MAC } from "../../../../lib/mip4-foreign-agent.js";

const said = (effects: readonly ForeignAgentEffect[]): readonly ToLink[] =>
  effects.flatMap((effect) => (effect.kind === "send" && effect.message.to === "link" ? [effect.message] : []));
const numbers = (all: readonly ToLink[]): readonly unknown[] =>
  all.map(
    ({ advertisement }) => advertisement.extensions.map((one) => ("sequence" in one ? one.sequence : undefined))[0],
  );

t.test("content of an advertisement, through the codec", (t) => {
  const bench = new ForeignAgentBench();
  bench.step({ kind: "begin" });
  const [first] = said(bench.wait(0));
  if (first === undefined) throw new Error("nothing is said");
  const decoded = decodeAgentDiscovery(encodeAgentDiscovery(first.advertisement));
  t.match(decoded.ok && decoded.value, {
    code: 16,
    lifetimeSeconds: 30,
    routers: [{ address: LINK }],
    extensions: [
      {
        sequence: 0,
        registrationLifetimeSeconds: 600,
        flags: {
          foreignAgent: true,
          homeAgent: false,
          busy: false,
          registrationRequired: false,
          reverseTunnelling: true,
        },
        careOfAddresses: [COA],
      },
      { prefixLengths: [24] },
    ],
  });
  t.equal(first.receiver, undefined);
  t.end();
});

t.test("numbers: 0 first, 256 after 0xffff", (t) => {
  t.equal(nextSequence(0), 1);
  t.equal(nextSequence(0xfffe), 0xffff);
  t.equal(nextSequence(0xffff), 256);
  const bench = new ForeignAgentBench();
  bench.step({ kind: "begin" });
  const all = said(bench.wait(300));
  t.strictSame(
    numbers(all),
    all.map((_, i) => i),
  );
  t.ok(all.length >= 24 && all.length <= 41, `${all.length} in 300 s`);
  t.end();
});

t.test(
  "busy when it is full; a node that solicits is told so by its own address, and all at most once a second",
  (t) => {
    const bench = new ForeignAgentBench({ mostVisitors: 1 });
    bench.step({ kind: "begin" });
    bench.wait(0);
    bench.register();
    const ask = (source: Ipv4Address) =>
      bench.step({ kind: "solicitation", device: "visit", linkAddress: MAC, source });
    t.match(said(ask(HOA)), [
      { receiver: { linkAddress: MAC, address: HOA }, advertisement: { extensions: [{ flags: { busy: true } }] } },
    ]);
    for (let i = 0; i < 20; i++) ask(HOA);
    t.strictSame(dropsOf(ask(HOA)), ["rate-limited"]);
    t.strictSame(said(ask(IPV4_ANY)), [], "one was just sent to all");
    t.equal(said(bench.wait(1)).length, 1, "and they are answered with the next");
    t.strictSame(dropsOf(bench.step({ kind: "solicitation", device: "wan", linkAddress: MAC, source: HOA })), [
      "wrong-destination",
    ]);
    t.end();
  },
);

t.test("only when asked, and a farewell", (t) => {
  const [link] = new ForeignAgentBench().state.site.links;
  if (link === undefined) throw new Error("no link");
  const bench = new ForeignAgentBench({
    links: [{ ...link, advertisementIntervalSeconds: 0, registrationRequired: true }],
  });
  bench.step({ kind: "begin" });
  t.strictSame(said(bench.wait(1000)), []);
  const [answer] = said(bench.step({ kind: "solicitation", device: "visit", linkAddress: MAC, source: IPV4_ANY }));
  t.match(answer, { advertisement: { extensions: [{ flags: { registrationRequired: true } }] } });
  t.match(said(bench.step({ kind: "stop" })), [{ advertisement: { lifetimeSeconds: 0 } }]);
  t.end();
});

t.test(
  "a restart keeps visitors, their names and numbers, and goes on counting; without visitors it begins anew",
  (t) => {
    const bench = new ForeignAgentBench();
    bench.step({ kind: "begin" });
    bench.wait(100);
    bench.register();
    bench.register({ homeAddress: ipv4("198.51.100.102"), linkAddress: "02:00:00:00:00:02" });
    bench.reply(bench.request({ lifetimeSeconds: 0 }));
    const records = new Map<string, Readonly<Record<string, unknown>>>();
    for (const effect of bench.effects)
      if (effect.kind === "journal")
        if (effect.record === null) records.delete(effect.key);
        else records.set(effect.key, JSON.parse(JSON.stringify(effect.record)));
    t.equal(records.size, 2);
    const next = new ForeignAgentBench();
    const stored = [...records.values()].map((record) => ({ record, ageSeconds: 10 }));
    const effects = next.step({ kind: "restore", records: stored });
    beginsAnew(next.state);
    t.match(effects, [{ kind: "data-path", path: { number: 2, homeAddress: "198.51.100.102" } }, { kind: "notify" }]);
    next.step({ kind: "begin" });
    t.ok(Number(numbers(said(next.wait(0)))[0]) >= 256);
    const late = new ForeignAgentBench();
    late.step({ kind: "restore", records: stored.map(({ record }) => ({ record, ageSeconds: 1000 })) });
    beginsAnew(late.state);
    t.equal(late.state.list.size, 0);
    late.step({ kind: "begin" });
    t.strictSame(numbers(said(late.wait(0))), [0]);
    for (const record of [{}, { kind: "visitor", key: "a" }, { kind: "visitor", key: 3 }, { kind: "foreign-agent" }])
      late.step({ kind: "restore", records: [{ record, ageSeconds: 0 }] });
    t.equal(late.state.list.size, 0);
    t.end();
  },
);
