/**
 * What key managers do to the kernel's security associations, and what the kernel asks of them: the associations that the IKE daemon has
 * negotiated (their keys are what ours are made from), packets that found none, and senders of ESP in UDP that a NAT has given another
 * port. A complete picture at the start; lost announcements (ENOBUFS) lead to a new one.
 */
import { DecodeError } from "../base/errors.js";
import type { IpAddress } from "../base/ip.js";
import { readAttributes } from "../netlink/attribute.js";
import { NLM_F_DUMP } from "../netlink/constants.js";
import { type NetlinkMessage, splitMessages } from "../netlink/message.js";
import { NetlinkSession } from "../netlink/session.js";
import type { NetlinkTransport, SetTimer } from "../netlink/transport.js";
import { type AeadKey, OWNERSHIP, type XfrmState } from "../plan/objects.js";
import { NEGOTIATED } from "../plan/security-marks.js";
import type { OpenTransport } from "./netlink-kernel.js";
import {
  XFRM_MSG_FLUSHSA,
  XFRMNLGRP_ACQUIRE,
  XFRMNLGRP_EXPIRE,
  XFRMNLGRP_MAPPING,
  XFRMNLGRP_SA,
} from "./notification-constants.js";
import {
  AF_INET,
  AF_INET6,
  XFRM_MSG_ACQUIRE,
  XFRM_MSG_DELSA,
  XFRM_MSG_EXPIRE,
  XFRM_MSG_GETSA,
  XFRM_MSG_MAPPING,
  XFRM_MSG_NEWSA,
  XFRM_MSG_UPDSA,
  XFRMA_LASTUSED,
  XFRMA_TMPL,
} from "./xfrm-constants.js";
import { StructView, XFRM_STRUCTS } from "./xfrm-layout.js";
import { xfrmStateCodec } from "./xfrm-state.js";

const {
  xfrm_usersa_info: INFO,
  xfrm_user_expire: EXPIRE,
  xfrm_user_mapping: MAPPING,
  xfrm_user_tmpl: TMPL,
  xfrm_user_acquire: ACQUIRE,
  xfrm_lifetime_cur: LIFETIME,
  xfrm_stats: STATS,
  xfrm_usersa_id: ID,
} = XFRM_STRUCTS;
const GROUPS = [XFRMNLGRP_SA, XFRMNLGRP_ACQUIRE, XFRMNLGRP_EXPIRE, XFRMNLGRP_MAPPING];
const XFRM_ID_SPI = XFRM_STRUCTS.xfrm_id.spi;
const OWN_REQIDS = 1 << 24;

/** One direction of what the IKE daemon has negotiated, with its own ends. */
export interface NegotiatedState {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly reqid: number;
  readonly spi: number;
  readonly mode: "transport" | "tunnel";
  readonly aead: AeadKey;
}

export type SecurityChange =
  | { readonly kind: "added" | "removed"; readonly state: NegotiatedState }
  /** Announcements were lost: `states()` is the truth. */
  | { readonly kind: "resynchronised" }
  /** A packet met a policy with this request id of ours, and there is no association. */
  | { readonly kind: "acquire"; readonly reqid: number }
  /** Authentic ESP in UDP for one of our associations came from another address or port than before. */
  | { readonly kind: "mapping"; readonly reqid: number; readonly address: IpAddress; readonly port: number };

/** How much one association has carried. */
export interface StateCounters {
  readonly reqid: number;
  readonly spi: number;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly packets: number;
  readonly octets: number;
  /** Seconds since 1970. */
  readonly addedAt: number;
  readonly lastUsedAt?: number;
  readonly replayed: number;
  readonly integrityFailures: number;
}

export class SecurityWatch {
  readonly #session: NetlinkSession;
  readonly #announcements: NetlinkTransport;
  readonly #states = new Map<string, NegotiatedState>();
  readonly #listeners: ((change: SecurityChange) => void)[] = [];
  readonly #onError: (error: unknown) => void;
  #closed = false;

