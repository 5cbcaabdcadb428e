/** What an operator asks of a home agent (`dsmipctl binding remove`, `refresh`, `switch`): from a request to the machine's input, and what came of it. */
import type { CommandDocument, CommandRequest } from "../../../schemas/control.js";
import { MobilityError } from "../../base/errors.js";
import { type IpAddress, type Ipv6Address, isIpv4, isIpv6, isRoutableUnicast } from "../../base/ip.js";
import type { BindingEntry } from "../../protocol/mip6/home-agent/binding-cache.js";
import type { NoticeInput, RemoveInput } from "../../protocol/mip6/home-agent/inputs.js";
import { type lookup as Lookup, lookup } from "../../protocol/mip6/home-agent/machine.js";
import { isBound } from "../../protocol/mip6/home-agent/states.js";
import type { ProtocolEvent } from "../../protocol/mip6/inputs.js";
import type { GroupState } from "../groups.js";

type State = Parameters<typeof Lookup>[0];
/** Whether and how the node has acknowledged. */
type Ending = Pick<CommandDocument, "outcome" | "status">;

/** What a command needs of the service whose machine does it. */
export interface CommandGround {
  push(input: RemoveInput | NoticeInput): void;
  /** Of the kernel objects of the node's binding. */
  stateOf(homeAddress: Ipv6Address): GroupState;
  /** Whether all that was appended to the journal is on the disk; undefined: there was nothing to write. */
  flush(): Promise<boolean> | undefined;
}

interface Waiting {
  readonly ipv4Only: boolean;
  readonly resolve: (ending: Ending) => void;
}

/** Of a binding that is over, or a part of it, and of which the kernel may have objects still. */
interface Leaving {
  readonly gone: () => void;
  readonly failed: (error: MobilityError) => void;
}

const UNANSWERED: Ending = { outcome: "unanswered", status: null };

/** With these a binding is over. */
const ENDS: readonly ProtocolEvent["event"][] = ["binding.removed", "binding.expired"];

export class HomeAgentCommands {
  readonly #state: State;
  readonly #ground: CommandGround;
  readonly #waiting = new Map<Ipv6Address, readonly Waiting[]>();
  readonly #leaving = new Map<Ipv6Address, readonly Leaving[]>();

  constructor(state: State, ground: CommandGround) {
    this.#state = state;
    this.#ground = ground;
  }

  /** Undefined: it is no command of a home agent. Rejects with MobilityError. */
  run(request: CommandRequest): Promise<CommandDocument> | undefined {
    switch (request.command) {
      case "remove":
        return this.#remove(request.node, request.part === "ipv4");
      case "refresh":
        return this.#tell(request.command, request.node, { kind: "refresh" });
      case "switch":
        return this.#switch(request.node, request.to);
      case "report-loss":
      case "offer":
      case "remove-visitor":
      case "forget-correspondent":
        return undefined;
    }
  }

  /** Who waits for the end of a binding, or of what is of IPv4 in it, hears of it here. */
  see({ event, homeAddress, detail }: ProtocolEvent): void {
    if (homeAddress === undefined || !ENDS.includes(event)) return;
    const status = typeof detail["status"] === "number" ? detail["status"] : null;
    const ending: Ending = detail["acknowledged"] === true ? { outcome: "acknowledged", status } : UNANSWERED;
    this.#end(homeAddress, ending, ({ ipv4Only }) => ipv4Only || detail["part"] === undefined);
  }

