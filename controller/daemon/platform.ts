/**
 * What both roles stand on: kernel, reconciler, signalling sockets, journal, events, counters and the control interface, opened in the
 * order in which they need each other and closed in the reverse one.
 */

import type { BindingDocument, SecurityDocument, StatusDocument } from "../../schemas/control.js";
import type { MobilityError } from "../base/errors.js";
import { type IpAddress, type Ipv4Address, type Ipv6Address, parseIp } from "../base/ip.js";
import { type ControlServer, startControlServer } from "../control/server.js";
import { clearSocketPath } from "../control/socket-path.js";
import { holdDirectory } from "../io/directory-lock.js";
import type { NetlinkKernel } from "../kernel/netlink-kernel.js";
import type { Logger } from "../log.js";
import { ENODEV } from "../netlink/errno.js";
import { KernelError } from "../netlink/errors.js";
import { formatObjectShort } from "../plan/objects/format.js";
import type { KernelObject } from "../plan/objects/objects.js";
import type { DropReason, NotifyEffect, ProtocolEvent, SendEffect } from "../protocol/mip6/inputs.js";
import { type GroupResult, Reconciler, type Repair } from "../reconcile/reconciler.js";
import { Counters, EventLog } from "../store/events.js";
import { Journal, type JournalRole } from "../store/journal.js";
import { LogLimit } from "../store/log-limit.js";
import { VERSION } from "../version.js";
import { holdAddresses } from "./address-lock.js";
import { openKernel, PacketCounters, setBackgroundTimer, setTimer } from "./kernel.js";
import { checkPrivileges, checkTun, deviceExists, explainRefusal } from "./preflight.js";
import { Signalling, type SignallingListener, type SignallingSite, sendFailure } from "./signalling/signalling.js";
import { SignallingSockets } from "./signalling/sockets.js";
import { auditDocument, planDocument } from "./views.js";

export interface PlatformOptions {
  readonly role: JournalRole;
  readonly controlSocket: string;
  readonly stateDirectory: string;
  /** Addresses that no other daemon in this network namespace may serve. */
  readonly addresses: readonly IpAddress[];
  readonly signallingPort: number;
  readonly signallingAddress?: Ipv4Address;
  readonly tunDevice: string;
  /** Whether messages into the TUN device go there by their socket and not by their mark. */
  readonly bindsToTun: boolean;
  /** Groups that belong to a node besides its binding. */
  readonly securityGroups: (homeAddress: Ipv6Address) => readonly string[];
}

/** What a role shows of its machine. */
export interface RoleViews {
  bindings(): Iterable<BindingDocument>;
  binding(address: IpAddress): BindingDocument | undefined;
  /** Home addresses of all nodes, bound or not. */
  nodes(): readonly Ipv6Address[];
  /** Of the node with this IPv6 or IPv4 home address. */
  nodeAt(address: IpAddress): Ipv6Address | undefined;
  security(nodes: readonly Ipv6Address[]): Promise<SecurityDocument>;
  /** Of a mobile node; null at a home agent. */
  readiness(): StatusDocument["readiness"];
}

/** One in this many drops of a reason is logged, after the first few: a flood must not fill a disk. */
const LOGGED_DROPS = 10;
const LOGGED_DROP_INTERVAL = 1000;
/** How often we look at what nobody announces: such a change is mended that soon. */
const QUIET_LOOK_MS = 9_000;

export class Platform {
  readonly log: Logger;
  readonly events = new EventLog(() => new Date());
  readonly drops = new Counters();
  readonly received = new Counters();
  readonly sent = new Counters();
  readonly negotiation = new Counters();
  readonly journal: Journal;
  readonly kernel: NetlinkKernel;
  readonly reconciler: Reconciler;
  readonly sockets: SignallingSockets;
  readonly #options: PlatformOptions;
  readonly #release: () => void;
  readonly #packetCounters = new PacketCounters();
  readonly #startedAt = performance.now();
  readonly #results = new Map<string, (result: GroupResult) => void>();
  #onResult: (result: GroupResult) => void = () => undefined;
  #onLoss: (object: KernelObject) => void = () => undefined;
  #signalling: Signalling | undefined;
  #control: ControlServer | undefined;
  readonly #limit: LogLimit;
  #cancelLook: () => void = () => undefined;
  #closing = false;

