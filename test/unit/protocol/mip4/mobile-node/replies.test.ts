/** Which replies a mobile node believes (RFC 5944 §3.6.2.1), and what of its request they grant (RFC 5454 §3.5, RFC 3519 §3.2). */
import t from "tap";
import { IPV4_ANY, type Ipv6Address, ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import type { AuthenticationVerdict } from "../../../../../controller/protocol/mip4/inputs.js";
import type { RequestEffect } from "../../../../../controller/protocol/mip4/mobile-node/inputs.js";
import { grantedIpv6, judgeReply, keepaliveOf } from "../../../../../controller/protocol/mip4/mobile-node/reply.js";
import type { RegistrationExtension } from "../../../../../controller/wire/mip4/extensions/registration.js";
import type {
  RegistrationReply,
  RegistrationRequest,
} from "../../../../../controller/wire/mip4/messages/control-message.js";
import { requestFlags } from "../../../../../controller/wire/mip4/messages/registration.js";
import { COA, HA, HOA, OTHER_HOA, SPI } from "../../../../lib/mip4-home-agent.js";

const AUTHENTICATION = { kind: "mobile-home-authentication", spi: SPI, authenticator: new Uint8Array(16) } as const;
const A = ipv6("2001:db8:5::");
const B = ipv6("2001:db8:6::");
const ask = (prefix: Ipv6Address): RegistrationExtension => ({ kind: "ipv6-prefix-request", prefixLength: 48, prefix });
const say = (prefix: Ipv6Address, code: number, prefixLength = 48): RegistrationExtension => ({
  kind: "ipv6-prefix-reply",
  code,
  prefixLength,
  prefix,
});

const request = (part: Partial<RegistrationRequest> = {}): RegistrationRequest => ({
  type: "registration-request",
  flags: requestFlags({ decapsulatesItself: true }),
  lifetimeSeconds: 600,
  homeAddress: HOA,
  homeAgent: HA,
  careOfAddress: COA,
  identification: { high: 1, low: 2 },
  extensions: [ask(A), ask(B), AUTHENTICATION],
  ...part,
});
const reply = (
  extensions: readonly RegistrationExtension[] = [],
  part: Partial<RegistrationReply> = {},
): RegistrationReply => ({
  type: "registration-reply",
  code: 1,
  lifetimeSeconds: 600,
  homeAddress: HOA,
  homeAgent: HA,
  identification: { high: 1, low: 2 },
  extensions: [...extensions, AUTHENTICATION],
  ...part,
});
const sent = (part: Partial<RegistrationRequest> = {}): RequestEffect => ({
  ...{ kind: "request", request: request(part), source: COA, destination: HA, ttl: 64, device: "eth0" },
});
const judge = (
  part: Partial<RegistrationReply>,
  verdicts: readonly AuthenticationVerdict[] = ["valid"],
  to: RequestEffect | undefined = sent(),
  source = HA,
) => judgeReply(reply([], part), source, verdicts, to);

t.test("only the answer to the latest request, signed by the home agent, is believed", (t) => {
  t.strictSame(judge({}), { kind: "believed", from: "home-agent" });
  t.strictSame(judge({ code: 133, identification: { high: 99, low: 2 } }), { kind: "believed", from: "home-agent" });
  t.match(judge({}, ["valid"], sent(), COA), { kind: "drop", reason: "wrong-source" });
  t.match(judgeReply(reply(), HA, ["valid"], undefined), { reason: "no-outstanding-request" });
  t.match(judge({ identification: { high: 1, low: 3 } }), { reason: "identification-mismatch" });
  t.match(judge({ homeAddress: OTHER_HOA }), { reason: "home-address-mismatch" });
  t.match(judge({}, ["valid"], sent({ homeAddress: IPV4_ANY })), { kind: "believed" });
  t.match(judge({ homeAddress: IPV4_ANY }, ["valid"], sent({ homeAddress: IPV4_ANY })), { reason: "malformed" });
  t.match(judge({ homeAgent: ipv4("203.0.113.9") }), { reason: "malformed" });
  t.match(judge({}, ["invalid"]), { reason: "authentication-failed" });
  t.match(judge({}, ["no-association"]), { reason: "authentication-failed" });
  t.match(judge({}, []), { reason: "authentication-failed" });
  t.match(judge({ code: 129 }, ["invalid"]), { reason: "authentication-failed" }, "refusals are signed too");
  t.match(judge({ extensions: [] }, []), { reason: "unauthenticated" });
  t.match(judge({ extensions: [AUTHENTICATION, AUTHENTICATION] }, ["valid", "valid"]), { reason: "unauthenticated" });
  t.strictSame(judge({ code: 66, extensions: [] }, []), { kind: "believed", from: "foreign-agent" });
  t.match(judge({ code: 194, extensions: [] }, []), { reason: "unauthenticated" });
  const agent = ipv4("192.0.2.1");
  const toAgent = { ...sent(), destination: agent };
  t.strictSame(
    judge({ code: 194, extensions: [] }, [], toAgent, agent),
    { kind: "believed", from: "foreign-agent" },
    "the agent that was asked has no such home agent to relay it to",
  );
  t.end();
});

t.test("V4-4.5-05, V4-4.5-06, V4-4.5-07, V4-4.2-03: each prefix by the reply that matches it", (t) => {
  const granted = (...replies: readonly RegistrationExtension[]) => grantedIpv6(request(), reply(replies));
  t.match(granted(say(A, 0), say(B, 9)), { prefixes: [{ prefix: { address: A, length: 48 } }], refused: [`${B}/48`] });
  t.match(granted(say(A, 0)), { prefixes: { length: 1 }, refused: [`${B}/48`] }, "no reply is a refusal");
  t.match(
    granted(say(A, 0, 49), say(ipv6("2001:db8:9::"), 0)),
    { prefixes: [], refused: { length: 2 } },
    "none matches",
  );
  t.match(granted(say(B, 0), say(A, 0)).prefixes, [{ prefix: { address: A } }, { prefix: { address: B } }]);
  t.end();
});

t.test("V4-3.2-08, V4-4.2-02: 0 to 7 accept, the others refuse that prefix alone", (t) => {
  for (let code = 0; code < 256; code++) {
    const { prefixes, refused } = grantedIpv6(request(), reply([say(A, code), say(B, 0)]));
    t.equal(prefixes.length, code < 8 ? 2 : 1, `${code}`);
    t.equal(refused.length, code < 8 ? 0 : 1, `${code}`);
  }
  t.end();
});

t.test("V4-4.2-01, V4-3.2-09, V4-4.5-03: a refusal refuses all, and silence says that IPv6 is not known there", (t) => {
  t.match(grantedIpv6(request(), reply([say(A, 0)], { code: 129 })), { prefixes: [], refused: { length: 2 } });
  t.match(grantedIpv6(request(), reply()), { prefixes: [], unsupported: true });
  t.match(grantedIpv6(request({ extensions: [AUTHENTICATION] }), reply()), { unsupported: false });
  t.match(grantedIpv6(request(), reply([say(A, 9)])), { unsupported: false });
  const behind = reply([], { extensions: [AUTHENTICATION, say(A, 0)] });
  t.match(grantedIpv6(request(), behind), { prefixes: [], unsupported: true }, "what is not signed says nothing");
  t.end();
});

t.test("the care-of address only where it is the node's own", (t) => {
  const modes = (code: number, decapsulatesItself: boolean) =>
    grantedIpv6(request({ flags: requestFlags({ decapsulatesItself }) }), reply([say(A, code)])).prefixes[0]?.mode;
  t.equal(modes(0, true), "home-address");
  t.equal(modes(1, true), "care-of-address");
  t.equal(modes(1, false), "home-address");
  t.equal(modes(2, true), "home-address", "what a later document may mean by 2 to 7 is not known");
  t.end();
});

t.test("UDP: only if asked and granted, with the interval that is named", (t) => {
  const asked = { kind: "udp-tunnel-request", forced: false, throughForeignAgent: false, encapsulation: 0 } as const;
  const answer = (code: number, keepaliveSeconds: number): RegistrationExtension => ({
    ...{ kind: "udp-tunnel-reply", code, forced: false, keepaliveSeconds },
  });
  const of = (extensions: readonly RegistrationExtension[], asks = true) =>
    keepaliveOf(request({ extensions: asks ? [asked, AUTHENTICATION] : [AUTHENTICATION] }), reply(extensions), 110);
  t.equal(of([answer(0, 0)]), 110);
  t.equal(of([answer(0, 5)]), 5);
  t.equal(of([answer(63, 30)]), 30);
  t.equal(of([answer(64, 30)]), undefined);
  t.equal(of([]), undefined);
  t.equal(of([answer(0, 30)], false), undefined);
  t.end();
});
