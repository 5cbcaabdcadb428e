/** What an operator asks of a home agent: the answer comes when what it says is so, and it comes whatever ends the binding. */
import t from "tap";
import { type Ipv6Address, ipv6 } from "../../../../controller/base/ip.js";
import { seq16 } from "../../../../controller/base/seq16.js";
import type { GroupState } from "../../../../controller/daemon/groups.js";
import { type CommandGround, HomeAgentCommands } from "../../../../controller/daemon/home-agent/commands.js";
import type { HomeAgentInput } from "../../../../controller/protocol/mip6/home-agent/inputs.js";
import { COA, HA, HOA, HOA_B, HOA4, HomeAgentHarness, native, option29 } from "../../../sim/home-agent-harness.js";

class Operated {
  readonly harness = new HomeAgentHarness();
  readonly answers: unknown[] = [];
  group: GroupState = "realised";
  stored: boolean | undefined = true;
  readonly #commands: HomeAgentCommands;

  constructor() {
    const ground: CommandGround = {
      push: (input) => this.turn(() => this.harness.step(input)),
      stateOf: () => this.group,
      flush: () => (this.stored === undefined ? undefined : Promise.resolve(this.stored)),
    };
    this.#commands = new HomeAgentCommands(this.harness.state, ground);
    this.update(1);
  }

  update(sequence: number, lifetimeUnits = 150): void {
    this.turn(() => this.harness.update(native(COA), { sequence, lifetimeUnits, options: [option29(HOA4)] }));
  }

  acknowledge(): void {
    const flags = { proxyBinding: false, ipv4HomeAddressOnly: false, global: false };
    const sequence = this.harness.state.revocationSequence;
    const message = { type: "binding-revocation-acknowledgement", status: 0, sequence, flags, options: [] } as const;
    this.turn(() => this.harness.deliver(native(COA), message));
  }

  step(input: HomeAgentInput): void {
    this.turn(() => this.harness.step(input));
  }

  turn(act: () => void): void {
    act();
    for (const { event } of this.harness.effects("notify")) this.#commands.see(event);
    this.harness.take();
    this.#commands.turnEnded();
  }

  programmed(state: GroupState, failure?: string): void {
    this.group = state;
    this.#commands.programmed(HOA, failure);
  }

  remove(part: "all" | "ipv4" = "all"): void {
    void this.#commands.run({ command: "remove", node: HOA, part })?.then(
      ({ outcome, status }) => this.answers.push({ outcome, status }),
      ({ code, message }) => this.answers.push({ code, message }),
    );
  }

  switch(to: Ipv6Address): void {
    void this.#commands.run({ command: "switch", node: HOA, to: [to] })?.then(
      ({ outcome }) => this.answers.push({ outcome }),
      ({ code, message }) => this.answers.push({ code, message }),
    );
  }

  async heard(): Promise<readonly unknown[]> {
    await new Promise(setImmediate);
    return this.answers.splice(0);
  }
}

const ACKNOWLEDGED = { outcome: "acknowledged", status: 0 };
const UNANSWERED = { outcome: "unanswered", status: null };

t.test("a binding has ended when the kernel has nothing of it any more, and the disk knows", async (test) => {
  const operated = new Operated();
  operated.remove();
  operated.group = "pending";
  operated.acknowledge();
  test.strictSame(await operated.heard(), [], "its objects are still there");
  operated.programmed("realised");
  test.strictSame(await operated.heard(), [ACKNOWLEDGED]);

  const kept = new Operated();
  kept.remove();
  kept.group = "pending";
  kept.acknowledge();
  test.strictSame(await kept.heard(), []);
  kept.programmed("failed", "EBUSY");
  test.match(await kept.heard(), [{ code: "MIP_KERNEL", message: /has ended, but the kernel keeps .*EBUSY/ }]);

  const unstored = new Operated();
  unstored.stored = false;
  unstored.remove();
  unstored.acknowledge();
  test.match(await unstored.heard(), [{ code: "MIP_JOURNAL", message: /a restart would bring it back/ }]);
});

t.test("whatever ends the binding, the operator is answered", async (test) => {
  const deregistered = new Operated();
  deregistered.remove();
  deregistered.update(2, 0);
  test.strictSame(await deregistered.heard(), [UNANSWERED]);

  const unstored = new Operated();
  unstored.update(2, 0);
  unstored.harness.advance(20);
  unstored.update(3);
  unstored.remove();
  unstored.step({ kind: "unstored", homeAddress: HOA, sequence: seq16(3) });
  test.strictSame(await unstored.heard(), [UNANSWERED], "the disk has refused what was told of it");

  const unbound = new Operated();
  unbound.turn(() => {
    unbound.harness.update(native(COA), { sequence: 2, lifetimeUnits: 0 });
  });
  unbound.remove();
  test.match(await unbound.heard(), [{ code: "MIP_NO_BINDING" }]);
});

t.test("who wants the whole to end is not told of its end by that of a part", async (test) => {
  const operated = new Operated();
  operated.remove("ipv4");
  operated.acknowledge();
  test.strictSame(await operated.heard(), [ACKNOWLEDGED]);
  operated.update(2);
  operated.remove("ipv4");
  operated.remove();
  operated.remove("ipv4");
  test.strictSame(await operated.heard(), []);
  operated.acknowledge();
  test.strictSame(await operated.heard(), [ACKNOWLEDGED, ACKNOWLEDGED, ACKNOWLEDGED]);
  test.equal(operated.harness.kernel.size, 0);
  test.equal(operated.harness.entry(HOA_B), undefined);
});

t.test("nodes are not sent where no home agent can be", async (test) => {
  const operated = new Operated();
  for (const bad of ["ff02::1", "fe80::1", "::", HA]) {
    operated.switch(ipv6(bad));
    test.match(await operated.heard(), [{ code: "MIP_COMMAND", message: /is no other home agent's/ }], bad);
  }
  test.strictSame(operated.harness.sends(), []);
  operated.switch(ipv6("2001:db8:1::2"));
  test.match(await operated.heard(), [{ outcome: "begun" }]);
});
