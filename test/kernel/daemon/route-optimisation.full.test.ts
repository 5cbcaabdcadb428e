/**
 * A correspondent node and a scripted mobile node that speaks octets: tests, updates, payload by the direct way, what is forged, played back or
 * unknown, a restart, and the end.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { type Ipv6Address, ipv6, ipv6FromBytes } from "../../../controller/base/ip.js";
import type { Secret } from "../../../controller/base/secret.js";
import { seq16 } from "../../../controller/base/seq16.js";
import { fetchDocument } from "../../../controller/control/client.js";
import { isAuthorizedBy, withAuthenticator } from "../../../controller/daemon/signalling/binding-authorization.js";
import { bindingManagementKey } from "../../../controller/protocol/mip6/return-routability/tokens.js";
import { encodeUdp } from "../../../controller/wire/ip/udp.js";
import {
  decodeMobilityMessage,
  encodeMobilityMessage,
  verifyChecksum,
  withChecksum,
} from "../../../controller/wire/mip6/messages/mobility-header.js";
import type { MessageOfType, MobilityMessage } from "../../../controller/wire/mip6/messages/mobility-message.js";
import { bindingUpdateFlags } from "../../../controller/wire/mip6/messages/registration.js";
import { homeAddressHeader } from "../../../controller/wire/mip6/options/destination.js";
import { correspondentsDocument } from "../../../schemas/control.js";
import type { Capture } from "../lib/capture.js";
import { Injector, ipPacket } from "../lib/craft.js";
import { Daemon } from "../lib/daemons.js";
import { STATION_PORT, Station } from "../lib/station.js";
import { Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const CN = ipv6("2001:db8:3::30");
const HOA = ipv6("2001:db8:1::10");
const STRANGER = ipv6("2001:db8:9::10");
const COA = ipv6("2001:db8:2::20");
const NEW_COA = ipv6("2001:db8:4::20");
const PROTOCOL = { udp: 17, routing: 43, destinationOptions: 60, mobility: 135 } as const;
const NO_AUTHENTICATOR = new Uint8Array(12);

interface Heard {
  readonly message: MobilityMessage;
  readonly octets: Uint8Array;
  readonly destination: Ipv6Address;
  /** In the type 2 routing header. */
  readonly routedTo: Ipv6Address | undefined;
}

interface Token {
  readonly index: number;
  readonly token: Uint8Array;
}

class Scene {
  readonly daemon: Daemon;
  readonly correspondent: Station;
  readonly node: Station;
  readonly #injector: Injector;
  readonly #capture: Capture;
  #cookie = 0;

  static async open(t: TestContext): Promise<Scene> {
    const net = new Topology(t);
    const cn = net.node("cn");
    const mn = net.node("mn");
    net.link(cn.port("eth0", `${CN}/64`), mn.port("eth0", "2001:db8:3::1/64"));
    cn.route("::/0 via 2001:db8:3::1");
    net.build();
    const daemon = new Daemon(
      cn,
      { directory: net.scratch },
      {
        role: "correspondent-node",
        correspondentNode: { addresses: [CN], allow: ["2001:db8:1::/48"] },
      },
    );
    const capture = await net.capture(mn, "eth0");
    await daemon.start();
    const injector = new Injector({ namespace: mn, device: "eth0" }, { namespace: cn, device: "eth0" });
    t.after(() => injector.close());
    const stations = [new Station(cn, CN), new Station(mn, HOA)] as const;
    for (const station of stations) t.after(() => station.close());
    return new Scene(daemon, injector, capture, ...stations);
  }

  constructor(daemon: Daemon, injector: Injector, capture: Capture, correspondent: Station, node: Station) {
    this.daemon = daemon;
    this.#injector = injector;
    this.#capture = capture;
    this.correspondent = correspondent;
    this.node = node;
  }

