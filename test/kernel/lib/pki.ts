/** An authority of a test and what it vouches for, made by strongSwan's pki. Elliptic curves: quick under emulation. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { run } from "./command.js";

/** Keys of the security section. */
export interface Proof {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface Authority {
  readonly path: string;
  /** Default: good for a day. The next one for an identity has the same key. */
  readonly issue: (identity: string, options?: { readonly until?: Date }) => Proof;
}

const epoch = (milliseconds: number): string => String(Math.floor(milliseconds / 1000));

function validity(until: Date | undefined): readonly string[] {
  if (until === undefined) return ["--lifetime", "1"];
  const [from, to] = [epoch(until.getTime() - 3_600_000), epoch(until.getTime())];
  return ["--not-before", from, "--not-after", to, "--dateform", "%s"];
}

export function authority(t: TestContext, name = "test CA"): Authority {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-pki-"));
  t.after(() => rmSync(directory, { recursive: true }));
  let serial = 0;
  const write = (suffix: string, words: readonly string[]): string => {
    const path = join(directory, `${serial++}.${suffix}`);
    writeFileSync(path, run(["pki", ...words, "--outform", "pem"]));
    chmodSync(path, 0o600);
    return path;
  };
  const keys = new Map<string, string>();
  const keyOf = (owner: string): string => {
    const key = keys.get(owner) ?? write("key", ["--gen", "--type", "ecdsa", "--size", "256"]);
    keys.set(owner, key);
    return key;
  };
  const caKey = keyOf(name);
  const own = ["--type", "ecdsa", "--in", caKey, "--dn", `CN=${name}`, "--ca", "--lifetime", "2"];
  const path = write("pem", ["--self", ...own]);
  return {
    path,
    issue: (identity, { until } = {}) => {
      const privateKey = keyOf(identity);
      const subject = ["--type", "ecdsa", "--in", privateKey, "--dn", `CN=${identity}`, "--san", identity];
      const words = ["--issue", "--cacert", path, "--cakey", caKey, ...subject, ...validity(until)];
      return { certificate: write("pem", words), privateKey };
    },
  };
}
