/** User Mode Linux: a kernel that is an ordinary process, at native speed. Boots in a third of a second. */
import { spawn } from "node:child_process";
import { accessSync, constants, statfsSync } from "node:fs";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { awaitBoot, BenchUnavailable, cacheDirectory, type Machine, machineDirectory, repository } from "./machine.js";

const MEMORY_MIB = Number(process.env["DSMIPD_UM_MEMORY_MIB"] ?? 2048);

/** The kernel to boot: $DSMIPD_UM_KERNEL, else what `make um-kernel` built. */
export function findUmKernel(): string | undefined {
  const candidates = [process.env["DSMIPD_UM_KERNEL"], join(cacheDirectory, "um", "linux")];
  return candidates.find((path) => path !== undefined && path !== "" && isExecutable(path));
}

export async function bootUm(): Promise<Machine> {
  const kernel = findUmKernel();
  if (!kernel) throw new BenchUnavailable("no User Mode Linux kernel: run `make um-kernel`, or let DSMIPD_UM_KERNEL name one");
  const directory = machineDirectory();
  const init = `init=${join(repository, "test/bench/guest/init-um.sh")}`;
  const child = spawn(
    kernel,
    [`mem=${MEMORY_MIB}M`, "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", init, "con=null", "con0=null,fd:1", "ssl0=fd:3", "quiet", "--", repository],
    { stdio: ["ignore", "pipe", "pipe", "pipe"], env: { ...process.env, TMPDIR: memoryDirectory(directory) } },
  );
  return awaitBoot(child, child.stdio[3] as unknown as Duplex, directory, {
    kind: "um",
    slow: 1,
    description: `User Mode Linux, ${kernel}`,
    bootTimeout: 60,
  });
}

/** Where the machine's memory is kept: a sparse file, which a container's usual 64 MiB of /dev/shm cannot hold. */
function memoryDirectory(fallback: string): string {
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    if (bavail * bsize >= MEMORY_MIB * 2 ** 20) return "/dev/shm";
  } catch {
    // no /dev/shm: use the disk
  }
  return fallback;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
