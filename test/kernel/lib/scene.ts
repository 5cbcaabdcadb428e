/**
 * The little internet of the data path tests, with real daemons in it:
 *
 *     cn ── core ──wan── ha ──home── lan (bridge br0)     home link 2001:db8:1::/64, 198.51.100.0/24
 *            ├── bridge "six"                             IPv6-only access 2001:db8:a::/64
 *            ├── bridge "four"                            public IPv4 access 203.0.114.0/24
 *            └──wan── nat ── bridge "lan"                 private IPv4 access 10.0.0.0/24 behind 203.0.115.2
 *
 * With routers there is a host behind each: mnN ──inside── hostN (behind.ts).
 *
 * A mobile node has a cable to each access from the start; attaching pulls its end up and gives it addresses and default routes.
 */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { stringify } from "yaml";
import { type IpAddress, type Ipv4Address, type Ipv6Address, ipv4, ipv6 } from "../../../controller/base/ip.js";
import type { BindingDocument } from "../../../schemas/control.js";
import { AGGREGATES, type Behind, behind, hostBehind, prefixesOf, routesAtHome } from "./behind.js";
import type { Capture } from "./capture.js";
import { Charon } from "./charon.js";
import { Daemon, type DaemonFiles, type StartOptions } from "./daemons.js";
import { Station } from "./station.js";
import { bridge, type Node, Topology } from "./topology.js";

export const HOME_AGENT = { ipv6: ipv6("2001:db8:1::1"), ipv4: ipv4("203.0.113.1") } as const;
export const CORRESPONDENT = { ipv6: ipv6("2001:db8:c::2"), ipv4: ipv4("192.0.2.2") } as const;
export const NAT_ADDRESS = ipv4("203.0.115.2");
const HOME_PREFIXES = ["2001:db8:1::/64", "198.51.100.0/24"];

export type Access = "home" | "six" | "four" | "nat";
export type Format = "ipv6" | "ipv4" | "udp";
/** The two families of a payload. */
export const FAMILIES = [6, 4] as const;
export type PayloadFamily = (typeof FAMILIES)[number];

/** Away from home: which tunnel format belongs to which access. */
export const FORMAT_OF: Readonly<Record<Exclude<Access, "home">, Format>> = { six: "ipv6", four: "ipv4", nat: "udp" };

interface AccessPlan {
  readonly metric: number;
  readonly addresses: (number: number) => readonly string[];
  readonly gateways: readonly string[];
}

const ACCESSES: Readonly<Record<Access, AccessPlan>> = {
  home: {
    metric: 10,
    addresses: (n) => [`198.51.100.20${n}/24`, `2001:db8:1::20${n}/64`],
    gateways: ["198.51.100.1", "2001:db8:1::1"],
  },
  six: { metric: 20, addresses: (n) => [`2001:db8:a::1${n}/64`], gateways: ["2001:db8:a::1"] },
  four: { metric: 30, addresses: (n) => [`203.0.114.1${n}/24`], gateways: ["203.0.114.1"] },
  nat: { metric: 40, addresses: (n) => [`10.0.0.1${n}/24`], gateways: ["10.0.0.1"] },
};

export interface Mobile {
  readonly number: number;
  readonly node: Node;
  readonly daemon: Daemon;
  readonly home6: Ipv6Address;
  readonly home4: Ipv4Address;
  /** Care-of address in each access, as the node has it. */
  readonly careOf: Readonly<Record<Access, IpAddress>>;
  readonly keys: { readonly update: EspKey; readonly acknowledgement: EspKey };
  readonly stations: Readonly<Record<PayloadFamily, Station>>;
  /** With IKEv2. */
  readonly charon: Charon | undefined;
  /** Of routers: what is behind them. */
  readonly behind: Behind | undefined;
}

export interface EspKey {
  readonly spi: number;
  /** Hexadecimal: 16 octets of AES key and 4 of salt. */
  readonly key: string;
}

