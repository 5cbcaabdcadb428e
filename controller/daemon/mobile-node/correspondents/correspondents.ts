/**
 * Route optimisation of a mobile node at work (RFC 6275 §11): the machine, the kernel's questions, the groups of its pairs, and messages by
 * the ways of signalling. A part of the node's service, for one home address.
 */
import type { MobileNodeConfig } from "../../../../schemas/config/mobile-node.js";
import type { CommandDocument, CorrespondentDocument } from "../../../../schemas/control.js";
import { MobilityError } from "../../../base/errors.js";
import { type IpAddress, type Ipv6Address, isIpv6 } from "../../../base/ip.js";
import { exhaustive } from "../../../base/result.js";
import { seq16 } from "../../../base/seq16.js";
import { type Instant, seconds } from "../../../base/time.js";
import type { DirectPair } from "../../../kernel/xfrm/last-used.js";
import { TUNNEL_PREFIX } from "../../../plan/mobile-node/addresses.js";
import type { KernelObject } from "../../../plan/objects/objects.js";
import { boundBy, planPair, planSilence } from "../../../plan/route-optimisation/pair.js";
import { demandReqid, planDemand } from "../../../plan/route-optimisation/site.js";
import type { MobileNodePlanSite } from "../../../plan/site.js";
import type { Arrival } from "../../../protocol/mip6/inputs.js";
import type {
  CorrespondentSendEffect,
  DirectPath,
  Whereabouts,
} from "../../../protocol/mip6/mobile-node/correspondents/inputs.js";
import {
  type CorrespondentsEffect,
  type CorrespondentsInput,
  type CorrespondentsState,
  initialCorrespondents,
  nextDeadline,
  step,
} from "../../../protocol/mip6/mobile-node/correspondents/machine.js";
import { sameWhereabouts } from "../../../protocol/mip6/mobile-node/correspondents/whereabouts.js";
import type { LocalEndpoint, MobileNodeDataPath } from "../../../protocol/mip6/mobile-node/inputs.js";
import { bindingManagementKey } from "../../../protocol/mip6/return-routability/tokens.js";
import type { GroupResult } from "../../../reconcile/reconciler.js";
import type { MobilityMessage } from "../../../wire/mip6/messages/mobility-message.js";
import { COOKIE_OCTETS } from "../../../wire/mip6/messages/types.js";
import { MachineLoop, monotonicNow } from "../../machine-loop.js";
import { type PairEnds, PairGroups } from "../../route-optimisation/pair-groups.js";
import type { ServiceGround } from "../../service.js";
import { isAuthorizedBy, withAuthenticator } from "../../signalling/binding-authorization.js";
import { refused } from "../commands.js";
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

const DEMAND_GROUP = "demand";
const SILENCE = "silence ";
/** Of keys in the journal; no service's own key begins so. */
const RECORD = "correspondent:";
/** Of groups whose answers nobody waits for. */
const UNASKED = 0;

