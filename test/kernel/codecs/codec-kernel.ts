/** One codec at a time against the running kernel, without the parts that decide when to send what. For tests in a namespace of their own. */
import { execFileSync } from "node:child_process";
import type { TestContext } from "node:test";
import { NETLINK_NETFILTER, NETLINK_XFRM } from "../../../controller/io/constants.js";
import { NetlinkSocket } from "../../../controller/io/netlink/socket.js";
import type { KernelNames, NetlinkMessage, NetlinkRequest, ObjectCodec } from "../../../controller/kernel/codec.js";
import { type NftFeatures, probeNftFeatures } from "../../../controller/kernel/nftables/features.js";
import { NFNL_SUBSYS_NFTABLES } from "../../../controller/netlink/constants.js";
import type { KernelError } from "../../../controller/netlink/errors.js";
import { NetlinkSession, type TransactionOutcome } from "../../../controller/netlink/session.js";
import type { KernelObject } from "../../../controller/plan/objects/objects.js";

export const NAMES: KernelNames = { interfaceIndex: () => 0, interfaceName: () => undefined };

export class CodecKernel {
  readonly #session: NetlinkSession;
  readonly #netns: string | undefined;

  /** `netns`: the name of a namespace; absent: the present one. Closed with the test. */
  constructor(t: TestContext, family: "xfrm" | "netfilter", netns?: string) {
    const protocol = family === "xfrm" ? NETLINK_XFRM : NETLINK_NETFILTER;
    const socket = NetlinkSocket.open({ protocol, ...(netns === undefined ? {} : { netns: `/run/netns/${netns}` }) });
    this.#netns = netns;
    this.#session = new NetlinkSession(socket, {
      setTimer(delayMs, callback) {
        const timer = setTimeout(callback, delayMs);
        return () => clearTimeout(timer);
      },
    });
    t.after(() => this.#session.close());
  }

  /** All accepted, or throws the first refusal. */
  async execute(requests: readonly NetlinkRequest[]): Promise<void> {
    for (const { error } of await this.#session.execute(requests)) if (error !== undefined) throw error;
  }

  /** The refusal of the only request, or undefined. */
  async refusal(requests: readonly NetlinkRequest[]): Promise<KernelError | undefined> {
    const [outcome] = await this.#session.execute(requests);
    return outcome?.error;
  }

  async ask(requests: readonly NetlinkRequest[]): Promise<readonly NetlinkMessage[]> {
    return (await this.#session.execute(requests)).flatMap(({ replies }) => replies);
  }

  async dumpMessages(requests: readonly NetlinkRequest[]): Promise<readonly NetlinkMessage[]> {
    const messages: NetlinkMessage[] = [];
    for (const request of requests) messages.push(...(await this.#session.dump(request)));
    return messages;
  }

  async dump<K extends KernelObject>(codec: ObjectCodec<K>, ownOnly = true): Promise<readonly K[]> {
    const messages = [...(await this.dumpMessages(codec.dump()))];
    messages.push(...(await this.dumpMessages(codec.dumpMore?.(messages) ?? [])));
    if (codec.assemble !== undefined) return codec.assemble(messages, NAMES, ownOnly);
    return messages.flatMap((message) => codec.decode(message, NAMES, ownOnly) ?? []);
  }

  transaction(requests: readonly NetlinkRequest[]): Promise<TransactionOutcome> {
    return this.#session.transaction(requests, NFNL_SUBSYS_NFTABLES);
  }

  /** Committed, or throws the first refusal. */
  async commit(requests: readonly NetlinkRequest[]): Promise<void> {
    const { committed, errors, failure } = await this.transaction(requests);
    if (!committed) throw failure ?? [...errors.values()][0] ?? new Error("not committed, without a reason");
  }

  nftFeatures(): Promise<NftFeatures> {
    return probeNftFeatures(async (requests) => (await this.transaction(requests)).committed);
  }

  /** Runs a command in the same namespace; what it prints. */
  run(command: string, ...words: readonly string[]): string {
    const [file, ...rest] =
      this.#netns === undefined ? [command, ...words] : ["ip", "netns", "exec", this.#netns, command, ...words];
    return execFileSync(file ?? command, rest, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }
}

/** A namespace for one test, gone with it. */
export function namespace(t: TestContext, name: string): string {
  execFileSync("ip", ["netns", "add", name]);
  t.after(() => execFileSync("ip", ["netns", "del", name]));
  execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
  return name;
}
