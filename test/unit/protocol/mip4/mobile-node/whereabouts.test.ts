/** Which place a node of Mobile IPv4 takes (RFC 5944 §2.4): what the kernel shows of the network, and the agents that are heard there. */
import t from "tap";
import { type Ipv4Address, ipv4, parsePrefix } from "../../../../../controller/base/ip.js";
import { seq16 } from "../../../../../controller/base/seq16.js";
import { type Instant, instant } from "../../../../../controller/base/time.js";
import { Whereabouts, type WhereaboutsSite } from "../../../../../controller/protocol/mip4/mobile-node/whereabouts.js";
import type { NetworkView } from "../../../../../controller/protocol/movement/network-view.js";
import type {
  MobilityAgentAdvertisement,
  RouterAdvertisement,
} from "../../../../../controller/wire/mip4/messages/agent-discovery.js";
import { AgentFlag } from "../../../../../controller/wire/mip4/registry.js";

const HA = ipv4("192.0.2.1");
const HOA = ipv4("192.0.2.10");
const FA = ipv4("198.51.100.1");
const OTHER_FA = ipv4("198.51.100.2");
const COA = ipv4("203.0.113.7");
const MAC = "02:00:5e:10:00:01";
const at = (seconds: number): Instant => instant(1000 * seconds);
const prefix = (text: string) => parsePrefix(text) ?? t.fail(text);
const SITE: WhereaboutsSite = {
  homeAgent: HA,
  homeAddress: HOA,
  homeSubnet: parsePrefix("192.0.2.0/24"),
  foreignAgents: "where-needed",
};

/** Links with an address each, as "eth0 203.0.113.7/24", with a default route through each that has one; "eth0" alone has neither. */
function network(...links: readonly string[]): NetworkView {
  const parts = links.map((text) => text.split(" "));
  const addressed = parts.flatMap(([device = "", text]) => {
    const [address, length] = (text ?? "").split("/");
    return address === undefined || address === "" ? [] : [{ device, address: ipv4(address), length: Number(length) }];
  });
  const clean = { tentative: false, deprecated: false, temporary: false, ours: false, scope: "global" } as const;
  return {
    links: parts.map(([name = ""], i) => ({
      index: i + 1,
      name,
      up: true,
      running: true,
      ours: false,
      carrierChanges: 1,
    })),
    addresses: addressed.map(({ device, address, length }) => ({ device, address, prefixLength: length, ...clean })),
    routes: addressed.map(({ device }, i) => ({
      ...{ family: 4, destination: prefix("0.0.0.0/0"), device, via: ipv4("203.0.113.1") },
      ...{ metric: 100 + i, table: 254, protocol: 3, ours: false },
    })) as NetworkView["routes"],
  };
}

type Flag = keyof MobilityAgentAdvertisement["flags"];
function advertisement(
  flags: readonly Flag[],
  careOf: readonly Ipv4Address[] = [FA],
  sequence = 9,
): RouterAdvertisement {
  const all = Object.fromEntries(Object.keys(AgentFlag).map((key) => [key, flags.includes(key as Flag)]));
  const agent: MobilityAgentAdvertisement = {
    kind: "mobility-agent-advertisement",
    ...{ sequence: seq16(sequence), registrationLifetimeSeconds: 600, careOfAddresses: careOf },
    flags: all as MobilityAgentAdvertisement["flags"],
  };
  return { type: "router-advertisement", code: 0, lifetimeSeconds: 9, routers: [], extensions: [agent] };
}

function at0(site: WhereaboutsSite, ...links: readonly string[]): Whereabouts {
  const where = new Whereabouts(site);
  where.see(network(...links), at(0));
  return where;
}

t.test("home goes before all: by the home agent's advertisement, or by an address of the home subnet", (t) => {
  const where = at0(SITE, "eth0 203.0.113.7/24", "eth1");
  t.match(where.place(at(0)), { kind: "co-located", address: COA });
  where.hear("eth1", HA, advertisement(["homeAgent"], []), at(1), MAC);
  t.strictSame(where.place(at(1)), { kind: "home", device: "eth1" });
  t.match(where.place(at(20)), { kind: "co-located" }, "the home agent has fallen silent");
  where.see(network("eth0 203.0.113.7/24", "eth1 192.0.2.77/24"), at(21));
  t.strictSame(where.place(at(21)), { kind: "home", device: "eth1" });
  const nowhere = at0({ ...SITE, homeSubnet: undefined }, "eth1 192.0.2.77/24");
  t.match(nowhere.place(at(0)), { kind: "co-located" }, "without a subnet that is told an address says nothing");
  t.end();
});

t.test(
  "where another network has the numbers of home, and the home agent does not answer there, the node is away",
  (t) => {
    const where = at0(SITE, "eth0 192.0.2.77/24");
    t.strictSame(where.place(at(0)), { kind: "home", device: "eth0" });
    where.unanswered(3, at(7));
    t.match(where.place(at(7)), { kind: "co-located", address: "192.0.2.77" });
    t.strictSame(where.place(at(18)), { kind: "home", device: "eth0" }, "asked again after a while");
    where.unanswered(3, at(25));
    where.see(network("eth0 192.0.2.77/24"), at(26));
    t.match(where.place(at(26)), { kind: "co-located" });
    t.end();
  },
);

