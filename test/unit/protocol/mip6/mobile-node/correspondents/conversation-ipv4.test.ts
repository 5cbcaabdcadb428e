/** Both ends of draft-oulai-mext-dsmip-ro-00 speak to each other: every move between networks, a NAT, and a network that does its worst. */
import fc from "fast-check";
import t from "tap";
import { isIpv4 } from "../../../../../../controller/base/ip.js";
import { correspondentViews } from "../../../../../../controller/protocol/mip6/correspondent-node/machine.js";
import type { Whereabouts } from "../../../../../../controller/protocol/mip6/mobile-node/correspondents/inputs.js";
import { SELF } from "../../../../../lib/correspondent-node.js";
import { randomRuns } from "../../../../../lib/random-runs.js";
import { COA, COA2, COA4, HOA4 } from "./node.js";
import { SELF4, Talk, WITH_IPV4 } from "./talk.js";

const AWAY = { kind: "away", careOf: COA, ipv4HomeAddress: HOA4 } as const;
const AWAY4 = { kind: "away", careOf: COA4, ipv4HomeAddress: HOA4 } as const;

/** "family care-of-address mode" of what the correspondent has. */
const bindings = ({ world }: Talk): readonly string[] =>
  [...correspondentViews(world.state, world.now)]
    .filter(({ isOutdated }) => !isOutdated)
    .map(({ family, reach, mode }) => `${family} ${reach.careOf} ${mode ?? "-"}`)
    .sort();
/** The same of what the node sends directly. */
function direct({ node }: Talk): readonly string[] {
  const { path } = node;
  if (path?.stage !== "bound") return [];
  const overIpv4 = path.outer === undefined ? "-" : path.outer.udp ? "ipv4-udp" : "ipv4-encapsulation";
  return [
    ...(path.ipv4 === undefined ? [] : [`ipv4 ${path.careOf} ${path.ipv4.mode}`]),
    ...(path.ipv6 ? [`ipv6 ${path.careOf} ${overIpv4}`] : []),
  ];
}

t.test(
  "RO-1-01 RO-1-02 RO-7.1.2-07 RO-7.2.2-01 RO-8-01: both home addresses, over IPv6, over IPv4, behind a NAT, and home",
  (t) => {
    const talk = new Talk(WITH_IPV4);
    const { node } = talk;
    const agree = (wanted: readonly string[]): void => {
      t.strictSame(direct(talk), wanted, "the node");
      t.strictSame(bindings(talk), wanted, "the correspondent");
    };
    talk.at(AWAY);
    node.demand(SELF).demand(SELF4);
    talk.run();
    agree([`ipv4 ${COA} ipv6-encapsulation`, `ipv6 ${COA} -`]);
    talk.pass(190).run();
    agree([`ipv4 ${COA} ipv6-encapsulation`, `ipv6 ${COA} -`]);
    talk.pass(10).at(AWAY4).run();
    agree([`ipv4 ${COA4} ipv4-encapsulation`, `ipv6 ${COA4} ipv4-encapsulation`]);
    talk.natPort = 40_000;
    talk.live(320);
    agree([`ipv4 ${COA4} ipv4-udp`, `ipv6 ${COA4} ipv4-udp`]);
    talk.natPort = 40_001;
    // The next update that keeps the mapping shows another port, so its token is void: another test.
    talk.live(120);
    agree([`ipv4 ${COA4} ipv4-udp`, `ipv6 ${COA4} ipv4-udp`]);
    t.match(
      [...correspondentViews(talk.world.state, talk.world.now)],
      [{ reach: { observed: { port: 40_001 } } }, { reach: { observed: { port: 40_001 } } }],
    );
    talk
      .pass(10)
      .at({ ...AWAY, careOf: COA2 })
      .run();
    agree([`ipv4 ${COA2} ipv6-encapsulation`, `ipv6 ${COA2} -`]);
    talk.pass(10).at({ kind: "home" }).run();
    agree([]);
    talk.pass(5);
    t.strictSame([node.path, node.state.entries.size, node.state.pairs.size], [undefined, 0, 0]);
    t.notOk(
      talk.statuses.some((status) => status >= 128 && status < 135),
      String(talk.statuses),
    );
    t.end();
  },
);

t.test(
  "RO-7.1.2-10 RO-6.2-02: a correspondent of RFC 6275 alone keeps its IPv6 path, and IPv4 stays with the home agent",
  (t) => {
    const talk = new Talk({ node: WITH_IPV4.node });
    talk.at(AWAY);
    talk.node.demand(SELF).demand(SELF4);
    talk.run();
    t.strictSame([direct(talk), bindings(talk)], [[`ipv6 ${COA} -`], [`ipv6 ${COA} -`]]);
    talk.pass(10).at(AWAY4).run();
    t.strictSame([direct(talk), bindings(talk)], [[], []]);
    t.end();
  },
);

const places: readonly Whereabouts[] = [
  ...[AWAY, { ...AWAY, careOf: COA2 }, AWAY4],
  ...[{ kind: "away", careOf: COA } as const, { kind: "home" } as const, { kind: "between" } as const],
];
const command = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("move" as const), where: fc.nat(places.length - 1) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("demand" as const), four: fc.boolean() }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("pass" as const), seconds: fc.constantFrom(0, 1, 7, 60, 130, 300) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("nat" as const), port: fc.constantFrom(undefined, 40_000, 40_001) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("kernel" as const), takes: fc.boolean() }) },
);

t.test(
  "after any moves, losses and disorder both ends agree again, over what the network lets through, and nothing is left at home",
  (t) => {
    fc.assert(
      fc.property(
        fc.array(command, { maxLength: 40, size: "max" }),
        fc.infiniteStream(fc.nat(99)),
        (commands, chance) => {
          const talk = new Talk(WITH_IPV4);
          const { node, world } = talk;
          const draw = (): number => chance.next().value ?? 0;
          talk.passes = () => draw() < 80;
          talk.next = (count) => draw() % count;
          for (const one of commands) {
            if (one.do === "move") talk.at(places[one.where] ?? AWAY);
            else if (one.do === "demand") node.demand(one.four ? SELF4 : SELF);
            else if (one.do === "pass") talk.pass(one.seconds);
            else if (one.do === "nat") talk.natPort = one.port;
            else world.kernel = one.takes ? "takes" : "refuses";
            talk.run();
            const { path } = node;
            // What is sent directly somebody has acknowledged at the address that the node has.
            if (path?.stage === "bound")
              for (const { binding } of node.state.entries.values())
                if (binding !== undefined && (isIpv4(binding.careOf) ? binding.mode === undefined : false))
                  throw new Error("an address without a mode");
          }
          talk.passes = () => true;
          world.kernel = "takes";
          talk.at({ ...AWAY, careOf: COA2 });
          for (let i = 0; i < 100; i++) {
            talk.pass(50).run();
            node.demand(SELF).demand(SELF4);
            talk.run();
          }
          const wanted = [`ipv4 ${COA2} ipv6-encapsulation`, `ipv6 ${COA2} -`].join();
          if (direct(talk).join() !== wanted || bindings(talk).join() !== wanted)
            throw new Error(`${direct(talk)} at the node, ${bindings(talk)} at the correspondent`);
          talk.at({ kind: "home" }).run();
          for (let i = 0; i < 10; i++) talk.pass(50).run();
          if (node.path !== undefined || node.state.entries.size + node.state.pairs.size > 0)
            throw new Error("left over");
          if (bindings(talk).length > 0) throw new Error(`${bindings(talk)} at the correspondent`);
        },
      ),
      randomRuns(15),
    );
    t.end();
  },
);
