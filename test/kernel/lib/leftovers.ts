/** What of dsmipd is in a namespace, by `ip` and `nft`, not by its own netlink code. */
import { OWNERSHIP } from "../../../controller/plan/objects/objects.js";
import type { JsonObject, Namespace } from "./namespace.js";

/**
 * One line for each object. `homes` are the home addresses: older versions of `ip` do not tell who made an address. A namespace of a
 * test has no tunnels, XFRM objects, FOU ports or proxy neighbours of anybody else's.
 */
export function leftovers(namespace: Namespace, homes: readonly string[]): string[] {
  return [
    ...links(namespace),
    ...addresses(namespace, homes),
    ...["-4", "-6"].flatMap((family) => [
      ...owned(namespace, `${family} route show table all`, ({ dst, dev }) => `route ${dst} ${dev}`),
      ...owned(namespace, `${family} rule show`, ({ priority, src }) => `rule ${priority} ${src}`),
      ...namespace.ipJson(`${family} neigh show proxy`).map(({ dst }) => `proxy neighbour ${dst}`),
      ...namespace.ipJson(`${family} fou show`).map(({ port }) => `fou port ${port}`),
    ]),
    ...namespace.nftJson("list tables").map(({ table }) => `nft table ${table.family} ${table.name}`),
    ...xfrm(namespace),
  ];
}

function links(namespace: Namespace): string[] {
  return namespace
    .ipJson("link show")
    .filter(({ ifname, ifalias }) => String(ifname).startsWith(OWNERSHIP.linkPrefix) || ifalias === OWNERSHIP.linkAlias)
    .map(({ ifname }) => `link ${ifname}`);
}

function addresses(namespace: Namespace, homes: readonly string[]): string[] {
  return namespace
    .ipJson("addr show")
    .flatMap(({ ifname, addr_info: list = [] }) =>
      (list as JsonObject[]).map((one) => ({ ...one, ifname }) as JsonObject),
    )
    .filter((one) => ours(one) || homes.includes(one["local"] as string))
    .map(({ local, ifname }) => `address ${local} ${ifname}`);
}

const ours = ({ protocol }: JsonObject): boolean => String(protocol) === String(OWNERSHIP.protocol);

function owned(namespace: Namespace, words: string, text: (object: JsonObject) => string): string[] {
  return namespace.ipJson(words).filter(ours).map(text);
}

/** States and policies begin a line each, their details are indented. */
function xfrm(namespace: Namespace): string[] {
  return namespace
    .script("ip xfrm state; ip xfrm policy")
    .split("\n")
    .filter((line) => line !== "" && !/^\s/.test(line));
}
