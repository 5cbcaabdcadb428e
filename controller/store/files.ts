/** The file system as the journal uses it, so that tests can let every call of it fail. */
import fs from "node:fs";
import { promisify } from "node:util";

const write = promisify(fs.write);

/** node:fs, the calls of the same names; all throw or reject with its errors. Paths are absolute. */
export const nodeFiles = {
  mkdirSync: (path: string): void => void fs.mkdirSync(path, { recursive: true, mode: 0o750 }),
  readSync: (path: string): Uint8Array => fs.readFileSync(path),
  listSync: (path: string): string[] => fs.readdirSync(path),
  openSync: (path: string, flags: string): number => fs.openSync(path, flags, 0o640),
  writeSync: (file: number, octets: Uint8Array, offset: number, position: number): number =>
    fs.writeSync(file, octets, offset, octets.length - offset, position),
  truncateSync: (file: number, length: number): void => fs.ftruncateSync(file, length),
  syncSync: (file: number): void => fs.fsyncSync(file),
  closeSync: (file: number): void => fs.closeSync(file),
  linkSync: (from: string, to: string): void => fs.linkSync(from, to),
  copySync: (from: string, to: string): void => fs.copyFileSync(from, to, fs.constants.COPYFILE_EXCL),
  renameSync: (from: string, to: string): void => fs.renameSync(from, to),
  unlinkSync: (path: string): void => fs.unlinkSync(path),
  open: (path: string, flags: string): Promise<number> => promisify(fs.open)(path, flags, 0o640),
  write: async (file: number, octets: Uint8Array, offset: number, position: number): Promise<number> =>
    (await write(file, octets, offset, octets.length - offset, position)).bytesWritten,
  truncate: (file: number, length: number): Promise<void> => promisify(fs.ftruncate)(file, length),
  dataSync: (file: number): Promise<void> => promisify(fs.fdatasync)(file),
  sync: (file: number): Promise<void> => promisify(fs.fsync)(file),
  close: (file: number): Promise<void> => promisify(fs.close)(file),
  rename: (from: string, to: string): Promise<void> => promisify(fs.rename)(from, to),
};

export type Files = typeof nodeFiles;

/** A directory of a file system that can't be synchronised is as good as it gets. */
const CANNOT_SYNC = ["EINVAL", "ENOTSUP", "EOPNOTSUPP"];

export const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? "unknown";

export function forgiveUnsyncable(error: unknown): void {
  if (!CANNOT_SYNC.includes(codeOf(error))) throw error;
}

/** Writes all of it; returns the position behind it. */
export async function writeAll(files: Files, file: number, octets: Uint8Array, position: number): Promise<number> {
  for (let at = 0; at < octets.length; ) at += await files.write(file, octets, at, position + at);
  return position + octets.length;
}

export function writeAllSync(files: Files, file: number, octets: Uint8Array, position: number): number {
  for (let at = 0; at < octets.length; ) at += files.writeSync(file, octets, at, position + at);
  return position + octets.length;
}
