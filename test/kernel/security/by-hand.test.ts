/**
 * Peers that somebody keys by hand: two mobile nodes made of nothing but `ip xfrm` commands, as README tells them, and the real home agent.
 * One is of AES-CBC with HMAC-SHA-256, one of AES-CBC with HMAC-SHA-1.
 *
 *   mn  eth0 2001:db8:f::2 (care-of) ──── wan 2001:db8:f::1  ha  lo 2001:db8:1::1
 *       hoa  2001:db8:1::100, ::101 (home)
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { type Ipv6Address, ipv6 } from "../../../controller/base/ip.js";
import type { IpSocket } from "../../../controller/io/ip/ip-socket.js";
import { openMobilityHeaderSocket } from "../../../controller/io/ip/mobility-header-socket.js";
import {
  type BindingAcknowledgement,
  decodeMobilityMessage,
} from "../../../controller/wire/mip6/messages/mobility-header.js";
import { BindingStatus } from "../../../controller/wire/mip6/registry.js";
import { bindingUpdate } from "../../lib/esp.js";
import { Daemon } from "../lib/daemons.js";
import { Topology } from "../lib/topology.js";
import { waitFor } from "../lib/wait.js";

const HOME_AGENT = ipv6("2001:db8:1::1");
const CARE_OF = ipv6("2001:db8:f::2");

interface Peer {
  readonly home: Ipv6Address;
  readonly algorithm: string;
  readonly integrity: { readonly name: string; readonly octets: number; readonly icvBits: number };
  readonly spis: readonly [update: number, acknowledgement: number];
  readonly encryptionKeys: readonly [string, string];
  readonly integrityKeys: readonly [string, string];
}

function peer(number: number, algorithm: string, integrity: Peer["integrity"]): Peer {
  const keys = (octets: number): [string, string] => [
    randomBytes(octets).toString("hex"),
    randomBytes(octets).toString("hex"),
  ];
  return {
    home: ipv6(`2001:db8:1::10${number}`),
    ...{ algorithm, integrity },
    spis: [0x1000 + 2 * number, 0x1001 + 2 * number],
    encryptionKeys: keys(16),
    integrityKeys: keys(integrity.octets),
  };
}

const PEERS = [
  peer(0, "aes-cbc-hmac-sha256", { name: "hmac(sha256)", octets: 32, icvBits: 128 }),
  peer(1, "aes-cbc-hmac-sha1", { name: "hmac(sha1)", octets: 20, icvBits: 96 }),
];

const association = ({ spis, encryptionKeys, integrityKeys }: Peer, i: 0 | 1) => ({
  spi: spis[i],
  encryptionKey: encryptionKeys[i],
  integrityKey: integrityKeys[i],
});

/** Both associations, with sequence numbers at 0 and no replay window: what a peer has when it starts. */
function states({ home, integrity, spis, encryptionKeys, integrityKeys }: Peer): string[] {
  return ([0, 1] as const).map((i) => {
    const [from, to] = i === 0 ? [home, HOME_AGENT] : [HOME_AGENT, home];
    const keys = `auth-trunc ${integrity.name} 0x${integrityKeys[i]} ${integrity.icvBits} enc cbc(aes) 0x${encryptionKeys[i]}`;
    const selector = `sel src ${from}/128 dst ${to}/128 proto 135`;
    return `xfrm state add src ${from} dst ${to} proto esp spi ${spis[i]} reqid ${spis[0]} mode transport ${keys} ${selector}`;
  });
}

/** Takes them away again. */
const ends = ({ home, spis }: Peer): string[] => [
  `xfrm state delete src ${home} dst ${HOME_AGENT} proto esp spi ${spis[0]}`,
  `xfrm state delete src ${HOME_AGENT} dst ${home} proto esp spi ${spis[1]}`,
];

/** The Home Address option and the policies (RFC 4877 §4); the type 2 routing header is taken from anybody. */
function policies({ home, spis }: Peer): string[] {
  const pair = `src ${home} dst ${HOME_AGENT}`;
  const [up, down] = [`src ${home}/128 dst ${HOME_AGENT}/128`, `src ${HOME_AGENT}/128 dst ${home}/128`];
  const option = `tmpl ${pair} proto hao reqid 2 mode ro`;
  return [
    `xfrm state add ${pair} proto hao mode ro coa ${CARE_OF} reqid 2`,
    `xfrm policy add ${up} proto 135 dir out ${option} tmpl ${pair} proto esp reqid ${spis[0]} mode transport`,
    `xfrm policy add ${down} proto 135 dir in tmpl proto esp reqid ${spis[0]} mode transport`,
  ];
}

const ROUTING_HEADERS = [
  "xfrm state add src :: dst :: proto route2 mode ro coa :: flag wildrecv",
  "xfrm policy add src ::/0 dst ::/0 dir in ptype sub tmpl src :: dst :: proto route2 mode ro level use",
];

