/**
 * Forwarding through our objects with one binding, with many, and through a tunnel made by hand, side by side: slices of a few
 * milliseconds in turn. On one processor a slice's time is the generator's and the forwarding's together; what the generator alone needs
 * is measured in the same run, and so is what the kernel makes of as many routes without tunnels and nftables.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatPrefix } from "../../controller/base/ip.js";
import { run } from "../kernel/lib/command.js";
import { type Direction, frame, mip4Frame, ring } from "./frames.js";
import { Load, type SliceOptions, type Source } from "./load.js";
import { type HomeAgentMachine, homeAgentMachine, type Machine } from "./machines.js";
import {
  ACCESSES,
  type Access,
  type Carrier,
  carrierOf,
  endpointOf,
  GATEWAY,
  HOME_AGENT,
  INNER_FAMILIES,
  type InnerFamily,
  isMip4,
  isOverHome,
  type Kind,
  MIP4_ACCESSES,
  type Mip4Access,
  mobileNode,
  networksOf,
} from "./places.js";
import { rounded } from "./statistics.js";

export interface ForwardingOptions extends SliceOptions {
  /** mip4: hosts, by Mobile IPv4. */
  readonly kind: Kind | "mip4";
  readonly bindings: number;
}

export interface InstallReport {
  readonly access: Access | Mip4Access;
  readonly bindings: number;
  readonly objects: number;
  readonly milliseconds: number;
  readonly transactions: number;
}

export interface ForwardingReport {
  readonly direction: Direction;
  readonly access: Access | Mip4Access;
  readonly inner: InnerFamily;
  /** Packets per second, the generator's own work included; medians of all slices. */
  readonly one: number;
  /** Many bindings, all packets of one node: what the size of tables and sets costs. */
  readonly manyFocused: number;
  /** Many bindings, packets of all nodes in turn: what cold memory costs besides. */
  readonly many: number;
  readonly handMade: number;
  /** The generator alone: its frames are dropped at the door. */
  readonly generator: number;
  /** Medians of the ratios of neighbouring slices. */
  readonly manyFocusedToOne: number;
  readonly manyToOne: number;
  readonly oneToHandMade: number;
  /** Share of the packets sent that did not come out, over all of them. */
  readonly lost: number;
}

/** Plain forwarding by the kernel alone, packets to many hosts with a route each. */
export interface RoutesReport {
  readonly inner: InnerFamily;
  readonly one: number;
  readonly many: number;
  readonly manyToOne: number;
}

export interface ForwardingResults {
  readonly forwarding: readonly ForwardingReport[];
  readonly installs: readonly InstallReport[];
  readonly routes: readonly RoutesReport[];
}

/** A frame to this address is dropped at the door. */
export const SOMEBODY_ELSE = "02:00:00:00:00:98";

export function measureForwarding(options: ForwardingOptions, note: (text: string) => void): ForwardingResults {
  const forwarding: ForwardingReport[] = [];
  const installs: InstallReport[] = [];
  const kind = options.kind === "mip4" ? "hosts" : options.kind;
  for (const access of options.kind === "mip4" ? MIP4_ACCESSES : ACCESSES) {
    using load = new Load();
    using one = homeAgentMachine(load.machine, "one", { answer: false });
    using many = homeAgentMachine(load.machine, "many", { answer: false });
    using handMade = homeAgentMachine(load.machine, "hand", { answer: false });
    note(`${options.bindings} bindings of ${options.kind}, care-of address: ${access}`);
    install(one, access, 1, kind);
    installs.push(install(many, access, options.bindings, kind));
    makeByHand(handMade.machine, access, kind);
    for (const inner of INNER_FAMILIES) {
      if (inner === 4 && isOverHome(access)) continue; // as without

      for (const direction of ["decapsulation", "encapsulation"] as const) {
        note(`${options.kind}, ${direction}, IPv${inner}, care-of address: ${access}`);
        forwarding.push(measure({ load, agents: { one, many, handMade }, direction, access, inner }, options));
      }
    }
  }
  return { forwarding, installs, routes: options.kind === "hosts" ? measureRoutes(options, note) : [] };
}

/** Our objects for so many bindings, by install.ts. */
export function install(
  { machine }: HomeAgentMachine,
  access: Access | Mip4Access,
  count: number,
  kind: Kind,
  ...words: readonly ("esp" | "mixed")[]
): InstallReport {
  const program = join(dirname(fileURLToPath(import.meta.url)), "install.js");
  const text = run([process.execPath, program, machine.path, access, String(count), kind, ...words]);
  const facts = JSON.parse(text) as Omit<InstallReport, "access">;
  return { access, ...facts };
}

