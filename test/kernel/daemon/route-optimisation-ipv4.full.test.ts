/**
 * A correspondent node with the route optimisation draft and a scripted mobile node that speaks octets: tests of an IPv4 home address and of
 * IPv4 care-of addresses with and without a NAT, updates in each encapsulation, and IPv4 payload in modes 1, 3 and 4.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { type Ipv4Address, ipv4, ipv6 } from "../../../controller/base/ip.js";
import { seq16 } from "../../../controller/base/seq16.js";
import { fetchDocument } from "../../../controller/control/client.js";
import { isAuthorizedBy, withAuthenticator } from "../../../controller/daemon/signalling/binding-authorization.js";
import { type Ipv4Mode, modeNumber } from "../../../controller/protocol/mip6/return-routability/modes.js";
import { bindingManagementKey } from "../../../controller/protocol/mip6/return-routability/tokens.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
  verifyChecksum,
  withChecksum,
} from "../../../controller/wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../../controller/wire/mip6/messages/mobility-message.js";
import { bindingUpdateFlags } from "../../../controller/wire/mip6/messages/registration.js";
import { homeAddressHeader } from "../../../controller/wire/mip6/options/destination.js";
import { findOption, type MobilityOption } from "../../../controller/wire/mip6/options/mobility.js";
import { RO_PROFILE } from "../../../controller/wire/mip6/profile.js";
import { correspondentsDocument } from "../../../schemas/control.js";
import type { Capture } from "../lib/capture.js";
import { encapsulate, Injector, ipPacket, stationPacket } from "../lib/craft.js";
import { Daemon } from "../lib/daemons.js";
import type { Layer } from "../lib/frame.js";
import type { Namespace } from "../lib/namespace.js";
import { Station } from "../lib/station.js";
import { Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const CN = ipv6("2001:db8:3::30");
const CN4 = ipv4("203.0.113.2");
const HOA = ipv6("2001:db8:1::10");
const HOA4 = ipv4("198.51.100.10");
const COA = ipv6("2001:db8:2::20");
const COA4 = ipv4("192.0.2.70");
const PRIVATE = ipv4("10.0.0.5");
const NAT = { address: ipv4("192.0.2.77"), port: 31000 } as const;
const PORT = 4191;
const MOBILITY = 135;
const CONTEXT = { profile: RO_PROFILE } as const;

/** Where the node sends from. */
type Place =
  | { readonly over: "ipv6" }
  | { readonly over: "udp" | "protocol-41"; readonly careOf: Ipv4Address; readonly observed: Observed };
interface Observed {
  readonly address: Ipv4Address;
  readonly port: number;
}

const AT_V6: Place = { over: "ipv6" };
const IN_41: Place = { over: "protocol-41", careOf: COA4, observed: { address: COA4, port: PORT } };
const BEHIND_NAT: Place = { over: "udp", careOf: PRIVATE, observed: NAT };
const careOfAt = (place: Place) => (place.over === "ipv6" ? COA : place.careOf);

interface Heard {
  readonly message: MobilityMessage;
  readonly octets: Uint8Array;
  readonly layers: readonly Layer[];
}

interface Token {
  readonly index: number;
  readonly token: Uint8Array;
}

/** The headers of a packet in short: "203.0.113.2>198.51.100.10 41", "udp 4191>31000", "2001:...>... hop 1". */
const headers = (layers: readonly Layer[]): readonly string[] =>
  layers.flatMap((layer) => {
    if (layer.kind === "ipv4") return [`${layer.source}>${layer.destination} ${layer.protocol}`];
    if (layer.kind === "ipv6") return [`${layer.source}>${layer.destination} hop ${layer.hopLimit}`];
    if (layer.kind === "udp" && (layer.sourcePort === PORT || layer.destinationPort === PORT))
      return [`udp ${layer.sourcePort}>${layer.destinationPort}`];
    return layer.kind === "extension" ? [`extension ${layer.protocol}`] : [];
  });

const homeOption: MobilityOption = {
  kind: "ipv4-home-address",
  ...{ address: HOA4, prefixLength: 32, mobileNetworkPrefix: false },
};
const modeOption = (mode: Ipv4Mode): MobilityOption => ({ kind: "ipv4-ro-mode", mode: modeNumber(mode) });
const modeIn = ({ message }: Heard) =>
  message.type === "unknown" ? undefined : findOption(message.options, "ipv4-ro-mode")?.mode;
const optionsIn = ({ message }: Heard) => (message.type === "unknown" ? [] : message.options.map(({ kind }) => kind));

class Scene {
  readonly daemon: Daemon;
  readonly cn: Namespace;
  readonly correspondent: Station;
  readonly node: Station;
  readonly #injector: Injector;
  readonly #capture: Capture;
  #cookie = 0;

