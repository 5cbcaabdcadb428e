/** Who starts IKE, and when: the initiator over an IKE daemon that is a list of answers. */
import t from "tap";
import { ipv6 } from "../../../controller/base/ip.js";
import { IkeInitiator } from "../../../controller/ike/initiator.js";
import { ViciError } from "../../../controller/vici/errors.js";
import type { ViciSection } from "../../../controller/vici/message.js";
import { FakeTimers } from "../../lib/netlink-fake.js";

const HERE = { careOf: ipv6("2001:db8:a::1"), homeAgent: ipv6("2001:db8:1::1") };
const SA: ViciSection = {
  "dsmipd-a": { state: "ESTABLISHED", "local-host": HERE.careOf, "remote-host": HERE.homeAgent },
};

const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
};

function setup(options: {
  readonly complete: boolean;
  /** Lines of charon's log, and then its answer. */
  readonly refusal?: readonly string[];
  readonly answer?: string;
}) {
  const asked: string[] = [];
  const failures: string[] = [];
  const sas: ViciSection[] = [];
  const daemon = {
    command: async (name: string) => {
      asked.push(name);
      return {};
    },
    stream: async (
      name: string,
      section: ViciSection,
      _event: string,
      { onMessage }: { readonly onMessage?: (message: ViciSection) => void } = {},
    ) => {
      if (name === "list-sas") return sas;
      asked.push(`${name} ${section["child"]}`);
      if (options.refusal === undefined) return [];
      for (const msg of options.refusal) onMessage?.({ "ikesa-uniqueid": "1", msg });
      throw new ViciError(options.answer ?? "charon refused initiate", { reason: "refused", command: name });
    },
  };
  const timers = new FakeTimers();
  const initiator = new IkeInitiator({
    daemon,
    name: "dsmipd-a",
    setTimer: timers.set,
    connection: () => ({}),
    protectPayload: true,
    keepsKnown: true,
    isComplete: () => options.complete,
    onFailure: (reason) => failures.push(reason),
    onRefusal: () => undefined,
  });
  return { initiator, asked, failures, sas, timers };
}

const MADE = ["load-conn", "initiate signalling", "initiate payload"];

t.test("what is missing is negotiated once the IKE daemon is there", async (test) => {
  const { initiator, asked } = setup({ complete: false });
  initiator.secure(HERE);
  await settle();
  test.strictSame(asked, [], "nobody there to ask");
  await initiator.daemonUp();
  await settle();
  test.strictSame(asked, MADE);
});

t.test(
  "associations without an IKE SA are made anew: the daemon that would have renewed them is dead",
  async (test) => {
    const { initiator, asked, failures, timers } = setup({
      complete: true,
      refusal: ["establishing IKE_SA failed, peer not responding"],
    });
    await initiator.daemonUp();
    initiator.moveTo(HERE);
    await settle();
    test.strictSame(asked, ["load-conn", "initiate signalling", "terminate"]);
    test.strictSame(failures, [], "they serve as long as they live, so nothing has failed yet");
    test.equal(timers.pending.size, 1, "tried again later");
  },
);

t.test("associations with their IKE SA are left alone", async (test) => {
  const { initiator, asked, sas } = setup({ complete: true });
  sas.push(SA);
  await initiator.daemonUp();
  initiator.secure(HERE);
  test.equal(initiator.moveTo(HERE), undefined);
  await settle();
  test.strictSame(asked, []);
});

t.test("a failure is told in charon's words, with what helps", async (test) => {
  const { initiator, failures } = setup({ complete: false, refusal: ["received AUTHENTICATION_FAILED notify error"] });
  await initiator.daemonUp();
  initiator.secure(HERE);
  await settle();
  test.match(failures, [/^received AUTHENTICATION_FAILED notify error; compare identities/]);
  const silent = setup({ complete: false, refusal: ["something else"] });
  await silent.initiator.daemonUp();
  silent.initiator.secure(HERE);
  await settle();
  test.strictSame(silent.failures, ["charon refused initiate"], "without such words its bare refusal");
  const answer = "charon refused initiate: CHILD_SA 'signalling' not established after 8000ms";
  const overdue = setup({ complete: false, refusal: [], answer });
  await overdue.initiator.daemonUp();
  overdue.initiator.secure(HERE);
  await settle();
  test.match(overdue.failures, [
    /^CHILD_SA 'signalling' not established after 8000ms; see that the other end's charon/,
  ]);
});

t.test("an attempt that a move has overtaken is made again from the new place", async (test) => {
  const { initiator, asked } = setup({ complete: false, refusal: [] });
  await initiator.daemonUp();
  initiator.secure(HERE);
  // Accepted elsewhere while the attempt is under way: nobody asks for anything again.
  for (let turn = 0; turn < 3; turn++) await Promise.resolve();
  initiator.moveTo({ ...HERE, careOf: ipv6("2001:db8:b::2") });
  await settle();
  test.ok(asked.filter((one) => one === "load-conn").length >= 2, asked.join(", "));
});
