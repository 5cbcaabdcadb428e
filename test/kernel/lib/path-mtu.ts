/** Packets too big for a tunnel or for the path under it: the right ICMP errors, and TCP that goes on. */
import assert from "node:assert/strict";
import { DIRECTIONS, type Direction, freshText } from "./exchange.js";
import { ipLayersOf, tooBigOf } from "./frames.js";
import type { Abroad } from "./keys.js";
import type { Mobile, PayloadFamily, Scene } from "./scene.js";

/** What must arrive; twice as much is sent, because the receiver stops counting when the sender is ready. */
const TCP_OCTETS = 200_000;
/** IP and UDP headers. */
const HEADERS: Readonly<Record<PayloadFamily, number>> = { 6: 48, 4: 28 };
/** A scene with a correspondent, and a wire on which it is told of errors. */
export type Paths = Pick<Scene, "correspondents" | "wire" | "cn">;

/** The correspondent forgets what it learnt about paths. */
function forgetPaths(scene: Pick<Scene, "cn">): void {
  scene.cn.script("ip -4 route flush cache; ip -6 route flush cache");
}

/** `mtu` is the largest inner packet of the node's profile: it fits, and one octet more gets the right ICMP error from the home agent. */
export async function checkTooBig(
  scene: Paths,
  mobile: Pick<Mobile, "stations">,
  family: PayloadFamily,
  mtu: number,
  directions: readonly Direction[] = DIRECTIONS,
): Promise<void> {
  const [here, there] = [scene.correspondents[family], mobile.stations[family]];
  forgetPaths(scene);
  const seenBefore = scene.wire.frames().length;
  const errors = () =>
    scene.wire
      .frames()
      .slice(seenBefore)
      .flatMap((frame) => tooBigOf(frame) ?? []);

  const fitting = freshText("as big as may be");
  here.send(there, fitting, { octets: mtu - HEADERS[family] });
  assert.equal((await there.waitFor(fitting)).data.length, mtu - HEADERS[family]);
  assert.deepEqual(errors(), []);

  const tooBig = freshText("too big");
  here.send(there, tooBig, { octets: mtu + 1 - HEADERS[family] });
  await scene.wire.waitFor(
    (frame) => tooBigOf(frame)?.family === family && ipLayersOf(frame)[0]?.destination === here.address,
    { what: `the ICMP error for IPv${family}` },
  );
  // Having learnt it the correspondent sends fragments; the first packet is lost, as path MTU discovery has it.
  const next = freshText("after the error");
  here.send(there, next, { octets: mtu + 1 - HEADERS[family] });
  assert.equal((await there.waitFor(next)).data.length, mtu + 1 - HEADERS[family]);
  assert.equal(there.count(tooBig), 0);
  assert.deepEqual(errors(), [{ family, mtu }]);

  // Of a host behind a router the first one is lost.
  if (!directions.includes("up")) return;
  const up = freshText("too big, up");
  there.send(here, up, { octets: mtu + 1 - HEADERS[family] });
  assert.equal((await here.waitFor(up)).data.length, mtu + 1 - HEADERS[family]);
}

/** Sets the MTU of the wire that is the last one of the path, at both of its ends. */
function setPathMtu(scene: Scene, { node }: Mobile, access: Abroad, mtu: number): void {
  const port = `${node.label}-${access}`;
  if (access === "nat") {
    scene.nat.ip(`link set wan mtu ${mtu}`);
    scene.core.ip(`link set nat mtu ${mtu}`);
    return;
  }
  scene.core.ip(`link set ${port} mtu ${mtu}`, `link set ${access} mtu ${mtu}`);
  node.ip(`link set ${access} mtu ${mtu}`);
}

interface IperfReport {
  readonly error?: string;
  readonly end: { readonly sum_received?: { readonly bytes: number } };
}

/** Down or, with -R, up. */
async function transfer(scene: Pick<Scene, "cn">, to: string, ...options: readonly string[]): Promise<void> {
  // What is still in the buffers when the sender has written all does not count as received: small buffers, and more than enough to send.
  const bytes = ["--bytes", String(4 * TCP_OCTETS), "--window", "64K"];
  const words = ["iperf3", "--client", to, ...bytes, "--json", ...options];
  const report = JSON.parse(await scene.cn.runAsync("timeout", "60", ...words)) as IperfReport;
  assert.equal(report.error, undefined);
  assert.ok((report.end.sum_received?.bytes ?? 0) >= TCP_OCTETS, `${report.end.sum_received?.bytes} octets arrived`);
}

/** TCP gets through to each of these addresses, where `iperf3 --server` listens, and from them. */
export async function checkTransfers(
  scene: Pick<Scene, "cn">,
  addresses: readonly string[],
  directions: readonly Direction[] = DIRECTIONS,
): Promise<void> {
  for (const to of addresses)
    for (const direction of directions) {
      // What it has learnt would make what it takes from the other end small.
      forgetPaths(scene);
      await transfer(scene, to, ...(direction === "up" ? ["--reverse"] : []));
    }
}

/** TCP in both families and directions gets through a path with this MTU. */
export async function checkTcp(scene: Scene, mobile: Mobile, access: Abroad, mtu: number): Promise<void> {
  setPathMtu(scene, mobile, access, mtu);
  try {
    await checkTransfers(scene, [mobile.home6, mobile.home4]);
  } finally {
    setPathMtu(scene, mobile, access, 1500);
  }
}