/** What a person would type for one mobile node: a point-to-point device, two routes, and one for each network behind it. */
function makeByHand(machine: Machine, access: Access | Mip4Access, kind: Kind): void {
  const endpoint = endpointOf(0, access);
  const { homeAddress, ipv4HomeAddress } = mobileNode(0);
  const to = (remote: string): string => `local ${HOME_AGENT.ipv4} remote ${remote} tos inherit ttl 64`;
  const sit = `link add name t0 type sit mode any ${to(endpoint.address)}`;
  const port = "port" in endpoint ? endpoint.port : 0;
  const devices: Readonly<Record<Access | Carrier, readonly string[]>> = {
    ipv6: [
      `link add name t0 type ip6tnl mode any local ${HOME_AGENT.ipv6} remote ${endpoint.address} tos inherit ttl 64`,
    ],
    ipv4: [sit],
    "ip-in-ip": [sit],
    udp: ["fou add port 4191 gue", `${sit} encap fou encap-sport 4191 encap-dport ${port}`],
    gre: [`link add name t0 type gre ${to(endpoint.address)}`],
    "tunnel-data": ["fou add port 434 gue", `${sit} encap gue encap-sport 434 encap-dport ${port}`],
  };
  const overHome = isOverHome(access);
  machine.ip(
    ...devices[isMip4(access) ? carrierOf(access) : access],
    "link set t0 up mtu 1400",
    ...(overHome ? [`link add name t1 type sit ${to(ipv4HomeAddress)}`, "link set t1 up mtu 1380"] : []),
    `route add ${homeAddress}/128 dev ${overHome ? "t1" : "t0"}`,
    `route add ${ipv4HomeAddress}/32 dev t0`,
    ...(kind === "hosts" ? [] : Object.values(networksOf(0)).flat()).map(
      (one) => `route add ${formatPrefix(one)} dev t0`,
    ),
  );
}

interface Measurement {
  readonly load: Load;
  readonly agents: Readonly<Record<"one" | "many" | "handMade", HomeAgentMachine>>;
  readonly direction: Direction;
  readonly access: Access | Mip4Access;
  readonly inner: InnerFamily;
}

function measure(
  { load, agents, direction, access, inner }: Measurement,
  options: ForwardingOptions,
): ForwardingReport {
  const inwards = direction === "decapsulation";
  const kind = options.kind === "mip4" ? "hosts" : options.kind;
  const received = (): number =>
    Object.values(agents).reduce((sum, { wan, lan }) => sum + load.machine.received(inwards ? lan : wan), 0);
  const source = (
    { wan, lan, wanMac, lanMac }: HomeAgentMachine,
    nodes: number,
    mac = inwards ? wanMac : lanMac,
    header: "gue" | "rfc-3519" = "rfc-3519",
  ): Source => ({
    device: inwards ? wan : lan,
    frames: ring(nodes, (number) =>
      inwards && isMip4(access)
        ? mip4Frame(number, access, inner, mac, header)
        : frame(direction, number, endpointOf(number, access), inner, mac, kind),
    ),
  });
  const before = received();
  const measured = load.send(
    {
      one: source(agents.one, 1),
      manyFocused: source(agents.many, 1),
      many: source(agents.many, options.bindings),
      handMade: source(agents.handMade, 1, undefined, "gue"),
      generator: source(agents.one, 1, SOMEBODY_ELSE),
    },
    options,
  );
  const names = ["one", "manyFocused", "many", "handMade"] as const;
  const sent = names.reduce((sum, name) => sum + measured.packets(name), 0);
  return {
    ...{ direction, access, inner },
    one: measured.rate("one"),
    manyFocused: measured.rate("manyFocused"),
    many: measured.rate("many"),
    handMade: measured.rate("handMade"),
    generator: measured.rate("generator"),
    manyFocusedToOne: measured.ratio("manyFocused", "one"),
    manyToOne: measured.ratio("many", "one"),
    oneToHandMade: measured.ratio("one", "handMade"),
    // The first round is sent and not counted, so more arrives than is known to be sent; fewer means loss.
    lost: rounded(Math.max(0, 1 - (received() - before) / sent)),
  };
}

/** As many routes, to the gateway, with neither tunnel nor nftables: what spreading packets over them costs any router. */
function measureRoutes(options: ForwardingOptions, note: (text: string) => void): readonly RoutesReport[] {
  using load = new Load();
  using one = homeAgentMachine(load.machine, "one", { answer: false });
  using many = homeAgentMachine(load.machine, "many", { answer: false });
  return INNER_FAMILIES.map((inner) => {
    note(`routes alone, IPv${inner}`);
    const address = (number: number): string => mobileNode(number)[inner === 6 ? "homeAddress" : "ipv4HomeAddress"];
    const gateway = inner === 6 ? GATEWAY.ipv6 : GATEWAY.ipv4;
    const routes = (count: number): string[] =>
      Array.from({ length: count }, (_, number) => `route add ${address(number)} via ${gateway} dev wan`);
    one.machine.ip(...routes(1));
    many.machine.ip(...routes(options.bindings));
    const source = ({ lan, lanMac }: HomeAgentMachine, nodes: number): Source => ({
      device: lan,
      frames: ring(nodes, (number) => frame("encapsulation", number, endpointOf(number, "ipv6"), inner, lanMac)),
    });
    const measured = load.send({ one: source(one, 1), many: source(many, options.bindings) }, options);
    return { inner, one: measured.rate("one"), many: measured.rate("many"), manyToOne: measured.ratio("many", "one") };
  });
}
