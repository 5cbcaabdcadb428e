/** The client's side of the control interface, for dsmipctl and tests. */
import { type IncomingMessage, request } from "node:http";
import { errorDocument } from "../../schemas/control.js";
import { MobilityError } from "../base/errors.js";

/** How long the daemon may be silent. A document of all associations, or of all differences, takes it longer to collect. */
export const DEFAULT_TIMEOUT_S = { document: 10, costly: 60 } as const;

export interface CallOptions {
  /** Default GET. Commands are posted. */
  readonly method?: "GET" | "POST";
  /** Silence of the daemon that ends the call. Default 10. */
  readonly timeoutSeconds?: number;
}

/**
 * The document at `path` (without /v1). Throws MobilityError with the daemon's own sentence, or one that says how to reach a daemon, or
 * that it was silent for too long.
 */
export function fetchDocument(
  socketPath: string,
  path: string,
  { timeoutSeconds = DEFAULT_TIMEOUT_S.document, method = "GET" }: CallOptions = {},
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: `/v1${path}`, method, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", (cause) => reject(failure(socketPath, cause)));
      response.on("end", () => {
        try {
          const document: unknown = JSON.parse(Buffer.concat(parts).toString("utf8"));
          if (response.statusCode === 200) return resolve(document);
          const { error } = errorDocument.parse(document);
          reject(new MobilityError(error.code, error.message));
        } catch (cause) {
          reject(new MobilityError("MIP_CONTROL", `${socketPath}: what answers is no dsmipd`, { cause }));
        }
      });
    });
    call.setTimeout(timeoutSeconds * 1000, () => call.destroy(silence(socketPath, timeoutSeconds)));
    call.on("error", (cause) => reject(failure(socketPath, cause)));
    call.end();
  });
}

export interface FollowOptions extends CallOptions {
  readonly signal?: AbortSignal;
  /** The daemon has begun to answer: what happens from now on comes as lines. From here on silence is no failure. */
  readonly onOpen?: () => void;
}

/** Calls `onLine` for each line of a stream until it ends or `signal` aborts. Throws as `fetchDocument`. */
export function followLines(
  socketPath: string,
  path: string,
  onLine: (line: string) => void,
  { signal, onOpen, timeoutSeconds = DEFAULT_TIMEOUT_S.document }: FollowOptions = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error): void => (signal?.aborted ? resolve() : reject(failure(socketPath, cause)));
    const call = request(
      { socketPath, path: `/v1${path}`, agent: false, ...(signal ? { signal } : {}) },
      (response) => {
        let rest = "";
        call.setTimeout(0);
        response.setEncoding("utf8");
        response.on("error", failed);
        if (response.statusCode !== 200) return void refused(response, socketPath).then(reject);
        onOpen?.();
        response.on("data", (text: string) => {
          const lines = (rest + text).split("\n");
          rest = lines.pop() ?? "";
          lines.forEach(onLine);
        });
        response.on("end", () => resolve());
      },
    );
    call.setTimeout(timeoutSeconds * 1000, () => call.destroy(silence(socketPath, timeoutSeconds)));
    call.on("error", failed);
    call.end();
  });
}

/** The daemon's own sentence out of a refusal. */
async function refused(response: IncomingMessage, socketPath: string): Promise<MobilityError> {
  let text = "";
  try {
    for await (const part of response) text += part;
    const { error } = errorDocument.parse(JSON.parse(text));
    return new MobilityError(error.code, error.message);
  } catch (cause) {
    return new MobilityError("MIP_CONTROL", `${socketPath}: what answers is no dsmipd`, { cause });
  }
}

const silence = (socketPath: string, seconds: number): MobilityError =>
  new MobilityError(
    "MIP_CONTROL",
    `${socketPath}: dsmipd has not answered for ${seconds} s; it hangs, is stopped or has much to do (--timeout SECONDS waits longer)`,
  );

function failure(socketPath: string, cause: Error): MobilityError {
  if (cause instanceof MobilityError) return cause;
  const code = (cause as NodeJS.ErrnoException).code;
  const closed = "the daemon has closed the connection: it ends, or has too many clients";
  const why: Record<string, string> = {
    ENOENT: "there is no control socket; is dsmipd running, and is --socket right?",
    ECONNREFUSED: "nobody listens on the control socket; start dsmipd",
    EACCES: "you may not open the control socket; run as root or as a member of its group",
    ENOTSOCK: "is no control socket; is --socket right?",
    EAGAIN: "the daemon does not take connections; it hangs, or is stopped",
    ECONNRESET: closed,
    EPIPE: closed,
  };
  return new MobilityError("MIP_CONTROL", `${socketPath}: ${why[code ?? ""] ?? cause.message}`, { cause });
}
