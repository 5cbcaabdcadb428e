/** The IKE daemon at work for a role: what it negotiates becomes associations by home address, and what becomes of it is told. */
import type { SecurityDocument } from "../../../schemas/control.js";
import type { MobilityError } from "../../base/errors.js";
import type { IpAddress, Ipv6Address } from "../../base/ip.js";
import { AssociationTable, type Spent } from "../../ike/associations.js";
import { connectionName, homeAddressOf } from "../../ike/connections.js";
import type { IkeDaemonPort } from "../../ike/daemon-port.js";
import { connectionsUp } from "../../ike/duplicates.js";
import { isAgreement, MOBIKE_EVENTS, MobikeTable } from "../../ike/mobike.js";
import type { NegotiationFailure } from "../../ike/negotiation-log.js";
import { ChildRenewal } from "../../ike/renewal.js";
import { connectUnixStream } from "../../io/unix/stream.js";
import type { OpenTransport } from "../../kernel/netlink-kernel.js";
import { SecurityWatch } from "../../kernel/xfrm/security-watch.js";
import type { Logger } from "../../log.js";
import type { SetTimer } from "../../netlink/transport.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import type { Purpose, RequestIds } from "../../plan/security/request-ids.js";
import { isSending } from "../../plan/security/succession.js";
import type { Associations } from "../../plan/site.js";
import type { ProtocolEvent } from "../../protocol/mip6/inputs.js";
import type { Counters } from "../../store/events.js";
import { ViciClient } from "../../vici/client.js";
import type { ViciTransport } from "../../vici/transport.js";
import { clock } from "../clock.js";
import { openTransport, setTimer } from "../kernel.js";
import { monotonicNow } from "../machine-loop.js";
import { NegotiationWatch } from "./negotiation-watch.js";
import { listIkeSas, securityDocument } from "./view.js";

/** The second one comes later: an SA whose child is still being installed is not shown by charon. */
const SA_EVENTS: readonly string[] = ["ike-updown", "child-updown"];

export interface KeyManagementListener {
  /** The node's associations may be others now. */
  onAssociations(homeAddress: Ipv6Address): void;
  /** Authentic ESP in UDP of the node came from another address or port. */
  onMapping(homeAddress: Ipv6Address, from: { readonly address: IpAddress; readonly port: number }): void;
  /** Somebody else has taken ours out of the kernel; others are being asked for. */
  onLost(spent: Spent): void;
  /** A packet of ours found no association. */
  onAcquire(homeAddress: Ipv6Address, purpose: Purpose): void;
  /** The IKE daemon is there and knows nothing of us. Rejections are told and tried again. */
  onUp(daemon: IkeDaemonPort): Promise<void>;
  onDown(reason: MobilityError): void;
  /** An IKE SA of this connection has come up. */
  onIkeUp?(connection: string): void;
  /** `leftOut`: further failures of this peer that were not told. */
  onFailure(failure: NegotiationFailure, leftOut: number): void;
}

export interface KeyManagementSite {
  readonly role: "home-agent" | "mobile-node";
  readonly viciSocket: string;
  readonly negotiationLog: boolean;
  readonly negotiationCounters: Counters;
  readonly ids: RequestIds;
  /** That have a connection in the IKE daemon. */
  readonly subscribers: number;
  readonly homeAgentAddresses: ReadonlySet<IpAddress>;
  readonly movement: "migrate" | "mobike" | "renegotiate";
}

/** Where kernel and IKE daemon are found; a fake of each will do. */
export interface KeyManagementPorts {
  readonly openTransport: OpenTransport;
  readonly setTimer: SetTimer;
  /** To charon's VICI socket. */
  readonly connect: (path: string) => Promise<ViciTransport>;
}

const THIS_MACHINE: KeyManagementPorts = { openTransport, setTimer, connect: connectUnixStream };

export class KeyManagement {
  readonly watch: SecurityWatch;
  readonly daemon: IkeDaemonPort;
  readonly #client: ViciClient;
  readonly #table: AssociationTable;
  readonly #ids: RequestIds;
  readonly #mobike: MobikeTable;
  readonly #listener: KeyManagementListener;
  readonly #negotiations: NegotiationWatch;
  readonly #renewal: ChildRenewal;
  #cancelTimer: () => void = () => undefined;

  /** Knows the associations that are there already. The IKE daemon need not be there yet. */
  static async open(
    site: KeyManagementSite,
    listener: KeyManagementListener,
    log: Logger,
    ports = THIS_MACHINE,
  ): Promise<KeyManagement> {
    const onError = (error: unknown): void => log.warn({ event: "security.unread", reason: String(error) });
    const { openTransport, setTimer } = ports;
    const watch = await SecurityWatch.open({ openTransport, setTimer, onError });
    return new KeyManagement(site, listener, watch, log, ports);
  }

