/** What the kernel says about a process and about what waits in its sockets. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface ProcessFacts {
  /** The letter in /proc/PID/stat: R, S, D, T … */
  readonly state: string;
  /** User and system time of all threads, in clock ticks. */
  readonly cpuTicks: number;
}

/** Throws if there is no such process. */
export function readProcess(pid: number): ProcessFacts {
  return parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

/** The command's name, in parentheses, may hold anything; what follows is counted from there: state is field 3, utime 14, stime 15. */
export function parseStat(stat: string): ProcessFacts {
  const [state = "", ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state, cpuTicks: Number(rest[10]) + Number(rest[11]) };
}

const INTERNET_TABLES = ["udp", "udp6", "raw", "raw6"];

/** Kernel memory, in octets, of what waits to be received in the process's UDP, raw and packet sockets. */
export function queuedOctets(pid: number): number {
  const inodes = socketInodes(pid);
  const table = (name: string): string => readFileSync(`/proc/${pid}/net/${name}`, "utf8"); // of its own network namespace
  const sockets = [
    ...INTERNET_TABLES.flatMap((name) => parseInternetTable(table(name))),
    ...parsePacketTable(table("packet")),
  ];
  return sockets.filter(({ inode }) => inodes.has(inode)).reduce((sum, { queued }) => sum + queued, 0);
}

export interface SocketFacts {
  readonly inode: number;
  readonly queued: number;
}

/** Columns: sl, local, remote, st, tx_queue:rx_queue, tr:tm, retrnsmt, uid, timeout, inode. The queues are hexadecimal. */
export function parseInternetTable(text: string): readonly SocketFacts[] {
  return rows(text).map((columns) => ({
    queued: Number.parseInt(columns[4]?.split(":")[1] ?? "0", 16),
    inode: Number(columns[9]),
  }));
}

/** Columns: sk, RefCnt, Type, Proto, Iface, R, Rmem, User, Inode. */
export function parsePacketTable(text: string): readonly SocketFacts[] {
  return rows(text).map((columns) => ({ queued: Number(columns[6]), inode: Number(columns[8]) }));
}

function rows(text: string): readonly (readonly string[])[] {
  const lines = text.split("\n").slice(1);
  return lines.filter((line) => line.trim() !== "").map((line) => line.trim().split(/\s+/));
}

function socketInodes(pid: number): ReadonlySet<number> {
  const inodes = new Set<number>();
  for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
    const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${descriptor}`))?.[1];
    if (inode !== undefined) inodes.add(Number(inode));
  }
  return inodes;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // closed in the meantime
  }
}
