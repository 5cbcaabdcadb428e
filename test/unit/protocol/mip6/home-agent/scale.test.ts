/** What one step costs does not grow with the number of bindings. Operations are counted, not time. */
import t from "tap";
import { type Ipv6Address, ipToBytes, ipv4FromBytes, ipv6FromBytes } from "../../../../../controller/base/ip.js";
import { after, type Instant, instant, seconds } from "../../../../../controller/base/time.js";
import type { HomeAgentEffect } from "../../../../../controller/protocol/mip6/home-agent/inputs.js";
import { HomeAgentState, nextDeadline, step } from "../../../../../controller/protocol/mip6/home-agent/machine.js";
import type { HomeSubscriber } from "../../../../../controller/protocol/mip6/home-agent/site.js";
import { iterated } from "../../../../lib/iterated.js";
import { bindingUpdate, native, option29, prefix, site } from "../../../../sim/home-agent-harness.js";

const COUNT = 100_000;
/** How many of them are refreshed and moved. */
const MOVED = 10_000;
const LIFETIME_UNITS = 150;
/** Of a heap of all of them, twice: a node is compared with its parents and with its children. */
const LEVELS = 2 * Math.ceil(Math.log2(COUNT));

function address(base: string, index: number): Ipv6Address {
  const bytes = ipToBytes(base as Ipv6Address);
  bytes.set([(index >> 24) & 0xff, (index >> 16) & 0xff, (index >> 8) & 0xff, index & 0xff], 12);
  return ipv6FromBytes(bytes);
}

const ipv4Of = (index: number) =>
  ipv4FromBytes(Uint8Array.of(10, (index >> 16) & 0xff, (index >> 8) & 0xff, index & 0xff));

t.test(`${COUNT} bindings: registered, refreshed, moved, expired`, async (test) => {
  test.equal(
    iterated(() => void [...new Set([1, 2, 3])]),
    3,
    "the counter counts",
  );
  const nodes = Array.from({ length: COUNT }, (_, i) => address("2001:db8:1::", i + 16));
  const subscribers = new Map<Ipv6Address, HomeSubscriber>(
    nodes.map((homeAddress, i) => [homeAddress, { homeAddress, ipv4HomeAddress: ipv4Of(i + 16), profile: "default" }]),
  );
  const state = new HomeAgentState(
    site({ subscribers, homePrefixes: [prefix("2001:db8:1::/64"), prefix("10.0.0.0/8")] }),
  );
  let now: Instant = instant(0);
  const send = (index: number, sequence: number, network: string): readonly HomeAgentEffect[] => {
    const homeAddress = nodes[index] as Ipv6Address;
    const options = [option29(ipv4Of(index + 16))];
    const arrival = native(address(network, index + 16), homeAddress);
    const effects = step(
      state,
      { kind: "message", arrival, message: bindingUpdate({ sequence, lifetimeUnits: LIFETIME_UNITS, options }) },
      now,
    );
    const asked = effects.find((effect) => effect.kind === "data-path");
    if (asked === undefined) return effects;
    return step(state, { kind: "programmed", homeAddress, revision: asked.path.revision }, now);
  };
  const round = (
    count: number,
    sequence: number,
    network: string,
  ): { accepted: number; walked: number; compared: number } => {
    let accepted = 0;
    const compared = state.cache.deadlineSteps;
    const walked = iterated(() => {
      for (let index = 0; index < count; index++) {
        now = after(now, seconds(0.001));
        const answer = send(index, sequence, network).find((effect) => effect.kind === "send");
        if (answer?.message.type === "binding-acknowledgement" && answer.message.status === 0) accepted++;
        nextDeadline(state);
      }
    });
    return { accepted, walked, compared: state.cache.deadlineSteps - compared };
  };
  const rounds = [
    [COUNT, 1, "2001:db8:2::"],
    [MOVED, 2, "2001:db8:2::"],
    [MOVED, 3, "2001:db8:3::"],
  ] as const;
  for (const [count, sequence, network] of rounds) {
    const { accepted, walked, compared } = round(count, sequence, network);
    test.equal(accepted, count);
    test.ok(walked <= 20 * count, `round ${sequence}: ${walked / count} elements walked over an update`);
    test.ok(compared <= 2 * LEVELS * count, `round ${sequence}: ${compared / count} comparisons an update`);
  }
  test.equal(state.cache.size, COUNT);

  let steps = 0;
  let most = 0;
  const removed = new Set<Ipv6Address>();
  const compared = state.cache.deadlineSteps;
  const walked = iterated(() => {
    for (let deadline = nextDeadline(state); deadline !== undefined; deadline = nextDeadline(state)) {
      if (deadline > now) now = deadline;
      if (steps % 50 === 0) now = after(now, seconds(1)); // let many come due together now and then
      const effects = step(state, { kind: "timer" }, now);
      steps++;
      most = Math.max(most, effects.length);
      for (const effect of effects) if (effect.kind === "data-path-removed") removed.add(effect.homeAddress);
    }
  });
  test.equal(removed.size, COUNT);
  test.equal(state.cache.size, 0);
  test.ok(most <= 4000, `at most ${most} effects in one step: the event loop is never held up`);
  test.ok(walked <= 20 * COUNT, `${walked / COUNT} elements walked over an expiry`);
  const expiryCompared = state.cache.deadlineSteps - compared;
  test.ok(expiryCompared <= 3 * LEVELS * COUNT, `${expiryCompared / COUNT} comparisons an expiry`);
});
