/** What a node asks the kernel for while links come and go. */
import t from "tap";
import { ipv4 } from "../../../../../controller/base/ip.js";
import { nodePlan } from "../../../../../controller/daemon/mobile-node/mip4/plan.js";
import { formatObject } from "../../../../../controller/plan/objects/format.js";
import type { NodePath } from "../../../../../controller/protocol/mip4/mobile-node/inputs.js";
import type { Mip4NodeConfig } from "../../../../../schemas/config/mip4-node.js";

const HA = ipv4("203.0.113.1");
const HOA = ipv4("198.51.100.10");
const OLD = { kind: "co-located", device: "eth1", address: ipv4("192.0.2.7") } as const;
const NEW = { kind: "co-located", device: "eth2", address: ipv4("203.0.114.7") } as const;
const CONFIG = {
  mobileNode: { homeAgent: HA, prefixes: [] },
  tunnelProfile: { dscp: "copy", ttl: 64 },
} as unknown as Mip4NodeConfig;
const away = (egress: typeof OLD | typeof NEW, ...ingress: (typeof OLD | typeof NEW)[]): NodePath => ({
  ...{ mode: "away", homeAddress: HOA, homeAgent: HA, egress, ingress, encapsulation: "ip-in-ip" },
  ...{ reverseTunnelling: true, prefixes: [] },
});

/** Of the path, with these links; those with a "!" are down. */
function planned(path: NodePath, ...links: readonly string[]): readonly string[] {
  const all = links.map((text, i) => {
    const name = text.replace("!", "");
    return { index: i + 1, name, up: name === text, running: name === text, ours: false };
  });
  return nodePlan(CONFIG, []).path(path, { links: all, addresses: [], routes: [] }).map(formatObject);
}
const about = (device: string, all: readonly string[]): readonly string[] =>
  all.filter((one) => one.includes(`dev ${device}`) || one.includes(`/${device}/`));

t.test("what leads over a link that has vanished is left out, and costs the rest nothing", (t) => {
  const moved = away(NEW, NEW, OLD);
  t.ok(about("eth1", planned(moved, "eth1", "eth2")).length > 0, "packets on their way to the old place are taken");
  for (const links of [["eth2"], ["eth1!", "eth2"]]) {
    const left = planned(moved, ...links);
    t.strictSame(about("eth1", left), [], links.join());
    t.strictSame(left, planned(away(NEW, NEW), "eth2"), "as if it had never been");
  }
  const home: NodePath = { mode: "home", device: "eth0", homeAddress: HOA, ingress: [OLD] };
  t.ok(about("eth1", planned(home, "eth0", "eth1")).length > 0);
  t.strictSame(about("eth1", planned(home, "eth0", "eth1!")), []);
  t.ok(planned(home, "eth0").some((one) => one.includes(`${HOA}/32`) && one.includes("eth0")));
  t.end();
});

t.test(
  "where the way out has vanished the place that is asked for is ready all the same, and nothing leaves in clear",
  (t) => {
    const nowhere = /route add 0\.0\.0\.0\/0 dev dsmip-hoa .*198\.51\.100\.10/;
    const leaving: NodePath = { mode: "home", device: "eth0", homeAddress: HOA, ingress: [NEW] };
    for (const path of [away(OLD, OLD, NEW), leaving]) {
      const left = planned(path, "eth0!", "eth1!", "eth2");
      t.ok(about("eth2", left).length > 0, "the new place");
      t.strictSame([...about("eth1", left), ...about("eth0", left)], []);
      t.ok(
        left.some((one) => nowhere.test(one)),
        left.join("; "),
      );
    }
    t.end();
  },
);
