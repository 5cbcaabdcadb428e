/**
 * Where the node is, of all places where it could be: at home, at a care-of address of its own, or at a foreign agent. What the kernel
 * shows of the network decides as it does for Mobile IPv6 (protocol/movement); the agents that are heard (agents.ts) are added to that.
 *
 * Home goes before everything: the home agent's own advertisement proves it, an address or network of the home subnet only says so, and is
 * not believed for a while when the home agent does not answer there (other networks have the same numbers). Then come care-of addresses of
 * the node's own, which need nobody's help, and foreign agents; whoever does not answer comes last for a while. An address that is
 * deprecated is a last resort, and so is a home link whose addresses are: the node moves while they still work.
 *
 * Must not know: registrations, sockets.
 */
import type { Ipv4Address, Prefix } from "../../../base/ip.js";
import { earliest, type Instant } from "../../../base/time.js";
import type { RouterAdvertisement } from "../../../wire/mip4/messages/agent-discovery.js";
import {
  type AttachmentSite,
  type CareOf,
  careOfPresent,
  chooseAttachment,
  homeEvidence,
  uplinkDevices,
} from "../../movement/attachment.js";
import { EMPTY_NETWORK, linkUsable, type NetworkView } from "../../movement/network-view.js";
import {
  answered,
  fallenSilent,
  isSilent,
  nextTrial,
  pausesOver,
  type Silence,
  silentNow,
  unansweredOf,
} from "../../movement/silence.js";
import { AgentList, type HeardAgent, type Hearing, placeAt } from "./agents.js";
import type { Attachment } from "./inputs.js";
import { Soliciting } from "./soliciting.js";

/** where-needed: only without a care-of address of the node's own. */
export type ForeignAgentUse = "where-needed" | "preferred" | "never";

export interface WhereaboutsSite {
  readonly homeAgent: Ipv4Address;
  readonly homeAddress?: Ipv4Address | undefined;
  /** A link with an address or network of it is the home link. Absent: the home agent's advertisements alone tell. */
  readonly homeSubnet?: Prefix | undefined;
  /** Absent: every link that is not ours. */
  readonly interfaces?: string[] | undefined;
  readonly foreignAgents: ForeignAgentUse;
}

export class Whereabouts {
  readonly #site: WhereaboutsSite;
  readonly #agents = new AgentList();
  readonly #soliciting = new Soliciting();
  #view: NetworkView = EMPTY_NETWORK;
  #silences: readonly Silence[] = [];
  #present: Attachment | undefined;
  /** The node's own, or lent to it. */
  #homeAddress: Ipv4Address | undefined;
  /** Its own, or the one that was found. */
  #homeAgent: Ipv4Address;

  constructor(site: WhereaboutsSite) {
    this.#site = site;
    this.#homeAddress = site.homeAddress;
    this.#homeAgent = site.homeAgent;
  }

  get agents(): readonly HeardAgent[] {
    return this.#agents.agents();
  }

  /** The place that was last chosen. */
  get present(): Attachment | undefined {
    return this.#present;
  }

  /** When `expire` has something to do, or `solicitations`. */
  get nextDeadline(): Instant | undefined {
    return earliest(this.#agents.nextDeadline, this.#soliciting.nextDeadline, nextTrial(this.#silences));
  }

  /** What registrations have taught. */
  know(homeAddress: Ipv4Address | undefined, homeAgent: Ipv4Address): void {
    this.#homeAddress = homeAddress;
    this.#homeAgent = homeAgent;
  }

  see(view: NetworkView, now: Instant): void {
    for (const link of this.#view.links) {
      const after = view.links.find(({ name }) => name === link.name);
      const same = after !== undefined && linkUsable(view, link.name) && after.carrierChanges === link.carrierChanges;
      if (!same) this.#agents.forget(link.name);
    }
    this.#view = view;
    this.#silences = this.#silences.filter(
      ({ careOf }) => careOfPresent(view, careOf) || this.#isAgent(careOf) || this.#isHome(careOf, view),
    );
    this.#soliciting.follow(
      view.links.filter(({ name, ours }) => !ours && name !== "lo" && linkUsable(view, name) && this.#mayUse(name)),
      now,
    );
  }

