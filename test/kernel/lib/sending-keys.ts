/** The keys with which a node sends, out of its kernel: so that a test can send in its place what the node would not. */
import { fromHex } from "../../../controller/base/bytes.js";
import { EspSender } from "../../lib/esp.js";
import { kernelAssociations } from "./associations.js";
import { HOME_AGENT, type Mobile } from "./scene.js";

/** Far enough ahead of what the node has sent, and within the window of what it will send. */
const AHEAD = 1000;

/** For updates (transport) or payload (tunnel) of a node that speaks IPv6 with its home agent. */
export function senderOf({ node }: Mobile, mode: "transport" | "tunnel"): EspSender {
  const found = kernelAssociations(node).find((one) => one.destination === HOME_AGENT.ipv6 && one.mode === mode);
  if (found?.key === undefined) throw new Error(`${node.label} sends nothing in ${mode} mode`);
  const sender = new EspSender({ spi: found.spi, key: fromHex(found.key) });
  sender.sequence = AHEAD;
  return sender;
}
