/**
 * What a mobile node asks for, as it is on the wire: updates of the real daemon, decrypted and taken apart, while a scripted home agent
 * answers in each of the ways that the RFCs know.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { isAfter } from "../../../controller/base/seq16.js";
import type { MobilityOption } from "../../../controller/wire/mip6/options/mobility.js";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { layersOf, layersOfKind } from "../lib/frame.js";
import { ALICE, HOME_AGENT } from "../lib/hostile.js";
import {
  CARE_OF,
  GRANTED,
  homeAddressOptionOf,
  optionIn,
  ScriptedHome,
  type SeenUpdate,
} from "../lib/scripted-home.js";
import { scaled } from "../lib/surroundings.js";
import { waitFor } from "../lib/wait.js";

const natDetection = (forceUdp: boolean, refreshSeconds: number): MobilityOption => ({
  kind: "nat-detection",
  forceUdp,
  refreshSeconds,
});

/** Whether a frame carries payload from the node's home address in UDP, or in protocol 41 or 4. */
function payloadFormat(frame: Uint8Array): "udp" | "plain" | undefined {
  const layers = layersOf(frame, 1);
  const carries = layersOfKind(layers, "icmp6").some(({ type }) => type === ECHO_REQUEST);
  if (!carries || layersOfKind(layers, "ipv4").length !== 1) return undefined;
  return layersOfKind(layers, "udp").length === 1 ? "udp" : "plain";
}
const ECHO_REQUEST = 128;
const NETWORK = "2001:db8:200::/64";
/** On the visited link. */
const NOBODY = "192.0.2.253";
const CORRESPONDENT = "2001:db8:c::9";

test("updates on a link with both families", async (t) => {
  const home = new ScriptedHome(t, [4, 6], () => ({ lifetimeUnits: 1, options: [GRANTED] }));
  await home.open();
  const first = await home.update(0);

  await t.test(
    "R5555-1.3-03 R5555-1.3-04 R5555-2.3.1-08 R5555-4.4.1-01: the first update leaves over IPv6, not in UDP, and asks for both home addresses",
    () => {
      assert.deepEqual([first.outer.kind, first.outer.source], ["ipv6", CARE_OF.ipv6]);
      assert.deepEqual(layersOfKind(first.layers, "udp"), []);
      assert.equal(optionIn(first, "ipv4-home-address")?.address, ALICE.ipv4HomeAddress);
    },
  );

  await t.test(
    "F6275-11.7.1-01 R5555-4.4.2-10: it has A and H, a Home Address option, an Alternate Care-of Address option and a lifetime",
    () => {
      const { flags, lifetimeUnits } = first.message;
      assert.deepEqual([flags.acknowledge, flags.homeRegistration], [true, true]);
      assert.equal(homeAddressOptionOf(first), ALICE.homeAddress);
      assert.equal(optionIn(first, "alternate-care-of-address")?.address, CARE_OF.ipv6);
      assert.equal(lifetimeUnits, 150);
    },
  );

  await t.test(
    "R5555-2.3.1-01 R5555-4.4.2-11 R5555-4.4.2-12: it goes to the home agent's IPv6 address with the static IPv4 home address in option 29",
    () => {
      assert.equal(first.outer.destination, HOME_AGENT.ipv6);
      const option = optionIn(first, "ipv4-home-address");
      assert.deepEqual([option?.address, option?.prefixLength], [ALICE.ipv4HomeAddress, 32]);
    },
  );

  await t.test("R5555-3.1.2-03 R5555-3.1.3-03: option 32 and the F flag are for IPv4 access", () => {
    assert.equal(optionIn(first, "ipv4-care-of-address"), undefined);
    assert.equal(first.message.flags.forceUdp, false);
  });

  await t.test(
    "R5555-5.2.1-02: the policy for updates selects Mobility Headers between home address and home agent",
    () => {
      const policies = home.mn.policies();
      const start = `src ${ALICE.homeAddress}/128 dst ${HOME_AGENT.ipv6}/128 proto mobility-header dir out `;
      const update = policies.find((line) => line.startsWith(start));
      assert.ok(update, `${start} is not among ${policies.join("\n")}`);
      assert.match(update, /proto esp .*mode transport/);
    },
  );

  await t.test("R5555-2.3.1-07: an answer without option 30 ends the asking for an IPv4 home address", async () => {
    home.answerWith(() => ({ lifetimeUnits: 1 }));
    const count = home.updates.length;
    await home.update(count);
    const next = await waitFor(
      () => home.updates.slice(count + 1).find((one) => optionIn(one, "ipv4-home-address") === undefined),
      {
        what: "a refresh without option 29",
        timeout: 20_000,
      },
    );
    assert.equal(next.message.lifetimeUnits > 0, true);
  });

  await t.test("F6275-11.7.3-02: status 135 gives the number after which the next update goes on", async () => {
    let refused: SeenUpdate | undefined;
    home.answerWith((update) => {
      if (refused !== undefined) return { lifetimeUnits: 150, options: [GRANTED] };
      refused = update;
      return { status: BindingStatus.sequenceOutOfWindow, sequence: (update.message.sequence + 500) & 0xffff };
    });
    const count = home.updates.length;
    const next = await home.update(count + 1);
    assert.equal(next.message.sequence, ((refused as SeenUpdate).message.sequence + 501) & 0xffff);
    await home.registered();
  });

  await t.test("R5555-4.4.2.1-01: when the node ends it de-registers with lifetime 0", async () => {
    const count = home.updates.length;
    home.daemon?.kill("SIGTERM");
    const last = await home.update(count);
    assert.equal(last.message.lifetimeUnits, 0);
    await home.daemon?.stop();
  });
});

