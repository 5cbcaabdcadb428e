/** Challenges (RFC 4721 §3.2): those of the last advertisements, and the one that a node was given in its last reply. Each node uses each once. */
import { toHex } from "../../../base/bytes.js";
import { ReplyCode } from "../../../wire/mip4/registry.js";
import { LIMITS } from "./timers.js";

export class Challenges {
  /** Hexadecimal, the latest last. */
  readonly #advertised: string[] = [];
  /** By link-layer address, the oldest first. */
  readonly #issued = new Map<string, string>();
  readonly #used = new Map<string, string>();

  advertised(challenge: Uint8Array): void {
    this.#advertised.push(toHex(challenge));
    if (this.#advertised.length > LIMITS.challengeWindow) this.#advertised.shift();
  }

  /** The latest that was advertised. */
  get latest(): string | undefined {
    return this.#advertised.at(-1);
  }

  issue(linkAddress: string, challenge: Uint8Array): void {
    put(this.#issued, linkAddress, toHex(challenge));
  }

  /** The code of a refusal; undefined: it is one of ours that the node has not used. */
  judge(linkAddress: string, challenge: Uint8Array | undefined): number | undefined {
    if (challenge === undefined) return ReplyCode.missingChallenge;
    const text = toHex(challenge);
    if (this.#used.get(linkAddress) === text) return ReplyCode.staleChallenge;
    const isOurs = this.#advertised.includes(text) || this.#issued.get(linkAddress) === text;
    return isOurs ? undefined : ReplyCode.unknownChallenge;
  }

  use(linkAddress: string, challenge: Uint8Array): void {
    put(this.#used, linkAddress, toHex(challenge));
  }
}

function put(map: Map<string, string>, key: string, value: string): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.size > LIMITS.denied ? map.keys() : [];
  if (oldest !== undefined) map.delete(oldest);
}
