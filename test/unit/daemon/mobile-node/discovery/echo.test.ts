/** Who answers an echo request is there: of either family, asked three times at most. */
import t from "tap";
import { type IpAddress, ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import { answersEcho } from "../../../../../controller/daemon/mobile-node/discovery/echo.js";
import { encodeIcmpEcho } from "../../../../../controller/wire/ip/icmp-echo.js";

const IDENTIFIER = 0x1234;

class World {
  readonly sent: { readonly hex: string; readonly source: IpAddress; readonly destination: IpAddress }[] = [];
  readonly timers: (() => void)[] = [];
  open = 0;
  refusal: Error | undefined;
  hear = (_bytes: Uint8Array, _source: IpAddress): void => undefined;

  ask(destination: IpAddress, source: IpAddress): Promise<boolean> {
    return answersEcho(destination, source, {
      identifier: () => IDENTIFIER,
      setTimer: (_, run) => {
        this.timers.push(run);
        return () => void this.timers.splice(this.timers.indexOf(run), 1);
      },
      open: (_, onReply) => {
        if (this.refusal !== undefined) throw this.refusal;
        this.open += 1;
        this.hear = onReply;
        return {
          send: (bytes, from, to) =>
            void this.sent.push({ hex: Buffer.from(bytes).toString("hex"), source: from, destination: to }),
          close: () => {
            this.open -= 1;
          },
        };
      },
    });
  }
}

const HA6 = ipv6("2001:db8:1::1");
const HA4 = ipv4("203.0.113.1");
const reply4 = (identifier: number, isReply = true): Uint8Array =>
  encodeIcmpEcho({ isReply, identifier, sequence: 0, data: new Uint8Array() });
const reply6 = (identifier: number, type = 129): Uint8Array =>
  Uint8Array.of(type, 0, 0xab, 0xcd, identifier >> 8, identifier & 0xff, 0, 0);

t.test("over IPv6: what is not the reply to our own question is nothing", async (test) => {
  const world = new World();
  const answer = world.ask(HA6, ipv6("2001:db8:a::2"));
  test.strictSame(world.sent, [{ hex: "8000000012340000", source: "2001:db8:a::2", destination: HA6 }]);
  world.hear(reply6(IDENTIFIER), ipv6("2001:db8:1::9"));
  world.hear(reply6(IDENTIFIER + 1), HA6);
  world.hear(reply6(IDENTIFIER, 128), HA6);
  world.hear(Uint8Array.of(129, 0), HA6);
  test.equal(world.open, 1);
  world.hear(reply6(IDENTIFIER), HA6);
  test.equal(await answer, true);
  test.strictSame([world.open, world.timers.length], [0, 0]);
});

t.test("over IPv4: asked three times, and then nobody is there", async (test) => {
  const world = new World();
  const answer = world.ask(HA4, ipv4("10.0.0.2"));
  world.hear(reply4(IDENTIFIER, false), HA4);
  for (let i = 0; i < 3; i++) world.timers.splice(0)[0]?.();
  test.equal(await answer, false);
  test.strictSame([world.sent.length, world.open], [3, 0]);
  test.match(world.sent[0]?.hex, /^0800....12340000$/);
  const again = world.ask(HA4, ipv4("10.0.0.2"));
  world.hear(reply4(IDENTIFIER), HA4);
  test.equal(await again, true);
  world.refusal = new Error("no socket");
  test.equal(await world.ask(HA4, ipv4("10.0.0.2")), false);
});