  /** Throws MobilityError with the sentence for the operator; what was opened before is closed again. */
  static async open(options: PlatformOptions, log: Logger): Promise<Platform> {
    checkPrivileges();
    checkTun();
    const release = await holdAddresses(options.addresses);
    const undo: (() => void)[] = [release];
    try {
      const letGo = holdDirectory(options.stateDirectory);
      undo.push(letGo);
      // Before anything is touched: an end for its sake later on would take out of the kernel what nodes have been using.
      await clearSocketPath(options.controlSocket);
      const releaseAll = (): void => {
        letGo();
        release();
      };
      const journal = new Journal(options.stateDirectory, options.role, Date.now);
      undo.push(() => journal.close());
      if (journal.skipped > 0)
        log.warn(
          { event: "journal.damaged", lines: journal.skipped },
          "unreadable journal lines were skipped, continuing with the rest",
        );
      const kernel = await openKernel();
      undo.push(() => kernel.close());
      let reopened: (what: string, reason: string, device: boolean) => void = () => undefined;
      const sockets = new SignallingSockets({
        tunDevice: options.tunDevice,
        bindsToTun: options.bindsToTun,
        udpPort: options.signallingPort,
        ...(options.signallingAddress !== undefined && { udpAddress: options.signallingAddress }),
        names: kernel.names,
        onError: (what, error) => log.debug({ event: "socket.error", what, reason: error.message }),
        onReopened: (what, reason, device) => reopened(what, reason, device),
      });
      undo.push(() => sockets.close());
      const platform = new Platform({ options, log, journal, kernel, sockets, release: releaseAll });
      reopened = (what, reason, device) => platform.#onReopened(what, reason, device);
      await platform.reconciler.start();
      platform.#watchQuietly();
      return platform;
    } catch (error) {
      for (const step of undo.reverse()) step();
      throw error;
    }
  }

  private constructor(parts: {
    options: PlatformOptions;
    log: Logger;
    journal: Journal;
    kernel: NetlinkKernel;
    sockets: SignallingSockets;
    release: () => void;
  }) {
    this.#options = parts.options;
    this.log = parts.log;
    this.journal = parts.journal;
    this.kernel = parts.kernel;
    this.sockets = parts.sockets;
    this.#release = parts.release;
    parts.kernel.onChange((change) => {
      if (change !== "resync" && change.verb === "removed" && change.object.kind === "link")
        if (change.object.name === this.#options.tunDevice) this.#onDeviceLost();
    });
    this.#limit = new LogLimit({
      setTimer: setBackgroundTimer,
      onPassedOver: (cause, count) =>
        this.log.warn({ event: "log.passed-over", cause, count }, `${count} more lines of this cause within a minute`),
    });
    this.reconciler = new Reconciler(
      parts.kernel,
      {
        onResult: (result) => (this.#results.get(result.group) ?? this.#onResult)(result),
        onRepair: (what, detail) => this.#onRepair(what, detail),
        onLoss: ({ object }) => this.#onLoss(object),
      },
      { schedule: (delayMs, run) => void setTimer(delayMs, run) },
    );
  }

  /** Results of groups that are not waited for with `require`. */
  onGroupResult(listener: (result: GroupResult) => void): void {
    this.#onResult = listener;
  }

  /** Somebody else has taken something out of the kernel that cannot be made again. */
  onLoss(listener: (object: KernelObject) => void): void {
    this.#onLoss = listener;
  }

