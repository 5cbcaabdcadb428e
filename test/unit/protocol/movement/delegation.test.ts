/** Which prefixes a DHCPv6 client was delegated, by what several of them leave in the kernel. */
import t from "tap";
import { formatPrefix, type IpAddress, ipv4, ipv6, parsePrefix } from "../../../../controller/base/ip.js";
import { delegatedPrefixes, MOST_DELEGATED } from "../../../../controller/protocol/movement/delegation.js";
import {
  EMPTY_NETWORK,
  type NetworkAddress,
  type NetworkRoute,
  type NetworkView,
} from "../../../../controller/protocol/movement/network-view.js";

const prefix = (text: string) => {
  const found = parsePrefix(text);
  if (found === undefined) throw new Error(text);
  return found;
};
const NODE = { prefixes: [prefix("2001:db8:5::/48")], interfaces: ["eth0"] };
const [KERNEL, RA, DHCP] = [2, 9, 16];

function address(device: string, text: string, more: Partial<NetworkAddress> = {}): NetworkAddress {
  const [host = "", length = ""] = text.split("/");
  const one: IpAddress = host.includes(":") ? ipv6(host) : ipv4(host);
  const clean = { tentative: false, deprecated: false, temporary: false, ours: false } as const;
  return { device, address: one, prefixLength: Number(length), scope: "global", ...clean, permanent: true, ...more };
}
const learnt = (device: string, text: string): NetworkAddress => {
  const { permanent: _, ...rest } = address(device, text);
  return rest;
};
function route(device: string, destination: string, protocol: number): NetworkRoute {
  return { family: 6, destination: prefix(destination), device, metric: 1024, table: 254, protocol, ours: false };
}
const discarded = (...texts: readonly string[]) =>
  texts.map((text) => ({ destination: prefix(text), metric: 1024, protocol: DHCP as number }));
const link = (name: string, more: Partial<NetworkView["links"][number]> = {}): NetworkView["links"][number] => ({
  ...{ index: 9, name, up: true, running: true, ours: false },
  ...more,
});
const found = (view: Partial<NetworkView>, site: Parameters<typeof delegatedPrefixes>[1] = NODE): readonly string[] =>
  delegatedPrefixes({ ...EMPTY_NETWORK, ...view }, site).map(formatPrefix);

t.test(
  "a route that discards what is not in use is the whole of a prefix, and what is in use is part of it",
  async (t) => {
    const addresses = [address("lan", "2001:db8:d000:11::1/64"), learnt("lan2", "2001:db8:d000:12::1/64")];
    t.strictSame(found({ discarded: discarded("2001:db8:d000:10::/60"), addresses }), ["2001:db8:d000:10::/60"]);
    t.strictSame(found({ discarded: discarded("2001:db8:d001::/56", "2001:db8:d000:10::/60") }), [
      "2001:db8:d000:10::/60",
      "2001:db8:d001::/56",
    ]);
    t.strictSame(
      found({ discarded: discarded("2000::/3", "fc00::/7", "::/0", "fe80::/64", "ff00::/40", "2001:db8::1/128") }),
      [],
    );
    t.strictSame(found({ discarded: discarded("2001:db8:5:10::/60") }), [], "it is registered anyway");
  },
);

t.test("addresses behind the node stand for their networks, where nothing else is left", async (t) => {
  t.strictSame(found({ addresses: [address("lan", "2001:db8:d000:11::1/64")] }), ["2001:db8:d000:11::/64"]);
  const two = [address("lan", "2001:db8:d000:11::1/64"), address("lan", "2001:db8:d000:11::2/64")];
  t.strictSame(found({ addresses: two }), ["2001:db8:d000:11::/64"]);
  const withLifetime = { addresses: [learnt("lan", "2001:db8:d000:11::1/64")] };
  for (const [protocol, count] of [
    [DHCP, 1],
    [RA, 0],
    [KERNEL, 0],
  ] as const)
    t.equal(found({ ...withLifetime, routes: [route("lan", "2001:db8:d000:11::/64", protocol)] }).length, count);
  t.strictSame(found(withLifetime), [], "learnt from a router of that link");
});

t.test("nothing else is one: visited networks, tunnels, hosts' addresses, our own, IPv4", async (t) => {
  const text = "2001:db8:d000:11::1/64";
  t.strictSame(found({ addresses: [address("eth0", text), address("lo", text)] }), []);
  const withDefault = { addresses: [address("wlan0", text)], routes: [route("wlan0", "::/0", RA)] };
  t.strictSame(found(withDefault), ["2001:db8:d000:11::/64"], "the configuration says by which links it attaches");
  t.strictSame(found(withDefault, { prefixes: [] }), [], "and else the default routes");
  t.strictSame(found({ addresses: [address("he", text)], links: [link("he", { tunnel: {} })] }), []);
  t.strictSame(found({ addresses: [address("dsmip-hoa", text)], links: [link("dsmip-hoa", { ours: true })] }), []);
  t.strictSame(
    found({
      addresses: [
        address("lan", "2001:db8:d000:11::1/128"),
        address("lan", "fe80::1/64", { scope: "link" }),
        address("lan", text, { temporary: true }),
        address("lan", text, { ours: true }),
        address("lan", "10.0.0.1/24"),
      ],
    }),
    [],
  );
});

t.test("never more than a request holds, and the same ones in the same order", async (t) => {
  const texts = Array.from(
    { length: 3 * MOST_DELEGATED },
    (_, i) => `2001:db8:d${i.toString(16).padStart(3, "0")}::/48`,
  );
  const all = found({ discarded: discarded(...texts) });
  t.equal(all.length, MOST_DELEGATED);
  t.strictSame(found({ discarded: discarded(...texts.toReversed()) }), all);
});
