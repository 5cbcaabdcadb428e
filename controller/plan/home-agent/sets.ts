/** What the home agent's firewall knows of its bindings, and numbers of its chains. Names of sets: outer format and inner family. */
import type { NftSet } from "../objects/firewall.js";
import { ESP_UDP_PORT } from "../site.js";

/** IKE, and IKE and ESP behind a NAT (RFC 7296 §2.23). */
export const IKE_PORTS = [500, ESP_UDP_PORT] as const;
export const PROTOCOL = { ipv4: 4, ipv6: 41, esp: 50, mobility: 135 } as const;

export const SETS = {
  udp6: { name: "udp-6", key: ["ipv4_addr", "inet_service", "ipv6_addr"] },
  udp4: { name: "udp-4", key: ["ipv4_addr", "inet_service", "ipv4_addr"] },
  ipv4_6: { name: "ipv4-6", key: ["ipv4_addr", "ipv6_addr"] },
  ipv4_4: { name: "ipv4-4", key: ["ipv4_addr", "ipv4_addr"] },
  ipv6_6: { name: "ipv6-6", key: ["ipv6_addr", "ipv6_addr"] },
  ipv6_4: { name: "ipv6-4", key: ["ipv6_addr", "ipv4_addr"] },
  port6: { name: "port-6", key: ["ipv4_addr", "ipv6_addr"], value: "inet_service" },
  port4: { name: "port-4", key: ["ipv4_addr", "ipv4_addr"], value: "inet_service" },
  fixed6: { name: "fixed-6", key: ["ipv6_addr"] },
  fixed4: { name: "fixed-4", key: ["ipv4_addr"] },
} as const satisfies Record<string, NftSet>;

const octet = (value: number): string => value.toString(16).padStart(2, "0");

/** For each traffic class octet of an inner IPv4 header the first 16 bits of the outer IPv6 header. */
export const CLASS_MAP: NftSet = {
  name: "class-4",
  key: ["integer"],
  value: "integer",
  integerLength: 2,
  elements: Array.from({ length: 256 }, (_, value) => ({ key: `00${octet(value)}`, value: `6${octet(value)}0` })),
};
