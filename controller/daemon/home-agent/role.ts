/** What a home agent is started with: checks of this machine, the platform it needs, and its services. */
import { areLent } from "../../../schemas/config/common.js";
import { type HomeAgentConfig, type Mip6HomeAgentConfig, mip6Of } from "../../../schemas/config/home-agent.js";
import { MobilityError } from "../../base/errors.js";
import { formatPrefix, IPV4_ANY } from "../../base/ip.js";
import { NO_KEYS } from "../../config/keys.js";
import { addressOnHomeLink } from "../../config/mip4.js";
import { isSyscallError } from "../../io/native.js";
import { checkIpv6Enabled, runsIpv6 } from "../../kernel/route/switches.js";
import type { Logger } from "../../log.js";
import { DEVICE, SIGNALLING_PORT, TUN_DEVICE } from "../../plan/site.js";
import { MIP4_PORT } from "../../wire/mip4/registry.js";
import { type OpenHomeLink, openHomeLink } from "../home-link/sockets.js";
import { type AgentDiscoverySocket, joinAgentGroups, openAgentDiscovery } from "../mip4/agent-discovery.js";
import { openRegistrationSocket, type RegistrationSocket } from "../mip4/registration-socket.js";
import { type OpenOptions, openPlatform } from "../open-platform.js";
import type { Platform } from "../platform.js";
import {
  checkHomeLink,
  checkIpv4Address,
  checkIpv6Address,
  mip4SocketRefusal,
  shorterHomeRoute,
} from "../preflight.js";
import type { RoleKeys } from "../role-keys.js";
import type { ServiceGround } from "../service.js";
import { homeAgentOwnership, homeAgentPlanSite, ipv4PlanSite, localIpv4 } from "../sites.js";
import { type Running, type ServiceOpener, startServices } from "../start.js";
import { type DiscoveryPorts, DiscoveryService } from "./discovery/service.js";
import { openDiscovery } from "./discovery/sockets.js";
import { Advertising } from "./mip4/advertising.js";
import { type Mip4HomeAgentParts, Mip4HomeAgentService } from "./mip4/service.js";
import { advertisedHome, ipv6PrefixesOf, mip4Associations, mip4Of } from "./mip4/site.js";
import { type MulticastPorts, openMulticast } from "./multicast/sockets.js";
import { OneBinding } from "./one-binding.js";
import { HomeAgentService } from "./service.js";

/** What of the machine the role touches before and beside its platform; a fake of each will do. */
export interface HomeAgentMachine {
  /** Throws MobilityError with the sentence for the operator. */
  check(config: Mip6HomeAgentConfig, log: Logger): void;
  openPlatform(options: OpenOptions, log: Logger): Promise<Platform>;
  openHomeLink(names: Parameters<typeof openHomeLink>[0], options: Parameters<typeof openHomeLink>[1]): OpenHomeLink;
  openDiscovery(): DiscoveryPorts;
  openMulticast(): MulticastPorts;
  /** Throws MobilityError. */
  openRegistrations(ground: Pick<ServiceGround, "log">): RegistrationSocket;
  /** Hears who solicits agents on this link, and answers. Throws MobilityError. */
  openSolicitations(names: Pick<ServiceGround["names"], "interfaceIndex">, device: string): AgentDiscoverySocket;
}

const THIS_MACHINE: HomeAgentMachine = {
  check: checkMachine,
  openPlatform,
  openHomeLink,
  openDiscovery,
  openMulticast,
  openRegistrations,
  openSolicitations,
};

/** Room for some thousand requests that arrive together. */
const receiveBufferBytes = 4 * 2 ** 20;

function openRegistrations({ log }: Pick<ServiceGround, "log">): RegistrationSocket {
  const what = `port ${MIP4_PORT}`;
  const onReopened = ({ message }: Error): void => log.warn({ event: "socket.reopened", what, reason: message });
  const onError = ({ message }: Error): void => log.debug({ event: "socket.error", what, reason: message });
  try {
    return openRegistrationSocket(onError, IPV4_ANY, { receiveBufferBytes, onReopened });
  } catch (cause) {
    if (!isSyscallError(cause)) throw cause;
    throw new MobilityError("MIP_SOCKET", mip4SocketRefusal(cause), { cause });
  }
}

function openSolicitations(
  names: Pick<ServiceGround["names"], "interfaceIndex">,
  device: string,
): AgentDiscoverySocket {
  let memberships: ReturnType<typeof joinAgentGroups> | undefined;
  try {
    memberships = joinAgentGroups(names.interfaceIndex(device));
    const socket = openAgentDiscovery("solicitations");
    const close = (): void => {
      socket.close();
      memberships?.close();
    };
    return { ...socket, close };
  } catch (cause) {
    memberships?.close();
    if (!isSyscallError(cause)) throw cause;
    throw new MobilityError("MIP_SOCKET", mip4SocketRefusal(cause), { cause });
  }
}

