/**
 * Route optimisation of a mobile node at work (RFC 6275 §11): the machine, the kernel's questions, the groups of its pairs, and messages by
 * the ways of signalling. A part of the node's service, for one home address.
 */
import type { MobileNodeConfig } from "../../../../schemas/config/mobile-node.js";
import type { CommandDocument, CorrespondentDocument } from "../../../../schemas/control.js";
import { MobilityError } from "../../../base/errors.js";
import { type IpAddress, type Ipv6Address, isIpv4 } from "../../../base/ip.js";
import { exhaustive } from "../../../base/result.js";
import { seq16 } from "../../../base/seq16.js";
import { type Instant, seconds } from "../../../base/time.js";
import type { DirectPair } from "../../../kernel/xfrm/last-used.js";
import { TUNNEL_PREFIX } from "../../../plan/mobile-node/addresses.js";
import type { KernelObject } from "../../../plan/objects/objects.js";
import { HOME_TEST_PREFIX } from "../../../plan/route-optimisation/ipv4/names.js";
import { boundBy, planPair } from "../../../plan/route-optimisation/pair.js";
import { demandReqid } from "../../../plan/route-optimisation/site.js";
import type { MobileNodePlanSite } from "../../../plan/site.js";
import type { Arrival, Departure } from "../../../protocol/mip6/inputs.js";
import type {
  CorrespondentSendEffect,
  DirectPath,
  Whereabouts,
} from "../../../protocol/mip6/mobile-node/correspondents/inputs.js";
import {
  type CorrespondentsEffect,
  type CorrespondentsInput,
  type CorrespondentsSite,
  type CorrespondentsState,
  initialCorrespondents,
  nextDeadline,
  step,
} from "../../../protocol/mip6/mobile-node/correspondents/machine.js";
import { ipv4Of } from "../../../protocol/mip6/mobile-node/correspondents/modes.js";
import { sameWhereabouts } from "../../../protocol/mip6/mobile-node/correspondents/whereabouts.js";
import type { LocalEndpoint, MobileNodeDataPath } from "../../../protocol/mip6/mobile-node/inputs.js";
import { bindingManagementKey } from "../../../protocol/mip6/return-routability/tokens.js";
import type { GroupResult } from "../../../reconcile/reconciler.js";
import type { MobilityMessage } from "../../../wire/mip6/messages/mobility-message.js";
import { COOKIE_OCTETS } from "../../../wire/mip6/messages/types.js";
import { findOption } from "../../../wire/mip6/options/mobility.js";
import type { CodecContext } from "../../../wire/mip6/profile.js";
import { MachineLoop, monotonicNow } from "../../machine-loop.js";
import { type PairEnds, PairGroups } from "../../route-optimisation/pair-groups.js";
import type { ServiceGround } from "../../service.js";
import { isAuthorizedBy, withAuthenticator } from "../../signalling/binding-authorization.js";
import { refused } from "../commands.js";
import { NodeDemand } from "./demand.js";
import type { CorrespondentPorts, DirectStates } from "./ports.js";
import { correspondentDocuments } from "./view.js";

export interface CorrespondentsParts {
  readonly config: MobileNodeConfig;
  readonly ground: ServiceGround;
  readonly ports: CorrespondentPorts;
  /** The present ones. */
  readonly planSite: () => MobileNodePlanSite;
  readonly path: () => MobileNodeDataPath | undefined;
}

/** Of keys in the journal; no service's own key begins so. */
const RECORD = "correspondent:";

export class NodeCorrespondents {
  readonly #parts: CorrespondentsParts;
  readonly #homeAddress: Ipv6Address;
  readonly #homeAgent: Ipv6Address;
  readonly #loop: MachineLoop<CorrespondentsInput, CorrespondentsEffect>;
  /** What the node wants of the kernel for each pair, and what it wants there as the other's correspondent. */
  readonly pairs: PairGroups;
  readonly #demand: NodeDemand;
  /** Of what is read and written: the draft's option has the type that both ends agree on (C-41). */
  readonly #codec: CodecContext;
  readonly #open: { close(): void }[] = [];
  #states: DirectStates | undefined;
  #state: CorrespondentsState;
  #said: Whereabouts = { kind: "between" };
  #stopped: (() => void) | undefined;
  #closed = false;

