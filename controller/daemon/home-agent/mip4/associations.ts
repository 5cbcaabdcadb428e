/** Security associations of the nodes and foreign agents of a home agent of Mobile IPv4: which there are, and the key of each. */
import type { Ipv4Address } from "../../../base/ip.js";
import type { ForeignHomeKey, Mip4Keys, MobileHomeKey } from "../../../config/keys.js";
import type { SecurityAssociation } from "../../../protocol/mip4/home-agent/site.js";
import type { NodeName } from "../../../protocol/mip4/inputs.js";
import type { KeyOf } from "../../mip4/authenticators.js";

export class HomeAgentAssociations {
  readonly #byNode = new Map<NodeName, readonly MobileHomeKey[]>();
  readonly #byForeignAgent = new Map<Ipv4Address, ForeignHomeKey>();

  /** `nodes`: with the names by which the key file may know each. `homeAgent`: our address, as foreign agents know it. */
  constructor(
    nodes: Iterable<{ readonly node: NodeName; readonly names: readonly string[] }>,
    { mobileHome, foreignHome }: Mip4Keys,
    homeAgent: Ipv4Address,
  ) {
    const byName = new Map<string, MobileHomeKey[]>();
    for (const key of mobileHome) {
      const known = byName.get(key.node);
      if (known === undefined) byName.set(key.node, [key]);
      else known.push(key);
    }
    for (const { node, names } of nodes)
      this.#byNode.set(
        node,
        names.flatMap((name) => byName.get(name) ?? []),
      );
    for (const key of foreignHome)
      if (key.homeAgent === homeAgent && !this.#byForeignAgent.has(key.foreignAgent))
        this.#byForeignAgent.set(key.foreignAgent, key);
  }

  of(node: NodeName, replayToleranceSeconds: number): readonly SecurityAssociation[] {
    return (this.#byNode.get(node) ?? []).map(({ spi, replay }) => ({
      spi,
      replayProtection:
        replay === "nonces" ? { kind: "nonces" } : { kind: "timestamps", toleranceSeconds: replayToleranceSeconds },
    }));
  }

  /** The SPI under which this foreign agent and we speak. */
  spiOf(foreignAgent: Ipv4Address): number | undefined {
    return this.#byForeignAgent.get(foreignAgent)?.spi;
  }

  /** Between this node, this foreign agent and us. */
  keyOf(node: NodeName | undefined, foreignAgent: Ipv4Address): KeyOf {
    return ({ kind, spi }) => {
      if (kind === "mobile-home-authentication")
        return node === undefined ? undefined : this.#byNode.get(node)?.find((key) => key.spi === spi);
      if (kind !== "foreign-home-authentication") return undefined;
      const key = this.#byForeignAgent.get(foreignAgent);
      return key?.spi === spi ? key : undefined;
    };
  }
}
