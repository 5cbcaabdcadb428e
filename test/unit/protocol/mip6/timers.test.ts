/** The numbers themselves, spelled out: the machines' tests read them from the same table and would follow any change of it. */
import t from "tap";
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
import { LIMITS, TIMERS } from "../../../../controller/protocol/mip6/timers.js";

const rows = (table: { readonly [key: string]: typeof TIMERS.dataPath | typeof LIMITS.updateRate }) =>
  Object.fromEntries(Object.entries(table).map(([key, entry]) => [key, `${entry.default} ${entry.unit}`]));

t.test("the timers have the values of RFC 6275 §12, §13 and RFC 5555 §6, and our own theirs", async (test) => {
  test.strictSame(rows(TIMERS), {
    initialBindingAcknowledgement: "1 seconds",
    initialBindingAcknowledgementFirst: "1.5 seconds",
    maxBindingAcknowledgement: "32 seconds",
    natKeepalive: "110 seconds",
    deletedBinding: "10 seconds",
    dataPath: "3 seconds",
    duplicateAddressDetection: "3 seconds",
  });
});

t.test("the limits too", async (test) => {
  test.strictSame(rows(LIMITS), {
    updateRate: "3 per second",
    ipv6Attempts: "3 messages",
    bindingErrorRate: "10 per second",
    formerEndpoints: "8 entries",
    deadlinesPerStep: "1000 entries",
  });
});

t.test("and the clocks of the mobile node that are in no RFC", async (test) => {
  const [none, ...waits] = [HOME_DRAIN, PATH_RETRY_FIRST, PATH_RETRY_MAX, REFUSED_RETRY_FIRST, REFUSED_RETRY_MAX];
  test.strictSame([none, ...waits, PROHIBITED_RETRY], [0.25, 1, 32, 2, 64, 300]);
  test.strictSame([STOP_ATTEMPTS, REFRESH_FRACTION], [3, 0.75]);
});