  /** After each turn of the machine: what is not being ended any more has ended in another way, or was over before. */
  turnEnded(): void {
    for (const homeAddress of this.#waiting.keys())
      if (this.#state.cache.get(homeAddress)?.notice?.subject.kind !== "revocation")
        this.#end(homeAddress, UNANSWERED, () => true);
  }

  /** The kernel has answered about the objects of this node's binding; `failure`: what it has not done. */
  programmed(homeAddress: Ipv6Address, failure = "see the daemon's log"): void {
    const leaving = this.#leaving.get(homeAddress);
    const state = this.#ground.stateOf(homeAddress);
    if (leaving === undefined || state === "pending") return;
    this.#leaving.delete(homeAddress);
    const why = `the binding of ${homeAddress} has ended, but the kernel keeps some of it and is asked again: ${failure}`;
    for (const { gone, failed } of leaving)
      if (state === "realised") gone();
      else failed(new MobilityError("MIP_KERNEL", why));
  }

  #end(homeAddress: Ipv6Address, ending: Ending, whose: (one: Waiting) => boolean): void {
    const all = this.#waiting.get(homeAddress) ?? [];
    const others = all.filter((one) => !whose(one));
    if (others.length === 0) this.#waiting.delete(homeAddress);
    else this.#waiting.set(homeAddress, others);
    for (const one of all) if (whose(one)) one.resolve(ending);
  }

  /** Resolves when it is over, and over in the kernel and on the disk too: some seconds later at most. */
  async #remove(node: IpAddress, ipv4Only: boolean): Promise<CommandDocument> {
    const { homeAddress, established } = this.#bound(node);
    const registration = established?.registration;
    const hasIpv4 =
      registration?.ipv4HomeAddress !== undefined || registration?.prefixes.some((one) => isIpv4(one.address));
    if (ipv4Only && hasIpv4 !== true)
      throw new MobilityError("MIP_COMMAND", `the binding of ${homeAddress} has no IPv4 part`);
    const stored: { flush?: Promise<boolean> | undefined } = {};
    const ended = new Promise<Ending>((resolve) => {
      const done = (ending: Ending): void => {
        stored.flush = this.#ground.flush();
        resolve(ending);
      };
      this.#waiting.set(homeAddress, [...(this.#waiting.get(homeAddress) ?? []), { ipv4Only, resolve: done }]);
    });
    this.#ground.push({ kind: "remove", homeAddress, ipv4Only });
    const ending = await ended;
    await this.#left(homeAddress);
    if ((await stored.flush) === false)
      throw new MobilityError(
        "MIP_JOURNAL",
        `the binding of ${homeAddress} has ended, but the journal cannot be written: a restart would bring it back`,
      );
    return { command: "remove", nodes: 1, ...ending };
  }

  /** Resolves when the kernel has nothing of it. */
  #left(homeAddress: Ipv6Address): Promise<void> {
    return new Promise((gone, failed) => {
      this.#leaving.set(homeAddress, [...(this.#leaving.get(homeAddress) ?? []), { gone, failed }]);
      this.programmed(homeAddress);
    });
  }

  /** Nodes pass over what is no address that they could register at: none would be left, and they take any other home agent. */
  async #switch(node: IpAddress | undefined, homeAgents: readonly Ipv6Address[]): Promise<CommandDocument> {
    const self = this.#state.site.addresses.ipv6;
    const bad = homeAgents.find((one) => one === self || !isRoutableUnicast(one));
    if (bad !== undefined)
      throw new MobilityError("MIP_COMMAND", `${bad} is no other home agent's; a unicast address of another is wanted`);
    return this.#tell("switch", node, { kind: "switch", homeAgents });
  }

  async #tell(
    command: "refresh" | "switch",
    node: IpAddress | undefined,
    subject: NoticeInput["subject"],
  ): Promise<CommandDocument> {
    const entries = node === undefined ? [...this.#state.cache.entries()] : [this.#bound(node)];
    const homeAddresses = entries.filter(({ established }) => established !== undefined).map((one) => one.homeAddress);
    this.#ground.push({ kind: "notice", homeAddresses, subject });
    return { command, nodes: homeAddresses.length, outcome: "begun", status: null };
  }

  #bound(node: IpAddress): BindingEntry {
    const { cache } = this.#state;
    const entry = (isIpv6(node) ? cache.get(node) : undefined) ?? lookup(this.#state, node);
    if (entry !== undefined && isBound(entry.state)) return entry;
    throw new MobilityError("MIP_NO_BINDING", `${node} has no binding here`);
  }
}
