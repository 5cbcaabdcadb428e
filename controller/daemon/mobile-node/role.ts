/** The mobile node at work: its machine, its plan, the network watcher and the platform tied together. All decisions are the machine's. */

import type { MobileNodeConfig } from "../../../schemas/config.js";
import type { BindingDocument } from "../../../schemas/control.js";
import { InvariantError } from "../../base/errors.js";
import { IPV4_ANY, type Ipv6Address } from "../../base/ip.js";
import { exhaustive } from "../../base/result.js";
import { elapsed } from "../../base/time.js";
import type { NodeKeys } from "../../config/config.js";
import type { IkeCredentials } from "../../config/credentials.js";
import { NetworkWatcher } from "../../kernel/watch.js";
import type { Logger } from "../../log.js";
import { planMobileNode, planMobileNodeSite } from "../../plan/mobile-node/plan.js";
import { DIRECT_MARK, SIGNALLING_PORT, TUN_DEVICE, TUN_MARK } from "../../plan/site.js";
import {
  initialMobileNode,
  type MobileNodeDataPath,
  type MobileNodeEffect,
  type MobileNodeInput,
  type MobileNodeState,
  nextDeadline,
  step,
} from "../../protocol/mip6/mobile-node/machine.js";
import { readinessOf } from "../../protocol/mip6/mobile-node/readiness.js";
import { openHomeLink } from "../home-link/sockets.js";
import { openTransport, setTimer } from "../kernel.js";
import { MachineLoop, monotonicNow } from "../machine-loop.js";
import { bindingGroup, homeAddressOfGroup, Platform, SITE_GROUP } from "../platform.js";
import type { RoleKeys } from "../role-keys.js";
import { staticSecurity } from "../security/static-keys.js";
import { mobileNodePlanSite, mobileNodeSite } from "../sites.js";
import { StatusLine } from "../supervisor.js";
import { MobileNodeKeys, NODE_SECURITY_GROUP } from "./keys.js";
import { LocalNetworksKeeper, NETWORKS_GROUP } from "./local-networks.js";
import { openMovement } from "./movement-sockets.js";
import { sendNothing } from "./opening.js";
import { ReadinessReport } from "./readiness-report.js";

export async function startMobileNode(
  config: MobileNodeConfig,
  { keys, credentials }: RoleKeys,
  log: Logger,
): Promise<{ stop(): Promise<void> }> {
  const { homeAddress, homeAgent } = config.mobileNode;
  const nodeKeys = keys.get(homeAddress);
  if (nodeKeys === undefined && credentials === undefined) throw new InvariantError(`no keys for ${homeAddress}`);
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
      securityGroups: () => [NODE_SECURITY_GROUP, NETWORKS_GROUP],
    },
    log,
  );
  let watcher: NetworkWatcher | undefined;
  try {
    watcher = await NetworkWatcher.open({
      openTransport,
      setTimer,
      onError: (error) => log.warn({ event: "network.unread", reason: String(error) }),
    });
    return await run(config, { nodeKeys, credentials }, platform, watcher);
  } catch (error) {
    watcher?.close();
    await platform.close();
    throw error;
  }
}

