/** How rules ask for a registered node by its inner source or destination: a home address, or a prefix behind it of each length in use. */
import type { NftRule, NftSet } from "../objects/firewall.js";
import { type Clause, innerField, innerPrefix, type KeyField, rule } from "../objects/nft-clause.js";
import { innerLinkLocal, innerMapped, keyIn } from "../objects/nft-matches.js";
import { count, drop } from "../objects/nft-verdicts.js";
import type { HomeAgentPlanSite } from "../site.js";
import { networkLengths, setForLength } from "./sets.js";

/** Where the source stands in an inner header. */
export const SOURCE = { 6: 8, 4: 12 } as const;

/** What comes from where the inner source is registered: a home address, or an address behind a mobile router. */
export function registered(
  outer: readonly KeyField[],
  { version, offset, set }: { readonly version: 4 | 6; readonly offset: number; readonly set: NftSet },
  site: HomeAgentPlanSite,
): readonly Clause[] {
  const at = offset + SOURCE[version];
  return [
    keyIn([...outer, innerField(at, version === 4 ? 4 : 16)], set.name),
    ...networkLengths(site, version).map((length) =>
      keyIn([...outer, innerPrefix(at, version, length)], setForLength(set, version, length)),
    ),
  ];
}

/** A node's kernel looks for routers behind every device, its tunnels too. It is no forgery, and no business of ours. */
export const linkLocal = (offset: number, ...first: readonly Clause[]): NftRule =>
  rule(...first, innerLinkLocal(offset + SOURCE[6]), count("link-local"), drop);

/** Said by its own name, what is no address of anybody's is no forgery of a node's. */
export const mapped = (offset: number, ...first: readonly Clause[]): NftRule =>
  rule(...first, innerMapped(offset + SOURCE[6]), count("mapped-source"), drop);

/** Where the destination stands in an inner header. */
export const DESTINATION = { 6: 24, 4: 16 } as const;

/** The inner destination: a home address, or each length that the network behind a mobile router may have. */
export function destinations(
  offset: number,
  version: 4 | 6,
  set: NftSet,
  site: HomeAgentPlanSite,
): readonly { readonly field: KeyField; readonly set: string }[] {
  const at = offset + DESTINATION[version];
  return [
    { field: innerField(at, version === 4 ? 4 : 16), set: set.name },
    ...networkLengths(site, version).map((length) => ({
      field: innerPrefix(at, version, length),
      set: setForLength(set, version, length),
    })),
  ];
}
