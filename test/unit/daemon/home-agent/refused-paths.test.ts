/** Data paths that the kernel has refused and that count all the same: asked for again, with growing pauses, for as long as they count. */
import t from "tap";
import { type Ipv6Address, ipv6 } from "../../../../controller/base/ip.js";
import { RefusedPaths } from "../../../../controller/daemon/home-agent/refused-paths.js";
import type { DataPath } from "../../../../controller/protocol/mip6/inputs.js";

const HOA = ipv6("2001:db8:1::10");
const path = (revision: number): DataPath => {
  const endpoint = { format: "ipv6", address: ipv6("2001:db8:2::20") } as const;
  return { homeAddress: HOA, egress: endpoint, ingress: [endpoint], profile: "default", revision };
};

function bench() {
  const paths = new Map<Ipv6Address, DataPath>([[HOA, path(1)]]);
  const timers: { readonly delayMs: number; readonly run: () => void }[] = [];
  const asked: number[] = [];
  const refused = new RefusedPaths({
    schedule: (delayMs, run) => void timers.push({ delayMs, run }),
    pathOf: (homeAddress) => paths.get(homeAddress),
    ask: ({ revision }) => void asked.push(revision),
  });
  const due = (): number => {
    const timer = timers.shift();
    timer?.run();
    return timer?.delayMs ?? 0;
  };
  return { paths, timers, asked, refused, due };
}

t.test("a refused path is asked for again after pauses that grow, until the kernel has it", (test) => {
  const { asked, refused, due, timers } = bench();
  test.ok(refused.answered(HOA, 1, false));
  const first = due();
  test.notOk(refused.answered(HOA, 1, false), "told already");
  test.ok(due() > first);
  test.strictSame(asked, [1, 1]);
  test.ok(refused.answered(HOA, 1, true));
  test.strictSame(timers, []);
  test.ok(refused.answered(HOA, 2, false));
  test.equal(due(), first, "what it was once counts no more");
  test.end();
});

t.test("one that does not count any more is not asked for", (test) => {
  const { paths, asked, refused, due } = bench();
  refused.answered(HOA, 1, false);
  paths.set(HOA, path(2));
  due();
  refused.answered(HOA, 2, false);
  paths.delete(HOA);
  due();
  test.strictSame(asked, []);
  test.ok(refused.answered(HOA, 2, false), "forgotten");
  test.end();
});
