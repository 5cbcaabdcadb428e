/** What a mobile node is started with: the platform it needs, and its services. */
import { type MobileNodeConfig, TO_BE_FOUND, TO_BE_TOLD } from "../../../schemas/config/mobile-node.js";
import { InvariantError } from "../../base/errors.js";
import { IPV4_ANY, IPV6_ANY, type IpAddress } from "../../base/ip.js";
import { connectUnixStream } from "../../io/unix/stream.js";
import { NetworkWatcher } from "../../kernel/watch.js";
import type { Logger } from "../../log.js";
import { SIGNALLING_PORT, TUN_DEVICE } from "../../plan/site.js";
import { Counters } from "../../store/events.js";
import { type OpenHomeLink, openHomeLink } from "../home-link/sockets.js";
import { openTransport, setTimer } from "../kernel.js";
import { type OpenOptions, openPlatform } from "../open-platform.js";
import type { Platform } from "../platform.js";
import type { RoleKeys } from "../role-keys.js";
import type { ServiceGround } from "../service.js";
import { type Running, type ServiceOpener, startServices } from "../start.js";
import { HomeAddressQuestion } from "./bootstrapping/question.js";
import { type BootstrapParts, BootstrapService, type Question } from "./bootstrapping/service.js";
import type { NameSearch } from "./discovery/by-name.js";
import { findHomeAgents, homeAgentAnswers } from "./discovery/find.js";
import { HomeAgentOffers } from "./discovery/offers.js";
import { type FinderParts, FinderService } from "./discovery/service.js";
import { visitedAddresses } from "./discovery/visited.js";
import { homesOf, sharedNetwork } from "./homes.js";
import { openMovement } from "./movement-sockets.js";
import { type MobileNodeParts, MobileNodeService } from "./service.js";

/** What of the machine the role touches beside its platform; a fake of each will do. */
export interface MobileNodeMachine {
  openPlatform(options: OpenOptions, log: Logger): Promise<Platform>;
  openHomeLink(names: Parameters<typeof openHomeLink>[0], options: { readonly hears: boolean }): OpenHomeLink;
  /** The network as it is configured, and what is believed of it. Nothing stays open when it throws. */
  openNetwork(ground: ServiceGround, config: MobileNodeConfig): Promise<Pick<MobileNodeParts, "network" | "movement">>;
  /** Home agents, as the configuration says how to find them. Never rejects. */
  findHomeAgents(config: MobileNodeConfig, careOf: IpAddress | undefined, offers: HomeAgentOffers): Promise<NameSearch>;
  /** See `FinderParts.answers`. */
  homeAgentAnswers(
    config: MobileNodeConfig,
    ...question: Parameters<FinderParts["answers"]>
  ): ReturnType<FinderParts["answers"]>;
  /** Asks a home agent for the node's home addresses. */
  askHomeAddresses(
    config: MobileNodeConfig,
    keys: RoleKeys,
    ground: ServiceGround,
    parts: { readonly take: Parameters<BootstrapParts["ask"]>[0]; readonly offers: HomeAgentOffers },
  ): Question;
}

const THIS_MACHINE: MobileNodeMachine = {
  ...{ openPlatform, openHomeLink, openNetwork, findHomeAgents, homeAgentAnswers },
  askHomeAddresses,
};

/** Resolves when it has begun. Throws MobilityError; then nothing is open. */
export async function startMobileNode(
  config: MobileNodeConfig,
  keys: RoleKeys,
  log: Logger,
  machine = THIS_MACHINE,
): Promise<Running> {
  const { homeAddress, homeAgent, furtherHomeAddresses } = config.mobileNode;
  const further = furtherHomeAddresses.map((one) => one.homeAddress);
  for (const one of [homeAddress, ...further])
    if (!keys.keys.has(one) && keys.credentials === undefined) throw new InvariantError(`no keys for ${one}`);
  const isFound = homeAgent.ipv6 === TO_BE_FOUND;
  const optimisesIpv4 = config.mobileNode.routeOptimisation?.ipv4 !== undefined;
  const platform = await machine.openPlatform(
    {
      role: config.role,
      controlSocket: config.controlSocket,
      stateDirectory: config.stateDirectory,
      addresses: homeAddress === TO_BE_TOLD ? [] : [homeAddress, ...further],
      signallingPort: SIGNALLING_PORT,
      ...((isFound || homeAgent.ipv4 !== undefined || optimisesIpv4) && { signallingAddress: IPV4_ANY }),
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
  const homes = homesOf(config, serviceName);
  if (homes.length > 1) {
    let share: ReturnType<typeof sharedNetwork> | undefined;
    // A view is asked for, and the home agent is the same for all.
    const openNetwork: MobileNodeMachine["openNetwork"] = (ground, known) => {
      share ??= sharedNetwork(() => machine.openNetwork(ground, known));
      return share();
    };
    return homes.map(({ rank, name, config: home, ...rest }) => ({
      ...{ name, ...rest },
      open: (ground) => {
        // charon's log is one for all, and counted once.
        const own = rank === 0 ? ground : { ...ground, negotiation: new Counters() };
        return openService({ config: home, keys, ground: own, place: { rank, name } }, { ...machine, openNetwork });
      },
    }));
  }
  const offers = new HomeAgentOffers(config.mobileNode);
  const openNode: FinderParts["openNode"] = (known, ground, listener) =>
    openService({ config: known, keys, ground, ...listener }, machine);
  /** With home addresses that are known. */
  const openKnown: BootstrapParts["openNode"] = async (known, ground) =>
    known.mobileNode.homeAgent.ipv6 === TO_BE_FOUND
      ? FinderService.open(serviceName, {
          config: known,
          ground,
          openNode,
          offers,
          search: (careOf) => machine.findHomeAgents(known, careOf, offers),
          answers: (candidate, careOf) => machine.homeAgentAnswers(known, candidate, careOf),
          setTimer,
        })
      : openService({ config: known, keys, ground }, machine);
  return [
    {
      name: serviceName,
      open: async (ground) =>
        config.mobileNode.homeAddress === TO_BE_TOLD
          ? BootstrapService.open(serviceName, {
              config,
              ground,
              openNode: openKnown,
              offers,
              ask: (take) => machine.askHomeAddresses(config, keys, ground, { take, offers }),
              setTimer,
            })
          : openKnown(config, ground),
    },
  ];
}

function askHomeAddresses(
  config: MobileNodeConfig,
  { credentials }: RoleKeys,
  { log }: ServiceGround,
  { take, offers }: Parameters<MobileNodeMachine["askHomeAddresses"]>[3],
): Question {
  const { security, mobileNode } = config;
  if (security.method !== "ikev2" || credentials === undefined)
    throw new InvariantError("a home address is told to who proves an identity");
  const onError = (error: unknown): void => log.warn({ event: "network.unread", reason: String(error) });
  return new HomeAddressQuestion(
    { config, ike: security, credentials, take },
    {
      ...{ log, connect: connectUnixStream, setTimer },
      search: () => findHomeAgents(config, undefined, offers),
      visited: (family) => visitedAddresses(family, mobileNode),
      watchNetwork: async (onChange) => {
        const network = await NetworkWatcher.open({ openTransport, setTimer, onError });
        network.onView(onChange);
        return network;
      },
    },
  );
}

async function openService(
  parts: Pick<MobileNodeParts, "config" | "keys" | "ground" | "place" | "onUnanswered" | "onSwitch">,
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
