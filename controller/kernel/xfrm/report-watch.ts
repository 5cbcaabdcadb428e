/**
 * The kernel's reports of packets with a Home Address option that no binding covers (XFRM_MSG_REPORT): what the binding errors of RFC
 * 6275 §9.3.1 are about. Anybody can cause them, so only a few are heard: after a burst nobody listens for a while, and without a
 * listener a report costs the kernel next to nothing.
 */
import { type Ipv6Address, isIpv6 } from "../../base/ip.js";
import { readAttributes } from "../../netlink/attribute.js";
import { type NetlinkMessage, splitMessages } from "../../netlink/message.js";
import type { NetlinkTransport, SetTimer } from "../../netlink/transport.js";
import type { OpenTransport } from "../netlink-kernel.js";
import { XFRMNLGRP_REPORT } from "../notification-constants.js";
import { IPPROTO_DSTOPTS, XFRM_MSG_REPORT, XFRMA_COADDR } from "./constants.js";
import { StructView, XFRM_STRUCTS } from "./layout.js";

const { xfrm_user_report: REPORT, xfrm_selector: SELECTOR } = XFRM_STRUCTS;
/** Reports heard in one go, and how long nobody listens after them. More than binding errors may leave in that time. */
const BURST = 32;
const PAUSE_MS = 500;

/** One packet. */
export interface RefusedOption {
  /** As on the wire: the care-of address. */
  readonly source: Ipv6Address;
  /** One of ours. */
  readonly destination: Ipv6Address;
  /** From the option. */
  readonly homeAddress: Ipv6Address;
  /** Behind the extension headers. */
  readonly protocol: number;
}

export interface ReportWatchOptions {
  readonly openTransport: OpenTransport;
  readonly setTimer: SetTimer;
  readonly onRefused: (packet: RefusedOption) => void;
  /** The socket could not be opened again; the next try is a pause later. */
  readonly onError: (error: unknown) => void;
}

export class ReportWatch {
  readonly #options: ReportWatchOptions;
  #transport: NetlinkTransport | undefined;
  #cancelTimer: (() => void) | undefined;
  /** Since the last pause. */
  #heard = 0;
  #closed = false;

  /** Throws the addon's system error. */
  constructor(options: ReportWatchOptions) {
    this.#options = options;
    this.#transport = this.#open();
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#transport?.close();
  }

  #open(): NetlinkTransport {
    const transport = this.#options.openTransport("xfrm", [XFRMNLGRP_REPORT]);
    transport.onOverrun(() => this.#pause(transport));
    transport.onDatagram((datagram) => {
      if (transport === this.#transport) this.#hear(datagram, transport);
    });
    return transport;
  }

  #hear(datagram: Uint8Array, transport: NetlinkTransport): void {
    // The first one of a while begins the count of a burst.
    this.#cancelTimer ??= this.#options.setTimer(PAUSE_MS, () => this.#resume());
    this.#heard += 1;
    if (this.#heard >= BURST) this.#pause(transport);
    for (const packet of decodeReports(datagram)) this.#options.onRefused(packet);
  }

  #pause(transport: NetlinkTransport): void {
    if (transport !== this.#transport) return;
    this.#transport = undefined;
    transport.close();
    this.#cancelTimer ??= this.#options.setTimer(PAUSE_MS, () => this.#resume());
  }

  #resume(): void {
    this.#cancelTimer = undefined;
    this.#heard = 0;
    if (this.#closed || this.#transport !== undefined) return;
    try {
      this.#transport = this.#open();
    } catch (error) {
      this.#options.onError(error);
      this.#cancelTimer = this.#options.setTimer(PAUSE_MS, () => this.#resume());
    }
  }
}

/** Any octets: what can't be read is nothing. */
function decodeReports(datagram: Uint8Array): RefusedOption[] {
  try {
    return splitMessages(datagram).flatMap((message) => decodeReport(message) ?? []);
  } catch {
    return []; // ignored: nobody waits for it
  }
}

/** undefined for reports of another kind. Throws DecodeError. */
export function decodeReport({ type, body }: NetlinkMessage): RefusedOption | undefined {
  if (type !== XFRM_MSG_REPORT) return undefined;
  const view = StructView.over(body, "xfrm_user_report");
  const source = readAttributes(body.subarray(REPORT.size), REPORT.size).get(XFRMA_COADDR)?.address();
  if (view.u8(REPORT.proto) !== IPPROTO_DSTOPTS || source === undefined || !isIpv6(source)) return undefined;
  // The kernel has exchanged the addresses: the home address stands in the place of the source.
  return {
    source,
    destination: view.ipv6(REPORT.sel + SELECTOR.daddr),
    homeAddress: view.ipv6(REPORT.sel + SELECTOR.saddr),
    protocol: view.u8(REPORT.sel + SELECTOR.proto),
  };
}
