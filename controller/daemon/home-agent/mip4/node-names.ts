/** Names of nodes without an IPv6 home address: all stores know a node by one, so they have one made up, which people never see. */
import { createHash } from "node:crypto";
import type { Subscriber } from "../../../../schemas/config/home-agent.js";
import { toHex } from "../../../base/bytes.js";
import { InvariantError } from "../../../base/errors.js";
import { type Ipv6Address, ipv6 } from "../../../base/ip.js";
import { nodeNameOf as nameOfHomeAddress } from "../../../protocol/mip4/node-name.js";

/** What the names of home addresses (protocol/mip4/node-name.ts) and those of NAIs begin with. */
const MADE_UP = "fd4d:4950:34:";

export function nodeNameOf({
  homeAddress,
  ipv4HomeAddress,
  nai,
}: Pick<Subscriber, "homeAddress" | "ipv4HomeAddress" | "nai">): Ipv6Address {
  if (homeAddress !== undefined) return homeAddress;
  if (ipv4HomeAddress !== undefined) return nameOfHomeAddress(ipv4HomeAddress);
  if (nai === undefined) throw new InvariantError("a subscriber without home address and NAI");
  const digits = toHex(createHash("sha256").update(nai).digest().subarray(0, 8));
  return ipv6(`${MADE_UP}1:${digits.match(/.{4}/g)?.join(":")}`);
}

export const isMadeUp = (node: Ipv6Address): boolean => node.startsWith(MADE_UP);