t.test(
  "a care-of address of its own goes before a foreign agent, unless the agent demands to be asked or is preferred",
  (t) => {
    const where = at0(SITE, "eth0 203.0.113.7/24", "eth1");
    where.hear("eth1", FA, advertisement(["foreignAgent"]), at(0), MAC);
    t.strictSame(where.place(at(0)), { kind: "co-located", device: "eth0", address: COA });
    where.hear("eth0", OTHER_FA, advertisement(["foreignAgent", "registrationRequired"], [OTHER_FA]), at(1), MAC);
    t.match(where.place(at(1)), { kind: "co-located", through: { address: OTHER_FA, linkLayerAddress: MAC } });
    const preferring = at0({ ...SITE, foreignAgents: "preferred" }, "eth0 203.0.113.7/24", "eth1");
    preferring.hear("eth1", FA, advertisement(["foreignAgent"]), at(0), MAC);
    t.match(preferring.place(at(0)), { kind: "foreign-agent", device: "eth1", careOfAddress: FA });
    const never = at0({ ...SITE, foreignAgents: "never" }, "eth1");
    never.hear("eth1", FA, advertisement(["foreignAgent"]), at(0), MAC);
    t.equal(never.place(at(0)), undefined);
    t.end();
  },
);

t.test("what is deprecated is a last resort: home, and a care-of address where an agent is heard", (t) => {
  const deprecated = (view: NetworkView, device: string): NetworkView => ({
    ...view,
    addresses: view.addresses.map((one) => (one.device === device ? { ...one, deprecated: true } : one)),
  });
  const both = network("eth0 192.0.2.77/24", "eth1 203.0.113.7/24");
  const where = at0(SITE, "eth0 192.0.2.77/24", "eth1 203.0.113.7/24");
  t.match(where.place(at(0)), { kind: "home" });
  where.see(deprecated(both, "eth0"), at(1));
  t.match(where.place(at(1)), { kind: "co-located", address: COA });
  where.see(deprecated(deprecated(both, "eth0"), "eth1"), at(2));
  t.match(where.place(at(2)), { kind: "home" }, "nothing is better than the other one");
  where.see(deprecated(both, "eth0"), at(3));
  where.place(at(3));
  where.unanswered(3, at(9));
  t.match(where.place(at(9)), { kind: "home" }, "who is not heard is no better");
  const away = at0(SITE, "eth0 203.0.113.7/24", "eth1");
  away.hear("eth1", FA, advertisement(["foreignAgent"]), at(0), MAC);
  t.match(away.place(at(0)), { kind: "co-located" });
  away.see(deprecated(network("eth0 203.0.113.7/24", "eth1"), "eth0"), at(1));
  t.match(away.place(at(1)), { kind: "foreign-agent", device: "eth1" });
  t.end();
});

t.test("an agent that does not answer comes after one that may, and so does an address", (t) => {
  const where = at0(SITE, "eth0");
  where.hear("eth0", FA, advertisement(["foreignAgent"]), at(0), MAC);
  where.hear("eth0", OTHER_FA, advertisement(["foreignAgent"], [OTHER_FA]), at(0), MAC);
  t.match(where.place(at(0)), { agent: { address: FA } });
  where.unanswered(3, at(3));
  t.match(where.place(at(3)), { agent: { address: OTHER_FA } });
  where.answered(at(4));
  t.match(where.place(at(4)), { agent: { address: OTHER_FA } }, "and stays with who answers");
  const both = at0(SITE, "eth0 203.0.113.7/24", "eth1");
  both.hear("eth1", FA, advertisement(["foreignAgent"]), at(0), MAC);
  both.place(at(0));
  both.unanswered(3, at(5));
  t.match(both.place(at(5)), { kind: "foreign-agent" });
  t.end();
});

t.test("an agent goes with its link, its lifetime, and is none on a link that is not to be used", (t) => {
  const where = at0({ ...SITE, interfaces: ["eth0"] }, "eth0", "eth1");
  t.equal(where.hear("eth1", FA, advertisement(["foreignAgent"]), at(0), MAC), "ignored");
  t.equal(where.hear("eth9", FA, advertisement(["foreignAgent"]), at(0), MAC), "ignored");
  where.hear("eth0", FA, advertisement(["foreignAgent"]), at(0), MAC);
  t.match(where.place(at(0)), { kind: "foreign-agent" });
  const flapped = network("eth0", "eth1");
  where.see({ ...flapped, links: flapped.links.map((link) => ({ ...link, carrierChanges: 3 })) }, at(1));
  t.equal(where.place(at(1)), undefined, "the carrier was lost: it may be another network");
  t.end();
});

t.test("agents are solicited thrice where none is heard, and on with longer waits while the node is nowhere", (t) => {
  const where = at0(SITE, "eth0");
  const asked: number[] = [];
  for (let now = 0; now <= 200; now += 1) {
    where.place(at(now));
    if (where.solicitations(at(now), 0.5).length > 0) asked.push(now);
  }
  t.strictSame(asked, [0, 1, 2, 4, 8, 16, 32, 64, 128, 192]);
  const away = at0(SITE, "eth0 203.0.113.7/24");
  const few: number[] = [];
  for (let now = 0; now <= 200; now += 1) {
    away.place(at(now));
    if (away.solicitations(at(now), 0.5).length > 0) few.push(now);
  }
  t.strictSame(few, [0, 1, 2]);
  const heard = at0(SITE, "eth0");
  heard.hear("eth0", FA, advertisement(["foreignAgent"]), at(0), MAC);
  heard.place(at(0));
  t.strictSame(heard.solicitations(at(0), 0.5), []);
  heard.place(at(9));
  t.strictSame(heard.solicitations(at(9), 0.5), ["eth0"], "at once when it has fallen silent");
  t.end();
});
