/** A connection to a unix stream socket, for charon's VICI. */
import { connect, type Socket } from "node:net";
import { MissingError, MobilityError } from "../../base/errors.js";
import type { ViciTransport } from "../../vici/transport.js";

/** Where Debian's charon listens. */
export const CHARON_SOCKET = "/run/charon.vici";

/** Resolves when the connection stands. Rejects with MissingError whose sentence says what brings charon, else with MobilityError. */
export function connectUnixStream(path: string = CHARON_SOCKET): Promise<ViciTransport> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    const refuse = (cause: Error): void => reject(unreachable(path, cause));
    socket.once("error", refuse);
    socket.once("connect", () => {
      socket.off("error", refuse);
      resolve(new UnixStream(path, socket));
    });
  });
}

class UnixStream implements ViciTransport {
  readonly #socket: Socket;
  #closed = false;
  #ended: { readonly error?: Error } | undefined;
  #onClose: ((error?: Error) => void) | undefined;

  constructor(path: string, socket: Socket) {
    this.#socket = socket;
    let error: Error | undefined;
    socket.on("error", (cause) => {
      error = new MobilityError("MIP_SOCKET", `${path}: ${cause.message}`, { cause });
    });
    socket.on("close", () => {
      this.#ended = error === undefined ? {} : { error };
      this.#tell();
    });
  }

  write(bytes: Uint8Array, written: () => void): void {
    // Called in the end for every write, also when the socket was destroyed with it under way.
    this.#socket.write(bytes, () => written());
  }

  onData(listener: (bytes: Uint8Array) => void): void {
    this.#socket.on("data", listener); // until then the socket holds back what comes
  }

  onClose(listener: (error?: Error) => void): void {
    this.#onClose = listener;
    queueMicrotask(() => this.#tell());
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }

  /** Once, as soon as both the end and the listener are there. */
  #tell(): void {
    const listener = this.#onClose;
    if (listener === undefined || this.#ended === undefined || this.#closed) return;
    this.#onClose = undefined;
    listener(this.#ended.error);
  }
}

function unreachable(path: string, cause: Error): MobilityError {
  const code = (cause as NodeJS.ErrnoException).code ?? "";
  const why: Readonly<Record<string, string>> = {
    ENOENT:
      "charon's socket is not there; start it: systemctl start strongswan " +
      "(if it is not installed: apt-get install charon-systemd strongswan-swanctl)",
    ECONNREFUSED: "charon does not listen on its socket; start it: systemctl start strongswan",
    EACCES: "charon's socket may not be opened; run dsmipd as root, or let it in: setfacl -m u:USER:rw on the socket",
  };
  const sentence = why[code];
  if (sentence === undefined) return new MobilityError("MIP_SOCKET", `${path}: ${cause.message}`, { cause });
  return new MissingError(`${path}: ${sentence}`, { cause });
}
