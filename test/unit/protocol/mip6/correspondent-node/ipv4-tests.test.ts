/** Home and care-of tests of the route optimisation draft at the correspondent. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import { Secret } from "../../../../../controller/base/secret.js";
import {
  careOfKeygenToken,
  homeKeygenToken,
} from "../../../../../controller/protocol/mip6/return-routability/tokens.js";
import { arrivalFrom, COA, CorrespondentWorld, drops, HOA, SELF } from "../../../../lib/correspondent-node.js";
import {
  AT_V4,
  AT_V6,
  arrivalAt,
  BEHIND_NAT,
  COA4,
  careOfOption,
  DraftWorld,
  HOA4,
  homeOption,
  modeOf,
  NAT,
  type Place,
  PRIVATE,
  SELF4,
} from "../../../../lib/correspondent-node-ipv4.js";

const KCN = new Secret(new Uint8Array(20).fill(7));
const nonceOf = (world: CorrespondentWorld, index: number): Uint8Array => {
  const nonce = world.state.nonces.find(index, world.now);
  if (nonce === undefined) throw new Error("no such nonce");
  return nonce.octets;
};
const careOf = (place: Place, mode?: Parameters<typeof modeOf>[0]) =>
  new DraftWorld().ask("care-of-test-init", arrivalAt(place, HOA, true), [
    ...(place.over === "ipv6" ? [] : [careOfOption(place.careOf)]),
    ...(mode === undefined ? [] : [modeOf(mode)]),
  ]);

t.test("a HoTI without the option is a test of the IPv6 home address alone, by its own message", (t) => {
  const world = new DraftWorld();
  const answer = world.ask("home-test-init", arrivalFrom(HOA), []);
  t.match(answer, {
    destination: HOA,
    departure: { type: "native-direct" },
    message: { type: "home-test", options: [] },
  });
  const six = world.homeToken();
  t.strictSame(six.token, homeKeygenToken(KCN, nonceOf(world, six.index), { homeAddress: HOA }));
  t.notSame(six.token, world.homeToken(HOA, HOA4).token);
  t.end();
});

t.test(
  "RO-7.1.1.1-04 RO-6.4.1-01: a HoTI with option 29 is answered in IPv4, at the IPv4 home address, with hop limit 1 and a token of both",
  (t) => {
    const world = new DraftWorld();
    const answer = world.ask("home-test-init", arrivalFrom(HOA), [homeOption(HOA4)]);
    t.match(answer, {
      source: SELF,
      destination: HOA,
      departure: { type: "over-ipv4", localAddress: SELF4, remoteAddress: HOA4, remotePort: undefined, hopLimit: 1 },
      message: { type: "home-test", options: [{ kind: "ipv4-home-address", address: HOA4 }] },
    });
    const { index, token } = world.homeToken(HOA, HOA4);
    const subject = { homeAddress: HOA, ipv4HomeAddress: HOA4 };
    t.strictSame(token, homeKeygenToken(KCN, nonceOf(world, index), subject));
    t.end();
  },
);

t.test("RO-7.1.1.2-02: in case A the token is of the IPv6 care-of address", (t) => {
  const world = new DraftWorld();
  const { index, token } = world.careOfToken(AT_V6);
  t.strictSame(token, careOfKeygenToken(KCN, nonceOf(world, index), { careOf: COA }));
  t.match(careOf(AT_V6, "ipv6-encapsulation"), {
    departure: { type: "native-direct" },
    message: { options: [{ kind: "ipv4-ro-mode", mode: 1 }] },
  });
  t.end();
});

t.test(
  "RO-7.2.1.2-04 RO-6.4.2-01 RO-5-05: in case B the CoT goes back in UDP to where the CoTI was seen, with hop limit 1, option 32 and the mode",
  (t) => {
    t.match(careOf(AT_V4, "ipv4-encapsulation"), {
      source: SELF,
      destination: HOA,
      departure: { type: "over-ipv4", localAddress: SELF4, remoteAddress: COA4, remotePort: 4191, hopLimit: 1 },
    });
    t.strictSame(careOf(AT_V4, "ipv4-encapsulation")?.message.options, [
      careOfOption(COA4),
      modeOf("ipv4-encapsulation"),
    ]);
    t.match(careOf(BEHIND_NAT, "ipv4-encapsulation"), {
      departure: { type: "over-ipv4", remoteAddress: NAT.address, remotePort: NAT.port, hopLimit: 1 },
    });
    const world = new DraftWorld();
    const { index, token } = world.careOfToken(BEHIND_NAT);
    t.strictSame(token, careOfKeygenToken(KCN, nonceOf(world, index), { careOf: PRIVATE, observed: NAT }));
    t.end();
  },
);

t.test("RO-6.4.2-02: equal private addresses behind other NATs, or other ports of one, have other tokens", (t) => {
  const world = new DraftWorld();
  const at = (address: string, port: number) =>
    Buffer.from(
      world.careOfToken({ ...BEHIND_NAT, observed: { address: ipv4(address), port } } as Place).token,
    ).toString("hex");
  t.equal(new Set([at("203.0.113.77", 31000), at("203.0.113.77", 31001), at("203.0.113.78", 31000)]).size, 3);
  t.end();
});

t.test("a NAT is answered with mode 4 and the NAT Detection option, whatever was asked for", (t) => {
  for (const mode of ["ipv4-encapsulation", "ipv4-udp", 0] as const)
    t.strictSame(careOf(BEHIND_NAT, mode)?.message.options, [
      careOfOption(PRIVATE),
      modeOf("ipv4-udp"),
      { kind: "nat-detection", forceUdp: false, refreshSeconds: 110 },
    ]);
  // The token has the port, which no update in protocol 41 shows.
  const port: Place = { ...AT_V4, observed: { address: COA4, port: 40_000 } } as Place;
  t.match(careOf(port, "ipv4-encapsulation")?.message.options[1], { mode: 4 });
  t.end();
});

t.test("C-49: without a NAT what was asked for is echoed, and of all modes the correspondent picks", (t) => {
  const asked = (place: Place, mode: Parameters<typeof modeOf>[0]) =>
    careOf(place, mode)?.message.options.flatMap((option) => (option.kind === "ipv4-ro-mode" ? [option.mode] : []));
  t.strictSame(asked(AT_V4, "ipv4-encapsulation"), [3]);
  t.strictSame(asked(AT_V4, "ipv4-udp"), [4]);
  t.strictSame(asked(AT_V4, 0), [3]);
  t.strictSame(asked(AT_V4, "mapped"), [3], "one that is not possible is answered with another");
  t.strictSame(asked(AT_V6, "mapped"), [1]);
  t.strictSame(asked(AT_V6, 0), [1]);
  t.strictSame(careOf(AT_V6)?.message.options, [], "nobody asked");
  t.end();
});

t.test("a mode that the configuration leaves out is answered with another, and where none is left nothing is", (t) => {
  const only = (modes: readonly ("ipv6-encapsulation" | "ipv4-encapsulation" | "ipv4-udp")[], place: Place) => {
    const world = new DraftWorld({ modes: new Set(modes) });
    const options = place.over === "ipv6" ? [] : [careOfOption(place.careOf)];
    return world.ask("care-of-test-init", arrivalAt(place, HOA, true), [...options, modeOf("ipv4-encapsulation")]);
  };
  t.match(only(["ipv4-udp"], AT_V4)?.message.options[1], { mode: 4 });
  t.equal(only(["ipv4-encapsulation"], BEHIND_NAT), undefined);
  t.equal(only(["ipv6-encapsulation"], AT_V4), undefined);
  t.strictSame(only(["ipv4-encapsulation"], AT_V6)?.message.options, [], "RFC 6275 is left");
  t.end();
});

t.test("what a test must not be about is counted and not answered", (t) => {
  const world = new DraftWorld();
  const refused = (
    type: "home-test-init" | "care-of-test-init",
    arrival: ReturnType<typeof arrivalAt>,
    ...options: ReturnType<typeof modeOf>[]
  ) => drops(world.give({ kind: "test-init", message: { type, cookie: new Uint8Array(8), options }, arrival }));
  for (const address of ["127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255", "169.254.1.1", SELF4])
    t.strictSame(
      refused("home-test-init", arrivalFrom(HOA), homeOption(ipv4(address))),
      ["home-address-mismatch"],
      address,
    );
  const from = (address: string, port = 4191): Place =>
    ({ ...AT_V4, observed: { address: ipv4(address), port } }) as Place;
  const careOfTest = (place: Place, claimed: string) =>
    refused("care-of-test-init", arrivalAt(place, HOA, true), careOfOption(ipv4(claimed)));
  for (const address of ["127.0.0.1", "224.0.0.1", "169.254.1.1", "0.0.0.0"]) {
    t.strictSame(careOfTest(AT_V4, address), ["care-of-not-unicast"], `says ${address}`);
    t.strictSame(careOfTest(from(address), COA4), ["care-of-not-unicast"], `from ${address}`);
  }
  t.strictSame(careOfTest(AT_V4, SELF4), ["wrong-source"]);
  t.strictSame(careOfTest(from(SELF4), COA4), ["wrong-source"]);
  t.strictSame(refused("care-of-test-init", arrivalAt(AT_V4)), ["unexpected-type"], "without option 32");
  const in41 = arrivalAt({ ...AT_V4, over: "protocol-41" } as Place);
  t.strictSame(refused("care-of-test-init", in41, careOfOption(COA4)), ["unexpected-type"], "not in UDP");
  t.strictSame(
    refused("home-test-init", arrivalAt(AT_V4), homeOption(HOA4)),
    ["unexpected-type"],
    "past the home agent",
  );
  const elsewhere = { ...arrivalAt(AT_V4), path: { ...arrivalAt(AT_V4).path, outerDestination: ipv4("203.0.113.3") } };
  t.strictSame(refused("care-of-test-init", elsewhere as typeof in41, careOfOption(COA4)), ["wrong-destination"]);
  const stranger = arrivalAt(AT_V4, ipv6("2001:db8:ffff::1"));
  t.strictSame(refused("care-of-test-init", stranger, careOfOption(COA4)), ["not-permitted"]);
  t.end();
});

t.test(
  "RO-6.4-01: a flood of tests leaves nothing behind, and more than the limit of a second are not answered",
  (t) => {
    const world = new DraftWorld();
    let answered = 0;
    for (let i = 0; i < 10_000; i++) {
      const place = { ...BEHIND_NAT, observed: { address: NAT.address, port: 1 + i } } as Place;
      const options = [careOfOption(PRIVATE), modeOf(0)];
      if (world.ask("care-of-test-init", arrivalAt(place, HOA, true), options) !== undefined) answered++;
    }
    t.equal(answered, 4000);
    t.equal(world.state.cache.size, 0);
    t.end();
  },
);

t.test("C-40: without the configuration nothing of the draft is looked at", (t) => {
  const world = new CorrespondentWorld();
  const message = { type: "home-test-init", cookie: new Uint8Array(8), options: [homeOption(HOA4)] } as const;
  const effects = world.give({ kind: "test-init", message, arrival: arrivalFrom(HOA) });
  t.match(effects, [{ kind: "send", departure: { type: "native-direct" }, message: { options: [] } }]);
  const careOfTest = { type: "care-of-test-init", cookie: new Uint8Array(8), options: [careOfOption(COA4)] } as const;
  t.strictSame(drops(world.give({ kind: "test-init", message: careOfTest, arrival: arrivalAt(AT_V4) })), [
    "unexpected-type",
  ]);
  t.end();
});
