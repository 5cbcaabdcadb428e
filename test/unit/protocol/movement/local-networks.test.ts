/** Which networks stay out of the tunnel, read from the machine's own routes. */
import t from "tap";
import { formatPrefix, type IpAddress } from "../../../../controller/base/ip.js";
import { type LocalNetwork, localNetworks } from "../../../../controller/protocol/movement/local-networks.js";
import type { NetworkRoute, NetworkView } from "../../../../controller/protocol/movement/network-view.js";
import { network, prefix, SITE } from "../mip6/mobile-node/chart.js";

const WIFI = ["2001:db8:a::10/64", "203.0.113.10/24"];
const CONTAINERS = ["172.17.0.1/16 noroute", "fd00:17::1/64 noroute"];

const onLink = (destination: string, device: string, more: Partial<NetworkRoute> = {}): NetworkRoute => {
  const target = prefix(destination);
  const family = destination.includes(":") ? 6 : 4;
  return { family, destination: target, device, metric: 0, table: 254, protocol: 2, ours: false, ...more };
};
/** As the kernel has it: a route for each address's network. */
function seen(links: { readonly [device: string]: readonly string[] }, ...more: NetworkRoute[]): NetworkView {
  const view = network(links);
  return { ...view, routes: [...view.routes, ...more] };
}
const TABLE = [onLink("172.17.0.0/16", "br9"), onLink("fd00:17::/64", "br9"), onLink("fe80::/64", "br9")];
const lines = (networks: readonly LocalNetwork[]): string[] =>
  networks.map(({ destination, device, gateway, source }) =>
    [
      formatPrefix(destination),
      ...(gateway === undefined ? [] : [`via ${gateway}`]),
      `dev ${device}`,
      ...(source === undefined ? [] : [`src ${source}`]),
    ].join(" "),
  );
const given = (view: NetworkView, changes: Partial<typeof SITE> = {}, busy: readonly string[] = []) => {
  const { own, visited } = localNetworks(view, { ...SITE, ...changes }, busy);
  return { own: lines(own), visited: lines(visited) };
};
const OWN = ["172.17.0.0/16 dev br9 src 172.17.0.1", "fd00:17::/64 dev br9 src fd00:17::1"];

t.test(
  "networks of links that are no uplink are local in both families, with their own source; an uplink's are not",
  (t) => {
    const view = seen({ eth0: WIFI, br9: CONTAINERS }, ...TABLE);
    t.strictSame(given(view), { own: OWN, visited: [] });
    t.strictSame(given(view, { localNetworks: "none" }), { own: [], visited: [] });
    t.strictSame(given(view, { localNetworks: "own-and-visited" }), {
      own: OWN,
      visited: ["2001:db8:a::/64 dev eth0 src 2001:db8:a::10", "203.0.113.0/24 dev eth0 src 203.0.113.10"],
    });
    t.strictSame(given(view, {}, ["br9"]).own, [], "a link that carries the tunnel is an uplink, chosen or not");
    t.strictSame(given(view, { interfaces: ["br9"] }).own, [
      "2001:db8:a::/64 dev eth0 src 2001:db8:a::10",
      "203.0.113.0/24 dev eth0 src 203.0.113.10",
    ]);
    t.end();
  },
);

