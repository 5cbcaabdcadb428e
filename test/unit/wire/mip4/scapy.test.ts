/** scapy's Mobile IP layer reads what we encode, and we read what it makes. */
import { spawnSync } from "node:child_process";
import t from "tap";
import { fromHex, toHex } from "../../../../controller/base/bytes.js";
import { encodeUdp } from "../../../../controller/wire/ip/udp.js";
import {
  type ControlMessage,
  decodeControlMessage,
  encodeControlMessage,
} from "../../../../controller/wire/mip4/messages/control-message.js";
import { requestFlags } from "../../../../controller/wire/mip4/messages/registration.js";
import { MIP4_PORT } from "../../../../controller/wire/mip4/registry.js";
import { repositoryPath } from "../../../lib/repository.js";
import { loadVectors, plain, revive } from "../../../lib/wire-vectors.js";

const PYTHON = "/usr/bin/python3";
const skip =
  spawnSync(PYTHON, ["-c", "import scapy"], { stdio: "ignore" }).status === 0
    ? false
    : "scapy is not installed (apt install python3-scapy)";

interface Answer {
  readonly read: readonly (Readonly<Record<string, string>> | null)[];
  readonly made: readonly string[];
}

function scapy(read: readonly string[], extensions: string): Answer {
  const script = repositoryPath("test", "lib", "scapy-mip4.py");
  const run = spawnSync(PYTHON, [script], { input: JSON.stringify({ read, extensions }), encoding: "utf8" });
  if (run.status !== 0) throw new Error(`scapy: ${run.stderr}`);
  return JSON.parse(run.stdout) as Answer;
}

const identification = ({ high, low }: { high: number; low: number }): string =>
  `${(BigInt(high) << 32n) | BigInt(low)}`;

/** What scapy should read; undefined: it has no layer for the message. */
function expected(message: ControlMessage, octets: Uint8Array): Record<string, string> | undefined {
  switch (message.type) {
    case "registration-request":
      return {
        layer: "MobileIPRRQ",
        flags: `${octets[1]}`,
        lifetime: `${message.lifetimeSeconds}`,
        homeaddr: message.homeAddress,
        haaddr: message.homeAgent,
        coaddr: message.careOfAddress,
        id: identification(message.identification),
        rest: toHex(octets.subarray(24)),
      };
    case "registration-reply":
      return {
        layer: "MobileIPRRP",
        code: `${message.code}`,
        lifetime: `${message.lifetimeSeconds}`,
        homeaddr: message.homeAddress,
        haaddr: message.homeAgent,
        id: identification(message.identification),
        rest: toHex(octets.subarray(20)),
      };
    case "tunnel-data":
      return { layer: "MobileIPTunnelData", nexthdr: `${message.nextHeader}`, res: "0", rest: toHex(message.payload) };
    default:
      return undefined;
  }
}

t.test("scapy and we read each other", { skip }, (t) => {
  const vectors = loadVectors("mip4-control").filter(({ canonical }) => canonical === true);
  const messages = vectors.map(({ value }) => revive(value) as ControlMessage);
  const octets = messages.map(encodeControlMessage);
  const datagrams = octets.map((payload) =>
    toHex(encodeUdp({ sourcePort: 40000, destinationPort: MIP4_PORT, payload })),
  );
  const mode = "98020300";
  const { read, made } = scapy(datagrams, mode);
  for (const [i, message] of messages.entries()) {
    const wanted = expected(message, octets[i] ?? new Uint8Array());
    if (wanted !== undefined) t.strictSame(read[i], wanted, vectors[i]?.name ?? "");
  }
  const values = made.map((hex) => {
    const decoded = decodeControlMessage(fromHex(hex));
    return decoded.ok ? plain(decoded.value) : decoded.error.message;
  });
  const common = { lifetimeSeconds: 600, homeAddress: "192.0.2.10", homeAgent: "203.0.113.1" };
  const extensions = [{ kind: "ipv6-tunnelling-mode" }];
  t.strictSame(values, [
    {
      type: "registration-request",
      flags: requestFlags({ decapsulatesItself: true, reverseTunnelling: true }),
      ...common,
      careOfAddress: "198.51.100.7",
      identification: { high: 7, low: 9 },
      extensions,
    },
    { type: "registration-reply", code: 133, ...common, identification: { high: 8, low: 9 }, extensions },
    { type: "tunnel-data", nextHeader: 41, payload: `0x${mode}` },
  ]);
  t.end();
});