  /** All mobility messages that the correspondent has sent. */
  heard(): readonly Heard[] {
    return this.#capture.frames().flatMap(({ layers }) => {
      const ip = layers.find((layer) => layer.kind === "ipv6");
      const last = layers.at(-1);
      if (ip?.source !== CN || last?.kind !== "other" || last.protocol !== PROTOCOL.mobility) return [];
      const header = layers.find((layer) => layer.kind === "extension" && layer.protocol === PROTOCOL.routing);
      const routedTo = header?.kind === "extension" ? ipv6FromBytes(header.bytes.subarray(8, 24)) : undefined;
      const message = decodeMobilityMessage(last.bytes);
      assert(
        message.ok && verifyChecksum(last.bytes, CN, routedTo ?? ip.destination),
        "a message with a right checksum",
      );
      return [{ message: message.value, octets: last.bytes, destination: ip.destination, routedTo }];
    });
  }

  /** Sends these octets from there and gives the next message that is heard. */
  async ask(packet: Uint8Array, what: string): Promise<Heard> {
    const before = this.heard().length;
    this.#injector.send(packet);
    return waitFor(() => this.heard()[before], { what });
  }

  send(...packets: readonly Uint8Array[]): void {
    this.#injector.send(...packets);
  }

  async test(type: "home-test-init" | "care-of-test-init", source: Ipv6Address): Promise<Token> {
    const cookie = new Uint8Array(8).fill(++this.#cookie);
    const { message, destination, routedTo } = await this.ask(testInit(type, source, cookie), `the answer to ${type}`);
    assert(message.type === "home-test" || message.type === "care-of-test");
    assert.deepEqual([message.cookie, destination, routedTo], [cookie, source, undefined]);
    return { index: message.nonceIndex, token: message.keygenToken };
  }

  async acknowledgement(
    packet: Uint8Array,
  ): Promise<Heard & { readonly message: MessageOfType<"binding-acknowledgement"> }> {
    const heard = await this.ask(packet, "a binding acknowledgement");
    const { message } = heard;
    assert(message.type === "binding-acknowledgement");
    return { ...heard, message };
  }

  async pairs() {
    const document = await fetchDocument(this.daemon.socketPath, "/correspondents");
    return correspondentsDocument.parse(document).correspondents;
  }

  /** How the last packet with this text left: to where, and through a routing header to whom. */
  async way(text: string): Promise<readonly (string | undefined)[]> {
    this.correspondent.send(this.node, text);
    const frame = await waitFor(() => this.#capture.frames().find(({ bytes }) => Buffer.from(bytes).includes(text)), {
      what: `"${text}" on the wire`,
    });
    const ip = frame.layers.find((layer) => layer.kind === "ipv6");
    const header = frame.layers.find((layer) => layer.kind === "extension" && layer.protocol === PROTOCOL.routing);
    return [ip?.destination, header?.kind === "extension" ? ipv6FromBytes(header.bytes.subarray(8, 24)) : undefined];
  }
}

const mobility = (source: Ipv6Address, octets: Uint8Array): Uint8Array => withChecksum(octets, source, CN);

/** Behind a Home Address option. */
const withOption = (careOf: Ipv6Address, homeAddress: Ipv6Address, protocol: number, payload: Uint8Array): Uint8Array =>
  ipPacket(
    { source: careOf, destination: CN },
    PROTOCOL.destinationOptions,
    Buffer.concat([homeAddressHeader(protocol, homeAddress), payload]),
  );

function testInit(type: "home-test-init" | "care-of-test-init", source: Ipv6Address, cookie: Uint8Array): Uint8Array {
  const octets = mobility(source, encodeMobilityMessage({ type, cookie, options: [] }));
  return ipPacket({ source, destination: CN }, PROTOCOL.mobility, octets);
}

interface Update {
  readonly sequence: number;
  readonly home: Token;
  readonly careOf: Token;
  readonly address?: Ipv6Address;
  readonly seconds?: number;
  readonly key?: Secret;
}

