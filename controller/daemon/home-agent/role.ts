/** The home agent at work: its machine, its plan and the platform tied together. All decisions are the machine's. */

import type { HomeAgentConfig } from "../../../schemas/config.js";
import type { BindingDocument } from "../../../schemas/control.js";
import { formatPrefix, type IpAddress, type Ipv6Address, isIpv6 } from "../../base/ip.js";
import { exhaustive } from "../../base/result.js";
import type { Logger } from "../../log.js";
import { planBinding, planHomeAgentSite } from "../../plan/home-agent/plan.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import { TUNNEL_PURPOSES } from "../../plan/security/request-ids.js";
import { planSubscriberSecurity } from "../../plan/security/subscriber.js";
import { parkedAssociations } from "../../plan/security/tunnel-associations.js";
import { DIRECT_MARK, SIGNALLING_PORT, TUN_DEVICE } from "../../plan/site.js";
import { viewOf } from "../../protocol/mip6/home-agent/binding-cache.js";
import type { HomeAgentEffect, HomeAgentInput } from "../../protocol/mip6/home-agent/inputs.js";
import {
  bindingViews,
  dataPaths,
  HomeAgentState,
  lookup,
  nextDeadline,
  step,
} from "../../protocol/mip6/home-agent/machine.js";
import type { DataPath } from "../../protocol/mip6/inputs.js";
import { openHomeLink } from "../home-link/sockets.js";
import { setTimer } from "../kernel.js";
import { MachineLoop, monotonicNow } from "../machine-loop.js";
import { bindingGroup, homeAddressOfGroup, Platform, SITE_GROUP } from "../platform.js";
import { checkHomeLink, checkIpv6Address, shorterHomeRoute } from "../preflight.js";
import type { RoleKeys } from "../role-keys.js";
import { staticSecurity } from "../security/static-keys.js";
import { homeAgentPlanSite, homeAgentSite } from "../sites.js";
import { StatusLine } from "../supervisor.js";
import { HomeAgentKeys, securityGroup } from "./keys.js";
import { ParkedNodes } from "./parked-nodes.js";

export async function startHomeAgent(
  config: HomeAgentConfig,
  keys: RoleKeys,
  log: Logger,
): Promise<{ stop(): Promise<void> }> {
  const { addresses, homeLink } = config.homeAgent;
  const own: IpAddress[] = [addresses.ipv6, ...(addresses.ipv4 === undefined ? [] : [addresses.ipv4])];
  checkIpv6Address(addresses.ipv6);
  if (homeLink.interface !== undefined) {
    checkHomeLink(homeLink.interface);
    for (const prefix of homeLink.prefixes) {
      const route = shorterHomeRoute(prefix, homeLink.interface);
      if (route !== undefined)
        log.warn(
          { event: "home-link.prefix" },
          `homeAgent.homeLink.prefixes has ${formatPrefix(prefix)}, but ${homeLink.interface} has ${formatPrefix(route)} on it: nodes at home are unreachable; name the prefix of the link`,
        );
    }
  }
  const platform = await Platform.open(
    {
      role: config.role,
      controlSocket: config.controlSocket,
      stateDirectory: config.stateDirectory,
      addresses: own,
      signallingPort: SIGNALLING_PORT,
      ...(addresses.ipv4 !== undefined && { signallingAddress: addresses.ipv4 }),
      tunDevice: TUN_DEVICE,
      bindsToTun: true,
      securityGroups: (homeAddress) => [securityGroup(homeAddress), parkedGroup(homeAddress)],
    },
    log,
  );
  try {
    return await run(config, keys, platform, homeLink.interface);
  } catch (error) {
    await platform.close();
    throw error;
  }
}

