/**
 * What comes to a mobile node from outside comes past the operator's firewall as what it is, or not at all, whoever sends it and whoever it
 * says it is from: no way round leads through dsmipd's ports and tunnels.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import { ALICE, HOME_AGENT } from "../lib/hostile.js";
import { answersTo, plainSyn, wrapped } from "../lib/intruder.js";
import { CARE_OF, GRANTED, ScriptedHome } from "../lib/scripted-home.js";
import { waitFor } from "../lib/wait.js";

const SOURCE = ipv4("203.0.114.9");
const SOURCE6 = ipv6("2001:db8:bad::9");

/** Looser than README has it: signalling and tunnels of anybody, and nothing that the node serves. */
const FIREWALL = `table inet operator { chain in {
  type filter hook input priority 0; policy drop;
  iif lo accept
  ct state established,related accept
  udp dport 4191 accept
  meta l4proto { icmp, ipv6-icmp, 4, 41, 50, 135 } accept
}; }`;

for (const family of [4, 6] as const)
  test(`who must stay outside of a mobile node in an IPv${family} network stays outside`, async (t) => {
    const home = new ScriptedHome(t, [family], () => ({ options: [GRANTED] }));
    await home.open();
    await home.registered();
    const answers = (): number => answersTo([SOURCE, SOURCE6], home.frames);
    const [careOf, stranger, homeAgent] =
      family === 4 ? [CARE_OF.ipv4, SOURCE, HOME_AGENT.ipv4] : [CARE_OF.ipv6, SOURCE6, HOME_AGENT.ipv6];
    /** When the node answers this, everything that was sent before has gone its way. */
    const settled = async (): Promise<void> => {
      const { length } = home.updates;
      const last = await home.update(length - 1);
      home.say(last, { type: "binding-refresh-request", options: [] });
      await home.update(length);
    };
    home.send(family, plainSyn({ source: stranger, destination: careOf }));
    await waitFor(() => answers() === 1, { what: "the reset of a machine without a firewall" });
    home.mn.nft(FIREWALL);

    for (const [who, source] of [
      ["a stranger", stranger],
      ["somebody in the home agent's name", homeAgent],
    ] as const)
      await t.test(
        `GUE, UDP 4192 and tunnels with TCP in them, from ${who}, reach no port that is closed`,
        async () => {
          const outer = { source, destination: careOf };
          const home6 = { source: SOURCE6, destination: ALICE.homeAddress };
          const home4 = { source: SOURCE, destination: ALICE.ipv4HomeAddress };
          const here = { source: stranger, destination: careOf };
          home.send(family, ...wrapped(outer, { 4: home4, 6: home6 }), ...wrapped(outer, { [family]: here }));
          await settled();
          assert.equal(answers(), 1);
        },
      );
  });
