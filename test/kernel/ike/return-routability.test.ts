/**
 * What RFC 4877 §4 protects besides updates and payload: Home Test Init and Home Test by way of the home agent, and mobile prefix discovery.
 * Their keys are negotiated when the first packet asks for them. The messages are the test's own, by raw sockets on real nodes.
 */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { Ipv6Address } from "../../../controller/base/ip.js";
import { openIcmpv6Socket } from "../../../controller/io/ip/icmpv6-socket.js";
import type { IpSocket } from "../../../controller/io/ip/ip-socket.js";
import { openMobilityHeaderSocket } from "../../../controller/io/ip/mobility-header-socket.js";
import { asPlanned } from "../lib/as-planned.js";
import { describeFrame, ipLayersOf } from "../lib/frames.js";
import { begin, crossAll } from "../lib/keys.js";
import { CORRESPONDENT, HOME_AGENT, type Mobile, Scene } from "../lib/scene.js";
import { waitFor } from "../lib/wait.js";

const HOME_TEST_INIT = 1;
const HOME_TEST = 3;
const SOLICITATION = 146;
const ADVERTISEMENT = 147;
const MOBILITY_HEADER = 135;
const DESTINATION_OPTIONS = 60;

interface Heard {
  readonly source: Ipv6Address;
  readonly octets: string;
}

/** A raw socket that sends messages of the test and keeps what it hears of one type. */
class Speaker {
  readonly heard: Heard[] = [];
  readonly #socket: IpSocket<Ipv6Address>;

  constructor(t: TestContext, socket: IpSocket<Ipv6Address>, typeAt: number, type: number) {
    this.#socket = socket;
    socket.listen({
      onPackets: (packets) => {
        for (const { source, data } of packets) {
          if (data[typeAt] === type)
            this.heard.push({ source, octets: Buffer.from(data.slice(8, 16)).toString("hex") });
        }
      },
      onError: () => {}, // what is lost is missed by the other end
    });
    t.after(() => socket.close());
  }

  say(from: Ipv6Address, to: Ipv6Address, data: Buffer): void {
    this.#socket.send([{ data, source: from, destination: to }]);
  }
}

/** RFC 6275 §6.1.3 and §6.1.5; the kernel writes the checksum. */
function homeTest(type: number, cookie: string): Buffer {
  const length = type === HOME_TEST_INIT ? 1 : 2;
  const message = Buffer.alloc(8 * (length + 1));
  message.set([59, length, type]);
  message.set(Buffer.from(cookie, "hex"), 8);
  return message;
}

/** RFC 6275 §6.7 and §6.8, with eight octets by which it is known again. */
function prefixMessage(type: number, cookie: string): Buffer {
  return Buffer.concat([Buffer.from([type, 0, 0, 0, 0, 1, 0, 0]), Buffer.from(cookie, "hex")]);
}

let serial = 0;
const freshCookie = (): string => (++serial).toString(16).padStart(16, "0");

/** Says it again and again, as the protocol does, until one has been heard. Every other end that hears only these is fine with it. */
async function until(say: (cookie: string) => void, ear: Speaker, what: string): Promise<Heard> {
  const said = new Set<string>();
  return waitFor(
    () => {
      const heard = ear.heard.find(({ octets }) => said.has(octets));
      if (heard !== undefined) return heard;
      const cookie = freshCookie();
      said.add(cookie);
      say(cookie);
      return undefined;
    },
    { what, interval: 200 },
  );
}

const purposes = async (mobile: Mobile): Promise<string[]> => {
  const installed = (await mobile.charon?.sas())?.flatMap(({ children }) => children) ?? [];
  return installed.map(({ name }) => name).sort();
};

/** Frames at the home agent's wide area device in which one of these messages is in a tunnel, but not in ESP. */
function tunnelledInClear(scene: Scene): string[] {
  const inClear = scene.wire.frames().filter((frame) => {
    const [, inner] = ipLayersOf(frame);
    return inner?.protocol === MOBILITY_HEADER;
  });
  return inClear.map(describeFrame);
}

