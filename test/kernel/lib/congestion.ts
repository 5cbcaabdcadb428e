/** ECN of tunnels on a congested path (RFC 6040): a router on the way marks what is tunnelled. */
import assert from "node:assert/strict";
import { cross, DIRECTIONS, type Direction, freshText, send } from "./exchange.js";
import { FAMILIES, HOME_AGENT, type Mobile, type PayloadFamily, type Scene } from "./scene.js";

const WAYS = FAMILIES.flatMap((family) => DIRECTIONS.map((direction) => ({ family, direction })));
/** EF; of ECN nothing, ECT(1), CE. */
const [NOT_ECT, ECT, CE] = [0xb8, 0xb9, 0xbb];

/** The core router marks everything tunnelled; payload on its way to and from the correspondent keeps its field. */
function congest(scene: Scene, on: boolean): void {
  const rules = [
    `ip saddr ${HOME_AGENT.ipv4} ip ecn set ce`,
    `ip daddr ${HOME_AGENT.ipv4} ip ecn set ce`,
    "ip6 nexthdr { 4, 41 } ip6 ecn set ce",
    "udp sport 4191 ip6 ecn set ce",
    "udp dport 4191 ip6 ecn set ce",
  ];
  const chain = `chain forward { type filter hook forward priority 0; ${rules.join("; ")}; }`;
  scene.core.nft(on ? `table inet congestion { ${chain}; }` : "delete table inet congestion");
}

/** Outer CE becomes inner CE, and what is not capable of it is dropped, in both families and directions. */
export async function checkCongestion(scene: Scene, mobile: Pick<Mobile, "stations">): Promise<void> {
  congest(scene, true);
  try {
    const lost: { readonly text: string; readonly family: PayloadFamily; readonly direction: Direction }[] = [];
    for (const way of WAYS) {
      const text = freshText("not ECT");
      send(scene, mobile, way, text, { trafficClass: NOT_ECT });
      lost.push({ text, ...way });
    }
    for (const way of WAYS) {
      const { received } = await cross(scene, mobile, way, { trafficClass: ECT });
      assert.equal(received.trafficClass, CE, `${way.direction}, IPv${way.family}: outer CE became inner CE`);
    }
    // What was sent before on the same way would have come before.
    for (const { text, family, direction } of lost) {
      const there = direction === "down" ? mobile.stations[family] : scene.correspondents[family];
      assert.equal(there.count(text), 0, `${direction}, IPv${family}: CE on a not-ECT packet is dropped`);
    }
  } finally {
    congest(scene, false);
  }
}