export class NodeCorrespondents {
  readonly #parts: CorrespondentsParts;
  readonly #homeAddress: Ipv6Address;
  readonly #homeAgent: Ipv6Address;
  readonly #loop: MachineLoop<CorrespondentsInput, CorrespondentsEffect>;
  /** What the node wants of the kernel for each pair, and what it wants there as the other's correspondent. */
  readonly pairs: PairGroups;
  readonly #silent = new Set<Ipv6Address>();
  readonly #open: { close(): void }[] = [];
  #states: DirectStates | undefined;
  #state: CorrespondentsState;
  #said: Whereabouts = { kind: "between" };
  #round = 0;
  #asks = false;
  /** Correspondents whose questions are in the way of the next one. */
  readonly #unanswered = new Set<Ipv6Address>();
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
    this.#state = initialCorrespondents(
      {
        ...{ homeAddress, homeAgent: homeAgent.ipv6, allow: wishes.allow, deny: wishes.deny, maximum: wishes.maximum },
        minimumAge: seconds(wishes.minimumAgeSeconds),
        idle: seconds(wishes.idleSeconds),
        grace: seconds(previousCareOfGraceSeconds),
      },
      seq16((high << 8) | low),
    );
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
      if (!this.#state.entries.has(key.slice(RECORD.length) as Ipv6Address)) records.append(key, null);
    }
    this.#said = whereabouts;
    this.#prepareWith({ kind: "whereabouts", whereabouts });
    return new Map([...this.pairs.prepare(), [DEMAND_GROUP, this.#demandObjects()]]);
  }

  #prepareWith(input: CorrespondentsInput): void {
    for (const effect of this.#step(input, monotonicNow())) {
      if (effect.kind === "direct-path") this.#setPath(effect.path);
      else if (effect.kind === "no-direct-path") this.pairs.set("direct", effect.correspondent, undefined);
    }
  }

  begin(): void {
    const { ports, ground } = this.#parts;
    const reqid = demandReqid(this.#parts.planSite());
    const isOurs = (address: string): boolean => address === this.#homeAddress;
    const { homeAddress } = this.#state.site;
    this.pairs.begin();
    try {
      this.#open.push(
        ports.watchProblems(({ source, destination }) => {
          if (source === destination) this.#loop.push({ kind: "unsupported", homeAddress, correspondent: source });
        }),
      );
      this.#states = ports.openStates();
      this.#open.push(this.#states);
      // The last one, for without it nothing begins.
      this.#open.push(
        ports.watchDemand(
          (demand) => {
            const { correspondent } = demand;
            if (isOurs(demand.homeAddress) && demand.reqid === reqid && isIpv6(correspondent))
              this.#loop.push({ kind: "demand", homeAddress, correspondent });
          },
          () => this.#askAgain(),
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
    for (const other of this.pairs.others("bound")) this.pairs.replan(other);
    this.#planDemand();
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
      throughHomeAgent: this.#cameThroughHomeAgent(arrival),
      isAuthorized: ({ home, careOf }, registered) =>
        isAuthorizedBy(octets, bindingManagementKey(home, careOf), { careOf: registered, correspondent }),
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

  /**
   * Out of a tunnel device, whose other end the kernel checks. Where keys protect the procedure, or all payload, no policy lets a Home Test
   * pass that was not in ESP.
   */
  #cameThroughHomeAgent({ path, destination }: Arrival): boolean {
    if (path.type !== "native" || path.routingHeaderHomeAddress !== undefined) return false;
    if (path.device.startsWith(TUNNEL_PREFIX)) return true;
    const { negotiated, profile } = this.#parts.planSite();
    return destination === this.#homeAddress && (negotiated === true || profile.protection === "esp");
  }

  /** Whether the group is one of these. */
  onGroupResult(result: GroupResult): boolean {
    const { group, failure } = result;
    const isOurs = this.pairs.onGroupResult(result) || group === DEMAND_GROUP || group.startsWith(SILENCE);
    if (failure !== undefined && isOurs)
      this.#parts.ground.log.error({ event: "object.failed", hoa: this.#homeAddress, reason: failure.message });
    return isOurs;
  }

  /** By their names. */
  groups(): ReadonlyMap<string, readonly KernelObject[]> {
    return new Map([
      ...this.pairs.groups(),
      ...[...this.#silent].map((one) => [SILENCE + one, this.#silenceObjects(one)] as const),
      [DEMAND_GROUP, this.#demandObjects()],
    ]);
  }

  view(): readonly CorrespondentDocument[] {
    return correspondentDocuments(this.#state, monotonicNow());
  }

  /** An operator's word: bindings are taken back, and failures count no more; of one correspondent or of all. Rejects with MobilityError. */
  forget(correspondent?: Ipv6Address): Promise<CommandDocument> {
    const { entries, pauses } = this.#state;
    if (correspondent !== undefined && !entries.has(correspondent) && !pauses.has(correspondent))
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
    const { groups } = this.#parts.ground;
    for (const one of this.#silent) groups.removeGroup(SILENCE + one, UNASKED);
    this.#silent.clear();
    for (const one of [...this.pairs.others("direct")])
      if (this.#state.entries.get(one)?.binding === undefined) this.pairs.set("direct", one, undefined);
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
        return this.#planSilence(effect.path.correspondent);
      case "no-direct-path":
        this.pairs.set("direct", effect.correspondent, undefined);
        return this.#planSilence(effect.correspondent);
      case "silence":
        this.#silent[effect.silent ? "add" : "delete"](effect.correspondent);
        return this.#planSilence(effect.correspondent);
      case "ask-again":
        return this.#askAgain(effect.unanswered);
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
    if (authorization !== undefined) {
      const { tokens, careOf } = authorization;
      const key = bindingManagementKey(tokens.home, tokens.careOf);
      const authorized = withAuthenticator(message, key, { careOf, correspondent: destination });
      return this.#parts.ground.send({ ...effect, message: authorized });
    }
    // A care-of test proves the link that the address belongs to, whatever the main table prefers.
    const device = this.#uplinkOf(source)?.device;
    const pinned = departure.type === "native-direct" && device !== undefined ? { ...departure, device } : departure;
    this.#parts.ground.send({ ...effect, departure: pinned });
  }

  #uplinkOf(careOf: IpAddress): LocalEndpoint | undefined {
    return this.#parts.path()?.ingress.find(({ address }) => address === careOf);
  }

  #pairObjects(other: Ipv6Address, { direct: path, bound }: PairEnds): readonly KernelObject[] {
    const site = this.#parts.planSite();
    const direct = path && { path, site, uplink: this.#uplinkOf(path.careOf) };
    const asks = this.#asksDemand && !this.#silent.has(other);
    return planPair({ bound: bound && boundBy(bound), direct, ...(asks && { demandReqid: demandReqid(site) }) });
  }

  #setPath(path: DirectPath): void {
    this.pairs.set("direct", path.correspondent, path, path.revision);
  }

  /** A path says the same to the kernel, in its own way. */
  #silenceObjects(correspondent: Ipv6Address): readonly KernelObject[] {
    const isSilent = this.#silent.has(correspondent) && this.pairs.get(correspondent).direct === undefined;
    return isSilent ? planSilence(this.#homeAddress, correspondent) : [];
  }

  #planSilence(correspondent: Ipv6Address): void {
    this.#parts.ground.groups.setGroup(SILENCE + correspondent, this.#silenceObjects(correspondent), UNASKED);
    const { direct, bound } = this.pairs.get(correspondent);
    if (direct === undefined && bound !== undefined) this.pairs.replan(correspondent);
  }

  /** The kernel is asked only where an answer leads to something. */
  #demandObjects(): readonly KernelObject[] {
    return this.#asksDemand ? planDemand(this.#homeAddress, this.#parts.planSite(), this.#round) : [];
  }

  get #asksDemand(): boolean {
    return this.#said.kind === "away";
  }

  #planDemand(): void {
    this.#parts.ground.groups.setGroup(DEMAND_GROUP, this.#demandObjects(), UNASKED);
    this.#parts.ground.groups.commit();
  }

  /** Once for all that want it in one turn of the event loop. */
  #askAgain(unanswered: readonly Ipv6Address[] = []): void {
    for (const one of unanswered) this.#unanswered.add(one);
    if (this.#asks) return;
    this.#asks = true;
    setImmediate(() => void this.#ask());
  }

  async #ask(): Promise<void> {
    while (this.#unanswered.size > 0 && this.#states !== undefined) {
      const questions = [...this.#unanswered].filter((one) => this.pairs.get(one).direct === undefined);
      this.#unanswered.clear();
      await this.#states.forgetQuestions(this.#homeAddress, questions);
    }
    this.#asks = false;
    if (this.#closed) return;
    this.#round += 1;
    this.#planDemand();
  }

  async #askUsage(): Promise<void> {
    const { log } = this.#parts.ground;
    try {
      const messagesOf = ({ other }: DirectPair): number => this.#state.entries.get(other)?.messages ?? 0;
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
