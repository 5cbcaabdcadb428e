/** Objects that the plans of both roles are made of. */
import { IPV6_ANY, type Ipv4Address } from "../base/ip.js";
import type { NftSet } from "./objects/firewall.js";
import type { Link, Sysctl } from "./objects/forwarding.js";
import type { KernelObject } from "./objects/objects.js";
import { DEFAULT_MTU, RULE_PRIORITY, SIGNALLING_TABLE, TUN_DEVICE, TUN_MARK } from "./site.js";

export function sysctl(path: string, value: number): Sysctl {
  return { kind: "sysctl", path, value: String(value) };
}

/**
 * A tunnel device with what it needs beside a strict rp_filter: loose filtering of its own and an address, for without one loose filtering
 * too drops what is routed through another device. The address is of host scope, so that nothing ever takes it as a source.
 */
export function deviceObjects(link: Link, address: Ipv4Address): readonly KernelObject[] {
  return [
    link,
    {
      kind: "address",
      device: link.name,
      address,
      prefixLength: 32,
      home: false,
      noPrefixRoute: false,
      hostScope: true,
    },
    sysctl(`net/ipv4/conf/${link.name}/rp_filter`, 2),
  ];
}

/** What goes into it comes out of the kernel with ESP applied. */
export const SIGNALLING_DEVICE: Link = {
  kind: "link",
  name: TUN_DEVICE,
  mtu: DEFAULT_MTU,
  up: true,
  link: { type: "tun" },
};

/** Messages with our mark go into the TUN device, whatever the routes say. */
export function markedSignalling(): readonly KernelObject[] {
  return [
    SIGNALLING_DEVICE,
    {
      kind: "route",
      destination: { address: IPV6_ANY, length: 0 },
      table: SIGNALLING_TABLE,
      metric: 1024,
      device: TUN_DEVICE,
    },
    { kind: "rule", family: 6, priority: RULE_PRIORITY.signalling, table: SIGNALLING_TABLE, mark: TUN_MARK },
  ];
}

const octet = (value: number): string => value.toString(16).padStart(2, "0");

/** For each traffic class octet of an inner IPv4 header the first 16 bits of the outer IPv6 header. */
export const CLASS_MAP: NftSet = {
  name: "class-4",
  key: ["integer"],
  value: "integer",
  integerLength: 2,
  elements: Array.from({ length: 256 }, (_, value) => ({ key: `00${octet(value)}`, value: `6${octet(value)}0` })),
};
