/** Why negotiations failed: the lines that charon 5.9.8 wrote (test/vectors/vici/negotiations.json), and how much is told of them. */
import { readFileSync } from "node:fs";
import t from "tap";
import { ipv6 } from "../../../controller/base/ip.js";
import { instant } from "../../../controller/base/time.js";
import { FailureReports, LineBudget } from "../../../controller/ike/failure-reports.js";
import {
  failureSentence,
  isNoise,
  type NegotiationFailure,
  NegotiationLog,
  readLogLine,
} from "../../../controller/ike/negotiation-log.js";
import { encodeMessage } from "../../../controller/vici/message.js";
import { repositoryPath } from "../../lib/repository.js";

const recorded: readonly { readonly name: string; readonly lines: readonly string[] }[] = JSON.parse(
  readFileSync(repositoryPath("test", "vectors", "vici", "negotiations.json"), "utf8"),
);

function failuresOf(lines: readonly string[], log = new NegotiationLog(), sa = 1): NegotiationFailure[] {
  return lines.flatMap((text) => log.take({ sa, connection: undefined, text }) ?? []);
}

const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  "a node that is well": [],
  "a node behind a NAT": [],
  "a wrong secret": [
    "IKE with node2@example.org from 2001:db8:a::12 failed: tried 7 shared keys for 'ha.example.org' - 'node2@example.org', but MAC mismatched; give both ends the same psk in their credentialFile",
  ],
  "an identity that nobody knows": [
    "IKE with stranger@example.org from 2001:db8:a::13 failed: no matching peer config found; give the identity of the node's security section to a subscriber of the home agent",
  ],
  "no proposal for IKE in common": [
    "IKE with an unknown peer from 2001:db8:a::14 failed: received proposals: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/ECP_521; configured proposals: IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519, IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384; received proposals unacceptable; give security.ikeProposals of both ends one in common",
  ],
  "no cipher for ESP in common": [
    "IKE with node5@example.org from 2001:db8:a::15 failed: received proposals: ESP:CHACHA20_POLY1305/NO_EXT_SEQ; configured proposals: ESP:AES_GCM_16_128/CURVE_25519/NO_EXT_SEQ, ESP:AES_GCM_16_256/CURVE_25519/NO_EXT_SEQ; no acceptable proposal found; give security.espCiphers of both ends one in common",
  ],
  "another subscriber's home address": [
    "IKE with node6@example.org from 2001:db8:a::16 failed: traffic selectors 2001:db8:1::1/128[mobility-header] === 2001:db8:1::101/128[mobility-header] unacceptable; an identity may use its own home addresses only: compare homeAddress and ipv4HomeAddress of subscriber and node",
  ],
};

t.test("each recorded negotiation is told once, or not at all if nothing is wrong", (test) => {
  test.strictSame(recorded.map(({ name }) => name).sort(), Object.keys(EXPECTED).sort());
  for (const { name, lines } of recorded) {
    const told = failuresOf(lines).map((failure) => failureSentence(failure, undefined));
    test.strictSame(told, EXPECTED[name], name);
  }
  test.end();
});

t.test("negotiations that happen at once are kept apart", (test) => {
  const [one, other] = ["a wrong secret", "an identity that nobody knows"].map(
    (wanted) => recorded.find(({ name }) => name === wanted)?.lines ?? [],
  );
  const log = new NegotiationLog();
  const told: NegotiationFailure[] = [];
  for (let i = 0; i < Math.max(one?.length ?? 0, other?.length ?? 0); i++) {
    for (const [sa, lines] of [one, other].entries()) {
      const text = lines?.[i];
      const failure = text === undefined ? undefined : log.take({ sa, connection: undefined, text });
      if (failure !== undefined) told.push(failure);
    }
  }
  test.strictSame(told.map(({ identity }) => identity).sort(), ["node2@example.org", "stranger@example.org"]);
  test.end();
});

