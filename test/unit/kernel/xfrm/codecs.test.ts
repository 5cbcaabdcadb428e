/** XFRM states and policies against what iproute2 sends and the kernel dumps, attribute by attribute, and what the codecs refuse. */
import { inspect } from "node:util";
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { DecodeError, EncodeError } from "../../../../controller/base/errors.js";
import { familyOf, ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { Secret } from "../../../../controller/base/secret.js";
import type { KernelNames, NetlinkRequest } from "../../../../controller/kernel/codec.js";
import * as c from "../../../../controller/kernel/xfrm/constants.js";
import { XFRM_STRUCTS } from "../../../../controller/kernel/xfrm/layout.js";
import { xfrmPolicyCodec } from "../../../../controller/kernel/xfrm/policy.js";
import { xfrmStateCodec } from "../../../../controller/kernel/xfrm/state.js";
import { objectsEqual } from "../../../../controller/plan/objects/equal.js";
import { OWNERSHIP } from "../../../../controller/plan/objects/objects.js";
import type { AeadState, XfrmPolicy, XfrmState } from "../../../../controller/plan/objects/security.js";
import { attributeLines, type CodecVector, loadCodecVectors, vectorMessage } from "../../../lib/codec-vectors.js";

const NAMES: KernelNames = { interfaceIndex: () => 0, interfaceName: () => undefined };
const VECTORS = loadCodecVectors<XfrmState | XfrmPolicy>("xfrm.json");

function requestsOf({ object, direction }: CodecVector<XfrmState | XfrmPolicy>): readonly NetlinkRequest[] | undefined {
  if (object.kind === "xfrm-state") {
    if (direction === "update") return xfrmStateCodec.update(object, object, NAMES);
    return direction === "create" ? xfrmStateCodec.create(object, NAMES) : xfrmStateCodec.remove(object, NAMES);
  }
  if (direction === "update") return xfrmPolicyCodec.update(object, object, NAMES);
  return direction === "create" ? xfrmPolicyCodec.create(object, NAMES) : xfrmPolicyCodec.remove(object, NAMES);
}

function decode(message: { type: number; flags: number; body: Uint8Array }, ownOnly = true) {
  return xfrmStateCodec.decode(message, NAMES, ownOnly) ?? xfrmPolicyCodec.decode(message, NAMES, ownOnly);
}

const HEADER = new Map<number, number>([
  [c.XFRM_MSG_NEWSA, XFRM_STRUCTS.xfrm_usersa_info.size],
  [c.XFRM_MSG_UPDSA, XFRM_STRUCTS.xfrm_usersa_info.size],
  [c.XFRM_MSG_DELSA, XFRM_STRUCTS.xfrm_usersa_id.size],
  [c.XFRM_MSG_NEWPOLICY, XFRM_STRUCTS.xfrm_userpolicy_info.size],
  [c.XFRM_MSG_UPDPOLICY, XFRM_STRUCTS.xfrm_userpolicy_info.size],
  [c.XFRM_MSG_DELPOLICY, XFRM_STRUCTS.xfrm_userpolicy_id.size],
]);

const state = (of: string): XfrmState => VECTORS.find(({ name }) => name === of)?.object as XfrmState;
const policy = (of: string): XfrmPolicy => VECTORS.find(({ name }) => name === of)?.object as XfrmPolicy;
const ESP = state("esp transport for the Mobility Header");
const AEAD = (ESP.transform as AeadState).aead;
const HAO = state("home address option of a mobile node");
const SUB = policy("catch-all sub policy for home address options");
const esp = (changes: object): XfrmState => ({
  ...ESP,
  transform: { ...ESP.transform, ...changes } as XfrmState["transform"],
});

/**
 * What iproute2 leaves out because it is the kernel's default (policies of type main, a mark that is set whole), and what it has no word
 * for (how often another source of ESP in UDP is announced: once a minute).
 */
const OURS_ALONE = new Set([
  `${c.XFRMA_POLICY_TYPE}: 000000000000`,
  `${c.XFRMA_SET_MARK_MASK}: ffffffff`,
  `${c.XFRMA_MTIMER_THRESH}: 3c000000`,
]);
const isShared = (line: string): boolean => !OURS_ALONE.has(line);

t.test("every request is octet for octet what iproute2 sends", (t) => {
  for (const vector of VECTORS.filter(({ direction }) => direction !== "reply")) {
    const recorded = vectorMessage(vector);
    const [request, ...more] = requestsOf(vector) ?? [];
    const header = HEADER.get(recorded.type) ?? Number.NaN;
    if (request === undefined) throw new TypeError(vector.name);
    t.strictSame(more, [], `${vector.name}: one message`);
    t.equal(request.type, recorded.type, `${vector.name}: type`);
    t.equal(
      toHex(request.body.subarray(0, header)),
      toHex(recorded.body.subarray(0, header)),
      `${vector.name}: header`,
    );
    t.strictSame(
      attributeLines(request.body.subarray(header)).filter(isShared),
      attributeLines(recorded.body.subarray(header)).filter(isShared),
      `${vector.name}: attributes`,
    );
  }
  t.end();
});

t.test("every message of the kernel, and every request of iproute2, decodes to its object", (t) => {
  for (const vector of VECTORS.filter(({ direction }) => direction !== "remove")) {
    const object = decode(vectorMessage(vector));
    t.ok(object !== undefined && objectsEqual(object, vector.object), `${vector.direction}: ${vector.name}`);
  }
  t.end();
});

t.test("the vectors hold every transformation, mode, direction, type and action", (t) => {
  const objects = VECTORS.map(({ object }) => object);
  const states = objects.filter((object) => object.kind === "xfrm-state").map(({ transform }) => transform);
  const policies = objects.filter((object) => object.kind === "xfrm-policy");
  const templates = policies.flatMap(({ templates }) => templates);
  t.strictSame(
    new Set(states.map(({ type }) => type)),
    new Set(["esp", "home-address-option", "type2-routing-header"]),
  );
  t.strictSame(
    new Set(states.map((transform) => (transform.type === "esp" ? transform.mode : transform.wildcard))),
    new Set(["transport", "tunnel", false, true]),
  );
  t.strictSame(new Set(policies.map(({ direction }) => direction)), new Set(["in", "out", "forward"]));
  t.strictSame(new Set(policies.map(({ policyType }) => policyType)), new Set(["main", "sub"]));
  t.strictSame(new Set(policies.map(({ action }) => action)), new Set(["allow", "block"]));
  t.strictSame(new Set(templates.map(({ mode }) => mode)), new Set(["transport", "tunnel", "route-optimisation"]));
  t.strictSame(new Set(templates.map(({ optional }) => optional)), new Set([true, false]));
  t.end();
});

t.test(
  "the vectors hold every part of an ESP state once by itself, and every mixture of inner and outer family",
  (t) => {
    const objects = VECTORS.map(({ object }) => object);
    const parts = ["encapsulation", "mark", "setMark", "decapsulateDscp", "hideDscp"] as const;
    const states = objects.filter((object) => object.kind === "xfrm-state");
    const alone = states.flatMap(({ transform }) => {
      const has = transform.type === "esp" ? parts.filter((part) => transform[part] !== undefined) : [];
      return has.length === 1 ? has : [];
    });
    t.strictSame(new Set(alone), new Set(parts));
    const ends = states.filter(({ transform }) => transform.type === "esp").map(({ source }) => familyOf(source));
    t.strictSame(new Set(ends), new Set([4, 6]));
    const mixtures = objects
      .filter((object) => object.kind === "xfrm-policy")
      .flatMap(({ selector, templates }) =>
        templates.map(({ source }) => `${familyOf(selector.source.address)} in ${familyOf(source)}`),
      );
    t.strictSame(new Set(mixtures), new Set(["6 in 6", "6 in 4", "4 in 6"]));
    t.end();
  },
);

t.test("a removal notification carries the whole object", (t) => {
  for (const vector of VECTORS.filter(({ direction }) => direction === "reply")) {
    const { type, body } = vectorMessage(vector);
    const isState = type === c.XFRM_MSG_NEWSA;
    const header = HEADER.get(type) ?? Number.NaN;
    const idLength = isState ? XFRM_STRUCTS.xfrm_usersa_id.size : XFRM_STRUCTS.xfrm_userpolicy_id.size;
    const notification = new Uint8Array(idLength + 4 + body.length);
    const view = new DataView(notification.buffer);
    view.setUint16(idLength, 4 + header, true);
    view.setUint16(idLength + 2, isState ? c.XFRMA_SA : c.XFRMA_POLICY, true);
    notification.set(body, idLength + 4);
    const object = decode({ type: isState ? c.XFRM_MSG_DELSA : c.XFRM_MSG_DELPOLICY, flags: 0, body: notification });
    t.ok(object !== undefined && objectsEqual(object, vector.object), vector.name);
  }
  t.end();
});

t.test("only what carries our mark is ours", (t) => {
  const strangers: XfrmState = { ...ESP, reqid: OWNERSHIP.reqidBase - 1 };
  const beyond: XfrmState = { ...ESP, reqid: OWNERSHIP.reqidBase + 2 ** 24 };
  for (const object of [strangers, beyond]) {
    const [request] = xfrmStateCodec.create(object, NAMES);
    if (request === undefined) throw new TypeError("no request");
    t.equal(decode(request), undefined);
    t.ok(objectsEqual(decode(request, false) ?? ESP, object));
  }
  for (const priority of [OWNERSHIP.policyPriorityBase - 1, OWNERSHIP.policyPriorityBase + 0x10000]) {
    const [request] = xfrmPolicyCodec.create({ ...SUB, priority }, NAMES);
    if (request === undefined) throw new TypeError("no request");
    t.equal(decode(request), undefined);
    t.strictSame(decode(request, false), { ...SUB, priority });
  }
  t.end();
});

t.test("only the care-of address and the selector of a Mobile IPv6 state change in place", (t) => {
  const moved: XfrmState = {
    ...HAO,
    transform: { ...HAO.transform, careOfAddress: ipv6("2001:db8::9") } as XfrmState["transform"],
  };
  t.equal(xfrmStateCodec.update(moved, HAO, NAMES)?.[0]?.type, c.XFRM_MSG_UPDSA);
  t.equal(xfrmStateCodec.update({ ...HAO, reqid: HAO.reqid + 1 }, HAO, NAMES), undefined);
  const wildcard = { ...HAO, transform: { ...HAO.transform, wildcard: true } as XfrmState["transform"] };
  t.equal(xfrmStateCodec.update(wildcard, HAO, NAMES), undefined);
  t.equal(xfrmStateCodec.update(esp({ replayWindow: 64 }), ESP, NAMES), undefined);
  t.end();
});

t.test(
  "the entry of a question is none of ours, but known when it stands in a state's place, and gives way in place",
  (t) => {
    const reply = VECTORS.find(
      ({ name, direction }) => name === "home address option of a mobile node" && direction === "reply",
    ) as (typeof VECTORS)[number];
    const { type, body } = vectorMessage(reply);
    const { size, sport_mask } = { ...XFRM_STRUCTS.xfrm_selector, size: XFRM_STRUCTS.xfrm_usersa_info.size };
    // No care-of address, another request id of ours, and the ports of the packet that asked.
    const question = body.slice(0, size);
    const view = new DataView(question.buffer);
    view.setUint16(sport_mask, 0xffff);
    view.setUint32(XFRM_STRUCTS.xfrm_usersa_info.reqid, OWNERSHIP.reqidBase + 4, true);
    const message = { type, flags: 0, body: question };
    t.equal(xfrmStateCodec.decode(message, NAMES, true), undefined);
    t.equal(xfrmStateCodec.unfinished?.(message), true);
    const there = xfrmStateCodec.decode(message, NAMES, false);
    t.ok(there);
    t.strictSame([there?.source, there?.destination, there?.selector], [HAO.source, HAO.destination, undefined]);
    t.equal(xfrmStateCodec.update(HAO, there as XfrmState, NAMES)?.[0]?.type, c.XFRM_MSG_UPDSA);
    view.setUint32(XFRM_STRUCTS.xfrm_usersa_info.reqid, 7, true);
    t.equal(xfrmStateCodec.unfinished?.(message), false, "a stranger's question");
    t.equal(xfrmStateCodec.unfinished?.({ type, flags: 0, body }), false, "a state");
    t.end();
  },
);

t.test("a key reaches the kernel marked as secret, and no text", (t) => {
  const [request] = xfrmStateCodec.create(ESP, NAMES);
  t.equal(request?.secret, true);
  t.equal(xfrmStateCodec.create(HAO, NAMES)[0]?.secret, undefined);
  const key = toHex(AEAD.key.reveal());
  t.match(toHex(request?.body ?? new Uint8Array(0)), key);
  for (const text of [
    inspect(decode(request ?? { type: 0, flags: 0, body: new Uint8Array(0) }), { depth: 9 }),
    JSON.stringify(ESP),
  ]) {
    t.notMatch(text, key);
    t.match(text, "[secret]");
  }
  t.end();
});

t.test("keys differ in one octet: not the same state", (t) => {
  const aead = AEAD;
  const other = aead.key.reveal().slice();
  other[19] = (other[19] ?? 0) ^ 1;
  t.notOk(objectsEqual(ESP, esp({ aead: { ...aead, key: new Secret(other) } })));
  t.ok(objectsEqual(ESP, esp({ aead: { ...aead, key: new Secret(aead.key.reveal().slice()) } })));
  t.end();
});

t.test("what the kernel could not hold is refused before it is asked, without the key in the error", (t) => {
  const key = new Secret(fromHex("abcdef".repeat(4)));
  const aead = { algorithm: "x".repeat(64), key, icvLength: 16 };
  const bad: XfrmState[] = [
    esp({ spi: 0 }),
    esp({ spi: 255 }),
    esp({ spi: 2 ** 32 }),
    esp({ replayWindow: 4097 }),
    esp({ replayWindow: 1.5 }),
    esp({ aead }),
    esp({ encapsulation: { sourcePort: 4500, destinationPort: 65_536 } }),
    esp({ mark: { value: 0, mask: 2 ** 32 } }),
    esp({ setMark: { value: -1, mask: 0 } }),
    { ...ESP, source: ipv4("203.0.113.1") },
    { ...ESP, reqid: -1 },
    {
      ...ESP,
      selector: {
        source: { address: ipv6("::"), length: 129 },
        destination: { address: ipv6("::"), length: 0 },
        protocol: 0,
      },
    },
    {
      ...ESP,
      selector: {
        source: { address: ipv6("::"), length: 0 },
        destination: { address: ipv4("0.0.0.0"), length: 0 },
        protocol: 0,
      },
    },
    {
      ...ESP,
      selector: {
        source: { address: ipv6("::"), length: 0 },
        destination: { address: ipv6("::"), length: 0 },
        protocol: 17,
        mobilityHeaderType: 5,
      },
    },
  ];
  for (const object of bad) {
    try {
      xfrmStateCodec.create(object, NAMES);
      t.fail("accepted");
    } catch (error) {
      t.type(error, EncodeError);
      t.notMatch(inspect(error), "abcdef");
    }
  }
  t.end();
});

t.test("truncated messages are decode errors, others' objects are nothing", (t) => {
  for (const vector of VECTORS.filter(({ direction }) => direction === "reply")) {
    const { type, body } = vectorMessage(vector);
    const header = HEADER.get(type) ?? Number.NaN;
    t.throws(() => decode({ type, flags: 0, body: body.subarray(0, header - 1) }), DecodeError, vector.name);
    t.throws(() => decode({ type, flags: 0, body: body.subarray(0, body.length - 4) }), DecodeError, vector.name);
  }
  const esp = vectorMessage(VECTORS[1] as CodecVector<XfrmState>);
  const withPorts = esp.body.slice();
  withPorts.set([0x12, 0x34, 0xff, 0xff], XFRM_STRUCTS.xfrm_selector.dport);
  t.equal(decode({ ...esp, body: withPorts }), undefined, "a selector with ports");
  const otherFamily = esp.body.slice();
  otherFamily[XFRM_STRUCTS.xfrm_usersa_info.family] = 17;
  t.equal(decode({ ...esp, body: otherFamily }), undefined, "end points of another family");
  t.equal(decode({ type: 0x18, flags: 0, body: esp.body }), undefined, "an expiry");
  t.end();
});

t.test("a template has two ends of one family", (t) => {
  const [template] = policy("policy in tunnel mode").templates;
  if (template === undefined) throw new TypeError("no template");
  const mixed = { ...policy("policy in tunnel mode"), templates: [{ ...template, source: ipv4("0.0.0.0") }] };
  t.throws(() => xfrmPolicyCodec.create(mixed, NAMES), EncodeError);
  t.end();
});

t.test("a selector names a message type only where its protocol has such types", (t) => {
  const one = policy("catch-all sub policy for home address options");
  const selector = { source: one.selector.source, destination: one.selector.destination } as const;
  const roundTrip = (wanted: XfrmPolicy): unknown => {
    const [request] = xfrmPolicyCodec.create(wanted, NAMES);
    return request === undefined ? undefined : decode({ ...request, type: c.XFRM_MSG_NEWPOLICY }, false);
  };
  for (const typed of [
    { protocol: 58, icmpv6Type: 146 },
    { protocol: 135, mobilityHeaderType: 1 },
  ]) {
    const wanted = { ...one, selector: { ...selector, ...typed } };
    t.match(roundTrip(wanted), { selector: typed });
  }
  const wrong = { ...one, selector: { ...selector, protocol: 135, icmpv6Type: 146 } };
  t.throws(() => xfrmPolicyCodec.create(wrong, NAMES), EncodeError);
  t.throws(
    () => xfrmPolicyCodec.create({ ...one, selector: { ...selector, protocol: 58, icmpv6Type: 256 } }, NAMES),
    EncodeError,
  );
  t.end();
});
