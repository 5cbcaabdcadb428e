/**
 * The mobile node's side of IKE: gets the associations that are needed from a care-of address, as often as it takes. One thing at a time;
 * a new care-of address supersedes the one before. Whether the associations are there, the kernel tells (SecurityWatch), not this.
 */
import { type IpAddress, parseIp } from "../base/ip.js";
import type { SetTimer } from "../netlink/transport.js";
import { DEMANDED_PURPOSES, type DemandedPurpose, type Purpose } from "../plan/security/request-ids.js";
import type { ViciSection } from "../vici/message.js";
import { childrenOf, listSas, spiOf } from "./child-sas.js";
import { CHILDREN } from "./connections.js";
import type { IkeDaemonPort } from "./daemon-port.js";
import { negotiate } from "./negotiate.js";

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;
export interface Wanted {
  readonly careOf: IpAddress;
  readonly homeAgent: IpAddress;
}

export interface InitiatorOptions {
  readonly daemon: IkeDaemonPort;
  readonly name: string;
  readonly setTimer: SetTimer;
  readonly connection: (ends: Wanted) => ViciSection;
  readonly protectPayload: boolean;
  /** Whether an IKE SA of an earlier life of ours is as good as one that we have seen coming up. */
  readonly keepsKnown: boolean;
  /** Nothing is missing any more. */
  readonly isComplete: () => boolean;
  readonly onFailure: (reason: string) => void;
  /** The home agent has refused what only some packets need. */
  readonly onRefusal: (purpose: DemandedPurpose, reason: string) => void;
}

const sameEnds = (a: Wanted, b: Wanted): boolean => a.careOf === b.careOf && a.homeAgent === b.homeAgent;

export class IkeInitiator {
  readonly #options: InitiatorOptions;
  #wanted: Wanted | undefined;
  /** Between which addresses the IKE SA lies, as far as we know. */
  #ends: Wanted | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #retryMs = FIRST_RETRY_MS;
  #cancelTimer: (() => void) | undefined;
  #closed = false;
  #up = false;
  /** Purposes for which a packet has found no association. */
  readonly #demanded = new Set<DemandedPurpose>();

  constructor(options: InitiatorOptions) {
    this.#options = options;
  }

  /** Associations are needed from here. */
  secure(wanted: Wanted): void {
    this.#wanted = wanted;
    this.#retryMs = FIRST_RETRY_MS;
    this.#start();
  }

  /** A packet found no association for this purpose. What the node cannot do without is never left out anyway. */
  demand(purpose: Purpose): void {
    const demanded = DEMANDED_PURPOSES.find((one) => one === purpose);
    if (demanded === undefined || this.#wanted === undefined) return;
    this.#demanded.add(demanded);
    this.#start();
  }

  /** None are asked for from now on; those that are there stay. */
  rest(): void {
    this.#wanted = undefined;
    this.#again = false;
    this.#demanded.clear();
    this.#cancelTimer?.();
  }

  /**
   * The IKE SA's ends if it lies elsewhere than between these; they count as its ends from now on. If there is none, because the IKE
   * daemon died and left the associations behind, it is made: without one nobody renews them.
   */
  moveTo(ends: Wanted): Wanted | undefined {
    const before = this.#ends;
    this.#wanted = ends;
    if (before === undefined) this.#start();
    if (before === undefined || sameEnds(before, ends)) return undefined;
    this.#ends = ends;
    return before;
  }

  /** Makes the IKE SA anew from here: the home agent's end does not follow. */
  renegotiate(wanted: Wanted): void {
    this.#wanted = wanted;
    this.#retryMs = FIRST_RETRY_MS;
    void this.#terminate().then(() => this.#start());
  }

  /** The IKE daemon is there: a new one, or one that knows an IKE SA of an earlier life of ours. */
  async daemonUp(): Promise<void> {
    this.#up = true;
    let [sa] = await this.#sas();
    if (sa !== undefined && !this.#options.keepsKnown) {
      await this.#terminate();
      sa = undefined;
    }
    const [careOf, homeAgent] = [sa?.["local-host"], sa?.["remote-host"]].map((host) =>
      typeof host === "string" ? parseIp(host) : undefined,
    );
    this.#ends = careOf === undefined || homeAgent === undefined ? undefined : { careOf, homeAgent };
    if (this.#wanted !== undefined) this.#start();
  }

  /** Nothing can be asked for until it is up again. */
  daemonDown(): void {
    this.#up = false;
    this.#cancelTimer?.();
  }

  /** Ends the IKE SA. */
  async close(): Promise<void> {
    this.#closed = true;
    this.rest();
    await this.#running;
    await this.#terminate();
    await this.#options.daemon.command("unload-conn", { name: this.#options.name }).catch(() => undefined); // ignored: it may be gone with the daemon
  }

  #start(): void {
    if (this.#closed || !this.#up) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#running = this.#attempt().finally(() => {
      this.#running = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.#start();
    });
  }