t.test("a peer that had proved itself and falls silent is lost; one that never answered has failed", (test) => {
  const established = "IKE_SA dsmipd-2001:db8:1::101[1] established between a[x]...b[y]";
  const [lost] = failuresOf([established, "giving up after 4 retransmits"]);
  test.match(lost, { lost: true, proved: true, remedy: /UDP 500 and 4500/ });
  const silent = failuresOf(["giving up after 4 retransmits", "establishing IKE_SA failed, peer not responding"]);
  test.match(silent, [{ lost: false, proved: false, reason: "establishing IKE_SA failed, peer not responding" }]);
  test.equal(silent.length, 1);
  test.end();
});

t.test("an event becomes a line; connections of others have no name here", (test) => {
  const event = {
    group: "IKE",
    level: "1",
    "ikesa-name": "dsmipd-2001:db8:1::101",
    "ikesa-uniqueid": "7",
    msg: "text",
  };
  test.strictSame(readLogLine(event), { sa: 7, connection: "dsmipd-2001:db8:1::101", text: "text" });
  test.equal(readLogLine({ ...event, "ikesa-name": "office" })?.connection, undefined);
  test.equal(readLogLine({ group: "CFG", msg: "loaded something" }), undefined, "of no IKE SA");
  test.end();
});

t.test("lines about packets are noise before they are decoded, whatever else is none", (test) => {
  const encoded = (group: string): Uint8Array => encodeMessage({ group, level: "1", msg: "something" });
  for (const group of ["NET", "ENC", "KNL", "JOB", "MGR"]) test.equal(isNoise("log", encoded(group)), true, group);
  for (const group of ["IKE", "CFG", "CHD", "LIB"]) test.equal(isNoise("log", encoded(group)), false, group);
  test.equal(isNoise("ike-updown", encoded("NET")), false);
  test.equal(isNoise("log", new Uint8Array(0)), false);
  test.end();
});

t.test("the sentence names the subscriber where charon knows who it is", (test) => {
  const [failure] = failuresOf(recorded.find(({ name }) => name === "a wrong secret")?.lines ?? []);
  if (failure === undefined) throw new Error("no failure");
  test.match(
    failureSentence(failure, ipv6("2001:db8:1::102")),
    /^IKE with node2@example\.org \(2001:db8:1::102\) from /,
  );
  const nameless = { ...failure, identity: undefined, address: undefined, lost: true };
  test.match(failureSentence(nameless, ipv6("2001:db8:1::102")), /^IKE with 2001:db8:1::102 is over: /);
  test.end();
});

const someone = (address: string): NegotiationFailure => ({
  connection: undefined,
  identity: undefined,
  address,
  proved: false,
  lost: false,
  reason: "no",
  remedy: "none",
});

t.test("a peer is told of once a minute, with the number of those left out", (test) => {
  const reports = new FailureReports();
  const at = (seconds: number) => reports.admit(someone("192.0.2.1"), instant(seconds * 1000));
  test.strictSame([at(0), at(1), at(59), at(60), at(61), at(200)], [0, undefined, undefined, 2, undefined, 1]);
  test.equal(reports.admit(someone("192.0.2.2"), instant(200_000)), 0, "another peer");
  test.end();
});

t.test("a flood from ever new addresses is told of once a second after the first thirty", (test) => {
  const reports = new FailureReports();
  const told = (from: number, count: number, seconds: number): number => {
    const list = Array.from({ length: count }, (_, i) => someone(`10.0.${from + (i >> 8)}.${i & 255}`));
    return list.filter((one) => reports.admit(one, instant(seconds * 1000)) !== undefined).length;
  };
  test.equal(told(0, 5000, 1000), 30);
  test.equal(told(50, 5000, 1010), 10);
  test.end();
});

t.test("charon's log is listened to as long as it says no more than 20,000 lines a second", (test) => {
  const budget = new LineBudget();
  const takes = (count: number, ms: number): boolean[] => Array.from({ length: count }, () => budget.take(instant(ms)));
  test.ok(takes(20_000, 5000).every(Boolean));
  test.strictSame(takes(2, 5999), [false, false]);
  test.ok(takes(20_000, 6000).every(Boolean));
  test.end();
});
