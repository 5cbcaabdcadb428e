/** What a mobile node is started with: the platform it needs, and its services. */
import type { MobileNodeConfig } from "../../../schemas/config.js";
import { InvariantError } from "../../base/errors.js";
import { IPV4_ANY } from "../../base/ip.js";
import { NetworkWatcher } from "../../kernel/watch.js";
import type { Logger } from "../../log.js";
import { SIGNALLING_PORT, TUN_DEVICE } from "../../plan/site.js";
import { openHomeLink } from "../home-link/sockets.js";
import { openTransport, setTimer } from "../kernel.js";
import { Platform } from "../platform.js";
import type { RoleKeys } from "../role-keys.js";
import { type Running, type ServiceOpener, startServices } from "../start.js";
import { openMovement } from "./movement-sockets.js";
import { MobileNodeService } from "./service.js";

export async function startMobileNode(config: MobileNodeConfig, keys: RoleKeys, log: Logger): Promise<Running> {
  const { homeAddress, homeAgent } = config.mobileNode;
  if (!keys.keys.has(homeAddress) && keys.credentials === undefined)
    throw new InvariantError(`no keys for ${homeAddress}`);
  const platform = await Platform.open(
    {
      role: config.role,
      controlSocket: config.controlSocket,
      stateDirectory: config.stateDirectory,
      addresses: [homeAddress],
      signallingPort: SIGNALLING_PORT,
      ...(homeAgent.ipv4 !== undefined && { signallingAddress: IPV4_ANY }),
      tunDevice: TUN_DEVICE,
      bindsToTun: false,
    },
    log,
  );
  return startServices(platform, mobileNodeServices(config, keys));
}

/** One entry for each machine that runs here. */
function mobileNodeServices(config: MobileNodeConfig, keys: RoleKeys): readonly ServiceOpener[] {
  return [
    {
      name: MobileNodeService.serviceName,
      open: async (ground) => {
        const onError = (error: unknown): void => ground.log.warn({ event: "network.unread", reason: String(error) });
        const destinations = config.mobileNode.homeAgent;
        const network = await NetworkWatcher.open({ openTransport, setTimer, onError, destinations });
        try {
          const home = openHomeLink(ground.names, { hears: false });
          const movement = await openMovement(ground, network, config.mobileNode.homeAgent);
          return await MobileNodeService.open({ config, keys, ground, home, network, movement });
        } catch (error) {
          network.close();
          throw error;
        }
      },
    },
  ];
}
