/** A foreign agent's plan in a real kernel and no daemon, and the visitor of mip4-scene.ts behind it. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { planForeignAgentSite, planVisitor } from "../../../controller/plan/foreign-agent/plan.js";
import type { Encapsulation } from "../../../controller/protocol/mip4/inputs.js";
import { FA, HA, type Headers, type Mobile, type Scene, TTL, VISITED } from "./mip4-scene.js";
import type { Namespace } from "./namespace.js";
import { Planned } from "./planned.js";

const linkAddressOf = (node: Namespace, device: string): string =>
  String((node.ipJson(`link show dev ${device}`)[0] ?? assert.fail(device))["address"]);

export class Visit {
  readonly kernel: Planned;
  readonly #scene: Scene;
  readonly #visitor: Mobile;

  private constructor(kernel: Planned, scene: Scene, visitor: Mobile) {
    this.kernel = kernel;
    this.#scene = scene;
    this.#visitor = visitor;
  }

  /** Reverse tunnels have this profile, with the hop limit of what goes up. */
  static async open(t: TestContext, scene: Scene, visitor: Mobile, profile: Headers): Promise<Visit> {
    const kernel = await Planned.open(t, scene.fa ?? assert.fail("a routed scene"));
    const site = planForeignAgentSite({
      careOfAddress: FA,
      links: [{ device: "visit", address: VISITED, prefixLength: 24 }],
      profile: { ...profile, ttl: TTL.up },
      gre: true,
      mtu: 1400,
    });
    await kernel.hold("site", site);
    return new Visit(kernel, scene, visitor);
  }

  /** All three hold what a registration through the agent would have them hold. */
  async register(encapsulation: Encapsulation): Promise<void> {
    const { fa } = this.#scene;
    const { home4: homeAddress, node } = this.#visitor;
    const number = 1;
    const path = { visitor: "visitor", homeAddress, homeAgent: HA, number, homeAgentNumber: number, separate: false };
    const link = { device: "visit", linkAddress: linkAddressOf(node, "eth0") };
    await this.kernel.hold(
      "visitor",
      planVisitor({ ...path, ...link, decapsulates: true, reverseTunnelling: true, encapsulation }),
    );
    await this.#visitor.register(this.#scene, { transport: "ip", address: FA, encapsulation }, "home-address", {
      end: {
        kind: "foreign-agent",
        device: "eth0",
        agent: VISITED,
        linkLayerAddress: linkAddressOf(fa ?? assert.fail("a routed scene"), "visit"),
      },
    });
  }
}
