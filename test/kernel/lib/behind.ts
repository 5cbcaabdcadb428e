/** The networks behind mobile routers in a scene: a cable from each router to a host that knows nothing of mobility. */
import { type IpAddress, ipv4, ipv6, type Prefix, parsePrefix } from "../../../controller/base/ip.js";
import type { PayloadFamily } from "./scene.js";
import { Station } from "./station.js";
import type { Node, Topology } from "./topology.js";

/** Lengths that are whole octets and such that are none: the firewall masks them. */
const LENGTHS = [
  { six: 60, four: 27 },
  { six: 64, four: 24 },
] as const;

/** All of them; what the internet has a route for. */
export const AGGREGATES = { six: "2001:db8:100::/40", four: "10.100.0.0/14" } as const;

export interface Behind {
  readonly host: Node;
  readonly prefixes: Readonly<Record<PayloadFamily, Prefix>>;
  readonly stations: Readonly<Record<PayloadFamily, Station>>;
  /** In the same octets, and outside of the prefixes. */
  readonly beside: Readonly<Record<PayloadFamily, IpAddress>>;
}

export const prefixesOf = (number: number): readonly string[] => {
  const { six, four } = LENGTHS[(number - 1) % LENGTHS.length] as (typeof LENGTHS)[number];
  return [`2001:db8:10${number}::/${six}`, `10.10${number}.0.0/${four}`];
};

/** The host's cable, its addresses and its routes; before the topology is built. `at`: router `number`. */
export function hostBehind(net: Topology, router: Node, number: number): Node {
  const host = net.node(`host${number}`);
  net.link(
    router.port("inside", `2001:db8:10${number}::1/64`, `10.10${number}.0.1/27`),
    host.port("eth0", `2001:db8:10${number}::2/64`, `10.10${number}.0.2/27`),
  );
  host.route(`default via 10.10${number}.0.1`).route(`::/0 via 2001:db8:10${number}::1`);
  return host;
}

/** What the home agent's operator has for a router that is at home: behind what dsmipd makes while it is away. */
export function routesAtHome(homeAgent: Node, number: number): void {
  const [six, four] = prefixesOf(number);
  homeAgent
    .route(`${six} via 2001:db8:1::10${number} dev home`)
    .route(`${four} via 198.51.100.10${number} dev home metric 100`);
}

/** When the namespaces are there. */
export function behind(host: Node, number: number): Behind {
  const [six, four] = prefixesOf(number).map((text) => parsePrefix(text) as Prefix) as [Prefix, Prefix];
  return {
    host,
    prefixes: { 6: six, 4: four },
    stations: {
      6: new Station(host, ipv6(`2001:db8:10${number}::2`)),
      4: new Station(host, ipv4(`10.10${number}.0.2`)),
    },
    beside: { 6: ipv6(`2001:db8:10${number}:10::2`), 4: ipv4(`10.10${number}.1.2`) },
  };
}
