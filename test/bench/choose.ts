/** Which kind of bench: $BENCH, else the first that works here. */
import { availableParallelism, freemem } from "node:os";
import { type BenchKind, BenchUnavailable, benchKinds, type Machine } from "./machine.js";
import { nativeObstacle, openNative } from "./native.js";
import { bootUm, findUmKernel } from "./um.js";
import { bootVm } from "./vm.js";

export function chooseKind(wish: string | undefined): BenchKind {
  if (wish !== undefined && wish !== "") {
    const kind = benchKinds.find((name) => name === wish);
    if (!kind) throw new BenchUnavailable(`BENCH=${wish}: known are ${benchKinds.join(", ")}`);
    return kind;
  }
  if (nativeObstacle() === undefined) return "native";
  return findUmKernel() === undefined ? "vm" : "um";
}

export async function openMachine(kind: BenchKind): Promise<Machine> {
  switch (kind) {
    case "native":
      return openNative();
    case "um":
      return bootUm();
    case "vm":
      return bootVm();
  }
}

/** For work that can be shared, at most `most`: as many machines as this one has processors and memory for. */
export async function openMachines(kind: BenchKind, most: number): Promise<[Machine, ...Machine[]]> {
  const first = await openMachine(kind);
  if (first.memoryMib === undefined) return [first];
  const room = 1 + Math.floor(freemem() / 2 ** 20 / (2 * first.memoryMib));
  const wanted = Math.min(most, room, Math.floor(availableParallelism() / first.processors));
  const others = Array.from({ length: Math.max(0, wanted - 1) }, () => openMachine(kind));
  return [first, ...(await Promise.all(others))];
}