export interface SceneOptions {
  /** Default 1. */
  readonly mobiles?: number;
  /** The tunnel profile of both ends. */
  readonly profile?: {
    readonly dscp?: number;
    readonly ttl?: number;
    readonly mtu?: number;
    readonly protection?: "none" | "esp";
    readonly decapsulateDscp?: boolean;
  };
  /** Keys by IKEv2 instead of static ones, with pre-shared keys unless the scene is given something else. */
  readonly ike?: IkeOptions;
  /** The mobile nodes are routers with a host behind each (behind.ts). Mode of registration; default explicit. */
  readonly routers?: "explicit" | "implicit";
  /** The first node has two home addresses of each family. */
  readonly furtherHome?: boolean;
  /** How updates travel in IPv4 networks, at both ends. */
  readonly ipv4Signalling?: "soliman2004";
  /** Further keys of the configuration's homeAgent section. */
  readonly homeAgent?: Readonly<Record<string, unknown>>;
  /** Further keys of the configuration's mobileNode section. */
  readonly mobileNode?: Readonly<Record<string, unknown>>;
  /** Further keys of each subscriber. */
  readonly subscriber?: Readonly<Record<string, unknown>>;
  /** How the home agent's daemon is started. */
  readonly start?: StartOptions;
}

export interface IkeOptions {
  /** Further keys of the security section of either side. */
  readonly homeAgent?: Readonly<Record<string, unknown>>;
  readonly mobileNode?: Readonly<Record<string, unknown>>;
  /** Of each subscriber. */
  readonly authentication?: "psk" | "certificate" | "eap";
  /** The nodes' charon has the settings for security.movement "mobike". */
  readonly ledCharon?: boolean;
  /** Further lines of the charon section of the nodes' strongswan.conf. */
  readonly charon?: readonly string[];
  /** What the node thinks its secret is; default the right one. */
  readonly nodeSecret?: string;
}

export const HOME_AGENT_IDENTITY = "ha.example.org";
/** Whence the home agent hears a node that is plugged in there. */
export const outerAddress = ({ careOf }: Mobile, access: Access): IpAddress =>
  access === "nat" ? NAT_ADDRESS : careOf[access];

/** With `furtherHome`: the second home address of the first node. */
export const FURTHER_HOME = {
  homeAddress: ipv6("2001:db8:1::1a1"),
  ipv4HomeAddress: ipv4("198.51.100.161"),
  identity: "node1-further@example.org",
} as const;
/** What of it goes into a configuration without identities. */
const FURTHER_ADDRESSES = {
  homeAddress: FURTHER_HOME.homeAddress,
  ipv4HomeAddress: FURTHER_HOME.ipv4HomeAddress,
} as const;
const furtherHomes = ({ furtherHome, ike }: SceneOptions): readonly object[] =>
  furtherHome === true ? [ike === undefined ? FURTHER_ADDRESSES : FURTHER_HOME] : [];

export const identityOf = (number: number): string => `node${number}@example.org`;

export class Scene {
  readonly net: Topology;
  readonly cn: Node;
  readonly core: Node;
  readonly ha: Node;
  readonly nat: Node;
  readonly lan: Node;
  readonly mobiles: readonly Mobile[];
  readonly homeAgent: Daemon;
  /** The home agent's, with IKEv2. */
  readonly charon: Charon | undefined;
  /**
   * What passes the home agent's wide area device. By tcpdump: its ring copies a frame when it passes, while the octets in the queue of
   * a packet socket go on changing as the kernel takes the tunnel off (FOU the IPv4 length, ECN the class).
   */
  wire!: Capture;
  readonly correspondents: Readonly<Record<PayloadFamily, Station>>;

  /** Everything up, the home agent answering, the mobile nodes plugged in nowhere and not started. */
  static async start(t: TestContext, options: SceneOptions = {}): Promise<Scene> {
    const scene = new Scene(t, options);
    await Promise.all([scene.charon?.start(), ...scene.mobiles.map(({ charon }) => charon?.start())]);
    const [wire] = await Promise.all([scene.net.capture(scene.ha, "wan"), scene.homeAgent.start(options.start)]);
    scene.wire = wire;
    return scene;
  }

