/** One datagram to a unix socket, as sd_notify(3) wants it. */
import { AF_UNIX, SOCK_DGRAM } from "../constants.js";
import { Socket } from "../socket.js";

/** `path` may start with "@" for the abstract name space. Throws SyscallError: ENOENT, ECONNREFUSED. */
export function sendUnixDatagram(path: string, text: string): void {
  const socket = Socket.open({ family: AF_UNIX, type: SOCK_DGRAM, protocol: 0, maxQueued: 0 });
  try {
    const to = { family: "unix", path: path.replace(/^@/, "\0") } as const;
    const { error } = socket.send([{ data: Buffer.from(text, "utf8"), to }]);
    if (error !== undefined) throw error;
  } finally {
    socket.close();
  }
}
