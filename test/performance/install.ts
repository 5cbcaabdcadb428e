/**
 * Puts the kernel objects of a home agent with COUNT bindings of one ACCESS into a network namespace and leaves them there: plan and
 * netlink as in the daemon, without a daemon. Prints {"bindings", "objects", "milliseconds", "transactions"}.
 *
 * usage: node install.js NAMESPACE-PATH ACCESS COUNT
 */
import { openKernel } from "../../controller/daemon/kernel.js";
import { enterNamespace } from "../../controller/io/native.js";
import { planBinding, planHomeAgentSite } from "../../controller/plan/home-agent-plan.js";
import type { KernelObject } from "../../controller/plan/objects.js";
import { type HomeAgentPlanSite, TUN_DEVICE } from "../../controller/plan/site.js";
import { inMakingOrder } from "../../controller/reconcile/diff.js";
import type { KernelPort } from "../../controller/reconcile/kernel-port.js";
import { ACCESSES, type Access, dataPathOf, HOME_AGENT } from "./places.js";

const site: HomeAgentPlanSite = {
  addresses: HOME_AGENT,
  mtu: 1400,
  profiles: new Map([["default", { dscp: "copy", ttl: 64 }]]),
};

/** The TUN device of the signalling would go with this process; payload never sees it. */
const ofSignalling = (object: KernelObject): boolean =>
  (object.kind === "link" && object.name === TUN_DEVICE) || ("device" in object && object.device === TUN_DEVICE);

async function make(kernel: KernelPort, objects: readonly KernelObject[]): Promise<void> {
  const operations = objects.map((object) => ({ verb: "create", object }) as const);
  for (const { error } of await kernel.apply(inMakingOrder(operations))) if (error !== undefined) throw error;
}

async function install(access: Access, count: number): Promise<Record<string, number>> {
  const kernel = await openKernel();
  await make(
    kernel,
    planHomeAgentSite(site).filter((object) => !ofSignalling(object)),
  );
  const objects = Array.from({ length: count }, (_, number) => planBinding(dataPathOf(number, access), site)).flat();
  const before = kernel.counters().transactions;
  const begin = performance.now();
  await make(kernel, objects);
  const milliseconds = performance.now() - begin;
  kernel.close();
  return {
    bindings: count,
    objects: objects.length,
    milliseconds,
    transactions: kernel.counters().transactions - before,
  };
}

const [path = "", name = "", count = ""] = process.argv.slice(2);
const access = ACCESSES.find((one) => one === name);
if (access === undefined || !(Number(count) > 0)) throw new Error("usage: node install.js NAMESPACE-PATH ACCESS COUNT");
enterNamespace(path);
process.stdout.write(`${JSON.stringify(await install(access, Number(count)))}\n`);
