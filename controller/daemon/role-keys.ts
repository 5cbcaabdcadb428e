/** What a role proves itself and its peers with. */
import type { Ipv6Address } from "../base/ip.js";
import type { NodeKeys } from "../config/config.js";
import type { IkeCredentials } from "../config/credentials.js";

/** Static keys, or what IKE proves identities with. */
export interface RoleKeys {
  readonly keys: ReadonlyMap<Ipv6Address, NodeKeys>;
  readonly credentials?: IkeCredentials | undefined;
}
