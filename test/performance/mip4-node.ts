/** Mobile nodes of Mobile IPv4 for the generator, each behind a NAT, with an IPv6 home address as a prefix of its own. */
import { createHash } from "node:crypto";
import { fromHex } from "../../controller/base/bytes.js";
import { Secret } from "../../controller/base/secret.js";
import { authenticateWith, verdictOn } from "../../controller/daemon/mip4/authenticators.js";
import { timeOfDay } from "../../controller/daemon/mip4/time-of-day.js";
import { authenticationsOf, encodeAuthenticated } from "../../controller/wire/mip4/messages/authenticated-octets.js";
import { decodeControlMessage } from "../../controller/wire/mip4/messages/control-message.js";
import { type Identification, requestFlags } from "../../controller/wire/mip4/messages/registration.js";
import { MIP4_PORT, PrefixCode, ReplyCode, registrationAccepted } from "../../controller/wire/mip4/registry.js";
import type { Answer, LoadNode } from "./generator.js";
import { HOME_AGENT, type MobileNode, mobileNode, PRIVATE_ADDRESS } from "./places.js";

const FIRST_SPI = 0x1000;
const KEY_OCTETS = 16;
const NONE = new Uint8Array(0);

/** Of the mobile-home association; follows from the node's number, like the keys of Mobile IPv6 (esp-node.ts). */
export function mip4KeyOf({ number }: Pick<MobileNode, "number">): { readonly spi: number; readonly key: string } {
  const spi = FIRST_SPI + number;
  const digest = createHash("sha256").update(`benchmark mip4 ${spi}`).digest("hex");
  return { spi, key: digest.slice(0, 2 * KEY_OCTETS) };
}

export class Mip4Node implements LoadNode {
  static readonly port = MIP4_PORT;
  readonly #node: MobileNode;
  readonly #spi: number;
  readonly #key: Secret;
  #latest = 0;

  constructor(number: number) {
    this.#node = mobileNode(number);
    const { spi, key } = mip4KeyOf(this.#node);
    this.#spi = spi;
    this.#key = new Secret(fromHex(key));
  }

  request(lifetimeSeconds: number): Uint8Array {
    return encodeAuthenticated(
      {
        type: "registration-request",
        flags: requestFlags({ decapsulatesItself: true, reverseTunnelling: true }),
        lifetimeSeconds,
        homeAddress: this.#node.ipv4HomeAddress,
        homeAgent: HOME_AGENT.ipv4,
        careOfAddress: PRIVATE_ADDRESS,
        identification: this.#timestamp(),
        extensions: [
          { kind: "udp-tunnel-request", forced: false, throughForeignAgent: false, encapsulation: 0 },
          { kind: "ipv6-prefix-request", prefixLength: 128, prefix: this.#node.homeAddress },
          { kind: "ipv6-tunnelling-mode" },
          { kind: "mobile-home-authentication", spi: this.#spi, authenticator: NONE },
        ],
      },
      authenticateWith(() => this.#association),
    );
  }

  /** Throws if it is no reply to this node, its authenticator is wrong, or IPv6 is not granted to the care-of address. */
  answer(data: Uint8Array): Answer {
    const decoded = decodeControlMessage(data);
    if (!decoded.ok) throw decoded.error;
    const message = decoded.value;
    if (message.type !== "registration-reply") throw new Error(`a ${message.type} as answer`);
    const verdicts = authenticationsOf(data).map((one) => verdictOn(one, () => this.#association));
    if (!verdicts.includes("valid")) throw new Error(`a reply without a valid authenticator, code ${message.code}`);
    // 133: the home agent has got round to it after its tolerance for timestamps; a node asks again.
    const { insufficientResources, identificationMismatch } = ReplyCode;
    if (message.code === insufficientResources || message.code === identificationMismatch) return "refused";
    if (!registrationAccepted(message.code)) throw new Error(`the answer was code ${message.code}`);
    const codes = message.extensions.flatMap((one) => (one.kind === "ipv6-prefix-reply" ? [one.code] : []));
    if (codes.length !== 1 || codes[0] !== PrefixCode.acceptedCareOfAddress)
      throw new Error(`the IPv6 home address was answered ${codes.join(" ") || "nothing"}`);
    return "accepted";
  }

  get #association(): { readonly algorithm: "hmac-md5"; readonly key: Secret } {
    return { algorithm: "hmac-md5", key: this.#key };
  }

  /** The present time, and later than any before. */
  #timestamp(): Identification {
    this.#latest = Math.max(Date.now(), this.#latest + 1);
    return timeOfDay(this.#latest);
  }
}
