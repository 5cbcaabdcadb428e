/**
 * What dsmipd may have forgotten in the kernel, by iproute2 and nft, not by its own netlink code. The machines of the demonstration
 * have no tunnels, XFRM states, FOU ports or proxy neighbours of anybody else's, so of these any counts.
 */
import { inNamespace } from "./commands.js";
import type { Leftover } from "./report.js";
import { NODES, type Topology } from "./topology.js";

/** rtm_protocol of dsmipd's routes, rules and addresses. */
const PROTOCOL = "155";
const HOME_ADDRESSES: ReadonlySet<string> = new Set(NODES.flatMap((node) => [node.homeAddress, node.ipv4HomeAddress]));

type Facts = Readonly<Record<string, unknown>>;

interface Check {
  readonly kind: string;
  readonly command: string;
  /** The leftovers in its output, as text for people. */
  readonly find: (output: string) => readonly string[];
}

/** Chosen from the objects of a JSON list. */
function objects(output: string, ours: (object: Facts) => boolean, text: (object: Facts) => string): readonly string[] {
  const list = output.trim() === "" ? [] : (JSON.parse(output) as Facts[]);
  return list.filter(ours).map(text);
}

const print = (...keys: readonly string[]): ((object: Facts) => string) => {
  return (object) => keys.flatMap((key) => (object[key] === undefined ? [] : [String(object[key])])).join(" ");
};
const byProtocol = ({ protocol }: Facts): boolean => String(protocol) === PROTOCOL;
const lines = (output: string): readonly string[] =>
  output.split("\n").filter((line) => line !== "" && !/^\s/.test(line));

/** Without what the kernel notes down by itself of a question whom a home address sends to: it has no care-of address, and goes within half a minute. */
const states = (output: string): readonly string[] =>
  output
    .split(/^(?=src )/m)
    .filter((state) => state !== "" && (!/\bproto hao\b/.test(state) || /\bcoa\b/.test(state)))
    .flatMap(lines);

const CHECKS: readonly Check[] = [
  {
    kind: "link",
    command: "ip -j link show",
    find: (output) =>
      objects(
        output,
        ({ ifname, ifalias }) => String(ifname).startsWith("dsmip") || ifalias === "dsmipd",
        print("ifname"),
      ),
  },
  { kind: "address", command: "ip -j addr show", find: findAddresses },
  ...["-4", "-6"].flatMap((family): Check[] => [
    {
      kind: "route",
      command: `ip ${family} -j route show table all`,
      find: (output) => objects(output, byProtocol, print("dst", "dev", "table")),
    },
    {
      kind: "rule",
      command: `ip ${family} -j rule show`,
      find: (output) => objects(output, byProtocol, print("priority", "src", "table")),
    },
    {
      kind: "proxy neighbour",
      command: `ip ${family} -j neigh show proxy`,
      find: (output) => objects(output, () => true, print("dst", "dev")),
    },
  ]),
  {
    kind: "fou port",
    command: "ip -j fou show",
    find: (output) => objects(output, () => true, print("family", "port")),
  },
  { kind: "nft table", command: "nft -j list tables", find: findTables },
  { kind: "xfrm state", command: "ip xfrm state", find: states },
  { kind: "xfrm policy", command: "ip xfrm policy", find: lines },
];

function findAddresses(output: string): readonly string[] {
  const links = JSON.parse(output) as { ifname?: string; addr_info?: Facts[] }[];
  return links.flatMap(({ ifname = "", addr_info: addresses = [] }) =>
    addresses
      .filter((one) => byProtocol(one) || HOME_ADDRESSES.has(String(one["local"])))
      .map((one) => `${one["local"]} dev ${ifname}`),
  );
}

function findTables(output: string): readonly string[] {
  const { nftables } = JSON.parse(output) as { nftables: { table?: { family: string; name: string } }[] };
  return nftables.flatMap(({ table }) => (table?.name === "dsmipd" ? [`${table.family} ${table.name}`] : []));
}

export const CHECK_COMMANDS: readonly string[] = CHECKS.map(({ command }) => command);

/** From the outputs of CHECK_COMMANDS, in their order. Throws if they are not what such commands say. */
export function findLeftovers(machine: string, outputs: readonly string[]): readonly Leftover[] {
  if (outputs.length !== CHECKS.length)
    throw new Error(`${machine}: ${outputs.length} answers to ${CHECKS.length} questions`);
  return CHECKS.flatMap(({ kind, find }, i) => find(outputs[i] ?? "").map((object) => ({ machine, kind, object })));
}

const SEPARATOR = "----";
const SCRIPT = CHECK_COMMANDS.map((command) => `${command} || exit 1`).join(`\necho ${SEPARATOR}\n`);

/** In every machine of the topology. Throws if something could not be asked. */
export async function collectLeftovers(topology: Topology): Promise<readonly Leftover[]> {
  const found = await Promise.all(
    topology.machines.map(async (machine) => {
      const output = await inNamespace(topology.name(machine), ["sh", "-s"], SCRIPT);
      return findLeftovers(machine, output.split(`${SEPARATOR}\n`));
    }),
  );
  return found.flat();
}
