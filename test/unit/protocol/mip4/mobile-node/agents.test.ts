/** The agents that a node hears (RFC 5944 §2.3.2, §2.4), and what a flood of advertisements does: nothing. */
import t from "tap";
import { ipv4, ipv4FromNumber } from "../../../../../controller/base/ip.js";
import { seq16 } from "../../../../../controller/base/seq16.js";
import { type Instant, instant } from "../../../../../controller/base/time.js";
import {
  AgentList,
  placeAt,
  solicitationInterval,
} from "../../../../../controller/protocol/mip4/mobile-node/agents.js";
import type {
  DiscoveryExtension,
  MobilityAgentAdvertisement,
  RouterAdvertisement,
} from "../../../../../controller/wire/mip4/messages/agent-discovery.js";
import { AgentFlag } from "../../../../../controller/wire/mip4/registry.js";

const FA = ipv4("198.51.100.1");
const HA = ipv4("192.0.2.1");
const COA = ipv4("198.51.100.2");
const at = (seconds: number): Instant => instant(1000 * seconds);

type Flag = keyof MobilityAgentAdvertisement["flags"];
interface Said {
  readonly flags?: readonly Flag[];
  readonly sequence?: number;
  readonly lifetimeSeconds?: number;
  readonly registrationLifetimeSeconds?: number;
  readonly careOfAddresses?: readonly ReturnType<typeof ipv4>[];
  readonly besides?: readonly DiscoveryExtension[];
  readonly routers?: readonly ReturnType<typeof ipv4>[];
}

function advertisement(said: Said = {}): RouterAdvertisement {
  const set = said.flags ?? ["foreignAgent"];
  const flags = Object.fromEntries(Object.keys(AgentFlag).map((key) => [key, set.includes(key as Flag)]));
  const agent: MobilityAgentAdvertisement = {
    kind: "mobility-agent-advertisement",
    sequence: seq16(said.sequence ?? 5),
    registrationLifetimeSeconds: said.registrationLifetimeSeconds ?? 1800,
    flags: flags as MobilityAgentAdvertisement["flags"],
    careOfAddresses: said.careOfAddresses ?? [COA],
  };
  const extensions = [agent, ...(said.besides ?? [])];
  const routers = (said.routers ?? []).map((address) => ({ address, preference: 0 }));
  return { type: "router-advertisement", code: 0, lifetimeSeconds: said.lifetimeSeconds ?? 9, routers, extensions };
}

t.test("an agent is known from its first advertisement until its lifetime is over", (t) => {
  const list = new AgentList();
  t.equal(list.hear("eth0", FA, advertisement(), at(0)), "new");
  t.equal(list.nextDeadline, at(9));
  t.equal(list.hear("eth0", FA, advertisement({ sequence: 6 }), at(3)), "known");
  t.strictSame(list.expire(at(11)), []);
  t.match(list.expire(at(12)), [{ address: FA, device: "eth0", sequence: 6 }]);
  t.equal(list.size, 0);
  list.hear("eth0", FA, advertisement(), at(20));
  t.equal(list.hear("eth0", FA, advertisement({ lifetimeSeconds: 0 }), at(21)), "gone");
  t.equal(list.hear("eth0", FA, advertisement({ lifetimeSeconds: 0 }), at(21)), "ignored");
  list.hear("eth0", FA, advertisement(), at(20));
  list.hear("eth1", FA, advertisement(), at(20));
  list.forget("eth0");
  t.match(list.agents(), [{ device: "eth1" }], "the same address on another link is another agent");
  t.equal(list.get("eth1", FA)?.sequence, 5);
  t.end();
});

t.test("a restart is told from a rollover by its sequence number", (t) => {
  const pairs: readonly (readonly [number, number, string])[] = [
    [5, 6, "known"],
    [5, 0, "restarted"],
    [0xffff, 256, "known"],
    [0xffff, 255, "restarted"],
    [300, 257, "known"],
    [300, 20, "restarted"],
    [7, 7, "known"],
  ];
  for (const [first, second, wanted] of pairs) {
    const list = new AgentList();
    list.hear("eth0", FA, advertisement({ sequence: first }), at(0));
    t.equal(list.hear("eth0", FA, advertisement({ sequence: second }), at(1)), wanted, `${first}, ${second}`);
  }
  t.end();
});

