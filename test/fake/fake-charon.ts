/**
 * charon's side of VICI in memory: what test/contract/vici.ts holds for the real one holds for this one. Answers come in small chunks
 * whose buffer is overwritten afterwards, and requests are read late, as a real socket may do both.
 */
import { MissingError } from "../../controller/base/errors.js";
import { decodeMessage, isSection, type ViciSection } from "../../controller/vici/message.js";
import { decodePacket, encodePacket, PacketReader, type ViciPacket } from "../../controller/vici/packet.js";
import { textAt } from "../../controller/vici/section.js";
import type { ViciTransport } from "../../controller/vici/transport.js";

const CHUNK = 5;

/** One end of a stream; the other end is the test. */
export class FakeStream implements ViciTransport {
  /** What was written, in order. */
  readonly sent: Uint8Array[] = [];
  /** The buffers that were written, as they are now. */
  readonly buffers: Uint8Array[] = [];
  closed = false;
  ended = false;
  readonly #receive: (bytes: Uint8Array) => void;
  #onData: (bytes: Uint8Array) => void = () => undefined;
  #onClose: (error?: Error) => void = () => undefined;

  constructor(receive: (bytes: Uint8Array) => void = () => undefined) {
    this.#receive = receive;
  }

  write(bytes: Uint8Array, written: () => void): void {
    this.buffers.push(bytes);
    queueMicrotask(() => {
      if (!this.closed && !this.ended) {
        this.sent.push(bytes.slice());
        this.#receive(bytes.slice());
      }
      written();
    });
  }

  onData(listener: (bytes: Uint8Array) => void): void {
    this.#onData = listener;
  }

  onClose(listener: (error?: Error) => void): void {
    this.#onClose = listener;
  }

  close(): void {
    this.closed = true;
  }

  /** The other side sends. */
  deliver(bytes: Uint8Array, chunk = CHUNK): void {
    for (let at = 0; at < bytes.length && !this.closed && !this.ended; at += chunk) {
      const buffer = bytes.slice(at, at + chunk);
      this.#onData(buffer);
      buffer.fill(0xee);
    }
  }

  /** The other side is gone. */
  end(error?: Error): void {
    if (this.closed || this.ended) return;
    this.ended = true;
    this.#onClose(error);
  }

  /** The requests that were written. */
  requests(): readonly ViciPacket<Uint8Array>[] {
    const packets: ViciPacket<Uint8Array>[] = [];
    const reader = new PacketReader();
    for (const bytes of this.sent) reader.feed(bytes, (octets) => packets.push(decodePacket(octets)));
    return packets;
  }
}

interface Client {
  readonly stream: FakeStream;
  readonly events: Set<string>;
}

type Packet = ViciPacket<ViciSection>;
type Command = (message: ViciSection, send: (packet: Packet) => void) => ViciSection;

const YES: ViciSection = { success: "yes" };
const refusal = (errmsg: string): ViciSection => ({ success: "no", errmsg });
const OPTIONS: ReadonlySet<string> = new Set(["version", "local_addrs", "remote_addrs", "local", "remote", "children"]);

export class FakeCharon {
  /** Requests by "type name" in the order in which they came. */
  readonly seen: string[] = [];
  running = true;
  /** How often somebody tried to connect. */
  connects = 0;
  /** Commands and events, by "type name", that get no answer. */
  readonly silent = new Set<string>();
  /** Called at each registration before it is confirmed. */
  onRegister: (event: string) => void = () => undefined;
  readonly #events = new Set(["log", "list-conn", "ike-updown", "child-updown"]);
  readonly #clients = new Set<Client>();
  readonly #held = new Map<string, (process: () => void) => void>();
  #connections = new Map<string, ViciSection>();
  #shared: string[] = [];

