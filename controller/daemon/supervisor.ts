/** sd_notify(3): tells systemd how we are, if it asked to be told. */
import { sendUnixDatagram } from "../io/unix/datagram.js";

/** `state`: lines like READY=1. Never throws: a supervisor that cannot be told changes nothing for the nodes. */
export function notifySupervisor(state: string, path = process.env["NOTIFY_SOCKET"]): void {
  if (path === undefined || path === "") return;
  try {
    sendUnixDatagram(path, state);
  } catch {
    // ignored: see above
  }
}
