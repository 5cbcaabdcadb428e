/** The machine that makes and takes the load, and what slices of it say when they are compared (blast.c). */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repositoryPath } from "../lib/repository.js";
import { RING_FRAMES } from "./frames.js";
import { Machine } from "./machines.js";
import { median, rounded } from "./statistics.js";

export interface SliceOptions {
  /** Slices of each source. */
  readonly rounds: number;
  readonly slice: { readonly milliseconds: number } | { readonly frames: number };
}

/** Frames of one length to send from a device of the load, in a ring. */
export interface Source {
  readonly device: string;
  readonly frames: Uint8Array;
  /** How many. Default RING_FRAMES. */
  readonly count?: number;
}

interface Slice {
  readonly packets: number;
  readonly ns: number;
}

/** What the sources, by their names, have done. */
export class Measured<Name extends string> {
  readonly #slices: Readonly<Record<Name, readonly Slice[]>>;

  constructor(slices: Readonly<Record<Name, readonly Slice[]>>) {
    this.#slices = slices;
  }

  /** Packets per second, the median of all slices. */
  rate(name: Name): number {
    return rounded(median(this.#rates(name)));
  }

  /** The median of the ratios of neighbouring slices. */
  ratio(over: Name, under: Name): number {
    const below = this.#rates(under);
    return rounded(median(this.#rates(over).map((rate, i) => rate / (below[i] ?? Number.NaN))));
  }

  packets(name: Name): number {
    return this.#slices[name].reduce((sum, { packets }) => sum + packets, 0);
  }

  #rates(name: Name): readonly number[] {
    return this.#slices[name].map(({ packets, ns }) => (packets * 1e9) / ns);
  }
}

export class Load {
  readonly machine: Machine;
  readonly #scratch = mkdtempSync(join(tmpdir(), "dsmipd-bench-"));
  readonly #blast = join(this.#scratch, "blast");

  constructor() {
    execFileSync("cc", ["-O2", "-o", this.#blast, repositoryPath("test/performance/blast.c")]);
    this.machine = new Machine("load");
    this.machine.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1");
  }

  /** Sends from all sources in turn, so that the ratios hold on a machine that others use too. */
  send<Name extends string>(sources: Readonly<Record<Name, Source>>, options: SliceOptions): Measured<Name> {
    const names = Object.keys(sources) as Name[];
    const words = names.flatMap((name) => {
      const { device, frames, count = RING_FRAMES } = sources[name];
      const path = join(this.#scratch, name);
      writeFileSync(path, frames);
      return [device, path, String(frames.length / count)];
    });
    const slices = Object.fromEntries(names.map((name) => [name, [] as Slice[]])) as Record<Name, Slice[]>;
    const { rounds, slice } = options;
    const length = "frames" in slice ? `${slice.frames}f` : `${slice.milliseconds}ms`;
    const text = this.machine.run(this.#blast, String(rounds), length, ...words);
    for (const line of text.trim().split("\n")) {
      const [source = 0, packets = 0, ns = 1] = line.split(" ").map(Number);
      slices[names[source] as Name].push({ packets, ns });
    }
    return new Measured(slices);
  }

  /** The command that sends so many frames a second until SIGTERM, and then says how many they were, and nanoseconds. */
  steadily({ device, frames, count = RING_FRAMES }: Source, perSecond: number): readonly string[] {
    const path = join(this.#scratch, "flood");
    writeFileSync(path, frames);
    return this.machine.inside([this.#blast, `${perSecond}/s`, device, path, String(frames.length / count)]);
  }

  [Symbol.dispose](): void {
    this.machine[Symbol.dispose]();
    rmSync(this.#scratch, { recursive: true, force: true });
  }
}
