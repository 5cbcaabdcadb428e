/**
 * What both roles stand on: kernel, reconciler, signalling sockets, journal, events, counters and the control interface, opened in the
 * order in which they need each other and closed in the reverse one.
 */

import type { StatusDocument } from "../../schemas/control.js";
import { InvariantError, MobilityError } from "../base/errors.js";
import { type Ipv4Address, type Ipv6Address, parseIp } from "../base/ip.js";
import { type ControlServer, startControlServer } from "../control/server.js";
import type { NetlinkKernel } from "../kernel/netlink-kernel.js";
import { checkSwitches, type SwitchFiles } from "../kernel/route/switches.js";
import type { RefusedOption } from "../kernel/xfrm/report-watch.js";
import type { Logger } from "../log.js";
import { ENODEV } from "../netlink/errno.js";
import { KernelError } from "../netlink/errors.js";
import { formatObjectShort } from "../plan/objects/format.js";
import type { KernelObject } from "../plan/objects/objects.js";
import { sysctl } from "../plan/shared-objects.js";
import type { NotifyEffect, SignallingEffect } from "../protocol/mip6/inputs.js";
import type { KernelPort } from "../reconcile/kernel-port.js";
import { type GroupResult, Reconciler, type Repair } from "../reconcile/reconciler.js";
import { Counters, EventLog, type NotedEvent } from "../store/events.js";
import type { JournalRole } from "../store/journal.js";
import { LogLimit } from "../store/log-limit.js";
import { VERSION } from "../version.js";
import { clock } from "./clock.js";
import { commandOf } from "./command.js";
import { ServiceGroups, serviceOfGroup } from "./groups.js";
import { type PacketCounters, setBackgroundTimer, setTimer } from "./kernel.js";
import { deviceExists, explainRefusal } from "./preflight.js";
import { RefusedPackets } from "./security/refused-packets.js";
import { xfrmCounters } from "./security/xfrm-counters.js";
import type { Service, ServiceGround, ServiceRecords, ServiceViews } from "./service.js";
import { SignallingRouter } from "./signalling/router.js";
import {
  type SignallingListener,
  type SignallingPorts,
  type SignallingSite,
  sendFailure,
} from "./signalling/signalling.js";
import type { SignallingSockets } from "./signalling/sockets.js";
import type { Storage } from "./storage.js";
import { QuietLook } from "./upkeep/quiet-look.js";
import { auditDocument, mergedViews, planDocument } from "./views.js";

export interface PlatformOptions {
  readonly role: JournalRole;
  readonly controlSocket: string;
  readonly tunDevice: string;
  /** Absent: IPv4 is not served. */
  readonly signallingAddress?: Ipv4Address;
  /** Where UDP over IPv6 is served. */
  readonly signallingIpv6Address?: Ipv6Address;
}

/** What the platform opens; a fake of each will do. */
export interface PlatformParts {
  readonly options: PlatformOptions;
  readonly log: Logger;
  readonly storage: Storage;
  readonly kernel: KernelPort & Pick<NetlinkKernel, "names" | "counters" | "announceMove" | "stateCounters">;
  readonly sockets: SignallingPorts & Pick<SignallingSockets, "listen" | "renewTun" | "close">;
  readonly packetCounters: Pick<PacketCounters, "read" | "close">;
  /** Hears of refused Home Address options; absent: of none. */
  readonly watchReports?: (onRefused: (packet: RefusedOption) => void) => { close(): void };
  /** Absent: those of this machine. */
  readonly switches?: SwitchFiles;
  /** See `ServiceGround.hold`. */
  readonly hold: ServiceGround["hold"];
  /** Lets go of what was held for this daemon alone. */
  readonly release: () => void;
}

/** One in this many drops of a reason is logged, after the first few: a flood must not fill a disk. */
const LOGGED_DROPS = 10;
const LOGGED_DROP_INTERVAL = 1000;
/** What each tunnel device wants, in the name of those to come (plan/shared-objects.ts). */
const LATER_DEVICE_FILTER = sysctl("net/ipv4/conf/default/rp_filter", 2);

export interface WarnLine {
  readonly event: string;
  readonly [detail: string]: string;
}

