/** What a mobile node is started with: the platform it needs, and its services. */
import { type MobileNodeConfig, TO_BE_FOUND } from "../../../schemas/config.js";
import { InvariantError } from "../../base/errors.js";
import { IPV4_ANY, IPV6_ANY, type IpAddress } from "../../base/ip.js";
import { NetworkWatcher } from "../../kernel/watch.js";
import type { Logger } from "../../log.js";
import { SIGNALLING_PORT, TUN_DEVICE } from "../../plan/site.js";
import { type OpenHomeLink, openHomeLink } from "../home-link/sockets.js";
import { openTransport, setTimer } from "../kernel.js";
import { type OpenOptions, openPlatform } from "../open-platform.js";
import type { Platform } from "../platform.js";
import type { RoleKeys } from "../role-keys.js";
import type { ServiceGround } from "../service.js";
import { type Running, type ServiceOpener, startServices } from "../start.js";
import type { NameSearch } from "./discovery/by-name.js";
import { findHomeAgents } from "./discovery/find.js";
import { type FinderParts, FinderService } from "./discovery/service.js";
import { openMovement } from "./movement-sockets.js";
import { type MobileNodeParts, MobileNodeService } from "./service.js";

/** What of the machine the role touches beside its platform; a fake of each will do. */
export interface MobileNodeMachine {
  openPlatform(options: OpenOptions, log: Logger): Promise<Platform>;
  openHomeLink(names: Parameters<typeof openHomeLink>[0], options: { readonly hears: boolean }): OpenHomeLink;
  /** The network as it is configured, and what is believed of it. Nothing stays open when it throws. */
  openNetwork(ground: ServiceGround, config: MobileNodeConfig): Promise<Pick<MobileNodeParts, "network" | "movement">>;
  /** Home agents, as the configuration says how to find them. Never rejects. */
  findHomeAgents(config: MobileNodeConfig, careOf: IpAddress | undefined): Promise<NameSearch>;
}

const THIS_MACHINE: MobileNodeMachine = { openPlatform, openHomeLink, openNetwork, findHomeAgents };

/** Resolves when it has begun. Throws MobilityError; then nothing is open. */
export async function startMobileNode(
  config: MobileNodeConfig,
  keys: RoleKeys,
  log: Logger,
  machine = THIS_MACHINE,
): Promise<Running> {
  const { homeAddress, homeAgent } = config.mobileNode;
  if (!keys.keys.has(homeAddress) && keys.credentials === undefined)
    throw new InvariantError(`no keys for ${homeAddress}`);
  const isFound = homeAgent.ipv6 === TO_BE_FOUND;
  const platform = await machine.openPlatform(
    {
      role: config.role,
      controlSocket: config.controlSocket,
      stateDirectory: config.stateDirectory,
      addresses: [homeAddress],
      signallingPort: SIGNALLING_PORT,
      ...((isFound || homeAgent.ipv4 !== undefined) && { signallingAddress: IPV4_ANY }),
      ...(config.mobileNode.udpOverIpv6 && { signallingIpv6Address: IPV6_ANY }),
      tunDevice: TUN_DEVICE,
      bindsToTun: false,
    },
    log,
  );
  return startServices(platform, mobileNodeServices(config, keys, machine));
}

/** One entry for each machine that runs here. */
function mobileNodeServices(
  config: MobileNodeConfig,
  keys: RoleKeys,
  machine: MobileNodeMachine,
): readonly ServiceOpener[] {
  const { serviceName } = MobileNodeService;
  const openNode: FinderParts["openNode"] = (known, ground, listener) =>
    openService({ config: known, keys, ground, ...listener }, machine);
  return [
    {
      name: serviceName,
      open: async (ground) =>
        config.mobileNode.homeAgent.ipv6 === TO_BE_FOUND
          ? FinderService.open(serviceName, {
              config,
              ground,
              openNode,
              search: (careOf) => machine.findHomeAgents(config, careOf),
              setTimer,
            })
          : openService({ config, keys, ground }, machine),
    },
  ];
}

async function openService(
  parts: Pick<MobileNodeParts, "config" | "keys" | "ground" | "onUnanswered" | "onSwitch">,
  { openHomeLink, openNetwork }: MobileNodeMachine,
): Promise<MobileNodeService> {
  const { ground, config } = parts;
  const opened: { close(): void }[] = [];
  try {
    const home = openHomeLink(ground.names, { hears: false });
    opened.push(home);
    const { network, movement } = await openNetwork(ground, config);
    opened.push(network, movement);
    return await MobileNodeService.open({ ...parts, home, network, movement });
  } catch (error) {
    for (const one of opened.reverse()) one.close();
    throw error;
  }
}

async function openNetwork(
  ground: ServiceGround,
  { mobileNode: { homeAgent } }: MobileNodeConfig,
): Promise<Pick<MobileNodeParts, "network" | "movement">> {
  const onError = (error: unknown): void => ground.log.warn({ event: "network.unread", reason: String(error) });
  const network = await NetworkWatcher.open({ openTransport, setTimer, onError, destinations: homeAgent });
  try {
    return { network, movement: await openMovement(ground, network, homeAgent) };
  } catch (error) {
    network.close();
    throw error;
  }
}