  readonly connect = async (): Promise<ViciTransport> => {
    this.connects++;
    if (!this.running)
      throw new MissingError("fake: charon's socket is not there; start it: systemctl start strongswan");
    const reader = new PacketReader();
    const stream = new FakeStream((bytes) =>
      reader.feed(bytes, (octets) => this.#onPacket(client, decodePacket(octets))),
    );
    const client: Client = { stream, events: new Set() };
    this.#clients.add(client);
    return stream;
  };

  /** Connections that are open. */
  get clients(): number {
    return [...this.#clients].filter(({ stream }) => !stream.closed && !stream.ended).length;
  }

  /** SIGKILL: all that was loaded is gone. */
  kill(error?: Error): void {
    this.running = false;
    this.#connections = new Map();
    this.#shared = [];
    for (const { stream } of this.#clients) stream.end(error);
    this.#clients.clear();
  }

  start(): void {
    this.running = true;
  }

  /** Closes only the connections on which the event is registered, or only the others. */
  hangUp(event: string, registered: boolean): void {
    for (const { stream, events } of this.#clients) if (events.has(event) === registered) stream.end();
  }

  /** Keeps the next such request, by "type name", until the function that comes back is called. */
  hold(request: string): () => void {
    let release = (): void => undefined;
    this.#held.set(request, (process) => {
      release = process;
    });
    return () => release();
  }

  raise(name: string, message: ViciSection): void {
    for (const { stream, events } of this.#clients)
      if (events.has(name)) stream.deliver(encodePacket({ type: "event", name, message }));
  }

  #onPacket(client: Client, packet: ViciPacket<Uint8Array>): void {
    if (!("name" in packet)) return;
    const request = `${packet.type} ${packet.name}`;
    const hold = this.#held.get(request);
    if (this.#held.delete(request)) return hold?.(() => this.#onPacket(client, packet));
    this.seen.push(request);
    if (this.silent.has(request)) return;
    const send = (answer: Packet): void => client.stream.deliver(encodePacket(answer));
    if (packet.type === "request") {
      const command = this.#commands[packet.name];
      if (command === undefined) return send({ type: "unknown-command" });
      const message = command(decodeMessage(packet.message), (event) => {
        if ("name" in event && client.events.has(event.name)) send(event);
      });
      send({ type: "response", message });
    } else if (packet.type === "register") {
      if (!this.#events.has(packet.name)) return send({ type: "unknown-event" });
      client.events.add(packet.name);
      this.onRegister(packet.name);
      send({ type: "confirm" });
    } else {
      send({ type: client.events.delete(packet.name) ? "confirm" : "unknown-event" });
    }
  }

  readonly #commands: Readonly<Record<string, Command>> = {
    version: () => ({ daemon: "fake-charon", version: "5.9.8" }),
    "load-conn": (message) => {
      for (const [name, options] of Object.entries(message)) {
        if (!isSection(options)) continue;
        const unknown = Object.keys(options).find((option) => !OPTIONS.has(option));
        if (unknown !== undefined) return refusal(`unknown option: ${unknown}, config discarded`);
        this.#connections.set(name, options);
        this.raise("log", { group: "CFG", level: "1", thread: "1", msg: `added vici connection: ${name}` });
      }
      return YES;
    },
    "unload-conn": (message) => {
      const name = textAt(message, "name") ?? "";
      return this.#connections.delete(name) ? YES : refusal(`unload: connection '${name}' not found`);
    },
    "get-conns": () => ({ conns: [...this.#connections.keys()] }),
    "list-conns": (message, send) => {
      const wanted = textAt(message, "ike");
      for (const [name, options] of this.#connections) {
        if (wanted !== undefined && wanted !== name) continue;
        send({ type: "event", name: "list-conn", message: { [name]: { ...options, version: "IKEv2" } } });
      }
      return {};
    },
    "load-shared": (message) => {
      this.#shared.push(textAt(message, "id") ?? "");
      return YES;
    },
    "get-shared": () => ({ keys: this.#shared }),
    "load-cert": () => refusal("parsing X509 certificate failed"),
  };
}
