/** What the IKE daemon is told, for each way to prove an identity. */
import t from "tap";
import { ipv4, ipv6, type Prefix, parsePrefix } from "../../../controller/base/ip.js";
import { homeAgentConnection, type IkePeers, mobileNodeConnection } from "../../../controller/ike/connections.js";
import { NO_SLOTS, negotiatedReqid, reqidOf } from "../../../controller/plan/security/request-ids.js";

const PEERS: IkePeers = {
  homeAddress: ipv6("2001:db8:1::100"),
  ipv4HomeAddress: ipv4("198.51.100.100"),
  homeAgent: ipv6("2001:db8:1::1"),
  nodeIdentity: "node1@example.org",
  homeAgentIdentity: "ha.example.org",
  authentication: "psk",
  protectPayload: true,
  slots: NO_SLOTS,
};
const TERMS = {
  ikeProposals: ["aes128gcm16-prfsha256-x25519"],
  espCiphers: ["aes128gcm16"],
  rekeySeconds: 3600,
  ikeRekeySeconds: 14400,
  movement: "migrate",
  deadPeerDetectionSeconds: 30,
} as const;
const ENDS = { careOf: ipv4("10.0.0.2"), homeAgent: ipv4("203.0.113.1") };

t.test("IKE runs from the care-of address on port 4500, associations are for the home address", (test) => {
  const connection = mobileNodeConnection(PEERS, TERMS, ENDS);
  test.match(connection, {
    local_addrs: ["10.0.0.2"],
    remote_addrs: ["203.0.113.1"],
    local_port: "4500",
    remote_port: "4500",
    mobike: "no",
    children: {
      signalling: {
        mode: "transport_proxy",
        policies: "no",
        reqid: String(negotiatedReqid(reqidOf(PEERS.homeAddress))),
        local_ts: ["2001:db8:1::100[135]"],
        remote_ts: ["2001:db8:1::1[135]"],
        mark_in_sa: "yes",
      },
      payload: { mode: "tunnel", local_ts: ["2001:db8:1::100", "198.51.100.100"], remote_ts: ["::/0", "0.0.0.0/0"] },
    },
  });
  test.end();
});

t.test("the home agent lets an identity have its own home address only", (test) => {
  const connection = homeAgentConnection(PEERS, TERMS, [PEERS.homeAgent]);
  test.match(connection, {
    remote: { auth: "psk", id: "node1@example.org" },
    children: {
      signalling: { remote_ts: ["2001:db8:1::100[135]"] },
      payload: { remote_ts: ["2001:db8:1::100", "198.51.100.100"] },
    },
  });
  const { children } = homeAgentConnection({ ...PEERS, protectPayload: false }, TERMS, [PEERS.homeAgent]);
  test.notOk(Object.keys(children as object).includes("payload"), "no payload without being asked");
  test.end();
});

t.test(
  "keys for loans are negotiated before anything is lent: the node asks for everything, the home agent offers its pools",
  (test) => {
    const everything = [parsePrefix("0.0.0.0/0"), parsePrefix("::/0")] as readonly Prefix[];
    const node = mobileNodeConnection({ ...PEERS, ipv4HomeAddress: undefined, pools: everything }, TERMS, ENDS);
    test.match(node, {
      children: {
        payload: { local_ts: ["2001:db8:1::100", "0.0.0.0/0", "::/0"], remote_ts: ["::/0", "0.0.0.0/0"] },
        signalling: { local_ts: ["2001:db8:1::100[135]"] },
      },
    });
    const pools = [parsePrefix("198.51.100.128/25"), parsePrefix("2001:db8:200::/40")] as readonly Prefix[];
    const home = homeAgentConnection({ ...PEERS, ipv4HomeAddress: undefined, pools }, TERMS, [PEERS.homeAgent]);
    test.match(home, {
      children: {
        payload: {
          remote_ts: ["2001:db8:1::100", "198.51.100.128/25", "2001:db8:200::/40"],
          local_ts: ["::/0", "0.0.0.0/0"],
        },
      },
    });
    test.end();
  },
);

t.test("with EAP the home agent proves itself by certificate (RFC 4877 §7.3)", (test) => {
  const eap = { ...PEERS, authentication: "eap" } as const;
  test.match(mobileNodeConnection(eap, TERMS, ENDS), {
    local: { auth: "eap-mschapv2", eap_id: "node1@example.org" },
    remote: { auth: "pubkey", id: "ha.example.org" },
  });
  test.match(homeAgentConnection(eap, { ...TERMS, certificate: "PEM" }, [PEERS.homeAgent]), {
    local: { auth: "pubkey", certs: ["PEM"] },
  });
  test.end();
});

t.test("selectors name the types of what is protected on its own, in the upper octet of the port", (test) => {
  const up = { rr: "135/256", prefix: "58/37376" };
  const down = { rr: "135/768", prefix: "58/37632" };
  test.match(mobileNodeConnection(PEERS, TERMS, ENDS)["children"], {
    "return-routability": {
      mode: "tunnel",
      reqid: String(negotiatedReqid(reqidOf(PEERS.homeAddress, "return-routability"))),
      local_ts: [`2001:db8:1::100[${up.rr}]`],
      remote_ts: [`::/0[${down.rr}]`],
    },
    prefix: {
      mode: "transport_proxy",
      reqid: String(negotiatedReqid(reqidOf(PEERS.homeAddress, "prefix"))),
      local_ts: [`2001:db8:1::100[${up.prefix}]`],
      remote_ts: [`2001:db8:1::1[${down.prefix}]`],
    },
  });
  test.match(homeAgentConnection(PEERS, TERMS, [PEERS.homeAgent])["children"], {
    "return-routability": { local_ts: [`::/0[${down.rr}]`], remote_ts: [`2001:db8:1::100[${up.rr}]`] },
    prefix: { local_ts: [`2001:db8:1::1[${down.prefix}]`], remote_ts: [`2001:db8:1::100[${up.prefix}]`] },
  });
  test.end();
});

t.test("MOBIKE is offered where it is asked for", (test) => {
  const terms = { ...TERMS, movement: "mobike" } as const;
  test.match(mobileNodeConnection(PEERS, terms, ENDS), { mobike: "yes" });
  test.match(homeAgentConnection(PEERS, terms, [PEERS.homeAgent]), { mobike: "yes" });
  test.end();
});
