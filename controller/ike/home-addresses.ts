/**
 * A mobile node asks its home agent for its home addresses: an IKE SA without children, whose configuration payload brings them
 * (INTERNAL_IP6_ADDRESS, RFC 5026 §5.3.1), and which is ended again. The keys of these addresses are negotiated afterwards, for selectors
 * that are known then.
 */
import {
  type IpAddress,
  type Ipv4Address,
  type Ipv6Address,
  isIpv4,
  isIpv6,
  isRoutableUnicast,
  parseIp,
} from "../base/ip.js";
import type { ViciSection } from "../vici/message.js";
import { textsAt } from "../vici/section.js";
import { BOOTSTRAP_CONNECTION } from "./bootstrapping.js";
import { listSas } from "./child-sas.js";
import type { IkeDaemonPort } from "./daemon-port.js";
import { negotiate } from "./negotiate.js";

export interface HomeAddresses {
  readonly ipv6: Ipv6Address;
  readonly ipv4?: Ipv4Address | undefined;
}

/** Time for the exchange by which the home agent learns that it is over: it lends an address once. */
const END_MS = 3000;

/** Undefined: the home agent has told no IPv6 address. Rejects with NegotiationError or ViciError. */
export async function askHomeAddresses(
  daemon: IkeDaemonPort,
  connection: ViciSection,
): Promise<HomeAddresses | undefined> {
  // An earlier life of ours may have left one.
  await end(daemon);
  await daemon.command("load-conn", { [BOOTSTRAP_CONNECTION]: connection });
  try {
    await negotiate(daemon, { ike: BOOTSTRAP_CONNECTION });
    const sas = await listSas(daemon, BOOTSTRAP_CONNECTION);
    return homeAddressesOf(sas.flatMap((sa) => textsAt(sa, "local-vips") ?? []));
  } finally {
    await end(daemon);
    await daemon.command("unload-conn", { name: BOOTSTRAP_CONNECTION }).catch(() => undefined); // ignored: it may be gone with the daemon
  }
}

function homeAddressesOf(texts: readonly string[]): HomeAddresses | undefined {
  const told = texts.flatMap((text): IpAddress[] => {
    const address = parseIp(text);
    return address !== undefined && isRoutableUnicast(address) ? [address] : [];
  });
  const ipv6 = told.find(isIpv6);
  return ipv6 && { ipv6, ipv4: told.find(isIpv4) };
}

async function end(daemon: IkeDaemonPort): Promise<void> {
  // ignored: mostly there is none
  await daemon.command("terminate", { ike: BOOTSTRAP_CONNECTION, timeout: String(END_MS) }).catch(() => undefined);
}
