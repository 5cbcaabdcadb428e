/**
 * A binding update and its acknowledgement over native IPv6 through our Mobility Header sockets and the kernel's own Mobile IPv6 parts:
 * home address option and ESP on the way to the home agent, type 2 routing header and ESP on the way back (RFC 6275 §6.3, §6.4).
 *
 *   mn  eth0 2001:db8:f::2 (care-of) ──── wan 2001:db8:f::1  ha  lo 2001:db8:1::1
 *       hoa  2001:db8:1::100 (home)
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import test, { type TestContext } from "node:test";
import { fromHex, toHex } from "../../../controller/base/bytes.js";
import { type Ipv6Address, ipToBytes, ipv6 } from "../../../controller/base/ip.js";
import type { IpPacket, IpSocket } from "../../../controller/io/ip/ip-socket.js";
import { openMobilityHeaderSocket } from "../../../controller/io/ip/mobility-header-socket.js";

const HOME_ADDRESS = ipv6("2001:db8:1::100");
const HOME_AGENT = ipv6("2001:db8:1::1");
const CARE_OF = ipv6("2001:db8:f::2");
const UPDATE = fromHex("3b01 0500 0000 0001 c000 003c 0102 0000");
const ACKNOWLEDGEMENT = fromHex("3b01 0600 0000 0000 0001 000a 0102 0000");

const ip = (...words: string[]): string => execFileSync("ip", words, { encoding: "utf8", stdio: "pipe" });
const batch = (namespace: string, lines: readonly string[]): string =>
  execFileSync("ip", ["-n", namespace, "-batch", "-"], { input: lines.join("\n"), encoding: "utf8" });

/** Both directions' ESP states, the ESP policies of `namespace`, and its half of the Mobile IPv6 objects (design: native IPv6 signalling). */
function xfrmLines(role: "ha" | "mn"): string[] {
  const [up, down] = [`src ${HOME_ADDRESS}/128 dst ${HOME_AGENT}/128`, `src ${HOME_AGENT}/128 dst ${HOME_ADDRESS}/128`];
  const key = "aead rfc4106(gcm(aes)) 0x0102030405060708090a0b0c0d0e0f1011121314 128";
  const esp = "tmpl proto esp reqid 1 mode transport";
  const states = [
    `xfrm state add ${up.replaceAll("/128", "")} proto esp spi 0x1000 reqid 1 mode transport ${key} sel ${up} proto 135`,
    `xfrm state add ${down.replaceAll("/128", "")} proto esp spi 0x1001 reqid 1 mode transport ${key} sel ${down} proto 135`,
  ];
  const catchAll = (proto: string): string[] => [
    `xfrm state add src :: dst :: proto ${proto} mode ro coa :: flag wildrecv`,
    `xfrm policy add src ::/0 dst ::/0 dir in ptype sub tmpl src :: dst :: proto ${proto} mode ro level use`,
  ];
  if (role === "ha") {
    return [
      ...states,
      ...catchAll("hao"),
      `xfrm policy add ${up} proto 135 dir in ${esp}`,
      `xfrm policy add ${down} proto 135 dir out ${esp}`,
    ];
  }
  const pair = `src ${HOME_ADDRESS} dst ${HOME_AGENT}`;
  return [
    ...states,
    ...catchAll("route2"),
    `xfrm policy add ${down} proto 135 dir in ${esp}`,
    `xfrm state add ${pair} proto hao mode ro coa ${CARE_OF} reqid 2`,
    `xfrm policy add ${up} proto 135 dir out tmpl ${pair} proto hao reqid 2 mode ro tmpl ${pair} proto esp reqid 1 mode transport`,
  ];
}

function buildTopology(t: TestContext): void {
  for (const name of ["ha", "mn"]) {
    ip("netns", "add", name);
    t.after(() => ip("netns", "del", name));
    ip("-n", name, "link", "set", "lo", "up");
  }
  ip("link", "add", "name", "eth0", "netns", "mn", "type", "veth", "peer", "name", "wan", "netns", "ha");
  batch("ha", [
    "link set wan up",
    "address add 2001:db8:f::1/64 dev wan nodad",
    `address add ${HOME_AGENT}/128 dev lo nodad`,
    ...xfrmLines("ha"),
  ]);
  batch("mn", [
    "link set eth0 up",
    `address add ${CARE_OF}/64 dev eth0 nodad`,
    "route add default via 2001:db8:f::1",
    "link add name hoa type dummy",
    "link set hoa up",
    `address add ${HOME_ADDRESS}/128 dev hoa nodad home`,
    ...xfrmLines("mn"),
  ]);
}

function next(socket: IpSocket<Ipv6Address>): Promise<IpPacket<Ipv6Address>> {
  return new Promise((resolve, reject) => {
    socket.listen({ onPackets: ([packet]) => packet && resolve(packet), onError: reject });
  });
}