  private constructor(t: TestContext, options: SceneOptions) {
    this.net = new Topology(t);
    this.cn = this.net.node("cn");
    this.core = this.net.node("core", { forwarding: true });
    this.ha = this.net.node("ha", { forwarding: true });
    this.nat = this.net.node("nat", { forwarding: true });
    this.lan = this.net.node("lan");
    const nodes = Array.from({ length: options.mobiles ?? 1 }, (_, i) => this.net.node(`mn${i + 1}`));
    this.#cables(nodes);
    const hosts = options.routers === undefined ? [] : nodes.map((node, i) => hostBehind(this.net, node, i + 1));
    if (hosts.length > 0) {
      this.core.route(`${AGGREGATES.four} via 203.0.113.1`).route(`${AGGREGATES.six} via 2001:db8:f::1`);
      for (const i of hosts.keys()) routesAtHome(this.ha, i + 1);
    }
    this.net.build();
    this.nat.nft(
      'table ip nat { chain post { type nat hook postrouting priority 100; oifname "wan" masquerade fully-random; }; }',
    );
    const directory = this.net.scratch;
    const keyFile = join(directory, "keys.yaml");
    const files: DaemonFiles = options.ike === undefined ? { directory, keyFile } : { directory };
    this.charon = options.ike === undefined ? undefined : new Charon(this.ha, directory);
    this.mobiles = nodes.map((node, i) => ({
      ...makeMobile(node, i + 1, files, options),
      behind: hosts[i] && behind(hosts[i], i + 1),
    }));
    this.homeAgent = new Daemon(this.ha, files, homeAgentRole(this.mobiles, options, this.charon));
    if (options.ike === undefined) writeKeys(keyFile, this.mobiles, options);
    else writeSecrets(directory, this.mobiles, options, options.ike);
    this.correspondents = stations(this.cn, CORRESPONDENT.ipv6, CORRESPONDENT.ipv4);
    t.after(() => {
      for (const one of [
        this.correspondents,
        ...this.mobiles.flatMap((mobile) => [mobile.stations, mobile.behind?.stations]),
      ]) {
        for (const family of FAMILIES) one?.[family].close();
      }
    });
  }

  get mobile(): Mobile {
    return this.mobiles[0] as Mobile;
  }

  /** Plugs the node in there and nowhere else, starts its daemon if need be, and waits until its payload goes that way. */
  async move(mobile: Mobile, to: Access): Promise<BindingDocument> {
    this.attach(mobile, to);
    for (const other of Object.keys(ACCESSES) as Access[]) if (other !== to) this.detach(mobile, other);
    return this.settled(mobile, to);
  }

  /** Waits for the registration from there (or for "at home") at both ends. */
  async settled(mobile: Mobile, at: Access): Promise<BindingDocument> {
    const { daemon, careOf } = mobile;
    if (at === "home") return daemon.waitForBinding("being at home", ({ state }) => state === "home");
    const format = FORMAT_OF[at];
    await daemon.waitForBinding(`registration from ${at}`, ({ state, endpoint }) => {
      return state === "registered" && endpoint?.address === careOf[at] && endpoint.format === format;
    });
    const outer = outerAddress(mobile, at);
    return this.homeAgent.waitForBinding(`binding to ${outer}`, ({ homeAddress, endpoint }) => {
      return homeAddress === mobile.home6 && endpoint?.address === outer && endpoint.format === format;
    });
  }

  attach({ node, number }: Mobile, to: Access): void {
    const { addresses, gateways, metric } = ACCESSES[to];
    node.ip(
      `link set ${to} up`,
      ...addresses(number).map((address) => `address replace ${address} dev ${to}`),
      ...gateways.map((gateway) => `route replace default via ${gateway} dev ${to} metric ${metric}`),
    );
  }

  detach({ node }: Mobile, from: Access): void {
    node.ip(`link set ${from} down`, `address flush dev ${from}`);
  }

