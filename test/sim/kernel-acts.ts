/** What the kernel and others do to our objects in it, whatever the machine is about. */
import fc from "fast-check";
import { ipv6 } from "../../controller/base/ip.js";
import { type KernelObject, OWNERSHIP, objectKey } from "../../controller/plan/objects/objects.js";
import { type PlannedKernel, turn } from "./planned-kernel.js";

export type KernelAct =
  | { readonly kind: "slow"; readonly slow: boolean }
  | { readonly kind: "let-through"; readonly which: "call" | "news" }
  /** One operation out of so many is refused; 0: none. `spares`: removals are not. */
  | { readonly kind: "refuse"; readonly every: number; readonly spares: boolean }
  | { readonly kind: "unanswered" }
  | { readonly kind: "kernel-time"; readonly ms: number }
  | { readonly kind: "remove" | "change" | "occupy" | "lose"; readonly which: number }
  | { readonly kind: "foreign"; readonly host: number }
  | { readonly kind: "settle" };

const which = fc.nat(999);

export const kernelAct: fc.Arbitrary<KernelAct> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("slow" as const), slow: fc.boolean() }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("let-through" as const),
      which: fc.constantFrom("call" as const, "call" as const, "news" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("refuse" as const),
      every: fc.constantFrom(0, 0, 1, 2, 5, 13),
      spares: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("unanswered" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("kernel-time" as const), ms: fc.constantFrom(10, 100, 600, 9000) }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom("remove", "change", "occupy", "lose"), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("foreign" as const), host: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
);

/** All but `settle`, which is a matter of the service too. */
export async function perform(
  planned: PlannedKernel,
  one: Exclude<KernelAct, { readonly kind: "settle" }>,
): Promise<void> {
  const { kernel } = planned;
  switch (one.kind) {
    case "slow":
      planned.slow = one.slow;
      return;
    case "let-through":
      return planned.letThrough(one.which);
    case "refuse":
      kernel.refuse = refusals(one.every, one.spares);
      return;
    case "unanswered":
      planned.unanswered = 1;
      return;
    case "kernel-time":
      return planned.advance(one.ms);
    case "foreign": {
      const object = foreignRoute(one.host);
      planned.foreign.set(objectKey(object), object);
      planned.interfere({ verb: "changed", object });
      return turn();
    }
    case "lose":
      planned.loseSilently(some(planned, one.which, 3));
      return turn();
    default: {
      const [object] = some(planned, one.which, 1);
      if (object !== undefined) disturb(planned, one.kind, object);
      return turn();
    }
  }
}

function disturb(planned: PlannedKernel, how: "remove" | "change" | "occupy", object: KernelObject): void {
  const other = changed(object);
  if (how === "change" && other !== undefined) return planned.interfere({ verb: "changed", object: other });
  if (how === "occupy" && (object.kind === "route" || object.kind === "address"))
    planned.kernel.strangers.set(objectKey(object), object);
  planned.interfere({ verb: "removed", object });
}

/** As somebody else could have made it under the same identity. */
function changed(object: KernelObject): KernelObject | undefined {
  if (object.kind === "route" || object.kind === "link") return { ...object, mtu: 1281 };
  if (object.kind === "nft-element" && typeof object.value === "number") return { ...object, value: object.value ^ 1 };
  return undefined;
}

/** Of ours; switches are shared with everybody, and who sets one is looked after elsewhere. */
function some(planned: PlannedKernel, from: number, count: number): readonly KernelObject[] {
  const ours = [...planned.kernel.objects].filter(([key, { kind }]) => kind !== "sysctl" && !planned.foreign.has(key));
  return Array.from({ length: Math.min(count, ours.length) }, (_, i) => ours[(from + 7 * i) % ours.length]?.[1]).filter(
    (object) => object !== undefined,
  );
}

function foreignRoute(host: number): KernelObject {
  const destination = { address: ipv6(`2001:db8:f::${host}`), length: 128 };
  return { kind: "route", destination, table: 254, metric: OWNERSHIP.protocol, device: "lo" };
}

function refusals(every: number, spares: boolean): PlannedKernel["kernel"]["refuse"] {
  let operations = 0;
  return ({ verb }) => {
    if (every === 0 || (spares && verb === "remove")) return undefined;
    operations++;
    return operations % every === 0 ? "No buffer space available" : undefined;
  };
}
