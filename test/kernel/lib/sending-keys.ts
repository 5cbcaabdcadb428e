/** The keys with which a node sends, out of its kernel: so that a test can send in its place what the node would not. */
import { fromHex } from "../../../controller/base/bytes.js";
import { OWNERSHIP } from "../../../controller/plan/objects.js";
import { EspSender } from "../../lib/esp.js";
import { HOME_AGENT, type Mobile } from "./scene.js";

/** Far enough ahead of what the node has sent, and within the window of what it will send. */
const AHEAD = 1000;
const REQID_BLOCK = 24;

/** For updates (transport) or payload (tunnel) of a node that speaks IPv6 with its home agent. */
export function senderOf({ node }: Mobile, mode: "transport" | "tunnel"): EspSender {
  const blocks = node.run("ip", "xfrm", "state").split(/^(?=src )/m);
  const ours = (text: string): boolean => {
    const reqid = Number(/reqid (\d+)/.exec(text)?.[1] ?? 0);
    return reqid >> REQID_BLOCK === OWNERSHIP.reqidBase >> REQID_BLOCK;
  };
  const found = blocks.find(
    (text) => ours(text) && text.includes(`dst ${HOME_AGENT.ipv6}\n`) && text.includes(`mode ${mode}`),
  );
  const spi = /spi 0x([0-9a-f]+)/.exec(found ?? "")?.[1];
  const key = /aead \S+ 0x([0-9a-f]+)/.exec(found ?? "")?.[1];
  if (spi === undefined || key === undefined) throw new Error(`${node.label} sends nothing in ${mode} mode`);
  const sender = new EspSender({ spi: Number.parseInt(spi, 16), key: fromHex(key) });
  sender.sequence = AHEAD;
  return sender;
}
