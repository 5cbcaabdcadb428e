/** Which kind of bench: $BENCH, else the first that works here. */
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
