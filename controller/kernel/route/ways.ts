/**
 * Asks the kernel by which next hops it would send from each address to the home agent over the address's own link: by rules, other tables,
 * next hop objects and its own preferences, whatever they are. The rules of our own care-of addresses are passed over by a bit in the mark.
 * Source: linux/rtnetlink.h, RTM_GETROUTE with RTM_F_FIB_MATCH; without that flag IPv4 calls everything "on the link" that has no route.
 */
import { familyOf, type IpAddress, isRoutableUnicast } from "../../base/ip.js";
import { AttributeWriter } from "../../netlink/attribute.js";
import type { NetlinkRequest } from "../../netlink/message.js";
import {
  RTA_DST,
  RTA_MARK,
  RTA_OIF,
  RTA_SRC,
  RTM_F_FIB_MATCH,
  RTM_GETROUTE,
  RTM_NEWROUTE,
} from "../../netlink/rtnetlink.js";
import type { NetlinkSession } from "../../netlink/session.js";
import { ASKING_MARK } from "../../plan/site.js";
import type { NetworkView, NetworkWay } from "../../protocol/movement/network-view.js";
import { encodeRouteHeader, familyNumber } from "./headers.js";
import type { NetworkPicture } from "./network-picture.js";

export interface Destinations {
  readonly ipv6?: IpAddress | undefined;
  readonly ipv4?: IpAddress | undefined;
}

interface Question {
  readonly device: string;
  readonly index: number;
  readonly address: IpAddress;
  readonly target: IpAddress;
}

/** Never rejects: what cannot be asked has no way. `picture`: what the answers may refer to. */
export async function askWays(
  session: NetlinkSession,
  view: NetworkView,
  destinations: Destinations,
  picture: Pick<NetworkPicture, "hopsOf">,
): Promise<readonly NetworkWay[]> {
  const questions = questionsOf(view, destinations);
  const outcomes = await session.execute(questions.map(request));
  return questions.flatMap(({ device, index, address }, i) => {
    const replies = outcomes[i]?.error === undefined ? (outcomes[i]?.replies ?? []) : [];
    return replies
      .filter(({ type }) => type === RTM_NEWROUTE)
      .flatMap((reply) => picture.hopsOf(reply))
      .filter((hop) => hop.index === index)
      .map(
        ({ via, destination, metric }): NetworkWay => ({
          ...{ device, address, destination, metric },
          ...(via === undefined ? {} : { via }),
        }),
      );
  });
}

function questionsOf(view: NetworkView, { ipv6, ipv4 }: Destinations): readonly Question[] {
  return view.addresses.flatMap(({ device, address, ours, tentative, scope }): Question[] => {
    const link = view.links.find(({ name }) => name === device);
    const target = familyOf(address) === 6 ? ipv6 : ipv4;
    if (link === undefined || !link.up || !link.running || link.ours || target === undefined) return [];
    if (ours || tentative || scope !== "global" || !isRoutableUnicast(address)) return [];
    return [{ device, index: link.index, address, target }];
  });
}

function request({ index, address, target }: Question): NetlinkRequest {
  const family = familyOf(address);
  const length = family === 6 ? 128 : 32;
  const header = {
    family: familyNumber(family),
    destinationLength: length,
    sourceLength: length,
    flags: RTM_F_FIB_MATCH,
  };
  const writer = new AttributeWriter(80).raw(encodeRouteHeader(header));
  writer.address(RTA_DST, target).address(RTA_SRC, address).u32(RTA_OIF, index).u32(RTA_MARK, ASKING_MARK);
  return { family: "route", type: RTM_GETROUTE, flags: 0, body: writer.finish() };
}
