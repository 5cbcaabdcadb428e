/** Further home addresses of a mobile node, against what else its configuration says. */
import { type MobileNodeConfig, TO_BE_FOUND, TO_BE_TOLD } from "../../schemas/config/mobile-node.js";
import { formatPrefix, type IpAddress, prefixContains } from "../base/ip.js";

const KEY = "mobileNode.furtherHomeAddresses";

/** `complain` throws; `checkHost` does, if the address is not one that a host may have. */
export function checkFurtherHomes(
  { mobileNode: node, security }: MobileNodeConfig,
  complain: (message: string) => never,
  checkHost: (key: string, address: IpAddress) => void,
): void {
  const further = node.furtherHomeAddresses;
  if (further.length === 0) return;
  if (node.homeAddress === TO_BE_TOLD)
    complain(`${KEY} has entries and mobileNode.homeAddress is "auto"; the first home address is wanted there, too`);
  if (node.homeAgent.ipv6 === TO_BE_FOUND)
    complain(
      `${KEY} has entries and mobileNode.homeAgent has no ipv6; the address of the one home agent that serves them all is wanted`,
    );
  if (security.method === "ikev2" && security.movement === "mobike")
    complain(`${KEY} has entries and security.movement is "mobike", which leads one IKE SA; "migrate" is wanted`);
  const taken = new Map<IpAddress, string>();
  const take = (key: string, address: IpAddress | undefined): void => {
    if (address === undefined) return;
    const before = taken.get(address);
    if (before !== undefined) complain(`${key} is ${address}, which ${before} is too; each one is named once`);
    taken.set(address, key);
  };
  take("mobileNode.homeAgent.ipv6", node.homeAgent.ipv6);
  take("mobileNode.homeAgent.ipv4", node.homeAgent.ipv4);
  take("mobileNode.homeAddress", node.homeAddress);
  const { ipv4HomeAddress } = node;
  if (ipv4HomeAddress !== undefined) take("mobileNode.ipv4HomeAddress", ipv4HomeAddress as IpAddress);
  const identities = new Map<string, string>();
  if (security.method === "ikev2") identities.set(security.identity, "security.identity");
  further.forEach((home, i) => {
    for (const field of ["homeAddress", "ipv4HomeAddress"] as const) {
      const address = home[field];
      const key = `${KEY}[${i}].${field}`;
      if (address === undefined) continue;
      take(key, address);
      if (!node.homePrefixes.some((prefix) => prefixContains(prefix, address)))
        complain(
          `${key} is ${address}; an address within mobileNode.homePrefixes is wanted (${node.homePrefixes.map(formatPrefix).join(", ")})`,
        );
      checkHost(key, address);
    }
    if (home.ipv4HomeAddress !== undefined && ipv4HomeAddress === undefined)
      complain(
        `${KEY}[${i}].ipv4HomeAddress is ${home.ipv4HomeAddress} and mobileNode.ipv4HomeAddress is missing; the first IPv4 home address is wanted there`,
      );
    if (security.method !== "ikev2") return;
    const { identity } = home;
    if (identity === undefined) {
      complain(`${KEY}[${i}].identity is missing (${home.homeAddress}); the IKE identity of that subscriber is wanted`);
      return;
    }
    const twin = identities.get(identity);
    if (twin !== undefined)
      complain(
        `${KEY}[${i}].identity is ${identity}, which ${twin} is too; each home address has an identity of its own`,
      );
    identities.set(identity, `${KEY}[${i}].identity`);
  });
}
