/** tshark as a second reader of what we encode: fields by packet, as text. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pcapFile } from "./pcap.js";

/** Why tshark cannot be used here, or false. */
export function tsharkMissing(): string | false {
  const { error, status } = spawnSync("tshark", ["--version"], { stdio: "ignore" });
  return error === undefined && status === 0 ? false : "tshark is not installed (apt install tshark)";
}

const OPTIONS = [
  // RFC 5555 §4.1: an IP header follows the UDP header of port 4191; tshark does not know that by itself.
  ...["-d", "udp.port==4191,ip"],
  ...["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-n"],
];

/** Values of one packet by field name, in the order of their occurrence; absent fields have no values. */
export type Dissection = ReadonlyMap<string, readonly string[]>;

/** What tshark reads in each packet of one capture. */
export function dissect(
  linkType: number,
  packets: readonly Uint8Array[],
  fields: readonly string[],
): readonly Dissection[] {
  const folder = mkdtempSync(join(tmpdir(), "dsmipd-tshark-"));
  try {
    const file = join(folder, "packets.pcap");
    writeFileSync(file, pcapFile(linkType, packets));
    const wanted = fields.flatMap((field) => ["-e", field]);
    const layout = ["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=;"];
    const run = spawnSync("tshark", ["-r", file, ...OPTIONS, ...layout, ...wanted], { encoding: "utf8" });
    if (run.status !== 0) throw new Error(`tshark: ${run.stderr}`);
    const lines = run.stdout.split("\n").slice(0, packets.length);
    return lines.map((line) => {
      const columns = line.split("\t");
      return new Map(fields.map((field, i) => [field, columns[i] ? columns[i].split(";").map(truth) : []]));
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Newer versions write True and False where 4.0 writes 1 and 0. */
function truth(value: string): string {
  return value === "True" ? "1" : value === "False" ? "0" : value;
}

export interface Expectation {
  readonly name: string;
  readonly packet: Uint8Array;
  /** Values by field; an empty list asserts that the field is not there. */
  readonly fields: Readonly<Record<string, readonly string[]>>;
  /** The dissector may complain about a packet like this although it is right; only its fields are compared. */
  readonly complaintsExpected?: boolean;
}

/** Every field on which tshark and an expectation differ, as text. Any other complaint of the dissector is a difference. */
export function differences(linkType: number, expectations: readonly Expectation[]): readonly string[] {
  const complaints = ["_ws.malformed", "_ws.expert.message"];
  const names = [...new Set(expectations.flatMap(({ fields }) => Object.keys(fields))), ...complaints];
  const seen = dissect(
    linkType,
    expectations.map(({ packet }) => packet),
    names,
  );
  return expectations.flatMap(({ name, fields, complaintsExpected = false }, i) => {
    const quiet = Object.fromEntries(complaints.map((field): [string, string[]] => [field, []]));
    const wanted: Expectation["fields"] = complaintsExpected ? fields : { ...quiet, ...fields };
    return Object.entries(wanted).flatMap(([field, values]) => {
      const found = seen[i]?.get(field) ?? [];
      return found.join(";") === values.join(";")
        ? []
        : [`${name}: ${field} is ${found.join(";")}, not ${values.join(";")}`];
    });
  });
}
