/** How a procedure with a correspondent is told to people. */
import t from "tap";
import { proceduresOf, procedureText } from "../../../controller/control/procedure-text.js";
import { type EventDocument, eventDocument } from "../../../schemas/control.js";

const HOA = "2001:db8:1::101";
const [CN, OTHER] = ["2001:db8:c::2", "2001:db8:c::3"] as const;
const event = (name: string, ms: number, detail: object, correspondent: string = CN): EventDocument =>
  eventDocument.parse({
    time: new Date(Date.UTC(2026, 0, 1) + ms).toISOString(),
    event: name,
    homeAddress: HOA,
    detail: { correspondent, ...detail },
  });
const COA = { careOf: "2001:db8:a::101" };
const EVENTS: readonly EventDocument[] = [
  event("correspondent.started", 0, COA),
  event("registration.completed", 1, {}),
  event("correspondent.tested", 3, { test: "care-of", ...COA, milliseconds: 2 }),
  event("correspondent.started", 4, COA, OTHER),
  event("correspondent.tested", 84, { test: "home", milliseconds: 83 }),
  event("correspondent.bound", 90, { ...COA, lifetimeSeconds: 420 }),
  event("correspondent.failed", 700, { reason: "no answer" }, OTHER),
  event("correspondent.left", 5000, { reason: "command" }),
  event("correspondent.started", 9000, COA),
  event("correspondent.lost", 9001, { reason: "lifetime" }),
];

t.test("a procedure is told with the time since its beginning, each pair by itself", (test) => {
  test.equal(
    procedureText(proceduresOf(EVENTS)),
    `${HOA} with ${CN}
  2026-01-01T00:00:00.000Z  begins from 2001:db8:a::101
                     +3 ms  care-of test from 2001:db8:a::101: answered in 2 ms
                    +84 ms  home test: answered in 83 ms
                    +90 ms  bound at 2001:db8:a::101 for 420 s
                  +5000 ms  given up: command
  2026-01-01T00:00:09.000Z  begins from 2001:db8:a::101
                     +1 ms  lost: lifetime

${HOA} with ${OTHER}
  2026-01-01T00:00:00.004Z  begins from 2001:db8:a::101
                   +696 ms  failed: no answer`,
  );
  test.end();
});

t.test("of one correspondent, of one whose beginning is not kept any more, and of nobody", (test) => {
  test.strictSame(
    proceduresOf(EVENTS, OTHER).map((one) => one.event),
    ["correspondent.started", "correspondent.failed"],
  );
  test.equal(
    procedureText(proceduresOf(EVENTS.slice(4), CN).slice(0, 2)),
    `${HOA} with ${CN}
  2026-01-01T00:00:00.084Z  home test: answered in 83 ms
                     +6 ms  bound at 2001:db8:a::101 for 420 s`,
  );
  test.equal(procedureText(proceduresOf(EVENTS, "2001:db8:c::4")), "nothing has happened lately");
  test.end();
});