export class Platform {
  readonly log: Logger;
  readonly events = new EventLog(() => new Date());
  readonly drops = new Counters();
  readonly received = new Counters();
  readonly sent = new Counters();
  readonly negotiation = new Counters();
  readonly storage: Storage;
  readonly kernel: PlatformParts["kernel"];
  readonly reconciler: Reconciler;
  readonly sockets: PlatformParts["sockets"];
  readonly #options: PlatformOptions;
  readonly #hold: ServiceGround["hold"];
  readonly #release: () => void;
  readonly #packetCounters: PlatformParts["packetCounters"];
  readonly #startedAt = clock.now();
  readonly #results = new Map<string, (result: GroupResult) => void>();
  readonly #grounds = new Map<string, ServiceGroups>();
  readonly #services = new Map<string, { readonly service: Service; readonly groups: ServiceGroups }>();
  readonly #router: SignallingRouter;
  readonly #watchReports: PlatformParts["watchReports"];
  readonly #switches: SwitchFiles | undefined;
  #reports: { close(): void } | undefined;
  #listening = false;
  #control: ControlServer | undefined;
  readonly #limit: LogLimit;
  #look: QuietLook | undefined;
  #closing = false;

  /** To be started (`reconciler.start`) before anything is wanted of it. */
  constructor(parts: PlatformParts) {
    this.#options = parts.options;
    this.log = parts.log;
    this.storage = parts.storage;
    this.kernel = parts.kernel;
    this.sockets = parts.sockets;
    this.#hold = parts.hold;
    this.#release = parts.release;
    this.#packetCounters = parts.packetCounters;
    this.#watchReports = parts.watchReports;
    this.#switches = parts.switches;
    this.#router = new SignallingRouter(parts.sockets, (what) => this.drop("unheard", what));
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
        onResult: (result) => this.#answered(result),
        onRepair: (what, detail) => this.#onRepair(what, detail),
        onLoss: ({ object }) => this.#lost(object),
      },
      { schedule: (delayMs, run) => void clock.setTimer(delayMs, run) },
    );
  }

  /** What the service of this name stands on. The keys of its journal records bear `recordPrefix`, which no other service's begin with. */
  ground(name: string, recordPrefix = ""): ServiceGround {
    const groups = new ServiceGroups(name, this.reconciler);
    this.#grounds.set(name, groups);
    return {
      log: this.log,
      names: this.kernel.names,
      negotiation: this.negotiation,
      groups,
      records: this.#records(recordPrefix),
      hold: (address) => this.#hold(address),
      messageCounts: () => this.#messageCounts(),
      readStates: (states) => this.kernel.stateCounters(states),
      announceMove: (moves) => this.kernel.announceMove(moves),
      listen: (site, listener) => this.listen(site, listener),
      send: (effect) => this.send(effect),
      notify: (effect) => this.notify(effect),
      note: (event) => this.note(event),
      count: (direction, type) => void this[direction].add(type),
      drop: (reason, detail) => this.drop(reason, detail),
      flush: () => this.flush(),
    };
  }

  #records(prefix: string): ServiceRecords {
    const { storage } = this;
    return {
      *entries() {
        for (const { key, ...stored } of storage.restored())
          if (key.startsWith(prefix) && (prefix !== "" || !key.includes(" "))) yield [key.slice(prefix.length), stored];
      },
      onWritable: (listener) => storage.onWritable(listener),
      append: (key, record) => storage.journal.append(`${prefix}${key}`, record),
    };
  }

  /** From here on what is the service's comes to it. */
  attach(service: Service): void {
    const groups = this.#grounds.get(service.name);
    if (groups === undefined) throw new InvariantError(`service ${service.name} stands on no ground of this platform`);
    this.#services.set(service.name, { service, groups });
  }

  #answered(result: GroupResult): void {
    const owner = this.#services.get(serviceOfGroup(result.group));
    const answer = owner?.groups.answered(result);
    const waiting = this.#results.get(result.group);
    if (waiting !== undefined) waiting(result);
    else if (answer !== undefined) owner?.service.onGroupResult(answer);
  }

  #lost(object: KernelObject): void {
    for (const { service } of this.#services.values()) {
      if (service.ownerOf(object) === undefined) continue;
      service.onLoss(object);
      return;
    }
  }

  /**
   * Has every service take up what it kept, wants what they cannot do without, and waits until the kernel has it all. Throws MobilityError
   * that says which module or change is needed.
   */
  async require(): Promise<void> {
    const wanted = new Map<string, readonly KernelObject[]>();
    const failures: GroupResult[] = [];
    for (const { service, groups } of this.#services.values()) {
      for (const [group, objects] of service.prepare()) {
        const name = groups.nameOf(group);
        wanted.set(name, objects);
        this.#results.set(name, (result) => {
          if (result.failure !== undefined) failures.push(result);
        });
        groups.setGroup(group, objects, 1);
      }
    }
    // Tunnel devices for IPv4 may be made later, too.
    const later = this.#options.signallingAddress === undefined ? [] : [LATER_DEVICE_FILTER];
    checkSwitches([...later, ...[...wanted.values()].flat()], this.#switches);
    this.reconciler.commit();
    await this.reconciler.settled();
    this.#results.clear();
    const [first] = failures;
    if (first?.failure === undefined) return;
    const object = failedObject(first.failure, wanted.get(first.group) ?? []);
    throw object === undefined ? first.failure : explainRefusal(object, first.failure, formatObjectShort(object));
  }

  /** From here on messages come in, to this listener until the returned function is called. */
  listen(site: SignallingSite, listener: SignallingListener): () => void {
    const remove = this.#router.add(site, {
      ...listener,
      onMessage: (message, arrival, octets) => {
        this.received.add(message.type);
        listener.onMessage(message, arrival, octets);
      },
      ...(listener.onPrefixMessage !== undefined && {
        onPrefixMessage: (message, arrival) => {
          this.received.add(message.type);
          listener.onPrefixMessage?.(message, arrival);
        },
      }),
    });
    if (!this.#listening) {
      this.#listening = true;
      this.sockets.listen(this.#router);
      this.#reports = this.#watchReports?.((packet) => this.#router.optionRefused(packet));
    }
    return remove;
  }

  send(effect: SignallingEffect): void {
    try {
      this.#router.send(effect);
      this.sent.add(effect.message.type);
    } catch (cause) {
      this.sent.add("failed");
      this.warn("message.unsent", { event: "message.unsent", reason: sendFailure(effect, cause).message });
    }
  }

  async #messageCounts(): Promise<{ firewall: Readonly<Record<string, number>>; read: number }> {
    const counted = await this.#packetCounters.read();
    const numbers = [...Object.values(this.received.toJSON()), ...Object.values(this.drops.toJSON())];
    return {
      firewall: Object.fromEntries([...counted].map(([name, { packets }]) => [name, Number(packets)])),
      read: numbers.reduce((sum, one) => sum + one, 0),
    };
  }

  drop(reason: string, detail: string): void {
    const count = this.drops.add(reason);
    if (count <= LOGGED_DROPS || count % LOGGED_DROP_INTERVAL === 0)
      this.log.info({ event: "message.dropped", reason, detail, count });
  }

  notify({ event }: NotifyEffect): void {
    this.note(event);
  }

  note(event: NotedEvent): void {
    this.events.record(event);
    this.log.info({
      event: event.event,
      ...(event.homeAddress !== undefined && { hoa: event.homeAddress }),
      ...event.detail,
    });
  }

  /** The journal's group commit, as the loop wants it. */
  flush(): Promise<boolean> | undefined {
    return this.storage.flush();
  }

  /** Opens the control socket, behind which all services are one. */
  async serve(): Promise<void> {
    const services = [...this.#services.values()].map(({ service }) => service);
    const views = mergedViews(services.map((service) => service.views));
    // Some are told or lent later on.
    const addresses = (): readonly string[] => services.flatMap((service) => service.addresses);
    this.#control = await startControlServer(this.#options.controlSocket, {
      status: () => this.#status(views, addresses()),
      bindings: () => views.bindings(),
      binding: (text) => {
        const address = parseIp(text);
        return address === undefined ? undefined : views.binding(address);
      },
      plan: (text) => {
        const address = parseIp(text);
        const node = address && (views.nodeAt(address) ?? (address as Ipv6Address));
        return planDocument(text, node === undefined ? [] : views.plan(node));
      },
      audit: async () => {
        const { checked, differences } = await this.reconciler.audit();
        // What others have made under our marks stays; looking again and again would not change it.
        const lacking = differences.filter(({ wanted }) => wanted !== undefined);
        if (lacking.length > 0) this.reconciler.refresh(`audit found ${lacking.length} differences`);
        return auditDocument(checked, differences);
      },
      security: (address) => {
        if (address === undefined) return views.security([...views.nodes()]);
        const node = views.nodeAt(address);
        return node && views.security([node]);
      },
      command: (request) => commandOf(services, request, this.#options.role),
      visitors: () => ({ visitors: [...(views.visitors?.() ?? [])] }),
      correspondents: () => ({ correspondents: [...(views.correspondents?.() ?? [])] }),
      multicast: () => ({ groups: [...(views.multicast?.() ?? [])] }),
      recentEvents: () => this.events.recent(),
      subscribe: (listener) => this.events.subscribe(listener),
    });
  }

  /** Takes everything out of the kernel and closes. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#look?.close();
    await this.#control?.close();
    this.sockets.close();
    this.#reports?.close();
    await this.#removeAll();
    this.#packetCounters.close();
    this.kernel.close();
    await this.storage.close();
    this.#release();
  }

  /** What cannot be removed is told: the next start finds it. */
  async #removeAll(): Promise<void> {
    try {
      for (const { operation, error } of await this.reconciler.removeAll()) {
        const object = formatObjectShort(operation.object);
        this.log.error({ event: "kernel.leftover", object, reason: error?.message });
      }
    } catch (error) {
      if (!(error instanceof MobilityError)) throw error;
      this.log.error({ event: "kernel.leftover", reason: error.message });
    }
  }

  /** One line in a few of the same cause: which kind of object it is about is part of the cause. */
  #onRepair(what: Repair, detail: string): void {
    const [about = ""] = detail.split(" ");
    this.warn(`kernel.${what} ${about}`, { event: `kernel.${what}`, detail });
  }

  /** A few lines a minute of one cause. */
  warn(cause: string, line: WarnLine): void {
    if (this.#limit.admits(cause)) this.log.warn(line);
  }

  /** A socket whose descriptor had died has got another one; `device`: a TUN device, down and bare. */
  onReopened(what: string, reason: string, device: boolean): void {
    this.warn(`socket.reopened ${what}`, { event: "socket.reopened", what, reason });
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

  /** Looks at what changes without a word, for as long as the platform is open. */
  watchQuietly(lookAtAddresses: () => void): void {
    const refused = this.#refusedPackets();
    this.#look = new QuietLook({
      setTimer,
      looked: [
        { what: "kernel", look: async () => ((await this.reconciler.look()) ? "again" : "enough") },
        { what: "control socket", look: () => this.#lookAtControl() },
        {
          what: "addresses",
          look: () => {
            lookAtAddresses();
            return "enough";
          },
        },
        {
          what: "services",
          look: () => {
            for (const { service } of this.#services.values()) service.look?.();
            return "enough";
          },
        },
        { what: "refused packets", look: () => refused.lookAtAll() },
      ],
      onError: (what, error) => this.warn(`${what} unread`, { event: "look.failed", what, reason: error.message }),
    });
  }

  #refusedPackets(): RefusedPackets {
    const services = (): readonly Service[] => [...this.#services.values()].map(({ service }) => service);
    return new RefusedPackets({
      totals: xfrmCounters,
      nodes: () => services().flatMap(({ views }) => [...views.nodes()]),
      objectsOf: (homeAddress) => services().flatMap((service) => service.objectsOf(homeAddress)),
      read: (states) => this.kernel.stateCounters(states),
      tell: (event) => this.note(event),
      now: () => clock.now(),
    });
  }

  async #lookAtControl(): Promise<"enough"> {
    if ((await this.#control?.look()) === true)
      this.warn("control.renewed", { event: "control.renewed", path: this.#options.controlSocket });
    return "enough";
  }

  async #status(views: ServiceViews, addresses: readonly string[]): Promise<StatusDocument> {
    const kernelCounters = await this.#packetCounters.read();
    let bindings = 0;
    for (const { endpoint } of views.bindings()) if (endpoint !== null) bindings++;
    return {
      version: VERSION,
      role: this.#options.role,
      pid: process.pid,
      uptimeSeconds: (clock.now() - this.#startedAt) / 1000,
      addresses: [...addresses],
      bindings,
      visitors: views.visitors?.().length ?? 0,
      homePrefixes: [...(views.homePrefixes?.() ?? [])],
      readiness: views.readiness(),
      pendingOperations: this.reconciler.pending,
      failedObjects: this.reconciler.failedObjects,
      counters: {
        received: this.received.toJSON(),
        sent: this.sent.toJSON(),
        dropped: this.drops.toJSON(),
        kernel: withForged(
          Object.fromEntries([...kernelCounters].map(([name, { packets }]) => [name, Number(packets)])),
        ),
        xfrm: xfrmCounters(),
        netlink: { ...this.kernel.counters() },
        negotiation: this.negotiation.toJSON(),
      },
      payloadOctetsThroughProcess: this.#router.payloadOctets,
    };
  }
}

/** The object that a kernel error is about, found again by the text it carries. */
function failedObject(failure: MobilityError, objects: readonly KernelObject[]): KernelObject | undefined {
  const subject = failure instanceof KernelError ? failure.details.subject : undefined;
  return objects.find((object) => formatObjectShort(object) === subject);
}

/**
 * With what the kernel's 6to4 check has refused, which counts nothing of its own: IPv4-mapped care-of addresses that went into the device
 * and did not come out of it (KERNEL.md, "The 2004 profile").
 */
function withForged(counters: Readonly<Record<string, number>>): Record<string, number> {
  const { "mapped-signalling": taken, "mapped-proven": proven } = counters;
  if (taken === undefined || proven === undefined) return counters;
  return { ...counters, "mapped-forged": Math.max(0, taken - proven) };
}
