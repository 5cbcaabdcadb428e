/** A network of the node's own, as container engines make it: a bridge with addresses of both families, and somebody behind it. */
import type { TestContext } from "node:test";
import { run } from "./command.js";
import { Namespace } from "./namespace.js";
import type { Mobile } from "./scene.js";
import { bridge } from "./topology.js";
import { waitFor } from "./wait.js";

export const CONTAINER = { 4: "172.17.0.2", 6: "fd00:17::2" } as const;
const BRIDGE = "br9";

/** Resolves when the node's daemon leads there. */
export async function plugContainer(t: TestContext, mobile: Mobile): Promise<Namespace> {
  const { node } = mobile;
  const container = new Namespace("container", `container-${node.name}`, []);
  run(["ip", "netns", "add", container.name]);
  t.after(() => void run(["ip", "netns", "del", container.name]));
  node.ip(
    ...bridge(BRIDGE),
    `address add 172.17.0.1/16 dev ${BRIDGE}`,
    `address add fd00:17::1/64 dev ${BRIDGE} nodad`,
    `link add vct type veth peer name eth0 netns ${container.name}`,
    `link set vct master ${BRIDGE} up`,
  );
  container.ip(
    "link set lo up",
    "link set eth0 up",
    `address add ${CONTAINER[4]}/16 dev eth0`,
    `address add ${CONTAINER[6]}/64 dev eth0 nodad`,
    "route add default via 172.17.0.1",
    "route add ::/0 via fd00:17::1",
  );
  await waitFor(() => ownTables(mobile)[4].includes("/16") && ownTables(mobile)[6].includes("/64"), {
    what: "the container's networks in table 4194",
  });
  return container;
}

export async function unplugContainer(mobile: Mobile): Promise<void> {
  mobile.node.ip("link del vct", `link del ${BRIDGE}`);
  await waitFor(() => Object.values(ownTables(mobile)).every((text) => text === ""), {
    what: "table 4194 to be empty",
  });
}

/** What stands in the table of own networks. */
export function ownTables({ node }: Mobile): { readonly 4: string; readonly 6: string } {
  const table = (family: 4 | 6): string =>
    node.script(`ip -${family} route show table 4194 2> /dev/null || true`).trim();
  return { 4: table(4), 6: table(6) };
}

/** Whether somebody answers, given as ping's words: "-I 198.51.100.101 192.0.2.2". */
export function answers(from: Namespace, words: string): boolean {
  return from.script(`ping -n -q -c 1 -W 1 ${words} > /dev/null 2>&1 && echo yes || echo no`).trim() === "yes";
}
