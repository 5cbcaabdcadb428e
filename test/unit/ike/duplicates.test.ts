/** IKE SAs that a node has given up. */
import t from "tap";
import { connectionsUp, endOlderSas } from "../../../controller/ike/duplicates.js";
import type { ViciSection } from "../../../controller/vici/message.js";

t.test("an event names what has come up, and nothing when it went down", (test) => {
  test.strictSame(connectionsUp({ up: "yes", "dsmipd-a": { uniqueid: "1" } }), ["dsmipd-a"]);
  test.strictSame(connectionsUp({ "dsmipd-a": { uniqueid: "1" } }), []);
  test.end();
});

t.test("only the SA that was begun last stays; those under way are left alone", async (test) => {
  const ended: ViciSection[] = [];
  const sa = (uniqueid: string, state = "ESTABLISHED"): ViciSection => ({ "dsmipd-a": { uniqueid, state } });
  const daemon = {
    stream: async () => [sa("7"), sa("9"), sa("8"), sa("10", "CONNECTING")],
    command: async (_name: string, section: ViciSection = {}) => {
      ended.push(section);
      return {};
    },
  };
  await endOlderSas(daemon, "dsmipd-a");
  test.match(ended, [{ "ike-id": "7" }, { "ike-id": "8" }]);
  test.equal(ended.length, 2);
});