  static async open(t: TestContext): Promise<Scene> {
    const net = new Topology(t);
    const cn = net.node("cn");
    const mn = net.node("mn");
    net.link(cn.port("eth0", `${CN}/64`, `${CN4}/24`), mn.port("eth0", "2001:db8:3::1/64", "203.0.113.1/24"));
    cn.route("::/0 via 2001:db8:3::1").route("0.0.0.0/0 via 203.0.113.1");
    net.build();
    const addresses = [{ ipv6: CN, ipv4: CN4 }];
    const daemon = new Daemon(
      cn,
      { directory: net.scratch },
      {
        role: "correspondent-node",
        correspondentNode: { addresses: [CN], allow: ["2001:db8:1::/48"], ipv4RouteOptimisation: { addresses } },
      },
    );
    const capture = await net.capture(mn, "eth0");
    await daemon.start();
    const injector = new Injector({ namespace: mn, device: "eth0" }, { namespace: cn, device: "eth0" });
    t.after(() => injector.close());
    const stations = [new Station(cn, CN4), new Station(mn, HOA4)] as const;
    for (const station of stations) t.after(() => station.close());
    return new Scene(daemon, cn, injector, capture, stations);
  }

  constructor(
    daemon: Daemon,
    cn: Namespace,
    injector: Injector,
    capture: Capture,
    [correspondent, node]: readonly [Station, Station],
  ) {
    this.daemon = daemon;
    this.cn = cn;
    this.#injector = injector;
    this.#capture = capture;
    this.correspondent = correspondent;
    this.node = node;
  }

  /** All mobility messages that the correspondent has sent, in whatever. */
  heard(): readonly Heard[] {
    return this.#capture.frames().flatMap(({ layers }) => {
      const ip = layers.find((layer) => layer.kind === "ipv6");
      const last = layers.at(-1);
      if (ip?.source !== CN || last?.kind !== "other" || last.protocol !== MOBILITY) return [];
      const isRouted = layers.some(({ kind }) => kind === "extension");
      const message = decodeMobilityMessage(last.bytes, CONTEXT);
      assert(message.ok && verifyChecksum(last.bytes, CN, isRouted ? HOA : ip.destination), "a right checksum");
      return [{ message: message.value, octets: last.bytes, layers }];
    });
  }

  async ask(packet: Uint8Array, what: string): Promise<Heard> {
    const before = this.heard().length;
    this.#injector.send(packet);
    return waitFor(() => this.heard()[before], { what });
  }

  send(...packets: readonly Uint8Array[]): void {
    this.#injector.send(...packets);
  }

  async test(
    type: "home-test-init" | "care-of-test-init",
    place: Place,
    ...options: readonly MobilityOption[]
  ): Promise<Heard & Token> {
    const cookie = new Uint8Array(8).fill(++this.#cookie);
    const source = type === "care-of-test-init" && place.over === "ipv6" ? COA : HOA;
    const octets = withChecksum(encodeMobilityMessage({ type, cookie, options }, CONTEXT), source, CN);
    const packet = ipPacket({ source, destination: CN }, MOBILITY, octets);
    const heard = await this.ask(place.over === "ipv6" ? packet : wrapped(place, packet), `the answer to ${type}`);
    const { message } = heard;
    assert(message.type === "home-test" || message.type === "care-of-test");
    assert.deepEqual(message.cookie, cookie);
    return { ...heard, index: message.nonceIndex, token: message.keygenToken };
  }

  /** How the last packet with this text left. */
  async way(text: string): Promise<readonly string[]> {
    this.correspondent.send(this.node, text);
    const frame = await waitFor(() => this.#capture.frames().find(({ bytes }) => Buffer.from(bytes).includes(text)), {
      what: `"${text}" on the wire`,
    });
    return headers(frame.layers);
  }

  async pairs() {
    const document = await fetchDocument(this.daemon.socketPath, "/correspondents");
    return correspondentsDocument.parse(document).correspondents;
  }
}

/** In IPv4, as it comes in at the correspondent. */
function wrapped(place: Exclude<Place, { over: "ipv6" }>, inner: Uint8Array): Uint8Array {
  const { address: source, port: sourcePort } = place.observed;
  const ports = place.over === "udp" ? { sourcePort, destinationPort: PORT } : undefined;
  return encapsulate({ source, destination: CN4 }, inner, ports);
}

const careOfOptions = (place: Place, mode: Ipv4Mode): readonly MobilityOption[] => [
  ...(place.over === "ipv6" ? [homeOption] : [{ kind: "ipv4-care-of-address", address: place.careOf } as const]),
  modeOption(mode),
];

interface Update {
  readonly place: Place;
  readonly mode: Ipv4Mode;
  readonly sequence: number;
  readonly home: Token;
  readonly careOf: Token;
}

const keyOf = ({ home, careOf }: Update) => bindingManagementKey(home.token, careOf.token);

