/** What an operator asks for, of several services as one: each that has the command does it. */
import type { CommandDocument, CommandRequest } from "../../schemas/control.js";
import { MobilityError } from "../base/errors.js";
import type { Service } from "./service.js";

/** Done where any of them does it: of the others' refusals nobody hears. Rejects with MobilityError, of the first one that refuses. */
export async function commandOf(
  services: readonly Pick<Service, "command">[],
  request: CommandRequest,
  role: string,
): Promise<CommandDocument> {
  const answers = await Promise.allSettled(services.flatMap((service) => service.command?.(request) ?? []));
  const done = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  const [first] = done;
  if (first !== undefined) return { ...first, nodes: done.reduce((sum, { nodes }) => sum + nodes, 0) };
  const [refused] = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as unknown] : []));
  throw refused ?? new MobilityError("MIP_COMMAND", `${request.command}: a ${role} has no such command`);
}
