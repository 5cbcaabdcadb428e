/** Which attachment a mobile node chooses, one rule a test. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import {
  type Attachment,
  type AttachmentMemory,
  careOfCandidates,
  chooseAttachment,
  formatAttachment,
  isHomeLink,
  NO_MEMORY,
} from "../../../../controller/protocol/movement/attachment.js";
import { type AddressWords, network, SITE } from "../mip6/mobile-node/chart.js";

const choice = (
  links: { readonly [device: string]: readonly AddressWords[] },
  options: { interfaces?: string[]; memory?: Partial<AttachmentMemory> } = {},
): string => {
  const { interfaces, memory } = options;
  const site = interfaces === undefined ? SITE : { ...SITE, interfaces };
  return formatAttachment(chooseAttachment(network(links), site, { ...NO_MEMORY, ...memory }));
};

const away = (address: string, device: string): Attachment => ({
  kind: "away",
  careOf: { family: 6, address: ipv6(address), device },
});

const V6 = "2001:db8:a::10/64";
const OTHER_V6 = "2001:db8:b::10/64";
const V4 = "203.0.113.10/24";
const AT_HOME = "2001:db8:1::aaaa/64";

t.test("R5555-4.4.2-14 R5555-4.4-01: home, then an IPv6 care-of address, then an IPv4 one", (t) => {
  t.equal(choice({ eth0: [AT_HOME, "192.0.2.7/24"], eth1: [V6, V4] }), "home on eth0");
  t.equal(choice({ eth0: [V4], eth1: [V6] }), "2001:db8:a::10 on eth1");
  t.equal(choice({ eth0: [V4] }), "203.0.113.10 on eth0");
  t.equal(choice({}), "none");
  t.end();
});

t.test("R5555-4.4.4-03: an IPv4 address within the IPv4 home prefix does not make a link the home link (C-22)", (t) => {
  t.equal(choice({ eth0: ["192.0.2.7/24"] }), "192.0.2.7 on eth0");
  t.end();
});

t.test(
  "the home link is known by an address or by an on-link route, never by our own address or by a host route",
  (t) => {
    const view = network({ eth0: [V6] });
    const route = { family: 6, device: "eth0", metric: 256, table: 254, protocol: 2, ours: false } as const;
    const withRoute = (text: string, more: object = {}): string => {
      const [address = "", length = ""] = text.split("/");
      const destination = { address: address as (typeof view.addresses)[0]["address"], length: Number(length) };
      const routes = [...view.routes, { ...route, destination, ...more }];
      return formatAttachment(chooseAttachment({ ...view, routes }, SITE, NO_MEMORY));
    };
    t.equal(withRoute("2001:db8:1::/64"), "home on eth0");
    t.equal(withRoute("2001:db8:1::100/128"), "2001:db8:a::10 on eth0");
    t.equal(withRoute("2001:db8::/32"), "2001:db8:a::10 on eth0", "a prefix around the home prefix");
    t.equal(withRoute("2001:db8:1::/64", { ours: true }), "2001:db8:a::10 on eth0");
    t.equal(withRoute("2001:db8:1::/64", { via: "fe80::1" }), "2001:db8:a::10 on eth0");
    t.equal(choice({ eth0: ["2001:db8:1::100/128 ours", V6] }), "2001:db8:a::10 on eth0");
    t.equal(choice({ mip0: [AT_HOME], eth0: [V6] }), "2001:db8:a::10 on eth0");
    t.end();
  },
);

t.test(
  "a care-of address is global, finished with duplicate address detection, on a running link, and not ours",
  (t) => {
    t.equal(choice({ eth0: ["fe80::10/64 link", "2001:db8:a::10/64 tentative", V4] }), "203.0.113.10 on eth0");
    t.equal(choice({ eth0: ["fe80::10/64", "169.254.3.3/16", "127.0.0.2/8"] }), "none");
    t.equal(choice({ eth0: ["down", V6] }), "none");
    t.equal(choice({ mip0: [V6], eth0: ["2001:db8:b::20/64 ours"] }), "none");
    t.equal(choice({ eth0: ["192.0.2.100/24"] }), "none", "the IPv4 home address itself");
    t.end();
  },
);

t.test("a care-of address needs a route to the home agent's address of its family on its link", (t) => {
  t.equal(choice({ eth0: [`${V6} noroute`, V4] }), "203.0.113.10 on eth0");
  const { ipv4: _, ...onlyIpv6 } = SITE.homeAgent;
  const site = { ...SITE, homeAgent: onlyIpv6 };
  t.equal(formatAttachment(chooseAttachment(network({ eth0: [V4] }), site, NO_MEMORY)), "none");
  t.equal(choice({ eth0: ["198.51.100.77/24 noroute"] }), "198.51.100.77 on eth0", "an on-link route is one");
  t.end();
});

t.test("a deprecated address is the last resort, also the present one", (t) => {
  const present = away("2001:db8:a::10", "eth0");
  t.equal(choice({ eth0: [`${V6} deprecated`], eth1: [V4] }, { memory: { present } }), "203.0.113.10 on eth1");
  t.equal(choice({ eth0: [`${V6} deprecated`] }, { memory: { present } }), "2001:db8:a::10 on eth0");
  t.equal(choice({ eth0: [`${AT_HOME} deprecated`], eth1: [V6] }), "2001:db8:a::10 on eth1", "a home link too");
  t.equal(choice({ eth0: [`${AT_HOME} deprecated`] }), "home on eth0");
  t.end();
});

t.test(
  "the operator's order of links comes before the metric, and links outside of it carry no care-of address",
  (t) => {
    const links = { eth0: [`${V6} metric=10`], eth1: [`${OTHER_V6} metric=500`], eth2: [V4] };
    t.equal(choice(links), "2001:db8:a::10 on eth0");
    t.equal(choice(links, { interfaces: ["eth1", "eth0"] }), "2001:db8:b::10 on eth1");
    t.equal(choice(links, { interfaces: ["eth2"] }), "203.0.113.10 on eth2");
    t.end();
  },
);

t.test(
  "among equals the present attachment stays, a lower metric wins over it, a stable address over a temporary one",
  (t) => {
    const present = away("2001:db8:b::10", "eth1");
    t.equal(choice({ eth0: [V6], eth1: [OTHER_V6] }), "2001:db8:a::10 on eth0");
    t.equal(choice({ eth0: [V6], eth1: [OTHER_V6] }, { memory: { present } }), "2001:db8:b::10 on eth1");
    t.equal(
      choice({ eth0: [`${V6} metric=100`], eth1: [OTHER_V6] }, { memory: { present } }),
      "2001:db8:a::10 on eth0",
    );
    t.equal(choice({ eth0: [`${V6} temporary`, "2001:db8:a::20/64"] }), "2001:db8:a::20 on eth0");
    t.end();
  },
);

t.test(
  "of a link with several routes to the home agent the lowest metric counts, in whatever order they stand",
  (t) => {
    const view = network({ eth0: [`${V6} metric=100`], eth1: [`${OTHER_V6} metric=50`] });
    const route = view.routes.find(({ device, via }) => device === "eth0" && via !== undefined);
    const metric = (value: number) => ({ ...route, metric: value }) as (typeof view.routes)[0];
    for (const more of [
      [metric(10), metric(200)],
      [metric(200), metric(10)],
    ]) {
      const chosen = chooseAttachment({ ...view, routes: [...view.routes, ...more] }, SITE, NO_MEMORY);
      t.equal(formatAttachment(chosen), "2001:db8:a::10 on eth0");
    }
    t.equal(formatAttachment(chooseAttachment(view, SITE, NO_MEMORY)), "2001:db8:b::10 on eth1");
    t.end();
  },
);

t.test("from where the home agent was not heard comes last, what shares link and family with it just before", (t) => {
  const silent = (text: string, device: string, unanswered = 3) => {
    const address = text.split("/")[0] ?? "";
    const careOf = address.includes(":")
      ? ({ family: 6, address: ipv6(address), device } as const)
      : ({ family: 4, address: ipv4(address), device } as const);
    return { careOf, unanswered };
  };
  const six = [silent(V6, "eth0")];
  t.equal(choice({ eth0: [V6, V4] }, { memory: { silent: six } }), "203.0.113.10 on eth0");
  t.equal(choice({ eth0: [V6, V4], eth1: [OTHER_V6] }, { memory: { silent: six } }), "2001:db8:b::10 on eth1");
  t.equal(choice({ eth0: [V6] }, { memory: { silent: six } }), "2001:db8:a::10 on eth0", "better than nothing");
  t.equal(choice({ eth0: [OTHER_V6, V4] }, { memory: { silent: six } }), "203.0.113.10 on eth0", "the same router");
  t.equal(choice({ eth0: [V6, OTHER_V6] }, { memory: { silent: six } }), "2001:db8:b::10 on eth0");
  t.equal(choice({ eth0: [V6, V4] }, { memory: { silent: [silent(V4, "eth0")] } }), "2001:db8:a::10 on eth0");
  const both = [silent(V6, "eth0", 6), silent(V4, "eth0", 3)];
  t.equal(choice({ eth0: [V6, V4] }, { memory: { silent: both } }), "203.0.113.10 on eth0", "tried less");
  t.equal(
    choice(
      { eth0: [`${V4} metric=1`], eth1: ["192.168.7.7/24 metric=9"] },
      { memory: { silent: [silent(V4, "eth0")] } },
    ),
    "192.168.7.7 on eth1",
    "another uplink of the same family",
  );
  t.end();
});

t.test("what could be chosen, and which links are home", (t) => {
  const view = network({ eth0: [V6, V4], eth1: [V4], eth2: [AT_HOME], eth3: ["down", AT_HOME] });
  t.strictSame(
    careOfCandidates(view, SITE).map(({ address, device }) => `${address} ${device}`),
    ["2001:db8:a::10 eth0", "203.0.113.10 eth0", "203.0.113.10 eth1"],
  );
  t.ok(isHomeLink(view, SITE, "eth2"));
  t.notOk(isHomeLink(view, SITE, "eth0"));
  t.notOk(isHomeLink(view, SITE, "eth3"));
  t.end();
});