function homeTests(t: TestContext, scene: Scene): () => Promise<void> {
  const { mobile, cn } = scene;
  const node = new Speaker(t, openMobilityHeaderSocket({ netns: mobile.node.path }), 2, HOME_TEST);
  const correspondent = new Speaker(t, openMobilityHeaderSocket({ netns: cn.path }), 2, HOME_TEST_INIT);
  return async () => {
    const init = await until(
      (cookie) => node.say(mobile.home6, CORRESPONDENT.ipv6, homeTest(HOME_TEST_INIT, cookie)),
      correspondent,
      "a Home Test Init at the correspondent",
    );
    assert.equal(init.source, mobile.home6);
    const answer = await until(
      (cookie) => correspondent.say(CORRESPONDENT.ipv6, mobile.home6, homeTest(HOME_TEST, cookie)),
      node,
      "a Home Test at the node",
    );
    assert.equal(answer.source, CORRESPONDENT.ipv6);
  };
}

test("F4877-4.1-01 F4877-4.3-01 F4877-7.2.1-01 F6275-10.4.6-01: return routability and prefix discovery have associations of their own, made on demand; payload stays in its tunnel", async (t) => {
  const scene = await Scene.start(t, { ike: {} });
  const { mobile, ha } = scene;
  await begin(scene, mobile, "six");
  assert.deepEqual(await purposes(mobile), ["signalling"], "nothing before it is needed");

  const exchange = homeTests(t, scene);
  await exchange();
  assert.deepEqual(await purposes(mobile), ["return-routability", "signalling"]);

  const solicited = new Speaker(t, openIcmpv6Socket({ netns: ha.path, types: [SOLICITATION] }), 0, SOLICITATION);
  const advertised = new Speaker(
    t,
    openIcmpv6Socket({ netns: mobile.node.path, types: [ADVERTISEMENT] }),
    0,
    ADVERTISEMENT,
  );
  const solicitation = await until(
    (cookie) => advertised.say(mobile.home6, HOME_AGENT.ipv6, prefixMessage(SOLICITATION, cookie)),
    solicited,
    "a solicitation at the home agent",
  );
  assert.equal(solicitation.source, mobile.home6, "the Home Address option is taken off");
  const isEspWithOption = scene.wire.frames().some((frame) => {
    const [outer] = ipLayersOf(frame);
    return outer?.source === mobile.careOf.six && outer.protocol === DESTINATION_OPTIONS;
  });
  assert.ok(isEspWithOption, "Home Address option before ESP on the wire");
  assert.deepEqual(await purposes(mobile), ["prefix", "return-routability", "signalling"]);

  // From the correspondent in clear: whatever is heard of it would be heard before the node's next one.
  const stranger = new Speaker(t, openIcmpv6Socket({ netns: scene.cn.path, types: [] }), 0, SOLICITATION);
  const forged = freshCookie();
  stranger.say(CORRESPONDENT.ipv6, HOME_AGENT.ipv6, prefixMessage(SOLICITATION, forged));
  await until(
    (cookie) => advertised.say(mobile.home6, HOME_AGENT.ipv6, prefixMessage(SOLICITATION, cookie)),
    solicited,
    "another solicitation at the home agent",
  );
  assert.ok(!solicited.heard.some(({ octets }) => octets === forged), "a solicitation in clear is dropped");

  await scene.move(mobile, "nat");
  await exchange();
  assert.deepEqual(await purposes(mobile), ["prefix", "return-routability", "signalling"], "the same after a move");
  await crossAll(scene, mobile);
  assert.deepEqual(tunnelledInClear(scene), [], "Mobility Headers in a tunnel without ESP");
  const { nodes } = await scene.homeAgent.security();
  const carried = nodes[0]?.associations.filter(({ packets }) => packets > 0).map(({ purpose }) => purpose);
  assert.deepEqual([...new Set(carried)].sort(), ["prefix", "return-routability", "signalling"]);
  await asPlanned(scene.homeAgent, mobile.daemon);
});

test("F4877-4.3-01: with payload in ESP return routability keeps its own association", async (t) => {
  const scene = await Scene.start(t, { ike: {}, profile: { protection: "esp" } });
  const { mobile } = scene;
  await begin(scene, mobile, "four");
  const exchange = homeTests(t, scene);
  await exchange();
  assert.deepEqual(await purposes(mobile), ["payload", "return-routability", "signalling"]);
  const before = await carriedBy(scene, "payload");
  await exchange();
  assert.equal(await carriedBy(scene, "payload"), before, "none of it in the payload's association");
  assert.deepEqual(tunnelledInClear(scene), []);
});

async function carriedBy(scene: Scene, purpose: string): Promise<number> {
  const { nodes } = await scene.homeAgent.security();
  return (nodes[0]?.associations ?? [])
    .filter((one) => one.purpose === purpose)
    .reduce((sum, { packets }) => sum + packets, 0);
}