t.test("what can't be is ignored", (t) => {
  const list = new AgentList();
  const cases: readonly Said[] = [
    { flags: [] },
    { careOfAddresses: [] },
    { careOfAddresses: [ipv4("0.0.0.0"), ipv4("224.0.0.1")] },
    { flags: ["homeAgent", "busy"] },
    { flags: ["homeAgent", "registrationRequired"] },
  ];
  for (const said of cases) t.equal(list.hear("eth0", FA, advertisement(said), at(0)), "ignored", JSON.stringify(said));
  t.equal(list.hear("eth0", ipv4("0.0.0.0"), advertisement(), at(0)), "ignored");
  const router: RouterAdvertisement = { ...advertisement(), extensions: [] };
  t.equal(list.hear("eth0", FA, router, at(0)), "ignored", "a router that is no agent");
  t.equal(list.hear("eth0", FA, advertisement({ flags: ["homeAgent"], careOfAddresses: [] }), at(0)), "new");
  t.end();
});

t.test("a flood of advertisements takes bounded memory and not the agent that is there", (t) => {
  const list = new AgentList();
  const many = Array.from({ length: 62 }, (_, i) => ipv4FromNumber(0xc6336500 + i));
  list.hear("eth0", FA, advertisement(), at(0));
  for (let i = 0; i < 10_000; i++)
    list.hear("eth0", ipv4FromNumber(0x0a000001 + i), advertisement({ careOfAddresses: many }), at(1));
  t.ok(list.size <= 32, `${list.size} agents`);
  t.ok(list.agents().every(({ careOfAddresses }) => careOfAddresses.length <= 8));
  t.equal(list.hear("eth0", FA, advertisement({ sequence: 6 }), at(2)), "known");
  list.expire(at(10.5));
  t.equal(list.size, 1);
  t.end();
});

t.test("what a place at an agent is", (t) => {
  const list = new AgentList();
  const heard = (said: Said, source = FA) => {
    list.hear("eth0", source, advertisement(said), at(0));
    const agent = list.get("eth0", source);
    if (agent === undefined) throw new Error("not heard");
    return agent;
  };
  const visitor = { registered: false };
  const challenge = { kind: "challenge", challenge: Uint8Array.of(1, 2) } as const;
  t.match(placeAt(heard({ flags: ["foreignAgent", "gre", "reverseTunnelling"], besides: [challenge] }), HA, visitor), {
    kind: "foreign-agent",
    device: "eth0",
    careOfAddress: COA,
    agent: {
      address: FA,
      registrationLifetimeSeconds: 1800,
      gre: true,
      reverseTunnelling: true,
      challenge: Uint8Array.of(1, 2),
    },
  });
  t.match(placeAt(heard({ careOfAddresses: [ipv4("0.0.0.0"), COA] }), HA, visitor), { careOfAddress: COA });
  const busy = heard({ flags: ["foreignAgent", "busy"] });
  t.equal(placeAt(busy, HA, visitor), undefined);
  t.match(placeAt(busy, HA, { registered: true }), { kind: "foreign-agent" }, "whom it has it keeps");
  t.equal(placeAt(heard({ registrationLifetimeSeconds: 0 }), HA, visitor), undefined);
  const own = ipv4("198.51.100.77");
  t.strictSame(placeAt(heard({}), HA, { own, registered: false }), {
    kind: "co-located",
    device: "eth0",
    address: own,
  });
  t.match(placeAt(heard({ flags: ["foreignAgent", "registrationRequired"] }), HA, { own, registered: false }), {
    kind: "co-located",
    address: own,
    through: { address: FA },
  });
  const home = heard({ flags: ["homeAgent", "foreignAgent"] }, HA);
  t.strictSame(placeAt(home, HA, { own, registered: false }), { kind: "home", device: "eth0" });
  const other = heard({ flags: ["homeAgent"], careOfAddresses: [] }, ipv4("198.51.100.9"));
  t.equal(placeAt(other, HA, visitor), undefined, "somebody else's home agent");
  t.equal(placeAt(heard({}, HA), HA, visitor)?.kind, "foreign-agent", "without H it is no home");
  const besideIt = { flags: ["homeAgent"], careOfAddresses: [] } as const;
  const known = heard({ ...besideIt, routers: [ipv4("198.51.100.9"), HA] }, ipv4("198.51.100.9"));
  t.strictSame(placeAt(known, HA, visitor), { kind: "home", device: "eth0" }, "ours, which has two addresses");
  const many = Array.from({ length: 60 }, (_, i) => ipv4FromNumber(0xc6336500 + i));
  t.equal(heard({ ...besideIt, routers: many }, ipv4("198.51.100.9")).routers.length, 8, "and not any number");
  t.end();
});

t.test("solicitations: three a second apart, then doubling up to a minute and more", (t) => {
  const intervals = [1, 2, 3, 4, 5, 6, 7, 8, 9, 100].map((sent) => Number(solicitationInterval(sent)));
  t.strictSame(intervals, [1, 1, 2, 4, 8, 16, 32, 64, 64, 64]);
  t.end();
});
