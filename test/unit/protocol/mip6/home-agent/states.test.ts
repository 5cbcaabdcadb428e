import t from "tap";
import {
  BINDING_STATES,
  type BindingEvent,
  type BindingState,
  isBound,
  isWaiting,
  nextBindingState,
} from "../../../../../controller/protocol/mip6/home-agent/states.js";

const STATES = Object.keys(BINDING_STATES) as BindingState[];
const EVENTS = [...new Set(STATES.flatMap((state) => Object.keys(BINDING_STATES[state])))] as BindingEvent[];

function reachable(from: BindingState): ReadonlySet<BindingState> {
  const seen = new Set([from]);
  for (const state of seen) for (const next of Object.values(BINDING_STATES[state])) seen.add(next);
  return seen;
}

t.test("every state can be reached, and from every state the entry can go away", async (test) => {
  test.strictSame([...reachable("absent")].sort(), [...STATES].sort());
  for (const state of STATES) test.ok(reachable(state).has("absent"), state);
});

t.test("an event that a state does not list is an error that names both", async (test) => {
  let illegal = 0;
  for (const state of STATES) {
    for (const event of EVENTS) {
      if (event in BINDING_STATES[state]) continue;
      illegal++;
      test.throws(() => nextBindingState(state, event), {
        code: "MIP_INVARIANT",
        message: `a binding that is ${state} has no event ${event}`,
      });
    }
  }
  test.equal(
    illegal + STATES.flatMap((state) => Object.keys(BINDING_STATES[state])).length,
    STATES.length * EVENTS.length,
  );
});

t.test("what waits for an answer and what counts as bound", async (test) => {
  test.strictSame(STATES.filter(isWaiting), ["awaiting-dad", "awaiting-data-path", "updating", "removing"]);
  test.strictSame(STATES.filter(isBound), ["awaiting-dad", "awaiting-data-path", "established", "updating"]);
});
