/** Tunnels over the home address are no uplinks, whatever their metric; those of which nobody knows it only where they are alone. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import {
  chooseAttachment,
  formatAttachment,
  NO_MEMORY,
  uplinkDevices,
} from "../../../../controller/protocol/movement/attachment.js";
import type { NetworkLink, NetworkView } from "../../../../controller/protocol/movement/network-view.js";
import { throughUs } from "../../../../controller/protocol/movement/recursion.js";
import { HOME_ADDRESS, IPV4_HOME_ADDRESS, network, SITE } from "../mip6/mobile-node/chart.js";

const WIFI = ["203.0.113.10/24 metric=1000", "2001:db8:a::10/64 metric=1000"];
const VPN = ["10.8.0.2/24 metric=1", "fd00:8::2/64 metric=1"];
const HOMES = [HOME_ADDRESS, IPV4_HOME_ADDRESS];

/** With what the kernel says of some links beside. */
function seen(
  links: Parameters<typeof network>[0],
  more: { readonly [device: string]: Partial<NetworkLink> },
): NetworkView {
  const view = network(links);
  return { ...view, links: view.links.map((link) => ({ ...link, ...more[link.name] })) };
}
const choice = (view: NetworkView, interfaces?: string[]): string =>
  formatAttachment(chooseAttachment(view, interfaces === undefined ? SITE : { ...SITE, interfaces }, NO_MEMORY));

t.test("a tunnel from a home address, or over such a tunnel, is none, in either family", (t) => {
  for (const local of HOMES) {
    const view = seen({ vpn0: VPN, wlan0: WIFI }, { vpn0: { kind: "ipip", tunnel: { local } } });
    t.equal(choice(view), "2001:db8:a::10 on wlan0");
    t.equal(choice(seen({ vpn0: VPN }, { vpn0: { kind: "gre", tunnel: { local } } })), "none");
    t.strictSame([...uplinkDevices(view, SITE)], ["wlan0"]);
  }
  const nested = seen(
    { vpn0: VPN, vpn1: ["10.9.0.2/24 metric=1"], wlan0: WIFI },
    {
      vpn0: { kind: "ipip", tunnel: { local: IPV4_HOME_ADDRESS } },
      vpn1: { kind: "gre", tunnel: { local: ipv4("10.8.0.2") } },
    },
  );
  t.equal(throughUs(nested, "vpn1", HOMES), "yes");
  const stacked = seen(
    { tap0: VPN, vlan5: ["10.9.0.2/24"], wlan0: WIFI },
    { tap0: { index: 77, kind: "gretap", tunnel: { local: IPV4_HOME_ADDRESS } }, vlan5: { kind: "vlan", lower: 77 } },
  );
  t.equal(throughUs(stacked, "vlan5", HOMES), "yes");
  t.end();
});

t.test("a tunnel from a care-of address, or bound to an uplink, is an uplink like any other", (t) => {
  const links = { vpn0: VPN, wlan0: WIFI };
  t.equal(choice(seen(links, { vpn0: { kind: "sit", tunnel: { local: ipv4("203.0.113.10") } } })), "fd00:8::2 on vpn0");
  t.equal(
    choice(seen(links, { vpn0: { kind: "ip6tnl", tunnel: { local: ipv6("2001:db8:a::10") } } })),
    "fd00:8::2 on vpn0",
  );
  const bound = network(links).links.find(({ name }) => name === "wlan0")?.index ?? 0;
  t.equal(choice(seen(links, { vpn0: { kind: "gre", tunnel: {}, lower: bound } })), "fd00:8::2 on vpn0");
  t.end();
});

t.test(
  "where nobody says from which address a tunnel leaves it is none where something could carry it, but for one that is named",
  (t) => {
    for (const vpn0 of [{ kind: "wireguard" }, { kind: "tun" }, { kind: "ipip", tunnel: {} }]) {
      t.equal(choice(seen({ vpn0: VPN, wlan0: WIFI }, { vpn0 })), "2001:db8:a::10 on wlan0");
      t.equal(choice(seen({ vpn0: VPN, wlan0: ["down"] }, { vpn0 })), "none", "an uplink that is down carried it");
      t.equal(choice(seen({ vpn0: VPN, wlan0: ["fe80::10/64 link"] }, { vpn0 })), "none");
      t.equal(choice(seen({ lo: ["127.0.0.1/8"], vpn0: VPN, mip0: [] }, { vpn0 })), "fd00:8::2 on vpn0", "alone");
      const tunl0 = { kind: "ipip", tunnel: {} };
      t.equal(
        choice(seen({ tunl0: ["down"], vpn0: VPN }, { vpn0, tunl0 })),
        "fd00:8::2 on vpn0",
        "nothing to carry it",
      );
      t.equal(choice(seen({ vpn0: VPN, wlan0: WIFI }, { vpn0 }), ["vpn0", "wlan0"]), "fd00:8::2 on vpn0");
      t.strictSame([...uplinkDevices(seen({ vpn0: VPN, wlan0: WIFI }, { vpn0 }), SITE)], ["wlan0"]);
    }
    const silent = [
      { careOf: { family: 6, address: ipv6("2001:db8:a::10"), device: "wlan0" }, unanswered: 3 } as const,
    ];
    const view = seen({ vpn0: VPN, wlan0: ["2001:db8:a::10/64"] }, { vpn0: { kind: "tun" } });
    const chosen = formatAttachment(chooseAttachment(view, SITE, { ...NO_MEMORY, silent }));
    t.equal(chosen, "2001:db8:a::10 on wlan0", "nor when the uplink is silent: what would carry it then?");
    t.end();
  },
);

t.test(
  "a link of which the kernel says nothing, or which lies on one, leads through nobody as far as is known",
  (t) => {
    t.equal(throughUs(network({ wlan0: WIFI }), "gone0", HOMES), "no");
    const over = seen({ vlan5: VPN, wlan0: WIFI }, { vlan5: { kind: "vlan", lower: 4242 } });
    t.equal(throughUs(over, "vlan5", HOMES), "no");
    t.equal(choice(over), "fd00:8::2 on vlan5");
    t.end();
  },
);
