/** A directory for one process at a time, wherever it runs: the lock is in the file system and goes with the process. */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { MobilityError } from "../base/errors.js";
import { isSyscallError, native } from "./native.js";

/** What a disk says that refuses for now: no reason not to start. */
const REFUSALS = ["EROFS", "ENOSPC", "EDQUOT", "EACCES", "EPERM", "EIO"];

/**
 * Makes the directory if need be. Returns how to let it go. Throws MobilityError, but not for a disk that can't be written at present: a
 * directory that is not there yet has nothing in it that could be shared.
 */
export function holdDirectory(path: string): () => void {
  let file: number;
  try {
    mkdirSync(path, { recursive: true, mode: 0o750 });
    file = openSync(path, "r");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
    if (REFUSALS.includes(code)) return () => undefined;
    throw new MobilityError("MIP_JOURNAL", `${path}: cannot be used (${code}); check stateDirectory`, { cause });
  }
  try {
    native().lock(file);
  } catch (cause) {
    closeSync(file);
    if (!isSyscallError(cause) || cause.code !== "EAGAIN") throw cause;
    throw new MobilityError(
      "MIP_BUSY",
      `${path}: another dsmipd keeps its state here; stop it first, or set another stateDirectory`,
      { cause },
    );
  }
  return () => closeSync(file);
}
