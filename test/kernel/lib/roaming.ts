/**
 * Networks as they are outside of laboratories: routers advertise (radvd), addresses come by themselves (SLAAC, DHCP) and nobody takes
 * them away. One cable of the mobile node, which the switch connects to another network, with or without a loss of the carrier:
 *
 *     ha ──wan── core ── bridges "one", "two" ─┐
 *      └──────── bridge "home" ────────────────┼── switch ── mn eth0
 *                bridge "nowhere" ─────────────┘
 */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { stringify } from "yaml";
import { ipv6FromBytes } from "../../../controller/base/ip.js";
import type { Capture, Frame } from "./capture.js";
import { Daemon } from "./daemons.js";
import { ethernetOf, icmpOf, ipLayersOf } from "./frames.js";
import type { Background } from "./process.js";
import { scaled } from "./surroundings.js";
import { bridge, type Node, Topology } from "./topology.js";
import { waitFor } from "./wait.js";

export const HOME_AGENT = { ipv6: "2001:db8:1::1", ipv4: "203.0.113.1" } as const;
export const HOME_ADDRESS = "2001:db8:1::100";
/** Which networks a cable can lead to, with their prefixes. */
export const NETWORKS = {
  home: { prefix: "2001:db8:1:", ipv4: undefined },
  one: { prefix: "2001:db8:a:", ipv4: "203.0.114" },
  two: { prefix: "2001:db8:b:", ipv4: "203.0.115" },
} as const;
export type NetworkName = keyof typeof NETWORKS;
/** Of the node's second cable, which stays in network "two". */
export const SPARE = "203.0.115.77";
/** Seconds to the update beyond the network's own configuration: one on hardware, and as much more as this machine is slower. */
export const SOON = scaled(1000) / 1000;

const ROUTER_ADVERTISEMENT = 134;
const NEIGHBOUR_SOLICITATION = 135;
const ESP = 50;
const UDP = 17;

/** What Debian's own script does for addresses and routes; it leaves the resolver's configuration and former addresses alone. */
const CONFIGURE = `#!/bin/sh
case "$reason" in BOUND|RENEW|REBIND|REBOOT)
  ip -4 address replace "$new_ip_address/24" dev "$interface" valid_lft "$new_dhcp_lease_time" preferred_lft "$new_dhcp_lease_time"
  ip -4 route replace default via "\${new_routers%% *}" dev "$interface" ;;
esac
`;

export interface RoamingOptions {
  /** Default: IPv6 by SLAAC. */
  readonly ipv4Only?: boolean;
  /** A second cable `eth1` to network "two", with an IPv4 address by hand. */
  readonly spare?: boolean;
  /** Further keys of the configuration's mobileNode section. */
  readonly mobileNode?: Readonly<Record<string, unknown>>;
}

export class Roaming {
  readonly net: Topology;
  readonly ha: Node;
  readonly core: Node;
  readonly switch: Node;
  readonly mn: Node;
  readonly homeAgent: Daemon;
  readonly mobile: Daemon;
  /** What passes the node's cable. */
  wire!: Capture;
  /** The advertising daemons by where they run. */
  readonly #advertisers = new Map<string, Background>();
  #client: Background | undefined;
  #clients = 0;

  static async start(t: TestContext, at: NetworkName, options: RoamingOptions = {}): Promise<Roaming> {
    const roaming = new Roaming(t, at, options);
    const { net, mn, homeAgent } = roaming;
    const [wire] = await Promise.all([net.capture(mn, "eth0"), homeAgent.start()]);
    roaming.wire = wire;
    return roaming;
  }

