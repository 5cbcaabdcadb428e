/** What IKE proves identities with, read from files and checked. Throws ConfigError with one sentence; secrets stand in none of them. */
import { X509Certificate } from "node:crypto";
import { dirname, resolve } from "node:path";
import { credentialFile } from "../../schemas/credentials.js";
import { ConfigError } from "../base/errors.js";
import { Secret } from "../base/secret.js";
import { readTextFile, readYamlFile } from "./yaml-file.js";

export interface IkeCredentials {
  /** By the mobile node's identity. */
  readonly psk: ReadonlyMap<string, Secret>;
  readonly eap: ReadonlyMap<string, Secret>;
  /** PEM. */
  readonly certificate?: string;
  readonly privateKey?: Secret;
  readonly authorities: readonly string[];
}

export interface CredentialPaths {
  readonly certificate?: string | undefined;
  readonly privateKey?: string | undefined;
  readonly authorities: readonly string[];
  readonly credentialFile?: string | undefined;
}

/** Relative paths start at the configuration file's folder. */
export function loadCredentials(configPath: string, paths: CredentialPaths): IkeCredentials {
  const absolute = (path: string): string => resolve(dirname(configPath), path);
  if ((paths.certificate === undefined) !== (paths.privateKey === undefined)) {
    throw new ConfigError(
      `${configPath}: security.certificate and security.privateKey belong together; ${paths.certificate === undefined ? "certificate" : "privateKey"} is missing`,
    );
  }
  const certificate = paths.certificate === undefined ? undefined : readCertificate(absolute(paths.certificate));
  const key = paths.privateKey === undefined ? undefined : readPrivateKey(absolute(paths.privateKey));
  return {
    ...(paths.credentialFile === undefined
      ? { psk: new Map(), eap: new Map() }
      : readSecrets(absolute(paths.credentialFile))),
    ...(certificate === undefined ? {} : { certificate }),
    ...(key === undefined ? {} : { privateKey: key }),
    authorities: paths.authorities.map((path) => readCertificate(absolute(path))),
  };
}

function readSecrets(path: string): Pick<IkeCredentials, "psk" | "eap"> {
  const psk = new Map<string, Secret>();
  const eap = new Map<string, Secret>();
  const octets = (text: string): Secret => new Secret(Buffer.from(text, "utf8"));
  for (const entry of readYamlFile(path, credentialFile, { secret: true }).credentials) {
    if (psk.has(entry.identity) || eap.has(entry.identity))
      throw new ConfigError(`${path}: ${entry.identity} stands twice in credentials; keep one entry`);
    if (entry.psk !== undefined) psk.set(entry.identity, octets(entry.psk));
    if (entry.eapPassword !== undefined) eap.set(entry.identity, octets(entry.eapPassword));
  }
  return { psk, eap };
}

function readCertificate(path: string): string {
  const text = readTextFile(path, false);
  try {
    const { validTo } = new X509Certificate(text);
    if (Date.parse(validTo) < Date.now())
      throw new ConfigError(`${path}: this certificate expired on ${validTo}; put a valid one there`);
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    throw new ConfigError(`${path}: is no X.509 certificate in PEM`, { cause });
  }
  return text;
}

function readPrivateKey(path: string): Secret {
  const text = readTextFile(path, true);
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) throw new ConfigError(`${path}: is no private key in PEM`);
  return new Secret(Buffer.from(text, "utf8"));
}
