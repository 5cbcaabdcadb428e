/** What the IKE daemon is given to prove identities with. */
import t from "tap";
import { Secret } from "../../../controller/base/secret.js";
import { loadCredentials } from "../../../controller/ike/credentials.js";
import type { ViciSection } from "../../../controller/vici/message.js";
import { textsAt } from "../../../controller/vici/section.js";

t.test("a pre-shared key proves one subscriber's identity and no other's", async (test) => {
  const owners = new Map<unknown, readonly string[] | undefined>();
  const daemon = {
    stream: async () => [],
    command: async (_name: string, section: ViciSection = {}) => {
      owners.set(section["id"], textsAt(section, "owners"));
      return {};
    },
  };
  const secret = (text: string): Secret => new Secret(Buffer.from(text));
  const psk = new Map([
    ["node1@example.org", secret("the one's")],
    ["node2@example.org", secret("the other's")],
  ]);
  await loadCredentials(daemon, { psk, eap: new Map([["node1@example.org", secret("a word")]]), authorities: [] });
  test.strictSame(
    [...owners],
    [
      ["dsmipd-psk-node1@example.org", ["node1@example.org"]],
      ["dsmipd-psk-node2@example.org", ["node2@example.org"]],
      ["dsmipd-eap-node1@example.org", ["node1@example.org"]],
    ],
    "no key that both subscribers own, as the home agent's identity would",
  );
});
