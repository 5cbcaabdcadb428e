/** charon's words for the end of a negotiation, and what a person can do about it. Pure. */

/** What the last line and the lines before it mean; the first form that meets one of them counts. */
const REMEDIES: readonly (readonly [form: RegExp, remedy: string])[] = [
  [/^no matching peer config/, "give the identity of the node's security section to a subscriber of the home agent"],
  [/certificate invalid \(valid from/, "renew the certificate whose time is over, or set the clock"],
  [/^certificate was revoked/, "give the peer a new certificate"],
  [
    /^no issuer certificate|^no trusted|^signature validation/,
    "let an authority of security.authorities vouch for the peer's certificate, with the peer's identity as subjectAltName",
  ],
  [
    /^constraint |config unacceptable|^no alternative config/,
    "give the subscriber the authentication that the node uses",
  ],
  [/^no private key/, "give security.privateKey and security.certificate that belong together"],
  [/^(loading|initiating) EAP/, "give charon its plugin for that (Debian: libcharon-extauth-plugins)"],
  [/EAP/, "give both ends the same eapPassword in their credentialFile"],
  [/shared key|^verification of AUTH/, "give both ends the same psk in their credentialFile"],
  [/^received proposals: ESP/, "give security.espCiphers of both ends one in common"],
  [/^received proposals/, "give security.ikeProposals of both ends one in common"],
  [/NO_PROPOSAL_CHOSEN notify, no CHILD_SA/, "give security.espCiphers of both ends one in common"],
  [/NO_PROPOSAL_CHOSEN/, "give security.ikeProposals of both ends one in common"],
  [
    /traffic selectors|TS_UNACCEPTABLE/,
    "an identity may use its own home addresses only: compare homeAddress and ipv4HomeAddress of subscriber and node",
  ],
  [
    /AUTHENTICATION_FAILED|received IDr/,
    "compare identities, secrets and certificates of both ends; dsmipctl events at the other end says more",
  ],
  [/^unable to/, "see the log of charon: the kernel refused"],
  [
    /not responding|^giving up|not established after/,
    "see that the other end's charon runs and that UDP 500 and 4500 reach it",
  ],
];

const UNKNOWN = "see the log of charon";
/** The bare end of what the causes tell better. */
const BARE = /^(failed to establish CHILD_SA|no alternative config)/;

/** One half-sentence of charon's words, and the remedy. */
export function explain(end: string, causes: readonly string[]): { readonly reason: string; readonly remedy: string } {
  const words = BARE.test(end) && causes.length > 0 ? causes : [...causes, end];
  const found = REMEDIES.find(([form]) => words.some((text) => form.test(text)));
  return { reason: words.join("; "), remedy: found?.[1] ?? UNKNOWN };
}
