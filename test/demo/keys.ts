/** What only the keys' owners know: which SPIs belong to which node, asked of charon, and what XFRM has carried, asked of the kernel. */

import { listSas } from "../kernel/lib/charon.js";
import { runAsync } from "../kernel/lib/command.js";
import type { PayloadSpi, SignallingSpis } from "./capture.js";
import { viciPath } from "./charon.js";
import { NODES, type Topology } from "./topology.js";

export interface Spis {
  readonly signalling: readonly SignallingSpis[];
  readonly payload: readonly PayloadSpi[];
}

/** As the nodes' charons have them; a node that is at home may have none. */
export async function readSpis(directory: string): Promise<Spis> {
  const signalling: SignallingSpis[] = [];
  const payload: PayloadSpi[] = [];
  for (const node of NODES) {
    const children = (await listSas(viciPath(directory, node.name))).flatMap((sa) => sa.children);
    for (const { name, spiIn, spiOut } of children) {
      const [down, up] = [Number.parseInt(spiIn, 16), Number.parseInt(spiOut, 16)];
      if (name.startsWith("signalling")) signalling.push({ node, update: up, acknowledgement: down });
      if (name === "payload") payload.push({ node, spi: up, direction: "up" }, { node, spi: down, direction: "down" });
    }
  }
  return { signalling, payload };
}

interface Traffic {
  readonly packets: number;
  readonly octets: number;
}

/** Our own associations' counters at the home agent: those that receive, and those that send, of payload. */
export async function readProtected(
  topology: Topology,
): Promise<{ readonly received: Traffic; readonly sent: Traffic }> {
  return sumProtected(await runAsync(["ip", "-n", topology.name("ha"), "-s", "xfrm", "state"]));
}

/** From what `ip -s xfrm state` prints. */
export function sumProtected(text: string): { readonly received: Traffic; readonly sent: Traffic } {
  const sums = { received: { packets: 0, octets: 0 }, sent: { packets: 0, octets: 0 } };
  for (const block of text.split(/^(?=src )/m)) {
    const mark = /^\s+mark (?:0|0x0|0x20000000)\/0x([46])0000000/m.exec(block)?.[1];
    const current = /lifetime current:\s+(\d+)\(bytes\), (\d+)\(packets\)/.exec(block);
    if (mark === undefined || current === null || !/mode tunnel/.test(block)) continue;
    const sum = mark === "6" ? sums.received : sums.sent;
    sum.octets += Number(current[1]);
    sum.packets += Number(current[2]);
  }
  return sums;
}
