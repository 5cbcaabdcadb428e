/** What a mobile node of Mobile IPv4 is started with: the platform it needs, and its one service. */
import { randomInt } from "node:crypto";
import type { Mip4NodeConfig } from "../../../../schemas/config/mip4-node.js";
import { InvariantError, MobilityError } from "../../../base/errors.js";
import type { Mip4Keys } from "../../../config/keys.js";
import { mobileHomeKey, namesOf } from "../../../config/mip4-node.js";
import { isSyscallError } from "../../../io/native.js";
import { checkIpv6Enabled } from "../../../kernel/route/switches.js";
import { NetworkWatcher } from "../../../kernel/watch.js";
import type { Logger } from "../../../log.js";
import { SIGNALLING_PORT, TUN_DEVICE } from "../../../plan/site.js";
import { openHomeLink } from "../../home-link/sockets.js";
import { openTransport, setTimer } from "../../kernel.js";
import { openAgentDiscovery } from "../../mip4/agent-discovery.js";
import { openRegistrationSocket } from "../../mip4/registration-socket.js";
import { type OpenOptions, openPlatform } from "../../open-platform.js";
import type { Platform } from "../../platform.js";
import { mip4SocketRefusal } from "../../preflight.js";
import type { ServiceGround } from "../../service.js";
import { type Running, startServices } from "../../start.js";
import { sentPackets } from "../activity.js";
import { egressDevices } from "../egress-devices.js";
import { openMovement } from "../movement-sockets.js";
import { sendNothing, sendNothingInto } from "../opening.js";
import { openAgentLink } from "./agent-link.js";
import { openEcho } from "./echo.js";
import { nodePlan } from "./plan.js";
import { Mip4NodeService } from "./service.js";
import { homeAgentOf, type NodeKeyRing } from "./site.js";

/** What of the machine the role touches; a fake of each will do. */
export interface Mip4NodeMachine {
  openPlatform(options: OpenOptions, log: Logger): Promise<Platform>;
  /** Nothing stays open when it throws. */
  openService(config: Mip4NodeConfig, ring: NodeKeyRing, ground: ServiceGround): Promise<Mip4NodeService>;
}

/** What the keys of the journal's records begin with. */
const RECORD_PREFIX = "mip4 ";
const IDENTIFIERS = 2 ** 16;

/** Resolves when it has begun. Throws MobilityError; then nothing is open. */
export async function startMip4Node(
  config: Mip4NodeConfig,
  keys: Mip4Keys,
  log: Logger,
  machine: Mip4NodeMachine = { openPlatform, openService },
): Promise<Running> {
  const home = mobileHomeKey(config, keys);
  if (home === undefined) throw new InvariantError("no key of the node and its home agent");
  const names = namesOf(config);
  const ring = { home, foreign: keys.mobileForeign.filter(({ node }) => names.includes(node)) };
  const { homeAddress, prefixes, prefixDelegation } = config.mobileNode;
  if (prefixes.length > 0 || prefixDelegation) checkIpv6Enabled();
  const platform = await machine.openPlatform(
    {
      role: config.role,
      controlSocket: config.controlSocket,
      stateDirectory: config.stateDirectory,
      addresses: homeAddress === undefined ? [] : [homeAddress],
      signallingPort: SIGNALLING_PORT,
      tunDevice: TUN_DEVICE,
      bindsToTun: false,
      ipv4Only: true,
    },
    log,
  );
  return startServices(platform, [
    {
      name: Mip4NodeService.serviceName,
      recordPrefix: RECORD_PREFIX,
      open: (ground) => machine.openService(config, ring, ground),
    },
  ]);
}

async function openService(config: Mip4NodeConfig, ring: NodeKeyRing, ground: ServiceGround): Promise<Mip4NodeService> {
  const opened: { close(): void }[] = [];
  const keep = <T extends { close(): void }>(one: T): T => {
    opened.push(one);
    return one;
  };
  const close = (): void => {
    for (const one of opened.splice(0).reverse()) one.close();
  };
  try {
    const ipv4 = homeAgentOf(config);
    const onError = (error: unknown): void => ground.log.warn({ event: "network.unread", reason: String(error) });
    const network = keep(await NetworkWatcher.open({ openTransport, setTimer, onError, destinations: { ipv4 } }));
    const { movement } = keep(await openMovement(ground, network, { ipv4 }));
    const discovery = keep(openAgentDiscovery("advertisements"));
    const socket = keep(
      openRegistrationSocket((error) => ground.log.debug({ event: "socket.error", reason: error.message })),
    );
    const { link: home } = keep(openHomeLink(ground.names, { hears: false }));
    return new Mip4NodeService({
      ...{ config, ring, ground, network, movement, discovery, socket, openAgentLink, home, close },
      plan: nodePlan(config, egressDevices(config.mobileNode, config.mobileNode.prefixDelegation)),
      open: (opening) => {
        if (opening.family === 4) return sendNothing(opening.source, opening.destination);
        const index = ground.names.identity(opening.device)?.index;
        if (index !== undefined) sendNothingInto(index, opening.source, opening.destination);
      },
      openEcho: (onReply) => openEcho(randomInt(IDENTIFIERS), onReply),
      packets: sentPackets,
    });
  } catch (error) {
    close();
    if (!isSyscallError(error)) throw error;
    throw new MobilityError("MIP_SOCKET", mip4SocketRefusal(error), { cause: error });
  }
}
