/** What the kernel's IPsec refuses, as it counts it itself. */
import { readFileSync } from "node:fs";

/**
 * The kernel's counters of this network namespace by their names, since it was made; none where the kernel counts nothing
 * (CONFIG_XFRM_STATISTICS). The path leads by way of our main thread, which may have changed its namespace.
 */
export function xfrmCounters(read: (path: string) => string = readText): Record<string, number> {
  let text: string;
  try {
    text = read("/proc/thread-self/net/xfrm_stat");
  } catch {
    return {}; // ignored: the kernel has no such file
  }
  return Object.fromEntries(
    [...text.matchAll(/^(\w+)\s+(\d+)$/gm)].map(([, name = "", count]) => [name, Number(count)]),
  );
}

const readText = (path: string): string => readFileSync(path, "utf8");
