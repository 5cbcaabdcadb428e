/** The numbers themselves, spelled out: the machines' tests read them from the same table and would follow any change of it. */
import t, { type Test } from "tap";
import {
  HOME_DRAIN,
  PATH_RETRY_FIRST,
  PATH_RETRY_MAX,
  PROHIBITED_RETRY,
  REFRESH_FRACTION,
  REFUSED_RETRY_FIRST,
  REFUSED_RETRY_MAX,
  STOP_ATTEMPTS,
} from "../../../../controller/protocol/mip6/mobile-node/timers.js";
import { LIMITS, type LimitEntry, TIMERS, type TimerEntry } from "../../../../controller/protocol/mip6/timers.js";

/** A row that is added later needs none here; one that is here cannot change or go unseen. */
function holds(test: Test, table: { readonly [key: string]: TimerEntry | LimitEntry }, rows: Record<string, string>) {
  for (const [key, row] of Object.entries(rows)) test.equal(`${table[key]?.default} ${table[key]?.unit}`, row, key);
}

t.test("the timers have the values of RFC 6275 §12, §13 and RFC 5555 §6, and our own theirs", async (test) => {
  holds(test, TIMERS, {
    initialBindingAcknowledgement: "1 seconds",
    initialBindingAcknowledgementFirst: "1.5 seconds",
    maxBindingAcknowledgement: "32 seconds",
    initialDiscovery: "3 seconds",
    maxDiscovery: "48 seconds",
    natKeepalive: "110 seconds",
    deletedBinding: "10 seconds",
    dataPath: "3 seconds",
    duplicateAddressDetection: "3 seconds",
  });
});

t.test("the limits too", async (test) => {
  holds(test, LIMITS, {
    updateRate: "3 per second",
    ipv6Attempts: "3 messages",
    bindingErrorRate: "10 per second",
    formerEndpoints: "8 entries",
    discoveryRetries: "4 messages",
    listedHomeAgents: "128 entries",
    addressesOfHomeAgent: "8 entries",
    deadlinesPerStep: "1000 entries",
  });
});

t.test("and the clocks of the mobile node that are in no RFC", async (test) => {
  const [none, ...waits] = [HOME_DRAIN, PATH_RETRY_FIRST, PATH_RETRY_MAX, REFUSED_RETRY_FIRST, REFUSED_RETRY_MAX];
  test.strictSame([none, ...waits, PROHIBITED_RETRY], [0.25, 1, 32, 2, 64, 300]);
  test.strictSame([STOP_ATTEMPTS, REFRESH_FRACTION], [3, 0.75]);
});
