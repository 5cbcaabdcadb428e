/** The key file as the daemon uses it: secrets as octets, one entry for each association. Throws ConfigError with one sentence. */
import {
  type EspAlgorithm,
  type KeyEntry,
  type KeyFile,
  keyFile,
  type Mip4Algorithm,
  type Mip4KeyEntry,
} from "../../schemas/keys.js";
import { fromHex } from "../base/bytes.js";
import { ConfigError } from "../base/errors.js";
import type { Ipv4Address, Ipv6Address } from "../base/ip.js";
import { Secret } from "../base/secret.js";
import { readYamlFile } from "./yaml-file.js";

export type EspKey = { readonly spi: number } & (
  | { readonly algorithm: "aes-gcm"; readonly key: Secret }
  | {
      readonly algorithm: Exclude<EspAlgorithm, "aes-gcm">;
      readonly encryptionKey: Secret;
      readonly integrityKey: Secret;
    }
);

/** The static security associations of one mobile node. */
export interface NodeKeys {
  readonly homeAddress: Ipv6Address;
  readonly update: EspKey;
  readonly acknowledgement: EspKey;
  /** Packets; 0: none. */
  readonly replayWindow: number;
  /** The file names no algorithm: AES-GCM, which manual keying should not have (RFC 8221 §3). */
  readonly algorithmByDefault: boolean;
}

/** What an SPI of Mobile IPv4 stands for between two parties. */
export interface Mip4Key {
  readonly spi: number;
  readonly algorithm: Mip4Algorithm;
  readonly key: Secret;
}

export interface MobileHomeKey extends Mip4Key {
  /** IPv4 home address or NAI. */
  readonly node: string;
  readonly replay: "timestamps" | "nonces";
}

export interface MobileForeignKey extends Mip4Key {
  /** IPv4 home address or NAI. */
  readonly node: string;
  readonly foreignAgent: Ipv4Address;
}

export interface ForeignHomeKey extends Mip4Key {
  readonly foreignAgent: Ipv4Address;
  readonly homeAgent: Ipv4Address;
}

/** Security associations of Mobile IPv4, in the order of the file; those of one pair have different SPIs. */
export interface Mip4Keys {
  readonly mobileHome: readonly MobileHomeKey[];
  readonly mobileForeign: readonly MobileForeignKey[];
  readonly foreignHome: readonly ForeignHomeKey[];
}

export interface Keys {
  readonly keys: ReadonlyMap<Ipv6Address, NodeKeys>;
  readonly mip4: Mip4Keys;
}

export const NO_KEYS: Keys = { keys: new Map(), mip4: { mobileHome: [], mobileForeign: [], foreignHome: [] } };

/** Throws ConfigError. */
export function loadKeys(path: string): Keys {
  const file = readYamlFile(path, keyFile, { secret: true });
  return { keys: espKeys(path, file), mip4: mip4Keys(path, file.mip4) };
}

function espKeys(path: string, { keys, algorithm }: KeyFile): ReadonlyMap<Ipv6Address, NodeKeys> {
  const table = new Map<Ipv6Address, NodeKeys>();
  const updateSpis = new Set<number>();
  for (const entry of keys) {
    if (table.has(entry.homeAddress))
      throw new ConfigError(`${path}: ${entry.homeAddress} stands twice in keys; keep one entry`);
    // All updates arrive at one address, so the SPI alone tells them apart (RFC 4301 §4.1).
    if (updateSpis.has(entry.update.spi)) {
      throw new ConfigError(
        `${path}: update.spi ${entry.update.spi} of ${entry.homeAddress} is used by another entry; choose a unique one`,
      );
    }
    updateSpis.add(entry.update.spi);
    table.set(entry.homeAddress, nodeKeys(entry, entry.algorithm ?? algorithm));
  }
  return table;
}

function nodeKeys(entry: KeyEntry, algorithm: EspAlgorithm | undefined): NodeKeys {
  const secret = (hex = ""): Secret => new Secret(fromHex(hex)); // the schema has seen to it that it is there
  const sa = ({ spi, key, encryptionKey, integrityKey }: KeyEntry["update"]): EspKey =>
    algorithm === undefined || algorithm === "aes-gcm"
      ? { spi, algorithm: "aes-gcm", key: secret(key) }
      : { spi, algorithm, encryptionKey: secret(encryptionKey), integrityKey: secret(integrityKey) };
  return {
    homeAddress: entry.homeAddress,
    update: sa(entry.update),
    acknowledgement: sa(entry.acknowledgement),
    replayWindow: entry.replayWindow ?? (algorithm === undefined ? FORMER_REPLAY_WINDOW : 0),
    algorithmByDefault: algorithm === undefined,
  };
}

/** Of key files from before there was a choice of algorithms. */
const FORMER_REPLAY_WINDOW = 64;

function mip4Keys(path: string, entries: readonly Mip4KeyEntry[]): Mip4Keys {
  const seen = new Set<string>();
  for (const entry of entries) {
    const pair = parties(entry);
    const name = `${entry.association} ${pair} ${entry.spi}`;
    if (seen.has(name))
      throw new ConfigError(
        `${path}: mip4 has SPI ${entry.spi} of ${pair} (${entry.association}) twice; keep one entry`,
      );
    seen.add(name);
  }
  const secret = <E extends Mip4KeyEntry>({ association: _, key, ...rest }: E) => ({
    ...rest,
    key: new Secret(fromHex(key)),
  });
  return {
    mobileHome: entries.flatMap((one) => (one.association === "mobile-home" ? [secret(one)] : [])),
    mobileForeign: entries.flatMap((one) => (one.association === "mobile-foreign" ? [secret(one)] : [])),
    foreignHome: entries.flatMap((one) => (one.association === "foreign-home" ? [secret(one)] : [])),
  };
}

function parties(entry: Mip4KeyEntry): string {
  switch (entry.association) {
    case "mobile-home":
      return entry.node;
    case "mobile-foreign":
      return `${entry.node} and ${entry.foreignAgent}`;
    case "foreign-home":
      return `${entry.foreignAgent} and ${entry.homeAgent}`;
  }
}
