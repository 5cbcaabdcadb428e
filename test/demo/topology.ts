/**
 * The demonstration's little internet, a namespace for each machine:
 *
 *     cn ── core ──wan── ha ──home── switch      home network 2001:db8:1::/64, 198.51.100.0/24
 *            ├── bridge "six"                    IPv6-only access 2001:db8:a::/64
 *            ├── bridge "six2"                   another one, 2001:db8:b::/64
 *            ├── bridge "four"                   public IPv4 access 192.0.2.64/26
 *            ├──wan── nat ── bridge "lan"        private IPv4 access 10.0.0.0/24 behind 192.0.2.130
 *            └──wan── agent ── bridge "visited"  with Mobile IPv4: the link of a foreign agent, care-of address 192.0.2.194
 *
 * Mobile nodes mn1 and mn2 are plugged into the bridges by network.ts. Nothing here belongs to dsmipd.
 */
import { ipv4, ipv6 } from "../../controller/base/ip.js";
import { runAsync } from "../kernel/lib/command.js";
import { inNamespace, ipBatch, namespacePath } from "./commands.js";

export const HOME_AGENT = { ipv6: ipv6("2001:db8:1::1"), ipv4: ipv4("203.0.113.1") } as const;
export const HOME_PREFIXES = ["2001:db8:1::/64", "198.51.100.0/24"] as const;
export const CORRESPONDENT = { ipv6: ipv6("2001:db8:c::2"), ipv4: ipv4("192.0.2.2") } as const;
/** Of the same machine in the scene of route optimisation: to this address nobody's route is optimised. */
export const CORRESPONDENT_BESIDE = ipv6("2001:db8:c::3");
/** The public side of the NAT, which every node behind it has as its address. */
export const NAT_ADDRESS = ipv4("192.0.2.130");
/** Where tunnels to nodes at the foreign agent end, and its address on their link. */
export const FOREIGN_AGENT = { careOfAddress: ipv4("192.0.2.194"), link: "10.9.0.1/24" } as const;

export const NODES = [
  { name: "mn1", number: 1, homeAddress: ipv6("2001:db8:1::101"), ipv4HomeAddress: ipv4("198.51.100.101") },
  { name: "mn2", number: 2, homeAddress: ipv6("2001:db8:1::102"), ipv4HomeAddress: ipv4("198.51.100.102") },
] as const;
export type MobileNode = (typeof NODES)[number];

const MACHINES = ["core", "cn", "ha", "switch", "nat", "agent", "mn1", "mn2"] as const;
export type MachineName = (typeof MACHINES)[number];
const ROUTERS: readonly MachineName[] = ["core", "ha", "nat", "agent"];

export interface TopologyOptions {
  readonly foreignAgent?: boolean;
  readonly singleNode?: boolean;
  readonly beside?: boolean;
}

/** Namespaces of one run: their names carry the process id, so that several topologies can stand side by side. */
export class Topology {
  readonly #prefix: string;

  readonly machines: readonly MachineName[];

  readonly #beside: boolean;

  /** `foreignAgent`: with a machine and a link for one. `singleNode`: mn1 alone. `beside`: with CORRESPONDENT_BESIDE. */
  constructor({ foreignAgent = false, singleNode = false, beside = false }: TopologyOptions, id: number = process.pid) {
    this.machines = MACHINES.filter(
      (machine) => (machine !== "agent" || foreignAgent) && (machine !== "mn2" || !singleNode),
    );
    this.#beside = beside;
    this.#prefix = `demo${id}-`;
  }

  /** The namespace's name. */
  name(machine: MachineName): string {
    return `${this.#prefix}${machine}`;
  }

  path(machine: MachineName): string {
    return namespacePath(this.name(machine));
  }

