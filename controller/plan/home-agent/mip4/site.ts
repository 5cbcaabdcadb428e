/** What all bindings of Mobile IPv4 share in the kernel of a home agent, beside what Mobile IPv6's do (home-agent/plan.ts). */
import { type Ipv4Address, ipv4 } from "../../../base/ip.js";
import { tunnelLinkLocal } from "../../../base/mapped.js";
import { GRE_DEVICE, GUE_PORT, INNER_IPV4_HEADER, LEAST_MTU, REGISTRATION_PORT } from "../../mip4/tunnel-data.js";
import type { Link } from "../../objects/forwarding.js";
import type { KernelObject } from "../../objects/objects.js";
import { deviceObjects } from "../../shared-objects.js";
import {
  COPY_CLASS_OCTET,
  DEVICE,
  type HomeAgentPlanSite,
  mip4Service,
  type TunnelClass,
  tunnelClasses,
} from "../../site.js";
import { deviceMtu, octetOfDscp } from "../inner-routes.js";

/** In UDP from port 434, and IPv6 to an IPv4 home address, which enters a tunnel once more. */
export type Mip4SendFormat = "udp" | "home-address";

const LETTER = { udp: "n", "home-address": "h" } as const;
const SECOND_OCTET = { udp: 34, "home-address": 35 } as const;

export function mip4SendDevice(format: Mip4SendFormat, { dscp, ttl }: TunnelClass): string {
  return `${DEVICE.sendPrefix}${LETTER[format]}-${dscp === "copy" ? "c" : dscp}-${ttl}`;
}

/** As those of the other devices that send to many nodes (plan/site.ts, internalAddress). */
export function mip4InternalAddress(format: Mip4SendFormat, { dscp, ttl }: TunnelClass): Ipv4Address {
  return ipv4(`240.${SECOND_OCTET[format]}.${dscp === "copy" ? COPY_CLASS_OCTET : dscp}.${ttl}`);
}

const GRE_INTERNAL = ipv4("240.41.65.9");

/** Of a tunnel that carries IPv6 inside IPv4, which needs 1280 octets. */
export function mip4TunnelMtu(mtu: number): number {
  return Math.max(mtu, LEAST_MTU.ipv4);
}

/** Of IPv6 to a home address whose tunnel takes so many octets. */
export function homeAddressMtu(tunnelMtu: number): number {
  return Math.max(tunnelMtu - INNER_IPV4_HEADER, LEAST_MTU.ipv6);
}

/** Empty where Mobile IPv4 is not served. What Mobile IPv6's bindings have over IPv4, and the firewall, are the home agent's own site. */
export function planMip4Site(site: HomeAgentPlanSite): readonly KernelObject[] {
  const service = mip4Service(site);
  const local = site.addresses.ipv4;
  if (service === undefined || local === undefined) return [];
  return [
    { kind: "fou-port", family: 4, port: GUE_PORT, encapsulation: "gue", local },
    {
      kind: "address",
      device: DEVICE.receiveIpv4,
      // Its end of the tunnels to home addresses, where link-local packets of nodes come out.
      address: tunnelLinkLocal(local),
      prefixLength: 64,
      home: false,
      noPrefixRoute: true,
    },
    ...tunnelClasses(site).flatMap((one) => [
      ...sendObjects(site, "udp", one),
      ...sendObjects(site, "home-address", one),
    ]),
    ...(service.gre ? greObjects(site) : []),
  ];
}

function sendObjects(site: HomeAgentPlanSite, format: Mip4SendFormat, one: TunnelClass): readonly KernelObject[] {
  const local = mip4InternalAddress(format, one);
  const trafficClass = one.dscp === "copy" ? "inherit" : octetOfDscp(one.dscp);
  const mtu = deviceMtu(site);
  const link: Link = {
    kind: "link",
    name: mip4SendDevice(format, one),
    mtu: format === "udp" ? mtu : homeAddressMtu(mtu),
    up: true,
    link: {
      type: "sit",
      local,
      ttl: 0,
      trafficClass,
      pathMtuDiscovery: false,
      ...(format === "udp" && {
        udp: { sourcePort: REGISTRATION_PORT, destinationPort: REGISTRATION_PORT, gue: true },
      }),
    },
  };
  return deviceObjects(link, local);
}

function greObjects(site: HomeAgentPlanSite): readonly KernelObject[] {
  const link: Link = {
    kind: "link",
    name: GRE_DEVICE,
    mtu: deviceMtu(site),
    up: true,
    link: { type: "gre", external: true, ttl: 0, trafficClass: 0 },
  };
  return deviceObjects(link, GRE_INTERNAL);
}
