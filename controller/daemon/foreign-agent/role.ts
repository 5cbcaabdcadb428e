/** What a foreign agent is started with: checks of this machine, the platform it needs, and its one service. */
import type { ForeignAgentConfig } from "../../../schemas/config/foreign-agent.js";
import { MobilityError } from "../../base/errors.js";
import type { Mip4Keys } from "../../config/keys.js";
import { isSyscallError } from "../../io/native.js";
import type { Logger } from "../../log.js";
import { SIGNALLING_PORT, TUN_DEVICE } from "../../plan/site.js";
import { joinAgentGroups, openAgentDiscovery } from "../mip4/agent-discovery.js";
import { openRegistrationSocket } from "../mip4/registration-socket.js";
import { type OpenOptions, openPlatform } from "../open-platform.js";
import type { Platform } from "../platform.js";
import { checkIpv4Address, deviceExists, mip4SocketRefusal } from "../preflight.js";
import type { ServiceGround } from "../service.js";
import { type Running, startServices } from "../start.js";
import { openIcmpErrors } from "./icmp-errors.js";
import { ForeignAgentService, type ForeignAgentSockets } from "./service.js";
import { foreignAgentPlanSite, foreignAgentSite, keyRingOf } from "./sites.js";
import { openVisitedLinks } from "./visited-links.js";

/** What of the machine the role touches; a fake of each will do. */
export interface ForeignAgentMachine {
  /** Throws MobilityError with the sentence for the operator. */
  check(config: ForeignAgentConfig): void;
  openPlatform(options: OpenOptions, log: Logger): Promise<Platform>;
  /** Nothing stays open when it throws. */
  openSockets(config: ForeignAgentConfig, ground: ServiceGround): ForeignAgentSockets;
}

const THIS_MACHINE: ForeignAgentMachine = { check: checkMachine, openPlatform, openSockets };
const RECORD_PREFIX = "visitor ";

/** Resolves when it advertises itself. Throws MobilityError; then nothing is open. */
export async function startForeignAgent(
  config: ForeignAgentConfig,
  keys: Mip4Keys,
  log: Logger,
  machine = THIS_MACHINE,
): Promise<Running> {
  machine.check(config);
  const ring = keyRingOf(config, keys);
  const platform = await machine.openPlatform(
    {
      role: config.role,
      controlSocket: config.controlSocket,
      stateDirectory: config.stateDirectory,
      addresses: [config.foreignAgent.careOfAddress],
      signallingPort: SIGNALLING_PORT,
      tunDevice: TUN_DEVICE,
      bindsToTun: false,
      ipv4Only: true,
    },
    log,
  );
  return startServices(platform, [
    {
      name: ForeignAgentService.serviceName,
      recordPrefix: RECORD_PREFIX,
      open: async (ground) =>
        new ForeignAgentService({
          site: foreignAgentSite(config, ring),
          planSite: foreignAgentPlanSite(config),
          ring,
          ground,
          sockets: machine.openSockets(config, ground),
        }),
    },
  ]);
}

/** Throws MobilityError. */
function checkMachine({ foreignAgent: { careOfAddress, links } }: ForeignAgentConfig): void {
  checkIpv4Address("foreignAgent.careOfAddress", careOfAddress);
  links.forEach((link, i) => {
    const key = `foreignAgent.links[${i}]`;
    if (!deviceExists(link.interface))
      throw new MobilityError(
        "MIP_LINK",
        `${key}.interface is ${link.interface}, and there is no such network device; make it first or correct the name`,
      );
    checkIpv4Address(`${key}.address`, link.address.address);
  });
}

function openSockets({ foreignAgent }: ForeignAgentConfig, ground: ServiceGround): ForeignAgentSockets {
  const opened: { close(): void }[] = [];
  const keep = <T extends { close(): void }>(one: T): T => {
    opened.push(one);
    return one;
  };
  const close = (): void => {
    for (const one of opened.splice(0).reverse()) one.close();
  };
  try {
    for (const link of foreignAgent.links) keep(joinAgentGroups(ground.names.interfaceIndex(link.interface)));
    const onError = (error: Error): void => ground.log.debug({ event: "socket.error", reason: error.message });
    return {
      discovery: keep(openAgentDiscovery("solicitations")),
      links: keep(openVisitedLinks()),
      registrations: keep(openRegistrationSocket(onError)),
      errors: keep(openIcmpErrors()),
      close,
    };
  } catch (error) {
    close();
    if (!isSyscallError(error)) throw error;
    throw new MobilityError("MIP_SOCKET", mip4SocketRefusal(error), { cause: error });
  }
}
