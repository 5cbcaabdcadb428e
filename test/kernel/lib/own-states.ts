/** The associations that a daemon has made from negotiated ones, as `ip xfrm state` shows them. */
import { OWNERSHIP } from "../../../controller/plan/objects/objects.js";
import { SENDING_MARK } from "../../../controller/plan/security/marks.js";
import type { Node } from "./topology.js";

const REQID_BLOCK = 24;

export interface OwnState {
  /** By which `ip xfrm state delete` finds it. */
  readonly id: string;
  /** As in the daemon's words. */
  readonly spi: string;
  readonly mode: string;
  readonly sends: boolean;
}

export function ownStates(node: Node): readonly OwnState[] {
  const blocks = node.run("ip", "xfrm", "state").split(/^(?=src )/m);
  return blocks.flatMap((text) => {
    const ends = /^src (\S+) dst (\S+)$/m.exec(text);
    const facts = /proto esp spi (0x[0-9a-f]+) reqid (\d+) mode (\w+)/.exec(text);
    const mark = /^\s*mark (\S+?)\/(\S+)/m.exec(text);
    if (ends === null || facts === null || mark === null) return [];
    const [, spi = "", reqid, mode = ""] = facts;
    if (Number(reqid) >> REQID_BLOCK !== OWNERSHIP.reqidBase >> REQID_BLOCK) return [];
    const id = `src ${ends[1]} dst ${ends[2]} proto esp spi ${spi} mark ${mark[1]} mask ${mark[2]}`;
    const sends = Number(mark[1]) === SENDING_MARK.value && Number(mark[2]) === SENDING_MARK.mask;
    return [{ id, spi, mode, sends }];
  });
}

/** Takes it out of the kernel as a person would. */
export async function deleteState(node: Node, { id }: OwnState): Promise<void> {
  await node.runAsync("ip", "xfrm", "state", "delete", ...id.split(" "));
}
