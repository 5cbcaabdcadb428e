/** Key management of the mobile node: one home agent, one IKE SA that follows the care-of address. */
import { areLent, ownPrefixes } from "../../../schemas/config/common.js";
import { type MobileNodeConfig, ownAddress } from "../../../schemas/config/mobile-node.js";
import type { MobileNodeIke } from "../../../schemas/security.js";
import { InvariantError } from "../../base/errors.js";
import { IPV4_ANY, IPV6_ANY, type IpAddress, isIpv6, type Prefix } from "../../base/ip.js";
import { isComplete } from "../../ike/associations.js";
import { connectionName, homeAddressOf, type IkePeers, mobileNodeConnection } from "../../ike/connections.js";
import { type Credentials, loadCredentials } from "../../ike/credentials.js";
import { IkeInitiator, type Wanted } from "../../ike/initiator.js";
import { everywhere } from "../../plan/endpoints.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import { ikeRoute } from "../../plan/security/ike-way.js";
import {
  NO_SLOTS,
  negotiatedReqid,
  PURPOSES,
  type Purpose,
  RequestIds,
  reqidOf,
} from "../../plan/security/request-ids.js";
import { announcementSelector, planNegotiatedNode } from "../../plan/security/subscriber.js";
import type { Associations, MobileNodePlanSite } from "../../plan/site.js";
import type { MobileNodeDataPath } from "../../protocol/mip6/mobile-node/inputs.js";
import type { CareOf } from "../../protocol/movement/attachment.js";
import { textAt } from "../../vici/section.js";
import { clock } from "../clock.js";
import { KeyManagement, type KeyManagementPorts, lossOf } from "../security/key-management.js";
import { listIkeSas } from "../security/view.js";
import type { ServiceGround } from "../service.js";
import { sendNothing } from "./opening.js";

export const NODE_SECURITY_GROUP = "security";
/** Time enough for charon's MOBIKE exchange and some repetitions. */
const MOBIKE_MS = 5000;
const NO_MOBIKE =
  'the home agent has not agreed on MOBIKE, so the IKE SA moves with the binding update; security.movement "mobike" there changes that';

export interface MobileNodeKeysListener {
  /** What the data path needs of the kernel is another thing now. */
  readonly replan: () => void;
  readonly onFailure: (reason: string) => void;
}

export class MobileNodeKeys {
  readonly #site: MobileNodePlanSite;
  readonly #ground: ServiceGround;
  readonly #purposes: readonly Purpose[];
  #management: KeyManagement | undefined;
  #initiator: IkeInitiator | undefined;
  #revision = 1;
  /** From where charon is led to speak. */
  #ikeEnd: IpAddress | undefined;
  #cancelCheck = (): void => undefined;

