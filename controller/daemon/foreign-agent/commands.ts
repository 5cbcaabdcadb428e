/** What an operator asks of a foreign agent: that a visit ends. */
import type { CommandDocument, CommandRequest } from "../../../schemas/control.js";
import { MobilityError } from "../../base/errors.js";
import type { VisitorPath } from "../../protocol/mip4/foreign-agent/inputs.js";
import type { GroupResult } from "../../reconcile/reconciler.js";

interface Leaving {
  /** Of the removal; Infinity until the machine has asked the kernel for it. */
  revision: number;
  readonly answered: (failure: Error | undefined) => void;
}

export interface VisitorGround {
  paths(): Iterable<VisitorPath>;
  /** Has the machine end the visit. */
  remove(visitor: string): void;
}

export class ForeignAgentCommands {
  readonly #ground: VisitorGround;
  readonly #leaving = new Map<string, Leaving[]>();

  constructor(ground: VisitorGround) {
    this.#ground = ground;
  }

  /** Undefined: it is no command of a foreign agent. Rejects with MobilityError. */
  run(request: CommandRequest): Promise<CommandDocument> | undefined {
    return request.command === "remove-visitor" ? this.#remove(request) : undefined;
  }

  /** The machine has asked the kernel to let go. */
  asked(visitor: string, revision: number): void {
    for (const one of this.#leaving.get(visitor) ?? []) one.revision = Math.min(one.revision, revision);
  }

  programmed(visitor: string, { revision, failure }: Pick<GroupResult, "revision" | "failure">): void {
    const all = this.#leaving.get(visitor);
    if (all === undefined) return;
    const others = all.filter((one) => revision < one.revision);
    if (others.length === 0) this.#leaving.delete(visitor);
    else this.#leaving.set(visitor, others);
    for (const one of all) if (revision >= one.revision) one.answered(failure);
  }

  /** Resolves when the kernel has let go. */
  async #remove(request: Extract<CommandRequest, { command: "remove-visitor" }>): Promise<CommandDocument> {
    const { visitor, homeAddress } = this.#found(request);
    await new Promise<void>((resolve, reject) => {
      const answered = (failure: Error | undefined): void => {
        if (failure === undefined) resolve();
        else reject(new MobilityError("MIP_KERNEL", whyNot(homeAddress, failure)));
      };
      const present = this.#leaving.get(visitor) ?? [];
      this.#leaving.set(visitor, [...present, { revision: Number.POSITIVE_INFINITY, answered }]);
      this.#ground.remove(visitor);
    });
    return { command: request.command, nodes: 1, outcome: "begun", status: null };
  }

  #found({ homeAddress, homeAgent }: { readonly homeAddress: string; readonly homeAgent?: string | undefined }) {
    const all = [...this.#ground.paths()].filter(
      (path) => path.homeAddress === homeAddress && (homeAgent === undefined || path.homeAgent === homeAgent),
    );
    const [found, second] = all;
    if (found === undefined) {
      const of = homeAgent === undefined ? "" : ` of home agent ${homeAgent}`;
      throw new MobilityError("MIP_NO_BINDING", `${homeAddress}${of} is no visitor here`);
    }
    if (second === undefined) return found;
    const agents = all.map((path) => path.homeAgent).join(" and ");
    throw new MobilityError("MIP_COMMAND", `${agents} each have a visitor ${homeAddress}; name the home agent`);
  }
}

const whyNot = (homeAddress: string, { message }: Error): string =>
  `the visit of ${homeAddress} has ended, but the kernel keeps some of it and is asked again: ${message}`;