  private constructor(t: TestContext, at: NetworkName, options: RoamingOptions) {
    this.net = new Topology(t);
    const { net } = this;
    this.ha = net.node("ha", { forwarding: true });
    this.core = net.node("core", { forwarding: true });
    this.switch = net.node("switch");
    this.mn = net.node("mn", { sysctl: { "net.ipv6.conf.default.accept_ra": 1 } });
    const { ha, core, mn } = this;
    net.link(
      ha.port("wan", "203.0.113.1/24", "2001:db8:f::1/64"),
      core.port("ha", "203.0.113.254/24", "2001:db8:f::fe/64"),
    );
    this.switch.also(...bridge("home"));
    net.link(ha.port("home", "2001:db8:1::1/64", "198.51.100.1/24"), this.switch.port("home-ha"));
    this.switch.also("link set home-ha master home");
    for (const name of ["one", "two"] as const) {
      this.switch.also(...bridge(name));
      const { prefix, ipv4 } = NETWORKS[name];
      net.link(core.port(name, `${prefix}:1/64`, `${ipv4}.1/24`), this.switch.port(`${name}-r`));
      this.switch.also(`link set ${name}-r master ${name}`);
    }
    net.link(mn.port("eth0"), this.switch.port("mn"));
    this.switch.also(`link set mn master ${at}`);
    this.switch.also(...bridge("nowhere"));
    if (options.spare === true) {
      net.link(mn.port("eth1", `${SPARE}/24`), this.switch.port("mn-spare"));
      this.switch.also("link set mn-spare master two");
      mn.also("route add default via 203.0.115.1 dev eth1 metric 2000");
    }
    ha.route("default via 203.0.113.254").route("::/0 via 2001:db8:f::fe");
    core.route("2001:db8:1::/64 via 2001:db8:f::1").route("198.51.100.0/24 via 203.0.113.1");
    net.build();
    if (options.ipv4Only === true) mn.sysctl({ "net.ipv6.conf.eth0.disable_ipv6": 1 });
    const keyFile = join(net.scratch, "keys.yaml");
    const key = (spi: number) => ({ spi, key: randomBytes(20).toString("hex") });
    const keys = [{ homeAddress: HOME_ADDRESS, update: key(4096), acknowledgement: key(4097) }];
    writeFileSync(keyFile, stringify({ keys }), { mode: 0o600 });
    const files = { directory: net.scratch, keyFile };
    const homePrefixes = ["2001:db8:1::/64"];
    this.homeAgent = new Daemon(ha, files, {
      role: "home-agent",
      homeAgent: {
        addresses: HOME_AGENT,
        homeLink: { interface: "home", prefixes: homePrefixes },
        duplicateAddressDetection: false,
      },
      subscribers: [{ homeAddress: HOME_ADDRESS }],
    });
    this.mobile = new Daemon(mn, files, {
      role: "mobile-node",
      mobileNode: { homeAddress: HOME_ADDRESS, homePrefixes, homeAgent: HOME_AGENT, ...options.mobileNode },
    });
  }

  /** Real router advertisements there: every 3 to 4 seconds, and at once when asked. */
  async advertise(...names: readonly NetworkName[]): Promise<void> {
    for (const name of names) {
      const node = name === "home" ? this.ha : this.core;
      const file = join(this.net.scratch, `radvd-${name}`);
      writeFileSync(
        `${file}.conf`,
        `interface ${name} { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4;\n` +
          `  prefix ${NETWORKS[name].prefix}:/64 { AdvOnLink on; AdvAutonomous on; }; };\n`,
      );
      const words = ["-n", "-m", "stderr", "-d", "1", "-C", `${file}.conf`, "-p", `${file}.pid`];
      this.#advertisers.set(name, node.spawn(["radvd", ...words], { name: `radvd-${name}` }));
    }
  }

  /** A DHCP server there. */
  lease(...names: readonly ("one" | "two")[]): void {
    const ranges = names.flatMap((name) => {
      const { ipv4 } = NETWORKS[name];
      return [`--interface=${name}`, `--dhcp-range=${ipv4}.50,${ipv4}.90,255.255.255.0,1h`];
    });
    const quiet = [
      "-k",
      "-p",
      "0",
      "-C",
      "/dev/null",
      "-u",
      "root",
      "--pid-file",
      "--leasefile-ro",
      "--log-facility=-",
    ];
    const words = ["--bind-dynamic", "--dhcp-authoritative", "--no-ping", "--log-dhcp", ...ranges];
    this.core.spawn(["dnsmasq", ...quiet, ...words], { name: "dnsmasq" });
  }

  /** A DHCP client asks anew; what it had configured before stays, as some clients and all that are killed leave it. */
  async configure(): Promise<void> {
    await this.#client?.stop("SIGKILL");
    const file = join(this.net.scratch, "dhclient");
    writeFileSync(`${file}.conf`, "initial-interval 1; backoff-cutoff 2; timeout 15; select-timeout 0;\n");
    writeFileSync(`${file}.sh`, CONFIGURE, { mode: 0o755 });
    const leases = `${file}.${this.#clients++}.leases`;
    const words = ["-4", "-d", "-1", "-cf", `${file}.conf`, "-sf", `${file}.sh`, "-lf", leases, "-pf", `${file}.pid`];
    this.#client = this.mn.spawn(["dhclient", ...words, "eth0"], { name: `dhclient-${this.#clients}` });
    await this.#client.waitForLog(/bound to/, 20_000);
  }

  /** When DHCP has said yes after an instant. */
  async leasedAt(since: number): Promise<number> {
    const isAcknowledgement = ({ at, layers }: Frame): boolean => {
      const last = layers.at(-1);
      if (at < since || last?.kind !== "udp" || last.sourcePort !== 67) return false;
      return Buffer.from(last.payload).includes(Buffer.of(53, 1, 5));
    };
    const [frame] = await this.wire.waitFor(isAcknowledgement, { what: "a DHCP acknowledgement" });
    return frame?.at ?? 0;
  }

