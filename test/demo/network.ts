/**
 * Attaching a mobile node somewhere and detaching it. Plugging in makes a fresh veth pair between the node and the network and gives
 * the node what DHCP or router advertisements would; unplugging deletes the pair. No part of it speaks to dsmipd.
 */
import type { IpAddress } from "../../controller/base/ip.js";
import { ipv4, ipv6 } from "../../controller/base/ip.js";
import { ipBatch } from "./commands.js";
import type { MachineName, MobileNode, Topology } from "./topology.js";

export type NetworkName = "home" | "ipv6" | "ipv4" | "nat" | "agent" | "ipv6-2";

interface Network {
  readonly title: string;
  /** The machine and the bridge in it. */
  readonly machine: MachineName;
  readonly bridge: string;
  /** Mobile nodes prefer a lower one without being asked (RFC 5555 §4.4.1; foreignAgents: where-needed). */
  readonly rank: number;
  readonly subnets: readonly Subnet[];
}

interface Subnet {
  readonly address: (node: MobileNode) => IpAddress;
  readonly length: number;
  readonly gateway: string;
}

/** Addresses at home differ from the home addresses: those belong to dsmipd. */
export const NETWORKS: Readonly<Record<NetworkName, Network>> = {
  home: {
    title: "home",
    machine: "switch",
    bridge: "home",
    rank: 0,
    subnets: [
      { address: ({ number }) => ipv6(`2001:db8:1::100${number}`), length: 64, gateway: "2001:db8:1::1" },
      { address: ({ number }) => ipv4(`198.51.100.20${number}`), length: 24, gateway: "198.51.100.1" },
    ],
  },
  ipv6: {
    title: "IPv6 only",
    machine: "core",
    bridge: "six",
    rank: 1,
    subnets: [{ address: ({ number }) => ipv6(`2001:db8:a::10${number}`), length: 64, gateway: "2001:db8:a::1" }],
  },
  ipv4: {
    title: "public IPv4",
    machine: "core",
    bridge: "four",
    rank: 2,
    subnets: [{ address: ({ number }) => ipv4(`192.0.2.7${number}`), length: 26, gateway: "192.0.2.65" }],
  },
  nat: {
    title: "IPv4 behind a NAT",
    machine: "nat",
    bridge: "lan",
    rank: 2,
    subnets: [{ address: ({ number }) => ipv4(`10.0.0.1${number}`), length: 24, gateway: "10.0.0.1" }],
  },
  agent: {
    title: "foreign agent",
    machine: "agent",
    bridge: "visited",
    rank: 3,
    subnets: [], // nobody is given an address there
  },
  "ipv6-2": {
    title: "another IPv6 network",
    machine: "core",
    bridge: "six2",
    rank: 1,
    subnets: [{ address: ({ number }) => ipv6(`2001:db8:b::10${number}`), length: 64, gateway: "2001:db8:b::1" }],
  },
};

export interface Attached {
  readonly node: MobileNode;
  readonly network: NetworkName;
  /** The node's end of the cable. */
  readonly device: string;
  /** The network's end. */
  readonly port: string;
  readonly addresses: readonly IpAddress[];
}

/** Plugs never reuse a device name or a route metric: a second uplink has its default route beside the first one's. */
let plugs = 0;
const FIRST_METRIC = 1000;

export async function plug(topology: Topology, node: MobileNode, network: NetworkName): Promise<Attached> {
  const { machine, bridge, subnets } = NETWORKS[network];
  const number = ++plugs;
  const device = `${network}${number}`;
  const port = `${node.name}-${number}`;
  const addresses = subnets.map(({ address }) => address(node));
  await ipBatch(topology.name(machine), [
    `link add name ${port} type veth peer name ${device} netns ${topology.name(node.name)}`,
    `link set ${port} master ${bridge} up`,
  ]);
  const metric = FIRST_METRIC + number;
  await ipBatch(topology.name(node.name), [
    `link set ${device} up`,
    ...subnets.flatMap((subnet) => [
      `addr add ${withLength(subnet, node)} dev ${device}`,
      `route add default via ${subnet.gateway} dev ${device} metric ${metric}`,
    ]),
  ]);
  return { node, network, device, port, addresses };
}

/** The network says that it is going away: its addresses stay valid and are not preferred any more. */
export async function deprecate(topology: Topology, { node, network, device }: Attached): Promise<void> {
  const lines = NETWORKS[network].subnets.map(
    (subnet) => `addr change ${withLength(subnet, node)} dev ${device} valid_lft forever preferred_lft 0`,
  );
  await ipBatch(topology.name(node.name), lines);
}

export async function unplug(topology: Topology, { network, port }: Attached): Promise<void> {
  await ipBatch(topology.name(NETWORKS[network].machine), [`link del ${port}`]);
}

/** Whether a node that has both moves to `to` without being told that `from` is going away. */
export function preferred(from: NetworkName, to: NetworkName): boolean {
  return NETWORKS[to].rank < NETWORKS[from].rank;
}

function withLength({ address, length }: Subnet, node: MobileNode): string {
  return `${address(node)}/${length}`;
}