/** Of the IPv4 home address, and without the A flag. */
function update(choices: Update): Uint8Array {
  const { place, mode, sequence, home, careOf } = choices;
  const message: MobilityMessage = {
    type: "binding-update",
    sequence: seq16(sequence),
    flags: bindingUpdateFlags({}),
    lifetimeUnits: 105,
    options: [
      homeOption,
      ...careOfOptions(place, mode).slice(place.over === "ipv6" ? 1 : 0),
      { kind: "nonce-indices", homeNonceIndex: home.index, careOfNonceIndex: careOf.index },
      { kind: "binding-authorization-data", authenticator: new Uint8Array(12) },
    ],
  };
  const ends = { careOf: careOfAt(place), correspondent: CN };
  const signed = withAuthenticator(message, keyOf(choices), ends, CONTEXT);
  const octets = withChecksum(encodeMobilityMessage(signed, CONTEXT), HOA, CN);
  return place.over === "ipv6"
    ? ipPacket({ source: COA, destination: CN }, 60, Buffer.concat([homeAddressHeader(MOBILITY, HOA), octets]))
    : wrapped(place, ipPacket({ source: HOA, destination: CN }, MOBILITY, octets));
}

test("IPv4 route optimisation at a correspondent node", async (t) => {
  const scene = await Scene.open(t);
  const tested = (place: Place, mode: Ipv4Mode) =>
    scene.test(
      "care-of-test-init",
      place.over === "ipv6" ? place : { ...place, over: "udp" },
      ...careOfOptions(place, mode),
    );
  const homeTested = () => scene.test("home-test-init", AT_V6, homeOption);
  const bind = async (place: Place, mode: Ipv4Mode, sequence: number) => {
    const choices = { place, mode, sequence, home: await homeTested(), careOf: await tested(place, mode) };
    const answer = await scene.ask(update(choices), `the answer to update ${sequence}`);
    const { message, octets } = answer;
    assert(message.type === "binding-acknowledgement");
    assert.deepEqual([message.status, message.sequence], [0, sequence]);
    assert(isAuthorizedBy(octets, keyOf(choices), { careOf: careOfAt(place), correspondent: CN }, CONTEXT));
    return answer;
  };
  /** Whether this payload, sent in these headers, gets to the application; another one sent later does. */
  const passes = async (
    packet: Uint8Array,
    text: string,
    witness: Uint8Array,
    witnessText: string,
  ): Promise<boolean> => {
    scene.send(packet, witness);
    await scene.correspondent.waitFor(witnessText);
    return scene.correspondent.count(text) > 0;
  };
  const payload = (text: string, source = HOA4) => stationPacket({ source, destination: CN4 }, text);

  await t.test("RO-4-02: the correspondent listens on UDP 4191", () => {
    assert.match(scene.cn.run("cat", "/proc/net/udp"), /:105F /);
  });

  await t.test(
    "RO-7.1.1.1-02 RO-7.1.1.1-03 RO-7.1.1.1-05 RO-7.1.1.1-06 RO-5-01 RO-5-02 RO-5-03: each home address has a test of its own, the IPv4 one in IPv4, to itself and with hop limit 1",
    async () => {
      const plain = await scene.test("home-test-init", AT_V6);
      assert.deepEqual([headers(plain.layers), optionsIn(plain)], [[`${CN}>${HOA} hop 64`], []]);
      const four = await homeTested();
      assert.deepEqual(headers(four.layers), [`${CN4}>${HOA4} 41`, `${CN}>${HOA} hop 1`]);
      assert.deepEqual(optionsIn(four), ["ipv4-home-address"]);
      assert.notDeepEqual(four.token, plain.token);
    },
  );

  await t.test(
    "RO-7.2.1.2-05 RO-7.2.1.2-06 RO-5-06 RO-6.3-03 RO-6.3-04 RO-7.2.4-01: the care-of test goes back in UDP to where it was seen, with the mode that was asked for, or UDP behind a NAT",
    async () => {
      const native = await tested(AT_V6, "ipv6-encapsulation");
      assert.deepEqual([headers(native.layers), modeIn(native)], [[`${CN}>${COA} hop 64`], 1]);
      const open = await tested(IN_41, "ipv4-encapsulation");
      assert.deepEqual(headers(open.layers), [`${CN4}>${COA4} 17`, `udp ${PORT}>${PORT}`, `${CN}>${HOA} hop 1`]);
      assert.deepEqual([optionsIn(open), modeIn(open)], [["ipv4-care-of-address", "ipv4-ro-mode"], 3]);
      const behind = await tested(BEHIND_NAT, "ipv4-encapsulation");
      assert.deepEqual(headers(behind.layers), [
        `${CN4}>${NAT.address} 17`,
        `udp ${PORT}>${NAT.port}`,
        `${CN}>${HOA} hop 1`,
      ]);
      assert.deepEqual(optionsIn(behind), ["ipv4-care-of-address", "ipv4-ro-mode", "nat-detection"]);
      assert.equal(modeIn(behind), 4);
    },
  );

  await t.test(
    "RO-7.1.2-08 RO-7.1.2-09 RO-7.1.3-05: mode 1 is answered without being asked to, and IPv4 payload goes in IPv6 behind the routing header",
    async () => {
      const answer = await bind(AT_V6, "ipv6-encapsulation", 1);
      assert.deepEqual([headers(answer.layers), modeIn(answer)], [[`${CN}>${COA} hop 64`, "extension 43"], 1]);
      const way = await scene.way("mode 1");
      assert.deepEqual(
        [way.length, way[0]?.split(" ")[0], way[1], way[2]],
        [3, `${CN}>${COA}`, "extension 43", `${CN4}>${HOA4} 17`],
      );
      assert.match(JSON.stringify(await scene.pairs()), /"mode":"ipv6-encapsulation"/);
    },
  );

  await t.test(
    "RO-7.2.2-01 RO-7.2.3-01 RO-7.2.3-03 RO-7.2.3-04: in mode 3 updates and payload go in protocols 41 and 4, and what is not bound is dropped",
    async () => {
      const answer = await bind(IN_41, "ipv4-encapsulation", 2);
      assert.deepEqual(headers(answer.layers), [`${CN4}>${COA4} 41`, `${CN}>${HOA} hop 64`]);
      assert.equal(modeIn(answer), 3);
      assert.deepEqual(await scene.way("mode 3"), [`${CN4}>${COA4} 4`, `${CN4}>${HOA4} 17`]);
      const from = (source: Ipv4Address, inner: Uint8Array) => encapsulate({ source, destination: CN4 }, inner);
      const spoofs = [from(COA4, payload("inner", ipv4("198.51.100.11"))), from(NAT.address, payload("outer"))];
      for (const [i, text] of ["inner", "outer"].entries())
        assert(!(await passes(spoofs[i] ?? payload(""), text, from(COA4, payload(`good ${i}`)), `good ${i}`)), text);
    },
  );

  await t.test("RO-7.2.2-01 RO-7.2.4-01: in mode 4 all of it goes in UDP to where the NAT has it", async () => {
    const answer = await bind(BEHIND_NAT, "ipv4-udp", 3);
    assert.deepEqual(headers(answer.layers), [
      `${CN4}>${NAT.address} 17`,
      `udp ${PORT}>${NAT.port}`,
      `${CN}>${HOA} hop 64`,
    ]);
    assert.deepEqual([modeIn(answer), optionsIn(answer).includes("nat-detection")], [4, true]);
    assert.deepEqual(await scene.way("mode 4"), [
      `${CN4}>${NAT.address} 17`,
      `udp ${PORT}>${NAT.port}`,
      `${CN4}>${HOA4} 17`,
    ]);
    const ports = { sourcePort: NAT.port, destinationPort: PORT };
    const from = (sourcePort: number, inner: Uint8Array) =>
      encapsulate({ source: NAT.address, destination: CN4 }, inner, { ...ports, sourcePort });
    assert(!(await passes(from(NAT.port + 1, payload("port")), "port", from(NAT.port, payload("good")), "good")));
    const [pair] = await scene.pairs();
    assert.deepEqual(
      [pair?.mode, pair?.observed, pair?.careOfAddress],
      ["ipv4-udp", `${NAT.address}:${NAT.port}`, PRIVATE],
    );
  });

  await t.test(
    "a NAT that has changed its port since the test is met with silence; an update of another mode with 129",
    async () => {
      const home = await homeTested();
      const careOf = await tested(BEHIND_NAT, "ipv4-udp");
      const choices = { mode: "ipv4-udp", home, careOf, sequence: 4 } as const;
      const moved: Place = { ...BEHIND_NAT, observed: { ...NAT, port: NAT.port + 1 } };
      const before = scene.heard().length;
      scene.send(update({ ...choices, place: moved }));
      const { message } = await scene.ask(
        update({ ...choices, place: BEHIND_NAT, mode: "ipv4-encapsulation" }),
        "a refusal",
      );
      assert(message.type === "binding-acknowledgement");
      assert.deepEqual([message.status, scene.heard().length - before], [129, 1]);
      assert.equal((await scene.pairs())[0]?.sequence, 3);
    },
  );

  await t.test("a restart after a crash goes on with the binding", async () => {
    await scene.daemon.kill();
    await scene.daemon.start();
    const way = await scene.way("again");
    assert.deepEqual(way, [`${CN4}>${NAT.address} 17`, `udp ${PORT}>${NAT.port}`, `${CN4}>${HOA4} 17`]);
    assert.deepEqual((await scene.daemon.audit()).differences, []);
  });
});
