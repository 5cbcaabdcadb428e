/**
 * The correspondent node as a service on the platform: its machine with the Mobility Header socket and its plan. Payload never comes here.
 * Its bindings are in the journal, so that a restart interrupts no flow; keys and nonces are not (protocol/mip6/correspondent-node/record.ts).
 * A disk that refuses is no reason to turn anybody away: what it forgets costs a node one procedure.
 */
import { randomBytes } from "node:crypto";
import type { BindingDocument, CorrespondentDocument } from "../../../schemas/control.js";
import { type IpAddress, type Ipv6Address, isIpv6 } from "../../base/ip.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import { objectKey } from "../../plan/objects/objects.js";
import type { ObjectOwner } from "../../plan/owner.js";
import { DIRECT_MARK, TUN_DEVICE } from "../../plan/site.js";
import type { CorrespondentView } from "../../protocol/mip6/correspondent-node/binding-cache.js";
import type {
  AskUseEffect,
  AuthorizedSendEffect,
  CorrespondentNodeEffect,
  CorrespondentNodeInput,
  Pair,
} from "../../protocol/mip6/correspondent-node/inputs.js";
import {
  type Beginning,
  CorrespondentNodeState,
  correspondentPath,
  correspondentPaths,
  correspondentPathsOf,
  correspondentViews,
  correspondentViewsOf,
  nextDeadline,
  step,
} from "../../protocol/mip6/correspondent-node/machine.js";
import type { CorrespondentPath } from "../../protocol/mip6/correspondent-node/path.js";
import type { CorrespondentNodeSite } from "../../protocol/mip6/correspondent-node/site.js";
import { careOfAddressOf } from "../../protocol/mip6/correspondent-node/update.js";
import type { Arrival } from "../../protocol/mip6/inputs.js";
import { NONCE_OCTETS } from "../../protocol/mip6/return-routability/tokens.js";
import type { GroupResult } from "../../reconcile/reconciler.js";
import type { MobilityMessage } from "../../wire/mip6/messages/mobility-message.js";
import type { CodecContext } from "../../wire/mip6/profile.js";
import { MachineLoop, monotonicNow } from "../machine-loop.js";
import { type PlannedGroup, type Service, type ServiceGround, type ServiceViews, SITE_GROUP } from "../service.js";
import { coveredOctets, withAuthenticator } from "../signalling/binding-authorization.js";

/** What of the kernel it wants. */
export interface CorrespondentPlans {
  site(): readonly KernelObject[];
  path(path: CorrespondentPath): readonly KernelObject[];
  ownerOf(object: KernelObject): ObjectOwner | undefined;
}

/** Where its paths go on their way to the kernel; the answers come to `programmed`. */
export interface CorrespondentPaths {
  set(path: CorrespondentPath): void;
  remove(pair: Pair, revision: number): void;
}

export interface CorrespondentNodeParts {
  readonly site: CorrespondentNodeSite;
  readonly beginning: Beginning;
  readonly plans: CorrespondentPlans;
  readonly ground: ServiceGround;
  /** Where somebody else wants something for the same pairs. Absent: into groups of its own. */
  readonly paths?: CorrespondentPaths | undefined;
  /** Of the mode, where IPv4 is optimised (C-41). */
  readonly modeOptionType?: number;
}

/** In one turn of the event loop. */
const SENDS_PER_TURN = 64;
const PAIR = "correspondent ";
const groupOf = ({ homeAddress, self }: Pair): string => `${PAIR}${homeAddress} ${self}`;

function pairOf(group: string): Pair | undefined {
  if (!group.startsWith(PAIR)) return undefined;
  const [homeAddress, self] = group.slice(PAIR.length).split(" ") as Ipv6Address[];
  return homeAddress === undefined || self === undefined ? undefined : { homeAddress, self };
}