const keyOf = ({ home, careOf, seconds = 420 }: Update): Secret =>
  seconds === 0 ? bindingManagementKey(home.token) : bindingManagementKey(home.token, careOf.token);

function update(choices: Update): Uint8Array {
  const { sequence, home, careOf, address = COA, seconds = 420, key = keyOf(choices) } = choices;
  const message: MobilityMessage = {
    type: "binding-update",
    sequence: seq16(sequence),
    flags: bindingUpdateFlags({ acknowledge: true }),
    lifetimeUnits: seconds / 4,
    options: [
      { kind: "nonce-indices", homeNonceIndex: home.index, careOfNonceIndex: careOf.index },
      { kind: "binding-authorization-data", authenticator: NO_AUTHENTICATOR },
    ],
  };
  const signed = withAuthenticator(message, key, { careOf: address, correspondent: CN });
  return withOption(address, HOA, PROTOCOL.mobility, mobility(HOA, encodeMobilityMessage(signed)));
}

function data(careOf: Ipv6Address, text: string): Uint8Array {
  const datagram = { sourcePort: STATION_PORT, destinationPort: STATION_PORT, payload: Buffer.from(text, "latin1") };
  const payload = encodeUdp(datagram, { source: HOA, destination: CN });
  return withOption(careOf, HOA, PROTOCOL.udp, payload);
}

