/**
 * The control interface: HTTP/1.1 on a unix socket, documents of schemas/control.ts under /v1, and commands. Whoever may open the
 * socket may read and command; it is made with mode 0660. Nothing a client sends or leaves unread can grow memory: no bodies, bounded headers,
 * clients and followers; one request at a time on a connection, documents in pieces that wait for their reader, and all with a time limit.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type {
  AuditDocument,
  BindingDocument,
  CommandDocument,
  CommandRequest,
  CorrespondentsDocument,
  EventDocument,
  MulticastDocument,
  PlanDocument,
  SecurityDocument,
  StatusDocument,
  VisitorsDocument,
} from "../../schemas/control.js";
import { commandRequest } from "../../schemas/control.js";
import { MobilityError } from "../base/errors.js";
import { type IpAddress, parseIp } from "../base/ip.js";
import { jsonPieces, linePieces, sent, writePieces } from "./document-stream.js";
import { ListeningSocket } from "./listening.js";
import { ConnectionTurns, Turnstile } from "./turns.js";

/** What the daemon shows. `undefined`: no such home address. */
export interface ControlSource {
  status(): StatusDocument | Promise<StatusDocument>;
  /** Made one by one as they are asked for. */
  bindings(): Iterable<BindingDocument>;
  /** By IPv6 or IPv4 home address. */
  binding(homeAddress: string): BindingDocument | undefined;
  /** By IPv6 or IPv4 home address. */
  plan(homeAddress: string): PlanDocument | undefined;
  audit(): Promise<AuditDocument>;
  /** Of the node with this IPv6 or IPv4 home address, bound or not, or of all. */
  security(homeAddress?: IpAddress): Promise<SecurityDocument> | undefined;
  multicast(): MulticastDocument;
  visitors(): VisitorsDocument;
  correspondents(): CorrespondentsDocument;
  /** Rejects with MobilityError: MIP_NO_BINDING for a node that is not bound, MIP_COMMAND for what makes no sense here. */
  command(request: CommandRequest): Promise<CommandDocument>;
  /** The last ones, oldest first; bounded. */
  recentEvents(): readonly EventDocument[];
  subscribe(listener: (event: EventDocument) => void): () => void;
}

const MAX_CLIENTS = 64;
/** Fewer than clients, so that those who follow leave room for those who ask. */
const MAX_FOLLOWERS = 32;
const MAX_HEADER_BYTES = 8192;
/** A follower that reads too slowly is cut off rather than buffered for. */
const MAX_FOLLOWER_BACKLOG_BYTES = 1 << 20;
/** For a request to arrive, and for a client to take a piece of the answer. */
const CLIENT_TIMEOUT_MS = 10_000;

const STATUS_OF: Readonly<Record<string, number>> = { MIP_NO_BINDING: 404, MIP_COMMAND: 409 };

export interface ControlServer {
  /** Whether its socket was gone and is made again. Rejects with MobilityError if something else is in its place. */
  look(): Promise<boolean>;
  close(): Promise<void>;
}

export interface ControlServerOptions {
  /** How long a client may take to send a request, and to read a piece of the answer. */
  readonly clientTimeoutMs?: number;
}

/**
 * Listens on `path`. Throws MobilityError: MIP_BUSY if another daemon answers there; a dead one's socket is replaced, and nothing else.
 */
export async function startControlServer(
  path: string,
  source: ControlSource,
  { clientTimeoutMs = CLIENT_TIMEOUT_MS }: ControlServerOptions = {},
): Promise<ControlServer> {
  const answering = new Answering(source, clientTimeoutMs);
  const socket = await ListeningSocket.open(path, () => serverFor(answering, clientTimeoutMs));
  return { look: () => socket.look(), close: () => socket.close() };
}

function serverFor(answering: Answering, clientTimeoutMs: number): Server {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      requestTimeout: clientTimeoutMs,
      headersTimeout: clientTimeoutMs,
      connectionsCheckingInterval: clientTimeoutMs / 2,
    },
    (request, response) => answering.receive(request, response),
  );
  server.maxConnections = MAX_CLIENTS;
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
    else socket.destroy();
  });
  return server;
}

/** From requests to answers. */
class Answering {
  readonly #source: ControlSource;
  readonly #patienceMs: number;
  readonly #turns = new ConnectionTurns();
  /** What reads the whole kernel or all of the IKE daemon's SAs. */
  readonly #costly = new Turnstile();
  #followers = 0;

  constructor(source: ControlSource, patienceMs: number) {
    this.#source = source;
    this.#patienceMs = patienceMs;
  }

  receive(request: IncomingMessage, response: ServerResponse): void {
    response.on("error", () => response.destroy());
    this.#turns.run(request.socket, () => this.#answer(request, response));
  }