  /** The UDP port at which the home agent reaches a node behind the NAT. */
  async natPort(mobile: Mobile): Promise<number> {
    const binding = (await this.homeAgent.bindings()).find(({ homeAddress }) => homeAddress === mobile.home6);
    if (binding?.endpoint?.format !== "udp") throw new Error(`no UDP binding: ${JSON.stringify(binding)}`);
    return binding.endpoint.port;
  }

  #cables(mobiles: readonly Node[]): void {
    const { cn, core, ha, nat, lan, net } = this;
    net.link(cn.port("eth0", "192.0.2.2/24", "2001:db8:c::2/64"), core.port("cn", "192.0.2.1/24", "2001:db8:c::1/64"));
    net.link(
      ha.port("wan", "203.0.113.1/24", "2001:db8:f::1/64"),
      core.port("ha", "203.0.113.254/24", "2001:db8:f::fe/64"),
    );
    net.link(nat.port("wan", "203.0.115.2/24"), core.port("nat", "203.0.115.254/24"));
    bridgeOf(core, "six", "2001:db8:a::1/64");
    bridgeOf(core, "four", "203.0.114.1/24");
    bridgeOf(nat, "lan", "10.0.0.1/24");
    bridgeOf(lan, "br0", "198.51.100.2/24", "2001:db8:1::2/64");
    net.link(ha.port("home", "198.51.100.1/24", "2001:db8:1::1/64"), lan.port("ha"));
    lan.also("link set ha master br0");
    const networks = { home: [lan, "br0"], six: [core, "six"], four: [core, "four"], nat: [nat, "lan"] } as const;
    for (const node of mobiles) {
      for (const [access, [there, master]] of Object.entries(networks)) {
        const port = `${node.label}-${access}`;
        net.link(node.port(access), there.port(port));
        there.also(`link set ${port} master ${master}`);
        node.also(`link set ${access} down`);
      }
    }
    cn.route("default via 192.0.2.1").route("::/0 via 2001:db8:c::1");
    ha.route("default via 203.0.113.254").route("::/0 via 2001:db8:f::fe");
    nat.route("default via 203.0.115.254");
    core.route("198.51.100.0/24 via 203.0.113.1").route("2001:db8:1::/64 via 2001:db8:f::1");
  }
}

function bridgeOf(node: Node, name: string, ...addresses: readonly string[]): void {
  node.also(...bridge(name));
  node.also(...addresses.map((address) => `address add ${address} dev ${name}`));
}

function stations(node: Node, six: Ipv6Address, four: Ipv4Address): Record<PayloadFamily, Station> {
  return { 6: new Station(node, six), 4: new Station(node, four) };
}

const freshKey = (spi: number): EspKey => ({ spi, key: randomBytes(20).toString("hex") });

function makeMobile(node: Node, number: number, files: DaemonFiles, options: SceneOptions): Omit<Mobile, "behind"> {
  const home6 = ipv6(`2001:db8:1::10${number}`);
  const home4 = ipv4(`198.51.100.10${number}`);
  const { ike } = options;
  const charon =
    ike && new Charon(node, files.directory, { mobike: ike.ledCharon === true, settings: ike.charon ?? [] });
  const daemon = new Daemon(node, files, {
    role: "mobile-node",
    ...(charon !== undefined && {
      security: {
        method: "ikev2",
        viciSocket: charon.socketPath,
        identity: identityOf(number),
        homeAgentIdentity: HOME_AGENT_IDENTITY,
        authentication: options.ike?.authentication ?? "psk",
        credentialFile: join(files.directory, `secrets-${number}.yaml`),
        deadPeerDetectionSeconds: 2,
        ...options.ike?.mobileNode,
      },
    }),
    mobileNode: {
      homeAddress: home6,
      ipv4HomeAddress: home4,
      homePrefixes: HOME_PREFIXES,
      homeAgent: HOME_AGENT,
      ...(options.routers !== undefined && { prefixes: prefixesOf(number), mobileRouter: options.routers }),
      ...(options.ipv4Signalling && { ipv4Signalling: options.ipv4Signalling }),
      ...(number === 1 && { furtherHomeAddresses: furtherHomes(options) }),
      ...options.mobileNode,
    },
    ...(options.profile && { tunnelProfile: options.profile }),
  });
  const careOf = {
    home: home6,
    six: ipv6(`2001:db8:a::1${number}`),
    four: ipv4(`203.0.114.1${number}`),
    nat: ipv4(`10.0.0.1${number}`),
  };
  const keys = { update: freshKey(0x1000 + 2 * number), acknowledgement: freshKey(0x1001 + 2 * number) };
  return { number, node, daemon, home6, home4, careOf, keys, stations: stations(node, home6, home4), charon };
}

