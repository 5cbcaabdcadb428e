import t from "tap";
import { combine, decodeFlowPacket, encodeFlowPacket, FlowRecord } from "../../demo/flow-record.js";

function flow(arrivals: readonly number[], period = 20): FlowRecord {
  const record = new FlowRecord();
  arrivals.forEach((count, i) => {
    const sequence = record.send(i * period);
    for (let n = 0; n < count; n++) record.receive(sequence, i * period + 7 + n);
  });
  return record;
}

t.test("losses, duplicates and the longest outage", (test) => {
  const record = flow([1, 1, 0, 1, 0, 0, 0, 2, 1]);
  test.strictSame(record.summary(0, 9), { sent: 9, lost: 4, duplicated: 1, outageMs: 60, excused: 0 });
  test.strictSame(record.summary(0, 3), { sent: 3, lost: 1, duplicated: 0, outageMs: 20, excused: 0 });
  test.equal(record.summary(0, 9, [{ from: 80, to: 120 }]).excused, 3);
  test.equal(record.arrivedSince(4), 2);
  test.strictSame(record.delays(2, 9), [7, 7, 7], "of the first copy of what has arrived");
  test.end();
});

t.test("an outage that lasts to the end, and a flow of nothing", (test) => {
  test.equal(flow([1, 0, 0]).summary(0, 3).outageMs, 20);
  test.strictSame(new FlowRecord().summary(0, 0), { sent: 0, lost: 0, duplicated: 0, outageMs: 0, excused: 0 });
  test.end();
});

t.test("sums over flows", (test) => {
  const sum = combine([flow([1, 0, 1]).summary(0, 3), flow([2, 1, 1]).summary(0, 3)]);
  test.strictSame(sum, { sent: 6, lost: 1, duplicated: 1, excused: 0, outageMs: 20 });
  test.end();
});

t.test("packets, and what is none of them", (test) => {
  test.strictSame(decodeFlowPacket(encodeFlowPacket({ flow: 3, sequence: 70000 })), { flow: 3, sequence: 70000 });
  test.equal(decodeFlowPacket(new Uint8Array(12)), undefined);
  test.equal(decodeFlowPacket(new Uint8Array(3)), undefined);
  test.end();
});
