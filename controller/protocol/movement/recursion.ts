/**
 * Whether a link leads through ourselves: a tunnel whose own packets leave with a home address, or by way of another such tunnel. As a way to
 * the home agent it would carry itself.
 *
 * Must not know: addresses of care, bindings.
 */
import type { IpAddress } from "../../base/ip.js";
import type { NetworkLink, NetworkView } from "./network-view.js";

/** Devices whose packets some process or kernel part sends on by a socket of its own, with no word about it in the link. */
const OPAQUE: ReadonlySet<string> = new Set(["tun", "wireguard", "xfrm", "geneve", "ovpn", "amneziawg"]);

/**
 * no       its packets do not meet our rules
 * yes      they do
 * perhaps  nobody says from which address they leave; while we are there, what names none leaves with a home address. Then it is an uplink
 *          only where nothing else is there that could be beneath it, or where a person says so
 */
export type ThroughUs = "no" | "yes" | "perhaps";

export function throughUs(view: NetworkView, device: string, homes: readonly (IpAddress | undefined)[]): ThroughUs {
  return followed(
    view,
    homes,
    view.links.find(({ name }) => name === device),
    new Set(),
  );
}

function followed(
  view: NetworkView,
  homes: readonly (IpAddress | undefined)[],
  link: NetworkLink | undefined,
  seen: Set<number>,
): ThroughUs {
  if (link === undefined) return "no";
  if (link.ours || seen.has(link.index)) return "yes";
  seen.add(link.index);
  const on = (index: number | undefined): ThroughUs =>
    followed(
      view,
      homes,
      view.links.find((one) => one.index === index),
      seen,
    );
  const { tunnel, kind, lower } = link;
  if (tunnel?.local !== undefined) {
    const { local } = tunnel;
    if (homes.includes(local)) return "yes";
    const holder = view.addresses.find(({ address }) => address === local);
    return holder === undefined
      ? "no"
      : followed(
          view,
          homes,
          view.links.find(({ name }) => name === holder.device),
          seen,
        );
  }
  // Bound to a device, its packets take that device's routes whatever our rules say.
  if (lower !== undefined) return on(lower);
  return tunnel !== undefined || (kind !== undefined && OPAQUE.has(kind)) ? "perhaps" : "no";
}
