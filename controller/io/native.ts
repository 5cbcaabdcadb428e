/**
 * The only door to the addon in native/. It is loaded at the first use, so that programs that open no socket (dsmipctl, the generators)
 * run without it.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { MissingError } from "../base/errors.js";

declare const handleBrand: unique symbol;

/** An open descriptor, made and understood by the addon only. Closed by `close` or, if forgotten, by the garbage collector. */
export interface NativeHandle {
  readonly [handleBrand]: true;
  /** Of a TUN device: the name the kernel gave. */
  readonly name?: string;
}

/** A failed system call, shaped like Node's own errors: `errno` is negative, `code` its C name. */
export interface SyscallError extends Error {
  readonly errno: number;
  readonly code: string;
  readonly syscall: string;
  /** The descriptor is dead and is no longer watched. Only on errors that were delivered to a callback. */
  readonly stopped?: boolean;
}

export function isSyscallError(value: unknown): value is SyscallError {
  return value instanceof Error && "syscall" in value && "errno" in value && typeof value.errno === "number";
}

export interface NativeSendResult {
  /** Accepted by the kernel. */
  readonly sent: number;
  /** Position of the first one that was not tried because the send buffer is full; the number of messages if all were tried. */
  readonly next: number;
  /** Position and error of the first one the kernel refused. */
  readonly failed?: number;
  readonly error?: SyscallError;
}

/**
 * One Buffer per message: four native-endian 32-bit numbers (lengths of data, name and control messages, and the receive flags), then
 * the data, the sender's struct sockaddr and the control messages. At most 64 of them in one call.
 */
export type NativeCallback = (records: Buffer[], error: SyscallError | undefined, writable: boolean) => void;

/** The addon as it is. Every function throws a TypeError for an argument of the wrong type and a SyscallError for the kernel's refusal. */
export interface Native {
  open(family: number, type: number, protocol: number, netns: string | undefined): NativeHandle;
  openTun(name: string, flags: number, netns: string | undefined): NativeHandle;
  enterNamespace(path: string): void;
  /** An exclusive flock(2) on an open file of Node's; EAGAIN when another process has it. Never waits. */
  lock(fd: number): void;
  /** CLOCK_BOOTTIME in milliseconds. */
  bootTime(): number;
  /** A disarmed timer on that clock, which wakes its callback once when it is due. */
  openTimer(): NativeHandle;
  /** `at`: milliseconds of that clock; 0 disarms. */
  setTimer(handle: NativeHandle, at: number): void;
  bind(handle: NativeHandle, address: Uint8Array): void;
  connect(handle: NativeHandle, address: Uint8Array): void;
  getsockname(handle: NativeHandle): Buffer;
  setsockopt(handle: NativeHandle, level: number, name: number, value: number | Uint8Array): void;
  getsockopt(handle: NativeHandle, level: number, name: number, length: number): Buffer;
  watch(handle: NativeHandle, limit: number, wipe: boolean, callback: NativeCallback): void;
  arm(handle: NativeHandle, events: number): void;
  send(handle: NativeHandle, parts: readonly (Uint8Array | undefined)[]): NativeSendResult;
  close(handle: NativeHandle): void;
  readonly maxMessages: number;
  /** sizeof(size_t), which the layout of control messages depends on. */
  readonly wordBytes: number;
}

const FUNCTIONS = [
  "open",
  "openTun",
  "enterNamespace",
  "lock",
  "bootTime",
  "openTimer",
  "setTimer",
  "bind",
  "connect",
  "getsockname",
  "setsockopt",
  "getsockopt",
  "watch",
  "arm",
  "send",
  "close",
] as const;

let loaded: Native | undefined;

/** The addon; throws MissingError when it is not built or does not fit this Node. */
export function native(): Native {
  loaded ??= load();
  return loaded;
}

/**
 * Moves this process's main thread into the network namespace at `path` (/run/netns/NAME, /proc/PID/ns/net), for good. Worker threads
 * that run already stay behind, so this comes first. Throws SyscallError: ENOENT, EPERM without CAP_SYS_ADMIN.
 */
export function enterNamespace(path: string): void {
  native().enterNamespace(path);
}

function load(): Native {
  const root = packageRoot(dirname(fileURLToPath(import.meta.url)));
  // Sanitizer builds are for tests and have to be asked for.
  const { DSMIPD_NATIVE_SUFFIX: suffix = "" } = process.env;
  const candidates = ["glibc", "musl"]
    .map((libc) => join(root, "native", "build", `${process.arch}-${libc}${suffix}`, "dsmipd_native.node"))
    .filter((path) => existsSync(path));
  let cause: unknown;
  for (const path of candidates) {
    try {
      return validate(createRequire(import.meta.url)(path));
    } catch (error) {
      cause = error;
    }
  }
  if (cause === undefined) throw new MissingError("the native addon is not built: run `make build`");
  const reason = cause instanceof Error ? cause.message : String(cause);
  throw new MissingError(`the native addon does not load (${reason}): run \`make build\``, { cause });
}

function packageRoot(from: string): string {
  for (let directory = from; ; directory = dirname(directory)) {
    if (existsSync(join(directory, "package.json"))) return directory;
    if (directory === dirname(directory)) throw new MissingError(`no package.json above ${from}: run \`make build\``);
  }
}

function validate(addon: unknown): Native {
  const exports = addon as Record<string, unknown>;
  const missing = FUNCTIONS.find((name) => typeof exports[name] !== "function");
  if (missing !== undefined) throw new MissingError(`it has no function ${missing}`);
  return addon as Native;
}