  private constructor(
    site: KeyManagementSite,
    listener: KeyManagementListener,
    watch: SecurityWatch,
    log: Logger,
    { setTimer, connect }: KeyManagementPorts,
  ) {
    this.#listener = listener;
    this.#ids = site.ids;
    this.watch = watch;
    this.#table = new AssociationTable(site.ids, site.homeAgentAddresses, site.role);
    this.#table.replace(watch.states(), monotonicNow());
    this.#mobike = new MobikeTable(site.subscribers);
    this.#negotiations = new NegotiationWatch({
      counters: site.negotiationCounters,
      subscribers: site.subscribers,
      ...(site.movement === "mobike" && { isNeeded: isAgreement }),
      listen: (on) => this.#client.listen("log", on),
      report: (failure, leftOut) => listener.onFailure(failure, leftOut),
    });
    this.#client = new ViciClient({
      connect: () => connect(site.viciSocket),
      setTimer,
      listener: {
        onUp: async () => {
          log.info({ event: "charon.up", socket: site.viciSocket });
          this.#negotiations.reset();
          await listener.onUp(this.#client);
        },
        onDown: (error) => {
          log.warn({ event: "charon.down", reason: error.message });
          for (const connection of this.#mobike.clear()) this.#tellMovement(connection);
          this.orphan();
          listener.onDown(error);
        },
        onSilence: (command, afterMs) =>
          log.warn({
            event: "charon.slow",
            command,
            reason: `charon has not answered for ${Math.round(afterMs / 1000)} s`,
          }),
        onEvent: (name, message) => {
          if (name === "log" && site.negotiationLog) this.#negotiations.onEvent(message);
          const up = site.movement === "mobike" ? this.#mobike.hear(name, message) : undefined;
          if (up !== undefined) this.#tellMovement(up);
          if (SA_EVENTS.includes(name)) for (const one of connectionsUp(message)) listener.onIkeUp?.(one);
        },
      },
      events: [
        ...new Set([
          ...SA_EVENTS,
          ...(site.negotiationLog ? ["log"] : []),
          ...(site.movement === "mobike" ? MOBIKE_EVENTS : []),
        ]),
      ],
      isNoise: (event, octets) => this.#negotiations.isNoise(event, octets),
    });
    this.daemon = this.#client;
    this.#renewal = new ChildRenewal({
      daemon: this.#client,
      setTimer: clock.setTimer,
      onFailure: (reason) => log.warn({ event: "keys.unrenewed", reason }),
    });
    watch.onChange((change) => {
      const now = monotonicNow();
      switch (change.kind) {
        case "added":
          return this.#tell(this.#table.add(change.state, now));
        case "removed":
          return this.#tell(this.#table.remove(change.state, now));
        case "resynchronised":
          return this.#tellAll(this.#table.replace(watch.states(), now));
        case "acquire": {
          const owner = site.ids.find(change.reqid);
          return owner === undefined ? undefined : listener.onAcquire(owner.homeAddress, owner.purpose);
        }
        case "mapping": {
          const owner = site.ids.find(change.reqid);
          return owner === undefined ? undefined : listener.onMapping(owner.homeAddress, change);
        }
      }
    });
    this.#arm();
  }

  /** Connects to the IKE daemon, now and whenever it has to. */
  start(): void {
    this.#client.start();
  }

  associations(homeAddress: Ipv6Address): Associations {
    return this.#table.of(homeAddress, monotonicNow(), this.hasMobike(homeAddress));
  }

  /** The IKE daemon does not know them, but those with these SPIs: others take their place as soon as there are any. */
  orphan(kept?: ReadonlySet<number>): void {
    this.#tellAll(this.#table.orphan(monotonicNow(), kept));
  }

  /** Ours has vanished from the kernel. Its numbers went with it, so it is not used again, and the IKE daemon is asked for new keys. */
  lost(object: KernelObject): void {
    if (object.kind !== "xfrm-state" || object.transform.type !== "esp") return;
    const { reqid, transform } = object;
    const spent = this.#table.spend(reqid, transform.spi, isSending(transform) ? "send" : "receive");
    if (spent === undefined) return;
    this.#listener.onLost(spent);
    this.#renewal.renew(spent);
    this.#tell(spent.homeAddress);
  }

  /** MOBIKE moves the node's IKE SA and its associations; nobody else does (RFC 5555 §5.1). */
  hasMobike(homeAddress: Ipv6Address): boolean {
    return this.#mobike.has(connectionName(homeAddress));
  }

  /** What there is to show of the nodes; `objects`: all of ours about one. */
  async view(
    nodes: readonly Ipv6Address[],
    objects: (homeAddress: Ipv6Address) => readonly KernelObject[],
  ): Promise<SecurityDocument> {
    const [counters, ike] = await Promise.all([this.watch.stateCounters(), listIkeSas(this.daemon)]);
    const now = Date.now() / 1000;
    return securityDocument(nodes, { method: "ikev2", ids: this.#ids, counters, objects, ike, own: new Set(), now });
  }

  close(): void {
    this.#cancelTimer();
    this.#negotiations.reset();
    this.#renewal.close();
    this.#client.close();
    this.watch.close();
  }

  /** Who leads the node's associations may be another one now; before there are any it does not matter, nor for strangers' connections. */
  #tellMovement(connection: string): void {
    const homeAddress = homeAddressOf(connection);
    if (homeAddress === undefined) return;
    if (Object.keys(this.associations(homeAddress)).length > 0) this.#tell(homeAddress);
  }

  #tell(homeAddress: Ipv6Address | undefined): void {
    if (homeAddress !== undefined) this.#tellAll([homeAddress]);
  }

  #tellAll(homeAddresses: Iterable<Ipv6Address>): void {
    for (const homeAddress of homeAddresses) this.#listener.onAssociations(homeAddress);
    this.#arm();
  }

  #arm(): void {
    this.#cancelTimer();
    const next = this.#table.nextDeadline;
    if (next === undefined) return;
    this.#cancelTimer = clock.setTimer(Math.max(1, next - monotonicNow()), () => {
      for (const homeAddress of this.#table.pass(monotonicNow())) this.#listener.onAssociations(homeAddress);
      this.#arm();
    });
  }
}

/** What an operator is told of it. */
export function lossOf({ homeAddress, purpose, direction, spi }: Spent): ProtocolEvent {
  const name = `0x${spi.toString(16).padStart(8, "0")}`;
  const reason = `somebody has taken the association ${name} of ${homeAddress} (${purpose}, ${direction}) out of the kernel, and its sequence numbers with it: it is not put back, and new keys are negotiated`;
  return { event: "keys.lost", homeAddress, detail: { purpose, direction, spi: name, reason } };
}
