/** Key management of the home agent: subscribers' policies and associations in the kernel, their connections in the IKE daemon. */
import { areLent, ownPrefixes } from "../../../schemas/config/common.js";
import type { Mip6HomeAgentConfig, Mip6Subscriber } from "../../../schemas/config/home-agent.js";
import type { HomeAgentIke } from "../../../schemas/security.js";
import { InvariantError } from "../../base/errors.js";
import type { IpAddress, Ipv6Address, Prefix } from "../../base/ip.js";
import { addressPools, bootstrapName, homeAgentBootstrap } from "../../ike/bootstrapping.js";
import { connectionName, homeAddressOf, homeAgentConnection, type IkePeers } from "../../ike/connections.js";
import { type Credentials, loadCredentials } from "../../ike/credentials.js";
import type { IkeDaemonPort } from "../../ike/daemon-port.js";
import { endOlderSas } from "../../ike/duplicates.js";
import { type Entitled, endFormerSubscribers } from "../../ike/former-subscribers.js";
import { failureSentence, type NegotiationFailure } from "../../ike/negotiation-log.js";
import type { Logger } from "../../log.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import { negotiatedReqid, PURPOSES, RequestIds, reqidOf } from "../../plan/security/request-ids.js";
import {
  announcementSelector,
  HOME_AGENT_POLICY_HASH,
  planNegotiatedSubscriber,
} from "../../plan/security/subscriber.js";
import type { NodeProtection } from "../../plan/security/tunnel-associations.js";
import { type HomeAgentPlanSite, profileOf } from "../../plan/site.js";
import type { KeyManagementMovedEffect } from "../../protocol/mip6/home-agent/inputs.js";
import { KeyManagement, type KeyManagementPorts, lossOf } from "../security/key-management.js";
import type { ServiceGround } from "../service.js";

/** With so many at most home addresses are told unless the configuration says otherwise. */
const FEW_SUBSCRIBERS = 1000;

export const securityGroup = (homeAddress: Ipv6Address): string => `security ${homeAddress}`;

export class HomeAgentKeys {
  readonly #config: Mip6HomeAgentConfig;
  readonly #site: HomeAgentPlanSite;
  readonly #ground: ServiceGround;
  readonly #log: Logger;
  readonly #observed = new Map<Ipv6Address, Map<IpAddress, number>>();
  /** Nodes whose payload is protected. */
  readonly #protected: ReadonlySet<Ipv6Address>;
  readonly #byIdentity: ReadonlyMap<string, Ipv6Address>;
  #management: KeyManagement | undefined;
  #revision = 1;