  /** The switch connects the node's cable to another network. `carrier`: the node sees the cable drop and come back. */
  plug(to: NetworkName | "nowhere", { carrier }: { readonly carrier: boolean }): number {
    const lines = carrier
      ? ["link set mn down", `link set mn master ${to}`, "link set mn up"]
      : [`link set mn master ${to}`];
    const at = Date.now() / 1000;
    this.switch.ip(...lines);
    return at;
  }

  /** Addresses of the node on its cable, by network. */
  addresses(of: NetworkName): readonly string[] {
    const { prefix, ipv4 } = NETWORKS[of];
    const all = this.mn.ipJson("address show dev eth0").flatMap((link) => link["addr_info"] as { local: string }[]);
    return all.map(({ local }) => local).filter((one) => one.startsWith(prefix) || (ipv4 && one.startsWith(ipv4)));
  }

  /** Waits for the registration from that network at both ends. */
  async settled(at: NetworkName): Promise<void> {
    if (at === "home") {
      await this.mobile.waitForBinding("being at home", ({ state }) => state === "home");
      return;
    }
    const ours = (address: string | undefined): boolean => this.addresses(at).includes(address ?? "");
    await this.mobile.waitForBinding(`registration from ${at}`, ({ state, endpoint }) => {
      return state === "registered" && ours(endpoint?.address);
    });
    await this.homeAgent.waitForBinding(`binding to ${at}`, ({ endpoint }) => ours(endpoint?.address));
  }

  /** The first update from an address of that network after an instant, in seconds since the epoch. */
  async update(from: NetworkName, since: number): Promise<number> {
    const { prefix, ipv4 } = NETWORKS[from];
    const ours = (source: string): boolean =>
      source.startsWith(prefix) || (ipv4 !== undefined && source.startsWith(ipv4));
    const [frame] = await this.wire.waitFor((one) => one.at >= since && isUpdate(one, ours), {
      what: `binding update from ${from}`,
      timeout: 15_000,
    });
    return frame?.at ?? 0;
  }

  /** The first advertisement of that network's prefix on the node's cable after an instant. */
  async advertisement(of: NetworkName, since: number): Promise<number> {
    const wanted = `${NETWORKS[of].prefix}:`;
    const [frame] = await this.wire.waitFor((one) => one.at >= since && advertisedPrefixes(one).includes(wanted), {
      what: `router advertisement of ${of}`,
      timeout: 15_000,
    });
    return frame?.at ?? 0;
  }

  /** Neighbour solicitations by which the node itself asks the router of a link-layer address, in order. */
  questions(mac: string, since: number): readonly Frame[] {
    return this.wire.frames().filter((frame) => {
      const icmp = icmpOf(frame);
      return (
        frame.at >= since &&
        ethernetOf(frame)?.destination === mac &&
        icmp?.kind === "icmp6" &&
        icmp.type === NEIGHBOUR_SOLICITATION
      );
    });
  }

  macOf(node: Node, device: string): string {
    return node.ipJson(`link show dev ${device}`)[0]?.["address"] as string;
  }

  async hasAddress(of: NetworkName): Promise<void> {
    await waitFor(() => this.addresses(of).length > 0, { what: `an address of ${of}`, timeout: 15_000 });
  }
}

/** A binding update (under ESP, or in UDP) to the home agent from an outer source that is `ours`. */
export function isUpdate(frame: Frame, ours: (source: string) => boolean): boolean {
  const [outer] = ipLayersOf(frame);
  if (outer === undefined || !ours(outer.source)) return false;
  const there = outer.destination === HOME_AGENT.ipv6 || outer.destination === HOME_AGENT.ipv4;
  return there && carriesSignalling(frame);
}

function carriesSignalling({ layers }: Frame): boolean {
  return layers.some(
    (layer) =>
      (layer.kind === "other" && layer.protocol === ESP) ||
      (layer.kind === "ipv4" && layer.protocol === UDP) ||
      (layer.kind === "extension" && layer.protocol === ESP),
  );
}

/** Of the prefix information options of a router advertisement. */
function advertisedPrefixes(frame: Frame): readonly string[] {
  const icmp = icmpOf(frame);
  if (icmp?.kind !== "icmp6" || icmp.type !== ROUTER_ADVERTISEMENT) return [];
  const prefixes: string[] = [];
  for (let at = 16; at + 8 <= icmp.bytes.length; at += 8 * Math.max(1, icmp.bytes[at + 1] ?? 1)) {
    if (icmp.bytes[at] === 3) prefixes.push(ipv6FromBytes(icmp.bytes.subarray(at + 16, at + 32)));
  }
  return prefixes;
}
