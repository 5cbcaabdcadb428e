/** What is remembered of updates that are out, and what the mobile node counts from when one is answered. */
import t from "tap";
import { seq16 } from "../../../../../controller/base/seq16.js";
import { instant, seconds } from "../../../../../controller/base/time.js";
import {
  OUTSTANDING_MAX,
  refreshTime,
  registrationEnd,
  remember,
  type SentUpdate,
} from "../../../../../controller/protocol/mip6/mobile-node/binding-update-list.js";

const update = (sequence: number, sentAt = 0, lifetime = 600): SentUpdate => ({
  sequence: seq16(sequence),
  sentAt: instant(sentAt),
  lifetime: seconds(lifetime),
  forceUdp: false,
  ipv4Requested: true,
});

t.test(
  "the last sixteen updates are remembered, so that a home agent that never answers costs no memory",
  async (test) => {
    let outstanding: readonly SentUpdate[] = [];
    for (let i = 1; i <= 40; i++) outstanding = remember(outstanding, update(i));
    test.equal(OUTSTANDING_MAX, 16);
    test.strictSame(
      outstanding.map(({ sequence }) => sequence as number),
      Array.from({ length: 16 }, (_, i) => i + 25),
    );
  },
);

t.test("a NAT's mapping lives from the packet that made it, not from the answer", async (test) => {
  const terms = { granted: seconds(600), advice: undefined, now: instant(5000), end: instant(600_000) };
  test.equal(refreshTime(update(1, 1000), { ...terms, keepalive: seconds(20) }), 21_000);
  test.equal(
    refreshTime(update(1, 1000), { ...terms, keepalive: undefined }),
    451_000,
    "three quarters of the lifetime",
  );
  test.equal(
    refreshTime(update(1, 1000), { ...terms, keepalive: undefined, advice: seconds(60) }),
    65_000,
    "advice counts from where it arrives",
  );
  test.equal(
    refreshTime(update(1, 1000), { ...terms, keepalive: seconds(20), end: instant(9000) }),
    9000,
    "never later than the end",
  );
});

t.test(
  "F6275-11.7.3-01: what is left of the lifetime is what was asked, less the way and what was taken off",
  async (test) => {
    test.equal(registrationEnd(update(1, 1000), seconds(600), instant(4000)), 601_000);
    test.equal(registrationEnd(update(1, 1000), seconds(100), instant(4000)), 101_000);
    test.equal(registrationEnd(update(1, 1000, 600), seconds(2), instant(4000)), 4000, "never in the past");
  },
);