test("updates on a link with IPv4 alone", async (t) => {
  const home = new ScriptedHome(t, [4], () => ({
    lifetimeUnits: 1,
    options: [GRANTED, natDetection(false, 0xffffffff)],
  }));
  await home.open();
  const first = await home.update(0);

  await t.test(
    "R5555-4.4.2-01 R5555-4.4.2-02 R5555-4.4.2-03 R5555-4.4.2-04: in UDP between care-of address and home agent, inside from the home address without a Home Address option",
    () => {
      assert.equal(layersOfKind(first.layers, "udp")[0]?.destinationPort, 4191);
      assert.deepEqual([first.outer.source, first.outer.destination], [CARE_OF.ipv4, HOME_AGENT.ipv4]);
      assert.equal(layersOfKind(first.layers, "ipv6")[0]?.source, ALICE.homeAddress);
      assert.equal(homeAddressOptionOf(first), undefined);
    },
  );

  await t.test(
    "R5555-2.3.2.1-02 R5555-2.3.2.1-03 R5555-4.2-14 R5555-4.4.2-05: IPv4, UDP, IPv6, ESP, with options 32 and 29",
    () => {
      assert.deepEqual(
        first.layers.map(({ kind }) => kind),
        ["ethernet", "ipv4", "udp", "ipv6", "other"],
      );
      assert.equal(optionIn(first, "ipv4-care-of-address")?.address, CARE_OF.ipv4);
      assert.equal(optionIn(first, "ipv4-home-address")?.address, ALICE.ipv4HomeAddress);
    },
  );

  const sends = async (format: "udp" | "plain"): Promise<void> => {
    const from = home.frames.length;
    // On a slow machine the binding, of a few seconds, may just be over when the first one leaves.
    const ping = (): void => {
      home.mn.script(`ping -6 -c 1 -W 1 -I ${ALICE.homeAddress} ${CORRESPONDENT} > /dev/null || true`);
    };
    const seen = (): boolean => home.frames.slice(from).some((frame) => payloadFormat(frame) !== undefined);
    ping();
    await waitFor(() => seen() || ping(), { what: "payload", interval: 1000 });
    const formats = home.frames.slice(from).map(payloadFormat);
    assert.deepEqual([...new Set(formats.filter((one) => one !== undefined))], [format]);
  };

  await t.test("R5555-4.4.3-04: without a NAT and without F payload is not in UDP", async () => {
    await home.registered();
    await sends("plain");
  });

  await t.test(
    "R5555-4.3-01 R5555-4.3-03 R5555-2.3.2.2-12 R5555-4.2-12: told of a NAT, the idle node sends an update in UDP as often as the home agent suggests",
    async () => {
      home.answerWith(() => ({ options: [GRANTED, natDetection(false, 2)] }));
      const count = home.updates.length;
      await home.update(count + 2);
      const [before, after] = home.updates.slice(count + 1) as [SeenUpdate, SeenUpdate];
      assert.equal(layersOfKind(after.layers, "udp").length, 1);
      // The suggestion is two seconds; an interval of three leaves room for a slow machine, and the lifetime would be minutes.
      assert.equal(after.at - before.at < scaled(3000), true, `${after.at - before.at} ms`);
    },
  );

  await t.test("R5555-3.2.2-04 R5555-4.4.2-17: option 31 with F means UDP for payload, without a NAT", async () => {
    home.answerWith(() => ({ options: [GRANTED, natDetection(true, 0xffffffff)] }));
    const count = home.updates.length;
    await home.update(count);
    await waitFor(async () => (await home.state())?.endpoint?.format === "udp", { what: "UDP to be used" });
    await sends("udp");
  });

  await t.test("R5555-4.3-04: with a refresh time of all ones no update keeps a mapping alive", async () => {
    const count = home.updates.length;
    // Two of the former intervals, in which updates were sent, seen to pass by what the node sends otherwise.
    for (let i = 0; i < 5; i++) await sends("udp");
    assert.equal(home.updates.length, count);
  });
});

