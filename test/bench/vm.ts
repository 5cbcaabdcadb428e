/**
 * QEMU with Debian's stock kernel: the judge of record. KVM where it really works, else software emulation. The machine sees this
 * machine's root and the repository through 9p, read-only. $KERNEL chooses the series: 6.1 (default) or 6.12.
 */
import { execFileSync } from "node:child_process";
import { accessSync, constants, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { boot } from "./booted.js";
import { BenchUnavailable, cacheDirectory, type Machine, repository } from "./machine.js";

const MEMORY_MIB = Number(process.env["DSMIPD_VM_MEMORY_MIB"] ?? 3072);
const MAX_PROCESSORS = 4;

/** A kernel's directory as test/bench/vm-kernel prints it, and its initial ramdisk. */
interface VmKernel {
  readonly directory: string;
  readonly version: string;
  readonly initrd: string;
}

type Accelerator = "kvm" | "tcg";

const BOOT_TIMEOUT_S = { kvm: 20, tcg: 180 } as const;
/** Starting Node takes ten times as long in emulation as on hardware, `ip` twenty times. */
const SLOW = { kvm: 1, tcg: 10 } as const;

export async function bootVm(): Promise<Machine> {
  const kernel = prepareKernel(process.env["KERNEL"] || "6.1");
  if (kvmMayWork()) {
    try {
      return await bootWith("kvm", kernel);
    } catch {
      rememberKvmFailure();
    }
  }
  return bootWith("tcg", kernel);
}

function prepareKernel(series: string): VmKernel {
  const tool = (name: string, ...args: string[]): string => {
    try {
      const program = join(repository, "test/bench", name);
      return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim();
    } catch (cause) {
      throw new BenchUnavailable(`test/bench/${name} ${args.join(" ")} failed (its message stands above)`, { cause });
    }
  };
  const directory = tool("vm-kernel", series);
  const version = readFileSync(join(directory, "version"), "utf8").trim();
  return { directory, version, initrd: tool("vm-initrd", directory) };
}

function bootWith(accelerator: Accelerator, kernel: VmKernel): Promise<Machine> {
  const processors = Math.min(MAX_PROCESSORS, availableParallelism());
  return boot({
    kind: "vm",
    slow: SLOW[accelerator],
    processors,
    memoryMib: MEMORY_MIB,
    description: `QEMU (${accelerator}) with Debian's ${kernel.version}`,
    program: "qemu-system-x86_64",
    args: [
      ...["-accel", accelerator === "kvm" ? "kvm" : "tcg,thread=multi,tb-size=512"],
      ...["-cpu", accelerator === "kvm" ? "host" : "max,la57=off"],
      ...["-smp", String(processors), "-m", String(MEMORY_MIB)],
      ...["-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio"],
      ...["-kernel", join(kernel.directory, "vmlinuz"), "-initrd", kernel.initrd],
      ...share("root", "/"),
      ...share("repository", repository),
      ...["-chardev", "socket,id=bus,fd=3", "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=bus"],
      ...["-append", `console=ttyS0 panic=-1 quiet mitigations=off nokaslr audit=0 bench=${repository}`],
    ],
    bootTimeout: BOOT_TIMEOUT_S[accelerator],
  });
}

function share(tag: string, path: string): string[] {
  const filesystem = `local,id=${tag},path=${path},security_model=none,readonly=on,multidevs=remap`;
  return ["-fsdev", filesystem, "-device", `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`];
}

/** /dev/kvm may be there and still not run a machine (nested, restricted). That is found out by booting, once per boot of this host. */
const kvmVerdict = join(cacheDirectory, "vm", "kvm-failed");

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

function kvmMayWork(): boolean {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
  } catch {
    return false;
  }
  try {
    return readFileSync(kvmVerdict, "utf8").trim() !== bootId();
  } catch {
    return true;
  }
}

function rememberKvmFailure(): void {
  mkdirSync(join(cacheDirectory, "vm"), { recursive: true });
  writeFileSync(kvmVerdict, `${bootId()}\n`);
}