function homeAgentRole(
  mobiles: readonly Mobile[],
  options: SceneOptions,
  charon: Charon | undefined,
): Record<string, unknown> {
  const { profile, homeAgent } = options;
  return {
    role: "home-agent",
    homeAgent: {
      addresses: HOME_AGENT,
      homeLink: { interface: "home", prefixes: HOME_PREFIXES },
      ...homeAgent,
    },
    ...(profile && { tunnelProfiles: { special: profile } }),
    ...(charon !== undefined && {
      security: {
        method: "ikev2",
        viciSocket: charon.socketPath,
        identity: HOME_AGENT_IDENTITY,
        credentialFile: join(dirname(dirname(charon.socketPath)), "secrets.yaml"),
        ...options.ike?.homeAgent,
      },
    }),
    subscribers: [
      ...mobiles.map(({ number, home6, home4 }) => ({
        homeAddress: home6,
        ipv4HomeAddress: home4,
        ...(options.routers !== undefined && { prefixes: prefixesOf(number) }),
        ...(options.ipv4Signalling && { ipv4Signalling: options.ipv4Signalling }),
        ...(profile && { profile: "special" }),
        ...(charon !== undefined && {
          identity: identityOf(number),
          authentication: options.ike?.authentication ?? "psk",
        }),
        ...options.subscriber,
      })),
      ...furtherHomes(options).map((home) => ({
        ...home,
        ...(profile && { profile: "special" }),
        ...(charon !== undefined && { authentication: options.ike?.authentication ?? "psk" }),
      })),
    ],
  };
}

/** secrets.yaml for the home agent, secrets-N.yaml for each node. */
function writeSecrets(
  directory: string,
  mobiles: readonly Mobile[],
  { furtherHome }: SceneOptions,
  { nodeSecret }: IkeOptions,
): void {
  const write = (name: string, credentials: readonly object[]): void =>
    writeFileSync(join(directory, name), stringify({ credentials }), { mode: 0o600 });
  const entries = mobiles.map(({ number }) => {
    const secret = randomBytes(16).toString("hex");
    return { identity: identityOf(number), psk: secret, eapPassword: secret };
  });
  const further =
    furtherHome === true ? [{ identity: FURTHER_HOME.identity, psk: randomBytes(16).toString("hex") }] : [];
  write("secrets.yaml", [...entries, ...further]);
  entries.forEach((entry, i) => {
    const own = nodeSecret === undefined ? entry : { ...entry, psk: nodeSecret, eapPassword: nodeSecret };
    write(`secrets-${i + 1}.yaml`, i === 0 ? [own, ...further] : [own]);
  });
}

function writeKeys(path: string, mobiles: readonly Mobile[], { furtherHome }: SceneOptions): void {
  const { homeAddress } = FURTHER_HOME;
  const further =
    furtherHome === true ? [{ homeAddress, update: freshKey(0x2000), acknowledgement: freshKey(0x2001) }] : [];
  const keys = mobiles.map(({ home6, keys: { update, acknowledgement } }) => ({
    homeAddress: home6,
    update,
    acknowledgement,
  }));
  writeFileSync(path, stringify({ keys: [...keys, ...further] }), { mode: 0o600 });
}
