/** A node as a whole: its deadlines come, and go. */
import t from "tap";
import { IPV4_ANY, ipv4 } from "../../../../../controller/base/ip.js";
import { instant } from "../../../../../controller/base/time.js";
import { MobileNode, type NodeInput } from "../../../../../controller/protocol/mip4/mobile-node/node.js";
import type { MobileNodeSite } from "../../../../../controller/protocol/mip4/mobile-node/site.js";
import type { NetworkView } from "../../../../../controller/protocol/movement/network-view.js";
import { COA, HA, HOA, SPI } from "../../../../lib/mip4-home-agent.js";

const SITE: MobileNodeSite = {
  homeAddress: HOA,
  homeAgent: HA,
  spi: SPI,
  replayProtection: { kind: "timestamps" },
  lifetimeSeconds: 600,
  reverseTunnelling: "preferred",
  encapsulation: "ip-in-ip",
  udpTunnelling: { ask: true, forced: false, keepaliveSeconds: 110 },
  previousCareOfGraceSeconds: 3,
  prefixes: [],
  tunnelToCareOf: false,
  delegation: false,
};
const NETWORK: NetworkView = {
  links: [{ index: 1, name: "eth0", up: true, running: true, ours: false }],
  addresses: [
    {
      ...{ device: "eth0", address: COA, prefixLength: 24, scope: "global" },
      ...{ tentative: false, deprecated: false, temporary: false, ours: false },
    },
  ],
  routes: [
    {
      ...{ family: 4, destination: { address: IPV4_ANY, length: 0 }, device: "eth0", via: ipv4("192.0.2.254") },
      ...{ metric: 0, table: 254, protocol: 3, ours: false },
    },
  ],
};

t.test("a node that ends, and is not answered, has nothing that is due and stays so", (t) => {
  const node = new MobileNode(SITE, { homeAgent: HA, homeAddress: HOA, foreignAgents: "where-needed" });
  let now = 0;
  const give = (input: NodeInput) =>
    node.step(input, { now: instant(now), timeOfDay: { high: 1 + Math.floor(now / 1000), low: 0 }, random: 1 });
  give({ kind: "network", view: NETWORK });
  give({ kind: "stop" });
  t.notOk(node.registration.stopped, "it is bound, perhaps");
  const asked: number[] = [];
  for (let i = 0; i < 20 && node.nextDeadline !== undefined; i++) {
    t.ok(node.nextDeadline > now, `${node.nextDeadline} after ${now}`);
    now = node.nextDeadline;
    if (give({ kind: "timer" }).some(({ kind }) => kind === "send")) asked.push(now);
  }
  t.ok(node.registration.stopped);
  t.ok(asked.length > 1, `${asked}`);
  t.end();
});
