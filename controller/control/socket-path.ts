/** The control socket's place in the file system: what may be there before we listen, and what is never touched. */
import { lstatSync, mkdirSync, type Stats, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { MobilityError } from "../base/errors.js";

/** struct sockaddr_un holds one more; ours is made under a name that is longer by one (listening.ts). */
const PATH_OCTETS = 106;

/**
 * Makes sure that a control socket can be made at `path`: its directory is there, and of what may be in the way only a socket on which
 * nobody listens any more is removed. Throws MobilityError: MIP_BUSY if somebody answers there, MIP_CONTROL for anything else, which
 * stays as it is.
 */
export async function clearSocketPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > PATH_OCTETS)
    throw refusal(path, `is longer than the ${PATH_OCTETS} octets that a socket's path may have; choose a shorter one`);
  const there = inspect(path);
  if (there === undefined) return;
  if (!there.isSocket())
    throw refusal(path, `is ${kindOf(there)}, not a socket, and is left alone; move it away or set another path`);
  const code = await connectionError(path);
  if (code === undefined)
    throw new MobilityError(
      "MIP_BUSY",
      `${path}: another dsmipd answers on this control socket; stop it or set another controlSocket`,
    );
  // Only this says for certain that no process has it any more.
  if (code !== "ECONNREFUSED" && code !== "ENOENT")
    throw refusal(path, `is the socket of a program that is running (${code}); stop it or set another path`);
  try {
    unlinkSync(path);
  } catch (cause) {
    const { code: reason } = cause as NodeJS.ErrnoException;
    if (reason !== "ENOENT") throw refusal(path, `is left over and cannot be removed (${reason}); remove it`, cause);
  }
}

/** MobilityError about the key `controlSocket`. `what`: continues after the path. */
export function refusal(path: string, what: string, cause?: unknown): MobilityError {
  return new MobilityError("MIP_CONTROL", `controlSocket: ${path} ${what}`, { cause });
}

function inspect(path: string): Stats | undefined {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    throw refusal(path, `cannot be made (${(cause as NodeJS.ErrnoException).code}); check its directory`, cause);
  }
}

function kindOf(there: Stats): string {
  if (there.isFile()) return "a regular file";
  if (there.isDirectory()) return "a directory";
  if (there.isSymbolicLink()) return "a symbolic link";
  return there.isFIFO() ? "a FIFO" : "a device";
}

/** Why nobody can be connected to; undefined if somebody can, or at least takes the connection. */
function connectionError(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}
