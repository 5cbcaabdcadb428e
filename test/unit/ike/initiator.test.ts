/** The mobile node's side of IKE against an IKE daemon of the test: what is negotiated, in which order, and what is not worth the IKE SA. */
import t from "tap";
import { ipv6 } from "../../../controller/base/ip.js";
import type { IkeDaemonPort } from "../../../controller/ike/daemon-port.js";
import { IkeInitiator } from "../../../controller/ike/initiator.js";
import type { ViciSection } from "../../../controller/vici/message.js";
import { FakeTimers } from "../../lib/netlink-fake.js";

const ENDS = { careOf: ipv6("2001:db8:a::2"), homeAgent: ipv6("2001:db8:1::1") };
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};

/** Installs every child that is asked for, but those it refuses. */
class Daemon implements IkeDaemonPort {
  readonly asked: string[] = [];
  readonly refused = new Set<string>();
  readonly children = new Set<string>();
  nat = false;

  command(name: string): Promise<ViciSection> {
    this.asked.push(name);
    if (name === "terminate") this.children.clear();
    return Promise.resolve({});
  }

  stream(name: string, { child }: ViciSection): Promise<readonly ViciSection[]> {
    if (name === "initiate" && typeof child === "string") {
      this.asked.push(`${name} ${child}`);
      if (this.refused.has(child)) return Promise.reject(new Error(`${child} refused`));
      this.children.add(child);
      return Promise.resolve([]);
    }
    const installed = [...this.children].map((one) => [one, { name: one, state: "INSTALLED" }] as const);
    const sa = { state: "ESTABLISHED", "nat-any": this.nat ? "yes" : "no", "child-sas": Object.fromEntries(installed) };
    return Promise.resolve(this.children.size === 0 && !this.nat ? [] : [{ node: sa }]);
  }
}

async function setup(prepare: (daemon: Daemon) => void = () => {}) {
  const daemon = new Daemon();
  prepare(daemon);
  const told: string[] = [];
  const from: string[] = [];
  const timers = new FakeTimers();
  const initiator = new IkeInitiator({
    daemon,
    name: "node",
    setTimer: timers.set,
    connection: ({ careOf }) => {
      from.push(careOf);
      return {};
    },
    protectPayload: true,
    keepsKnown: true,
    isComplete: () =>
      [...daemon.children].some((name) => name.startsWith("signalling")) && daemon.children.has("payload"),
    onFailure: (reason) => told.push(`failure: ${reason}`),
    onRefusal: (purpose, reason) => told.push(`${purpose}: ${reason}`),
  });
  await initiator.daemonUp();
  initiator.secure(ENDS);
  await settle();
  const since = daemon.asked.length;
  const later = (): string[] => daemon.asked.slice(since).filter((one) => one !== "load-conn");
  return { daemon, initiator, told, later, timers, from };
}

t.test("what the node cannot do without comes first, and nothing else unasked", async (test) => {
  const { daemon, told } = await setup();
  test.strictSame(daemon.asked, ["load-conn", "initiate signalling", "initiate payload"]);
  test.strictSame(told, []);
});

t.test("a packet without an association gets one, once", async (test) => {
  const { initiator, later, told } = await setup();
  initiator.demand("return-routability");
  initiator.demand("return-routability");
  await settle();
  test.strictSame(later(), ["initiate return-routability"]);
  initiator.demand("return-routability");
  initiator.demand("prefix");
  await settle();
  test.strictSame(later(), ["initiate return-routability", "initiate prefix"]);
  initiator.demand("payload");
  await settle();
  test.equal(later().length, 2, "payload is never left out anyway");
  test.strictSame(told, []);
});

t.test("a home agent that knows no such thing keeps its IKE SA", async (test) => {
  const { initiator, later, told } = await setup((daemon) => daemon.refused.add("return-routability"));
  initiator.demand("return-routability");
  await settle();
  test.strictSame(told, ["return-routability: return-routability refused"]);
  test.notOk(later().includes("terminate"));
  initiator.demand("return-routability");
  await settle();
  test.strictSame(
    later(),
    ["initiate return-routability", "initiate return-routability"],
    "asked again with the next packet",
  );
});

t.test("behind a NAT the children without transport mode take the place of the others", async (test) => {
  const { initiator, daemon, later, told } = await setup((one) => {
    one.nat = true;
    one.refused.add("signalling").add("prefix");
  });
  test.ok(daemon.children.has("signalling-nat"));
  initiator.demand("prefix");
  await settle();
  test.strictSame(later(), ["initiate prefix", "initiate prefix-nat"]);
  test.strictSame(told, []);
});

t.test("an IKE SA that the home agent has not moved ends, and another one is made from the new place", async (test) => {
  const { initiator, later, told, from } = await setup();
  const there = { ...ENDS, careOf: ipv6("2001:db8:b::2") };
  test.strictSame(initiator.moveTo(there), ENDS, "it lies elsewhere");
  initiator.renegotiate(there);
  await settle();
  test.strictSame(later(), ["terminate", "initiate signalling", "initiate payload"]);
  test.strictSame(from, [ENDS.careOf, there.careOf]);
  test.strictSame(told, []);
});

t.test("without a care-of address nothing is asked for", async (test) => {
  const { initiator, later } = await setup();
  initiator.rest();
  initiator.demand("prefix");
  await settle();
  test.strictSame(later(), []);
});

t.test(
  "at home nothing is negotiated: not for a packet, not after a failure, not with a new IKE daemon",
  async (test) => {
    const { initiator, daemon, later, told, timers } = await setup((one) => one.refused.add("payload"));
    test.strictSame(told, ["failure: payload refused"]);
    initiator.rest();
    const before = later().length;
    test.equal(timers.pending.size, 0, "no further attempt is due");
    initiator.demand("prefix");
    initiator.daemonDown();
    await initiator.daemonUp();
    await settle();
    test.equal(later().length, before);
    daemon.refused.clear();
    initiator.secure({ ...ENDS, careOf: ipv6("2001:db8:b::2") });
    await settle();
    test.strictSame(
      later().slice(before),
      ["initiate signalling", "initiate payload"],
      "away again, and nothing of before",
    );
  },
);
