/**
 * Two machines, a and b, with ESP tunnels between them that are made of our objects, IPv4 and IPv6 inside and IPv4 outside:
 *
 *     a 198.51.100.1, 2001:db8:5::1 ── 10.0.0.1, 10.0.0.3 ──── 10.0.0.2, 10.0.0.4 ── b 198.51.100.2, 2001:db8:5::2
 *
 * From a to b the SPI is 0x1000, back it is 0x2000.
 */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { hostPrefix, IPV4_ANY, type Ipv4Address, ipv4, ipv6, isIpv4 } from "../../../controller/base/ip.js";
import { Secret } from "../../../controller/base/secret.js";
import { SOL_UDP } from "../../../controller/io/constants.js";
import { openUdpSocket } from "../../../controller/io/ip/udp-socket.js";
import type { NetlinkKernel } from "../../../controller/kernel/netlink-kernel.js";
import { UDP_ENCAP_ESPINUDP } from "../../../controller/kernel/xfrm/constants.js";
import { StructView, XFRM_STRUCTS } from "../../../controller/kernel/xfrm/layout.js";
import { type ReplayHistory, readReplay } from "../../../controller/kernel/xfrm/replay.js";
import { stateBody, xfrmStateCodec } from "../../../controller/kernel/xfrm/state.js";
import { type KernelObject, OWNERSHIP } from "../../../controller/plan/objects/objects.js";
import type { AeadState, XfrmPolicy, XfrmState, XfrmTemplate } from "../../../controller/plan/objects/security.js";
import { RECEIVING_PLAIN_MARK, SENDING_MARK } from "../../../controller/plan/security/marks.js";
import type { Operation } from "../../../controller/reconcile/kernel-port.js";
import { CodecKernel, NAMES } from "../codecs/codec-kernel.js";
import { create, errorsOf, openKernel } from "../codecs/rtnetlink-objects.js";
import { type Node, Topology } from "./topology.js";

export const REQID = OWNERSHIP.reqidBase + 19;
export const TO_B = 0x1000;
export const TO_A = 0x2000;
export const A = {
  outer: ipv4("10.0.0.1"),
  moved: ipv4("10.0.0.3"),
  inner: [ipv4("198.51.100.1"), ipv6("2001:db8:5::1")],
};
export const B = {
  outer: ipv4("10.0.0.2"),
  moved: ipv4("10.0.0.4"),
  inner: [ipv4("198.51.100.2"), ipv6("2001:db8:5::2")],
};
export const ESP_PORT = 4500;
/** linux/udp.h */
const UDP_ENCAP = 100;

export class EspEnd {
  readonly node: Node;
  readonly kernel: NetlinkKernel;
  readonly #codec: CodecKernel;

  constructor(node: Node, kernel: NetlinkKernel, codec: CodecKernel) {
    this.node = node;
    this.kernel = kernel;
    this.#codec = codec;
  }

  async apply(...operations: readonly Operation[]): Promise<void> {
    assert.deepEqual(errorsOf(await this.kernel.apply(operations)), []);
  }

  make(...objects: readonly KernelObject[]): Promise<void> {
    return this.apply(...objects.map(create));
  }

  /** Packets that the state has handled, and where its numbers stand. */
  async look(state: XfrmState): Promise<ReplayHistory & { readonly packets: number }> {
    const [message] = await this.#codec.ask(xfrmStateCodec.find?.(state, NAMES) ?? []);
    const found = message && stateBody(message);
    assert.ok(found, "the state is there");
    const { xfrm_usersa_info: INFO, xfrm_lifetime_cur: LIFETIME } = XFRM_STRUCTS;
    const current = new StructView(found.info.bytes.subarray(INFO.curlft));
    return { ...readReplay(found.info, found.attributes), packets: Number(current.u64(LIFETIME.packets)) };
  }

  /** The kernel's count of drops and faults by name (/proc/net/xfrm_stat). */
  faults(): Readonly<Record<string, number>> {
    const lines = this.node.run("cat", "/proc/net/xfrm_stat").trim().split("\n");
    const pairs = lines.map((line) => line.split(/\s+/) as [string, string]);
    return Object.fromEntries(pairs.map(([name, count]) => [name, Number(count)]).filter(([, count]) => count !== 0));
  }

