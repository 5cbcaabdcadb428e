/**
 * Puts the kernel objects of a correspondent with COUNT bindings into a network namespace and leaves them there: plan and netlink as in the
 * daemon, without a daemon. With "thresholds" the kernel hashes policies as at a home agent. Prints {"bindings", "objects", "milliseconds",
 * "transactions"}.
 *
 * usage: node install-correspondents.js NAMESPACE-PATH COUNT [thresholds]
 */
import { openKernel } from "../../controller/daemon/kernel.js";
import { enterNamespace } from "../../controller/io/native.js";
import { planCorrespondentPath } from "../../controller/plan/route-optimisation/pair.js";
import { planCorrespondentSite } from "../../controller/plan/route-optimisation/site.js";
import { HOME_AGENT_POLICY_HASH } from "../../controller/plan/security/subscriber.js";
import { careOfOf, homeAddressOf, SELF } from "./correspondents.js";
import { make } from "./making.js";

const [path = "", count = "", word = ""] = process.argv.slice(2);
if (!(Number(count) > 0) || !["", "thresholds"].includes(word))
  throw new Error("usage: node install-correspondents.js NAMESPACE-PATH COUNT [thresholds]");
enterNamespace(path);
const kernel = await openKernel();
await make(kernel, planCorrespondentSite({ addresses: [SELF] }));
if (word === "thresholds") await make(kernel, [HOME_AGENT_POLICY_HASH]);
const objects = Array.from({ length: Number(count) }, (_, number) =>
  planCorrespondentPath({
    homeAddress: homeAddressOf(number),
    self: SELF,
    ipv6: { via: "headers", careOf: careOfOf(number) },
  }),
).flat();
const before = kernel.counters().transactions;
const begin = performance.now();
await make(kernel, objects);
const milliseconds = performance.now() - begin;
kernel.close();
const transactions = kernel.counters().transactions - before;
process.stdout.write(
  `${JSON.stringify({ bindings: Number(count), objects: objects.length, milliseconds, transactions })}\n`,
);