  /** Wants the groups and waits until the kernel has them all. Throws MobilityError that says which module or change is needed. */
  async require(groups: ReadonlyMap<string, readonly KernelObject[]>): Promise<void> {
    const failures: GroupResult[] = [];
    for (const [group, objects] of groups) {
      this.#results.set(group, (result) => {
        if (result.failure !== undefined) failures.push(result);
      });
      this.reconciler.setGroup(group, objects, 1);
    }
    this.reconciler.commit();
    await this.reconciler.settled();
    for (const group of groups.keys()) this.#results.delete(group);
    const [first] = failures;
    if (first?.failure === undefined) return;
    const object = failedObject(first.failure, groups.get(first.group) ?? []);
    throw object === undefined ? first.failure : explainRefusal(object, first.failure, formatObjectShort(object));
  }

  /** From here on messages come in. */
  listen(site: SignallingSite, listener: SignallingListener): void {
    this.#signalling = new Signalling(site, this.sockets, {
      onMessage: (message, arrival) => {
        this.received.add(message.type);
        listener.onMessage(message, arrival);
      },
      onDrop: listener.onDrop,
    });
    this.sockets.listen(this.#signalling);
  }

  send(effect: SendEffect): void {
    try {
      this.#signalling?.send(effect);
      this.sent.add(effect.message.type);
    } catch (cause) {
      this.sent.add("failed");
      this.#warn("message.unsent", { event: "message.unsent", reason: sendFailure(effect, cause).message });
    }
  }

  drop(reason: DropReason, detail: string): void {
    const count = this.drops.add(reason);
    if (count <= LOGGED_DROPS || count % LOGGED_DROP_INTERVAL === 0)
      this.log.info({ event: "message.dropped", reason, detail, count });
  }

  notify({ event }: NotifyEffect): void {
    this.events.record(event);
    this.log.info({
      event: event.event,
      ...(event.homeAddress !== undefined && { hoa: event.homeAddress }),
      ...event.detail,
    });
  }

  note(event: ProtocolEvent): void {
    this.notify({ kind: "notify", event });
  }

  /** The journal's group commit, as the loop wants it. */
  flush(): Promise<void> | undefined {
    if (!this.journal.dirty) return undefined;
    return this.journal.flush().catch((error: unknown) => {
      this.log.error(
        { event: "journal.failed", reason: (error as Error).message },
        "bindings are not durable until the disk is well again",
      );
    });
  }

  async serve(views: RoleViews, addresses: readonly string[]): Promise<void> {
    this.#control = await startControlServer(this.#options.controlSocket, {
      status: () => this.#status(views, addresses),
      bindings: () => views.bindings(),
      binding: (text) => {
        const address = parseIp(text);
        return address === undefined ? undefined : views.binding(address);
      },
      plan: (homeAddress) => planDocument(homeAddress, this.groupObjects(homeAddress)),
      audit: async () => {
        const { checked, differences } = await this.reconciler.audit();
        // What others have made under our marks stays; looking again and again would not change it.
        const lacking = differences.filter(({ wanted }) => wanted !== undefined);
        if (lacking.length > 0) this.reconciler.refresh(`audit found ${lacking.length} differences`);
        return auditDocument(checked, differences);
      },
      security: (address) => {
        if (address === undefined) return views.security(views.nodes());
        const node = views.nodeAt(address);
        return node && views.security([node]);
      },
      recentEvents: () => this.events.recent(),
      subscribe: (listener) => this.events.subscribe(listener),
    });
  }

  groupObjects(homeAddress: Ipv6Address): readonly KernelObject[] {
    const groups = [bindingGroup(homeAddress), ...this.#options.securityGroups(homeAddress)];
    return groups.flatMap((group) => this.reconciler.groupObjects(group));
  }

  /** Takes everything out of the kernel and closes. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#cancelLook();
    await this.#control?.close();
    this.sockets.close();
    const left = await this.reconciler.removeAll();
    for (const { operation, error } of left) {
      this.log.error({ event: "kernel.leftover", object: formatObjectShort(operation.object), reason: error?.message });
    }
    this.#packetCounters.close();
    this.kernel.close();
    this.journal.close();
    this.#release();
  }

  /** One line in a few of the same cause: which kind of object it is about is part of the cause. */
  #onRepair(what: Repair, detail: string): void {
    const [about = ""] = detail.split(" ");
    this.#warn(`kernel.${what} ${about}`, { event: `kernel.${what}`, detail });
  }

  #warn(cause: string, line: { readonly event: string; readonly [detail: string]: string }): void {
    if (this.#limit.admits(cause)) this.log.warn(line);
  }

  #onReopened(what: string, reason: string, device: boolean): void {
    this.#warn(`socket.reopened ${what}`, { event: "socket.reopened", what, reason });
    // Its state, its alias and all that stood on it are missing; what has failed for want of it need not wait.
    if (device) this.reconciler.refresh(`${what} was made anew`);
  }

  /** Deleted, renamed or moved to another network namespace: its descriptor may live on, but nothing comes out of it any more. */
  #onDeviceLost(): void {
    const { tunDevice } = this.#options;
    if (this.#closing || deviceExists(tunDevice)) return;
    const why = new Error(`there is no device ${tunDevice} any more`);
    this.sockets.renewTun(Object.assign(why, { errno: -ENODEV, code: "ENODEV", syscall: "read" }));
  }

  /** Looks at what the kernel announces to nobody, for as long as the platform is open. */
  #watchQuietly(delayMs = QUIET_LOOK_MS): void {
    this.#cancelLook = setTimer(delayMs, () => void this.#lookQuietly());
  }

  async #lookQuietly(): Promise<void> {
    let more = false;
    try {
      more = await this.reconciler.look();
    } catch (error) {
      this.#warn("kernel.unread", { event: "kernel.unread", reason: (error as Error).message });
    }
    if (!this.#closing) this.#watchQuietly(more ? 0 : QUIET_LOOK_MS);
  }

  async #status(views: RoleViews, addresses: readonly string[]): Promise<StatusDocument> {
    const kernelCounters = await this.#packetCounters.read();
    let bindings = 0;
    for (const { endpoint } of views.bindings()) if (endpoint !== null) bindings++;
    return {
      version: VERSION,
      role: this.#options.role,
      pid: process.pid,
      uptimeSeconds: (performance.now() - this.#startedAt) / 1000,
      addresses: [...addresses],
      bindings,
      readiness: views.readiness(),
      pendingOperations: this.reconciler.pending,
      failedObjects: this.reconciler.failedObjects,
      counters: {
        received: this.received.toJSON(),
        sent: this.sent.toJSON(),
        dropped: this.drops.toJSON(),
        kernel: Object.fromEntries([...kernelCounters].map(([name, { packets }]) => [name, Number(packets)])),
        netlink: { ...this.kernel.counters() },
        negotiation: this.negotiation.toJSON(),
      },
      payloadOctetsThroughProcess: this.#signalling?.payloadOctets ?? 0,
    };
  }
}

/** What all nodes share. */
export const SITE_GROUP = "site";
export const bindingGroup = (homeAddress: Ipv6Address): string => `binding ${homeAddress}`;

/** The home address of a binding's group; undefined for other groups. */
export function homeAddressOfGroup(group: string): Ipv6Address | undefined {
  return group.startsWith("binding ") ? (group.slice("binding ".length) as Ipv6Address) : undefined;
}

/** The object that a kernel error is about, found again by the text it carries. */
function failedObject(failure: MobilityError, objects: readonly KernelObject[]): KernelObject | undefined {
  const subject = failure instanceof KernelError ? failure.details.subject : undefined;
  return objects.find((object) => formatObjectShort(object) === subject);
}
