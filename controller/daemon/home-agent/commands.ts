/** What an operator asks of a home agent (`dsmipctl binding remove`, `refresh`, `switch`): from a request to the machine's input, and what came of it. */
import type { CommandDocument, CommandRequest } from "../../../schemas/control.js";
import { MobilityError } from "../../base/errors.js";
import { type IpAddress, type Ipv6Address, isIpv4, isIpv6 } from "../../base/ip.js";
import type { BindingEntry } from "../../protocol/mip6/home-agent/binding-cache.js";
import type { NoticeInput, RemoveInput } from "../../protocol/mip6/home-agent/inputs.js";
import { type lookup as Lookup, lookup } from "../../protocol/mip6/home-agent/machine.js";
import { isBound } from "../../protocol/mip6/home-agent/states.js";
import type { ProtocolEvent } from "../../protocol/mip6/inputs.js";

type State = Parameters<typeof Lookup>[0];
/** Whether and how the node has acknowledged. */
type Ending = Pick<CommandDocument, "outcome" | "status">;

/** With these a binding is over, or what was asked for of it. */
const ENDS: readonly ProtocolEvent["event"][] = ["binding.removed", "binding.expired"];

export class HomeAgentCommands {
  readonly #state: State;
  readonly #push: (input: RemoveInput | NoticeInput) => void;
  readonly #waiting = new Map<Ipv6Address, ((ending: Ending) => void)[]>();

  constructor(state: State, push: (input: RemoveInput | NoticeInput) => void) {
    this.#state = state;
    this.#push = push;
  }

  /** Undefined: it is no command of a home agent. Rejects with MobilityError. */
  run(request: CommandRequest): Promise<CommandDocument> | undefined {
    switch (request.command) {
      case "remove":
        return this.#remove(request.node, request.part === "ipv4");
      case "refresh":
        return this.#tell(request.command, request.node, { kind: "refresh" });
      case "switch":
        return this.#tell(request.command, request.node, { kind: "switch", homeAgents: request.to });
      case "report-loss":
        return undefined;
    }
  }

  /** Who waits for the end of a binding hears of it here. */
  see({ event, homeAddress, detail }: ProtocolEvent): void {
    if (homeAddress === undefined || !ENDS.includes(event)) return;
    const waiting = this.#waiting.get(homeAddress) ?? [];
    this.#waiting.delete(homeAddress);
    const status = typeof detail["status"] === "number" ? detail["status"] : null;
    for (const done of waiting)
      done({ outcome: detail["acknowledged"] === true ? "acknowledged" : "unanswered", status });
  }

  /** Resolves when it is over, some seconds later at most. */
  async #remove(node: IpAddress, ipv4Only: boolean): Promise<CommandDocument> {
    const { homeAddress, established } = this.#bound(node);
    const registration = established?.registration;
    const hasIpv4 =
      registration?.ipv4HomeAddress !== undefined || registration?.prefixes.some((one) => isIpv4(one.address));
    if (ipv4Only && hasIpv4 !== true)
      throw new MobilityError("MIP_COMMAND", `the binding of ${homeAddress} has no IPv4 part`);
    const ending = new Promise<Ending>((resolve) => {
      this.#waiting.set(homeAddress, [...(this.#waiting.get(homeAddress) ?? []), resolve]);
    });
    this.#push({ kind: "remove", homeAddress, ipv4Only });
    return { command: "remove", nodes: 1, ...(await ending) };
  }

  async #tell(
    command: "refresh" | "switch",
    node: IpAddress | undefined,
    subject: NoticeInput["subject"],
  ): Promise<CommandDocument> {
    const entries = node === undefined ? [...this.#state.cache.entries()] : [this.#bound(node)];
    const homeAddresses = entries.filter(({ established }) => established !== undefined).map((one) => one.homeAddress);
    this.#push({ kind: "notice", homeAddresses, subject });
    return { command, nodes: homeAddresses.length, outcome: "begun", status: null };
  }

  #bound(node: IpAddress): BindingEntry {
    const { cache } = this.#state;
    const entry = (isIpv6(node) ? cache.get(node) : undefined) ?? lookup(this.#state, node);
    if (entry !== undefined && isBound(entry.state)) return entry;
    throw new MobilityError("MIP_NO_BINDING", `${node} has no binding here`);
  }
}