  /** Of one that is not on a link of ours nothing is remembered. */
  hear(
    device: string,
    source: Ipv4Address,
    message: RouterAdvertisement,
    now: Instant,
    linkLayerAddress?: string,
  ): Hearing {
    const link = this.#view.links.find(({ name }) => name === device);
    if (link === undefined || link.ours || !this.#mayUse(device)) return "ignored";
    return this.#agents.hear(device, source, message, now, linkLayerAddress);
  }

  /** So many requests from the present place were not answered: another one is worth more. */
  unanswered(requests: number, now: Instant): void {
    const careOf = this.#present === undefined ? undefined : nameOf(this.#present, this.#homeAgent);
    if (careOf !== undefined) this.#silences = fallenSilent(this.#silences, careOf, requests, now);
  }

  answered(now: Instant): void {
    const careOf = this.#present === undefined ? undefined : nameOf(this.#present, this.#homeAgent);
    if (careOf !== undefined) this.#silences = answered(this.#silences, careOf, now);
  }

  /** Takes out what is over, and chooses. */
  place(now: Instant): Attachment | undefined {
    for (const { device } of this.#agents.expire(now)) this.#soliciting.again(device, now);
    this.#silences = pausesOver(this.#silences, now);
    const before = this.#present;
    this.#present = this.#choose(now);
    if (before !== undefined && this.#present === undefined)
      for (const { name } of this.#view.links) this.#soliciting.again(name, now);
    return this.#present;
  }

  /** The links on which agents are to be solicited now. `random` is in [0, 1). */
  solicitations(now: Instant, random: number): readonly string[] {
    const needs = (device: string): boolean => !this.#agents.agents().some((agent) => agent.device === device);
    return this.#soliciting.due(now, random, needs, this.#present === undefined);
  }

  #mayUse(device: string): boolean {
    return this.#site.interfaces?.includes(device) ?? true;
  }

  #choose(now: Instant): Attachment | undefined {
    const agents = this.#usableAgents();
    const advertised = agents.map((agent) => placeAt(agent, this.#homeAgent, { registered: true }));
    const home = advertised.find((place) => place?.kind === "home") ?? this.#homeBySubnet("present", now);
    if (home !== undefined) return home;
    const candidates = [this.#coLocated(agents, now), ...this.#atAgents(agents)].filter((one) => one !== undefined);
    let best: { readonly place: Attachment; readonly rank: readonly number[] } | undefined;
    for (const place of candidates) {
      const rank = this.#rank(place, now);
      if (best === undefined || compare(rank, best.rank) < 0) best = { place, rank };
    }
    const isGood =
      best !== undefined &&
      !isSilent(this.#silences, nameOf(best.place, this.#homeAgent), now) &&
      !this.#isDeprecated(best.place);
    const left = isGood ? undefined : this.#homeBySubnet("deprecated", now);
    return left ?? best?.place;
  }

  #usableAgents(): readonly HeardAgent[] {
    return this.#agents.agents().filter(({ device }) => linkUsable(this.#view, device));
  }

  #homeBySubnet(evidence: "present" | "deprecated", now: Instant): Attachment | undefined {
    const site = this.#attachmentSite(true);
    if (site.homePrefixes.length === 0) return undefined;
    const link = this.#view.links.find(
      ({ name, ours }) =>
        !ours &&
        this.#mayUse(name) &&
        linkUsable(this.#view, name) &&
        homeEvidence(this.#view, site, name) === evidence &&
        !this.#isSilentHome(name, now),
    );
    return link === undefined ? undefined : { kind: "home", device: link.name };
  }

  #isSilentHome(device: string, now: Instant): boolean {
    return isSilent(this.#silences, homeName(device, this.#homeAgent), now);
  }

  /** The best care-of address of the node's own; through the agent of its link that demands it. */
  #coLocated(agents: readonly HeardAgent[], now: Instant): Attachment | undefined {
    const present = this.#present;
    const memory = {
      present:
        present?.kind === "co-located"
          ? ({ kind: "away", careOf: { family: 4, address: present.address, device: present.device } } as const)
          : undefined,
      silent: silentNow(this.#silences, now),
    };
    const chosen = chooseAttachment(this.#view, this.#attachmentSite(false), memory);
    if (chosen?.kind !== "away" || chosen.careOf.family !== 4) return undefined;
    const { address: own, device } = chosen.careOf;
    const demanding = agents.filter((agent) => agent.device === device && agent.flags.registrationRequired);
    for (const agent of demanding) {
      const place = placeAt(agent, this.#homeAgent, { own, registered: this.#isWith(agent) });
      if (place !== undefined) return place;
    }
    return { kind: "co-located", device, address: own };
  }

  #atAgents(agents: readonly HeardAgent[]): readonly Attachment[] {
    if (this.#site.foreignAgents === "never") return [];
    return agents.flatMap((agent) => {
      const place = placeAt(agent, this.#homeAgent, { registered: this.#isWith(agent) });
      return place?.kind === "foreign-agent" ? [place] : [];
    });
  }

  #isWith({ address, device }: HeardAgent): boolean {
    const present = this.#present;
    if (present === undefined || present.kind === "home" || present.device !== device) return false;
    const agent = present.kind === "foreign-agent" ? present.agent : present.through;
    return agent?.address === address;
  }

  /** The network has said that it goes. */
  #isDeprecated(place: Attachment): boolean {
    if (place.kind !== "co-located") return false;
    const { addresses } = this.#view;
    return addresses.some(
      ({ address, device, deprecated }) => address === place.address && device === place.device && deprecated,
    );
  }

  /** Compared from the left; the lower one is better. */
  #rank(place: Attachment, now: Instant): readonly number[] {
    const careOf = nameOf(place, this.#homeAgent);
    const silent = isSilent(this.#silences, careOf, now);
    const order = this.#site.interfaces?.indexOf(place.device) ?? 0;
    const isAgents = place.kind === "foreign-agent";
    const stays = this.#present !== undefined && sameName(nameOf(this.#present, this.#homeAgent), careOf);
    return [
      Number(silent),
      silent ? unansweredOf(this.#silences, careOf) : 0,
      Number(this.#isDeprecated(place)),
      Number(isAgents !== (this.#site.foreignAgents === "preferred")),
      order,
      Number(!stays),
    ];
  }

  /** `believesSubnet`: addresses of the home subnet are those of home, and none to be away at. */
  #attachmentSite(believesSubnet: boolean): AttachmentSite {
    const { homeSubnet, interfaces } = this.#site;
    return {
      homePrefixes: believesSubnet && homeSubnet !== undefined ? [homeSubnet] : [],
      homeFamily: 4,
      homeAgent: { ipv4: this.#homeAgent },
      ipv4HomeAddress: this.#homeAddress,
      interfaces,
    };
  }

  #isHome({ address, device }: CareOf, view: NetworkView): boolean {
    return address === this.#homeAgent && linkUsable(view, device);
  }

  #isAgent({ address, device }: CareOf): boolean {
    return this.#agents.agents().some((agent) => agent.address === address && agent.device === device);
  }

  /** Links that may carry the tunnel, or are home. */
  uplinks(): ReadonlySet<string> {
    const agents = this.#usableAgents().map(({ device }) => device);
    return new Set([...uplinkDevices(this.#view, this.#attachmentSite(true)), ...agents]);
  }
}

/** Under which silence is remembered: a foreign agent by its own address, a home link by the home agent's. */
function nameOf(place: Attachment, homeAgent: Ipv4Address): CareOf {
  const { device } = place;
  if (place.kind === "home") return homeName(device, homeAgent);
  return { family: 4, device, address: place.kind === "co-located" ? place.address : place.agent.address };
}

const homeName = (device: string, homeAgent: Ipv4Address): CareOf => ({ family: 4, device, address: homeAgent });

const sameName = (a: CareOf, b: CareOf): boolean => a.address === b.address && a.device === b.device;

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [i, left] of a.entries()) {
    const right = b[i] ?? left;
    if (left !== right) return left - right;
  }
  return 0;
}
