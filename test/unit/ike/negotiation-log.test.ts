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

function failuresOf(lines: readonly string[], log = new NegotiationLog()): NegotiationFailure[] {
  const sa = Number(/\[(\d+)\] established between/.exec(lines.join("\n"))?.[1] ?? 1);
  let connection: string | undefined;
  return lines.flatMap((text) => {
    // charon names the connection as soon as it has chosen one.
    connection = /^selected peer config '(.+)'$/.exec(text)?.[1] ?? connection;
    return log.take({ sa, connection, text }) ?? [];
  });
}

const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  "a node that is well": [],
  "a node behind a NAT": [],
  "a wrong secret": [
    "IKE with 2001:db8:a::12, which claims to be node2@example.org, failed: tried 7 shared keys for 'ha.example.org' - 'node2@example.org', but MAC mismatched; give both ends the same psk in their credentialFile",
  ],
  "an identity that nobody knows": [
    "IKE with 2001:db8:a::13, which claims to be stranger@example.org, failed: no matching peer config found; give the identity of the node's security section to a subscriber of the home agent",
  ],
  "no proposal for IKE in common": [
    "IKE with an unknown peer from 2001:db8:a::14 failed: received proposals: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/ECP_521; configured proposals: IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519, IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384; received proposals unacceptable; give security.ikeProposals of both ends one in common",
  ],
  "no cipher for ESP in common": [
    "IKE with node5@example.org from 2001:db8:a::15 failed: received proposals: ESP:CHACHA20_POLY1305/NO_EXT_SEQ; configured proposals: ESP:AES_GCM_16_128/CURVE_25519/NO_EXT_SEQ, ESP:AES_GCM_16_256/CURVE_25519/NO_EXT_SEQ; no acceptable proposal found; give security.espCiphers of both ends one in common",
  ],
  "a wrong EAP password": [
    "IKE with 2001:db8:a::12, which claims to be node2@example.org, failed: EAP-MS-CHAPv2 verification failed, retry (1); give both ends the same eapPassword in their credentialFile",
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

const nameOf = (number: number): string => `dsmipd-2001:db8:1::${number.toString(16)}`;
const established = (number: number, sa: number, verb = "established"): string =>
  `IKE_SA ${nameOf(number)}[${sa}] ${verb} between 2001:db8:1::1[ha]...2001:db8:a::${number.toString(16)}[node${number}]`;
const SILENT = "giving up after 4 retransmits";

t.test("a peer that had proved itself and falls silent is lost; one that never answered has failed", (test) => {
  const log = new NegotiationLog();
  const connection = nameOf(1);
  test.equal(log.take({ sa: 7, connection, text: established(1, 7) }), undefined);
  test.match(log.take({ sa: 7, connection, text: SILENT }), { lost: true, proved: true, remedy: /UDP 500 and 4500/ });
  test.equal(log.take({ sa: 7, connection, text: SILENT }), undefined, "once");
  const silent = failuresOf([SILENT, "establishing IKE_SA failed, peer not responding"]);
  test.match(silent, [{ lost: false, proved: false, reason: "establishing IKE_SA failed, peer not responding" }]);
  test.equal(silent.length, 1);
  test.end();
});

t.test("every subscriber's loss is told, however many there are and whatever strangers do meanwhile", (test) => {
  const log = new NegotiationLog(50_000);
  for (let i = 0; i < 50_000; i++) log.take({ sa: i, connection: nameOf(i), text: established(i, i) });
  for (let i = 0; i < 20_000; i++) {
    const text = `192.0.2.${i & 255} is initiating an IKE_SA`;
    log.take({ sa: 100_000 + i, connection: undefined, text });
  }
  for (const i of [0, 4095, 4096, 49_999]) {
    const told = log.take({ sa: i, connection: nameOf(i), text: SILENT });
    test.match(told, { lost: true, identity: `node${i}`, address: `2001:db8:a::${i.toString(16)}` });
  }
  test.end();
});

t.test("a renewed IKE SA goes on under its new number; one that another has replaced is no loss", (test) => {
  const log = new NegotiationLog();
  const connection = nameOf(1);
  for (const [sa, text] of [
    [3, "local host is behind NAT, sending keep alives"],
    [3, established(1, 3)],
    [3, established(1, 8, "rekeyed")],
  ] as const)
    test.equal(log.take({ sa, connection, text }), undefined);
  test.equal(log.take({ sa: 3, connection, text: SILENT }), undefined, "the one before");
  const refused = "received TS_UNACCEPTABLE notify, no CHILD_SA built";
  test.equal(log.take({ sa: 8, connection, text: refused }), undefined);
  const end = "failed to establish CHILD_SA, keeping IKE_SA";
  test.equal(log.take({ sa: 8, connection, text: end }), undefined, "still behind the NAT, where that is expected");
  test.match(log.take({ sa: 8, connection, text: SILENT }), { lost: true, identity: "node1" });
  test.end();
});

t.test("each wrong password of one negotiation is counted with the same peer", (test) => {
  const lines = recorded.find(({ name }) => name === "a wrong EAP password")?.lines ?? [];
  const again = [
    "no EAP key found for hosts 'ha.example.org' - 'x'",
    "EAP-MS-CHAPv2 verification failed, retry (2)",
    "EAP-MS-CHAPv2 verification failed: maximum number of retries reached",
    "EAP method EAP_MSCHAPV2 failed for peer node2@example.org",
  ];
  const told = failuresOf([...lines, ...again]);
  test.equal(told.length, 3);
  for (const { identity, address } of told)
    test.strictSame([identity, address], ["node2@example.org", "2001:db8:a::12"]);
  const reports = new FailureReports();
  test.strictSame(
    told.map((failure) => reports.admit(failure, instant(1000))),
    [0, undefined, undefined],
  );
  test.end();
});

t.test("at the node too a wrong password is told with the cause, and a missing plugin with its remedy", (test) => {
  const node = failuresOf([
    "EAP-MS-CHAPv2 failed with error ERROR_AUTHENTICATION_FAILURE: '(null)'",
    "EAP_MSCHAPV2 method failed",
  ]);
  test.match(node, [
    { reason: /ERROR_AUTHENTICATION_FAILURE.*EAP_MSCHAPV2 method failed/, remedy: /same eapPassword/ },
  ]);
  test.match(failuresOf(["loading EAP_MSCHAPV2 method failed"]), [{ remedy: /libcharon-extauth-plugins/ }]);
  test.end();
});

t.test("a negotiation keeps few causes and short ones, whatever the peer proposes", (test) => {
  const long = Array.from({ length: 1000 }, (_, i) => `received proposals: IKE:${"X".repeat(10_000)}${i}`);
  const [told] = failuresOf([...long, "received proposals unacceptable"]);
  test.ok((told?.reason.length ?? Number.POSITIVE_INFINITY) < 2000);
  test.match(told, { reason: /received proposals unacceptable$/, remedy: /ikeProposals/ });
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
    /^IKE with 2001:db8:a::12, which claims to be node2@example\.org \(2001:db8:1::102\), failed: /,
  );
  const nameless = { ...failure, identity: undefined, address: undefined, lost: true };
  test.match(failureSentence(nameless, ipv6("2001:db8:1::102")), /^IKE with 2001:db8:1::102 is over: /);
  test.end();
});

t.test("whatever a peer calls itself, it is told from where it speaks, and soon", (test) => {
  const beginning = "198.51.100.7 is initiating an IKE_SA";
  const ended = (name: string, asked = "%any"): NegotiationFailure | undefined =>
    failuresOf([
      beginning,
      `looking for peer configs matching 192.0.2.1[${asked}]...198.51.100.7[${name}]`,
      "no matching peer config found",
    ])[0];
  test.equal(ended("x...203.0.113.9[alice")?.address, "198.51.100.7");
  test.equal(ended("bob", "x...203.0.113.9[alice")?.address, "198.51.100.7");
  test.equal(ended("bob@example.org")?.identity, "bob@example.org");
  // As long a name as charon takes: looking at it once is a millisecond at the most, looking again from each of its letters is many.
  const began = performance.now();
  for (let i = 0; i < 10; i++)
    for (const asked of ["%any", ".".repeat(10_000)]) ended(` ${".".repeat(10_000)} `, asked);
  test.ok(performance.now() - began < 1000, `${performance.now() - began} ms`);
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
