/**
 * The kernel behind the reconciler's KernelPort. Composes the codecs with one request socket and one notification socket per netlink
 * family: what arrives as announcements never mixes with answers. It decides nothing about what should exist.
 */

import { MissingError, MobilityError } from "../base/errors.js";
import { append } from "../base/lists.js";
import { NFNL_SUBSYS_NFTABLES } from "../netlink/constants.js";
import { EBADMSG, ECANCELED, ENOENT } from "../netlink/errno.js";
import { KernelError } from "../netlink/errors.js";
import type { NetlinkFamily, NetlinkMessage, NetlinkRequest } from "../netlink/message.js";
import { NetlinkSession, type RequestOutcome, type SessionCounters } from "../netlink/session.js";
import type { NetlinkTransport, SetTimer } from "../netlink/transport.js";
import { GUE_PORT } from "../plan/mip4/tunnel-data.js";
import { formatObjectShort } from "../plan/objects/format.js";
import { type KernelObject, type KernelObjectKind, OWNERSHIP } from "../plan/objects/objects.js";
import type { XfrmState } from "../plan/objects/security.js";
import type { KernelChange, KernelPort, Operation, Outcome } from "../reconcile/kernel-port.js";
import type { AnyCodec } from "./codec.js";
import { findExisting } from "./existing.js";
import { Follower } from "./follower.js";
import { type DeviceLoss, InterfaceNames } from "./names.js";
import { applyTransaction } from "./nftables/batch.js";
import { probeNftFeatures } from "./nftables/features.js";
import { decodeNotifications, tellsOfSwitches } from "./notifications.js";
import { applyBatch, type BatchContext } from "./operation-batch.js";
import { NOTIFICATION_GROUPS, standardCodecs } from "./registry.js";
import { dumpLinks } from "./route/link.js";
import { type SysctlFiles, SysctlStore } from "./route/sysctl.js";
import { type MoveAnnouncement, migrateRequest } from "./xfrm/migrate.js";
import type { StateCounters } from "./xfrm/security-messages.js";
import { stateCountersOf } from "./xfrm/state-counters.js";

/** A socket of a family that has joined the multicast groups. */
export type OpenTransport = (family: NetlinkFamily, groups: readonly number[]) => NetlinkTransport;

export interface KernelOptions {
  readonly openTransport: OpenTransport;
  readonly setTimer: SetTimer;
  /** UDP ports of the kernel's GUE receiver that are ours; RFC 5555's by default. */
  readonly fouPorts?: readonly number[];
  readonly sysctlFiles?: SysctlFiles;
  /** In the place of the standard ones. */
  readonly codecs?: readonly AnyCodec[];
}

type Listener = (change: KernelChange | "resync") => void;

const DSMIP_PORT = 4191;
const FAMILIES = ["route", "generic", "xfrm", "netfilter"] as const;

export class NetlinkKernel implements KernelPort {
  readonly names = new InterfaceNames();
  readonly #options: KernelOptions;
  readonly #sessions = new Map<NetlinkFamily, NetlinkSession>();
  /** Under the requests, whose port changes if it has to be opened anew. */
  readonly #transports = new Map<NetlinkFamily, NetlinkTransport>();
  readonly #announcements: NetlinkTransport[] = [];
  readonly #followers: Follower<KernelChange | "resync">[] = [];
  readonly #listeners: Listener[] = [];
  readonly #sysctls: SysctlStore;
  /** Devices that we are taking away or down ourselves. */
  readonly #leaving = new Map<string, "down" | "gone">();
  #codecs: ReadonlyMap<string, AnyCodec> = new Map();
  #tail: Promise<unknown> = Promise.resolve();

  /** Throws the addon's system error or KernelError if a socket, extended acknowledgements or strict checking are refused. */
  static async open(options: KernelOptions): Promise<NetlinkKernel> {
    const kernel = new NetlinkKernel(options);
    try {
      await kernel.#start();
      return kernel;
    } catch (error) {
      kernel.close();
      throw error;
    }
  }

  private constructor(options: KernelOptions) {
    this.#options = options;
    this.#sysctls = new SysctlStore(options.sysctlFiles);
  }

