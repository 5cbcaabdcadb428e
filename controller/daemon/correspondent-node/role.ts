/** What a correspondent node is started with: checks of this machine, the platform it needs, and its one service. */
import { randomBytes } from "node:crypto";
import type { CorrespondentNodeConfig } from "../../../schemas/config/correspondent-node.js";
import { IPV4_ANY } from "../../base/ip.js";
import { Secret } from "../../base/secret.js";
import { seconds } from "../../base/time.js";
import { checkIpv6Enabled } from "../../kernel/route/switches.js";
import type { Logger } from "../../log.js";
import { correspondentOwner } from "../../plan/route-optimisation/owner.js";
import { planCorrespondentPath } from "../../plan/route-optimisation/pair.js";
import { planCorrespondentSite } from "../../plan/route-optimisation/site.js";
import { DEFAULT_PROFILE, SIGNALLING_PORT, TUN_DEVICE, type TunnelProfileSpec } from "../../plan/site.js";
import type { Beginning } from "../../protocol/mip6/correspondent-node/machine.js";
import type { CorrespondentNodeSite, Ipv4Optimisation } from "../../protocol/mip6/correspondent-node/site.js";
import { KCN_OCTETS } from "../../protocol/mip6/return-routability/tokens.js";
import { type OpenOptions, openPlatform } from "../open-platform.js";
import type { Platform } from "../platform.js";
import { checkIpv4Address, checkIpv6Address } from "../preflight.js";
import { type Running, startServices } from "../start.js";
import { CorrespondentNodeService, type CorrespondentPlans } from "./service.js";

/** What of the machine the role touches; a fake of each will do. */
export interface CorrespondentNodeMachine {
  /** Throws MobilityError with the sentence for the operator. */
  check(config: CorrespondentNodeConfig): void;
  openPlatform(options: OpenOptions, log: Logger): Promise<Platform>;
}

const THIS_MACHINE: CorrespondentNodeMachine = { check: checkMachine, openPlatform };

type Ipv4RouteOptimisation = NonNullable<CorrespondentNodeConfig["correspondentNode"]["ipv4RouteOptimisation"]>;

/** How long what was on its way from a former care-of address brings no Binding Error. */
const FORMER_GRACE = seconds(3);

/** Resolves when it answers. Throws MobilityError; then nothing is open. */
export async function startCorrespondentNode(
  config: CorrespondentNodeConfig,
  log: Logger,
  machine = THIS_MACHINE,
): Promise<Running> {
  machine.check(config);
  const { ipv4RouteOptimisation } = config.correspondentNode;
  const site = correspondentNodeSite(config.correspondentNode);
  const ipv4 = [...new Set(site.ipv4?.addresses.values() ?? [])];
  const [first] = ipv4;
  const platform = await machine.openPlatform(
    {
      role: config.role,
      controlSocket: config.controlSocket,
      stateDirectory: config.stateDirectory,
      addresses: [...site.addresses, ...ipv4],
      signallingPort: SIGNALLING_PORT,
      ...(first !== undefined && {
        signallingAddress: ipv4.length === 1 ? first : IPV4_ANY,
        hearsEncapsulated: true,
      }),
      // Nothing goes through it; there is one for a network namespace, which so has one daemon with this firewall.
      tunDevice: TUN_DEVICE,
      bindsToTun: false,
    },
    log,
  );
  const { serviceName: name, recordPrefix } = CorrespondentNodeService;
  const plans = correspondentPlans(site, config.tunnelProfile);
  const modeOptionType = ipv4RouteOptimisation?.optionType;
  return startServices(platform, [
    {
      name,
      recordPrefix,
      open: async (ground) =>
        new CorrespondentNodeService({
          ...{ site, plans, ground, beginning: randomBeginning() },
          ...(modeOptionType !== undefined && { modeOptionType }),
        }),
    },
  ]);
}

export function correspondentNodeSite({
  addresses,
  allow,
  deny,
  maximumBindings,
  whenFull,
  maximumLifetimeSeconds,
  ipv4RouteOptimisation,
}: CorrespondentNodeConfig["correspondentNode"]): CorrespondentNodeSite {
  const maximumLifetime = seconds(maximumLifetimeSeconds);
  return {
    ...{ addresses, allow, deny, maximumBindings, whenFull, maximumLifetime, formerGrace: FORMER_GRACE },
    ...(ipv4RouteOptimisation !== undefined && { ipv4: ipv4Optimisation(ipv4RouteOptimisation) }),
  };
}

function ipv4Optimisation({ addresses, modes, combinedUpdates }: Ipv4RouteOptimisation): Ipv4Optimisation {
  return {
    addresses: new Map(addresses.map(({ ipv6, ipv4 }) => [ipv6, ipv4])),
    modes: new Set(modes),
    combinedUpdates,
  };
}

/** Of this run alone (RFC 6275 §5.2.1). */
export function randomBeginning(): Beginning {
  return { kcn: new Secret(randomBytes(KCN_OCTETS)), firstIndex: randomBytes(2).readUInt16BE() };
}

/** `profile`: of what goes with IPv4 at either side. */
export function correspondentPlans(
  { addresses, ipv4 }: CorrespondentNodeSite,
  profile: TunnelProfileSpec = DEFAULT_PROFILE,
): CorrespondentPlans {
  const pairs = [...(ipv4?.addresses ?? [])].map(([self, address]) => ({ ipv6: self, ipv4: address }));
  const direct = ipv4 === undefined ? undefined : { addresses: pairs, profile };
  return {
    site: () => planCorrespondentSite({ addresses, direct }),
    path: (path) => planCorrespondentPath(path, profile),
    ownerOf: (object) => correspondentOwner(object, addresses),
  };
}

/** Throws MobilityError. */
function checkMachine({ correspondentNode: { addresses, ipv4RouteOptimisation } }: CorrespondentNodeConfig): void {
  checkIpv6Enabled();
  addresses.forEach((address, i) => {
    checkIpv6Address(address, undefined, undefined, `correspondentNode.addresses[${i}]`);
  });
  ipv4RouteOptimisation?.addresses.forEach(({ ipv4 }, i) => {
    checkIpv4Address(`correspondentNode.ipv4RouteOptimisation.addresses[${i}].ipv4`, ipv4);
  });
}
