/** Lifetimes of a correspondent's nonces. */
import t from "tap";
import { after, instant, seconds } from "../../../../../controller/base/time.js";
import { NonceTable } from "../../../../../controller/protocol/mip6/return-routability/nonces.js";

const START = instant(5_000_000);
const at = (second: number) => after(START, seconds(second));
const entropy = (octet: number): Uint8Array => new Uint8Array(16).fill(octet);

t.test("F6275-5.2.7-01 F6275-5.2.2-01: a new nonce every 30 s, each is accepted for 240 s and then discarded", (t) => {
  const table = new NonceTable(41);
  const first = table.current(at(0), entropy(1));
  t.equal(first.index, 42);
  t.equal(table.current(at(29.9), entropy(2)), first);
  const second = table.current(at(30), entropy(3));
  t.strictSame([second.index, second.octets], [43, new Uint8Array(8).fill(3)]);
  t.equal(table.find(42, at(240)), first);
  t.equal(table.find(42, at(240.1)), undefined);
  t.equal(table.find(43, at(240.1)), second);
  t.equal(table.find(44, at(240.1)), undefined, "nobody was given that one yet");
  t.end();
});

t.test("F6275-5.2.7-01: under constant demand no more are kept than can be accepted", (t) => {
  const table = new NonceTable(0);
  for (let second = 0; second < 3000; second++) table.current(at(second), entropy(second & 0xff));
  t.equal(table.size, 9, "eight former ones and the present one");
  t.end();
});

t.test("F6275-5.2.2-01: after a pause no former nonce is left, and indices go round without 0", (t) => {
  const table = new NonceTable(0xfffe);
  t.equal(table.current(at(0), entropy(1)).index, 0xffff);
  t.equal(table.current(at(1000), entropy(2)).index, 1);
  t.equal(table.size, 1);
  t.equal(new NonceTable(0xffff).current(at(0), entropy(1)).index, 1);
  t.end();
});
