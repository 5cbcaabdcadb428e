/** What happens when charon writes more than anybody can listen to. */
import { mock } from "node:test";
import t from "tap";
import { NegotiationWatch } from "../../../../controller/daemon/security/negotiation-watch.js";
import { isAgreement } from "../../../../controller/ike/mobike.js";
import { Counters } from "../../../../controller/store/events.js";
import { encodeMessage, type ViciSection } from "../../../../controller/vici/message.js";

const PAUSE_MS = 10_000;
const line = (msg: string): ViciSection => ({ group: "IKE", level: "1", "ikesa-uniqueid": "7", msg });
const octets = (msg: string): Uint8Array => encodeMessage(line(msg));
const AGREED = octets("peer supports MOBIKE");
const FLOOD = octets("received proposals: IKE:DES_CBC");

function watching(isNeeded?: (message: Uint8Array) => boolean) {
  const asked: boolean[] = [];
  const counters = new Counters();
  const watch = new NegotiationWatch({
    counters,
    subscribers: 1,
    ...(isNeeded && { isNeeded }),
    listen: (on) => {
      asked.push(on);
      return Promise.resolve();
    },
    report: () => undefined,
  });
  /** Whether the last line of so many was passed over. */
  const flood = (): boolean => Array.from({ length: 25_000 }, () => watch.isNoise("log", FLOOD)).at(-1) === true;
  return { watch, counters, asked, flood };
}

t.test("above the budget charon is asked to stop, and after a while to go on", (test) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  test.teardown(() => mock.timers.reset());
  const { watch, counters, asked, flood } = watching();
  test.equal(watch.isNoise("log", FLOOD), false);
  test.equal(flood(), true);
  test.equal(watch.isNoise("log", AGREED), true, "nobody needs it");
  test.equal(watch.isNoise("ike-updown", FLOOD), false);
  test.strictSame(asked, [false]);
  mock.timers.tick(PAUSE_MS);
  test.strictSame(asked, [false, true]);
  test.strictSame(counters.toJSON(), { pauses: 1 });
  test.end();
});

t.test("with MOBIKE charon writes on, so that no agreement is lost in a flood", (test) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  test.teardown(() => mock.timers.reset());
  const { watch, counters, asked, flood } = watching(isAgreement);
  test.equal(flood(), true);
  test.equal(watch.isNoise("log", AGREED), false);
  test.equal(watch.isNoise("log", FLOOD), true);
  mock.timers.tick(PAUSE_MS);
  test.strictSame(asked, [], "it never stopped");
  test.equal(counters.toJSON()["pauses"], 1);
  watch.reset();
  test.end();
});
