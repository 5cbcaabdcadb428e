/** When a node that need not be reached tells the home agent where it is. */
import t from "tap";
import { type Instant, seconds } from "../../../../controller/base/time.js";
import { Activity, packetsIn } from "../../../../controller/daemon/mobile-node/activity.js";

const at = (time: number): Instant => (time * 1000) as Instant;

t.test("after a silence longer than a NAT remembers, and not while packets go on", (test) => {
  const world = { packets: 7, now: 0, looks: [] as (() => void)[], woken: [] as number[] };
  const activity = new Activity(() => void world.woken.push(world.now), {
    packets: () => world.packets,
    now: () => at(world.now),
    setTimer: (_, done) => {
      world.looks.push(done);
      return () => void world.looks.splice(world.looks.indexOf(done), 1);
    },
  });
  const pass = (now: number, packets: number): void => {
    world.now = now;
    world.packets = packets;
    world.looks.shift()?.();
  };
  activity.follow({ acceptedAt: at(0), keepalive: undefined });
  test.equal(world.looks.length, 0, "there is no NAT");
  activity.follow({ acceptedAt: at(0), keepalive: seconds(100) });
  activity.follow({ acceptedAt: at(0), keepalive: seconds(100) });
  test.equal(world.looks.length, 1);
  pass(90, 7);
  pass(91, 8);
  pass(180, 9);
  test.strictSame(world.woken, [], "never silent for so long");
  pass(281, 9);
  pass(282, 10);
  pass(283, 11);
  test.strictSame(world.woken, [282], "once");
  activity.follow({ acceptedAt: at(400), keepalive: seconds(100) });
  pass(450, 12);
  test.strictSame(world.woken, [282], "the update has made the mapping anew");
  pass(600, 3);
  test.strictSame(world.woken, [282], "a tunnel is gone with what it had counted: nobody has talked");
  pass(601, 4);
  test.strictSame(world.woken, [282, 601]);
  activity.follow(undefined);
  test.equal(world.looks.length, 0);
  test.end();
});

t.test("what the node's tunnels have sent is counted, and nothing else", (test) => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1000      10    0    0    0     0          0         0     1000      10    0    0    0     0       0          0
dsmip-t4:      50       1    0    0    0     0          0         0      400       4    0    0    0     0       0          0
dsmip-tu:12345678       1    0    0    0     0          0         0      500       5    0    0    0     0       0          0
dsmip-sig:     50       1    0    0    0     0          0         0      600       6    0    0    0     0       0          0
`;
  test.equal(packetsIn(text), 9);
  test.equal(packetsIn(""), 0);
  test.end();
});
