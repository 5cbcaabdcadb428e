/** Commands in namespaces without blocking the event loop, on which the flows run. */
import { runAsync } from "../kernel/lib/command.js";

/** Standard output of a command in a network namespace. Throws CommandError. */
export function inNamespace(namespace: string, command: readonly string[], input = ""): Promise<string> {
  return runAsync(["nsenter", `--net=${namespacePath(namespace)}`, ...command], input);
}

/** Lines of iproute2 without the word `ip`, in one process; absent namespace: the present one. */
export function ipBatch(namespace: string | undefined, lines: readonly string[]): Promise<string> {
  const where = namespace === undefined ? [] : ["-n", namespace];
  return runAsync(["ip", ...where, "-batch", "-"], `${lines.join("\n")}\n`);
}

export function namespacePath(name: string): string {
  return `/run/netns/${name}`;
}