async function run(
  config: MobileNodeConfig,
  {
    nodeKeys,
    credentials,
  }: { readonly nodeKeys: NodeKeys | undefined; readonly credentials: IkeCredentials | undefined },
  platform: Platform,
  watcher: NetworkWatcher,
): Promise<{ stop(): Promise<void> }> {
  const { homeAddress } = config.mobileNode;
  const planSite = mobileNodePlanSite(config);
  const home = openHomeLink(platform.kernel.names, { hears: false });
  const { movement, close: closeMovement } = await openMovement(platform, watcher, config.mobileNode.homeAgent);
  const group = bindingGroup(homeAddress);
  const site = mobileNodeSite(config);
  const networks = new LocalNetworksKeeper({
    site,
    planSite,
    view: watcher.view,
    reconciler: platform.reconciler,
    later: (wait, run) => void setTimer(wait * 1000, run),
  });
  const status = new StatusLine(setTimer);
  const readiness = new ReadinessReport(homeAddress, {
    note: (event) => platform.note(event),
    tellSupervisor: (text) => status.tell(text),
  });
  let state = initialMobileNode(site);
  let path: MobileNodeDataPath | undefined;
  const { security } = config;
  const ikeKeys =
    security.method === "ikev2" && credentials !== undefined
      ? await MobileNodeKeys.open(config, security, credentials, planSite, platform, {
          replan: () => {
            if (path !== undefined) plan(path);
          },
          onFailure: (failure) => loop.push({ kind: "security", ready: false, failure }),
        })
      : undefined;
  let stopped: (() => void) | undefined;
  /** An acceptance of this turn has nobody shown yet where its way leads. */
  let opening = false;
  const stepped = (input: MobileNodeInput, now = monotonicNow()): readonly MobileNodeEffect[] => {
    const next = step(state, input, now);
    state = next.state;
    return next.effects;
  };
  const loop = new MachineLoop<MobileNodeInput, MobileNodeEffect>(
    { step: stepped, nextDeadline: () => nextDeadline(state) },
    { kind: "timer" },
    { perform, flush: () => platform.flush(), turnEnded },
  );

  function plan(wanted: MobileNodeDataPath): void {
    const objects = [...planMobileNode(wanted, planSite, ikeKeys?.associations), ...(ikeKeys?.ikeWay(wanted) ?? [])];
    platform.reconciler.setGroup(group, objects, wanted.revision);
  }

  function turnEnded(): void {
    platform.reconciler.commit();
    readiness.look(state);
    if (!opening) return;
    opening = false;
    void platform.reconciler.settled().then(openWay);
  }

  /** A stateful firewall lets protocols 4 and 41 in when it has seen them go out; UDP and ESP it has seen by the update. */
  function openWay(): void {
    const { registration, site } = state;
    if (registration === undefined || registration.format === "udp" || planSite.profile.protection === "esp") return;
    const { ipv4, ipv6 } = planSite.homeAgent;
    sendNothing(site.homeAddress, ipv6);
    if (registration.ipv4HomeAddress !== undefined && ipv4 !== undefined)
      sendNothing(registration.ipv4HomeAddress, ipv4);
  }

  function perform(effect: MobileNodeEffect): void {
    switch (effect.kind) {
      case "send":
        return platform.send(effect);
      case "notify":
        opening ||= effect.event.event === "registration.completed";
        return platform.notify(effect);
      case "drop":
        return platform.drop(effect.reason, effect.detail);
      case "journal":
        return platform.journal.append(effect.key, effect.record);
      case "announce":
        return effect.device === undefined
          ? undefined
          : home.link.announce(effect.device, effect.addresses, effect.router);
      case "data-path":
        path = effect.path;
        if (path.mode === "home") ikeKeys?.rest();
        networks.follow(effect.path);
        return plan(effect.path);
      case "secure":
        return ikeKeys?.secure(effect.careOf);
      case "key-management":
        return ikeKeys?.accepted(effect.careOf, effect.moved);
      case "unanswered":
        return movement.give(effect);
      case "stopped":
        return stopped?.();
      default:
        return exhaustive(effect);
    }
  }

  platform.onGroupResult((result) => {
    const { revision, failure } = result;
    if (result.group === NODE_SECURITY_GROUP && ikeKeys !== undefined) {
      if (failure !== undefined) platform.log.error({ event: "object.failed", reason: failure.message });
      loop.push({ kind: "security", ready: failure === undefined && ikeKeys.complete });
    }
    if (result.group === NETWORKS_GROUP) {
      if (failure !== undefined) platform.log.warn({ event: "object.failed", reason: failure.message });
      networks.answered(revision, failure !== undefined);
    }
    if (homeAddressOfGroup(result.group) === undefined) return;
    if (failure !== undefined)
      platform.log.error({ event: "object.failed", hoa: homeAddress, reason: failure.message });
    loop.push({
      kind: "programmed",
      homeAddress,
      revision,
      ...(failure !== undefined && { failure: failure.message }),
    });
  });

  const kept = platform.journal.entries.get(homeAddress);
  if (kept !== undefined) {
    const ageSeconds = Math.max(0, Date.now() - kept.writtenAt) / 1000;
    for (const effect of stepped({ kind: "restore", record: kept.record, ageSeconds })) perform(effect);
  }
  // The first view decides on the first data path; both are wanted together with the site, so that a restart adopts what is there.
  for (const effect of stepped({ kind: "network", view: movement.view })) perform(effect);
  const groups = new Map([[SITE_GROUP, planMobileNodeSite(planSite, nodeKeys)]]);
  if (ikeKeys !== undefined) groups.set(NODE_SECURITY_GROUP, ikeKeys.plan());
  await platform.require(groups);
  platform.reconciler.declareComplete();
  await platform.reconciler.settled();

  platform.listen(
    {
      self: homeAddress,
      isProtected: (source) => source === config.mobileNode.homeAgent.ipv6,
      tunDevice: TUN_DEVICE,
      tunMark: TUN_MARK,
      directMark: DIRECT_MARK,
    },
    {
      onMessage: (message, arrival) => loop.push({ kind: "message", arrival, message }),
      onDrop: (reason, detail) => platform.drop(reason, detail),
    },
  );
  // What is configured on a link decides what is local, whatever network the link is in.
  watcher.onView((view) => {
    networks.see(view);
    platform.reconciler.commit();
  });
  movement.onView((view) => loop.push({ kind: "network", view }));
  await platform.serve(
    {
      nodes: () => [homeAddress],
      nodeAt: (address) =>
        address === homeAddress || address === config.mobileNode.ipv4HomeAddress ? homeAddress : undefined,
      security: (nodes) => {
        // What protects the node's updates stands in the site.
        const objects = (node: Ipv6Address) => [
          ...platform.groupObjects(node),
          ...platform.reconciler.groupObjects(SITE_GROUP),
        ];
        return ikeKeys?.management.view(nodes, objects) ?? staticSecurity(nodes, objects, [homeAddress]);
      },
      bindings: () => [bindingDocument(state)],
      readiness: () => readinessOf(state).state,
      binding: (address) =>
        address === homeAddress || address === config.mobileNode.ipv4HomeAddress ? bindingDocument(state) : undefined,
    },
    [homeAddress, ...(config.mobileNode.ipv4HomeAddress === undefined ? [] : [config.mobileNode.ipv4HomeAddress])],
  );
  loop.push({ kind: "network", view: movement.view });
  if (ikeKeys?.complete === true) loop.push({ kind: "security", ready: true });
  ikeKeys?.management.start();
  return {
    stop: async () => {
      await new Promise<void>((resolve) => {
        stopped = resolve;
        loop.push({ kind: "stop" });
      });
      loop.close();
      status.close();
      await ikeKeys?.close();
      closeMovement();
      watcher.close();
      home.close();
      await platform.close();
    },
  };
}

/** The mobile node's registration in the shape of a binding: the endpoint is its own end. */
function bindingDocument({ site, registration, path, phase }: MobileNodeState): BindingDocument {
  const endpoint =
    registration === undefined ? null : { format: registration.format, address: registration.careOf.address };
  return {
    homeAddress: site.homeAddress,
    ipv4HomeAddress: registration?.ipv4HomeAddress ?? null,
    state: phase,
    endpoint: endpoint === null ? null : localEndpoint(endpoint),
    acceptedFrom: (path?.path.ingress ?? []).map(localEndpoint),
    sequence: registration?.sequence ?? null,
    lifetimeSeconds: registration?.lifetime ?? null,
    remainingSeconds: registration === undefined ? null : Math.max(0, elapsed(monotonicNow(), registration.expiresAt)),
    profile: "default",
    revision: path?.path.revision ?? 0,
  };
}

function localEndpoint({
  format,
  address,
}: {
  readonly format: "ipv6" | "ipv4" | "udp";
  readonly address: string;
}): NonNullable<BindingDocument["endpoint"]> {
  return format === "udp" ? { format, address, port: 4191 } : { format, address };
}
