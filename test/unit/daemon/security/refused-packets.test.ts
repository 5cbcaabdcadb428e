import t from "tap";
import { ipv6 } from "../../../../controller/base/ip.js";
import { type EspXfrmState, RefusedPackets } from "../../../../controller/daemon/security/refused-packets.js";
import type { StateCounters } from "../../../../controller/kernel/xfrm/security-messages.js";
import { reqidOf } from "../../../../controller/plan/security/request-ids.js";
import type { ProtocolEvent } from "../../../../controller/protocol/mip6/inputs.js";

const HOME_AGENT = ipv6("2001:db8:1::1");
const node = (number: number) => ipv6(`2001:db8:1::${(0x100 + number).toString(16)}`);
type Counts = { integrityFailures?: number; replayed?: number };

/** A kernel with one association of each node, and what it has refused. */
class Kernel {
  readonly counts = new Map<string, Counts>();
  readonly events: ProtocolEvent[] = [];
  /** How many associations were asked for, look by look. */
  readonly asked: number[] = [];
  total = 0;
  now = 0;
  readonly #nodes: number;

  constructor(nodes = 2) {
    this.#nodes = nodes;
  }

  refuse(number: number, counts: Counts): void {
    this.counts.set(node(number), counts);
    this.total++;
  }

  watch(): RefusedPackets {
    return new RefusedPackets({
      totals: () => ({ XfrmInNoStates: 5, XfrmInStateProtoError: this.total }),
      nodes: () => Array.from({ length: this.#nodes }, (_, number) => node(number)),
      objectsOf: (homeAddress) => [
        {
          kind: "xfrm-state",
          source: homeAddress,
          destination: HOME_AGENT,
          reqid: reqidOf(homeAddress),
          transform: { type: "esp", spi: 4096, mode: "transport" },
        } as unknown as EspXfrmState,
      ],
      read: async (states) => {
        this.asked.push(states.length);
        return states.map((state) => this.#counters(state));
      },
      tell: (event) => this.events.push(event),
      now: () => this.now,
    });
  }

  #counters({ source, destination, reqid, transform }: EspXfrmState): StateCounters {
    const carried = { packets: 1, octets: 100, addedAt: 0 };
    const refused = { integrityFailures: 0, replayed: 0, ...this.counts.get(source) };
    return { ...carried, ...refused, source, destination, reqid, spi: transform.spi };
  }
}

t.test("nothing is asked for while the kernel refuses nothing more than before", async (test) => {
  const kernel = new Kernel();
  kernel.total = 7;
  const watch = kernel.watch();
  test.equal(await watch.look(), false);
  test.strictSame(kernel.asked, []);
  kernel.total = 8;
  await watch.look();
  await watch.look();
  test.strictSame(kernel.asked, [2], "once for each growth");
});

t.test("an event names the subscriber, how many packets, what for and what may be the matter", async (test) => {
  const kernel = new Kernel();
  const watch = kernel.watch();
  kernel.refuse(1, { integrityFailures: 3, replayed: 1 });
  await watch.look();
  test.match(kernel.events, [
    {
      event: "packets.refused",
      homeAddress: node(1),
      detail: { purposes: "signalling", integrityFailures: 3, replayed: 1, reason: /forged or damaged.*; .*too old/ },
    },
  ]);
  test.equal(kernel.events.length, 1);
});

t.test("one event a minute and subscriber; what came meanwhile is told after it", async (test) => {
  const kernel = new Kernel();
  const watch = kernel.watch();
  const told = () => kernel.events.map(({ homeAddress, detail }) => [homeAddress, detail?.["integrityFailures"]]);
  kernel.refuse(0, { integrityFailures: 1 });
  await watch.look();
  kernel.now = 9_000;
  kernel.refuse(0, { integrityFailures: 5 });
  kernel.refuse(1, { integrityFailures: 2 });
  await watch.look();
  test.strictSame(told(), [
    [node(0), 1],
    [node(1), 2],
  ]);
  kernel.now = 60_000;
  await watch.look();
  test.strictSame(told().slice(2), [[node(0), 4]]);
  kernel.now = 200_000;
  await watch.look();
  test.equal(kernel.events.length, 3, "and nothing more is told of what was");
});

t.test("an association that was made anew counts from zero", async (test) => {
  const kernel = new Kernel();
  const watch = kernel.watch();
  kernel.refuse(0, { replayed: 6 });
  await watch.look();
  kernel.now = 61_000;
  kernel.refuse(0, { replayed: 2 });
  await watch.look();
  test.equal(kernel.events[1]?.detail?.["replayed"], 2);
  kernel.now = 122_000;
  kernel.refuse(0, {});
  await watch.look();
  test.equal(kernel.events.length, 2, "it refuses nothing any more");
});

t.test("many nodes are looked at in slices, and all of them once a minute at most", async (test) => {
  const kernel = new Kernel(150);
  const watch = kernel.watch();
  kernel.refuse(149, { integrityFailures: 1 });
  test.equal(await watch.look(), true);
  test.equal(await watch.look(), true);
  test.equal(kernel.events.length, 0);
  test.equal(await watch.look(), false);
  test.strictSame(kernel.asked, [64, 64, 22]);
  test.equal(kernel.events[0]?.homeAddress, node(149));
  kernel.now = 30_000;
  kernel.refuse(0, { integrityFailures: 1 });
  test.equal(await watch.look(), false);
  test.equal(kernel.asked.length, 3);
  kernel.now = 60_000;
  test.equal(await watch.look(), true, "the growth is not forgotten");
  test.equal(kernel.events[1]?.homeAddress, node(0));
});
