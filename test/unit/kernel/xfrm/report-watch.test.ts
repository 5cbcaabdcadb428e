/** Reports of refused Home Address options: what they say, and that a flood of them is not listened to. */
import t from "tap";
import { type Ipv6Address, ipToBytes, ipv6 } from "../../../../controller/base/ip.js";
import { XFRMNLGRP_REPORT } from "../../../../controller/kernel/notification-constants.js";
import { XFRM_MSG_REPORT, XFRMA_COADDR } from "../../../../controller/kernel/xfrm/constants.js";
import { XFRM_STRUCTS } from "../../../../controller/kernel/xfrm/layout.js";
import { type RefusedOption, watchReports } from "../../../../controller/kernel/xfrm/report-watch.js";

const [CARE_OF, HOME_AGENT, HOME] = ["2001:db8:a::2", "2001:db8:1::1", "2001:db8:1::100"].map(ipv6) as [
  Ipv6Address,
  Ipv6Address,
  Ipv6Address,
];

/** Written from linux/xfrm.h and linux/netlink.h. */
function report(protocol = 60): Uint8Array {
  const body = Buffer.alloc(XFRM_STRUCTS.xfrm_user_report.size);
  body[0] = protocol;
  body.set(ipToBytes(HOME_AGENT), 4);
  body.set(ipToBytes(HOME), 20);
  body[48] = 58;
  const attribute = Buffer.alloc(4);
  attribute.writeUInt16LE(20, 0);
  attribute.writeUInt16LE(XFRMA_COADDR, 2);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length + 20, 0);
  header.writeUInt16LE(XFRM_MSG_REPORT, 4);
  return new Uint8Array(Buffer.concat([header, body, attribute, ipToBytes(CARE_OF)]));
}

function bench() {
  const refused: RefusedOption[] = [];
  const opened: { closed: boolean; hear: (datagram: Uint8Array) => void; groups: readonly number[] }[] = [];
  const timers: (() => void)[] = [];
  const failures: unknown[] = [];
  let refusing = false;
  const watch = watchReports({
    openTransport: (_family, groups) => {
      if (refusing) throw new Error("EMFILE");
      const one = { closed: false, hear: (_: Uint8Array): void => undefined, groups };
      opened.push(one);
      return {
        send: () => undefined,
        onDatagram: (listener) => {
          one.hear = listener;
        },
        onOverrun: () => undefined,
        close: () => {
          one.closed = true;
        },
      };
    },
    setTimer: (_delay, callback) => {
      timers.push(callback);
      return () => undefined;
    },
    onHeard: (packet) => refused.push(packet),
    onError: (error) => failures.push(error),
  });
  const refuse = (value: boolean): void => {
    refusing = value;
  };
  return { watch, refused, opened, timers, failures, refuse };
}

t.test("a report says who sent which home address to whom", (test) => {
  const { refused, opened } = bench();
  test.strictSame(opened[0]?.groups, [XFRMNLGRP_REPORT]);
  opened[0]?.hear(report());
  test.strictSame(refused, [{ source: CARE_OF, destination: HOME_AGENT, homeAddress: HOME, protocol: 58 }]);
  opened[0]?.hear(report(43));
  for (let length = 0; length < report().length; length++) opened[0]?.hear(report().subarray(0, length));
  test.equal(refused.length, 1, "other transformations, and what is cut short, are nothing");
  test.end();
});

t.test("after a burst nobody listens for a while; a socket that can't be opened is tried again", (test) => {
  const { watch, refused, opened, timers, failures, refuse } = bench();
  for (let i = 0; i < 1000; i++) opened[0]?.hear(report());
  test.equal(refused.length, 32);
  test.ok(opened[0]?.closed);
  test.equal(timers.length, 1);
  refuse(true);
  timers.shift()?.();
  test.equal(failures.length, 1);
  refuse(false);
  timers.shift()?.();
  test.equal(opened.length, 2);
  opened[1]?.hear(report());
  test.equal(refused.length, 33);
  watch.close();
  test.ok(opened[1]?.closed);
  timers.shift()?.();
  test.equal(opened.length, 2);
  test.end();
});
