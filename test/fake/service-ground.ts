/**
 * What a service stands on, in memory: the real groups and the real reconciler over the kernel of fake-kernel.ts, a journal that is a map,
 * a home link that keeps its frames. Messages come in by `hears` and leave into `sent`.
 */
import { ServiceGroups } from "../../controller/daemon/groups.js";
import { HomeLink } from "../../controller/daemon/home-link/link.js";
import type { OpenHomeLink } from "../../controller/daemon/home-link/sockets.js";
import type { Service, ServiceGround } from "../../controller/daemon/service.js";
import type { SignallingListener, SignallingSite } from "../../controller/daemon/signalling/signalling.js";
import type { StateCounters } from "../../controller/kernel/xfrm/security-messages.js";
import type { Logger } from "../../controller/log.js";
import type { Arrival, ProtocolEvent, SendEffect } from "../../controller/protocol/mip6/inputs.js";
import { Reconciler } from "../../controller/reconcile/reconciler.js";
import { Counters } from "../../controller/store/events.js";
import type { JournalRecord } from "../../controller/store/journal.js";
import type { MobilityMessage } from "../../controller/wire/mip6/messages/mobility-message.js";
import { FakeKernel } from "./fake-kernel.js";

export interface Stored {
  readonly record: JournalRecord;
  readonly ageSeconds: number;
}

/** A frame of the home link. */
export interface Frame {
  readonly device: string;
  readonly etherType: number;
  readonly payload: Uint8Array;
}

export class FakeGround {
  readonly kernel = new FakeKernel();
  readonly sent: SendEffect[] = [];
  readonly events: ProtocolEvent[] = [];
  /** Link-layer addresses that were learnt on the home link. */
  readonly neighbours = new Map<string, Uint8Array>();
  readonly drops: string[] = [];
  readonly counted: string[] = [];
  readonly frames: Frame[] = [];
  /** Addresses for which no other daemon may be there. */
  readonly held: string[] = [];
  /** Why none can be held. */
  busy: Error | undefined;
  /** Of the home link: a second of silence each. */
  readonly waits: (() => void)[] = [];
  readonly records = new Map<string, Stored>();
  readonly ground: ServiceGround;
  readonly home: OpenHomeLink;
  /** What the kernel has counted. */
  stateCounters: readonly StateCounters[] = [];
  /** With which the service listens. */
  site: SignallingSite | undefined;
  readonly #reconciler: Reconciler;
  readonly #groups: ServiceGroups;
  #service: Service | undefined;
  /** The first one hears. */
  readonly listeners: SignallingListener[] = [];

  /** `devices`: of the home link, by index from 1. */
  constructor(name: string, devices: readonly string[]) {
    this.#reconciler = new Reconciler(
      this.kernel,
      {
        onResult: (result) => this.#service?.onGroupResult(this.#groups.answered(result)),
        onRepair: () => undefined,
        onLoss: ({ object }) => this.#service?.onLoss(object),
      },
      { schedule: () => undefined },
    );
    this.#groups = new ServiceGroups(name, this.#reconciler);
    this.home = this.#homeLink(devices);
    const nothing = (): void => undefined;
    this.ground = {
      log: { debug: nothing, info: nothing, warn: nothing, error: nothing } as unknown as Logger,
      names: { interfaceIndex: () => 1, interfaceName: () => undefined, identity: () => undefined },
      negotiation: new Counters(),
      groups: this.#groups,
      records: {
        entries: () => this.records,
        onWritable: nothing,
        append: (key, record) => {
          if (record === null) this.records.delete(key);
          else this.records.set(key, { record, ageSeconds: 0 });
        },
      },
      hold: (address) => {
        if (this.busy !== undefined) throw this.busy;
        this.held.push(address);
        return () => void this.held.splice(this.held.indexOf(address), 1);
      },
      messageCounts: async () => ({ firewall: {}, read: 0 }),
      readStates: async () => this.stateCounters,
      announceMove: async () => undefined,
      listen: (site, listener) => {
        this.site = site;
        this.listeners.push(listener);
        return () => void this.listeners.splice(this.listeners.indexOf(listener), 1);
      },
      send: (effect) => void this.sent.push(effect as SendEffect),
      notify: ({ event }) => void this.events.push(event),
      note: (event) => void this.events.push(event as ProtocolEvent),
      count: (direction, type) => void this.counted.push(`${direction} ${type}`),
      drop: (reason) => void this.drops.push(reason),
      flush: () => undefined,
    };
  }

  /** As the platform starts a service, or who opens one anew and counts on. */
  async start(service: Service, revision = 1): Promise<void> {
    this.#service = service;
    await this.#reconciler.start();
    for (const [group, objects] of service.prepare()) this.#groups.setGroup(group, objects, revision);
    this.#reconciler.commit();
    await this.#reconciler.settled();
    service.listen();
    service.begin();
    await this.settled();
  }

  /** `octets`: where the service looks at an authenticator. */
  async hears(arrival: Arrival, message: MobilityMessage, octets = new Uint8Array(0)): Promise<void> {
    this.listeners[0]?.onMessage(message, arrival, octets);
    await this.settled();
  }

  /** The kernel has refused a Home Address option. */
  async refuses(packet: Parameters<NonNullable<SignallingListener["onOptionRefused"]>>[0]): Promise<void> {
    this.listeners[0]?.onOptionRefused?.(packet);
    await this.settled();
  }

  /** The machine has had its turn and the kernel has answered, as often as one makes the other go on. */
  async settled(): Promise<void> {
    for (let turns = 0; turns < 6; turns++) {
      await new Promise(setImmediate);
      await this.#reconciler.settled();
    }
  }

  /** A second of silence on the home link. */
  async silence(): Promise<void> {
    for (const done of this.waits.splice(0)) done();
    await this.settled();
  }

  #homeLink(devices: readonly string[]): OpenHomeLink {
    const link = new HomeLink({
      identify: (device) => {
        const index = devices.indexOf(device) + 1;
        return index === 0 ? undefined : { index, mac: Uint8Array.of(2, 0, 0, 0, 0, index) };
      },
      neighbour: (_, address) => this.neighbours.get(address),
      sendFrame: ({ index }, etherType, _, payload) =>
        void this.frames.push({ device: devices[index - 1] ?? "", etherType, payload }),
      schedule: (_, done) => {
        this.waits.push(done);
        return () => void this.waits.splice(this.waits.indexOf(done), 1);
      },
    });
    return { link, close: () => link.close() };
  }
}
