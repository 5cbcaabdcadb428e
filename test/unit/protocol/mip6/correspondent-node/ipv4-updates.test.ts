/** Binding updates of the route optimisation draft at the correspondent: entries, modes, answers, and what is not believed. */
import t from "tap";
import { type Ipv6Address, ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import {
  correspondentPaths,
  correspondentViews,
} from "../../../../../controller/protocol/mip6/correspondent-node/machine.js";
import {
  acknowledgements,
  answers,
  COA,
  CorrespondentWorld,
  drops,
  events,
  HOA,
  OTHER_COA,
  SELF,
  sends,
} from "../../../../lib/correspondent-node.js";
import {
  AT_V4,
  AT_V6,
  BEHIND_NAT,
  COA4,
  type DraftUpdate,
  DraftWorld,
  draftUpdate,
  HOA4,
  NAT,
  type Place,
  PRIVATE,
  SELF4,
} from "../../../../lib/correspondent-node-ipv4.js";

const IN_41: Place = { ...AT_V4, over: "protocol-41" } as Place;
const paths = (world: CorrespondentWorld) =>
  [...correspondentPaths(world.state)].map(({ ipv6: six, ipv4: four }) => [
    six?.careOf,
    four?.homeAddress,
    four?.reach.careOf,
  ]);
const optionsOf = (effects: Parameters<typeof acknowledgements>[0]) =>
  acknowledgements(effects).map(({ options }) =>
    options.map((option) => (option.kind === "ipv4-ro-mode" ? `mode ${option.mode}` : option.kind)),
  );
const departures = (effects: Parameters<typeof sends>[0]) => sends(effects).map(({ departure }) => departure);

t.test(
  "RO-7.1.2-02 RO-7.1.2-06: an update with option 29 is answered without being asked to, with the mode, when the kernel has the path",
  (t) => {
    const world = new DraftWorld();
    world.kernel = "is silent";
    t.strictSame(answers(world.bindDraft(7, AT_V6, "ipv6-encapsulation")), []);
    t.strictSame(paths(world), [[undefined, HOA4, COA]]);
    const revision = [...correspondentPaths(world.state)][0]?.revision ?? 0;
    const effects = world.give({ kind: "programmed", homeAddress: HOA, self: SELF, revision });
    t.strictSame(answers(effects), ["0/7/420+"]);
    t.strictSame(optionsOf(effects), [["mode 1", "binding-authorization-data"]]);
    t.strictSame(departures(effects), [{ type: "native-routed", careOf: COA }]);
    t.end();
  },
);

t.test(
  "RO-7.1.2-07 RO-6.1-01: entries of the IPv4 and the IPv6 home address are two, with numbers and lifetimes of their own, over one path",
  (t) => {
    const world = new DraftWorld();
    t.strictSame(answers(world.bind(50)), ["0/50/420+"]);
    t.strictSame(
      answers(world.bindDraft(7, AT_V6, "ipv6-encapsulation")),
      ["0/7/420+"],
      "51 would be next of the other",
    );
    t.equal(world.state.cache.bound, 2);
    t.strictSame(paths(world), [[COA, HOA4, COA]]);
    t.match(
      [...correspondentViews(world.state, world.now)],
      [
        { family: "ipv6", sequence: 50, reach: { via: "headers", careOf: COA } },
        { family: "ipv4", sequence: 7, ipv4HomeAddress: HOA4, mode: "ipv6-encapsulation" },
      ],
    );
    const ended = { place: AT_V6, homes: [world.homeToken(HOA, HOA4)], sequence: 8, seconds: 0, ipv4HomeAddress: HOA4 };
    t.strictSame(answers(world.take({ ...ended, mode: "ipv6-encapsulation" })), ["0/8/0+"]);
    t.strictSame(paths(world), [[COA, undefined, undefined]]);
    t.end();
  },
);

t.test("an update of the IPv6 home address alone stays what RFC 6275 makes of it", (t) => {
  const world = new DraftWorld();
  const effects = world.bind(1);
  t.strictSame(optionsOf(effects), [["binding-authorization-data"]]);
  const silent = world.update({ ...world.tokens(), sequence: 2, acknowledge: false });
  t.strictSame(answers(silent), []);
  t.end();
});

t.test(
  "RO-7.1.2-03 C-45: one update with both authenticators makes both entries, and has one answer with both",
  (t) => {
    const world = new DraftWorld();
    const both = (sequence: number, place = AT_V6): DraftUpdate => ({
      ...{ place, sequence, ipv4HomeAddress: HOA4, mode: "ipv6-encapsulation" },
      ...{ homes: [world.homeToken(), world.homeToken(HOA, HOA4)], careOfToken: world.careOfToken(place) },
    });
    const effects = world.take(both(3));
    t.strictSame(answers(effects), ["0/3/420+"]);
    t.strictSame(optionsOf(effects), [["mode 1", "binding-authorization-data", "binding-authorization-data"]]);
    t.equal(acknowledgements(effects)[0]?.effect.authorization?.keys.length, 2);
    t.strictSame(paths(world), [[COA, HOA4, COA]]);
    t.strictSame(answers(world.take(both(4))), ["0/4/420+"], "refreshed");
    t.strictSame(answers(world.take(both(4))), ["135/4/0+"]);
    const swapped = { ...both(5), homes: [world.homeToken(HOA, HOA4), world.homeToken()] };
    t.strictSame(drops(world.take(swapped)), ["authentication-failed"], "each by its own key");
    const one = {
      ...both(5),
      homes: [world.homeToken(), { index: world.homeToken().index, token: new Uint8Array(8) }],
    };
    t.strictSame(drops(world.take(one)), ["authentication-failed"], "one is not enough");
    world.kernel = "refuses";
    const moved = world.take(both(6, { over: "ipv6", careOf: OTHER_COA }));
    t.strictSame(answers(moved), ["130/6/0+"]);
    t.strictSame(paths(world), [[COA, HOA4, COA]], "both stay where they were");
    const world2 = new DraftWorld({ combinedUpdates: false });
    t.strictSame(
      answers(
        world2.take({
          ...both(3),
          homes: [world2.homeToken(), world2.homeToken(HOA, HOA4)],
          careOfToken: world2.careOfToken(AT_V6),
        }),
      ),
      ["129/3/0+"],
    );
    t.end();
  },
);

t.test("case B goes back in what it came in, to where it was seen, and is bound there", (t) => {
  const world = new DraftWorld();
  const behind = world.bindDraft(1, BEHIND_NAT, "ipv4-udp");
  t.strictSame(answers(behind), ["0/1/420+"]);
  t.strictSame(
    optionsOf(behind),
    [["mode 4", "nat-detection", "binding-authorization-data"]],
    "with the request for keepalives",
  );
  t.strictSame(departures(behind), [
    { type: "over-ipv4", localAddress: SELF4, remoteAddress: NAT.address, remotePort: NAT.port },
  ]);
  t.match(
    [...correspondentPaths(world.state)],
    [
      {
        ipv4Self: SELF4,
        ipv4: { homeAddress: HOA4, self: SELF4, reach: { via: "udp", careOf: PRIVATE, observed: NAT } },
      },
    ],
  );
  const moved = world.bindDraft(2, IN_41, "ipv4-encapsulation");
  t.strictSame(answers(moved), ["0/2/420+"]);
  t.strictSame(departures(moved), [{ type: "over-ipv4", localAddress: SELF4, remoteAddress: COA4 }]);
  t.strictSame(optionsOf(moved), [["mode 3", "binding-authorization-data"]]);
  t.match([...correspondentPaths(world.state)], [{ ipv4: { reach: { via: "ipv4", careOf: COA4 } } }]);
  t.ok(events(moved).includes("binding.moved"));
  t.end();
});

t.test("case B without an IPv4 home address binds the IPv6 one", (t) => {
  const world = new DraftWorld();
  t.strictSame(answers(world.bindDraft(1, IN_41, "ipv4-encapsulation", null)), ["0/1/420+"]);
  t.match(
    [...correspondentPaths(world.state)],
    [{ ipv6: { via: "ipv4", careOf: COA4 }, ipv4: undefined, ipv4Self: SELF4 }],
  );
  t.end();
});

t.test(
  "RO-6.4.2-02 C-49: a NAT that changes the port, or another outer source, gets silence; a new test another binding",
  (t) => {
    const world = new DraftWorld();
    world.bindDraft(1, BEHIND_NAT, "ipv4-udp");
    const elsewhere = { ...BEHIND_NAT, observed: { address: NAT.address, port: NAT.port + 1 } } as Place;
    const stale: DraftUpdate = {
      ...{ sequence: 2, place: elsewhere, mode: "ipv4-udp", ipv4HomeAddress: HOA4 },
      ...{ homes: [world.homeToken(HOA, HOA4)], careOfToken: world.careOfToken(BEHIND_NAT) },
    };
    const effects = world.take(stale);
    t.strictSame([sends(effects), drops(effects)], [[], ["authentication-failed"]]);
    t.strictSame(answers(world.take({ ...stale, careOfToken: world.careOfToken(elsewhere) })), ["0/2/420+"]);
    const spoofed = { ...IN_41, observed: { address: ipv4("203.0.113.99"), port: 4191 } } as Place;
    const forged = world.take({
      ...stale,
      place: spoofed,
      sequence: 3,
      mode: "ipv4-encapsulation",
      careOfToken: world.careOfToken(AT_V4),
    });
    t.strictSame([sends(forged), drops(forged)], [[], ["authentication-failed"]]);
    t.end();
  },
);

t.test(
  "C-49: an update in another mode than the possible one, or in another encapsulation than its mode, is refused with 129",
  (t) => {
    const refused = (place: Place, mode: DraftUpdate["mode"]) => {
      const world = new DraftWorld();
      const homes = [world.homeToken(HOA, HOA4)];
      const effects = world.take({
        place,
        mode,
        homes,
        sequence: 1,
        ipv4HomeAddress: HOA4,
        careOfToken: world.careOfToken(place),
      });
      t.strictSame(
        [world.state.cache.bound, paths(world)],
        [answers(effects)[0]?.startsWith("0/") === true ? 1 : 0, paths(world)],
      );
      return answers(effects);
    };
    for (const mode of ["mapped", "ipv4-encapsulation", "ipv4-udp", 0] as const)
      t.strictSame(refused(AT_V6, mode), ["129/1/0+"], String(mode));
    t.strictSame(refused(AT_V6, undefined), ["0/1/420+"], "there is one only");
    for (const mode of ["ipv6-encapsulation", "mapped", "ipv4-encapsulation", 0] as const)
      t.strictSame(refused(BEHIND_NAT, mode), ["129/1/0+"], String(mode));
    t.strictSame(refused(AT_V4, "ipv4-encapsulation"), ["129/1/0+"], "in UDP");
    t.strictSame(refused(AT_V4, "ipv4-udp"), ["0/1/420+"]);
    t.strictSame(refused(IN_41, "ipv4-udp"), ["129/1/0+"], "in protocol 41");
    t.strictSame(refused(IN_41, "ipv4-encapsulation"), ["0/1/420+"]);
    t.end();
  },
);

t.test("unknown and old nonces are told, with 136, 137 and 138, to where the update was seen", (t) => {
  const world = new DraftWorld();
  const update: DraftUpdate = {
    ...{ sequence: 1, place: BEHIND_NAT, mode: "ipv4-udp", ipv4HomeAddress: HOA4 },
    ...{ homes: [world.homeToken(HOA, HOA4)], careOfToken: world.careOfToken(BEHIND_NAT) },
  };
  const unknown = { index: 5, token: new Uint8Array(8) };
  t.strictSame(answers(world.take({ ...update, homes: [unknown] })), ["136/1/0"]);
  t.strictSame(answers(world.take({ ...update, careOfToken: unknown })), ["137/1/0"]);
  const effects = world.take({ ...update, homes: [unknown], careOfToken: unknown });
  t.strictSame(answers(effects), ["138/1/0"]);
  t.match(departures(effects), [{ type: "over-ipv4", remoteAddress: NAT.address, remotePort: NAT.port }]);
  world.pass(241);
  t.strictSame(answers(world.take(update)), ["138/1/0"]);
  t.equal(world.state.cache.size, 0);
  t.end();
});

t.test("RO-7.1.2-06: what proves nothing gets silence, and what names an impossible place is counted", (t) => {
  const world = new DraftWorld();
  const homes = [world.homeToken(HOA, HOA4)];
  const update: DraftUpdate = {
    ...{ sequence: 1, place: AT_V6, mode: "ipv6-encapsulation", ipv4HomeAddress: HOA4, homes },
    careOfToken: world.careOfToken(AT_V6),
  };
  const silence = (changed: Partial<DraftUpdate>): readonly string[] => {
    const input = draftUpdate({ ...update, ...changed });
    const effects = input === undefined ? [] : world.give(input);
    t.strictSame([sends(effects), world.state.cache.size], [[], 0]);
    return drops(effects);
  };
  t.strictSame(
    silence({ homes: [world.homeToken()] }),
    ["authentication-failed"],
    "the token of the IPv6 home address",
  );
  t.strictSame(silence({ ipv4HomeAddress: ipv4("198.51.100.11") }), ["authentication-failed"], "another's address");
  const last = (octets: Uint8Array): void => {
    octets.set([(octets.at(-1) ?? 0) ^ 1], octets.length - 1);
  };
  t.strictSame(silence({ tamper: last }), ["authentication-failed"]);
  t.strictSame(silence({ homes: [] }), [], "without authenticator");
  for (const address of ["127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255", "169.254.9.9", SELF4])
    t.strictSame(silence({ ipv4HomeAddress: ipv4(address) }), ["home-address-mismatch"], address);
  for (const address of ["127.0.0.1", "224.0.0.1", "169.254.9.9", "0.0.0.0"]) {
    t.strictSame(silence({ place: { ...AT_V4, careOf: ipv4(address) } as Place }), ["care-of-not-unicast"], address);
    const observed = { address: ipv4(address), port: 4191 };
    t.strictSame(silence({ place: { ...AT_V4, observed } as Place }), ["care-of-not-unicast"], address);
  }
  for (const address of ["fe80::1", "ff02::1", "::1"])
    t.strictSame(silence({ place: { over: "ipv6", careOf: ipv6(address) } }), ["care-of-not-unicast"], address);
  t.end();
});

t.test("a care-of address that is the IPv4 home address itself is refused with 174", (t) => {
  const world = new DraftWorld();
  const at = (place: Place, ipv4HomeAddress = HOA4) => {
    const homes = [world.homeToken(HOA, ipv4HomeAddress)];
    return world.take({
      place,
      homes,
      ipv4HomeAddress,
      sequence: 1,
      mode: "ipv4-udp",
      careOfToken: world.careOfToken(place),
    });
  };
  t.strictSame(answers(at(AT_V4, COA4)), ["174/1/0+"], "its packets would be their own payload");
  t.strictSame(answers(at(BEHIND_NAT, NAT.address)), ["174/1/0+"]);
  t.equal(world.state.cache.bound, 0);
  t.end();
});

t.test(
  "RO-7.1.2-07: where two entries disagree the one that was told last is in the kernel, until the other is told, too",
  (t) => {
    const world = new DraftWorld();
    world.bind(1);
    world.bindDraft(1, AT_V6, "ipv6-encapsulation");
    world.bind(2, HOA, OTHER_COA);
    t.strictSame(paths(world), [[OTHER_COA, undefined, undefined]], "IPv4 goes by way of the home agent");
    t.match(
      [...correspondentViews(world.state, world.now)],
      [{ isOutdated: false }, { isOutdated: true, state: "established" }],
    );
    t.strictSame(answers(world.bindDraft(2, { over: "ipv6", careOf: OTHER_COA }, "ipv6-encapsulation")), ["0/2/420+"]);
    t.strictSame(paths(world), [[OTHER_COA, HOA4, OTHER_COA]]);
    world.bindDraft(3, BEHIND_NAT, "ipv4-udp");
    t.strictSame(paths(world), [[undefined, HOA4, PRIVATE]]);
    // A mere renewal of what is out of date asks the kernel anew.
    world.bind(3, HOA, OTHER_COA);
    t.strictSame(paths(world), [[OTHER_COA, undefined, undefined]]);
    t.end();
  },
);

t.test("of two updates that wait for the kernel the later one is refused, and the other is asked for again", (t) => {
  const world = new DraftWorld();
  world.kernel = "is silent";
  world.bind(1);
  world.bindDraft(1, AT_V6, "ipv6-encapsulation");
  const revision = () => [...correspondentPaths(world.state)][0]?.revision ?? 0;
  const pair = { homeAddress: HOA, self: SELF };
  const first = world.give({ kind: "programmed", ...pair, revision: revision(), failure: "no" });
  t.strictSame(answers(first), ["130/1/0+"]);
  t.match(optionsOf(first), [["mode 1", "binding-authorization-data"]]);
  t.strictSame(paths(world), [[COA, undefined, undefined]]);
  t.strictSame(answers(world.give({ kind: "programmed", ...pair, revision: revision() })), ["0/1/420+"]);
  t.strictSame(answers(world.give({ kind: "programmed", ...pair, revision: revision() - 1, failure: "late" })), []);
  t.end();
});

t.test("an IPv4 home address has one place: who proves it last has it", (t) => {
  const world = new DraftWorld();
  const other = ipv6("2001:db8:1::99");
  world.bindDraft(1, AT_V6, "ipv6-encapsulation");
  t.strictSame(answers(world.bindDraft(1, IN_41, "ipv4-encapsulation", HOA4, other)), ["0/1/420+"]);
  const holders = [...correspondentPaths(world.state)].map(({ homeAddress, ipv4: four }) => [
    homeAddress,
    four?.homeAddress,
  ]);
  t.strictSame(holders, [[other, HOA4]]);
  t.end();
});

t.test(
  "a restart takes both entries up again, and what the configuration does not allow any more is forgotten",
  (t) => {
    const world = new DraftWorld();
    world.bind(4);
    world.bindDraft(9, BEHIND_NAT, "ipv4-udp");
    const records = [
      ...new Map(
        world.effects.flatMap((one) => (one.kind === "journal" && one.record ? [[one.key, one.record]] : [])),
      ).values(),
    ];
    t.equal(records.length, 2);
    const restored = JSON.parse(JSON.stringify(records)).map((record: Record<string, unknown>, i: number) => ({
      record,
      ageSeconds: 9 - i,
    }));
    const later = new DraftWorld();
    later.give({ kind: "restore", records: restored });
    t.strictSame(paths(later), [[undefined, HOA4, PRIVATE]], "the younger one is right");
    t.match([...correspondentPaths(later.state)], [{ ipv4: { reach: { observed: NAT } } }]);
    t.equal(later.state.cache.get({ homeAddress: HOA, self: SELF }, "ipv4")?.sequence, 9);
    t.equal(later.state.cache.get({ homeAddress: HOA, self: SELF }, "ipv6")?.sequence, 4);
    for (const [name, without] of [
      ["feature", new CorrespondentWorld()],
      ["mode", new DraftWorld({ modes: new Set(["ipv6-encapsulation"]) })],
      ["address", new DraftWorld({ addresses: new Map<Ipv6Address, never>() })],
    ] as const) {
      const effects = without.give({ kind: "restore", records: restored });
      t.strictSame(paths(without), [[COA, undefined, undefined]], name);
      t.match(
        effects.filter(({ kind }) => kind === "journal"),
        [{ key: `${HOA} ${SELF} ipv4`, record: null }],
        name,
      );
    }
    for (const broken of [
      { observed: { address: "x", port: 1 } },
      { observed: { address: "1.2.3.4", port: 0 } },
      { mode: "x" },
      { careOf: 7 },
      { ipv4HomeAddress: "x" },
    ]) {
      const fresh = new DraftWorld();
      fresh.give({ kind: "restore", records: [{ record: { ...records[1], ...broken }, ageSeconds: 0 }] });
      t.equal(fresh.state.cache.size, 0, JSON.stringify(broken));
    }
    t.end();
  },
);

t.test("the room is for entries: a combined update needs two", (t) => {
  const world = new DraftWorld({}, { maximumBindings: 1 });
  const homes = [world.homeToken(), world.homeToken(HOA, HOA4)];
  const both: DraftUpdate = {
    ...{ place: AT_V6, sequence: 1, homes, ipv4HomeAddress: HOA4, mode: "ipv6-encapsulation" },
    careOfToken: world.careOfToken(AT_V6),
  };
  t.strictSame(answers(world.take(both)), ["130/1/0+"]);
  t.strictSame(answers(world.bind(1)), ["0/1/420+"]);
  t.strictSame(answers(world.bindDraft(1, AT_V6, "ipv6-encapsulation")), ["130/1/0+"]);
  const giving = new DraftWorld({}, { maximumBindings: 1, whenFull: "oldest" });
  giving.bind(1);
  t.strictSame(answers(giving.bindDraft(1, AT_V6, "ipv6-encapsulation")), ["0/1/420+"]);
  t.strictSame([giving.state.cache.bound, paths(giving)], [1, [[undefined, HOA4, COA]]]);
  t.end();
});

t.test("at the end a node with both entries is told once, and one that is reached over IPv4 is not", (t) => {
  const world = new DraftWorld();
  world.bind(1);
  world.bindDraft(1, AT_V6, "ipv6-encapsulation");
  t.strictSame(
    sends(world.give({ kind: "stop" })).map(({ message }) => message.type),
    ["binding-error"],
  );
  t.strictSame(paths(world), []);
  const other = new DraftWorld();
  other.bindDraft(1, BEHIND_NAT, "ipv4-udp");
  t.strictSame(sends(other.give({ kind: "stop" })), []);
  t.end();
});
