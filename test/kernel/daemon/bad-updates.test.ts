/**
 * Binding updates that are wrong in one way each, sent to the real home agent: authentic ones with a wrong content are answered with
 * the status that the RFCs have for it, all others die in silence and are counted. After each one the binding is as it was before.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { type BindingError, withChecksum } from "../../../controller/wire/mip6/messages/mobility-header.js";
import type { MobilityOption } from "../../../controller/wire/mip6/options/mobility.js";
import { BindingStatus, Ipv4AckStatus } from "../../../controller/wire/mip6/registry.js";
import { bindingUpdate, type EspSender, espPacket, type UpdateFields } from "../../lib/esp.js";
import { type IcmpLayer, layersOf } from "../lib/frame.js";
import {
  type Acknowledged,
  ALICE,
  BOB,
  HOME_AGENT,
  HostileWorld,
  inUdp,
  type Player,
  plainIpv6,
  STRANGER,
  wantsIpv4,
  withHomeAddress,
} from "../lib/hostile.js";
import { waitFor } from "../lib/wait.js";

const CARE_OF = ipv6("2001:db8:a::2");
/** Of good updates, beside about as many bad ones. */
const MOST_A_SECOND = 5;
const HOME = { acknowledge: true, homeRegistration: true } as const;
const claimed = (address: string): MobilityOption => ({ kind: "ipv4-care-of-address", address: ipv4(address) });

