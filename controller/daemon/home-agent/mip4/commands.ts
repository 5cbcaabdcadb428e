/** What an operator asks of a node of Mobile IPv4. It has no messages to nodes but answers: a binding ends without a word to its node. */
import type { CommandDocument, CommandRequest } from "../../../../schemas/control.js";
import { MobilityError } from "../../../base/errors.js";
import type { NodeName, NotifyEffect } from "../../../protocol/mip4/inputs.js";
import type { GroupState } from "../../groups.js";

export interface Mip4CommandGround {
  isBound(node: NodeName): boolean;
  remove(node: NodeName, reason: string): void;
  /** Of the kernel objects of the node's binding. */
  stateOf(node: NodeName): GroupState;
  /** Whether all that was appended to the journal is on the disk; undefined: there was nothing to write. */
  flush(): Promise<boolean> | undefined;
}

interface Waiting {
  readonly gone: () => void;
  readonly failed: (error: MobilityError) => void;
  /** The machine has ended the binding. */
  ended: boolean;
  stored: Promise<boolean> | undefined;
}

export class Mip4Commands {
  readonly #ground: Mip4CommandGround;
  readonly #waiting = new Map<NodeName, readonly Waiting[]>();

  constructor(ground: Mip4CommandGround) {
    this.#ground = ground;
  }

  /** Rejects with MobilityError. */
  async run(request: CommandRequest, node: NodeName): Promise<CommandDocument> {
    const { command } = request;
    const name = "node" in request && request.node !== undefined ? request.node : "the node";
    if (!this.#ground.isBound(node)) throw new MobilityError("MIP_NO_BINDING", `${name} has no binding here`);
    if (command !== "remove")
      throw new MobilityError(
        "MIP_COMMAND",
        `${name} is registered by Mobile IPv4, whose home agents cannot tell a node to ${command}`,
      );
    if (request.part === "ipv4")
      throw new MobilityError(
        "MIP_COMMAND",
        `${name} is registered by Mobile IPv4: there is no binding without its IPv4 part`,
      );
    await this.#remove(node, name);
    return { command, nodes: 1, outcome: "unanswered", status: null };
  }

  async #remove(node: NodeName, name: string): Promise<void> {
    const waiting: Waiting = { gone: () => undefined, failed: () => undefined, ended: false, stored: undefined };
    await new Promise<void>((gone, failed) => {
      this.#waiting.set(node, [...(this.#waiting.get(node) ?? []), Object.assign(waiting, { gone, failed })]);
      this.#ground.remove(node, "operator");
    });
    if ((await waiting.stored) === false)
      throw new MobilityError(
        "MIP_JOURNAL",
        `the binding of ${name} has ended, but the journal cannot be written: a restart would bring it back`,
      );
  }

  /** Who waits for the end of a binding hears of it here. */
  see(event: NotifyEffect["event"]["event"], node: NodeName): void {
    if (event !== "binding.removed" && event !== "binding.expired") return;
    for (const one of this.#waiting.get(node) ?? []) {
      one.ended = true;
      one.stored = this.#ground.flush();
    }
    queueMicrotask(() => this.programmed(node));
  }

  /** The kernel has answered about the objects of this node's binding; `failure`: what it has not done. */
  programmed(node: NodeName, failure = "see the daemon's log"): void {
    const all = this.#waiting.get(node);
    const state = this.#ground.stateOf(node);
    if (all === undefined || state === "pending") return;
    const ended = all.filter((one) => one.ended);
    const others = all.filter((one) => !one.ended);
    if (others.length === 0) this.#waiting.delete(node);
    else this.#waiting.set(node, others);
    for (const { gone, failed } of ended)
      if (state === "realised") gone();
      else
        failed(
          new MobilityError(
            "MIP_KERNEL",
            `the binding has ended, but the kernel keeps some of it and is asked again: ${failure}`,
          ),
        );
  }
}
