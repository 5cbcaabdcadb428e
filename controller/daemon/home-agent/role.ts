/** What a home agent is started with: checks of this machine, the platform it needs, and its services. */
import { type HomeAgentConfig, type Mip6HomeAgentConfig, mip6Of } from "../../../schemas/config.js";
import { ConfigError } from "../../base/errors.js";
import { formatPrefix, type IpAddress } from "../../base/ip.js";
import { checkIpv6Enabled } from "../../kernel/route/switches.js";
import type { Logger } from "../../log.js";
import { DEVICE, SIGNALLING_PORT, TUN_DEVICE } from "../../plan/site.js";
import { ownershipOf } from "../../protocol/mip6/home-agent/machine.js";
import { type OpenHomeLink, openHomeLink } from "../home-link/sockets.js";
import { type OpenOptions, openPlatform } from "../open-platform.js";
import type { Platform } from "../platform.js";
import { checkHomeLink, checkIpv6Address, shorterHomeRoute } from "../preflight.js";
import type { RoleKeys } from "../role-keys.js";
import type { ServiceGround } from "../service.js";
import { homeAgentSite, localIpv4 } from "../sites.js";
import { type Running, type ServiceOpener, startServices } from "../start.js";
import { type DiscoveryPorts, DiscoveryService } from "./discovery/service.js";
import { openDiscovery } from "./discovery/sockets.js";
import { type MulticastPorts, openMulticast } from "./multicast/sockets.js";
import { HomeAgentService } from "./service.js";

/** What of the machine the role touches before and beside its platform; a fake of each will do. */
export interface HomeAgentMachine {
  /** Throws MobilityError with the sentence for the operator. */
  check(config: Mip6HomeAgentConfig, log: Logger): void;
  openPlatform(options: OpenOptions, log: Logger): Promise<Platform>;
  openHomeLink(names: Parameters<typeof openHomeLink>[0], options: Parameters<typeof openHomeLink>[1]): OpenHomeLink;
  openDiscovery(): DiscoveryPorts;
  openMulticast(): MulticastPorts;
}

const THIS_MACHINE: HomeAgentMachine = {
  check: checkMachine,
  openPlatform,
  openHomeLink,
  openDiscovery,
  openMulticast,
};

/** Resolves when it answers. Throws MobilityError; then nothing is open. */
export async function startHomeAgent(
  whole: HomeAgentConfig,
  keys: RoleKeys,
  log: Logger,
  machine = THIS_MACHINE,
): Promise<Running> {
  const config = mip6Of(whole);
  if (config === undefined) throw new ConfigError("homeAgent.addresses.ipv6 is missing");
  machine.check(config, log);
  const { addresses } = config.homeAgent;
  const ipv4 = localIpv4(config);
  const own: IpAddress[] = [addresses.ipv6, ...(ipv4 === undefined ? [] : [ipv4])];
  const platform = await machine.openPlatform(
    {
      role: config.role,
      controlSocket: config.controlSocket,
      stateDirectory: config.stateDirectory,
      addresses: own,
      signallingPort: SIGNALLING_PORT,
      ...(ipv4 !== undefined && { signallingAddress: ipv4 }),
      ...(config.homeAgent.udpOverIpv6 && { signallingIpv6Address: addresses.ipv6 }),
      tunDevice: TUN_DEVICE,
      bindsToTun: true,
      mappedDevice: DEVICE.sendMapped,
    },
    log,
  );
  return startServices(platform, homeAgentServices(config, keys, machine));
}

function checkMachine({ homeAgent: { addresses, homeLink } }: Mip6HomeAgentConfig, log: Logger): void {
  checkIpv6Enabled();
  if (homeLink.interface !== undefined) checkHomeLink(homeLink.interface);
  checkIpv6Address(addresses.ipv6);
  if (homeLink.interface === undefined) return;
  for (const prefix of homeLink.prefixes) {
    const route = shorterHomeRoute(prefix, homeLink.interface);
    if (route !== undefined)
      log.warn(
        { event: "home-link.prefix" },
        `homeAgent.homeLink.prefixes has ${formatPrefix(prefix)}, but ${homeLink.interface} has ${formatPrefix(route)} on it: nodes at home are unreachable; name the prefix of the link`,
      );
  }
}

/** One entry for each protocol that is spoken here. */
function homeAgentServices(
  config: Mip6HomeAgentConfig,
  keys: RoleKeys,
  { openHomeLink, openDiscovery, openMulticast }: HomeAgentMachine,
): readonly ServiceOpener[] {
  const { homeLink, duplicateAddressDetection, discovery } = config.homeAgent;
  const hears = duplicateAddressDetection && homeLink.interface !== undefined;
  const ownership = ownershipOf(homeAgentSite(config));
  return [
    {
      name: HomeAgentService.serviceName,
      open: async (ground) => {
        const home = openHomeLink(ground.names, { hears, routers: homeLink.interface !== undefined });
        const multicast = config.homeAgent.multicast === undefined ? undefined : openMulticast();
        try {
          return await HomeAgentService.open({ config, keys, ground, ownership, home, multicast });
        } catch (error) {
          home.close();
          multicast?.close();
          throw error;
        }
      },
    },
    ...(discovery.addressDiscovery
      ? [
          {
            name: DiscoveryService.serviceName,
            recordPrefix: "discovery ",
            open: async (ground: ServiceGround) => new DiscoveryService(config, ground, openDiscovery(), Math.random),
          },
        ]
      : []),
  ];
}
