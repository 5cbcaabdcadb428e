/** What the socket tests share: namespaces of their own, and promises for what a listener will see. */
import { execFileSync } from "node:child_process";
import type { Test } from "tap";
import type { IpAddress } from "../../../controller/base/ip.js";
import type { IpPacket, IpSocket } from "../../../controller/io/ip/ip-socket.js";
import type { SyscallError } from "../../../controller/io/native.js";

let counter = 0;

/** A reason to skip, or false: tap's `skip` option. */
export const needsRoot = process.getuid?.() === 0 ? (false as const) : "needs root: it makes network namespaces";

export interface Namespace {
  readonly name: string;
  readonly path: string;
  /** `ip -n NAME ARGUMENTS`; throws with its message when it fails. */
  ip(...words: string[]): string;
}

/** A fresh network namespace with lo up, removed when the test ends. */
export function makeNamespace(t: Test): Namespace {
  const name = `dsmipd-io-${process.pid}-${counter++}`;
  const ip = (...words: string[]): string => execFileSync("ip", words, { encoding: "utf8", stdio: "pipe" });
  ip("netns", "add", name);
  t.teardown(() => ip("netns", "del", name));
  ip("-n", name, "link", "set", "lo", "up");
  return { name, path: `/run/netns/${name}`, ip: (...words) => ip("-n", name, ...words) };
}

/** Starts listening; resolves with the first `count` packets, rejects on an error of the socket. */
export function received<A extends IpAddress>(socket: IpSocket<A>, count: number): Promise<IpPacket<A>[]> {
  return new Promise((resolve, reject) => {
    const all: IpPacket<A>[] = [];
    socket.listen({
      onPackets(packets) {
        all.push(...packets);
        if (all.length >= count) resolve(all);
      },
      onError: reject,
    });
  });
}

/** Starts listening; resolves with the first error, rejects on a packet. */
export function firstError(socket: IpSocket): Promise<SyscallError> {
  return new Promise((resolve, reject) => {
    socket.listen({ onPackets: () => reject(new Error("a packet came instead of an error")), onError: resolve });
  });
}