test("route optimisation at a correspondent node", async (t) => {
  const scene = await Scene.open(t);
  const procedure = async (careOf: Ipv6Address) => ({
    home: await scene.test("home-test-init", HOA),
    careOf: await scene.test("care-of-test-init", careOf),
  });
  let tokens = await procedure(COA);

  await t.test(
    "F6275-9.4.1-01: tests with a Home Address option, and of who is not allowed, are not answered",
    async () => {
      const cookie = new Uint8Array(8).fill(0xee);
      const before = scene.heard().length;
      const init = encodeMobilityMessage({ type: "home-test-init", cookie, options: [] });
      scene.send(
        withOption(COA, HOA, PROTOCOL.mobility, mobility(HOA, init)),
        testInit("home-test-init", STRANGER, cookie),
      );
      await scene.test("care-of-test-init", COA);
      assert.equal(scene.heard().length, before + 1, "what came later was answered alone");
      assert.deepEqual(await scene.pairs(), []);
    },
  );

  await t.test(
    "F6275-9.5.1-04 F6275-9.5.1-05: unknown nonces are told, a wrong authenticator is met with silence",
    async () => {
      const unknown = { index: tokens.home.index ^ 0x4000, token: tokens.home.token };
      for (const [choices, status] of [
        [{ ...tokens, home: unknown }, 136],
        [{ ...tokens, careOf: unknown }, 137],
        [{ home: unknown, careOf: unknown }, 138],
      ] as const) {
        const { message, destination, routedTo } = await scene.acknowledgement(update({ ...choices, sequence: 1 }));
        assert.deepEqual([message.status, message.sequence, message.options.length], [status, 1, 0]);
        assert.deepEqual([destination, routedTo], [COA, HOA]);
      }
      const before = scene.heard().length;
      scene.send(update({ ...tokens, sequence: 1, key: bindingManagementKey(new Uint8Array(8)) }));
      await scene.test("care-of-test-init", COA);
      assert.equal(scene.heard().length, before + 1);
      assert.deepEqual(await scene.pairs(), []);
      assert.deepEqual(await scene.way("before"), [HOA, undefined]);
    },
  );

  await t.test(
    "F6275-9.5.4-01 F6275-5.2.6-01 F6275-9.3.2-01: a proved update is acknowledged, and payload goes directly",
    async () => {
      const choices = { ...tokens, sequence: 7, seconds: 4000 };
      const { message, octets, destination, routedTo } = await scene.acknowledgement(update(choices));
      assert.deepEqual([message.status, message.sequence, message.lifetimeUnits], [0, 7, 105]);
      assert.deepEqual([destination, routedTo], [COA, HOA]);
      assert(isAuthorizedBy(octets, keyOf(choices), { careOf: COA, correspondent: CN }));
      assert.deepEqual(await scene.way("direct"), [COA, HOA]);
      scene.send(data(COA, "from the node"));
      assert.equal((await scene.correspondent.waitFor("from the node")).source, HOA);
    },
  );

  await t.test(
    "F6275-9.3.1-01 F6275-9.3.3-01: payload from another care-of address dies, and a Binding Error tells",
    async () => {
      const { message, destination, routedTo } = await scene.ask(data(NEW_COA, "forged"), "a Binding Error");
      assert.deepEqual([message.type, destination, routedTo], ["binding-error", NEW_COA, undefined]);
      assert(message.type === "binding-error" && message.status === 1 && message.homeAddress === HOA);
      assert.equal(scene.correspondent.count("forged"), 0);
    },
  );

  await t.test(
    "F6275-9.5.1-02: an update that is played back is 135 with the last number, and changes nothing",
    async () => {
      const { message } = await scene.acknowledgement(update({ ...tokens, sequence: 7 }));
      assert.deepEqual([message.status, message.sequence], [135, 7]);
      assert.equal((await scene.pairs())[0]?.careOfAddress, COA);
    },
  );

  await t.test("a movement leads payload to the new care-of address", async () => {
    const careOf = await scene.test("care-of-test-init", NEW_COA);
    const { message } = await scene.acknowledgement(update({ ...tokens, careOf, address: NEW_COA, sequence: 8 }));
    assert.equal(message.status, 0);
    assert.deepEqual(await scene.way("moved"), [NEW_COA, HOA]);
  });

  await t.test("a restart after a crash goes on with the binding", async () => {
    await scene.daemon.kill();
    assert.deepEqual(await scene.way("frozen"), [NEW_COA, HOA]);
    await scene.daemon.start();
    assert.deepEqual(await scene.way("again"), [NEW_COA, HOA]);
    assert.equal((await scene.pairs())[0]?.sequence, 8);
    assert.deepEqual((await scene.daemon.audit()).differences, []);
    assert.equal(
      (await scene.acknowledgement(update({ ...tokens, sequence: 9 }))).message.status,
      138,
      "tokens of before",
    );
  });

  await t.test("F6275-9.5.5-01: a node whose binding is in use and about to end is asked to refresh it", async () => {
    tokens = await procedure(NEW_COA);
    const choices = { ...tokens, address: NEW_COA, seconds: 20 };
    const { message } = await scene.acknowledgement(update({ ...choices, sequence: 9 }));
    assert.deepEqual([message.status, message.lifetimeUnits], [0, 5]);
    assert.deepEqual(await scene.way("in use"), [NEW_COA, HOA]);
    const asked = await waitFor(() => scene.heard().find((heard) => heard.message.type === "binding-refresh-request"), {
      what: "a binding refresh request",
      timeout: 20_000,
    });
    assert.deepEqual([asked.destination, asked.routedTo], [NEW_COA, HOA]);
  });

  await t.test(
    "F6275-5.2.8-01: a deletion ends the direct way, and what is played back after it is refused",
    async () => {
      tokens = await procedure(COA);
      const moved = update({ ...tokens, sequence: 10 });
      assert.equal((await scene.acknowledgement(moved)).message.status, 0);
      const { message } = await scene.acknowledgement(update({ ...tokens, sequence: 11, seconds: 0 }));
      assert.deepEqual([message.status, message.lifetimeUnits], [0, 0]);
      assert.deepEqual(await scene.way("after"), [HOA, undefined]);
      const { message: old } = await scene.acknowledgement(moved);
      assert.deepEqual([old.status, old.sequence], [135, 11]);
      assert.deepEqual(await scene.pairs(), []);
    },
  );
});
