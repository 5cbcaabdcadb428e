/** What of this machine the node's dealings with correspondents touch; a fake of each will do. */
import { randomBytes } from "node:crypto";
import type { IpAddress, Ipv6Address } from "../../../base/ip.js";
import { openIcmpv6Socket } from "../../../io/ip/icmpv6-socket.js";
import { type Demand, forgetQuestions, watchDemand } from "../../../kernel/xfrm/demand-watch.js";
import { type DirectPair, type DirectUse, DirectUseMeter } from "../../../kernel/xfrm/last-used.js";
import type { Logger } from "../../../log.js";
import { NetlinkSession } from "../../../netlink/session.js";
import { Icmpv6Type } from "../../../wire/ip/registry.js";
import { openTransport, setTimer } from "../../kernel.js";
import { type ErroneousMessage, erroneousMessage } from "./parameter-problem.js";

export interface CorrespondentPorts {
  /** Whom the home addresses of this machine send to. `onLost`: questions were not heard. */
  watchDemand(onDemand: (demand: Demand) => void, onLost: () => void): { close(): void };
  /** Parameter Problems about mobility messages of this machine. */
  watchProblems(onProblem: (problem: ErroneousMessage & { readonly source: Ipv6Address }) => void): { close(): void };
  openStates(): DirectStates;
  random(octets: number): Uint8Array;
}

/** What the kernel has in its states. */
export interface DirectStates {
  /** How long direct paths have carried nothing. Rejects with KernelError. */
  look(nowSeconds: number, messagesOf: (pair: DirectPair) => number): Promise<readonly DirectUse[]>;
  /** See `forgetQuestions`. Never rejects. */
  forgetQuestions(homeAddress: IpAddress, correspondents: readonly IpAddress[]): Promise<void>;
  close(): void;
}

export function correspondentPorts(log: Logger): CorrespondentPorts {
  return {
    watchDemand: (onDemand, onLost) =>
      watchDemand({
        ...{ openTransport, setTimer, onHeard: onDemand, onLost },
        onError: (error) => log.warn({ event: "demand.unread", reason: String(error) }),
      }),
    watchProblems: (onProblem) => {
      const socket = openIcmpv6Socket({ types: [Icmpv6Type.parameterProblem] });
      socket.listen({
        onPackets: (packets) => {
          for (const { data, source } of packets) {
            const about = erroneousMessage(data);
            if (about !== undefined) onProblem({ ...about, source });
          }
        },
        onError: (error) => log.debug({ event: "socket.error", what: "ICMPv6 errors", reason: error.message }),
      });
      return socket;
    },
    openStates: () => {
      const session = new NetlinkSession(openTransport("xfrm", []), { setTimer });
      const meter = new DirectUseMeter(session);
      return {
        look: (nowSeconds, messagesOf) => meter.look(nowSeconds, messagesOf),
        forgetQuestions: (homeAddress, correspondents) => forgetQuestions(session, homeAddress, correspondents),
        close: () => session.close(),
      };
    },
    random: (octets) => new Uint8Array(randomBytes(octets)),
  };
}
