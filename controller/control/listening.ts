/**
 * The control socket as a thing in the file system that others can take away, by the directory of a runtime or a careless `rm`: whoever
 * looks finds that out, and it is made again.
 *
 * It is made under a name of its own and linked to its path, where nothing may be; so it never stands there with wider rights than it
 * shall have, and never takes anybody's place. And Node, which unlinks at closing whatever has the name that it was given to listen on,
 * finds nothing under that one: at the path only what is ours is removed.
 */
import { chmodSync, linkSync, lstatSync, renameSync, unlinkSync } from "node:fs";
import type { Server } from "node:http";
import { clearSocketPath, refusal } from "./socket-path.js";

const MODE = 0o660;

/** Tells one file from another, whatever their names. */
interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
}

export class ListeningSocket {
  readonly #path: string;
  readonly #makeServer: () => Server;
  /** The one that listens, and former ones with connections that go on. */
  readonly #servers = new Set<Server>();
  #present: Server | undefined;
  #identity: Identity | undefined;
  #closed = false;

  private constructor(path: string, makeServer: () => Server) {
    this.#path = path;
    this.#makeServer = makeServer;
  }

  /** Throws MobilityError: MIP_BUSY if another daemon answers there, MIP_CONTROL for what else is in the way. */
  static async open(path: string, makeServer: () => Server): Promise<ListeningSocket> {
    const socket = new ListeningSocket(path, makeServer);
    await socket.#listen();
    return socket;
  }

  /** Whether the socket was gone and is made again. Throws MobilityError if something else is in its place: that stays as it is. */
  async look(): Promise<boolean> {
    if (this.#closed || this.#stands()) return false;
    await this.#listen();
    return true;
  }

  /** Ends all connections too. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#stands()) removeQuietly(this.#path);
    const ends = [...this.#servers].map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const server of this.#servers) server.closeAllConnections();
    await Promise.all(ends);
  }

  #stands(): boolean {
    const found = identityOf(this.#path);
    return found !== undefined && found.ino === this.#identity?.ino && found.dev === this.#identity.dev;
  }

  async #listen(): Promise<void> {
    await clearSocketPath(this.#path);
    const server = this.#makeServer();
    const made = `${this.#path}~`;
    await clearSocketPath(made);
    await listenOn(server, made, this.#path);
    try {
      if (this.#closed) throw refusal(this.#path, "is not made again: the daemon ends");
      chmodSync(made, MODE);
      this.#identity = identityOf(made);
      putInPlace(made, this.#path);
    } catch (error) {
      server.close();
      throw error;
    }
    this.#servers.add(server);
    server.once("close", () => this.#servers.delete(server));
    this.#present?.close();
    this.#present = server;
  }
}

function identityOf(path: string): Identity | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined; // ignored: what cannot be reached is not there
  }
}

function listenOn(server: Server, made: string, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // For good: a connection that cannot be accepted (no descriptor left) is an error of the server's too, and ends nothing.
    server.on("error", (cause: NodeJS.ErrnoException) =>
      reject(refusal(path, `cannot be listened on (${cause.code}); check its directory`, cause)),
    );
    server.listen(made, () => resolve());
  });
}

function putInPlace(made: string, path: string): void {
  try {
    linkSync(made, path);
    unlinkSync(made);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EEXIST") throw refusal(path, "was made by somebody else just now; move it away", cause);
    try {
      renameSync(made, path); // a file system without hard links
    } catch (second) {
      throw refusal(path, `cannot be made (${(second as NodeJS.ErrnoException).code}); check its directory`, second);
    }
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // ignored: somebody else was faster
  }
}
