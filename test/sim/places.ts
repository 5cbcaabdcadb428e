/** The access networks of the scenarios: each of the four kinds, with addresses that a node gets there. */
import { ipv4, ipv6 } from "../../controller/base/ip.js";
import { type Access, access, Nat, type Plug } from "./network.js";

export type PlaceName = "home" | "ipv6" | "ipv4" | "nat";
export const PLACES: readonly PlaceName[] = ["home", "ipv6", "ipv4", "nat"];

/** How payload looks from there. */
export const FORMATS = { home: "home-link", ipv6: "ipv6", ipv4: "ipv4", nat: "udp" } as const;

export class World {
  readonly nat = new Nat(ipv4("198.51.100.200"));
  readonly networks: Readonly<Record<PlaceName, Access>>;

  /** One-way delays in milliseconds: home, ipv6, ipv4, nat. */
  constructor([home = 1, ipv6Delay = 10, ipv4Delay = 15, natDelay = 20]: readonly number[] = []) {
    this.networks = {
      home: access("home", { home: true, latencyMs: home }),
      ipv6: access("ipv6", { latencyMs: ipv6Delay }),
      ipv4: access("ipv4", { latencyMs: ipv4Delay }),
      nat: access("nat", { latencyMs: natDelay, nat: this.nat }),
    };
  }

  /** A node's link to one of the networks; `host` makes the addresses differ among nodes. */
  plug(place: PlaceName, host = 10): Plug {
    const network = this.networks[place];
    switch (place) {
      case "home":
        return { access: network };
      case "ipv6":
        return { access: network, ipv6: ipv6(`2001:db8:a::${host.toString(16)}`) };
      case "ipv4":
        return { access: network, ipv4: ipv4(`203.0.113.${host}`) };
      case "nat":
        return { access: network, ipv4: ipv4(`10.0.0.${host}`) };
    }
  }

  /** The same weather in all networks. */
  weather(loss: number, duplication: number, jitterMs: number): void {
    for (const network of Object.values(this.networks)) Object.assign(network.weather, { loss, duplication, jitterMs });
  }
}
