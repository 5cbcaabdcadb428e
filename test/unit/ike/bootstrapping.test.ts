/** How a node is told its home addresses: what charon is given at both ends, and what is read out of its answer. */
import t from "tap";
import { ipv4, ipv6 } from "../../../controller/base/ip.js";
import {
  addressPools,
  BOOTSTRAP_CONNECTION,
  bootstrapName,
  bootstrapOwner,
  bootstrapProposals,
  homeAgentBootstrap,
  mobileNodeBootstrap,
} from "../../../controller/ike/bootstrapping.js";
import { homeAddressOf, type IkePeers } from "../../../controller/ike/connections.js";
import type { IkeDaemonPort } from "../../../controller/ike/daemon-port.js";
import { askHomeAddresses } from "../../../controller/ike/home-addresses.js";
import { NO_SLOTS } from "../../../controller/plan/security/request-ids.js";

const PEERS: IkePeers = {
  ...{
    homeAddress: ipv6("2001:db8:1::100"),
    ipv4HomeAddress: ipv4("198.51.100.100"),
    homeAgent: ipv6("2001:db8:1::1"),
  },
  ...{ nodeIdentity: "node1@example.org", homeAgentIdentity: "ha.example.org", authentication: "psk" },
  ...{ protectPayload: true, slots: NO_SLOTS },
};
const TERMS = {
  ikeProposals: ["aes128gcm16-prfsha256-x25519"],
  espCiphers: ["aes128gcm16"],
  rekeySeconds: 3600,
  ikeRekeySeconds: 14400,
  movement: "mobike",
} as const;

t.test("both ends speak another proposal than for keys, without children", (test) => {
  const node = mobileNodeBootstrap(PEERS, TERMS, { from: ipv4("10.0.0.2"), homeAgent: ipv4("203.0.113.1") });
  const agent = homeAgentBootstrap(PEERS, TERMS, [PEERS.homeAgent]);
  const proposals = ["aes128gcm16-prfsha512-x25519"];
  test.match(node, { proposals, vips: ["::", "0.0.0.0"], childless: "force", local_addrs: ["10.0.0.2"], mobike: "no" });
  test.match(agent, { proposals, pools: Object.keys(addressPools(PEERS)), remote: { id: "node1@example.org" } });
  test.notOk("children" in agent || "children" in node);
  test.strictSame(addressPools(PEERS), {
    "dsmipd-2001:db8:1::100": { addrs: "2001:db8:1::100/128" },
    "dsmipd-2001:db8:1::100-ipv4": { addrs: "198.51.100.100/32" },
  });
  const { ipv4HomeAddress: _, ...six } = PEERS;
  test.equal(Object.keys(addressPools(six)).length, 1);
  test.end();
});

t.test("no proposal of the keys is among them, and the function is never a weaker one", (test) => {
  const proposals = ["aes256gcm16-prfsha384-ecp384", "aes256gcm16-prfsha512-ecp384", "aes128-sha256-ecp256"];
  test.strictSame(bootstrapProposals(proposals), ["aes128-sha256-ecp256-prfsha512"]);
  test.strictSame(bootstrapProposals(["aes256gcm16-prfsha512-x25519"]), ["aes256gcm16-prfsha384-x25519"]);
  test.end();
});

t.test("their names are nobody's home address", (test) => {
  test.equal(bootstrapOwner(bootstrapName(PEERS.homeAddress)), PEERS.homeAddress);
  for (const name of [bootstrapName(PEERS.homeAddress), BOOTSTRAP_CONNECTION])
    test.equal(homeAddressOf(name), undefined);
  test.equal(bootstrapOwner(BOOTSTRAP_CONNECTION), undefined);
  test.equal(bootstrapOwner("somebody-else"), undefined);
  test.end();
});

function daemon(vips: readonly string[], refusal?: Error) {
  const told: string[] = [];
  const port: IkeDaemonPort = {
    command: async (name) => {
      told.push(name);
      if (name === "terminate" && told.length === 1) throw new Error("no matching IKE_SAs to terminate");
      return {};
    },
    stream: async (name) => {
      told.push(name);
      if (name === "initiate" && refusal !== undefined) throw refusal;
      return name === "list-sas" ? [{ [BOOTSTRAP_CONNECTION]: { "local-vips": [...vips] } }] : [];
    },
  };
  return { told, port };
}

t.test("what is no unicast address is not told, and nothing is left behind", async (test) => {
  const good = daemon(["::1", "2001:db8:1::100", "ff02::1", "198.51.100.100"]);
  test.strictSame(await askHomeAddresses(good.port, {}), { ipv6: "2001:db8:1::100", ipv4: "198.51.100.100" });
  test.strictSame(good.told, ["terminate", "load-conn", "initiate", "list-sas", "terminate", "unload-conn"]);
  test.equal(await askHomeAddresses(daemon(["198.51.100.100", "::"]).port, {}), undefined);
  const bad = daemon([], new Error("no"));
  await test.rejects(askHomeAddresses(bad.port, {}), { message: "no" });
  test.strictSame(bad.told.slice(-2), ["terminate", "unload-conn"]);
});