  constructor(parts: CorrespondentsParts, wishes: NonNullable<MobileNodeConfig["mobileNode"]["routeOptimisation"]>) {
    const { config, ground, ports } = parts;
    const { homeAddress, homeAgent, previousCareOfGraceSeconds } = config.mobileNode;
    this.#parts = parts;
    this.#homeAddress = homeAddress;
    this.#homeAgent = homeAgent.ipv6;
    this.pairs = new PairGroups({ groups: ground.groups, plan: (other, ends) => this.#pairObjects(other, ends) });
    this.pairs.onAnswered("direct", (correspondent, revision, failure) => {
      const refused = failure === undefined ? {} : { failure: failure.message };
      this.#loop.push({ kind: "programmed", homeAddress, correspondent, revision, ...refused });
    });
    const [high = 0, low = 0] = ports.random(2);
    const { ipv4 } = wishes;
    this.#codec = ipv4 === undefined ? {} : { profile: { roModeType: ipv4.optionType } };
    const site: CorrespondentsSite = {
      ...{ homeAddress, homeAgent: homeAgent.ipv6, allow: wishes.allow, deny: wishes.deny, maximum: wishes.maximum },
      minimumAge: seconds(wishes.minimumAgeSeconds),
      idle: seconds(wishes.idleSeconds),
      grace: seconds(previousCareOfGraceSeconds),
      ...(ipv4 !== undefined && {
        ipv4: {
          correspondents: ipv4.correspondents,
          mode: ipv4.modes.ipv4CareOf,
          natKeepalive: seconds(config.mobileNode.natKeepaliveSeconds),
        },
      }),
    };
    this.#state = initialCorrespondents(site, seq16((high << 8) | low));
    this.#demand = new NodeDemand({
      ...{ site, planSite: parts.planSite, groups: ground.groups },
      isDirect: (correspondent) => this.pairs.get(correspondent).direct !== undefined,
    });
    this.#loop = new MachineLoop<CorrespondentsInput, CorrespondentsEffect>(
      { step: (input, now) => this.#step(input, now), nextDeadline: () => nextDeadline(this.#state, monotonicNow()) },
      { kind: "timer" },
      {
        perform: (effect) => this.#perform(effect),
        flush: () => ground.flush(),
        turnEnded: () => ground.groups.commit(),
      },
    );
  }

