/** Why answers that are on the wire do not get to the daemon, in one sentence and once. */
import t from "tap";
import { type AnswerCounts, FilteredAnswers } from "../../../../controller/daemon/mobile-node/filtered-answers.js";

async function said(...counts: readonly AnswerCounts[]): Promise<string[]> {
  const told: string[] = [];
  const waiting = [...counts];
  const watch = new FilteredAnswers({
    homeAgent: "203.0.113.1",
    tunDevice: "dsmip-sig",
    counts: () => Promise.resolve(waiting.shift() ?? { arrived: 0, steered: 0, read: 0 }),
    tell: (reason) => void told.push(reason),
  });
  for (const _ of counts) await watch.updateSent();
  return told;
}

const at = (arrived: number, steered: number, read: number): AnswerCounts => ({ arrived, steered, read });

t.test("silence, and answers that are read, are nobody's filter", async (test) => {
  test.strictSame(await said(at(5, 5, 5), at(5, 5, 5), at(5, 5, 5)), []);
  test.strictSame(await said(at(5, 5, 5), at(6, 6, 6), at(7, 7, 7)), []);
  test.strictSame(await said(at(5, 5, 5), at(0, 0, 5)), [], "the table was made anew");
});

t.test("answers that the input chains take are told once, and again after one was read", async (test) => {
  const told = await said(at(1, 1, 1), at(2, 1, 1), at(3, 1, 1), at(4, 2, 2), at(5, 2, 2));
  test.equal(told.length, 2);
  test.match(told[0], /a firewall of this machine drops them: let UDP from port 4191 of 203\.0\.113\.1/);
});

t.test("answers that IPsec or a filter behind it takes", async (test) => {
  const told = await said(at(1, 1, 1), at(2, 2, 1));
  test.match(told, [/let protocols 50 and 135 in on dsmip-sig/]);
});