test("updates of a mobile router that asks for UDP", async (t) => {
  const withR = { mobileRouter: true, options: [GRANTED, natDetection(false, 0xffffffff)] };
  const home = new ScriptedHome(
    t,
    [4],
    ({ message }) =>
      message.flags.forceUdp
        ? { status: BindingStatus.forcedUdpNotSupported, options: [natDetection(false, 0xffffffff)] }
        : withR,
    { forceUdp: true, prefixes: [NETWORK], mobileRouter: "explicit", reachability: "on-demand", ipv4RetrySeconds: 1 },
  );
  await home.open();
  const first = await home.update(0);
  // A slow machine sends the first one again before it has heard of 144.
  const second = await waitFor(() => home.updates.find(({ message }) => !message.flags.forceUdp), {
    what: "an update without F",
    timeout: 20_000,
  });

  await t.test("R5555-3.1.3-02 R5555-4.4.2-08: F is set when UDP alone is wanted", () => {
    assert.equal(first.message.flags.forceUdp, true);
  });

  await t.test("R5555-4.4.2-15: status 144 is answered with an update without F and a new sequence number", () => {
    assert.equal(second.message.flags.forceUdp, false);
    assert.equal(isAfter(second.message.sequence, first.message.sequence), true);
  });

  await t.test(
    "F3963-5.2-01: R comes with H, and every update names the networks, one that was asked for too",
    async () => {
      await home.registered();
      const count = home.updates.length;
      home.say(second, { type: "binding-refresh-request", options: [] });
      const refresh = await home.update(count);
      for (const one of [first, second, refresh]) {
        const { flags, options } = one.message;
        assert.deepEqual([flags.mobileRouter, flags.homeRegistration], [true, true]);
        const named = options.flatMap((option) =>
          option.kind === "mobile-network-prefix" ? [`${option.prefix}/${option.prefixLength}`] : [],
        );
        assert.deepEqual(named, [NETWORK]);
      }
    },
  );

  await t.test("R5555-4.4.2-20: asked for again later, an answer without option 30 is not for ever", async () => {
    home.answerWith(() => ({ mobileRouter: true, lifetimeUnits: 1 }));
    const count = home.updates.length;
    home.say(second, { type: "binding-refresh-request", options: [] });
    // Refreshes of a lifetime of four seconds, of which the later ones come after the configured second.
    await waitFor(() => home.updates.slice(count + 1).some((one) => optionIn(one, "ipv4-home-address") !== undefined), {
      what: "a later update with option 29",
      timeout: 20_000,
    });
  });

  await t.test(
    "R5555-4.3-05: a node that need not be reached is silent while it is idle, and tells where it is when it talks",
    async () => {
      home.answerWith(() => ({ mobileRouter: true, options: [GRANTED, natDetection(true, 2)] }));
      const learnt = async (): Promise<boolean> => ((await home.state())?.lifetimeSeconds ?? 0) > 60;
      await waitFor(learnt, { what: "a registration for long", timeout: 20_000 });
      await home.state(); // what was sent before that is read
      const count = home.updates.length;
      // Three of the intervals, as long as six questions take that nobody answers.
      for (let i = 0; i < 6; i++) {
        home.mn.script(`ping -4 -c 1 -W 1 -I wan ${NOBODY} > /dev/null || sleep 0.2`);
        await home.state(); // and what has arrived meanwhile is read
      }
      assert.equal(home.updates.length, count);
      home.mn.script(`ping -6 -c 1 -W 1 -I ${ALICE.homeAddress} ${CORRESPONDENT} > /dev/null || true`);
      await home.update(count);
    },
  );

  await t.test("F3963-5.3-01: accepted without R it takes its registration back", async () => {
    const count = home.updates.length;
    home.answerWith(() => ({ options: withR.options }));
    home.say(second, { type: "binding-refresh-request", options: [] });
    await waitFor(() => home.updates.slice(count).some(({ message }) => message.lifetimeUnits === 0), {
      what: "a de-registration",
    });
  });
});