export class CorrespondentNodeService implements Service {
  static readonly serviceName = "correspondent-node";
  /** Of the keys of its journal records. */
  static readonly recordPrefix = "correspondent ";
  readonly name = CorrespondentNodeService.serviceName;
  readonly addresses: readonly IpAddress[];
  readonly views: ServiceViews;
  readonly #plans: CorrespondentPlans;
  readonly #ground: ServiceGround;
  readonly #paths: CorrespondentPaths;
  readonly #state: CorrespondentNodeState;
  readonly #modeOptionType: number | undefined;
  readonly #loop: MachineLoop<CorrespondentNodeInput, CorrespondentNodeEffect>;
  #siteObjects: readonly KernelObject[] = [];
  #siteKeys: ReadonlySet<string> = new Set();

  constructor({ site, beginning, plans, ground, paths, modeOptionType }: CorrespondentNodeParts) {
    this.#plans = plans;
    this.#ground = ground;
    this.#modeOptionType = modeOptionType;
    const { groups } = ground;
    this.#paths = paths ?? {
      set: (path) => groups.setGroup(groupOf(path), plans.path(path), path.revision),
      remove: (pair, revision) => groups.removeGroup(groupOf(pair), revision),
    };
    this.addresses = [...site.addresses, ...new Set(site.ipv4?.addresses.values() ?? [])];
    this.#state = new CorrespondentNodeState(site, beginning);
    this.#loop = new MachineLoop<CorrespondentNodeInput, CorrespondentNodeEffect>(
      {
        step: (input, now) => step(this.#state, input, { now, entropy: randomBytes(NONCE_OCTETS) }),
        nextDeadline: () => nextDeadline(this.#state),
      },
      { kind: "timer" },
      {
        perform: (effect) => this.#perform(effect),
        flush: () => ground.flush(),
        turnEnded: () => ground.groups.commit(),
      },
    );
    this.views = this.#viewsOf();
  }

