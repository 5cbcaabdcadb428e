/** Multicast at work: whose reports are heard, and who is not served. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { HomeAgentMulticast } from "../../../../controller/daemon/home-agent/multicast/memberships.js";
import type { MulticastPorts, Report } from "../../../../controller/daemon/home-agent/multicast/sockets.js";
import { homeAgentPlanSite } from "../../../../controller/daemon/sites.js";
import type { DataPath, Endpoint } from "../../../../controller/protocol/mip6/inputs.js";
import { encodeIgmp, encodeMld } from "../../../../controller/wire/ip/membership.js";
import { FakeGround } from "../../../fake/service-ground.js";
import { mip6ConfigOf } from "../../../lib/home-agent-config.js";

const HA = ipv6("2001:db8:1::1");
const HOA = ipv6("2001:db8:1::100");
const OTHER = ipv6("2001:db8:1::101");
const HOA4 = ipv4("198.51.100.100");
const GROUP = ipv6("ff0e::1");
const PLAIN: Endpoint = { format: "ipv6", address: ipv6("2001:db8:a::2") };
const IN_UDP: Endpoint = { format: "udp", address: ipv6("2001:db8:a::2"), port: 40000 };

const path = (egress: Endpoint, profile = "default"): DataPath => ({
  ...{ homeAddress: HOA, ipv4HomeAddress: HOA4, egress, ingress: [egress], profile, revision: 1 },
});

function world() {
  const config = mip6ConfigOf({
    role: "home-agent",
    homeAgent: {
      addresses: { ipv6: HA },
      homeLink: { prefixes: ["2001:db8:1::/64"], interface: "home" },
      multicast: {},
    },
    tunnelProfiles: { secret: { protection: "esp" } },
    subscribers: [{ homeAddress: HOA }, { homeAddress: OTHER }],
  });
  const fake = new FakeGround("home-agent", ["home"]);
  let hear = (_report: Report): void => undefined;
  const link: { index: number | undefined } = { index: 7 };
  const joins: string[] = [];
  const ports: MulticastPorts = {
    listen: (receive) => {
      hear = receive;
    },
    send: () => undefined,
    join: (group, index) => void joins.push(`${group} ${index}`),
    leave: () => undefined,
    close: () => undefined,
  };
  const interfaceIndex = (device: string): number => {
    if (device !== "home" || link.index === undefined) throw new Error(`no ${device}`);
    return link.index;
  };
  const names = { ...fake.ground.names, interfaceName: () => "dsmip-in6", interfaceIndex };
  const multicast = new HomeAgentMulticast(config, homeAgentPlanSite(config), { ...fake.ground, names }, ports);
  t.teardown(() => multicast.close());
  multicast.begin();
  const report = async (source = HOA as Report["source"], flowLabel = 0): Promise<string[]> => {
    const bytes =
      source === HOA4
        ? encodeIgmp({ type: "report", version: 2, group: ipv4("233.252.0.1") })
        : encodeMld({ type: "report", version: 1, group: GROUP });
    hear({ bytes, source, flowLabel, interfaceIndex: 1 });
    await fake.settled();
    return fake.drops.splice(0);
  };
  /** Copies in the kernel, and from where reports without a home address are known. */
  const kernel = async (): Promise<string[]> => {
    // As the home agent does at the end of its turn.
    fake.ground.groups.commit();
    await fake.settled();
    return [...fake.kernel.objects.values()].flatMap((object) => {
      if (object.kind === "filter") return [`${object.block} ${object.chain} ${object.outcome.verb}`];
      return object.kind === "nft-element" ? [`${object.set} ${object.key.join(" ")}`] : [];
    });
  };
  return { multicast, link, joins, kernel, report, groups: () => multicast.view().map(({ group }) => group as string) };
}

t.test("a node in ESP or in UDP over IPv6 has no groups, and its reports are counted as such", async (test) => {
  for (const unserved of [path(IN_UDP), path(PLAIN, "secret")]) {
    const { multicast, report, groups } = world();
    multicast.bound(path(PLAIN));
    test.strictSame(await report(), []);
    test.strictSame(await report(HOA4), []);
    test.strictSame(groups().sort(), ["233.252.0.1", GROUP]);
    multicast.bound(unserved);
    test.strictSame(await report(), ["multicast-unserved"]);
    test.strictSame(await report(HOA4), ["multicast-unserved"]);
    test.strictSame(groups(), []);
    multicast.bound(path(PLAIN));
    test.strictSame(await report(), [], "with its next tunnel it is served again");
    test.strictSame(await report(HOA4), []);
    test.equal(groups().length, 2);
    multicast.bound(unserved);
    multicast.unbound(HOA);
    test.strictSame(await report(), ["wrong-source"], "who is not bound is nobody");
    test.strictSame(await report(HOA4), ["wrong-source"]);
  }
});

t.test("a link-local report is of the node whose label it has", async (test) => {
  const { multicast, report, groups } = world();
  multicast.bound(path(PLAIN));
  test.strictSame(await report(ipv6("fe80::1"), 3), ["wrong-source"], "nobody's label");
  test.strictSame(await report(ipv6("fe80::1"), 1), []);
  test.strictSame(groups(), [GROUP]);
});

t.test("groups are joined on whatever link is the home link", async (test) => {
  const { multicast, link, joins, report } = world();
  multicast.bound(path(PLAIN));
  await report();
  await report(HOA4);
  test.strictSame(joins.splice(0), [`${GROUP} 7`, "233.252.0.1 7"]);
  multicast.look();
  link.index = undefined;
  multicast.look();
  test.strictSame(joins, [], "nothing new, or nothing to join on");
  link.index = 8;
  multicast.look();
  multicast.look();
  test.strictSame(joins.splice(0), [`${GROUP} 8`, "233.252.0.1 8"]);
  link.index = 9;
  multicast.look();
  test.strictSame(joins, [`${GROUP} 9`, "233.252.0.1 9"], "gone and there again between two looks");
});

t.test("an address like a link-local one is none", async (test) => {
  const { multicast, report } = world();
  multicast.bound(path(PLAIN));
  test.strictSame(await report(ipv6("fe8::1"), 1), ["wrong-source"]);
});

t.test("a group that a node has joined is copied for it, in the kernel, until the node leaves", async (test) => {
  const { multicast, kernel, report } = world();
  multicast.bound(path(PLAIN));
  const known = `report-ipv6 ${PLAIN.address}`;
  test.strictSame(await kernel(), [known]);
  await report();
  const copies = (await kernel()).filter((one) => one !== known).sort();
  test.strictSame(copies, ["4191 0 copy-in", "4192 0 goto", "4192 1 copy-in", "group-6 33619970", "member-6 1"]);
  test.strictSame(multicast.objectsOf(HOA).length, copies.length + 1, "which is what the operator is shown as wanted");
  multicast.unbound(HOA);
  await report();
  test.strictSame(await kernel(), []);
});

t.test("an endpoint that two nodes share says of neither's report whose it is", async (test) => {
  const { multicast, kernel } = world();
  multicast.bound(path(PLAIN));
  multicast.bound({ ...path(PLAIN), homeAddress: OTHER, ipv4HomeAddress: ipv4("198.51.100.101") });
  test.strictSame(await kernel(), []);
  multicast.unbound(OTHER);
  test.strictSame(await kernel(), [`report-ipv6 ${PLAIN.address}`], "alone again");
});