  async build(): Promise<void> {
    const { machines } = this;
    await ipBatch(
      undefined,
      machines.map((machine) => `netns add ${this.name(machine)}`),
    );
    await Promise.all(
      machines.map((machine) => inNamespace(this.name(machine), ["sysctl", "-qw", ...switches(machine)])),
    );
    await ipBatch(undefined, [
      ...this.#cable("cn", "eth0", "core", "cn"),
      ...this.#cable("ha", "wan", "core", "ha"),
      ...this.#cable("nat", "wan", "core", "nat"),
      ...(machines.includes("agent") ? this.#cable("agent", "wan", "core", "agent") : []),
      ...this.#cable("ha", "home", "switch", "ha"),
    ]);
    await Promise.all(machines.map((machine) => ipBatch(this.name(machine), setUp(machine))));
    if (machines.includes("agent")) await ipBatch(this.name("core"), TO_AGENT);
    if (this.#beside) await ipBatch(this.name("cn"), address("eth0", `${CORRESPONDENT_BESIDE}/64`));
    await inNamespace(this.name("nat"), ["nft", "-f", "-"], MASQUERADE);
  }

  async remove(): Promise<void> {
    const existing = await runAsync(["ip", "netns", "list"]);
    const names = existing
      .split("\n")
      .map((line) => line.split(" ")[0] ?? "")
      .filter((name) => name.startsWith(this.#prefix));
    if (names.length > 0) {
      await ipBatch(
        undefined,
        names.map((name) => `netns del ${name}`),
      );
    }
  }

  #cable(a: MachineName, deviceA: string, b: MachineName, deviceB: string): readonly string[] {
    return [`link add name ${deviceA} netns ${this.name(a)} type veth peer name ${deviceB} netns ${this.name(b)}`];
  }
}

/** Random ports, so that the address and port of a node behind it cannot be guessed from the inside. */
const MASQUERADE = `table ip nat {
  chain postrouting {
    type nat hook postrouting priority 100;
    oifname "wan" masquerade fully-random;
  }
}
`;

/** Addresses are usable at once (no duplicate address detection); strict reverse path filters, the hardest case for tunnels. */
function switches(machine: MachineName): readonly string[] {
  const common = [
    "net.ipv6.conf.default.dad_transmits=0",
    "net.ipv6.conf.default.accept_ra=0",
    "net.ipv4.conf.all.rp_filter=1",
    "net.ipv4.conf.default.rp_filter=1",
  ];
  if (ROUTERS.includes(machine)) return [...common, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"];
  if (machine === "switch") return ["net.ipv6.conf.default.disable_ipv6=1"];
  return common;
}

/** Else a bridge has the lowest of its ports' addresses: unplugging one node would change the router's under the other one. */
const ownAddress = (name: string): string =>
  ["02", ...Array.from({ length: 5 }, (_, i) => (name.charCodeAt(i) || 0).toString(16).padStart(2, "0"))].join(":");
const bridge = (name: string): readonly string[] => [
  `link add name ${name} address ${ownAddress(name)} type bridge mcast_snooping 0 forward_delay 0`,
  `link set ${name} up`,
];
const address = (device: string, ...addresses: readonly string[]): readonly string[] =>
  addresses.map((one) => `addr add ${one} dev ${device}${one.includes(":") ? " nodad" : ""}`);
const up = (...devices: readonly string[]): readonly string[] => devices.map((device) => `link set ${device} up`);
const TO_AGENT: readonly string[] = [...up("agent"), ...address("agent", "192.0.2.193/26")];

function setUp(machine: MachineName): readonly string[] {
  const plan: Readonly<Record<MachineName, readonly string[]>> = {
    core: [
      ...up("cn", "ha", "nat"),
      ...bridge("six"),
      ...bridge("six2"),
      ...bridge("four"),
      ...address("cn", "192.0.2.1/26", "2001:db8:c::1/64"),
      ...address("ha", "203.0.113.254/24", "2001:db8:f::fe/64"),
      ...address("nat", "192.0.2.129/26"),
      ...address("six", "2001:db8:a::1/64"),
      ...address("six2", "2001:db8:b::1/64"),
      ...address("four", "192.0.2.65/26"),
      "route add 2001:db8:1::/64 via 2001:db8:f::1",
      "route add 198.51.100.0/24 via 203.0.113.1",
    ],
    cn: [
      ...up("eth0"),
      ...address("eth0", `${CORRESPONDENT.ipv4}/26`, `${CORRESPONDENT.ipv6}/64`),
      "route add default via 192.0.2.1",
      "route add default via 2001:db8:c::1",
    ],
    ha: [
      ...up("wan", "home"),
      ...address("wan", `${HOME_AGENT.ipv4}/24`, "2001:db8:f::1/64"),
      ...address("home", "198.51.100.1/24", `${HOME_AGENT.ipv6}/64`),
      "route add default via 203.0.113.254",
      "route add default via 2001:db8:f::fe",
    ],
    switch: [...bridge("home"), ...up("ha"), "link set ha master home"],
    nat: [
      ...up("wan"),
      ...bridge("lan"),
      ...address("wan", `${NAT_ADDRESS}/26`),
      ...address("lan", "10.0.0.1/24"),
      "route add default via 192.0.2.129",
    ],
    agent: [
      ...up("wan"),
      ...bridge("visited"),
      ...address("wan", `${FOREIGN_AGENT.careOfAddress}/26`),
      ...address("visited", FOREIGN_AGENT.link),
      "route add default via 192.0.2.193",
    ],
    mn1: [],
    mn2: [],
  };
  return ["link set lo up", ...plan[machine]];
}
