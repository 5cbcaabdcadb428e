/** What a role proves itself and its peers with. */
import type { Ipv6Address } from "../base/ip.js";
import type { IkeCredentials } from "../config/credentials.js";
import type { Mip4Keys, NodeKeys } from "../config/keys.js";

/** Static keys, or what IKE proves identities with; and what Mobile IPv4 has. */
export interface RoleKeys {
  readonly keys: ReadonlyMap<Ipv6Address, NodeKeys>;
  /** Security associations of Mobile IPv4; absent: none. */
  readonly mip4?: Mip4Keys | undefined;
  readonly credentials?: IkeCredentials | undefined;
}
