/** The kernel's questions about correspondents: who sends to whom, by whose policy; that a flood of them is not listened to, and told. */
import t from "tap";
import { type IpAddress, ipToBytes, ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { XFRMNLGRP_ACQUIRE } from "../../../../controller/kernel/notification-constants.js";
import {
  AF_INET,
  AF_INET6,
  IPPROTO_DSTOPTS,
  IPPROTO_ESP,
  XFRM_MSG_ACQUIRE,
  XFRM_MSG_DELSA,
  XFRMA_TMPL,
} from "../../../../controller/kernel/xfrm/constants.js";
import { type Demand, forgetQuestions, watchDemand } from "../../../../controller/kernel/xfrm/demand-watch.js";
import { XFRM_STRUCTS } from "../../../../controller/kernel/xfrm/layout.js";
import type { NetlinkRequest } from "../../../../controller/netlink/message.js";
import { OWNERSHIP } from "../../../../controller/plan/objects/objects.js";

const [HOME, CORRESPONDENT] = [ipv6("2001:db8:1::100"), ipv6("2001:db8:c::2")];
const REQID = OWNERSHIP.reqidBase + 5;

interface Question {
  readonly protocol?: number;
  readonly templates?: readonly { readonly protocol: number; readonly reqid: number }[];
  readonly ends?: readonly [IpAddress, IpAddress];
  readonly family?: number;
}

/** Written from linux/xfrm.h and linux/netlink.h. */
function acquire({
  protocol = IPPROTO_DSTOPTS,
  templates = [{ protocol: IPPROTO_DSTOPTS, reqid: REQID }],
  ends: [from, to] = [HOME, CORRESPONDENT],
  family = AF_INET6,
}: Question = {}): Uint8Array {
  const body = Buffer.alloc(XFRM_STRUCTS.xfrm_user_acquire.size);
  body[20] = protocol;
  body.set(ipToBytes(to), 40);
  body.set(ipToBytes(from), 40 + 16);
  body.writeUInt16LE(family, 40 + 40);
  const attribute = Buffer.alloc(4 + 64 * templates.length);
  attribute.writeUInt16LE(attribute.length, 0);
  attribute.writeUInt16LE(XFRMA_TMPL, 2);
  templates.forEach((template, i) => {
    attribute[4 + 64 * i + 20] = template.protocol;
    attribute.writeUInt32LE(template.reqid, 4 + 64 * i + 44);
  });
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length + attribute.length, 0);
  header.writeUInt16LE(XFRM_MSG_ACQUIRE, 4);
  return new Uint8Array(Buffer.concat([header, body, attribute]));
}

function bench() {
  const demands: Demand[] = [];
  const opened: {
    closed: boolean;
    hear: (datagram: Uint8Array) => void;
    overrun: () => void;
    groups: readonly number[];
  }[] = [];
  const timers: (() => void)[] = [];
  const failures: unknown[] = [];
  const state = { lost: 0, refusing: false };
  const watch = watchDemand({
    openTransport: (_family, groups) => {
      if (state.refusing) throw new Error("EMFILE");
      const one = { closed: false, hear: (_: Uint8Array): void => undefined, overrun: (): void => undefined, groups };
      opened.push(one);
      return {
        send: () => undefined,
        onDatagram: (listener) => {
          one.hear = listener;
        },
        onOverrun: (listener) => {
          one.overrun = listener;
        },
        close: () => {
          one.closed = true;
        },
      };
    },
    setTimer: (_delay, callback) => {
      timers.push(callback);
      return () => undefined;
    },
    onHeard: (demand) => demands.push(demand),
    onLost: () => {
      state.lost += 1;
    },
    onError: (error) => failures.push(error),
  });
  return { watch, demands, opened, timers, failures, state };
}

t.test("who sends to whom, and by which policy the kernel asks, in either family", (test) => {
  const { demands, opened } = bench();
  test.strictSame(opened[0]?.groups, [XFRMNLGRP_ACQUIRE]);
  opened[0]?.hear(acquire());
  test.strictSame(demands.splice(0), [{ homeAddress: HOME, correspondent: CORRESPONDENT, reqid: REQID }]);
  const ends = [ipv4("198.51.100.100"), ipv4("192.0.2.2")] as const;
  opened[0]?.hear(acquire({ ends, family: AF_INET }));
  test.strictSame(demands.splice(0), [{ homeAddress: ends[0], correspondent: ends[1], reqid: REQID }]);
  const nothing = [
    acquire({ protocol: IPPROTO_ESP }),
    acquire({ templates: [] }),
    acquire({ templates: [{ protocol: IPPROTO_DSTOPTS, reqid: 7 }] }),
    acquire({ templates: [{ protocol: IPPROTO_ESP, reqid: REQID }] }),
    acquire({ family: 17 }),
  ];
  for (const datagram of nothing) opened[0]?.hear(datagram);
  for (let length = 0; length < acquire().length; length++) opened[0]?.hear(acquire().subarray(0, length));
  test.strictSame(demands, [], "keys, strangers' questions, and what is cut short, are nothing");
  test.end();
});

t.test("after a burst, or when the kernel's queue was full, nobody listens for a while, and that is told", (test) => {
  const { watch, demands, opened, timers, failures, state } = bench();
  for (let i = 0; i < 1000; i++) opened[0]?.hear(acquire());
  test.equal(demands.length, 256);
  test.equal(opened[0]?.closed, true);
  state.refusing = true;
  timers[0]?.();
  test.equal(failures.length, 1);
  test.equal(state.lost, 0, "not heard yet");
  state.refusing = false;
  timers[1]?.();
  test.equal(state.lost, 1);
  opened[1]?.hear(acquire());
  test.equal(demands.length, 257);
  opened[1]?.overrun();
  test.equal(opened[1]?.closed, true);
  timers[2]?.();
  test.equal(state.lost, 2);
  watch.close();
  test.equal(opened[2]?.closed, true);
  test.end();
});

t.test("keys that others ask for begin no burst; after a quiet while nothing was lost", (test) => {
  const { demands, opened, timers, state } = bench();
  for (let i = 0; i < 1000; i++) opened[0]?.hear(acquire({ protocol: IPPROTO_ESP }));
  test.equal(timers.length, 0);
  opened[0]?.hear(acquire());
  timers[0]?.();
  opened[0]?.hear(acquire());
  test.equal(demands.length, 2);
  test.equal(state.lost, 0);
  test.equal(opened.length, 1);
  test.end();
});

t.test("the kernel forgets a question by its pair of addresses, and that it was none is no error", async (test) => {
  const sent: NetlinkRequest[] = [];
  const session = {
    execute: async (requests: readonly NetlinkRequest[]) => {
      for (const request of requests) sent.push(request);
      return [];
    },
  };
  await forgetQuestions(session, HOME, [CORRESPONDENT, ipv6("2001:db8:c::3")]);
  test.equal(sent.length, 2);
  const [{ family, type, body } = { family: "", type: 0, body: new Uint8Array(0) }] = sent;
  test.strictSame([family, type], ["xfrm", XFRM_MSG_DELSA]);
  // struct xfrm_usersa_id, then XFRMA_SRCADDR.
  test.strictSame([...body.subarray(0, 16)], [...ipToBytes(CORRESPONDENT)]);
  test.strictSame([...body.subarray(16, 20)], [0, 0, 0, 0], "no SPI");
  test.equal(Buffer.from(body).readUInt16LE(20), AF_INET6);
  test.equal(body[22], IPPROTO_DSTOPTS);
  test.strictSame([...body.subarray(-16)], [...ipToBytes(HOME)]);
});
