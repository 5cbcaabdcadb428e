/** Home agent address discovery of a node: when it asks, how often, and whose answers it believes (RFC 6275 §11.4.1). */
import t from "tap";
import { type Ipv6Address, ipv4, ipv6, type Prefix, parsePrefix } from "../../../../../controller/base/ip.js";
import {
  type AnycastPorts,
  homeAgentsByAnycast,
} from "../../../../../controller/daemon/mobile-node/discovery/by-anycast.js";
import { decodeIcmpv6, encodeIcmpv6 } from "../../../../../controller/wire/icmpv6.js";

const HERE = ipv6("2001:db8:a::10");
const ANYCAST = "2001:db8:1:0:fdff:ffff:ffff:fffe";
const PREFIXES = ["198.51.100.0/24", "2001:db8:1::/64"].map(parsePrefix) as Prefix[];
const [ONE, TWO] = [ipv6("2001:db8:1::1"), ipv6("2001:db8:1::2")];

class World implements AnycastPorts {
  readonly sent: {
    readonly identifier: number;
    readonly from: Ipv6Address;
    readonly to: Ipv6Address;
    readonly mobileRouter: boolean;
  }[] = [];
  readonly waits: number[] = [];
  address: Ipv6Address | undefined = HERE;
  closed = 0;
  refusal: Error | undefined;
  #receive: (bytes: Uint8Array) => void = () => undefined;
  #due: (() => void) | undefined;
  #identifiers = 100;

  open(onReply: (bytes: Uint8Array) => void): ReturnType<AnycastPorts["open"]> {
    if (this.refusal !== undefined) throw this.refusal;
    this.#receive = onReply;
    return {
      send: (bytes, from, to) => {
        const message = decodeIcmpv6(bytes);
        if (!message.ok || message.value.type !== "home-agent-address-discovery-request") throw new Error("no request");
        const { identifier, flags } = message.value;
        this.sent.push({ identifier, from, to, mobileRouter: flags.mobileRouter });
        if (this.sent.length === 2) throw new Error("no way there");
      },
      close: () => void this.closed++,
    };
  }
  source = () => this.address;
  identifier = () => ++this.#identifiers;
  setTimer = (delayMs: number, done: () => void) => {
    this.waits.push(delayMs / 1000);
    this.#due = done;
    return () => {
      this.#due = undefined;
    };
  };

  elapse(): void {
    const due = this.#due;
    this.#due = undefined;
    due?.();
  }

  hear(identifier: number, ...addresses: readonly Ipv6Address[]): void {
    const flags = { mobileRouter: false };
    this.#receive(encodeIcmpv6({ type: "home-agent-address-discovery-reply", identifier, flags, addresses }));
  }
}

t.test("F6275-11.4.1-01: it asks five times, with 3 s and twice as long each time, and then gives up", async (test) => {
  const world = new World();
  const found = homeAgentsByAnycast({ homePrefixes: PREFIXES, mobileRouter: false }, world);
  for (let attempt = 0; attempt < 6; attempt++) world.elapse();
  test.match(await found, { candidates: [], faults: [/nobody has answered/] });
  test.strictSame(world.waits, [3, 6, 12, 24, 48]);
  test.strictSame(
    world.sent.map(({ from, to }) => [from, to]),
    Array.from({ length: 5 }, () => [HERE, ANYCAST]),
  );
  test.equal(world.closed, 1);
});

t.test("an answer to one of its questions is believed, in its order, and no other", async (test) => {
  const world = new World();
  const found = homeAgentsByAnycast({ homePrefixes: PREFIXES, ipv4: ipv4("203.0.113.1"), mobileRouter: true }, world);
  world.elapse();
  world.hear(7, ipv6("2001:db8:666::1"));
  world.hear(world.sent[0]?.identifier ?? 0, ipv6("fe80::1"), TWO, ONE);
  test.equal(world.sent[0]?.mobileRouter, true);
  test.strictSame(await found, {
    candidates: [TWO, ONE].map((address) => ({ ipv6: address, ipv4: "203.0.113.1", name: address })),
    faults: [],
  });
  test.equal(world.closed, 1);
});

t.test("R5555-2.1-01: where there is no IPv6 nothing is sent", async (test) => {
  const world = new World();
  world.address = undefined;
  test.match(await homeAgentsByAnycast({ homePrefixes: PREFIXES, mobileRouter: false }, world), {
    candidates: [],
    faults: [/no IPv6 network/],
  });
  test.strictSame([world.sent, world.closed], [[], 0]);
  const blind = new World();
  blind.refusal = new Error("EPERM");
  test.match(await homeAgentsByAnycast({ homePrefixes: PREFIXES, mobileRouter: false }, blind), { candidates: [] });
});
