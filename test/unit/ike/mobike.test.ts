/** Which connections have MOBIKE, from charon's log and events. */
import t from "tap";
import { ipv6 } from "../../../controller/base/ip.js";
import { connectionName, homeAddressOf } from "../../../controller/ike/connections.js";
import { isAgreement, MobikeTable } from "../../../controller/ike/mobike.js";
import { encodeMessage } from "../../../controller/vici/message.js";

const HOA = ipv6("2001:db8:1::100");
const NAME = connectionName(HOA);
const agreed = (id: string, msg = "peer supports MOBIKE") => ({ group: "IKE", "ikesa-uniqueid": id, msg });
const up = (uniqueid: string) => ({ up: "yes", [NAME]: { uniqueid } });
const down = (uniqueid: string) => ({ [NAME]: { uniqueid } });

t.test("agreed before the IKE SA is up, or heard of after", (test) => {
  const before = new MobikeTable();
  test.equal(before.hear("log", agreed("7")), undefined);
  test.equal(before.hear("ike-updown", up("7")), NAME);
  test.ok(before.has(NAME));
  const after = new MobikeTable();
  after.hear("ike-updown", up("7"));
  test.notOk(after.has(NAME));
  test.equal(after.hear("log", agreed("7")), NAME);
  test.ok(after.has(NAME));
  test.end();
});

t.test("an agreement is known by its octets, and nothing else is taken for one", (test) => {
  const octets = (msg: string): Uint8Array => encodeMessage({ group: "IKE", level: "1", "ikesa-uniqueid": "7", msg });
  test.ok(isAgreement(octets("peer supports MOBIKE")));
  for (const msg of ["peer supports MOBIKE, but disabled in config", "x peer supports MOBIKE", "MOBIKE", ""])
    test.notOk(isAgreement(octets(msg)), msg);
  test.notOk(isAgreement(new Uint8Array(0)));
  test.end();
});

t.test("others' words, switched off here, and another IKE SA's agreement mean nothing", (test) => {
  const table = new MobikeTable();
  table.hear("log", agreed("7", "peer supports MOBIKE, but disabled in config"));
  table.hear("log", agreed("8"));
  table.hear("log", { msg: "peer supports MOBIKE" });
  test.equal(table.hear("child-updown", up("7")), undefined);
  table.hear("ike-updown", up("7"));
  test.notOk(table.has(NAME));
  test.end();
});

t.test(
  "the IKE SA that came up last counts; a renewed one has another number; a daemon that went takes all along",
  (test) => {
    const table = new MobikeTable();
    table.hear("log", agreed("1"));
    table.hear("ike-updown", up("1"));
    table.hear("ike-updown", down("4"));
    test.ok(table.has(NAME), "it goes on under its new number until another comes up");
    table.hear("ike-updown", up("5"));
    test.notOk(table.has(NAME));
    test.equal(table.hear("log", agreed("1")), undefined, "nobody's any more");
    table.hear("log", agreed("5"));
    test.strictSame(table.clear(), [NAME]);
    test.notOk(table.has(NAME));
    test.end();
  },
);

t.test("as many as there are subscribers may come up at once", (test) => {
  const table = new MobikeTable(10_000);
  for (let id = 0; id < 10_000; id++) table.hear("log", agreed(String(id)));
  table.hear("ike-updown", up("0"));
  test.ok(table.has(NAME));
  test.end();
});

t.test("a flood of half-open IKE SAs has an end", (test) => {
  const table = new MobikeTable();
  for (let id = 0; id < 5000; id++) table.hear("log", agreed(String(id)));
  table.hear("ike-updown", up("0"));
  test.notOk(table.has(NAME), "forgotten");
  table.hear("ike-updown", up("4999"));
  test.ok(table.has(NAME));
  test.end();
});

t.test("whose connection it is", (test) => {
  test.equal(homeAddressOf(NAME), HOA);
  for (const name of ["office", "dsmipd-203.0.113.1", "dsmipd-"]) test.equal(homeAddressOf(name), undefined);
  test.end();
});
