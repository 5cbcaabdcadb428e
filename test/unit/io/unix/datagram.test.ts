import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { AF_UNIX, SOCK_DGRAM } from "../../../../controller/io/constants.js";
import { Socket } from "../../../../controller/io/socket.js";
import { sendUnixDatagram } from "../../../../controller/io/unix/datagram.js";

t.test("sd_notify's datagram arrives by path and by abstract name", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-io-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "notify");
  for (const [address, given] of [
    [path, path],
    [`\0dsmipd-notify-${process.pid}`, `@dsmipd-notify-${process.pid}`],
  ] as const) {
    const service = Socket.open({ family: AF_UNIX, type: SOCK_DGRAM, protocol: 0 });
    t.teardown(() => service.close());
    service.bind({ family: "unix", path: address });
    const arrival = new Promise<string>((resolve, reject) => {
      service.listen({
        onMessages: ([message]) => resolve(Buffer.from(message?.data ?? []).toString()),
        onError: reject,
      });
    });
    sendUnixDatagram(given, "READY=1\n");
    t.equal(await arrival, "READY=1\n");
  }
  t.throws(() => sendUnixDatagram(join(directory, "nobody"), "READY=1\n"), { code: "ENOENT" });
});
