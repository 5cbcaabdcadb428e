/**
 * charon as our keys see it: it keeps connections, SAs and secrets, does what it is told and remembers in which order. What it negotiates
 * the test says. Events go to whoever has registered them. For VICI itself there is fake-charon.ts.
 */
import { decodeMessage, type ViciSection } from "../../controller/vici/message.js";
import { decodePacket, encodePacket, PacketReader } from "../../controller/vici/packet.js";
import { textAt } from "../../controller/vici/section.js";
import type { ViciTransport } from "../../controller/vici/transport.js";
import { FakeStream } from "./fake-charon.js";

export class ScriptedCharon {
  /** Commands with the connection, SA or child that they are about, in order. */
  readonly told: string[] = [];
  readonly connections = new Map<string, ViciSection>();
  /** By connection, as list-sas shows them. */
  readonly sas = new Map<string, ViciSection>();
  /** Commands that are refused, with charon's words. */
  readonly refused = new Map<string, string>();
  #streams: { readonly stream: FakeStream; readonly events: Set<string> }[] = [];

  readonly connect = async (): Promise<ViciTransport> => {
    const reader = new PacketReader();
    const events = new Set<string>();
    const stream: FakeStream = new FakeStream((bytes) =>
      reader.feed(bytes, (octets) => {
        const packet = decodePacket(octets);
        if (packet.type === "register") events.add(packet.name);
        if (packet.type === "unregister") events.delete(packet.name);
        if (packet.type !== "request") return stream.deliver(encodePacket({ type: "confirm" }));
        const message = this.#command(packet.name, decodeMessage(packet.message), stream);
        stream.deliver(encodePacket({ type: "response", message }));
      }),
    );
    this.#streams.push({ stream, events });
    return stream;
  };

  raise(name: string, message: ViciSection): void {
    for (const { stream, events } of this.#streams)
      if (events.has(name)) stream.deliver(encodePacket({ type: "event", name, message }));
  }

  /** All that it was told is forgotten; what it had put into the kernel stays. */
  kill(): void {
    this.connections.clear();
    this.sas.clear();
    for (const { stream } of this.#streams.splice(0)) stream.end();
  }

  #command(name: string, message: ViciSection, stream: FakeStream): ViciSection {
    const about = ["name", "ike", "ike-id", "id", "child"].map((key) => textAt(message, key)).filter((text) => text);
    const loaded = name === "load-conn" || name === "load-pool" ? Object.keys(message) : [];
    this.told.push([name, ...about, ...loaded].join(" "));
    const errmsg = this.refused.get(name);
    if (errmsg !== undefined) return { success: "no", errmsg };
    switch (name) {
      case "load-conn":
        for (const [connection, options] of Object.entries(message))
          this.connections.set(connection, options as ViciSection);
        return { success: "yes" };
      case "unload-conn":
        this.connections.delete(textAt(message, "name") ?? "");
        return { success: "yes" };
      case "get-conns":
        return { conns: [...this.connections.keys()] };
      case "list-sas":
        for (const [connection, sa] of this.sas) {
          const wanted = textAt(message, "ike");
          if (wanted !== undefined && wanted !== connection) continue;
          stream.deliver(encodePacket({ type: "event", name: "list-sa", message: { [connection]: sa } }));
        }
        return {};
      default:
        return { success: "yes" };
    }
  }
}