test("mobile nodes keyed by hand with ip xfrm", async (t) => {
  const net = new Topology(t);
  const ha = net.node("ha", { forwarding: true });
  const mn = net.node("mn");
  net.link(ha.port("wan", "2001:db8:f::1/64"), mn.port("eth0", `${CARE_OF}/64`));
  ha.also(`address add ${HOME_AGENT}/128 dev lo`);
  mn.route("::/0 via 2001:db8:f::1 dev eth0").also("link add name hoa type dummy", "link set hoa up");
  mn.also(...PEERS.map(({ home }) => `address add ${home}/128 dev hoa nodad home`));
  net.build();
  mn.ip(...ROUTING_HEADERS, ...PEERS.flatMap((one) => [...states(one), ...policies(one)]));
  const keys = PEERS.map((one) => ({
    ...{ homeAddress: one.home, algorithm: one.algorithm },
    ...{ update: association(one, 0), acknowledgement: association(one, 1) },
  }));
  const keyFile = join(net.scratch, "keys.yaml");
  writeFileSync(keyFile, JSON.stringify({ keys }), { mode: 0o600 });
  const files = { directory: net.scratch, keyFile };
  const homeAgent = new Daemon(ha, files, {
    role: "home-agent",
    homeAgent: { addresses: { ipv6: HOME_AGENT }, homeLink: { prefixes: ["2001:db8:1::/64"] } },
    subscribers: PEERS.map(({ home }) => ({ homeAddress: home })),
  });
  await homeAgent.start();

  const socket = openMobilityHeaderSocket({ netns: mn.path });
  t.after(() => socket.close());
  const heard = acknowledgementsOf(socket);
  /** One update and its answer; no second one is sent. */
  const register = async (one: Peer, sequence: number): Promise<BindingAcknowledgement> => {
    const count = heard.length;
    const data = bindingUpdate({ sequence }, one.home, HOME_AGENT);
    socket.send([{ data, source: one.home, destination: HOME_AGENT }]);
    const what = `the answer to update ${sequence} of ${one.home} (${one.algorithm})`;
    await waitFor(() => heard.length > count, { what }).catch((error: Error) => {
      const drops = [ha, mn].map(
        (node) => `${node.label}: ${node.script("grep -v '\\s0$' /proc/net/xfrm_stat || true")}`,
      );
      throw new Error(`${error.message}; ${drops.join("; ")}`);
    });
    return heard[count] as BindingAcknowledgement;
  };
  const registerAll = async (...sequences: readonly number[]): Promise<number[]> => {
    const statuses: number[] = [];
    for (const one of PEERS) for (const sequence of sequences) statuses.push((await register(one, sequence)).status);
    return statuses;
  };
  const accepted = (count: number): number[] => Array(count).fill(BindingStatus.accepted);

  await t.test("both algorithms are understood in both directions, and no window is kept", async () => {
    assert.deepEqual(await registerAll(1, 2, 3), accepted(6));
    const shown = ha.run("ip", "-s", "xfrm", "state");
    for (const { spis, integrity } of PEERS) {
      for (const spi of spis) {
        const block = shown
          .split(/^(?=src )/m)
          .find((text) => text.includes(`spi 0x${spi.toString(16).padStart(8, "0")}`));
        assert.match(block ?? shown, /replay-window 0 /);
        assert.ok(block?.includes(integrity.name), block);
      }
    }
  });

  await t.test("a peer that starts anew, with its ESP sequence numbers at 0, is heard at once", async () => {
    mn.ip(...PEERS.flatMap(ends), ...PEERS.flatMap(states));
    assert.deepEqual(await registerAll(4), accepted(2));
  });

  await t.test("an old message is refused by the sequence number of Mobile IPv6", async () => {
    for (const one of PEERS) {
      const { status, sequence } = await register(one, 3);
      assert.deepEqual([status, sequence], [BindingStatus.sequenceOutOfWindow, 4]);
    }
  });

  await t.test("so is a home agent that starts anew heard by its peers", async () => {
    await homeAgent.stop();
    await homeAgent.start();
    assert.deepEqual(await registerAll(5), accepted(2));
  });
});

/** What comes in, the oldest first. */
function acknowledgementsOf(socket: IpSocket<Ipv6Address>): readonly BindingAcknowledgement[] {
  const heard: BindingAcknowledgement[] = [];
  socket.listen({
    onPackets: (packets) => {
      for (const { data } of packets) {
        const message = decodeMobilityMessage(data);
        if (message.ok && message.value.type === "binding-acknowledgement") heard.push(message.value);
      }
    },
    onError: (error) => {
      throw error;
    },
  });
  return heard;
}
