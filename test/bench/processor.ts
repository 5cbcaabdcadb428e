/** On which of this machine's processors a machine of one processor runs. */
import { readFileSync } from "node:fs";

let machinesBooted = 0;

/**
 * Arguments of taskset that start the program on one processor; machines take turns. Threads and processes that are never at work at the
 * same time wake each other all the time: User Mode Linux at each system call, which takes a tenth of the time on one processor.
 */
export function onOneProcessor(program: string): string[] {
  const [, list = "0"] = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  const allowed = list.split(",").flatMap((part) => {
    const [first = 0, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  machinesBooted += 1;
  return ["--cpu-list", String(allowed[(process.pid + machinesBooted) % allowed.length]), program];
}