  /** Ends when the answer has gone, or the connection. Does not reject. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
      if (request.method === "POST") await this.#command(pathname, searchParams, response);
      else if (request.method === "GET") await this.#route(pathname, response);
      else await this.#refuse(response, 405, "MIP_METHOD", "GET is answered here, and POST for commands");
    } catch (cause) {
      const known = cause instanceof MobilityError;
      await this.#refuse(
        response,
        known ? (STATUS_OF[cause.code] ?? 503) : 500,
        known ? cause.code : "MIP_INTERNAL",
        known ? cause.message : "internal error; see the daemon's log",
      );
    }
  }

  async #route(path: string, response: ServerResponse): Promise<void> {
    const source = this.#source;
    const [, version, collection, argument, ...rest] = path.split("/").map(decode);
    if (version !== "v1" || rest.length > 0)
      return this.#refuse(response, 404, "MIP_NOT_FOUND", "paths start with /v1");
    if (argument === undefined) {
      if (collection === "status") return this.#send(response, 200, await source.status());
      if (collection === "bindings") return this.#send(response, 200, { bindings: source.bindings() });
      if (collection === "audit") return this.#send(response, 200, await this.#costly.run(() => source.audit()));
      if (collection === "security") return this.#send(response, 200, await this.#costly.run(() => source.security()));
      if (collection === "visitors") return this.#send(response, 200, source.visitors());
      if (collection === "multicast") return this.#send(response, 200, source.multicast());
      if (collection === "correspondents") return this.#send(response, 200, source.correspondents());
      if (collection === "events") return this.#follow(response);
    } else if (collection === "events" && argument === "recent") {
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      return writePieces(response, linePieces(source.recentEvents()), this.#patienceMs);
    } else if (collection === "bindings" || collection === "plan" || collection === "security") {
      return this.#one(collection, argument, response);
    }
    return this.#refuse(
      response,
      404,
      "MIP_NOT_FOUND",
      "there are /v1/status, /v1/bindings, /v1/bindings/HOA, /v1/plan/HOA, /v1/security, /v1/security/HOA, /v1/audit, /v1/multicast, /v1/visitors, /v1/correspondents, /v1/events and /v1/events/recent",
    );
  }

  async #command(path: string, query: URLSearchParams, response: ServerResponse): Promise<void> {
    const [, version, collection, name, ...rest] = path.split("/").map(decode);
    if (version !== "v1" || collection !== "commands" || name === undefined || rest.length > 0)
      return this.#refuse(response, 405, "MIP_METHOD", "POST goes to /v1/commands/NAME");
    const request = commandRequest.safeParse(fieldsOf(name, query));
    if (request.success) return this.#send(response, 200, await this.#source.command(request.data));
    const [issue] = request.error.issues;
    const where = issue?.path.join(".") || name;
    return this.#refuse(response, 400, "MIP_COMMAND", `${where}: ${issue?.message ?? "no such command"}`);
  }

  async #one(collection: "bindings" | "plan" | "security", argument: string, response: ServerResponse): Promise<void> {
    const address = parseIp(argument);
    if (address === undefined) return this.#refuse(response, 400, "MIP_ADDRESS", "a home address is wanted");
    if (collection === "security") {
      const document = await this.#costly.run(() => this.#source.security(address));
      if (document !== undefined) return this.#send(response, 200, document);
      return this.#refuse(response, 404, "MIP_NO_NODE", `${address} is no home address of a node that is known here`);
    }
    const binding = this.#source.binding(address);
    if (binding === undefined) return this.#refuse(response, 404, "MIP_NO_BINDING", `${address} has no binding here`);
    return this.#send(response, 200, collection === "bindings" ? binding : this.#source.plan(binding.homeAddress));
  }

  /** Ends with the connection. */
  async #follow(response: ServerResponse): Promise<void> {
    if (this.#followers >= MAX_FOLLOWERS)
      return this.#refuse(response, 503, "MIP_BUSY", `${MAX_FOLLOWERS} clients follow the events already`);
    const { socket } = response;
    if (socket === null || response.destroyed) return;
    this.#followers++;
    this.#turns.forGood(socket);
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.flushHeaders();
    const stop = this.#source.subscribe((event) => {
      response.write(`${JSON.stringify(event)}\n`);
      if (response.writableLength > MAX_FOLLOWER_BACKLOG_BYTES) response.destroy();
    });
    await new Promise((resolve) => response.once("close", resolve));
    stop();
    this.#followers--;
  }

  /** A short document with its length, a long one in pieces. */
  async #send(response: ServerResponse, status: number, document: unknown): Promise<void> {
    const pieces = jsonPieces(document as Readonly<Record<string, unknown>>);
    const first = pieces.next().value ?? "";
    const second = pieces.next();
    response.setHeader("content-type", "application/json");
    if (second.done !== true) {
      response.writeHead(status);
      return writePieces(response, chain(first, second.value, pieces), this.#patienceMs);
    }
    response.writeHead(status, { "content-length": Buffer.byteLength(first) });
    response.end(first);
    return sent(response, this.#patienceMs);
  }

  async #refuse(response: ServerResponse, status: number, code: string, message: string): Promise<void> {
    if (response.headersSent) response.destroy();
    else await this.#send(response, status, { error: { code, message } });
  }
}

/** The query as a request; `to` may stand there several times. */
function fieldsOf(command: string, query: URLSearchParams): Readonly<Record<string, unknown>> {
  const { to: _, ...fields } = Object.fromEntries(query);
  return { ...fields, command, ...(query.has("to") && { to: query.getAll("to") }) };
}

function* chain(first: string, second: string, rest: Iterable<string>): Generator<string, void> {
  yield first;
  yield second;
  yield* rest;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}
