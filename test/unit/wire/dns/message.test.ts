/** DNS messages: what a server of Debian (dnsmasq 2.90) has answered, octet by octet, and what nobody should send. */
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { ipv4, ipv6 } from "../../../../controller/base/ip.js";
import { DNS_TYPE, decodeDnsResponse, encodeDnsQuery } from "../../../../controller/wire/dns/message.js";

/** "_mip6._ipv6.example.org" SRV. */
const NAME = "055f6d697036055f69707636076578616d706c65036f726700";
const QUESTION = `${NAME}00210001`;
const header = (flags: string, answers: number, additional: number): string =>
  `1234${flags}0001${word(answers)}0000${word(additional)}`;
const word = (value: number): string => value.toString(16).padStart(4, "0");
/** SRV 5 10 0 ha1.example.org, its owner and the end of its target as pointers. */
const SRV = "c00c0021000100000078000c0005000a000003686131c018";
const A = `03686131c01800010001000000780004cb007101`;
const AAAA = `03686131c018001c000100000078001020010db8000100000000000000000001`;

t.test("a question asks for recursion, and for answers that fit one datagram", async (test) => {
  const query = encodeDnsQuery(0x1234, { name: "_mip6._ipv6.example.org", type: DNS_TYPE.srv });
  test.equal(toHex(query), `123401000001000000000001${QUESTION}00002904d0000000000000`);
  for (const name of ["", "a..b", "a b.org", "x".repeat(64), `${"x.".repeat(130)}org`])
    test.throws(() => encodeDnsQuery(1, { name, type: DNS_TYPE.a }), name);
});

t.test("an answer with its additional section, names compressed", async (test) => {
  const decoded = decodeDnsResponse(fromHex(`${header("8580", 1, 2)}${QUESTION}${SRV}${A}${AAAA}`));
  if (!decoded.ok) throw decoded.error;
  const common = { name: "ha1.example.org", ttlSeconds: 120 };
  test.strictSame(decoded.value, {
    id: 0x1234,
    truncated: false,
    rcode: 0,
    question: { name: "_mip6._ipv6.example.org", type: 33 },
    answers: [
      {
        ...{ name: "_mip6._ipv6.example.org", ttlSeconds: 120, type: "srv" },
        ...{ priority: 5, weight: 10, port: 0, target: "ha1.example.org" },
      },
    ],
    additional: [
      { ...common, type: "a", address: ipv4("203.0.113.1") },
      { ...common, type: "aaaa", address: ipv6("2001:db8:1::1") },
    ],
  });
});

t.test("no such name, and a truncated answer, are told as such", async (test) => {
  test.match(decodeDnsResponse(fromHex(`${header("8583", 0, 0)}${QUESTION}`)), { value: { rcode: 3, answers: [] } });
  test.match(decodeDnsResponse(fromHex(`${header("8780", 3, 0)}${QUESTION}c00c`)), {
    value: { truncated: true, answers: [] },
  });
});

t.test("what is no answer ends in an error, and nothing goes round", async (test) => {
  const bad: Readonly<Record<string, string>> = {
    nothing: "",
    "a question": `${header("0100", 0, 0)}${QUESTION}`,
    "no question": "123485800000000000000000",
    "records that are not there": `${header("8580", 60000, 0)}${QUESTION}`,
    "a pointer to itself": `${header("8580", 0, 0)}c00c00210001`,
    "a pointer past the end": `${header("8580", 0, 0)}c3ff00210001`,
    "two pointers in a circle": `${header("8580", 0, 0)}c00ec00c00210001`,
    "a label of another kind": `${header("8580", 0, 0)}41aa0000210001`,
    "an address of three octets": `${header("8580", 1, 0)}${QUESTION}c00c00010001000000780003cb0071`,
    "a target past its record": `${header("8580", 1, 0)}${QUESTION}c00c002100010000007800060005000a0000`,
  };
  for (const [what, octets] of Object.entries(bad)) test.notOk(decodeDnsResponse(fromHex(octets)).ok, what);
  const long = `${header("8580", 0, 0)}${"3f".concat("61".repeat(63)).repeat(4)}3f00210001`;
  test.notOk(decodeDnsResponse(fromHex(long)).ok, "a name of more than 255 octets");
});
