/** The client's side of the control interface, for dsmipctl and tests. */
import { request } from "node:http";
import { errorDocument } from "../../schemas/control.js";
import { MobilityError } from "../base/errors.js";

/** The document at `path` (without /v1). Throws MobilityError with the daemon's own sentence, or one that says how to reach a daemon. */
export function fetchDocument(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: `/v1${path}`, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", reject);
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
    call.on("error", (cause) => reject(unreachable(socketPath, cause)));
    call.end();
  });
}

/** Calls `onLine` for each line of a stream until it ends or `signal` aborts. */
export function followLines(
  socketPath: string,
  path: string,
  onLine: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath, path: `/v1${path}`, agent: false, ...(signal ? { signal } : {}) },
      (response) => {
        let rest = "";
        response.setEncoding("utf8");
        response.on("data", (text: string) => {
          const lines = (rest + text).split("\n");
          rest = lines.pop() ?? "";
          lines.forEach(onLine);
        });
        response.on("end", () => resolve());
        response.on("error", (cause) => (signal?.aborted ? resolve() : reject(cause)));
      },
    );
    call.on("error", (cause) => (signal?.aborted ? resolve() : reject(unreachable(socketPath, cause))));
    call.end();
  });
}

function unreachable(socketPath: string, cause: Error): MobilityError {
  const code = (cause as NodeJS.ErrnoException).code;
  const why: Record<string, string> = {
    ENOENT: "there is no control socket; is dsmipd running, and is --socket right?",
    ECONNREFUSED: "nobody listens on the control socket; start dsmipd",
    EACCES: "you may not open the control socket; run as root or as a member of its group",
  };
  return new MobilityError("MIP_CONTROL", `${socketPath}: ${why[code ?? ""] ?? cause.message}`, { cause });
}
