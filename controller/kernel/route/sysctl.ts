/**
 * Switches under /proc/sys: files, not netlink. Written only when they differ, never restored. The files show the network namespace of
 * the calling thread, so the reads and writes are synchronous: Node's worker threads may live in another one.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { EINVAL, ENOENT } from "../../netlink/errno.js";
import { KernelError } from "../../netlink/errors.js";
import { formatObjectShort } from "../../plan/objects/format.js";
import type { Sysctl } from "../../plan/objects/forwarding.js";
import type { KernelChange } from "../../reconcile/kernel-port.js";

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
  /** What we were asked to set, by path: only these are ours to report. */
  readonly #known = new Map<string, Sysctl>();
  /** Paths that could not be written, and what stands there serves as well. */
  readonly #refused = new Set<string>();
  /** What `changes` has told and has not been set since: while that is on its way, the same is no news. */
  readonly #told = new Map<string, string | undefined>();

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
      if (!this.#serves(sysctl)) return asKernelError(error).about(subject);
      this.#refused.add(sysctl.path);
    }
    this.#known.set(sysctl.path, sysctl);
    this.#told.delete(sysctl.path);
    return undefined;
  }

  /** The present value; undefined: there is no such switch (any more). */
  read({ path }: Sysctl): Sysctl | undefined {
    try {
      const value = canonical(this.#files.read(path));
      const wanted = this.#known.get(path);
      return wanted !== undefined && this.#refused.has(path) && this.#serves(wanted)
        ? wanted
        : { kind: "sysctl", path, value };
    } catch {
      return undefined; // ignored: a switch of a device that is gone is not there any more
    }
  }

  /** What stands otherwise than we have set it, or is gone; each only once. */
  changes(): KernelChange[] {
    return [...this.#known.values()].flatMap((wanted): KernelChange[] => {
      const present = this.read(wanted);
      const told = this.#told.has(wanted.path) && this.#told.get(wanted.path) === present?.value;
      if (told) return [];
      if (present?.value === canonical(wanted.value)) this.#told.delete(wanted.path);
      else this.#told.set(wanted.path, present?.value);
      if (present === undefined) return [{ verb: "removed", object: wanted }];
      return present.value === canonical(wanted.value) ? [] : [{ verb: "changed", object: present }];
    });
  }

  /** Stands as wanted, or, where it cannot be written, in a way that comes to the same. */
  #serves({ path, value }: Sysctl): boolean {
    try {
      return servesAsWell(path, value, (other) => canonical(this.#files.read(other)));
    } catch {
      return false; // ignored: what cannot be read is not as wanted
    }
  }

  /** It keeps its value: others may have come to rely on it. */
  forget(sysctl: Sysctl): void {
    this.#known.delete(sysctl.path);
  }

  /** The present values of what was applied and is still there. */
  dump(): Sysctl[] {
    return [...this.#known.values()].flatMap((sysctl) => this.read(sysctl) ?? []);
  }
}

const RP_FILTER = /^net\/ipv4\/conf\/[^/]+\/rp_filter$/;

/** Whether the switch does what `wanted` is to do. The kernel filters by the stricter of a device's rp_filter and that of all: none is as loose as "loose". */
export function servesAsWell(path: string, wanted: string, read: (path: string) => string): boolean {
  const present = read(path);
  if (present === canonical(wanted)) return true;
  return RP_FILTER.test(path) && wanted === "2" && present === "0" && read("net/ipv4/conf/all/rp_filter") === "0";
}

/** The kernel separates several numbers with tabs and ends with a line break. */
const canonical = (text: string): string => text.trim().replace(/\s+/g, " ");

function asKernelError(error: unknown): KernelError {
  const errno =
    error instanceof Error && "errno" in error && typeof error.errno === "number" ? Math.abs(error.errno) : ENOENT;
  return new KernelError(errno, {}, { cause: error });
}