  async #attempt(): Promise<void> {
    const wanted = this.#wanted;
    if (wanted === undefined) return;
    try {
      const content = this.#options.isComplete() && this.#demanded.size === 0;
      if (content && (await this.#sas()).length > 0) return;
      await this.#establish(wanted);
      this.#retryMs = FIRST_RETRY_MS;
    } catch (error) {
      if (this.#closed || !this.#up || this.#wanted === undefined) return;
      if (!sameEnds(this.#wanted, wanted)) {
        // The node has moved meanwhile; whether anything is missing there, the next attempt sees.
        this.#ends = undefined;
        this.#again = true;
        return;
      }
      // With associations of before nothing is missing yet.
      if (!this.#options.isComplete()) this.#options.onFailure((error as Error).message);
      await this.#terminate();
      this.#cancelTimer = this.#options.setTimer(this.#retryMs, () => this.#start());
      this.#retryMs = Math.min(LONGEST_RETRY_MS, 2 * this.#retryMs);
    }
  }

  async #establish(wanted: Wanted): Promise<void> {
    const { daemon, name, connection, protectPayload } = this.#options;
    if (this.#ends !== undefined && this.#ends.careOf !== wanted.careOf) await this.#terminate();
    await daemon.command("load-conn", { [name]: connection(wanted) });
    this.#ends = wanted;
    const present = await this.#children();
    await this.#transport(present, CHILDREN.signalling, CHILDREN.signallingBehindNat);
    if (protectPayload && !present.has(CHILDREN.payload)) await this.#initiate(CHILDREN.payload);
    await this.#answerDemands(present);
  }

  /** Not worth the IKE SA: a home agent may know no such thing, and the kernel asks again while somebody sends. */
  async #answerDemands(present: ReadonlySet<string>): Promise<void> {
    for (const purpose of this.#demanded) {
      this.#demanded.delete(purpose);
      try {
        if (purpose === "prefix") await this.#transport(present, CHILDREN.prefix, CHILDREN.prefixBehindNat);
        else if (!present.has(CHILDREN.returnRoutability)) await this.#initiate(CHILDREN.returnRoutability);
      } catch (error) {
        if (!this.#closed && this.#up) this.#options.onRefusal(purpose, (error as Error).message);
      }
    }
  }

  async #transport(present: ReadonlySet<string>, child: string, behindNat: string): Promise<void> {
    if (present.has(child) || present.has(behindNat)) return;
    try {
      await this.#initiate(child);
    } catch (error) {
      if (!(await this.#isBehindNat())) throw error;
      await this.#initiate(behindNat);
    }
  }

  #initiate(child: string): Promise<void> {
    const { daemon, name } = this.#options;
    return negotiate(daemon, { ike: name, child });
  }

  #sas(): Promise<readonly ViciSection[]> {
    return listSas(this.#options.daemon, this.#options.name);
  }

  async #isBehindNat(): Promise<boolean> {
    return (await this.#sas()).some((sa) => sa["state"] === "ESTABLISHED" && sa["nat-any"] === "yes");
  }

  /** Of all associations that the IKE daemon has for the node, in either direction. */
  async spis(): Promise<ReadonlySet<number>> {
    const children = childrenOf(await this.#sas());
    return new Set(children.flatMap((child) => [spiOf(child, "receive") ?? [], spiOf(child, "send") ?? []].flat()));
  }

  /** Names of the children that are installed, or are just being renewed. */
  async #children(): Promise<ReadonlySet<string>> {
    const installed = childrenOf(await this.#sas()).filter(
      ({ state }) => state === "INSTALLED" || state === "REKEYING",
    );
    return new Set(installed.flatMap(({ name }) => (typeof name === "string" ? [name] : [])));
  }

  async #terminate(): Promise<void> {
    const { daemon, name } = this.#options;
    this.#ends = undefined;
    // ignored: there may be none, and the other end learns it by dead peer detection
    await daemon.command("terminate", { ike: name, force: "yes", timeout: "-1" }).catch(() => undefined);
  }
}
