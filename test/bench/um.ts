/** User Mode Linux: a kernel that is an ordinary process, at native speed. Boots in a third of a second. */
import { accessSync, constants, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { boot } from "./booted.js";
import { BenchUnavailable, cacheDirectory, guestDirectory, type Machine, repository } from "./machine.js";
import { onOneProcessor } from "./processor.js";

const MEMORY_MIB = Number(process.env["DSMIPD_UM_MEMORY_MIB"] ?? 2048);

/** The kernel to boot: $DSMIPD_UM_KERNEL, else what `make um-kernel` built. */
export function findUmKernel(): string | undefined {
  const candidates = [process.env["DSMIPD_UM_KERNEL"], join(cacheDirectory, "um", "linux")];
  return candidates.find((path) => path !== undefined && path !== "" && isExecutable(path));
}

export async function bootUm(): Promise<Machine> {
  const kernel = findUmKernel();
  if (!kernel) {
    throw new BenchUnavailable("no User Mode Linux kernel: `make um-kernel` builds one, DSMIPD_UM_KERNEL can name one");
  }
  return boot({
    kind: "um",
    slow: 1,
    processors: 1,
    memoryMib: MEMORY_MIB,
    description: `User Mode Linux (${kernel})`,
    program: "taskset",
    args: [
      ...onOneProcessor(kernel),
      ...[`mem=${MEMORY_MIB}M`, "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"],
      ...["con=null", "con0=null,fd:1", "ssl0=fd:3", `init=${join(guestDirectory, "init-um.sh")}`, "--", repository],
    ],
    environment: { TMPDIR: memoryDirectory() },
    bootTimeout: 60,
  });
}

/** Where the machine's memory is kept: a sparse file, which a container's usual 64 MiB of /dev/shm cannot hold. */
function memoryDirectory(): string {
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    if (bavail * bsize >= MEMORY_MIB * 2 ** 20) return "/dev/shm";
  } catch {
    // ignored: without /dev/shm the disk will do
  }
  return tmpdir();
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
