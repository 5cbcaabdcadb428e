/** What is asked of name servers, and what is made of answers that lack something, lie or never come. */
import t from "tap";
import { ipv4, ipv6 } from "../../../../../controller/base/ip.js";
import {
  homeAgentsOfDomain,
  homeAgentsOfName,
} from "../../../../../controller/daemon/mobile-node/discovery/by-name.js";
import type { DnsQuestion, DnsRecord } from "../../../../../controller/wire/dns/message.js";

type Section = readonly DnsRecord[];
const a = (name: string, text: string): DnsRecord => ({ name, ttlSeconds: 1, type: "a", address: ipv4(text) });
const aaaa = (name: string, text: string): DnsRecord => ({ name, ttlSeconds: 1, type: "aaaa", address: ipv6(text) });
const srv = (target: string, priority = 0): DnsRecord => {
  return { name: "_mip6._ipv6.example.org", ttlSeconds: 1, type: "srv", priority, weight: 0, port: 0, target };
};
const cname = (name: string, target: string): DnsRecord => ({ name, ttlSeconds: 1, type: "cname", target });

/** Answers by "name type"; without one the server is silent. */
function world(answers: Readonly<Record<string, readonly [answers: Section, additional?: Section]>>) {
  const asked: string[] = [];
  const ask = async (question: DnsQuestion) => {
    const key = `${question.name} ${question.type}`;
    asked.push(key);
    const found = answers[key];
    if (found === undefined) return undefined;
    return { id: 1, truncated: false, rcode: 0, question, answers: found[0], additional: found[1] ?? [] };
  };
  return { asked, client: { ask } };
}

t.test("addresses in the additional section are not asked for again; those that lack are", async (test) => {
  const { asked, client } = world({
    "_mip6._ipv6.example.org 33": [
      [
        srv("ha2.example.org", 2),
        { ...srv("ha0.example.org"), name: "_mip6._ipv6.example.com" },
        srv("ha1.example.org", 1),
      ],
      [
        a("ha1.example.org", "203.0.113.1"),
        aaaa("ha1.example.org", "2001:db8::1"),
        aaaa("ha2.example.org", "2001:db8::2"),
      ],
    ],
    "ha2.example.org 1": [[a("ha2.example.org", "203.0.113.2"), a("liar.example.org", "203.0.113.9")]],
  });
  const found = await homeAgentsOfDomain("example.org", client, () => 0);
  test.strictSame(found, {
    candidates: [
      { ipv6: "2001:db8::1", ipv4: "203.0.113.1", name: "ha1.example.org" },
      { ipv6: "2001:db8::2", ipv4: "203.0.113.2", name: "ha2.example.org" },
    ],
    faults: [],
  });
  test.strictSame(asked, ["_mip6._ipv6.example.org 33", "ha2.example.org 1"]);
});

t.test("a name is asked for both families, and aliases are followed as far as they go", async (test) => {
  const { asked, client } = world({
    "ha.example.org 28": [[cname("ha.example.org", "ha1.example.org"), aaaa("ha1.example.org", "2001:db8::1")]],
    "ha.example.org 1": [[cname("ha.example.org", "x.example.org"), cname("x.example.org", "ha.example.org")]],
  });
  const found = await homeAgentsOfName("ha.example.org", client);
  test.match(found.candidates, [{ ipv6: "2001:db8::1", ipv4: undefined }]);
  test.match(found.faults, [/no A record/]);
  test.strictSame(asked.sort(), ["ha.example.org 1", "ha.example.org 28"]);
});

t.test("silence, emptiness and the root are told, and are no home agents", async (test) => {
  const nobody = await homeAgentsOfDomain("example.org", world({}).client, () => 0);
  test.match(nobody, { candidates: [], faults: [/no name server has answered/], incomplete: true });
  const empty = world({ "_mip6._ipv6.example.org 33": [[]] });
  test.strictSame(await homeAgentsOfDomain("example.org", empty.client, () => 0), {
    candidates: [],
    faults: ["_mip6._ipv6.example.org has no SRV record"],
  });
  const root = world({ "_mip6._ipv6.example.org 33": [[srv("")]] });
  test.strictSame(await homeAgentsOfDomain("example.org", root.client, () => 0), { candidates: [], faults: [] });
  const nothing = world({ "ha.example.org 28": [[]], "ha.example.org 1": [[]] });
  test.match(await homeAgentsOfName("ha.example.org", nothing.client), { candidates: [], faults: [/neither/] });
});

t.test("an answer that is missing is told as one, and not as an address that is missing", async (test) => {
  const lost = world({ "ha.example.org 28": [[aaaa("ha.example.org", "2001:db8::1")]] });
  const found = await homeAgentsOfName("ha.example.org", lost.client);
  test.strictSame(found, {
    candidates: [{ ipv6: "2001:db8::1", ipv4: undefined, name: "ha.example.org" }],
    faults: ["no name server has answered for ha.example.org (A)"],
    incomplete: true,
  });
  const nobody = await homeAgentsOfName("ha.example.org", world({}).client);
  test.match(nobody, { candidates: [], faults: [/no name server has answered for ha.example.org \(AAAA and A\)/] });
  const half = world({ "ha.example.org 28": [[aaaa("ha.example.org", "2001:db8::1")]], "ha.example.org 1": [[]] });
  const published = await homeAgentsOfName("ha.example.org", half.client);
  test.match(published.faults, [/no A record/]);
  test.not(published.incomplete, true);
});