async function run(
  config: HomeAgentConfig,
  { keys, credentials }: RoleKeys,
  platform: Platform,
  homeDevice: string | undefined,
): Promise<{ stop(): Promise<void> }> {
  const site = homeAgentSite(config);
  const planSite = homeAgentPlanSite(config);
  const home = openHomeLink(platform.kernel.names, { hears: site.duplicateAddressDetection });
  const state = new HomeAgentState(site);
  const status = new StatusLine(setTimer);
  /** The data paths that the kernel was asked for, to be planned again when a node's keys change. */
  const paths = new Map<Ipv6Address, DataPath>();
  const parked = new ParkedNodes(parkedObjects, (homeAddress, objects) =>
    platform.reconciler.setGroup(parkedGroup(homeAddress), objects, 1),
  );
  const { security } = config;
  const ikeKeys =
    security.method === "ikev2" && credentials !== undefined
      ? await HomeAgentKeys.open(config, security, credentials, planSite, platform, replan)
      : undefined;
  const loop = new MachineLoop<HomeAgentInput, HomeAgentEffect>(
    { step: (input, now) => step(state, input, now), nextDeadline: () => nextDeadline(state) },
    { kind: "timer" },
    { perform, flush: () => platform.flush(), turnEnded },
  );

  function plan(path: DataPath): void {
    const objects = planBinding(path, planSite, ikeKeys?.protection(path.homeAddress));
    platform.reconciler.setGroup(bindingGroup(path.homeAddress), objects, path.revision);
  }

  function turnEnded(): void {
    platform.reconciler.commit();
    status.tell(`${config.subscribers.length} subscribers, ${state.cache.size} bindings`);
  }

  function replan(homeAddress: Ipv6Address): void {
    const path = paths.get(homeAddress);
    if (path !== undefined) plan(path);
    parked.update(homeAddress);
  }

  function parkedObjects(homeAddress: Ipv6Address): readonly KernelObject[] {
    const associations = ikeKeys?.protection(homeAddress).associations ?? {};
    return TUNNEL_PURPOSES.flatMap((purpose) =>
      parkedAssociations(homeAddress, purpose, associations[purpose], planSite.negotiated?.slots),
    );
  }

  function perform(effect: HomeAgentEffect): void {
    switch (effect.kind) {
      case "send":
        return platform.send(effect);
      case "notify":
        return platform.notify(effect);
      case "drop":
        return platform.drop(effect.reason, effect.detail);
      case "journal":
        return platform.journal.append(effect.key, effect.record);
      case "announce": {
        const device = effect.device ?? homeDevice;
        return device === undefined ? undefined : home.link.announce(device, effect.addresses, effect.router);
      }
      case "dad": {
        const { homeAddress, address } = effect;
        const done = (conflict: boolean): void => loop.push({ kind: "dad-completed", homeAddress, address, conflict });
        return homeDevice === undefined ? done(false) : home.link.probe(homeDevice, address, done);
      }
      case "data-path":
        // With the first reception of ESP in UDP the kernel tells anew where it comes from.
        if (!receivesInUdp(paths.get(effect.path.homeAddress))) ikeKeys?.forgetMappings(effect.path.homeAddress);
        paths.set(effect.path.homeAddress, effect.path);
        return plan(effect.path);
      case "key-management-moved":
        return ikeKeys?.moved(effect);
      case "data-path-removed":
        paths.delete(effect.homeAddress);
        parked.unbound(effect.homeAddress);
        return platform.reconciler.removeGroup(bindingGroup(effect.homeAddress), effect.revision);
      default:
        return exhaustive(effect);
    }
  }

  platform.onGroupResult(({ group, revision, failure }) => {
    const homeAddress = homeAddressOfGroup(group);
    if (homeAddress === undefined) {
      if (failure !== undefined) platform.log.error({ event: "object.failed", group, reason: failure.message });
      return;
    }
    if (failure !== undefined) {
      platform.log.error({ event: "object.failed", hoa: homeAddress, reason: failure.message });
      parked.update(homeAddress);
    } else if (paths.get(homeAddress)?.revision === revision) {
      parked.bound(homeAddress);
    }
    loop.push({
      kind: "programmed",
      homeAddress,
      revision,
      ...(failure !== undefined && { failure: failure.message }),
    });
  });

  const groups = new Map<string, readonly KernelObject[]>([[SITE_GROUP, planHomeAgentSite(planSite)]]);
  for (const subscriber of config.subscribers) {
    const { homeAddress } = subscriber;
    const nodeKeys = keys.get(homeAddress);
    if (ikeKeys !== undefined) groups.set(securityGroup(homeAddress), ikeKeys.planSubscriber(homeAddress));
    else if (nodeKeys !== undefined)
      groups.set(securityGroup(homeAddress), planSubscriberSecurity(homeAddress, nodeKeys, planSite));
  }
  // What was bound before a restart is wanted together with the site, so that its objects are adopted and not made anew.
  const restored = [...platform.journal.entries.values()].map(({ record, writtenAt }) => ({
    record,
    ageSeconds: Math.max(0, Date.now() - writtenAt) / 1000,
  }));
  for (const effect of step(state, { kind: "restore", bindings: restored }, monotonicNow())) perform(effect);
  // So are the numbers of associations of nodes that are at home.
  for (const { homeAddress } of config.subscribers) if (!paths.has(homeAddress)) parked.update(homeAddress);
  await platform.require(groups);
  platform.reconciler.declareComplete();
  await platform.reconciler.settled();

  platform.listen(
    {
      self: site.addresses.ipv6,
      // The policies of every subscriber want ESP, whoever has given the keys.
      isProtected: (source) => site.subscribers.has(source) && (ikeKeys !== undefined || keys.has(source)),
      tunDevice: TUN_DEVICE,
      directMark: DIRECT_MARK,
    },
    {
      onMessage: (message, arrival) => loop.push({ kind: "message", arrival, message }),
      onDrop: (reason, detail) => platform.drop(reason, detail),
    },
  );
  await platform.serve(
    {
      *bindings() {
        for (const view of bindingViews(state, monotonicNow())) yield bindingDocument(view);
      },
      readiness: () => null,
      nodes: () => [...site.subscribers.keys()],
      nodeAt: (address) => {
        const subscriber = config.subscribers.find(
          ({ homeAddress, ipv4HomeAddress }) => address === homeAddress || address === ipv4HomeAddress,
        );
        return subscriber?.homeAddress ?? lookup(state, address)?.homeAddress;
      },
      security: (nodes) => {
        const objects = (node: Ipv6Address) => platform.groupObjects(node);
        return ikeKeys?.management.view(nodes, objects) ?? staticSecurity(nodes, objects, [site.addresses.ipv6]);
      },
      binding: (address) => {
        const entry = lookup(state, address) ?? (isIpv6(address) ? state.cache.get(address) : undefined);
        return entry === undefined ? undefined : bindingDocument(viewOf(entry, monotonicNow()));
      },
    },
    Object.values(site.addresses).filter((address) => address !== undefined),
  );
  ikeKeys?.management.start();
  loop.push({ kind: "timer" });
  platform.log.info({ event: "bindings.restored", count: [...dataPaths(state)].length });
  return {
    stop: async () => {
      loop.close();
      status.close();
      await ikeKeys?.close();
      home.close();
      await platform.close();
    },
  };
}

const parkedGroup = (homeAddress: Ipv6Address): string => `parked ${homeAddress}`;

const receivesInUdp = (path: DataPath | undefined): boolean =>
  path?.ingress.some(({ format }) => format === "udp") === true;

function bindingDocument(view: ReturnType<typeof viewOf>): BindingDocument {
  return { ...view, acceptedFrom: [...view.acceptedFrom] };
}