/** Resolves when it answers. Throws MobilityError; then nothing is open. */
export async function startHomeAgent(
  config: HomeAgentConfig,
  keys: RoleKeys,
  log: Logger,
  machine = THIS_MACHINE,
): Promise<Running> {
  const mip6 = mip6Of(config);
  if (mip6 === undefined) checkIpv4Machine(config);
  else machine.check(mip6, log);
  const { addresses, udpOverIpv6 } = config.homeAgent;
  const ipv4 = localIpv4(config);
  const platform = await machine.openPlatform(
    {
      role: config.role,
      controlSocket: config.controlSocket,
      stateDirectory: config.stateDirectory,
      addresses: [addresses.ipv6, ipv4].filter((one) => one !== undefined),
      ipv4Only: mip6 === undefined,
      signallingPort: SIGNALLING_PORT,
      ...(ipv4 !== undefined && { signallingAddress: ipv4 }),
      ...(udpOverIpv6 && addresses.ipv6 !== undefined && { signallingIpv6Address: addresses.ipv6 }),
      tunDevice: TUN_DEVICE,
      bindsToTun: true,
      mappedDevice: DEVICE.sendMapped,
    },
    log,
  );
  const shared: SharedStores = { ownership: homeAgentOwnership(config), bindings: new OneBinding() };
  const planSite = mip6 === undefined ? ipv4PlanSite(config) : homeAgentPlanSite(mip6);
  return startServices(platform, [
    ...(mip6 === undefined ? [] : mip6Services(mip6, keys, machine, shared)),
    ...mip4Services(config, { planSite, alone: mip6 === undefined }, keys, machine, shared),
    ...(mip6?.homeAgent.discovery.addressDiscovery === true
      ? [
          {
            name: DiscoveryService.serviceName,
            recordPrefix: "discovery ",
            open: async (ground: ServiceGround) =>
              new DiscoveryService(mip6, ground, machine.openDiscovery(), Math.random),
          },
        ]
      : []),
  ]);
}

/** Of Mobile IPv4, to which IPv6 is prefixes of its nodes. */
const servesIpv6 = ({ subscribers }: HomeAgentConfig): boolean =>
  subscribers.some((one) => one.linkLocal === true || areLent(one.prefixes) || ipv6PrefixesOf(one).length > 0);

/** For a home agent of Mobile IPv4 alone, which has nothing of IPv6. Throws MobilityError. */
function checkIpv4Machine(config: HomeAgentConfig): void {
  const { homeLink } = config.homeAgent;
  if (servesIpv6(config)) checkIpv6Enabled();
  if (homeLink.interface !== undefined) checkHomeLink(homeLink.interface, undefined, []);
  checkAdvertisedAddress(config);
}

/** Whoever hears an advertisement sends to its source. Throws MobilityError. */
function checkAdvertisedAddress({ homeAgent }: Pick<HomeAgentConfig, "homeAgent">): void {
  const own = addressOnHomeLink(homeAgent);
  if (homeAgent.mip4?.advertisements !== undefined && own !== undefined)
    checkIpv4Address("homeAgent.mip4.advertisements.address", own.address);
}

function checkMachine(config: Mip6HomeAgentConfig, log: Logger): void {
  const { addresses, homeLink } = config.homeAgent;
  checkIpv6Enabled();
  if (homeLink.interface !== undefined) checkHomeLink(homeLink.interface);
  checkIpv6Address(addresses.ipv6);
  checkAdvertisedAddress(config);
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

type SharedStores = Pick<Mip4HomeAgentParts, "ownership" | "bindings">;

function mip6Services(
  config: Mip6HomeAgentConfig,
  keys: RoleKeys,
  machine: HomeAgentMachine,
  shared: SharedStores,
): readonly ServiceOpener[] {
  const { homeLink, duplicateAddressDetection, multicast: wanted } = config.homeAgent;
  const hears = duplicateAddressDetection && homeLink.interface !== undefined;
  const open = async (ground: ServiceGround): Promise<HomeAgentService> => {
    const home = machine.openHomeLink(ground.names, { hears, routers: homeLink.interface !== undefined });
    const multicast = wanted === undefined ? undefined : machine.openMulticast();
    try {
      return await HomeAgentService.open({ config, keys, ground, home, multicast, ...shared });
    } catch (error) {
      home.close();
      multicast?.close();
      throw error;
    }
  };
  return [{ name: HomeAgentService.serviceName, open }];
}

function mip4Services(
  config: HomeAgentConfig,
  kernel: Pick<Mip4HomeAgentParts, "planSite" | "alone">,
  { mip4: keys = NO_KEYS.mip4 }: RoleKeys,
  { openHomeLink, openRegistrations, openSolicitations }: HomeAgentMachine,
  shared: SharedStores,
): readonly ServiceOpener[] {
  const part = mip4Of(config);
  if (part === undefined) return [];
  const { serviceName: name, recordPrefix } = Mip4HomeAgentService;
  const advertised = advertisedHome(config, part);
  const open = async (ground: ServiceGround): Promise<Mip4HomeAgentService> => {
    const home = openHomeLink(ground.names, { hears: false });
    let port: RegistrationSocket | undefined;
    try {
      port = openRegistrations(ground);
      const advertising =
        advertised &&
        new Advertising({
          ...{ ground, home: advertised, random: Math.random },
          socket: openSolicitations(ground.names, advertised.link.device),
        });
      const associations = mip4Associations(part, keys);
      return new Mip4HomeAgentService({
        ...{ config, part, associations, ground, home, port, advertising, wallClock: Date.now, ipv6: runsIpv6() },
        ...kernel,
        ...shared,
      });
    } catch (error) {
      home.close();
      port?.close();
      throw error;
    }
  };
  return [{ name, recordPrefix, open }];
}