  static async open(
    config: MobileNodeConfig,
    ike: MobileNodeIke,
    credentials: Credentials,
    site: MobileNodePlanSite,
    ground: ServiceGround,
    listener: MobileNodeKeysListener,
    ports?: KeyManagementPorts,
  ): Promise<MobileNodeKeys> {
    const keys = new MobileNodeKeys(site, ground);
    const { homeAddress, homeAgent } = config.mobileNode;
    const addresses = new Set<IpAddress>(
      homeAgent.ipv4 === undefined ? [homeAgent.ipv6] : [homeAgent.ipv6, homeAgent.ipv4],
    );
    const management = await KeyManagement.open(
      {
        role: "mobile-node",
        viciSocket: ike.viciSocket,
        negotiationLog: ike.negotiationLog,
        negotiationCounters: ground.negotiation,
        ids: new RequestIds([homeAddress], NO_SLOTS),
        subscribers: 1,
        homeAgentAddresses: addresses,
        movement: ike.movement,
      },
      {
        onAssociations: () => keys.#associationsChanged(listener),
        onMapping: () => undefined,
        onLost: (spent) => ground.note(lossOf(spent)),
        onAcquire: (_, purpose) => keys.#initiator?.demand(purpose),
        onFailure: ({ connection, proved, lost, reason, remedy }) => {
          // What goes wrong before, the initiator tells, with the same words.
          if (!proved) return;
          // charon's log is one for all home addresses of the node.
          const about = connection === undefined ? undefined : homeAddressOf(connection);
          if (about !== undefined && about !== homeAddress) return;
          const event = lost ? "negotiation.lost" : "negotiation.failed";
          const sentence = `IKE with ${ike.homeAgentIdentity} as ${ike.identity} ${lost ? "is over" : "failed"}: ${reason}; ${remedy}`;
          ground.note({ event, homeAddress, detail: { reason: sentence } });
        },
        onUp: async (daemon) => {
          await loadCredentials(daemon, credentials);
          await keys.#initiator?.daemonUp();
          keys.management.orphan(await keys.#initiator?.spis());
        },
        onDown: ({ message }) => {
          keys.#initiator?.daemonDown();
          ground.note({ event: "registration.failed", homeAddress, detail: { reason: message } });
        },
      },
      ground.log,
      ports,
    );
    keys.#management = management;
    const peers = peersOf(config, ike, site);
    const terms = { ...ike, certificate: credentials.certificate };
    keys.#initiator = new IkeInitiator({
      daemon: management.daemon,
      name: connectionName(homeAddress),
      setTimer: clock.setTimer,
      connection: (ends) => mobileNodeConnection(peers, terms, ends),
      protectPayload: peers.protectPayload,
      keepsKnown: site.mobike !== true, // whether it has MOBIKE was said when it came up
      isComplete: () => keys.complete,
      onFailure: (reason) =>
        listener.onFailure(`IKE with ${ike.homeAgentIdentity} as ${ike.identity} failed: ${reason}`),
      onRefusal: (purpose, reason) =>
        ground.log.warn({ event: "keys.refused", hoa: homeAddress, purpose, peer: ike.homeAgentIdentity, reason }),
    });
    return keys;
  }

  private constructor(site: MobileNodePlanSite, ground: ServiceGround) {
    this.#site = site;
    this.#ground = ground;
    this.#purposes = site.profile.protection === "esp" ? ["signalling", "payload"] : ["signalling"];
  }

  get management(): KeyManagement {
    if (this.#management === undefined) throw new InvariantError("key management is not open");
    return this.#management;
  }

  get associations(): Associations {
    return this.management.associations(this.#site.homeAddress);
  }

  /** Updates can be protected, and payload where that is asked for. */
  get complete(): boolean {
    return isComplete(this.associations, this.#purposes);
  }

  plan() {
    return planNegotiatedNode(this.#site, this.associations);
  }

  /**
   * The data path's part for IKE. A home agent without MOBIKE is told by the acceptance where the IKE SA lies, so until then IKE stays
   * where it was: charon would take another way for the loss of this one and begin anew.
   */
  ikeWay({ ikeEnd, egress }: MobileNodeDataPath): readonly KernelObject[] {
    const follows = this.management.hasMobike(this.#site.homeAddress) || !this.complete;
    const end = follows ? ikeEnd : egress;
    this.#ikeEnd = end?.address;
    return ikeRoute(end, this.#site);
  }

  secure(careOf: CareOf): void {
    const ends = this.#endsFrom(careOf);
    if (ends !== undefined) this.#initiator?.secure(ends);
  }

  /** At home: what is there is kept, and nothing is negotiated from the care-of address of before. */
  rest(): void {
    this.#initiator?.rest();
  }

  /** The home agent has accepted the care-of address; its IKE daemon has followed (`moved`) or the IKE SA is made anew. */
  accepted(careOf: CareOf, moved: boolean): void {
    const ends = this.#endsFrom(careOf);
    if (ends === undefined) return;
    this.#showOurselves(careOf);
    const before = this.#initiator?.moveTo(ends);
    if (this.management.hasMobike(this.#site.homeAddress)) {
      this.#cancelCheck();
      this.#cancelCheck = clock.setTimer(MOBIKE_MS, () => void this.#checkMoved(ends.careOf));
      return;
    }
    if (before === undefined) return;
    if (this.#site.mobike === true)
      this.#ground.log.warn({ event: "keys.mobike", hoa: this.#site.homeAddress, reason: NO_MOBIKE });
    if (!moved) {
      this.#initiator?.renegotiate(ends);
      return;
    }
    const { homeAddress } = this.#site;
    const { associations } = this;
    const moves = PURPOSES.filter((purpose) => associations[purpose] !== undefined).map((purpose) => ({
      selector: announcementSelector(homeAddress),
      reqid: negotiatedReqid(reqidOf(homeAddress, purpose)),
      local: ends.careOf,
      remote: ends.homeAgent,
    }));
    const { log } = this.#ground;
    this.#ground.announceMove(moves).then(
      () => log.info({ event: "keys.moved", hoa: homeAddress, local: ends.careOf, remote: ends.homeAgent }),
      (error: Error) => log.error({ event: "keys.unmoved", hoa: homeAddress, reason: error.message }),
    );
  }

  async close(): Promise<void> {
    this.#cancelCheck();
    await this.#initiator?.close();
    this.management.close();
  }

  /** charon moves by settings of its own, which nobody but a person can change. */
  async #checkMoved(careOf: IpAddress): Promise<void> {
    const { homeAddress } = this.#site;
    const sas = await listIkeSas(this.management.daemon);
    const local = textAt({ ...sas?.get(connectionName(homeAddress)) }, "local-host");
    if (local === undefined || local === careOf || this.#ikeEnd !== careOf) return;
    const reason = `charon has not moved its IKE SA from ${local} to ${careOf}: give it the settings for security.movement "mobike" (README), or choose "migrate"`;
    this.#ground.log.error({ event: "keys.unmoved", hoa: homeAddress, reason });
  }

  #endsFrom({ address, family }: CareOf): Wanted | undefined {
    const homeAgent = family === 6 ? this.#site.homeAgent.ipv6 : this.#site.homeAgent.ipv4;
    return homeAgent === undefined ? undefined : { careOf: address, homeAgent };
  }

  #associationsChanged({ replan }: MobileNodeKeysListener): void {
    this.#ground.groups.setGroup(NODE_SECURITY_GROUP, this.plan(), ++this.#revision);
    replan();
    this.#ground.groups.commit();
  }

  /**
   * One packet through the tunnel: only by ESP does the home agent learn the port that a NAT gives ours (RFC 5555 §5.1), and a node that
   * just listens would send none. To the home link's routers, which drop it; it also keeps the NAT's mapping alive.
   */
  #showOurselves({ family }: CareOf): void {
    if (family === 6 || this.#site.profile.protection !== "esp") return;
    const prefix = this.#site.homePrefixes.find(({ address }) => isIpv6(address));
    if (prefix !== undefined) sendNothing(this.#site.homeAddress, prefix.address);
  }
}

/** Whatever the home agent lends: it narrows this to its pools. */
function poolsOf({ mobileNode: { ipv4HomeAddress, prefixes, prefixLengths } }: MobileNodeConfig): readonly Prefix[] {
  const lendsAddress = ipv4HomeAddress === "dynamic" || ipv4HomeAddress === "from-prefix";
  const lendsNetworks = areLent(prefixes);
  return [
    ...(lendsAddress || (lendsNetworks && prefixLengths.ipv4.length > 0) ? [everywhere(IPV4_ANY)] : []),
    ...(lendsNetworks && prefixLengths.ipv6.length > 0 ? [everywhere(IPV6_ANY)] : []),
  ];
}

function peersOf(config: MobileNodeConfig, ike: MobileNodeIke, site: MobileNodePlanSite): IkePeers {
  const { homeAddress, ipv4HomeAddress, homeAgent, prefixes } = config.mobileNode;
  return {
    homeAddress,
    ipv4HomeAddress: ownAddress(ipv4HomeAddress),
    prefixes: ownPrefixes(prefixes),
    pools: poolsOf(config),
    homeAgent: homeAgent.ipv6,
    nodeIdentity: ike.identity,
    homeAgentIdentity: ike.homeAgentIdentity,
    authentication: ike.authentication,
    protectPayload: site.profile.protection === "esp",
    slots: NO_SLOTS,
  };
}