  /** So many packets of each family that the other end has to answer. */
  ping(other: { readonly inner: readonly string[] }, count = 1): void {
    for (const address of other.inner) this.node.run("ping", "-c", String(count), "-i", "0.01", "-W", "5", address);
  }

  /** The kernel takes ESP in UDP from this port on. */
  receiveInUdp(t: TestContext, port = ESP_PORT): void {
    const socket = openUdpSocket({ family: 4, netns: this.node.path, port });
    t.after(() => socket.close());
    socket.socket.setOption(SOL_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP);
  }
}

/** Both ends, with policies and without associations. */
export async function espEnds(
  t: TestContext,
): Promise<{ readonly a: EspEnd; readonly b: EspEnd; readonly net: Topology }> {
  const net = new Topology(t);
  const [a, b] = [net.node("a"), net.node("b")];
  net.link(a.port("eth0", ...outerOf(A)), b.port("eth0", ...outerOf(B)));
  for (const [node, own, other] of [
    [a, A, B],
    [b, B, A],
  ] as const) {
    // An address that is still being looked for on the link can be no route's source, not even on lo.
    for (const address of own.inner) node.also(`address add ${address} dev lo${isIpv4(address) ? "" : " nodad"}`);
    other.inner.forEach((address, i) => void node.route(`${address} dev eth0 src ${own.inner[i]}`));
  }
  net.build();
  const ends = await Promise.all(
    [a, b].map(async (node) => {
      const { kernel } = await openKernel(t, node.path);
      return new EspEnd(node, kernel, new CodecKernel(t, "xfrm", node.name));
    }),
  );
  const [first, second] = ends as [EspEnd, EspEnd];
  await first.make(...outgoing(A, B), ...incoming(B, A));
  await second.make(...outgoing(B, A), ...incoming(A, B));
  return { a: first, b: second, net };
}

const outerOf = ({ outer, moved }: typeof A): string[] => [`${outer}/24`, `${moved}/24`];

export function state(
  spi: number,
  source: Ipv4Address,
  destination: Ipv4Address,
  transform: Partial<AeadState> = {},
): XfrmState {
  const key = new Secret(new Uint8Array(20).fill(spi >> 8));
  return {
    kind: "xfrm-state",
    source,
    destination,
    reqid: REQID,
    transform: {
      type: "esp",
      spi,
      mode: "tunnel",
      aead: { algorithm: "rfc4106(gcm(aes))", key, icvLength: 16 },
      replayWindow: 64,
      ...transform,
    },
  };
}

export const sending = (
  spi: number,
  from: Ipv4Address,
  to: Ipv4Address,
  transform: Partial<AeadState> = {},
): XfrmState => state(spi, from, to, { mark: SENDING_MARK, ...transform });
export const receiving = (spi: number, at: Ipv4Address, transform: Partial<AeadState> = {}): XfrmState =>
  state(spi, IPV4_ANY, at, { mark: RECEIVING_PLAIN_MARK, ...transform });

type End = Pick<typeof A, "inner">;

/** `from` and `to`: the ends of the tunnel. */
export const outgoing = (own: End, other: End, from = outerEnd(own), to = outerEnd(other)): XfrmPolicy[] =>
  policies("out", own, other, { source: from, destination: to });
const incoming = (other: End, own: End): XfrmPolicy[] =>
  policies("in", other, own, { source: IPV4_ANY, destination: IPV4_ANY });

const outerEnd = (end: End): Ipv4Address => (end === A ? A : B).outer;

function policies(
  direction: "in" | "out",
  source: End,
  destination: End,
  ends: Pick<XfrmTemplate, "source" | "destination">,
): XfrmPolicy[] {
  return source.inner.map((address, i) => ({
    kind: "xfrm-policy",
    direction,
    policyType: "main",
    selector: { source: hostPrefix(address), destination: hostPrefix(destination.inner[i] ?? address), protocol: 0 },
    priority: OWNERSHIP.policyPriorityBase,
    action: "allow",
    templates: [{ protocol: "esp", mode: "tunnel", reqid: REQID, optional: false, ...ends }],
  }));
}