  dump(kinds: readonly KernelObjectKind[]): Promise<readonly KernelObject[]> {
    return this.#inTurn(async () => {
      await this.#refreshNames();
      const objects: KernelObject[] = [];
      for (const kind of kinds) append(objects, await this.#dumpKind(kind));
      return objects;
    });
  }

  lookUp(objects: readonly KernelObject[]): Promise<readonly (KernelObject | undefined)[]> {
    return this.#inTurn(async () => {
      const found = new Map<KernelObject, KernelObject>();
      for (const family of FAMILIES) {
        const wanted = objects.filter(({ kind }) => kind !== "sysctl" && this.#codec(kind).family === family);
        if (wanted.length === 0) continue;
        const asked = wanted.map((object) => ({ object, codec: this.#codec(object.kind) }));
        for (const [object, { object: present, ours }] of await findExisting(this.#batchContext(family), asked))
          if (ours) found.set(object, present);
      }
      return objects.map((object) => (object.kind === "sysctl" ? this.#sysctls.read(object) : found.get(object)));
    });
  }

  /** What became of some operations is not known when the answers are lost; then a resynchronisation is called for. */
  apply(operations: readonly Operation[]): Promise<readonly Outcome[]> {
    return this.#inTurn(async () => {
      const outcomes: Outcome[] = [];
      for (const run of this.#runs(operations)) {
        const errors = await this.#applyRun(run).catch((error: unknown) => unfinished(run, error));
        if (errors.some(isUnknown)) this.#emit("resync");
        run.forEach((operation, i) => {
          const error = errors[i];
          const collateral = error instanceof KernelError && error.errno === ECANCELED;
          outcomes.push(
            error === undefined
              ? { operation }
              : {
                  operation,
                  error,
                  ...(collateral && { collateral: true as const }),
                  ...(isUnknown(error) && { unknown: true as const }),
                },
          );
        });
      }
      return outcomes;
    });
  }

  /** Tells the IKE daemon where its SA lies now. Rejects with KernelError (ENODATA, ENOENT: the policy is not there). */
  announceMove(moves: readonly MoveAnnouncement[]): Promise<void> {
    return this.#inTurn(async () => {
      const outcomes = await this.#session("xfrm").execute(moves.map(migrateRequest));
      outcomes.forEach(({ error }, i) => {
        if (error !== undefined) throw error.about(`move of the IKE SA to ${moves[i]?.remote}`);
      });
    });
  }

  /** What these associations have carried and refused, as far as they are there. */
  stateCounters(states: readonly XfrmState[]): Promise<readonly StateCounters[]> {
    return this.#inTurn(() => stateCountersOf(this.#session("xfrm"), states));
  }

  onChange(listener: Listener): void {
    this.#listeners.push(listener);
  }

  close(): void {
    for (const session of this.#sessions.values()) session.close();
    for (const follower of this.#followers.splice(0)) follower.close();
    for (const transport of this.#announcements.splice(0)) transport.close();
    this.#listeners.length = 0;
  }

  /** What went to and fro so far, all families together: the benchmark's transactions per registration. */
  counters(): SessionCounters {
    const all = [...this.#sessions.values()].map(({ counters }) => counters);
    const sum = (name: keyof SessionCounters): number => all.reduce((total, counters) => total + counters[name], 0);
    return {
      transactions: sum("transactions"),
      messages: sum("messages"),
      dumps: sum("dumps"),
      dumpRestarts: sum("dumpRestarts"),
      errors: sum("errors"),
      overruns: sum("overruns"),
      timeouts: sum("timeouts"),
      strays: sum("strays"),
    };
  }

  async #start(): Promise<void> {
    const codecs = this.#options.codecs ?? (await this.#standardCodecs());
    this.#codecs = new Map(codecs.map((codec) => [codec.kind, codec]));
    // Announcements first: what changes between the dump and the subscription would be missed otherwise.
    for (const family of FAMILIES)
      this.#listen(
        family,
        codecs.filter((codec) => codec.family === family),
      );
    await this.#refreshNames();
  }

  async #standardCodecs(): Promise<readonly AnyCodec[]> {
    const session = this.#session("netfilter");
    const features = await probeNftFeatures(
      async (requests) => (await session.transaction(requests, NFNL_SUBSYS_NFTABLES)).committed,
    );
    return standardCodecs({ ...features, fouPorts: this.#options.fouPorts ?? [DSMIP_PORT, GUE_PORT] });
  }

  #session(family: NetlinkFamily): NetlinkSession {
    const open = this.#sessions.get(family);
    if (open !== undefined) return open;
    const transport = this.#options.openTransport(family, []);
    const session = new NetlinkSession(transport, { setTimer: this.#options.setTimer });
    this.#sessions.set(family, session);
    this.#transports.set(family, transport);
    return session;
  }

  #listen(family: NetlinkFamily, codecs: readonly AnyCodec[]): void {
    const groups = NOTIFICATION_GROUPS[family];
    if (groups.length === 0 || (codecs.length === 0 && family !== "route")) return;
    const transport = this.#options.openTransport(family, groups);
    this.#announcements.push(transport);
    const follower = this.#follow();
    transport.onOverrun(() => follower.lose());
    transport.onDatagram((datagram) => {
      const matters = (loss: DeviceLoss): boolean => this.#matters(loss);
      const context = { family, codecs, names: this.names, matters, ownPort: this.#transports.get(family)?.portId };
      const switches = tellsOfSwitches(family, datagram) ? this.#sysctls.changes() : [];
      follower.hear([...decodeNotifications(context, datagram), ...switches]);
    });
  }

  /** The picture is the listener's: when announcements were lost it is told to ask anew, as soon as what is older than the loss has been passed over. */
  #follow(): Follower<KernelChange | "resync"> {
    const follower = new Follower<KernelChange | "resync">(
      {
        read: async () => {
          await this.#inTurn(() => this.#refreshNames());
          return () => undefined;
        },
        take: (change) => this.#emit(change),
        onFresh: () => this.#emit("resync"),
        onError: () => undefined, // ignored: it is tried again
      },
      this.#options.setTimer,
    );
    this.#followers.push(follower);
    return follower;
  }

  #emit(change: KernelChange | "resync"): void {
    for (const listener of this.#listeners) listener(change);
  }

  #matters({ device, gone, doubtful }: DeviceLoss): boolean {
    const expected = this.#leaving.get(device);
    if (expected !== undefined) {
      if (gone || expected === "down") this.#leaving.delete(device);
      return false;
    }
    if (!doubtful) return true;
    const look = this.#inTurn(async () => {
      await this.#refreshNames();
      if (!this.names.isUp(device)) this.#emit("resync");
    });
    look.catch(() => this.#emit("resync"));
    return false;
  }

  #refreshNames(): Promise<void> {
    return this.names.relearn(() => this.#session("route").dump(dumpLinks()));
  }

  /** Calls of the port do not overlap. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(work);
    this.#tail = turn.catch(() => undefined); // ignored: the caller has it
    return turn;
  }

  #codec(kind: KernelObjectKind): AnyCodec {
    const codec = this.#codecs.get(kind);
    if (codec === undefined) throw new KernelError(ENOENT, { text: `this kernel port has no codec for ${kind}` });
    return codec;
  }

  async #dumpKind(kind: KernelObjectKind): Promise<readonly KernelObject[]> {
    if (kind === "sysctl") return this.#sysctls.dump();
    const codec = this.#codec(kind);
    const messages = await this.#replies(codec, true);
    let objects = decodeAll(codec, messages, this.names);
    if (this.names.takeMissed()) {
      await this.#refreshNames(); // a device came after we asked for the names
      objects = decodeAll(codec, messages, this.names);
      this.names.takeMissed();
    }
    // What the kernel says about security associations holds their keys; the objects have copies of their own.
    if (codec.family === "xfrm") for (const { body } of messages) body.fill(0);
    for (const object of objects) if ("device" in object) this.names.use(object.device);
    return objects;
  }

  /** The messages of all dumps that a codec needs; none if the kernel does not know the family or the table at all. */
  async #replies(codec: AnyCodec, ownOnly: boolean): Promise<readonly NetlinkMessage[]> {
    const session = this.#session(codec.family);
    const messages: NetlinkMessage[] = [];
    const ask = async (request: NetlinkRequest): Promise<void> => {
      try {
        append(messages, await (codec.single === true ? this.#answer(session, request) : session.dump(request)));
      } catch (error) {
        const absent = error instanceof MissingError || (error instanceof KernelError && error.isUnknownThere);
        if (!absent) throw error;
      }
    };
    for (const request of codec.dump(ownOnly)) await ask(request);
    for (const request of codec.dumpMore?.(messages) ?? []) await ask(request);
    return messages;
  }

  async #answer(session: NetlinkSession, request: NetlinkRequest): Promise<readonly NetlinkMessage[]> {
    const [outcome] = await session.execute([request]);
    if (outcome?.error !== undefined) throw outcome.error;
    return outcome?.replies ?? [];
  }

  /** Consecutive operations of the same family. */
  #runs(operations: readonly Operation[]): Operation[][] {
    const runs: { family: string; run: Operation[] }[] = [];
    for (const operation of operations) {
      const { kind } = operation.object;
      const family = kind === "sysctl" ? kind : this.#codec(kind).family;
      const last = runs.at(-1);
      if (last?.family === family) last.run.push(operation);
      else runs.push({ family, run: [operation] });
    }
    return runs.map(({ run }) => run);
  }

  async #applyRun(run: readonly Operation[]): Promise<readonly (MobilityError | undefined)[]> {
    const kind = run[0]?.object.kind;
    if (kind === undefined) return [];
    if (kind === "sysctl") return run.map((operation) => this.#applySysctl(operation));
    const { family } = this.#codec(kind);
    const session = this.#session(family);
    const context = this.#batchContext(family);
    if (family === "netfilter") {
      const transact = session.transaction.bind(session);
      return applyTransaction(
        { ...context, transact: (requests) => transact(requests, NFNL_SUBSYS_NFTABLES) },
        run,
        this.#codecs,
      );
    }
    for (const operation of run) this.#noteLeaving(operation);
    const errors = await applyBatch(context, run, this.#codecs);
    run.forEach(({ object }, i) => {
      if (errors[i] !== undefined && object.kind === "link") this.#leaving.delete(object.name);
    });
    return errors;
  }

  /** Outcomes in the order of the requests. A device has things to be asked of other families than its own (offloads). */
  async #execute(family: NetlinkFamily, requests: readonly NetlinkRequest[]): Promise<readonly RequestOutcome[]> {
    if (requests.every((request) => request.family === family)) return this.#session(family).execute(requests);
    const outcomes: RequestOutcome[] = [];
    for (const request of requests) {
      const [outcome] = await this.#session(request.family).execute([request]);
      if (outcome !== undefined) outcomes.push(outcome);
    }
    return outcomes;
  }

  #batchContext(family: NetlinkFamily): BatchContext {
    return {
      names: this.names,
      execute: (requests) => this.#execute(family, requests),
      dumpAll: (codec) => this.#replies(codec, false),
      refreshNames: () => this.#refreshNames(),
    };
  }

  /** The loss of routes that our own change brings is no news. */
  #noteLeaving({ verb, object }: Operation): void {
    if (object.kind !== "link" || this.names.alias(object.name) !== OWNERSHIP.linkAlias) return;
    if (verb === "remove") this.#leaving.set(object.name, "gone");
    else if (!object.up && this.names.isUp(object.name)) this.#leaving.set(object.name, "down");
  }

  #applySysctl({ verb, object }: Operation): MobilityError | undefined {
    if (object.kind !== "sysctl") return undefined;
    if (verb === "remove") this.#sysctls.forget(object);
    else return this.#sysctls.apply(object);
    return undefined;
  }
}

/** The kernel could not be read in the middle of it: how far it came, only a dump will tell. Throws what is no refusal but a bug. */
function unfinished(run: readonly Operation[], cause: unknown): readonly MobilityError[] {
  if (!(cause instanceof MobilityError)) throw cause;
  const { errno, details } = cause instanceof KernelError ? cause : new KernelError(EBADMSG, { text: cause.message });
  return run.map(({ object }) => {
    const unknown = { ...details, outcomeUnknown: true, subject: formatObjectShort(object) };
    return new KernelError(errno, unknown, { cause });
  });
}

const isUnknown = (error: MobilityError | undefined): boolean =>
  error instanceof KernelError && error.details.outcomeUnknown === true;

function decodeAll(
  codec: AnyCodec,
  messages: readonly NetlinkMessage[],
  names: InterfaceNames,
): readonly KernelObject[] {
  if (codec.assemble !== undefined) return codec.assemble(messages, names, true);
  return messages.flatMap((message) => codec.decode(message, names, true) ?? []);
}
