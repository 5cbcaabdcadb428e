/** Which of the planned policies the kernel would choose for a packet, and what becomes of the packet by it. */
import { type IpAddress, prefixContains } from "../../controller/base/ip.js";
import type { KernelObject } from "../../controller/plan/objects/objects.js";
import type { XfrmPolicy, XfrmSelector } from "../../controller/plan/objects/security.js";

export interface PolicyPacket {
  readonly direction: XfrmPolicy["direction"];
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol: number;
  /** Of ICMPv6 or a Mobility Header. */
  readonly type?: number;
  readonly mark?: number;
}

/** protected: through ESP or not at all. optional: in clear too. clear: no policy asks for anything. */
export type Fate = "protected" | "optional" | "clear" | "blocked";

const FIRST_INFORMATIONAL = 128;

function meets(selector: XfrmSelector, { source, destination, protocol, type }: PolicyPacket): boolean {
  const { mobilityHeaderType, icmpv6Type, icmpv6Errors } = selector;
  const wanted = mobilityHeaderType ?? icmpv6Type;
  return (
    prefixContains(selector.source, source) &&
    prefixContains(selector.destination, destination) &&
    (selector.protocol === 0 || selector.protocol === protocol) &&
    (wanted === undefined || wanted === type) &&
    (icmpv6Errors !== true || (type ?? FIRST_INFORMATIONAL) < FIRST_INFORMATIONAL)
  );
}

/** Of type main: those of type sub ask for Mobile IPv6's own headers besides. */
export function policyFor(objects: readonly KernelObject[], packet: PolicyPacket): XfrmPolicy | undefined {
  const { direction, mark = 0 } = packet;
  return objects
    .filter((one): one is XfrmPolicy => one.kind === "xfrm-policy" && one.policyType === "main")
    .filter((one) => one.direction === direction && meets(one.selector, packet))
    .filter((one) => one.mark === undefined || (mark & one.mark.mask) >>> 0 === one.mark.value)
    .reduce<XfrmPolicy | undefined>((best, one) => (best && best.priority <= one.priority ? best : one), undefined);
}

export function fateOf(objects: readonly KernelObject[], packet: PolicyPacket): Fate {
  const found = policyFor(objects, packet);
  if (found === undefined) return "clear";
  if (found.action === "block") return "blocked";
  const esp = found.templates.filter(({ protocol }) => protocol === "esp");
  if (esp.length === 0) return "clear";
  return esp.some(({ optional }) => optional) ? "optional" : "protected";
}
