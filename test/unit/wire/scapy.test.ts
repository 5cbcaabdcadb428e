/**
 * scapy computes the checksums of our Mobility Headers, which tshark shows but does not verify, reads the formats it knows, and writes others as
 * we do.
 */
import { spawnSync } from "node:child_process";
import t from "tap";
import { toHex } from "../../../controller/base/bytes.js";
import { type Ipv6Address, ipv6 } from "../../../controller/base/ip.js";
import { encodeIpv6Packet } from "../../../controller/wire/ip/ipv6.js";
import { Protocol } from "../../../controller/wire/ip/registry.js";
import { encodeMobilityMessage, withChecksum } from "../../../controller/wire/mip6/messages/mobility-header.js";
import type { MobilityMessage } from "../../../controller/wire/mip6/messages/mobility-message.js";
import { homeAddressHeader } from "../../../controller/wire/mip6/options/destination.js";
import { encodeType2RoutingHeader } from "../../../controller/wire/mip6/routing-header.js";
import { repositoryPath } from "../../lib/repository.js";
import { loadVectors, revive, surroundings, WIRE_FORMATS } from "../../lib/wire-vectors.js";

const PYTHON = "/usr/bin/python3";
const HOA = ipv6("2001:db8:1::10");
const HA = ipv6("2001:db8:1::1");
const COA = ipv6("2001:db8:2::20");

interface Reading {
  readonly layer: string;
  readonly cksum: number;
  readonly computed: number;
  readonly options: readonly Readonly<Record<string, unknown>>[];
  readonly [field: string]: unknown;
}

function scapyMissing(): string | false {
  const { status } = spawnSync(PYTHON, ["-c", "import scapy"], { stdio: "ignore" });
  return status === 0 ? false : "scapy is not installed (apt install python3-scapy)";
}

function read(packets: readonly Uint8Array[]): readonly (Reading | null)[] {
  const script = repositoryPath("test", "lib", "scapy-read.py");
  const run = spawnSync(PYTHON, [script], { input: JSON.stringify(packets.map(toHex)), encoding: "utf8" });
  if (run.status !== 0) throw new Error(`scapy: ${run.stderr}`);
  return JSON.parse(run.stdout) as (Reading | null)[];
}

function packet(source: Ipv6Address, destination: Ipv6Address, nextHeader: number, payload: Uint8Array): Uint8Array {
  const header = { trafficClass: 0, flowLabel: 0, nextHeader, hopLimit: 64, source, destination };
  return encodeIpv6Packet({ header, payload });
}

const skip = scapyMissing();
const canonical = loadVectors("mobility-header").filter((vector) => vector.canonical === true);
const messageOf = (name: string): MobilityMessage =>
  revive(canonical.find((v) => v.name === name)?.value) as MobilityMessage;

t.test("F6275-6.1.1-01: scapy computes the checksum of every message, as we do", { skip }, (t) => {
  const packets = canonical.map(({ value }) => {
    const bytes = encodeMobilityMessage(revive(value) as MobilityMessage);
    t.equal(bytes.length % 8, 0);
    return packet(HOA, HA, Protocol.mobility, withChecksum(bytes, HOA, HA));
  });
  for (const [i, reading] of read(packets).entries()) {
    t.equal(reading?.cksum, reading?.computed ?? -1, `${canonical[i]?.name}: ${reading?.layer}`);
  }
  t.end();
});

t.test("F6275-6.1.1-01: with a Home Address option or a routing header the home address counts", { skip }, (t) => {
  const update = withChecksum(encodeMobilityMessage(messageOf("option 3")), HOA, HA);
  const acknowledgement = withChecksum(encodeMobilityMessage(messageOf("T-02")), HA, HOA);
  const options = homeAddressHeader(Protocol.mobility, HOA);
  const routing = encodeType2RoutingHeader({ nextHeader: Protocol.mobility, homeAddress: HOA });
  const readings = read([
    packet(COA, HA, Protocol.destinationOptions, Uint8Array.from([...options, ...update])),
    packet(HA, COA, Protocol.routing, Uint8Array.from([...routing, ...acknowledgement])),
    packet(COA, HA, Protocol.mobility, update),
  ]);
  t.strictSame(
    readings.map((reading) => reading?.layer),
    ["MIP6MH_BU", "MIP6MH_BA", "MIP6MH_BU"],
  );
  t.equal(readings[0]?.cksum, readings[0]?.computed);
  t.equal(readings[1]?.cksum, readings[1]?.computed);
  t.not(readings[2]?.cksum, readings[2]?.computed, "the same update without the option is wrong, and scapy sees it");
  t.end();
});

t.test("scapy reads the messages and options that it knows", { skip }, (t) => {
  const names = ["T-12", "option 3", "option 6", "option 2", "BE 1", "HoT", "option 10"];
  const packets = names.map((name) =>
    packet(HOA, HA, Protocol.mobility, withChecksum(encodeMobilityMessage(messageOf(name)), HOA, HA)),
  );
  const found = read(packets);
  const readings = new Map(names.map((name, i) => [name, found[i]]));
  t.match(readings.get("T-12"), {
    layer: "MIP6MH_BU",
    seq: 1,
    mhtime: 105,
    options: [
      { scapy: "MIP6OptNonceIndices", otype: 4, hni: 7, coni: 8 },
      { scapy: "MIP6OptBindingAuthData", otype: 5, authenticator: "0x233b3b2fa9b20a2d8d4acd85" },
    ],
  });
  t.match(readings.get("option 3"), { options: [{ scapy: "MIP6OptAltCoA", otype: 3, acoa: COA }] });
  t.match(readings.get("option 6"), { options: [{ scapy: "MIP6OptMobNetPrefix", plen: 48, prefix: "2001:db8:5::" }] });
  t.match(readings.get("option 2"), { layer: "MIP6MH_BA", options: [{ scapy: "MIP6OptBRAdvice", rinter: 25 }] });
  t.match(readings.get("BE 1"), { layer: "MIP6MH_BE", status: 1, ha: HOA });
  t.match(readings.get("HoT"), { layer: "MIP6MH_HoT", cookie: "0xa0a1a2a3a4a5a6a7", token: "0x98a67513cec18470" });
  t.match(readings.get("option 10"), { options: [{ scapy: "MIP6OptReplayProtection", otype: 10 }] });
  t.end();
});

t.test(
  "scapy writes the same octets: discovery, prefixes, revocation, switch, refresh, short options",
  { skip },
  (t) => {
    const run = spawnSync(PYTHON, [repositoryPath("test", "lib", "scapy-write.py")], { encoding: "utf8" });
    if (run.status !== 0) throw new Error(`scapy: ${run.stderr}`);
    const written = new Map(Object.entries(JSON.parse(run.stdout) as Readonly<Record<string, string>>));
    for (const file of ["icmpv6", "mobility-header", "mobility-header-profiles"]) {
      for (const vector of loadVectors(file)) {
        const octets = written.get(vector.name);
        if (octets === undefined) continue;
        t.equal(
          toHex(WIRE_FORMATS[file]?.encode(revive(vector.value), surroundings(vector)) ?? new Uint8Array()),
          octets,
          vector.name,
        );
        written.delete(vector.name);
      }
    }
    t.strictSame([...written.keys()], [], "all of them are vectors");
    t.end();
  },
);
