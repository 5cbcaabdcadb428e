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

/** As in README: what the home agent's signalling and tunnels need, and nothing that the node serves. */
const FIREWALL = `table inet operator { chain in {
  type filter hook input priority 0; policy drop;
  iif lo accept
  ct state established,related accept
  ip saddr ${HOME_AGENT.ipv4} udp sport 4191 udp dport 4191 accept
  ip saddr ${HOME_AGENT.ipv4} meta l4proto { 4, 41, 50 } accept
  ip6 saddr ${HOME_AGENT.ipv6} meta l4proto { 4, 41, 50, 135 } accept
  meta l4proto { icmp, ipv6-icmp } accept
}; }`;

test("who must stay outside of a mobile node stays outside", async (t) => {
  const home = new ScriptedHome(t, [4, 6], () => ({ options: [GRANTED] }));
  await home.open();
  await home.registered();
  const answers = (): number => answersTo([SOURCE, SOURCE6], home.frames);
  const destinations = { 4: [CARE_OF.ipv4, ALICE.ipv4HomeAddress], 6: [CARE_OF.ipv6, ALICE.homeAddress] } as const;
  /** When the node answers this, everything that was sent before has gone its way. */
  const settled = async (): Promise<void> => {
    const { length } = home.updates;
    const last = await home.update(length - 1);
    home.say(last, { type: "binding-refresh-request", options: [] });
    await home.update(length);
  };

  home.send(4, plainSyn({ source: SOURCE, destination: CARE_OF.ipv4 }));
  home.send(6, plainSyn({ source: SOURCE6, destination: CARE_OF.ipv6 }));
  await waitFor(() => answers() === 2, { what: "the resets of a machine without a firewall" });
  home.mn.nft(FIREWALL);

  for (const [who, source4, source6] of [
    ["a stranger", SOURCE, SOURCE6],
    ["somebody in the home agent's name", HOME_AGENT.ipv4, HOME_AGENT.ipv6],
  ] as const) {
    await t.test(`GUE, UDP 4192 and tunnels with TCP in them, from ${who}, reach no port that is closed`, async () => {
      const before = (await home.status()).counters.kernel;
      for (const [i, destination] of destinations[4].entries()) {
        const inner = {
          4: { source: SOURCE, destination },
          6: { source: SOURCE6, destination: destinations[6][i] ?? CARE_OF.ipv6 },
        };
        home.send(4, ...wrapped({ source: source4, destination: CARE_OF.ipv4 }, inner));
        home.send(6, ...wrapped({ source: source6, destination: CARE_OF.ipv6 }, inner));
      }
      await settled();
      assert.equal(answers(), 2);
      const after = (await home.status()).counters.kernel;
      if (source4 === HOME_AGENT.ipv4)
        assert.equal(
          (after["spoofed-udp"] ?? 0) > (before["spoofed-udp"] ?? 0),
          true,
          "it came as far as our own rules",
        );
    });
  }
});
