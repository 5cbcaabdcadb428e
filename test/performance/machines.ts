/**
 * The namespaces of the benchmark: one that makes and takes the load, and home agents, each between a wide-area link and a link to the
 * correspondent, both of which lead back to the load.
 */
import { run } from "../kernel/lib/command.js";
import { CORRESPONDENT, GATEWAY, HOME_AGENT } from "./places.js";

const PROC = { ipv4: "net/ipv4/ip_forward", ipv6: "net/ipv6/conf/all/forwarding" } as const;
/** Nobody's: what is sent to it is counted by the device and dropped by the stack at once. */
const NOBODY = "02:00:00:00:00:99";

let serial = 0;

/** A network namespace with the `ip` and shell commands of a person who sets one up. */
export class Machine {
  readonly name: string;

  constructor(label: string) {
    this.name = `bench-${process.pid}-${serial++}-${label}`;
    run(["ip", "netns", "add", this.name]);
    this.ip("link set lo up");
  }

  get path(): string {
    return `/run/netns/${this.name}`;
  }

  inside(command: readonly string[]): string[] {
    return ["nsenter", `--net=${this.path}`, ...command];
  }

  run(...command: readonly string[]): string {
    return run(this.inside(command));
  }

  ip(...lines: readonly string[]): void {
    run(["ip", "-n", this.name, "-batch", "-"], lines.join("\n"));
  }

  /** Packets that the device has received since it exists. */
  received(device: string): number {
    const text = run(["ip", "-n", this.name, "-j", "-s", "link", "show", device]);
    const [link] = JSON.parse(text) as { stats64: { rx: { packets: number } } }[];
    return link?.stats64.rx.packets ?? 0;
  }

  [Symbol.dispose](): void {
    run(["ip", "netns", "del", this.name]);
  }
}

/** One home agent and its wires, as the load sees them. */
export interface HomeAgentMachine extends Disposable {
  readonly machine: Machine;
  /** The load's devices. */
  readonly wan: string;
  readonly lan: string;
  /** The home agent's addresses on these wires. */
  readonly wanMac: string;
  readonly lanMac: string;
}

/**
 * A home agent between the load's devices wLABEL and lLABEL. What it sends is counted at the load's devices and goes no further, unless
 * the load is to `answer`: then the gateway is the load itself.
 */
export function homeAgentMachine(
  load: Machine,
  label: string,
  options: { readonly answer: boolean },
): HomeAgentMachine {
  const machine = new Machine(label);
  const number = serial.toString(16).padStart(2, "0");
  const [wanMac, lanMac] = [`02:00:00:00:${number}:01`, `02:00:00:00:${number}:02`];
  const [wan, lan] = [`w${label}`, `l${label}`];
  machine.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.router_solicitations=0");
  run(
    ["ip", "-batch", "-"],
    [
      `link add ${wan} netns ${load.name} type veth peer name wan address ${wanMac} netns ${machine.name}`,
      `link add ${lan} netns ${load.name} type veth peer name lan address ${lanMac} netns ${machine.name}`,
    ].join("\n"),
  );
  load.ip(`link set ${wan} up`, `link set ${lan} up`);
  machine.ip(
    `address add ${HOME_AGENT.ipv4}/24 dev wan`,
    `address add ${HOME_AGENT.ipv6}/64 dev wan`,
    "address add 192.0.2.1/24 dev lan",
    "address add 2001:db8:c::1/64 dev lan",
    "link set wan up",
    "link set lan up",
    ...(options.answer ? [] : silentNeighbours()),
    `route add default via ${GATEWAY.ipv4}`,
    `route add default via ${GATEWAY.ipv6}`,
  );
  // A hand-made tunnel has nobody who does it.
  machine.run("sysctl", "-qw", ...Object.values(PROC).map((path) => `${path}=1`));
  return { machine, wan, lan, wanMac, lanMac, [Symbol.dispose]: () => machine[Symbol.dispose]() };
}

function silentNeighbours(): readonly string[] {
  return [
    ...Object.values(GATEWAY).map((address) => `neigh add ${address} dev wan lladdr ${NOBODY} nud permanent`),
    ...Object.values(CORRESPONDENT).map((address) => `neigh add ${address} dev lan lladdr ${NOBODY} nud permanent`),
  ];
}
