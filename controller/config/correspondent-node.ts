/** A correspondent node: its configuration checked against itself. Throws ConfigError with one sentence. */
import type { CorrespondentNodeConfig } from "../../schemas/config/correspondent-node.js";
import { ConfigError } from "../base/errors.js";
import { formatPrefix, isRoutableUnicast, type Prefix, samePrefix } from "../base/ip.js";
import { NO_KEYS } from "./keys.js";

export interface LoadedCorrespondentNode extends Pick<typeof NO_KEYS, "keys" | "mip4"> {
  readonly path: string;
  readonly config: CorrespondentNodeConfig;
}

export function loadCorrespondentNode(path: string, config: CorrespondentNodeConfig): LoadedCorrespondentNode {
  checkCorrespondentNode(config.correspondentNode, (message) => {
    throw new ConfigError(`${path}: ${message}`);
  });
  return { path, config, ...NO_KEYS };
}

function checkCorrespondentNode(
  { addresses, allow, deny }: CorrespondentNodeConfig["correspondentNode"],
  complain: (message: string) => never,
): void {
  addresses.forEach((address, i) => {
    const key = `correspondentNode.addresses[${i}]`;
    if (!isRoutableUnicast(address))
      complain(
        `${key} is ${address}, which nobody reaches from elsewhere; a unicast address of this machine is wanted`,
      );
    if (addresses.indexOf(address) < i) complain(`${key} is ${address}, which is there twice; keep one of them`);
  });
  const isDenied = (prefix: Prefix): boolean => deny.some((one) => samePrefix(one, prefix));
  allow.forEach((prefix, i) => {
    if (isDenied(prefix))
      complain(
        `correspondentNode.allow[${i}] is ${formatPrefix(prefix)}, which correspondentNode.deny has too; keep one of them`,
      );
  });
}