  /** Takes up what the journal kept, so that a restart adopts the paths; told where the node is before anything else happens. */
  prepare(whereabouts: Whereabouts): ReadonlyMap<string, readonly KernelObject[]> {
    const { records } = this.#parts.ground;
    for (const [key, { record, ageSeconds }] of [...records.entries()].filter(([key]) => key.startsWith(RECORD))) {
      this.#prepareWith({ kind: "restore", record, ageSeconds });
      // What has ended meanwhile nobody else forgets.
      if (!this.#state.entries.has(key.slice(RECORD.length) as IpAddress)) records.append(key, null);
    }
    this.#said = whereabouts;
    this.#demand.see(whereabouts);
    this.#prepareWith({ kind: "whereabouts", whereabouts });
    return new Map([...this.pairs.prepare(), ...this.#demand.groups()]);
  }

  #prepareWith(input: CorrespondentsInput): void {
    for (const effect of this.#step(input, monotonicNow())) {
      if (effect.kind === "direct-path") this.#setPath(effect.path);
      else if (effect.kind === "no-direct-path") this.pairs.set("direct", effect.correspondent, undefined);
    }
  }

  begin(): void {
    const { ports, ground } = this.#parts;
    const { homeAddress } = this.#state.site;
    this.pairs.begin();
    try {
      this.#open.push(
        ports.watchProblems(({ source, destination }) => {
          if (source === destination) this.#loop.push({ kind: "unsupported", homeAddress, correspondent: source });
        }),
      );
      this.#states = ports.openStates();
      this.#demand.use(this.#states);
      this.#open.push(this.#states);
      // The last one, for without it nothing begins.
      this.#open.push(
        ports.watchDemand(
          (demand) => {
            const { correspondent } = demand;
            if (this.#demand.isOurs(demand)) this.#loop.push({ kind: "demand", homeAddress, correspondent });
          },
          () => this.#demand.askAgain(),
        ),
      );
    } catch (error) {
      ground.log.error({
        event: "route-optimisation.off",
        reason: error instanceof Error ? error.message : String(error),
      });
    }
  }

  /** Where the node is, as often as it may have changed. */
  see(whereabouts: Whereabouts): void {
    if (sameWhereabouts(whereabouts, this.#said)) return;
    this.#said = whereabouts;
    this.#loop.push({ kind: "whereabouts", whereabouts });
    this.#demand.see(whereabouts);
    for (const other of this.pairs.others("bound")) this.pairs.replan(other);
    this.#demand.plan();
  }
  get said(): Whereabouts {
    return this.#said;
  }

  /** The node's own path is another one: what stands on it is planned anew. */
  replan(): void {
    for (const { direct } of [...this.pairs.others("direct")].map((other) => this.pairs.get(other)))
      if (direct !== undefined) this.#setPath(direct);
  }

  /** Whether the message is from a correspondent. What the home agent sends is the node's own. */
  hears(message: MobilityMessage, arrival: Arrival, octets: Uint8Array): boolean {
    if (!isOfCorrespondents(message) || arrival.source === this.#homeAgent) return false;
    const correspondent = arrival.source;
    this.#loop.push({
      kind: "message",
      arrival,
      message,
      throughHomeAgent: this.#cameThroughHomeAgent(message, arrival),
      isAuthorized: ({ home, careOf }, registered) =>
        isAuthorizedBy(octets, bindingManagementKey(home, careOf), { careOf: registered, correspondent }, this.#codec),
    });
    return true;
  }

  /** Of a message to a care-of address: whether this home address has asked for it. */
  awaits(message: MobilityMessage, { source }: Arrival): boolean {
    if (message.type === "binding-error") return message.homeAddress === this.#homeAddress;
    if (message.type !== "care-of-test") return false;
    const cookies = this.#state.entries.get(source)?.careOfTest.cookies ?? [];
    return cookies.some((cookie) => cookie.every((octet, i) => octet === message.cookie[i]));
  }

  /** Whether this is an address of a correspondent that may speak in UDP: nothing else of it is proved. */
  speaksInClear(source: Ipv6Address): boolean {
    return ipv4Of(this.#state.site, source) !== undefined;
  }
  get modeOptionType(): number | undefined {
    return this.#codec.profile?.roModeType;
  }

  /**
   * Out of a tunnel device, whose other end the kernel checks. Where keys protect the procedure, or all payload, no policy lets a Home Test
   * pass that was not in ESP. One for the IPv4 home address has had an IPv4 header besides, and nothing else proves that address: the firewall
   * lets to the device that takes it off only what has come out of that tunnel.
   */
  #cameThroughHomeAgent(message: MobilityMessage, { path, destination }: Arrival): boolean {
    if (path.type !== "native" || path.routingHeaderHomeAddress !== undefined) return false;
    const isOfIpv4 = message.type === "home-test" && findOption(message.options, "ipv4-home-address") !== undefined;
    if (isOfIpv4) return path.device.startsWith(HOME_TEST_PREFIX);
    if (path.device.startsWith(TUNNEL_PREFIX)) return true;
    const { negotiated, profile } = this.#parts.planSite();
    return destination === this.#homeAddress && (negotiated === true || profile.protection === "esp");
  }

  /** Whether the group is one of these. */
  onGroupResult(result: GroupResult): boolean {
    const { group, failure } = result;
    const isOurs = this.pairs.onGroupResult(result) || NodeDemand.owns(group);
    if (failure !== undefined && isOurs)
      this.#parts.ground.log.error({ event: "object.failed", hoa: this.#homeAddress, reason: failure.message });
    return isOurs;
  }

  /** By their names. */
  groups(): ReadonlyMap<string, readonly KernelObject[]> {
    return new Map([...this.pairs.groups(), ...this.#demand.groups()]);
  }

  view(): readonly CorrespondentDocument[] {
    return correspondentDocuments(this.#state, monotonicNow());
  }

  /** An operator's word: bindings are taken back, and failures count no more; of one correspondent or of all. Rejects with MobilityError. */
  forget(correspondent?: Ipv6Address): Promise<CommandDocument> {
    const { pairs, pauses, site } = this.#state;
    const four = correspondent && ipv4Of(site, correspondent);
    const isKnown = correspondent === undefined || pairs.has(correspondent) || pauses.has(correspondent);
    if (!isKnown && (four === undefined || !pauses.has(four)))
      return refused(`${correspondent} is no correspondent of ${this.#homeAddress} just now`);
    this.#loop.push({ kind: "forget", ...(correspondent !== undefined && { correspondent }) });
    return Promise.resolve({ command: "forget-correspondent", nodes: 1, outcome: "begun", status: null });
  }

  /** Takes all bindings back, as far as that goes in a few seconds. */
  stop(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#stopped = resolve;
      this.#loop.push({ kind: "stop" });
    });
  }

  /** The kernel keeps what the journal gives to who comes after it, with another home agent perhaps; of the rest nobody would know. */
  close(): void {
    this.#demand.close();
    const bound = new Set([...this.#state.entries.values()].flatMap((one) => (one.binding ? [one.correspondent] : [])));
    for (const one of [...this.pairs.others("direct")]) if (!bound.has(one)) this.pairs.set("direct", one, undefined);
    this.#closed = true;
    this.#loop.close();
    for (const one of this.#open.splice(0)) one.close();
    this.#stopped?.();
  }

  #step(input: CorrespondentsInput, now: Instant): readonly CorrespondentsEffect[] {
    const next = step(this.#state, input, now, () => this.#parts.ports.random(COOKIE_OCTETS));
    this.#state = next.state;
    return next.effects;
  }

  #perform(effect: CorrespondentsEffect): void {
    const { ground } = this.#parts;
    switch (effect.kind) {
      case "send":
        return this.#send(effect);
      case "direct-path":
        this.#setPath(effect.path);
        return this.#planSilences(effect.path.correspondent);
      case "no-direct-path":
        this.pairs.set("direct", effect.correspondent, undefined);
        return this.#planSilences(effect.correspondent);
      case "silence":
        this.#demand.silence(effect.correspondent, effect.silent);
        return isIpv4(effect.correspondent) ? undefined : this.#replanBound(effect.correspondent);
      case "ask-again":
        return this.#demand.askAgain(effect.unanswered);
      case "ask-usage":
        return void this.#askUsage();
      case "journal":
        return ground.records.append(RECORD + effect.correspondent, effect.record);
      case "notify":
        return ground.notify(effect);
      case "drop":
        return ground.drop(effect.reason, effect.detail);
      case "stopped":
        return this.#stopped?.();
      default:
        return exhaustive(effect);
    }
  }

  #send({ authorization, ...effect }: CorrespondentSendEffect): void {
    const { message, destination, departure, source } = effect;
    const pinned = this.#pinned(departure, source);
    if (authorization === undefined) return this.#parts.ground.send({ ...effect, departure: pinned });
    const { tokens, careOf } = authorization;
    const key = bindingManagementKey(tokens.home, tokens.careOf);
    const authorized = withAuthenticator(message, key, { careOf, correspondent: destination }, this.#codec);
    this.#parts.ground.send({ ...effect, departure: pinned, message: authorized });
  }

  /** What leaves from a care-of address goes by the link that the address belongs to, whatever the main table prefers. */
  #pinned(departure: Departure, source: Ipv6Address): Departure {
    if (departure.type !== "native-direct" && departure.type !== "over-ipv4") return departure;
    const careOf = departure.type === "over-ipv4" ? departure.localAddress : source;
    const device = this.#uplinkOf(careOf)?.device;
    return device === undefined ? departure : { ...departure, device };
  }

  #uplinkOf(careOf: IpAddress): LocalEndpoint | undefined {
    return this.#parts.path()?.ingress.find(({ address }) => address === careOf);
  }

  #pairObjects(other: Ipv6Address, { direct: path, bound }: PairEnds): readonly KernelObject[] {
    const site = this.#parts.planSite();
    const formerUplinks = (path?.formerIpv4 ?? []).flatMap((one) => this.#uplinkOf(one) ?? []);
    const direct = path && { path, site, uplink: this.#uplinkOf(path.careOf), formerUplinks };
    const asks = this.#demand.asksAbout(other);
    return planPair({ bound: bound && boundBy(bound), direct, ...(asks && { demandReqid: demandReqid(site) }) });
  }

  #setPath(path: DirectPath): void {
    this.pairs.set("direct", path.correspondent, path, path.revision);
  }

  /** Of both addresses of the correspondent. */
  #planSilences(correspondent: Ipv6Address): void {
    this.#demand.planSilence(correspondent);
    const four = ipv4Of(this.#state.site, correspondent);
    if (four !== undefined) this.#demand.planSilence(four);
    this.#replanBound(correspondent);
  }

  /** Whose policy asks, where there is one. */
  #replanBound(correspondent: Ipv6Address): void {
    const { direct, bound } = this.pairs.get(correspondent);
    if (direct === undefined && bound !== undefined) this.pairs.replan(correspondent);
  }

  async #askUsage(): Promise<void> {
    const { log } = this.#parts.ground;
    try {
      const messagesOf = ({ other }: DirectPair): number => this.#state.pairs.get(other)?.messages ?? 0;
      const uses = (await this.#states?.look(monotonicNow() / 1000, messagesOf)) ?? [];
      for (const { own, other, idleSeconds } of uses)
        if (own === this.#homeAddress)
          this.#loop.push({ kind: "used", homeAddress: own, correspondent: other, lastUsedAgoSeconds: idleSeconds });
    } catch (error) {
      if (!(error instanceof MobilityError)) throw error;
      log.warn({ event: "use.unread", reason: error.message });
    }
  }
}

const isOfCorrespondents = ({ type }: MobilityMessage): boolean =>
  type === "home-test" ||
  type === "care-of-test" ||
  type === "binding-acknowledgement" ||
  type === "binding-error" ||
  type === "binding-refresh-request";
