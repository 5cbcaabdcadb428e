/**
 * Switches under /proc/sys that must stand right and that this process may not be able to turn: in a container /proc/sys is read-only.
 * Looked at before anything is made, so that what is told is this, and not what fails because of it.
 */
import { accessSync, constants } from "node:fs";
import { MissingError } from "../../base/errors.js";
import type { Sysctl } from "../../plan/objects/forwarding.js";
import type { KernelObject } from "../../plan/objects/objects.js";
import { procSysctlFiles, servesAsWell } from "./sysctl.js";

/** The seam for tests; paths are below /proc/sys. */
export interface SwitchFiles {
  /** Undefined: there is no such switch. */
  read(path: string): string | undefined;
  /** Undefined if it can be written, else the C name of the error. */
  refusal(path: string): string | undefined;
}

const errorCode = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

export const procSwitchFiles: SwitchFiles = {
  read: (path) => {
    try {
      return procSysctlFiles.read(path).trim().replace(/\s+/g, " ");
    } catch {
      return undefined; // ignored: what cannot be read is not there for us
    }
  },
  refusal: (path) => {
    try {
      accessSync(`/proc/sys/${path}`, constants.W_OK);
      return undefined;
    } catch (error) {
      return errorCode(error);
    }
  },
};

/**
 * Throws MissingError that lists all switches which are not as these objects want them and which cannot be set, in the form of one
 * `sysctl` command. A device that is not there yet will have what stands under "default".
 */
export function checkSwitches(objects: Iterable<KernelObject>, files: SwitchFiles = procSwitchFiles): void {
  const lacking = new Map<string, string>();
  const codes = new Set<string>();
  for (const object of objects) {
    if (object.kind !== "sysctl") continue;
    const path = pathNow(object, files);
    if (path === undefined || servesAsWell(path, object.value, (other) => files.read(other) ?? "")) continue;
    const code = files.refusal(path);
    if (code === undefined) continue;
    codes.add(code === "EROFS" ? "/proc/sys is read-only" : code);
    lacking.set(named(path), /\s/.test(object.value) ? `"${object.value}"` : object.value);
  }
  if (lacking.size === 0) return;
  const settings = [...lacking].map(([name, value]) => `${name}=${value}`).join(" ");
  throw new MissingError(
    `switches of the kernel do not stand as dsmipd needs them, and cannot be set from here (${[...codes].join(", ")}); ` +
      `run outside of the container, in its network namespace, or let the container be started with them: sysctl -w ${settings}`,
  );
}

/** Undefined: this kernel has no such switch, which its refusal will say better. */
function pathNow({ path }: Sysctl, { read }: SwitchFiles): string | undefined {
  if (read(path) !== undefined) return path;
  const byDefault = path.replace(/^(net\/ipv[46]\/(?:conf|neigh))\/[^/]+\//, "$1/default/");
  return read(byDefault) === undefined ? undefined : byDefault;
}

/** With dots, as people write it; with slashes where a device's name holds dots. */
const named = (path: string): string => (path.includes(".") ? path : path.replaceAll("/", "."));

/** False with ipv6.disable=1 on the kernel's command line, or without the module: then it takes nothing that is about IPv6. */
export const runsIpv6 = (files: SwitchFiles = procSwitchFiles): boolean =>
  files.read("net/ipv6/conf/all/disable_ipv6") !== undefined;

/** Throws MissingError if devices that are made here would have no IPv6, or the loopback has none. */
export function checkIpv6Enabled(files: SwitchFiles = procSwitchFiles): void {
  if (!runsIpv6(files))
    throw new MissingError(
      "this kernel runs without IPv6; take ipv6.disable=1 off its command line, or run: modprobe ipv6",
    );
  const off = ["default", "lo"].filter((name) => files.read(`net/ipv6/conf/${name}/disable_ipv6`) === "1");
  if (off.length === 0) return;
  const seen = off.map((name) => `net.ipv6.conf.${name}.disable_ipv6 is 1`).join(" and ");
  throw new MissingError(
    `IPv6 is switched off in this network namespace (${seen}); run: sysctl -w net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0`,
  );
}
