/** Whose a kernel object is: found from the object itself, so that nobody has to keep a list of what belongs to whom. */
import type { Ipv6Address } from "../base/ip.js";

export type ObjectOwner =
  /** What all nodes share. */
  | { readonly kind: "site" }
  /** A node's security: there whether it is bound or not. */
  | { readonly kind: "subscriber"; readonly homeAddress: Ipv6Address }
  /** A node's data path. */
  | { readonly kind: "binding"; readonly homeAddress: Ipv6Address };
