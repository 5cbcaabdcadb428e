/** Certificates and EAP instead of pre-shared keys, with real ones made by strongSwan's pki. */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { run } from "./lib/command.js";
import { crossAll } from "./lib/keys.js";
import { HOME_AGENT_IDENTITY, identityOf, Scene } from "./lib/scene.js";

interface Identity {
  readonly certificate: string;
  readonly privateKey: string;
}

/** An authority, and what it vouches for. Elliptic curves: quick under emulation. */
function authority(t: TestContext): { readonly path: string; readonly issue: (identity: string) => Identity } {
  const directory = mkdtempSync(join(tmpdir(), "dsmipd-pki-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const key = (name: string): string => {
    const path = join(directory, `${name}.key`);
    writeFileSync(path, run(["pki", "--gen", "--type", "ecdsa", "--size", "256", "--outform", "pem"]));
    chmodSync(path, 0o600);
    return path;
  };
  const caKey = key("ca");
  const path = join(directory, "ca.pem");
  const self = ["pki", "--self", "--type", "ecdsa", "--in", caKey, "--dn", "CN=test CA", "--ca", "--lifetime", "2"];
  writeFileSync(path, run([...self, "--outform", "pem"]));
  const issue = (identity: string): Identity => {
    const privateKey = key(identity);
    const certificate = join(directory, `${identity}.pem`);
    const publicKey = join(directory, `${identity}.pub`);
    writeFileSync(publicKey, run(["pki", "--pub", "--type", "ecdsa", "--in", privateKey, "--outform", "pem"]));
    const words = ["pki", "--issue", "--type", "pub", "--in", publicKey, "--cacert", path, "--cakey", caKey];
    const subject = ["--dn", `CN=${identity}`, "--san", identity, "--lifetime", "1", "--outform", "pem"];
    writeFileSync(certificate, run([...words, ...subject]));
    return { certificate, privateKey };
  };
  return { path, issue };
}

for (const authentication of ["certificate", "eap"] as const) {
  test(`R5555-5-02: identities are proved by ${authentication}`, async (t) => {
    const ca = authority(t);
    const authorities = [ca.path];
    const mobileNode = authentication === "certificate" ? { ...ca.issue(identityOf(1)), authorities } : { authorities };
    const scene = await Scene.start(t, {
      ike: { authentication, homeAgent: { ...ca.issue(HOME_AGENT_IDENTITY), authorities }, mobileNode },
    });
    const { mobile } = scene;
    scene.attach(mobile, "six");
    await mobile.daemon.start();
    await scene.settled(mobile, "six");
    await crossAll(scene, mobile);
    assert.equal((await mobile.charon?.sas())?.[0]?.remoteIdentity, HOME_AGENT_IDENTITY);
  });
}
