/** tshark's dissectors of Mobile IP and of ICMP router discovery read what we encode: every canonical vector. */
import t from "tap";
import { ipv4 } from "../../../../controller/base/ip.js";
import { encodeIpv4Packet, ipv4Header } from "../../../../controller/wire/ip/ipv4.js";
import { Protocol } from "../../../../controller/wire/ip/registry.js";
import { encodeUdp } from "../../../../controller/wire/ip/udp.js";
import {
  type DiscoveryMessage,
  encodeAgentDiscovery,
} from "../../../../controller/wire/mip4/messages/agent-discovery.js";
import {
  type ControlMessage,
  encodeControlMessage,
} from "../../../../controller/wire/mip4/messages/control-message.js";
import { MIP4_PORT } from "../../../../controller/wire/mip4/registry.js";
import { LINK_TYPE } from "../../../lib/pcap.js";
import { differences, type Expectation, tsharkMissing } from "../../../lib/tshark.js";
import { agentAdvertisementFields, mip4Fields } from "../../../lib/tshark-mip4.js";
import { loadVectors, revive } from "../../../lib/wire-vectors.js";

const NODE = ipv4("198.51.100.7");
const AGENT = ipv4("203.0.113.1");
const ICMP = 1;
const skip = tsharkMissing();
const canonical = (format: string) => loadVectors(format).filter((vector) => vector.canonical === true);

/** Right packets of which tshark 4.0 complains, or that it takes for something else, and why. */
const COMPLAINTS: ReadonlySet<string> = new Set([
  // It knows one subtype of this type and reads its fields whatever the subtype.
  "UDP tunnel request of another subtype: skipped",
  // It reads the octets of an unknown extension of discovery two octets too late.
  "prefix lengths, challenge, unknown",
]);

/** Two octets of payload are no packet. */
const complains = (name: string, message: ControlMessage): boolean =>
  message.type === "tunnel-data" || COMPLAINTS.has(name);

function packet(protocol: number, payload: Uint8Array, source = NODE, destination = AGENT): Uint8Array {
  return encodeIpv4Packet({ header: ipv4Header({ source, destination, protocol }), payload });
}

t.test("V4-3.1-01, V4-3.2-01, V4-3.3-01: every message for port 434 is read as it was meant", { skip }, (t) => {
  const expectations = canonical("mip4-control").flatMap(({ name, value }): Expectation[] => {
    const message = revive(value) as ControlMessage;
    if (message.type === "unknown") return [];
    const ports = { sourcePort: 40000, destinationPort: MIP4_PORT };
    const udp = encodeUdp({ ...ports, payload: encodeControlMessage(message) }, { source: NODE, destination: AGENT });
    return [
      {
        name,
        packet: packet(Protocol.udp, udp),
        fields: mip4Fields(message),
        complaintsExpected: complains(name, message),
      },
    ];
  });
  t.ok(expectations.length > 60);
  t.strictSame(differences(LINK_TYPE.rawIp, expectations), []);
  t.end();
});

t.test("every message of agent discovery is read as it was meant", { skip }, (t) => {
  const expectations = canonical("mip4-discovery").flatMap(({ name, value }): Expectation[] => {
    const message = revive(value) as DiscoveryMessage;
    if (message.type !== "router-advertisement") return [];
    const fields = agentAdvertisementFields(message);
    return [
      { name, packet: packet(ICMP, encodeAgentDiscovery(message)), fields, complaintsExpected: COMPLAINTS.has(name) },
    ];
  });
  t.ok(expectations.length > 10);
  t.strictSame(differences(LINK_TYPE.rawIp, expectations), []);
  t.end();
});
