/** Certificates and EAP instead of pre-shared keys, with real ones made by strongSwan's pki. */
import assert from "node:assert/strict";
import test from "node:test";
import { begin } from "../lib/keys.js";
import { authority } from "../lib/pki.js";
import { HOME_AGENT_IDENTITY, identityOf, Scene } from "../lib/scene.js";

/** Of a node that is told what its addresses are (RFC 5026 §5.3.1). */
const AUTO = { homeAddress: "auto", ipv4HomeAddress: "auto", homePrefixes: [] };

for (const authentication of ["certificate", "eap"] as const) {
  test(`R5555-5-02: identities are proved by ${authentication}${authentication === "eap" ? ", and home addresses told to who has proved its own" : ""}`, async (t) => {
    const ca = authority(t);
    const authorities = [ca.path];
    const mobileNode = authentication === "certificate" ? { ...ca.issue(identityOf(1)), authorities } : { authorities };
    const scene = await Scene.start(t, {
      ...(authentication === "eap" && { mobileNode: AUTO }),
      ike: { authentication, homeAgent: { ...ca.issue(HOME_AGENT_IDENTITY), authorities }, mobileNode },
    });
    const { mobile } = scene;
    await begin(scene, mobile, "six");
    assert.equal((await mobile.charon?.sas())?.[0]?.remoteIdentity, HOME_AGENT_IDENTITY);
  });
}