  prepare(): ReadonlyMap<string, readonly KernelObject[]> {
    this.#siteObjects = this.#plans.site();
    this.#siteKeys = new Set(this.#siteObjects.map(objectKey));
    // Bindings of before a restart are wanted together with the site, so that their objects are adopted and not made anew.
    const records = [...this.#ground.records.entries()].map(([, stored]) => stored);
    const moment = { now: monotonicNow(), entropy: randomBytes(NONCE_OCTETS) };
    for (const effect of step(this.#state, { kind: "restore", records }, moment)) this.#perform(effect);
    return new Map([[SITE_GROUP, this.#siteObjects]]);
  }

  listen(): void {
    const { addresses, ipv4 } = this.#state.site;
    const roModeType = this.#modeOptionType;
    for (const self of addresses)
      this.#ground.listen(
        {
          ...{ self, isProtected: () => false, tunDevice: TUN_DEVICE, directMark: DIRECT_MARK },
          speaksInClear: () => ipv4?.addresses.has(self) === true,
          ...(roModeType !== undefined && { roModeType }),
        },
        {
          onMessage: (message, arrival, octets) => this.#loop.push(this.#inputOf(message, arrival, octets)),
          onPrefixMessage: (message, { source }) =>
            this.#ground.drop("unexpected-type", `${message.type} from ${source}`),
          onDrop: (reason, detail) => this.#ground.drop(reason, detail),
          onOptionRefused: (packet) => this.#loop.push({ kind: "option-refused", ...packet }),
        },
      );
  }

  begin(): void {
    this.#loop.push({ kind: "timer" });
    const { allow } = this.#state.site;
    if (allow.length === 0)
      this.#ground.log.warn(
        { event: "correspondent.closed" },
        "correspondentNode.allow names no prefix, so nobody's route is optimised; ::/0 allows all",
      );
    this.#ground.log.info({ event: "bindings.restored", count: [...correspondentPaths(this.#state)].length });
  }

  onGroupResult({ group, revision, failure }: GroupResult): void {
    if (failure !== undefined) this.#ground.log.error({ event: "object.failed", group, reason: failure.message });
    const pair = pairOf(group);
    if (pair !== undefined) this.programmed(pair, revision, failure);
  }

  /** The kernel's answer for one of its paths. */
  programmed({ homeAddress, self }: Pair, revision: number, failure: GroupResult["failure"]): void {
    const why = failure === undefined ? {} : { failure: failure.message };
    this.#loop.push({ kind: "programmed", homeAddress, self, revision, ...why });
  }

  onLoss(): void {
    // Nothing of a binding's has a history: what is gone is made again.
  }

  objectsOf(homeAddress: Ipv6Address): readonly KernelObject[] {
    return [...correspondentPathsOf(this.#state, homeAddress)].flatMap((path) => [...this.#plans.path(path)]);
  }

  ownerOf(object: KernelObject): ObjectOwner | undefined {
    return this.#siteKeys.has(objectKey(object)) ? { kind: "site" } : this.#plans.ownerOf(object);
  }

  abandon(): void {
    this.#loop.close();
  }

  /**
   * Who is bound is told, for from here on the kernel drops Home Address options without a word (XfrmInNoStates). Bindings of a crash, after
   * which there is nobody to tell, are in the journal still.
   */
  async close(): Promise<void> {
    this.abandon();
    let sent = 0;
    for (const effect of step(
      this.#state,
      { kind: "stop" },
      { now: monotonicNow(), entropy: randomBytes(NONCE_OCTETS) },
    )) {
      this.#perform(effect);
      // Devices and sockets hold a few hundred.
      if (effect.kind === "send" && ++sent % SENDS_PER_TURN === 0) await new Promise(setImmediate);
    }
    this.#ground.groups.commit();
    await this.#ground.flush();
  }

  #perform(effect: CorrespondentNodeEffect): void {
    switch (effect.kind) {
      case "send":
        this.#send(effect);
        return;
      case "data-path":
        this.#paths.set(effect.path);
        return;
      case "data-path-removed":
        this.#paths.remove(effect, effect.revision);
        return;
      case "journal":
        this.#ground.records.append(effect.key, effect.record);
        return;
      case "ask-use":
        void this.#askUse(effect);
        return;
      case "notify":
        this.#ground.notify(effect);
        return;
      case "drop":
        this.#ground.drop(effect.reason, effect.detail);
    }
  }

  #send({ authorization, ...effect }: AuthorizedSendEffect): void {
    const { message, source: correspondent } = effect;
    if (authorization === undefined) return this.#ground.send(effect);
    const { keys, careOf } = authorization;
    const ends = { careOf, correspondent };
    this.#ground.send({ ...effect, message: withAuthenticator(message, keys, ends, this.#codec()) });
  }

  #codec(): CodecContext {
    return this.#modeOptionType === undefined ? {} : { profile: { roModeType: this.#modeOptionType } };
  }

  #inputOf(message: MobilityMessage, arrival: Arrival, octets: Uint8Array): CorrespondentNodeInput {
    if (message.type === "home-test-init" || message.type === "care-of-test-init")
      return { kind: "test-init", message, arrival };
    if (message.type !== "binding-update") return { kind: "message", message, arrival };
    const ends = { careOf: careOfAddressOf(message, arrival), correspondent: arrival.destination };
    const covered = coveredOctets(octets, ends, this.#codec());
    return { kind: "update", message, arrival, ...(covered !== undefined && { covered }) };
  }

  /** By what the kernel says of packets sent with the routing header; one question for one binding. Does not reject. */
  async #askUse(pair: AskUseEffect): Promise<void> {
    const { homeAddress, self, family } = pair;
    try {
      const path = correspondentPath(this.#state, pair);
      const states = path === undefined ? [] : this.#plans.path(path).filter((one) => one.kind === "xfrm-state");
      const counted = await this.#ground.readStates(states.filter(({ source }) => source === self));
      // The kernel tells it by the time of day; if that was set meanwhile, a request is missing or is one too many.
      const lastUsedAt = counted.find((one) => one.lastUsedAt !== undefined)?.lastUsedAt;
      if (lastUsedAt === undefined) return;
      const agoSeconds = Math.max(0, Date.now() / 1000 - lastUsedAt);
      this.#loop.push({ kind: "used", homeAddress, self, family, agoSeconds });
    } catch (error) {
      // Then the node refreshes by its own clock, as it has to anyway.
      this.#ground.log.debug({ event: "use.unread", reason: error instanceof Error ? error.message : String(error) });
    }
  }

  #viewsOf(): ServiceViews {
    const ofAll = (): Iterable<CorrespondentView> => correspondentViews(this.#state, monotonicNow());
    const ofOne = (address: IpAddress): readonly CorrespondentView[] =>
      isIpv6(address)
        ? [...correspondentViewsOf(this.#state, address, monotonicNow())]
        : [...ofAll()].filter(({ ipv4HomeAddress }) => ipv4HomeAddress === address);
    const state = this.#state;
    return {
      *bindings() {
        for (const view of ofAll()) yield bindingDocumentOf(view);
      },
      binding: (address) => ofOne(address).map(bindingDocumentOf)[0],
      correspondents: () => [...ofAll()].map((view) => correspondentDocumentOf(view, state.site)),
      plan: (homeAddress) => this.#plan(homeAddress),
      *nodes() {
        yield* new Set([...correspondentPaths(state)].map(({ homeAddress }) => homeAddress));
      },
      nodeAt: (address) => ofOne(address)[0]?.homeAddress,
      security: async () => ({ method: "static-keys", ikeDaemon: null, nodes: [] }),
      readiness: () => null,
    };
  }

  #plan(homeAddress: Ipv6Address): readonly PlannedGroup[] {
    return [...correspondentPathsOf(this.#state, homeAddress)].map((path) => ({
      objects: this.#plans.path(path),
      state: this.#ground.groups.stateOf(groupOf(path)),
    }));
  }
}

const PROFILE = "route-optimisation";

const isInKernel = ({ state, isOutdated }: CorrespondentView): boolean => state !== "awaiting-data-path" && !isOutdated;

function endpointOf({ reach }: CorrespondentView): NonNullable<BindingDocument["endpoint"]> {
  if (reach.via === "headers") return { format: "ipv6", address: reach.careOf };
  return reach.via === "ipv4" ? { format: "ipv4", address: reach.careOf } : { format: "udp", ...reach.observed };
}

/** Accepted is what comes from the present endpoint alone: the kernel has one state for a pair. */
function bindingDocumentOf(view: CorrespondentView): BindingDocument {
  const { homeAddress, ipv4HomeAddress = null, state, sequence, lifetimeSeconds, remainingSeconds, revision } = view;
  return {
    ...{ protocol: "mip6", homeAddress, ipv4HomeAddress, mobileRouter: false, prefixes: [], state },
    endpoint: endpointOf(view),
    acceptedFrom: isInKernel(view) ? [endpointOf(view)] : [],
    ...{ sequence, lifetimeSeconds, remainingSeconds, profile: PROFILE, revision, mip4: null },
  };
}

function correspondentDocumentOf(view: CorrespondentView, { ipv4 }: CorrespondentNodeSite): CorrespondentDocument {
  const { homeAddress, self, ipv4HomeAddress, reach, mode = null, state, isOutdated } = view;
  const { sequence, lifetimeSeconds, remainingSeconds } = view;
  const ipv4Self = ipv4?.addresses.get(self);
  return {
    ...{ end: "correspondent-node", homeAddress, correspondent: self, mode, state },
    ipv4:
      ipv4HomeAddress === undefined || ipv4Self === undefined
        ? null
        : { homeAddress: ipv4HomeAddress, correspondent: ipv4Self },
    direct: (state === "established" || state === "updating") && !isOutdated,
    careOfAddress: reach.careOf,
    observed: reach.via === "udp" ? `${reach.observed.address}:${reach.observed.port}` : null,
    acceptedFrom: isInKernel(view) ? [reach.careOf] : [],
    ...{ sequence, lifetimeSeconds, remainingSeconds, idleSeconds: null },
    reason: isOutdated ? "the node is somewhere else since, and this home address not told yet" : null,
  };
}
