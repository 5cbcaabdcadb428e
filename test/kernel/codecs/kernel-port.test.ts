/** The real kernel keeps what every kernel port promises (test/contract/kernel-port.ts), and so the fake one is like it. */
import test, { type TestContext } from "node:test";
import { familyOf, formatPrefix } from "../../../controller/base/ip.js";
import type { Address, Route } from "../../../controller/plan/objects/forwarding.js";
import { type ContractBench, KERNEL_PORT_CONTRACT } from "../../contract/kernel-port.js";
import { Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";
import { missingDevices, openKernel } from "./rtnetlink-objects.js";

const skip = missingDevices();

/** The words behind `ip route` or `ip address` that name the object. */
function words(object: Route | Address): string {
  if (object.kind === "address") return `address ${object.address}/${object.prefixLength} dev ${object.device}`;
  return `route ${formatPrefix(object.destination)} dev ${object.device} metric ${object.metric}`;
}

const command = (verb: string, object: Route | Address): string => words(object).replace(" ", ` ${verb} `);

async function bench(t: TestContext): Promise<ContractBench> {
  const net = new Topology(t);
  const node = net.node("k");
  net.build();
  const { kernel, changes } = await openKernel(t, node.path);
  return {
    port: kernel,
    changes,
    async strangerMakes(object) {
      node.ip(command("add", object) + (object.kind === "route" ? " proto static" : ""));
    },
    async strangerRemoves(object) {
      node.ip(command("delete", object));
    },
    async strangerHas(object) {
      const show =
        object.kind === "route"
          ? `-${familyOf(object.destination.address)} route show proto static`
          : `address show dev ${object.device}`;
      const found = node.ipJson(show);
      const text = object.kind === "route" ? object.destination.address : object.address;
      return JSON.stringify(found).includes(`"${text}"`) && !JSON.stringify(found).includes('"mtu":1300');
    },
    async eventually(condition, what) {
      await waitFor(condition, { what });
    },
  };
}

for (const { name, run } of KERNEL_PORT_CONTRACT) {
  test(name, { skip }, async (t) => run(await bench(t)));
}
