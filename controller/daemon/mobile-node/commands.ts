/** What is asked of a mobile node by its operator, or by who watches its traffic (`dsmipctl refresh`, `report-loss`). */
import type { CommandDocument, CommandRequest } from "../../../schemas/control.js";
import { MobilityError } from "../../base/errors.js";
import type { MobileNodeInput, MobileNodeState } from "../../protocol/mip6/mobile-node/machine.js";

type RefreshInput = Extract<MobileNodeInput, { readonly kind: "refresh" }>;

/** Undefined: it is no command of a mobile node. Rejects with MobilityError. */
export function nodeCommand(
  request: CommandRequest,
  { registration, site }: MobileNodeState,
  push: (input: RefreshInput) => void,
): Promise<CommandDocument> | undefined {
  const { command } = request;
  if (command === "offer") return refused("the home agent is configured, and none is looked for");
  if (command !== "refresh" && command !== "report-loss") return undefined;
  if (command === "refresh" && request.node !== undefined && request.node !== site.homeAddress)
    return refused(`${request.node} is not this node`);
  // Losses elsewhere have other reasons: packets over IPv6 meet no box that knows UDP alone.
  if (command === "report-loss" && registration?.format !== "ipv4")
    return refused(
      registration === undefined
        ? "not registered: there is no tunnel that could lose packets"
        : `payload travels in ${registration.format === "udp" ? "UDP already" : "IPv6, where UDP is not to be had"}`,
    );
  push({ kind: "refresh", ...(command === "report-loss" && { forceUdp: true }) });
  return Promise.resolve({ command, nodes: 1, outcome: "begun", status: null });
}

/** The sentence is for the operator. */
export const refused = (reason: string): Promise<never> => Promise.reject(new MobilityError("MIP_COMMAND", reason));