/** Resolves when the home agent's kernel has counted one, or the test has ended without it. */
async function waitForCounter(name: string, socket: IpSocket<Ipv6Address>): Promise<void> {
  const counted = (): boolean => {
    const statistics = execFileSync("ip", ["netns", "exec", "ha", "cat", "/proc/net/xfrm_stat"], { encoding: "utf8" });
    return new RegExp(`^${name}\\s+[1-9]`, "m").test(statistics);
  };
  while (!counted() && !socket.socket.closed) await new Promise((resolve) => setImmediate(resolve));
}

/** Why this kernel cannot run the test, or false: the objects are tried in a namespace of their own. */
function missing(): string | false {
  try {
    ip("netns", "add", "probe");
  } catch {
    return "no network namespaces (not root?)";
  }
  try {
    batch("probe", xfrmLines("mn"));
    return false;
  } catch (error) {
    return `no Mobile IPv6 or ESP in this kernel: ${String((error as { stderr?: string }).stderr ?? error).trim()}`;
  } finally {
    ip("netns", "del", "probe");
  }
}

test("home address option, type 2 routing header and flow label as ancillary data, under ESP", {
  skip: missing(),
}, async (t) => {
  buildTopology(t);
  const homeAgent = openMobilityHeaderSocket({ netns: "/run/netns/ha" });
  const mobileNode = openMobilityHeaderSocket({ netns: "/run/netns/mn" });
  t.after(() => [homeAgent, mobileNode].forEach((socket) => void socket.close()));

  // mn → ha: the kernel adds the home address option and ESP, and puts the care-of address into the source.
  const update = next(homeAgent);
  const sent = mobileNode.send([{ data: UPDATE, source: HOME_ADDRESS, destination: HOME_AGENT, flowLabel: 0xabcde }]);
  assert.deepEqual(sent, { sent: 1, queued: 0, dropped: 0 });
  const received = await update;
  assert.equal(toHex(received.data).replace(/^(.{8}).{4}/, "$1----"), toHex(UPDATE).replace(/^(.{8}).{4}/, "$1----"));
  assert.notEqual(toHex(received.data.subarray(4, 6)), "0000", "the kernel filled in the checksum");
  assert.equal(received.source, HOME_ADDRESS);
  assert.equal(received.destination, HOME_AGENT);
  assert.equal(received.flowLabel, 0xabcde);
  assert.equal(received.hopLimit, 64);
  assert.equal(received.destinationOptions.length, 1);
  assert.match(
    toHex(received.destinationOptions[0] ?? new Uint8Array()),
    new RegExp(`c910${toHex(ipToBytes(CARE_OF))}`),
  );
  assert.equal(received.routingHeader, undefined);

  // ha → mn: we give the routing header, the kernel exchanges the addresses and adds ESP.
  const acknowledgement = next(mobileNode);
  const routingHeader = Buffer.concat([fromHex("00020201 00000000"), ipToBytes(CARE_OF)]);
  const answer = { data: ACKNOWLEDGEMENT, source: HOME_AGENT, destination: HOME_ADDRESS, routingHeader };
  assert.deepEqual(homeAgent.send([answer]), { sent: 1, queued: 0, dropped: 0 });
  const back = await acknowledgement;
  assert.equal(back.data[2], 6, "MH type of a binding acknowledgement");
  assert.equal(back.source, HOME_AGENT);
  assert.equal(back.destination, HOME_ADDRESS);
  assert.equal(back.data.length, ACKNOWLEDGEMENT.length);
  assert.match(
    toHex(back.routingHeader ?? new Uint8Array()),
    new RegExp(`^..020200........${toHex(ipToBytes(CARE_OF))}$`),
  );
  assert.deepEqual(back.destinationOptions, []);
  for (const spi of ["0x1000", "0x1001"]) {
    const state = ip("-n", "ha", "-s", "xfrm", "state", "list", "spi", spi);
    assert.match(state, /lifetime current:\s+\d+\(bytes\), 1\(packets\)/, `one packet under ESP with SPI ${spi}`);
  }

  // The same update without ESP: the policy of the home agent lets it die.
  const pair = `src ${HOME_ADDRESS} dst ${HOME_AGENT}`;
  const selector = `src ${HOME_ADDRESS}/128 dst ${HOME_AGENT}/128 proto 135 dir out`;
  batch("mn", [`xfrm policy delete ${selector}`, `xfrm policy add ${selector} tmpl ${pair} proto hao reqid 2 mode ro`]);
  const unprotected = next(homeAgent).then(() => "received");
  const dropped = waitForCounter("XfrmInTmplMismatch", homeAgent).then(() => "dropped");
  assert.equal(mobileNode.send([{ data: UPDATE, source: HOME_ADDRESS, destination: HOME_AGENT }]).sent, 1);
  assert.equal(await Promise.race([unprotected, dropped]), "dropped");
});