t.test("default routes in disguise, the home agent's network, down links and our own are no local networks", (t) => {
  const tun = [onLink("0.0.0.0/1", "tun0"), onLink("128.0.0.0/1", "tun0"), onLink("2000::/3", "tun0")];
  const view = seen(
    { eth0: WIFI, tun0: ["10.8.0.2/24 noroute"], mip0: ["10.9.0.1/24"] },
    ...tun,
    onLink("10.8.0.0/24", "tun0"),
    onLink("10.20.0.0/16", "tun0", { via: "10.8.0.1" as IpAddress }),
    onLink("198.51.100.0/24", "tun0"),
    onLink("2001:db8:1::/64", "tun0"),
    onLink("2001:db8::/32", "tun0"),
  );
  t.strictSame(given(view, {}, ["eth0"]).own, []);
  const others = view.routes.filter(({ destination }) => formatPrefix(destination) !== "2001:db8:1::/64");
  // 198.51.100.0/24 holds the home agent, which makes an uplink of what has an address; so the tunnel has none here.
  const without = { ...view, routes: others, addresses: view.addresses.filter(({ device }) => device !== "tun0") };
  t.strictSame(given(without).own, ["10.8.0.0/24 dev tun0"]);
  const wide = { ...without, routes: [...without.routes, onLink("10.0.0.0/8", "tun0"), onLink("fc00::/7", "tun0")] };
  t.strictSame(given(wide).own, ["10.0.0.0/8 dev tun0", "10.8.0.0/24 dev tun0", "fc00::/7 dev tun0"]);
  const wider = { ...without, routes: [...without.routes, onLink("10.0.0.0/7", "tun0"), onLink("fc00::/6", "tun0")] };
  t.strictSame(given(wider).own, ["10.8.0.0/24 dev tun0"], "wider than any network that somebody has");
  const down = { ...without, links: without.links.map((link) => ({ ...link, up: link.name !== "tun0" })) };
  t.strictSame(given(down).own, []);
  t.end();
});

t.test(
  "a visited network of the home network's numbers, and the home link's, go through the tunnel all the same",
  (t) => {
    const site = { localNetworks: "own-and-visited" } as const;
    t.strictSame(given(seen({ eth0: ["192.0.2.7/24"] }), site).visited, []);
    t.strictSame(given(seen({ eth0: ["2001:db8:1::aa/64", "10.1.0.7/24"] }), site), { own: [], visited: [] });
    t.end();
  },
);

t.test("what is excluded goes as the main table's routes do: those within it, and the narrowest around it", (t) => {
  const view = seen(
    { eth0: ["203.0.113.10/24 noroute", "2001:db8:a::10/64 noroute"], eth1: ["10.1.0.10/24 noroute metric=5"] },
    onLink("0.0.0.0/0", "eth0", { via: "203.0.113.1" as IpAddress, metric: 100 }),
    onLink("0.0.0.0/0", "eth1", { via: "10.1.0.1" as IpAddress, metric: 50 }),
    onLink("::/0", "eth0", { via: "fe80::1" as IpAddress }),
    onLink("100.64.7.0/24", "eth0", { via: "203.0.113.7" as IpAddress }),
    onLink("100.64.7.0/24", "eth1", { metric: 9 }),
  );
  const exclude = [prefix("100.64.0.0/10"), prefix("2001:db8:77::/48")];
  t.strictSame(given(view, { exclude, localNetworks: "none" }).visited, [
    "100.64.0.0/10 via 10.1.0.1 dev eth1 src 10.1.0.10",
    "100.64.7.0/24 via 203.0.113.7 dev eth0 src 203.0.113.10",
    "2001:db8:77::/48 via fe80::1 dev eth0 src 2001:db8:a::10",
  ]);
  t.strictSame(given(seen({}), { exclude }).visited, [], "no way, no exception");
  t.end();
});

t.test("the source is one that the kernel takes: of the device, of that network, finished, lasting", (t) => {
  const addresses = [
    "fd00:17::5/64 noroute tentative",
    "fd00:17::4/64 noroute deprecated",
    "fd00:17::3/64 noroute temporary",
    "fd00:17::2/64 noroute",
    "fd00:18::1/64 noroute",
    "fe80::1/64 link noroute",
  ];
  const source = (list: readonly string[]) => given(seen({ br9: list }, onLink("fd00:17::/64", "br9"))).own[0];
  t.match(source(addresses), "src fd00:17::2");
  t.match(source(addresses.slice(0, 3)), "src fd00:17::3");
  t.match(source(addresses.slice(0, 2)), "src fd00:17::4");
  t.equal(source(addresses.slice(0, 1)), "fd00:17::/64 dev br9");
  t.match(source(addresses.slice(4)), "src fd00:18::1");
  t.end();
});