test("wrong binding updates at a running home agent", async (t) => {
  const hostile = new HostileWorld(t, { forceUdp: "refuse" });
  await hostile.open();
  let last = 100;

  const sealed = (who: Player, fields: UpdateFields): Uint8Array =>
    espPacket(
      who.homeAddress,
      HOME_AGENT.ipv6,
      hostile.sender(who).seal(bindingUpdate(fields, who.homeAddress, HOME_AGENT.ipv6)),
    );
  const overUdp = hostile.update.bind(hostile);
  const native = async (who: Player, fields: UpdateFields, careOf = CARE_OF): Promise<Acknowledged> => {
    const before = hostile.acknowledgements(who).length;
    const esp = hostile.sender(who).seal(bindingUpdate(fields, who.homeAddress, HOME_AGENT.ipv6));
    hostile.send(6, withHomeAddress(careOf, who.homeAddress, Protocol.esp, esp));
    return hostile.nextAcknowledgement(who, before);
  };
  const sentAt: number[] = [];
  /** Alice and who speaks in her name share a bucket of ten messages a second; a fast machine would make more of them. */
  const paced = async (): Promise<void> => {
    const recent = (): number => sentAt.filter((at) => performance.now() - at < 1000).length;
    await waitFor(() => recent() < MOST_A_SECOND, { what: "room in the node's bucket" });
    sentAt.push(performance.now());
  };
  /** A good update of Alice's, which goes the same way as what came before it: its answer says that the other one has been dealt with. */
  const accepted = async (): Promise<Acknowledged> => {
    await paced();
    const answer = await overUdp(ALICE, { sequence: ++last, options: [wantsIpv4(ALICE), claimed("10.0.0.2")] });
    assert.equal(answer.message.status, BindingStatus.accepted);
    assert.equal(answer.message.sequence, last);
    return answer;
  };
  /** Sends what nobody may answer, and makes sure that nobody did and that it was counted. */
  const silent = async (reason: string, send: () => void): Promise<void> => {
    const [dropped, answers] = [
      await hostile.dropped(reason),
      hostile.answers(ALICE).length + hostile.answers(BOB).length,
    ];
    send();
    await waitFor(async () => (await hostile.dropped(reason)) > dropped, { what: `a drop counted as ${reason}` });
    await accepted();
    assert.equal(hostile.answers(ALICE).length + hostile.answers(BOB).length, answers + 1);
  };
  const silentInKernel = async (counter: string, send: () => void): Promise<void> => {
    const [dropped, answers] = [hostile.ipsec(counter), hostile.answers(ALICE).length + hostile.answers(BOB).length];
    send();
    await waitFor(() => hostile.ipsec(counter) > dropped, { what: `${counter} to be counted` });
    assert.equal((await hostile.status()).counters.xfrm[counter], hostile.ipsec(counter));
    await accepted();
    assert.equal(hostile.answers(ALICE).length + hostile.answers(BOB).length, answers + 1);
  };

  await t.test(
    "R5555-5.1-08: a good one over UDP is bound to the outer address and port that it came from",
    async () => {
      const answer = await overUdp(
        ALICE,
        { sequence: ++last, options: [wantsIpv4(ALICE), claimed("10.0.0.2")] },
        { source: ipv4("203.0.114.2"), sourcePort: 40000 },
      );
      assert.deepEqual([answer.message.status, answer.to], [BindingStatus.accepted, "203.0.114.2:40000"]);
      assert.deepEqual((await hostile.binding(ALICE))?.endpoint, {
        format: "udp",
        address: "203.0.114.2",
        port: 40000,
      });
    },
  );

  await t.test(
    "R5555-5.1-18 F6275-9.5.1-02: an old sequence number gets 135 with the last accepted one, sent to where the update came from",
    async () => {
      await accepted();
      for (const sequence of [last, last - 1, last + 32768]) {
        const answer = await overUdp(ALICE, { sequence }, { source: ipv4("203.0.115.9"), sourcePort: 1024 });
        assert.deepEqual(
          [answer.message.status, answer.message.sequence, answer.message.lifetimeUnits],
          [BindingStatus.sequenceOutOfWindow, last, 0],
        );
        assert.equal(answer.to, "203.0.115.9:1024");
      }
      assert.deepEqual((await hostile.binding(ALICE))?.endpoint, { format: "udp", address: "203.0.114.2", port: 4191 });
    },
  );

  await t.test(
    "R5555-4.5-11 R5555-3.2.1-03 R5555-3.2.1-08: somebody else's IPv4 home address gets 130, and the IPv6 one is bound without it",
    async () => {
      const answer = await overUdp(
        BOB,
        { sequence: 1, options: [wantsIpv4(ALICE), claimed("203.0.114.3")] },
        { source: ipv4("203.0.114.3") },
      );
      const option = answer.message.options.find(({ kind }) => kind === "ipv4-address-acknowledgement");
      assert.deepEqual(option, {
        kind: "ipv4-address-acknowledgement",
        status: Ipv4AckStatus.incorrectHomeAddress,
        prefixLength: 0,
        address: ALICE.ipv4HomeAddress,
      });
      assert.equal(answer.message.status, BindingStatus.accepted);
      assert.equal((await hostile.binding(BOB))?.ipv4HomeAddress, null);
      assert.equal((await hostile.binding(ALICE))?.ipv4HomeAddress, ALICE.ipv4HomeAddress);
    },
  );

  await t.test("R5555-3.1.1-05: Prefix-len 0 is refused, and no IPv4 home address is bound", async () => {
    const options: MobilityOption[] = [
      { kind: "ipv4-home-address", prefixLength: 0, mobileNetworkPrefix: false, address: BOB.ipv4HomeAddress },
    ];
    const answer = await overUdp(BOB, { sequence: 2, options }, { source: ipv4("203.0.114.3") });
    const [option] = answer.message.options.filter((one) => one.kind === "ipv4-address-acknowledgement");
    assert.equal(option?.status, Ipv4AckStatus.invalidAddress);
    assert.equal((await hostile.binding(BOB))?.ipv4HomeAddress, null);
  });

  await t.test("R5555-4.5-09: F where UDP is not forced gets 144, and the binding stays as it was", async () => {
    await accepted();
    const before = await hostile.binding(ALICE);
    const answer = await overUdp(
      ALICE,
      { sequence: ++last, flags: { ...HOME, forceUdp: true }, options: [claimed("203.0.117.1")] },
      { source: ipv4("203.0.117.1") },
    );
    assert.equal(answer.message.status, BindingStatus.forcedUdpNotSupported);
    assert.deepEqual((await hostile.binding(ALICE))?.endpoint, before?.endpoint);
  });

  await t.test("F6275-9.5.1-03: H clear where there is a home registration gets 139, and the entry stays", async () => {
    const before = await hostile.binding(ALICE);
    const answer = await overUdp(ALICE, { sequence: last + 1, flags: { acknowledge: true } });
    assert.equal(answer.message.status, BindingStatus.registrationTypeChange);
    const after = await hostile.binding(ALICE);
    assert.deepEqual(
      [after?.endpoint, after?.sequence, after?.state],
      [before?.endpoint, before?.sequence, "established"],
    );
  });

  await t.test("F6275-6.1.7-02: spoofed care-of addresses are not answered and move nothing", async (nested) => {
    const options = (address: string): MobilityOption[] => [
      { kind: "alternate-care-of-address", address: ipv6(address) },
    ];
    const cases: [string, () => Uint8Array, 4 | 6][] = [];
    for (const address of ["224.0.0.1", "127.0.0.1", "255.255.255.255", "0.0.0.0", "240.1.2.3"]) {
      cases.push([
        `option 32 says ${address}`,
        () => inUdp(sealed(ALICE, { sequence: ++last, options: [claimed(address)] })),
        4,
      ]);
    }
    for (const address of ["ff02::1", "::1", "::", "fe80::1", "::ffff:192.0.2.1"]) {
      const esp = (): Uint8Array =>
        hostile
          .sender(ALICE)
          .seal(bindingUpdate({ sequence: ++last, options: options(address) }, ALICE.homeAddress, HOME_AGENT.ipv6));
      cases.push([
        `alternate care-of address ${address}`,
        () => withHomeAddress(CARE_OF, ALICE.homeAddress, Protocol.esp, esp()),
        6,
      ]);
    }
    for (const [what, packet, family] of cases) {
      await nested.test(what, () => silent("care-of-not-unicast", () => hostile.send(family, packet())));
    }
    assert.deepEqual((await hostile.binding(ALICE))?.endpoint, { format: "udp", address: "203.0.114.2", port: 4191 });
  });

  await t.test("a care-of address that the home agent serves itself gets 174", async () => {
    for (const address of [HOME_AGENT.ipv6, BOB.homeAddress]) {
      const answer = await native(ALICE, {
        sequence: ++last,
        options: [{ kind: "alternate-care-of-address", address }],
      });
      assert.deepEqual([answer.message.status, answer.to], [BindingStatus.invalidCareOfAddress, CARE_OF]);
    }
    assert.equal((await hostile.binding(ALICE))?.endpoint?.format, "udp");
  });

  await t.test(
    "so does one over IPv4: a network's address or broadcast here, another subscriber's home address",
    async () => {
      const before = await hostile.binding(ALICE);
      const rejections = async (): Promise<string[]> =>
        (await hostile.events("binding.rejected"))
          .filter(({ detail }) => detail["status"] === BindingStatus.invalidCareOfAddress)
          .map(({ detail }) => String(detail["reason"]));
      const network = ipv4("203.0.113.0");
      const [gateway] = hostile.ha.ipJson("neighbour show 203.0.113.254 dev wan");
      hostile.ha.ip(`neighbour add ${network} lladdr ${gateway?.["lladdr"]} dev wan nud permanent`);
      const answer = await overUdp(ALICE, { sequence: ++last, options: [claimed(network)] }, { source: network });
      assert.deepEqual([answer.message.status, answer.to], [BindingStatus.invalidCareOfAddress, `${network}:4191`]);
      // Of these the answer does not come by here: the kernel sends no datagram to a broadcast address, and the home link is another one.
      for (const source of [ipv4("203.0.113.255"), ipv4("198.51.100.255"), BOB.ipv4HomeAddress]) {
        hostile.send(4, inUdp(sealed(ALICE, { sequence: ++last, options: [claimed(source)] }), { source }));
        await waitFor(async () => (await rejections()).some((reason) => reason.startsWith(`${source} is `)), {
          what: `status 174 for ${source}`,
        });
      }
      assert.deepEqual((await hostile.binding(ALICE))?.endpoint, before?.endpoint);
      assert.equal((await hostile.status()).failedObjects, 0);
    },
  );

  await t.test("an outer source port of zero, to which nothing can be sent, changes nothing and ends nothing", () =>
    silent("care-of-not-unicast", () =>
      hostile.send(4, inUdp(sealed(ALICE, { sequence: ++last, options: [claimed("10.0.0.2")] }), { sourcePort: 0 })),
    ),
  );

  await t.test("F6275-9.2-01: a wrong Mobility Header checksum under good ESP is silence", async () => {
    const raw6 = (): number => {
      const [, ...lines] = hostile.proc("raw6").trimEnd().split("\n");
      return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/).at(-1)), 0);
    };
    const before = raw6();
    const answers = hostile.answers(ALICE).length;
    const message = bindingUpdate({ sequence: ++last }, ALICE.homeAddress, HOME_AGENT.ipv6);
    message[4] = (message[4] ?? 0) ^ 0x40;
    hostile.send(4, inUdp(espPacket(ALICE.homeAddress, HOME_AGENT.ipv6, hostile.sender(ALICE).seal(message))));
    await accepted();
    assert.equal(hostile.answers(ALICE).length, answers + 1);
    assert.equal(raw6() > before, true, "the kernel counts it at the socket");
  });

  await t.test("options whose lengths do not fit are silence", () =>
    silent("malformed", () => {
      const message = bindingUpdate(
        { sequence: ++last, options: [wantsIpv4(ALICE)] },
        ALICE.homeAddress,
        HOME_AGENT.ipv6,
      );
      message[13] = 250; // the Length of the option
      const repaired = withChecksum(message, ALICE.homeAddress, HOME_AGENT.ipv6);
      hostile.send(4, inUdp(espPacket(ALICE.homeAddress, HOME_AGENT.ipv6, hostile.sender(ALICE).seal(repaired))));
    }),
  );

  await t.test("F6275-9.5.1-05: nonce indices in a home registration are silence", () =>
    silent("malformed", () =>
      hostile.send(
        4,
        inUdp(
          sealed(ALICE, {
            sequence: ++last,
            options: [{ kind: "nonce-indices", homeNonceIndex: 1, careOfNonceIndex: 1 } as MobilityOption],
          }),
        ),
      ),
    ),
  );

  for (const [id, what, offset, value, pointer] of [
    ["F6275-9.2-03", "a Payload Proto other than 59", 0, 17, 0],
    ["F6275-9.2-04", "a Header Len shorter than a binding update", 1, 0, 1],
  ] as const) {
    await t.test(`${id}: ${what} gets an ICMPv6 Parameter Problem, code 0, that points at it`, async () => {
      const message = bindingUpdate({ sequence: ++last }, ALICE.homeAddress, HOME_AGENT.ipv6);
      message[offset] = value;
      const repaired = withChecksum(message, ALICE.homeAddress, HOME_AGENT.ipv6);
      const from = hostile.frames.length;
      hostile.send(6, withHomeAddress(CARE_OF, ALICE.homeAddress, Protocol.esp, hostile.sender(ALICE).seal(repaired)));
      const problems = (): IcmpLayer[] =>
        hostile.frames
          .slice(from)
          .flatMap((frame) => layersOf(frame, 1))
          .filter((layer): layer is IcmpLayer => layer.kind === "icmp6" && layer.type === 4);
      const problem = await waitFor(() => problems()[0], { what: "a Parameter Problem" });
      assert.equal(problem.code, 0);
      const view = new DataView(problem.bytes.buffer, problem.bytes.byteOffset);
      const packet = problem.bytes.subarray(8);
      assert.deepEqual(
        [view.getUint32(4) < packet.length, packet[view.getUint32(4)]],
        [true, value],
        `pointer ${view.getUint32(4)}, ${pointer} in the header`,
      );
      await accepted();
    });
  }

  await t.test(
    "F6275-9.2-02 F6275-9.3.3-01: an unknown MH type gets a Binding Error of status 2 with the home address, sent to the wire source",
    async () => {
      const message = withChecksum(Uint8Array.of(59, 0, 77, 0, 0, 0, 0, 0), ALICE.homeAddress, HOME_AGENT.ipv6);
      const from = hostile.frames.length;
      const unknown = async (): Promise<void> => {
        const before = await hostile.dropped("unexpected-type");
        hostile.send(6, withHomeAddress(CARE_OF, ALICE.homeAddress, Protocol.esp, hostile.sender(ALICE).seal(message)));
        await waitFor(async () => (await hostile.dropped("unexpected-type")) > before, {
          what: "the drop to be counted",
        });
      };
      await unknown();
      const errors = (): BindingError[] =>
        hostile.plainMessages(CARE_OF, from).filter((one) => one.type === "binding-error");
      await waitFor(() => errors().length > 0, { what: "a binding error" });
      assert.deepEqual(errors(), [{ type: "binding-error", status: 2, homeAddress: ALICE.homeAddress, options: [] }]);
    },
  );

  await t.test("a replayed ESP packet dies in the kernel's replay window", async () => {
    const packet = inUdp(sealed(ALICE, { sequence: ++last, options: [claimed("10.0.0.2")] }));
    const before = hostile.acknowledgements(ALICE).length;
    hostile.send(4, packet);
    assert.equal((await hostile.nextAcknowledgement(ALICE, before)).message.status, BindingStatus.accepted);
    await silentInKernel("XfrmInStateSeqError", () => hostile.send(4, packet));
  });

  await t.test("a tampered ESP packet dies in the kernel", () =>
    silentInKernel("XfrmInStateProtoError", () => {
      const packet = sealed(ALICE, { sequence: ++last });
      packet[60] = (packet[60] ?? 0) ^ 1;
      hostile.send(4, inUdp(packet));
    }),
  );

  await t.test("an update under the security association of another subscriber dies in the kernel", async () => {
    const before = await hostile.binding(BOB);
    const stolen = hostile.sender(ALICE).seal(bindingUpdate({ sequence: 500 }, BOB.homeAddress, HOME_AGENT.ipv6));
    const stolenAgain = hostile.sender(ALICE).seal(bindingUpdate({ sequence: 501 }, BOB.homeAddress, HOME_AGENT.ipv6));
    const refused = (): number =>
      hostile.ipsec("XfrmInStateMismatch") + hostile.ipsec("XfrmInTmplMismatch") + hostile.ipsec("XfrmInNoStates");
    for (const [family, packet] of [
      [4, inUdp(espPacket(BOB.homeAddress, HOME_AGENT.ipv6, stolen))],
      [6, withHomeAddress(CARE_OF, BOB.homeAddress, Protocol.esp, stolenAgain)],
    ] as const) {
      const count = refused();
      hostile.send(family, packet);
      await waitFor(() => refused() > count, { what: "the kernel to refuse it" });
    }
    await accepted();
    assert.deepEqual((await hostile.binding(BOB))?.endpoint, before?.endpoint);
  });

  await t.test(
    "an update for a home address of nobody is dropped and counted, whatever key it is made with",
    async (nested) => {
      const forged = (esp: EspSender): Uint8Array =>
        espPacket(
          STRANGER.homeAddress,
          HOME_AGENT.ipv6,
          esp.seal(bindingUpdate({ sequence: 1 }, STRANGER.homeAddress, HOME_AGENT.ipv6)),
        );
      await nested.test("its own key", () =>
        silent("not-a-subscriber", () => hostile.send(4, inUdp(forged(hostile.sender(STRANGER))))),
      );
      await nested.test("a subscriber's key", () =>
        silent("not-a-subscriber", () => hostile.send(4, inUdp(forged(hostile.sender(ALICE))))),
      );
      assert.equal(await hostile.binding(STRANGER), undefined);
    },
  );

  await t.test("an update without ESP is dropped and counted, over UDP and over IPv6", async (nested) => {
    const message = bindingUpdate({ sequence: 9000 }, ALICE.homeAddress, HOME_AGENT.ipv6);
    await nested.test("UDP", () =>
      silent("unprotected", () =>
        hostile.send(4, inUdp(plainIpv6(ALICE.homeAddress, HOME_AGENT.ipv6, Protocol.mobility, message))),
      ),
    );
    const inPolicy = (): number =>
      hostile.ipsec("XfrmInTmplMismatch") + hostile.ipsec("XfrmInPolBlock") + hostile.ipsec("XfrmInNoPols");
    for (const [what, packet] of [
      ["IPv6 with Home Address option", withHomeAddress(CARE_OF, ALICE.homeAddress, Protocol.mobility, message)],
      ["IPv6 from the home address itself", plainIpv6(ALICE.homeAddress, HOME_AGENT.ipv6, Protocol.mobility, message)],
      [
        "IPv6 from a stranger",
        plainIpv6(CARE_OF, HOME_AGENT.ipv6, Protocol.mobility, withChecksum(message, CARE_OF, HOME_AGENT.ipv6)),
      ],
    ] as const) {
      await nested.test(what, async () => {
        const count = inPolicy();
        hostile.send(6, packet);
        await waitFor(() => inPolicy() > count, { what: "the kernel's policy to drop it" });
      });
    }
    const { sequence } = (await accepted()).message;
    assert.equal((await hostile.binding(ALICE))?.sequence, sequence);
  });

  await t.test("F6275-9.1-01: a data packet with a Home Address option changes no binding", async () => {
    await accepted();
    const before = await hostile.binding(ALICE);
    const datagram = Uint8Array.of(0x1b, 0x58, 0, 9, 0, 8, 0, 0);
    hostile.send(6, withHomeAddress(ipv6("2001:db8:a::77"), ALICE.homeAddress, Protocol.udp, datagram));
    await accepted();
    const after = await hostile.binding(ALICE);
    assert.deepEqual([after?.endpoint, after?.acceptedFrom], [before?.endpoint, before?.acceptedFrom]);
  });

  await t.test("F6275-10.3.2-01: a de-registration of what is not bound gets 133", async () => {
    assert.equal(
      (await overUdp(BOB, { sequence: 3, lifetimeUnits: 0 }, { source: ipv4("203.0.114.3") })).message.status,
      BindingStatus.accepted,
    );
    await waitFor(async () => (await hostile.binding(BOB)) === undefined, {
      what: "the binding to be forgotten",
      timeout: 15_000,
    });
    assert.equal(
      (await overUdp(BOB, { sequence: 4, lifetimeUnits: 0 }, { source: ipv4("203.0.114.3") })).message.status,
      BindingStatus.notHomeAgent,
    );
  });

  await t.test("F6275-9.5.1-05: H clear without nonce indices from who is not registered is silence", () =>
    silent("not-home-registration", () =>
      hostile.send(
        4,
        inUdp(sealed(BOB, { sequence: 5, flags: { acknowledge: true } }), { source: ipv4("203.0.114.3") }),
      ),
    ),
  );

  await t.test(
    "F6275-10.3.1-05: an update that does not ask for an acknowledgement gets one all the same",
    async () => {
      const answer = await overUdp(
        BOB,
        { sequence: 5, flags: { homeRegistration: true } },
        { source: ipv4("203.0.114.3") },
      );
      assert.equal(answer.message.status, BindingStatus.accepted);
    },
  );

  await t.test(
    "what the kernel has refused is told: the counters with a word each, and whose packets they were",
    async () => {
      assert.match(hostile.dsmipctl("status").stdout, /XfrmInStateProtoError 1 \(forged or damaged/);
      const told = await waitFor(
        async () =>
          (await hostile.events("packets.refused")).find(({ homeAddress }) => homeAddress === ALICE.homeAddress),
        { what: "the event", timeout: 20_000 },
      );
      const { purposes, integrityFailures, replayed, reason } = told.detail;
      assert.deepEqual([purposes, replayed], ["signalling", 1]);
      // A look may have come between the two packets; the second one is told a minute later then.
      const both = integrityFailures !== 0;
      assert.match(String(reason), both ? /integrity check failed.*; their numbers were too old/ : /too old/);
    },
  );

  assert.equal(hostile.daemon?.running, true);
});
