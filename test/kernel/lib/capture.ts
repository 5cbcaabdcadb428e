/** What passes a device, written down by tcpdump and read by us (fast) or by tshark (independent, and slow under emulation). */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { run } from "./command.js";
import { type Layer, layersOf } from "./frame.js";
import type { Namespace } from "./namespace.js";
import type { Background } from "./process.js";
import { waitFor } from "./wait.js";

export interface Frame {
  /** Seconds since the epoch. */
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly layers: readonly Layer[];
}

const FILE_HEADER = 24;
const RECORD_HEADER = 16;

export class Capture {
  readonly file: string;
  readonly #process: Background;
  readonly #where: string;
  /** What was read before, and how many octets of the file that was: a long capture is not read again at every look. */
  readonly #known: Frame[] = [];
  #consumed = 0;
  #link = 0;

  constructor(namespace: Namespace, device: string, filter: string, file: string) {
    this.file = file;
    this.#where = `${namespace.label}/${device}`;
    const options = ["-n", "-p", "-U", "--immediate-mode", "-s", "0", "-Z", "root", "-w", file];
    this.#process = namespace.spawn(["tcpdump", "-i", device, ...options, ...(filter ? [filter] : [])], {
      name: `${namespace.label}-${device}-tcpdump`,
    });
  }

  async started(): Promise<void> {
    await this.#process.waitForLog(/listening on/);
  }

  /** All frames so far. */
  frames(): Frame[] {
    this.#read();
    return [...this.#known];
  }

  #read(): void {
    const file = openSync(this.file, "r");
    try {
      const fresh = Buffer.alloc(Math.max(0, fstatSync(file).size - this.#consumed));
      const length = readSync(file, fresh, 0, fresh.length, this.#consumed);
      this.#take(fresh.subarray(0, length));
    } finally {
      closeSync(file);
    }
  }

  #take(fresh: Buffer): void {
    const isFirst = this.#consumed === 0;
    if (isFirst && fresh.length < FILE_HEADER) return;
    if (isFirst) this.#link = fresh.readUInt32LE(20);
    const { frames, end } = readRecords(fresh, isFirst ? FILE_HEADER : 0, this.#link);
    this.#known.push(...frames);
    this.#consumed += end;
  }

  /** Waits until so many frames (default 1) match, and returns them. */
  async waitFor(
    matches: (frame: Frame) => boolean,
    options: { what: string; count?: number; timeout?: number },
  ): Promise<Frame[]> {
    const { what, count = 1, timeout } = options;
    const found: Frame[] = [];
    let judged = 0;
    const find = (): Frame[] | undefined => {
      this.#read();
      for (; judged < this.#known.length; judged++) {
        const frame = this.#known[judged] as Frame;
        if (matches(frame)) found.push(frame);
      }
      return found.length >= count ? found : undefined;
    };
    return waitFor(find, { what: `${what} on ${this.#where}`, ...(timeout === undefined ? {} : { timeout }) }).catch(
      (error: Error) => {
        const seen = this.frames().map(({ layers }) => `  ${describeLayers(layers)}`);
        throw new Error(`${error.message}; seen there:\n${seen.join("\n") || "  nothing"}`, { cause: error });
      },
    );
  }

  async stop(): Promise<void> {
    await this.#process.stop("SIGINT");
  }

  /** tshark's fields of each frame that passes the display filter; several values of a field are separated by commas. */
  tshark(fields: readonly string[], filter = "", ...options: readonly string[]): Record<string, string>[] {
    const wanted = fields.flatMap((field) => ["-e", field]);
    const words = [...options, ...(filter ? ["-Y", filter] : []), "-T", "fields", "-E", "separator=/t", ...wanted];
    const lines = run(["tshark", "-n", "-r", this.file, "-d", "udp.port==4191,ip", ...words])
      .split("\n")
      .slice(0, -1);
    return lines.map((line) => {
      const values = line.split("\t");
      return Object.fromEntries(fields.map((field, index) => [field, values[index] ?? ""]));
    });
  }
}

/**
 * The whole records of a classic capture file in this machine's byte order, from `start` on, and where the first one begins that is
 * not whole: the file is still being written.
 */
function readRecords(file: Buffer, start: number, link: number): { readonly frames: Frame[]; readonly end: number } {
  const frames: Frame[] = [];
  let at = start;
  while (at + RECORD_HEADER <= file.length) {
    const end = at + RECORD_HEADER + file.readUInt32LE(at + 8);
    if (end > file.length) break;
    const bytes = new Uint8Array(file.subarray(at + RECORD_HEADER, end));
    frames.push({ at: file.readUInt32LE(at) + file.readUInt32LE(at + 4) / 1e6, bytes, layers: layersOf(bytes, link) });
    at = end;
  }
  return { frames, end: at };
}

/** One line: "ipv4 203.0.113.1>203.0.113.2 / udp 4191>40000 / ipv6 …". */
export function describeLayers(layers: readonly Layer[]): string {
  return layers
    .map((layer) => {
      const { kind } = layer;
      if (kind === "ipv4" || kind === "ipv6") return `${kind} ${layer.source}>${layer.destination}`;
      if (kind === "udp" || kind === "tcp") return `${kind} ${layer.sourcePort}>${layer.destinationPort}`;
      if (kind === "ethernet") return `ethernet ${layer.type.toString(16)}`;
      return kind === "other" ? `protocol ${layer.protocol}` : kind;
    })
    .join(" / ");
}
