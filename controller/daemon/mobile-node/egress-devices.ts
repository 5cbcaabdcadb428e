/**
 * By which links of this machine a mobile router may attach. As a router the kernel takes no notice of router advertisements (accept_ra 1),
 * without which there is neither a care-of address nor a default route (RFC 3963 §5.6): there it is told to go on (accept_ra 2).
 */
import { readdirSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { areLent, ownPrefixes } from "../../../schemas/config/common.js";
import type { MobileNodeConfig } from "../../../schemas/config/mobile-node.js";
import { parseIp, prefixContains } from "../../base/ip.js";
import { OWNERSHIP } from "../../plan/objects/objects.js";

const DIRECTORY = "/proc/sys/net/ipv6/conf";
/** What is no link to a network. */
const NONE: readonly string[] = ["all", "default", "lo"];

interface Machine {
  readonly devices: () => readonly string[];
  readonly addresses: typeof networkInterfaces;
}
const MACHINE: Machine = { devices: () => readdirSync(DIRECTORY), addresses: networkInterfaces };

/** `isDelegated`: networks come by DHCPv6. Those that are there now, of the configured ones; without any configured all but those that lead to the networks behind us. */
export function egressDevices(
  { prefixes, interfaces }: Pick<MobileNodeConfig["mobileNode"], "prefixes" | "interfaces">,
  isDelegated = false,
  machine: Machine = MACHINE,
): readonly string[] {
  const own = ownPrefixes(prefixes);
  if (own.length === 0 && !areLent(prefixes) && !isDelegated) return [];
  const addresses = machine.addresses();
  const leadsBehind = (device: string): boolean =>
    (addresses[device] ?? []).some(({ address: text }) => {
      const address = parseIp(text);
      return address !== undefined && own.some((prefix) => prefixContains(prefix, address));
    });
  return machine
    .devices()
    .filter((device) => !NONE.includes(device) && !device.startsWith(OWNERSHIP.linkPrefix))
    .filter((device) => (interfaces === undefined ? !leadsBehind(device) : interfaces.includes(device)))
    .sort();
}
