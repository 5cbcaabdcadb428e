/**
 * Switches under /proc/sys: files, not netlink. Written only when they differ, never restored. The files show the network namespace of
 * the calling thread, so the reads and writes are synchronous: Node's worker threads may live in another one.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { EINVAL, ENOENT } from "../../netlink/errno.js";
import { KernelError } from "../../netlink/errors.js";
import { formatObjectShort } from "../../plan/objects/format.js";
import type { Sysctl } from "../../plan/objects/forwarding.js";

/** The seam for tests. Both throw Node's system errors. */
export interface SysctlFiles {
  read(path: string): string;
  write(path: string, value: string): void;
}

export const procSysctlFiles: SysctlFiles = {
  read: (path) => readFileSync(`/proc/sys/${path}`, "utf8"),
  write: (path, value) => writeFileSync(`/proc/sys/${path}`, value),
};

export class SysctlStore {
  readonly #files: SysctlFiles;
  /** What we were asked to set: only these are ours to report. */
  readonly #known = new Set<string>();

  constructor(files: SysctlFiles = procSysctlFiles) {
    this.#files = files;
  }

  /** The error, if any: ENOENT for a switch that this kernel (or a device that is not there) does not have. */
  apply(sysctl: Sysctl): KernelError | undefined {
    const subject = formatObjectShort(sysctl);
    if (sysctl.path.split("/").includes(".."))
      return new KernelError(EINVAL, { text: "a path that leaves /proc/sys", subject });
    try {
      if (canonical(this.#files.read(sysctl.path)) !== canonical(sysctl.value))
        this.#files.write(sysctl.path, sysctl.value);
    } catch (error) {
      return asKernelError(error).about(subject);
    }
    this.#known.add(sysctl.path);
    return undefined;
  }

  /** It keeps its value: others may have come to rely on it. */
  forget(sysctl: Sysctl): void {
    this.#known.delete(sysctl.path);
  }

  /** The present values of what was applied and is still there. */
  dump(): Sysctl[] {
    return [...this.#known].flatMap((path) => {
      try {
        return [{ kind: "sysctl" as const, path, value: canonical(this.#files.read(path)) }];
      } catch {
        return []; // ignored: a switch of a device that is gone is not there any more
      }
    });
  }
}

/** The kernel separates several numbers with tabs and ends with a line break. */
const canonical = (text: string): string => text.trim().replace(/\s+/g, " ");

function asKernelError(error: unknown): KernelError {
  const errno =
    error instanceof Error && "errno" in error && typeof error.errno === "number" ? Math.abs(error.errno) : ENOENT;
  return new KernelError(errno, {}, { cause: error });
}