  /** `replan`: what the node's binding needs of the kernel is another thing now. */
  static async open(
    config: Mip6HomeAgentConfig,
    ike: HomeAgentIke,
    credentials: Credentials,
    site: HomeAgentPlanSite,
    ground: ServiceGround,
    replan: (homeAddress: Ipv6Address) => void,
    ports?: KeyManagementPorts,
  ): Promise<HomeAgentKeys> {
    const keys = new HomeAgentKeys(config, site, ground);
    const { ipv6, ipv4 } = site.addresses;
    const addresses: readonly IpAddress[] = ipv4 === undefined ? [ipv6] : [ipv6, ipv4];
    const nodes = config.subscribers.map(({ homeAddress }) => homeAddress);
    const ids = new RequestIds(nodes, site.negotiated?.slots ?? new Map());
    keys.#management = await KeyManagement.open(
      {
        role: "home-agent",
        viciSocket: ike.viciSocket,
        negotiationLog: ike.negotiationLog,
        negotiationCounters: ground.negotiation,
        ids,
        subscribers: nodes.length,
        homeAgentAddresses: new Set(addresses),
        movement: ike.movement,
      },
      {
        onAssociations: (homeAddress) => {
          ground.groups.setGroup(securityGroup(homeAddress), keys.planSubscriber(homeAddress), ++keys.#revision);
          replan(homeAddress);
          ground.groups.commit();
        },
        onMapping: (homeAddress, { address, port }) => {
          keys.#observe(homeAddress, address, port);
          replan(homeAddress);
          ground.groups.commit();
        },
        // Only a node can start anything: it knows from where it speaks.
        onAcquire: (homeAddress, purpose) => keys.#log.debug({ event: "keys.missing", hoa: homeAddress, purpose }),
        onLost: (spent) => ground.note(lossOf(spent)),
        onUp: async (daemon) => {
          if (!(await ground.groups.recheck(HOME_AGENT_POLICY_HASH)))
            keys.#log.warn(
              { event: "charon.policy-hash" },
              "charon has set the thresholds of the policies' hash to its own, and with many subscribers the kernel stands still meanwhile; give it the spdh_thresh of the README in strongswan.conf",
            );
          await keys.#load(daemon, ike, credentials, addresses);
        },
        onDown: () => undefined,
        onFailure: (failure, leftOut) => keys.#tell(failure, leftOut),
        onIkeUp: (connection) => {
          endOlderSas(keys.management.daemon, connection).catch((error: Error) =>
            keys.#log.warn({ event: "keys.duplicates", connection, reason: error.message }),
          );
        },
      },
      ground.log,
      ports,
    );
    return keys;
  }

  private constructor(config: Mip6HomeAgentConfig, site: HomeAgentPlanSite, ground: ServiceGround) {
    this.#config = config;
    this.#site = site;
    this.#ground = ground;
    this.#log = ground.log;
    const wanted = config.subscribers.filter(({ profile }) => profileOf(site, profile).protection === "esp");
    this.#protected = new Set(wanted.map(({ homeAddress }) => homeAddress));
    this.#byIdentity = new Map(config.subscribers.map(({ identity = "", homeAddress }) => [identity, homeAddress]));
  }

  get management(): KeyManagement {
    if (this.#management === undefined) throw new InvariantError("key management is not open");
    return this.#management;
  }

  protection(homeAddress: Ipv6Address): NodeProtection {
    return {
      associations: this.management.associations(homeAddress),
      observedEsp: this.#observed.get(homeAddress),
    };
  }

  /** The node comes to a NAT: what was seen there before its return is nothing any more. */
  forgetMappings(homeAddress: Ipv6Address): void {
    this.#observed.delete(homeAddress);
  }

  /** The objects of one subscriber that do not depend on a binding. */
  planSubscriber(homeAddress: Ipv6Address): readonly KernelObject[] {
    return planNegotiatedSubscriber(homeAddress, this.management.associations(homeAddress), this.#site);
  }

  /** Tells the IKE daemon where the node is now, unless the node's does. */
  moved({ homeAddress, local, remote }: KeyManagementMovedEffect): void {
    if (this.management.hasMobike(homeAddress)) return;
    const associations = this.management.associations(homeAddress);
    const moves = PURPOSES.filter((purpose) => associations[purpose] !== undefined).map((purpose) => ({
      selector: announcementSelector(homeAddress),
      reqid: negotiatedReqid(reqidOf(homeAddress, purpose, this.#site.negotiated?.slots)),
      local,
      remote,
    }));
    this.#ground.announceMove(moves).then(
      () => this.#log.info({ event: "keys.moved", hoa: homeAddress, local, remote }),
      (error: Error) => this.#log.error({ event: "keys.unmoved", hoa: homeAddress, reason: error.message }),
    );
  }

  /** Ends the IKE SAs of all subscribers: their associations go out of the kernel with us. */
  async close(): Promise<void> {
    const { daemon } = this.management;
    const ended = [...this.#entitled().keys()];
    for (const name of ended) {
      try {
        await daemon.command("unload-conn", { name });
        await daemon.command("terminate", { ike: name, force: "yes", timeout: "-1" });
      } catch {
        // ignored: without an IKE SA there is nothing to end, and without the daemon nobody to tell
      }
    }
    this.management.close();
  }

  /** `connection` and `identity` are what the peer says; it has proved nothing yet when a negotiation fails early. */
  #tell(failure: NegotiationFailure, leftOut: number): void {
    const { connection, identity, lost } = failure;
    const homeAddress = connection === undefined ? this.#byIdentity.get(identity ?? "") : homeAddressOf(connection);
    this.#ground.note({
      event: lost ? "negotiation.lost" : "negotiation.failed",
      ...(homeAddress !== undefined && { homeAddress }),
      detail: { reason: failureSentence(failure, homeAddress), ...(leftOut > 0 && { leftOut }) },
    });
  }

  #observe(homeAddress: Ipv6Address, address: IpAddress, port: number): void {
    const known = this.#observed.get(homeAddress);
    // The present NAT and the former one are enough.
    const kept = [...(known ?? [])].filter(([other]) => other !== address).slice(-1);
    this.#observed.set(homeAddress, new Map([...kept, [address, port]]));
  }

  #entitled(): ReadonlyMap<string, Entitled> {
    const slots = this.#site.negotiated?.slots;
    const reqids = (homeAddress: Ipv6Address): Set<number> =>
      new Set(PURPOSES.map((purpose) => negotiatedReqid(reqidOf(homeAddress, purpose, slots))));
    return new Map(
      this.#config.subscribers.flatMap(({ homeAddress, identity = "" }): (readonly [string, Entitled])[] => [
        [connectionName(homeAddress), { identity, reqids: reqids(homeAddress) }],
        ...(this.#tellsHomeAddresses
          ? [[bootstrapName(homeAddress), { identity, reqids: new Set<number>() }] as const]
          : []),
      ]),
    );
  }

  /** Each connection more is work for charon whenever an IKE SA begins. */
  get #tellsHomeAddresses(): boolean {
    const { homeAgent, subscribers } = this.#config;
    return homeAgent.tellHomeAddresses ?? subscribers.length <= FEW_SUBSCRIBERS;
  }

  async #load(
    daemon: IkeDaemonPort,
    ike: HomeAgentIke,
    credentials: Credentials,
    addresses: readonly IpAddress[],
  ): Promise<void> {
    const former = await endFormerSubscribers(daemon, this.#entitled());
    if (former.length > 0)
      this.#log.warn(
        { event: "keys.former", connections: former },
        "ended: the configuration does not entitle them now",
      );
    await loadCredentials(daemon, credentials);
    for (const subscriber of this.#config.subscribers) {
      const { homeAddress, ipv4HomeAddress, identity, authentication, prefixes } = subscriber;
      if (identity === undefined) continue;
      const peers: IkePeers = {
        homeAddress,
        ipv4HomeAddress,
        prefixes: ownPrefixes(prefixes),
        pools: this.#poolsOf(subscriber),
        homeAgent: this.#site.addresses.ipv6,
        nodeIdentity: identity,
        homeAgentIdentity: ike.identity,
        authentication,
        protectPayload: this.#protected.has(homeAddress),
        slots: this.#site.negotiated?.slots ?? new Map(),
      };
      const terms = { ...ike, certificate: credentials.certificate };
      await daemon.command("load-conn", {
        [connectionName(homeAddress)]: homeAgentConnection(peers, terms, addresses),
      });
      if (!this.#tellsHomeAddresses) continue;
      for (const [name, pool] of Object.entries(addressPools(peers)))
        await daemon.command("load-pool", { [name]: pool });
      await daemon.command("load-conn", { [bootstrapName(homeAddress)]: homeAgentBootstrap(peers, terms, addresses) });
    }
    this.#log.info({ event: "charon.loaded", connections: this.#config.subscribers.length });
  }

  #poolsOf({ ipv4HomeAddress, prefixes }: Mip6Subscriber): readonly Prefix[] {
    const { ipv4Pool, prefixPool } = this.#config.homeAgent;
    return [
      ...(ipv4HomeAddress === undefined ? (ipv4Pool?.prefixes ?? []) : []),
      ...(areLent(prefixes) ? (prefixPool?.prefixes ?? []) : []),
    ];
  }
}