  /** Resolves when the first picture is complete. Throws KernelError or the addon's system error. */
  static async open(options: {
    readonly openTransport: OpenTransport;
    readonly setTimer: SetTimer;
    /** A dump after lost announcements failed; the picture is old until the next change. */
    readonly onError: (error: unknown) => void;
  }): Promise<SecurityWatch> {
    const watch = new SecurityWatch(options);
    try {
      await watch.#dump();
      return watch;
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  private constructor({
    openTransport,
    setTimer,
    onError,
  }: { openTransport: OpenTransport; setTimer: SetTimer; onError: (error: unknown) => void }) {
    this.#onError = onError;
    this.#announcements = openTransport("xfrm", GROUPS);
    this.#session = new NetlinkSession(openTransport("xfrm", []), { setTimer });
    this.#announcements.onOverrun(() => this.#relearn());
    this.#announcements.onDatagram((datagram) => this.#hear(datagram));
  }

  states(): readonly NegotiatedState[] {
    return [...this.#states.values()];
  }

  onChange(listener: (change: SecurityChange) => void): void {
    this.#listeners.push(listener);
  }

  /** Of ours and of the negotiated ones. */
  async stateCounters(): Promise<readonly StateCounters[]> {
    const messages = await this.#session.dump(dumpStates());
    const counters = messages.flatMap((message) => countersOf(message) ?? []);
    for (const { body } of messages) body.fill(0);
    return counters;
  }

  close(): void {
    this.#closed = true;
    this.#listeners.length = 0;
    this.#announcements.close();
    this.#session.close();
  }

  #emit(change: SecurityChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  #relearn(): void {
    this.#dump().then(
      () => this.#emit({ kind: "resynchronised" }),
      (error: unknown) => {
        if (!this.#closed) this.#onError(error);
      },
    );
  }

  async #dump(): Promise<void> {
    const messages = await this.#session.dump(dumpStates());
    this.#states.clear();
    for (const message of messages) {
      const state = negotiated(message);
      if (state !== undefined) this.#states.set(keyOf(state), state);
      message.body.fill(0);
    }
  }

  #hear(datagram: Uint8Array): void {
    try {
      for (const message of splitMessages(datagram)) {
        this.#learn(message);
        message.body.fill(0); // keys
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#relearn();
    }
  }

  #learn(message: NetlinkMessage): void {
    const { type, body } = message;
    switch (type) {
      case XFRM_MSG_NEWSA:
      case XFRM_MSG_UPDSA: {
        const state = negotiated(message);
        if (state === undefined) return;
        this.#states.set(keyOf(state), state);
        return this.#emit({ kind: "added", state });
      }
      case XFRM_MSG_DELSA: {
        const state = negotiated(message);
        return state === undefined ? undefined : this.#remove(keyOf(state));
      }
      case XFRM_MSG_EXPIRE:
        return this.#expire(body);
      case XFRM_MSG_FLUSHSA:
        return this.#relearn();
      case XFRM_MSG_ACQUIRE: {
        const templates = readAttributes(body.subarray(ACQUIRE.size), ACQUIRE.size).get(XFRMA_TMPL);
        if (templates === undefined) return;
        const reqid = StructView.over(templates.payload, "xfrm_user_tmpl").u32(TMPL.reqid);
        if (isOwn(reqid)) this.#emit({ kind: "acquire", reqid });
        return;
      }
      case XFRM_MSG_MAPPING: {
        const view = StructView.over(body, "xfrm_user_mapping");
        const reqid = view.u32(MAPPING.reqid);
        if (!isOwn(reqid)) return;
        const family = view.u16(MAPPING.id + ID.family);
        if (family !== AF_INET && family !== AF_INET6) return;
        const address = view.address(MAPPING.new_saddr, family);
        this.#emit({ kind: "mapping", reqid, address, port: view.u16be(MAPPING.new_sport) });
        return;
      }
    }
  }

  /** A hard end takes the state away without another word. */
  #expire(body: Uint8Array): void {
    const view = StructView.over(body, "xfrm_user_expire");
    if (view.u8(EXPIRE.hard) === 0) return;
    const family = view.u16(INFO.family);
    if (family !== AF_INET && family !== AF_INET6) return;
    this.#remove(keyOf({ destination: view.address(INFO.id, family), spi: view.u32be(INFO.id + XFRM_ID_SPI) }));
  }

  #remove(key: string): void {
    const state = this.#states.get(key);
    if (state === undefined) return;
    this.#states.delete(key);
    this.#emit({ kind: "removed", state });
  }
}

const dumpStates = () =>
  ({ family: "xfrm", type: XFRM_MSG_GETSA, flags: NLM_F_DUMP, body: new Uint8Array(0) }) as const;

const keyOf = ({ destination, spi }: Pick<NegotiatedState, "destination" | "spi">): string => `${destination} ${spi}`;

const isOwn = (reqid: number): boolean => reqid >= OWNERSHIP.reqidBase && reqid < OWNERSHIP.reqidBase + OWN_REQIDS;

const isNegotiated = (reqid: number): boolean =>
  reqid >= NEGOTIATED.reqidBase && reqid < NEGOTIATED.reqidBase + NEGOTIATED.reqidSize;

const NAMES = { interfaceIndex: () => 0, interfaceName: () => undefined };

function negotiated(message: NetlinkMessage): NegotiatedState | undefined {
  const state: XfrmState | undefined = xfrmStateCodec.decode(message, NAMES, false);
  if (state === undefined || state.transform.type !== "esp" || !isNegotiated(state.reqid)) return undefined;
  const { source, destination, reqid, transform } = state;
  return { source, destination, reqid, spi: transform.spi, mode: transform.mode, aead: transform.aead };
}

function countersOf({ type, body }: NetlinkMessage): StateCounters | undefined {
  if (type !== XFRM_MSG_NEWSA) return undefined;
  const view = StructView.over(body, "xfrm_usersa_info");
  const reqid = view.u32(INFO.reqid);
  const family = view.u16(INFO.family);
  if ((!isOwn(reqid) && !isNegotiated(reqid)) || (family !== AF_INET && family !== AF_INET6)) return undefined;
  const current = view.part(INFO.curlft, LIFETIME.size);
  const stats = view.part(INFO.stats, STATS.size);
  const lastUsed = readAttributes(body.subarray(INFO.size), INFO.size).get(XFRMA_LASTUSED);
  return {
    reqid,
    spi: view.u32be(INFO.id + XFRM_ID_SPI),
    source: view.address(INFO.saddr, family),
    destination: view.address(INFO.id, family),
    packets: Number(current.u64(LIFETIME.packets)),
    octets: Number(current.u64(LIFETIME.bytes)),
    addedAt: Number(current.u64(LIFETIME.add_time)),
    ...(lastUsed !== undefined && { lastUsedAt: Number(new StructView(Uint8Array.from(lastUsed.payload)).u64(0)) }),
    replayed: stats.u32(STATS.replay),
    integrityFailures: stats.u32(STATS.integrity_failed),
  };
}
