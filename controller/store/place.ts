/** The journal's place in the file system: its directory, fresh files beside the present one, and damaged ones that are kept. */
import { basename, dirname, join } from "node:path";
import { codeOf, type Files, forgiveUnsyncable, writeAll, writeAllSync } from "./files.js";

/** Damaged journals that are kept; the oldest go first. */
const KEPT_ASIDE = 4;
/** Names of fresh files beside it, behind its own: of one that has to be made, and of one that saves room. */
export type Suffix = ".new" | ".compact";
const SUFFIXES: readonly Suffix[] = [".new", ".compact"];

/** A file that is whole and on the disk, but not in its place yet. */
export interface Fresh {
  readonly descriptor: number;
  /** Octets. */
  readonly end: number;
}

export class JournalPlace {
  readonly path: string;
  readonly #files: Files;

  constructor(files: Files, path: string) {
    this.#files = files;
    this.path = path;
  }

  /** Octets of the journal; "absent" if there is none, "unreadable" if the disk refuses. */
  read(): Uint8Array | "absent" | "unreadable" {
    try {
      return this.#files.readSync(this.path);
    } catch (error) {
      return codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR" ? "absent" : "unreadable";
    }
  }

  makeDirectory(): void {
    this.#files.mkdirSync(dirname(this.path));
  }

  /** What an earlier life left half made. */
  removeLeftovers(): void {
    for (const suffix of SUFFIXES) this.#removeQuietly(suffix);
  }

  /** Writes the text into a fresh file and synchronises it. Throws the file system's error; then there is no such file. */
  async make(suffix: Suffix, text: Iterable<Uint8Array>): Promise<Fresh> {
    const descriptor = await this.#files.open(this.path + suffix, "w");
    try {
      let end = 0;
      for (const octets of text) end = await writeAll(this.#files, descriptor, octets, end);
      await this.#files.dataSync(descriptor);
      return { descriptor, end };
    } catch (error) {
      this.discard(descriptor, suffix);
      throw error;
    }
  }

  /** As `make` and `install`, at once. */
  makeAndInstallSync(suffix: Suffix, text: Iterable<Uint8Array>): Fresh {
    const files = this.#files;
    const descriptor = files.openSync(this.path + suffix, "w");
    try {
      let end = 0;
      for (const octets of text) end = writeAllSync(files, descriptor, octets, end);
      files.syncSync(descriptor);
      files.renameSync(this.path + suffix, this.path);
      return { descriptor, end };
    } catch (error) {
      this.discard(descriptor, suffix);
      throw error;
    }
  }

  /** From here on the fresh file is the journal; after a power cut too when the directory is synchronised. */
  async install(descriptor: number, suffix: Suffix): Promise<void> {
    try {
      await this.#files.rename(this.path + suffix, this.path);
    } catch (error) {
      this.discard(descriptor, suffix);
      throw error;
    }
  }

  /** A fresh file that comes to nothing: it would only fill the disk. */
  discard(descriptor: number, suffix: Suffix): void {
    this.closeQuietly(descriptor);
    this.#removeQuietly(suffix);
  }

  /** Closing writes nothing that counts: what does is synchronised before. */
  closeQuietly(descriptor: number): void {
    try {
      this.#files.closeSync(descriptor);
    } catch {
      // ignored: the descriptor is gone either way
    }
  }

  /** As `closeQuietly`, without keeping the event loop waiting. */
  closeAside(descriptor: number): void {
    this.#files.close(descriptor).catch(() => undefined); // ignored: the descriptor is gone either way
  }

  async syncDirectory(): Promise<void> {
    const descriptor = await this.#files.open(dirname(this.path), "r");
    try {
      await this.#files.sync(descriptor).catch(forgiveUnsyncable);
    } finally {
      this.closeQuietly(descriptor);
    }
  }

  syncDirectorySync(): void {
    const descriptor = this.#files.openSync(dirname(this.path), "r");
    try {
      this.#files.syncSync(descriptor);
    } catch (error) {
      forgiveUnsyncable(error);
    } finally {
      this.closeQuietly(descriptor);
    }
  }

  /** The damaged file gets another name beside its own, which it keeps until a fresh one takes its place. Returns the path. `now`: milliseconds since 1970. */
  keepAside(now: number): string {
    const files = this.#files;
    const name = `${basename(this.path)}.damaged-`;
    const directory = dirname(this.path);
    const kept = files
      .listSync(directory)
      .filter((one) => one.startsWith(name))
      .sort();
    const stamp = new Date(now).toISOString().replace(/[:.]/g, "-");
    let path = join(directory, name + stamp);
    for (let count = 2; kept.includes(basename(path)); count++) path = join(directory, `${name}${stamp}-${count}`);
    try {
      files.linkSync(this.path, path);
    } catch {
      files.copySync(this.path, path);
    }
    for (const old of kept.slice(0, Math.max(0, kept.length + 1 - KEPT_ASIDE))) files.unlinkSync(join(directory, old));
    return path;
  }

  #removeQuietly(suffix: Suffix): void {
    try {
      this.#files.unlinkSync(this.path + suffix);
    } catch {
      // ignored: mostly it is not there
    }
  }
}
