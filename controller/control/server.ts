/**
 * The control interface: HTTP/1.1 on a unix socket, read-only documents of schemas/control.ts under /v1. Whoever may open the
 * socket may read; it is made with mode 0660. Nothing a client sends can grow memory: no bodies, bounded headers, bounded clients.
 */
import { chmodSync, mkdirSync, unlinkSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import type {
  AuditDocument,
  BindingDocument,
  EventDocument,
  PlanDocument,
  SecurityDocument,
  StatusDocument,
} from "../../schemas/control.js";
import { MobilityError } from "../base/errors.js";
import { type IpAddress, type Ipv6Address, parseIp } from "../base/ip.js";

/** What the daemon shows. `undefined`: no such home address. */
export interface ControlSource {
  status(): StatusDocument | Promise<StatusDocument>;
  bindings(): readonly BindingDocument[];
  /** By IPv6 or IPv4 home address. */
  binding(homeAddress: string): BindingDocument | undefined;
  plan(homeAddress: Ipv6Address): PlanDocument | undefined;
  audit(): Promise<AuditDocument>;
  /** Of the node with this IPv6 or IPv4 home address, bound or not, or of all. */
  security(homeAddress?: IpAddress): Promise<SecurityDocument> | undefined;
  /** The last ones, oldest first; bounded. */
  recentEvents(): readonly EventDocument[];
  subscribe(listener: (event: EventDocument) => void): () => void;
}

const MAX_CLIENTS = 64;
const MAX_HEADER_BYTES = 8192;
/** A follower that reads too slowly is cut off rather than buffered for. */
const MAX_FOLLOWER_BACKLOG_BYTES = 1 << 20;
const REQUEST_TIMEOUT_MS = 10_000;

export interface ControlServer {
  close(): Promise<void>;
}

/** Listens on `path`. Throws MobilityError (MIP_BUSY) if another daemon answers there; a dead one's socket is replaced. */
export async function startControlServer(path: string, source: ControlSource): Promise<ControlServer> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
  if (await answers(path)) {
    throw new MobilityError(
      "MIP_BUSY",
      `${path}: another dsmipd answers on this control socket; stop it or set another controlSocket`,
    );
  }
  removeIfThere(path);
  const server = createServer(
    { maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: REQUEST_TIMEOUT_MS },
    (request, response) => {
      void respond(source, request, response);
    },
  );
  server.maxConnections = MAX_CLIENTS;
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
    else socket.destroy();
  });
  await listen(server, path);
  chmodSync(path, 0o660);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
  }
}

async function respond(source: ControlSource, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.resume();
  response.on("error", () => response.destroy());
  try {
    if (request.method !== "GET") return refuse(response, 405, "MIP_METHOD", "only GET is answered here");
    await route(source, new URL(request.url ?? "/", "http://localhost").pathname, response);
  } catch (cause) {
    const known = cause instanceof MobilityError;
    refuse(
      response,
      known ? 503 : 500,
      known ? cause.code : "MIP_INTERNAL",
      known ? cause.message : "internal error; see the daemon's log",
    );
  }
}

async function route(source: ControlSource, path: string, response: ServerResponse): Promise<void> {
  const [, version, collection, argument, ...rest] = path.split("/").map(decode);
  if (version !== "v1" || rest.length > 0) return refuse(response, 404, "MIP_NOT_FOUND", "paths start with /v1");
  if (argument === undefined) {
    if (collection === "status") return send(response, 200, await source.status());
    if (collection === "bindings") return send(response, 200, { bindings: source.bindings() });
    if (collection === "audit") return send(response, 200, await source.audit());
    if (collection === "security") return send(response, 200, await source.security());
    if (collection === "events") return follow(source, response);
  } else if (collection === "events" && argument === "recent") {
    return recent(source, response);
  } else if (collection === "bindings" || collection === "plan" || collection === "security") {
    return await one(source, collection, argument, response);
  }
  refuse(
    response,
    404,
    "MIP_NOT_FOUND",
    "there are /v1/status, /v1/bindings, /v1/bindings/HOA, /v1/plan/HOA, /v1/security, /v1/security/HOA, /v1/audit, /v1/events and /v1/events/recent",
  );
}

async function one(
  source: ControlSource,
  collection: "bindings" | "plan" | "security",
  argument: string,
  response: ServerResponse,
): Promise<void> {
  const address = parseIp(argument);
  if (address === undefined) return refuse(response, 400, "MIP_ADDRESS", "a home address is wanted");
  if (collection === "security") {
    const document = await source.security(address);
    if (document !== undefined) return send(response, 200, document);
    return refuse(response, 404, "MIP_NO_NODE", `${address} is no home address of a node that is known here`);
  }
  const binding = source.binding(address);
  if (binding === undefined) return refuse(response, 404, "MIP_NO_BINDING", `${address} has no binding here`);
  const homeAddress = binding.homeAddress as Ipv6Address;
  send(response, 200, collection === "bindings" ? binding : source.plan(homeAddress));
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

function recent(source: ControlSource, response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  response.end(
    source
      .recentEvents()
      .map((event) => `${JSON.stringify(event)}\n`)
      .join(""),
  );
}

function follow(source: ControlSource, response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  response.flushHeaders();
  const stop = source.subscribe((event) => {
    response.write(`${JSON.stringify(event)}\n`);
    if (response.writableLength > MAX_FOLLOWER_BACKLOG_BYTES) response.destroy();
  });
  response.on("close", stop);
}

function send(response: ServerResponse, status: number, document: unknown): void {
  const body = JSON.stringify(document);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  if (response.headersSent) response.destroy();
  else send(response, status, { error: { code, message } });
}
