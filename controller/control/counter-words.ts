/** What the counters of `dsmipctl status` say in words. */

/** The kernel's own names (Documentation/networking/xfrm_proc.rst). */
export const XFRM_WORDS: Readonly<Record<string, string>> = {
  XfrmInError: "refused on the way in, for another reason",
  XfrmInBufferError: "no memory left on the way in",
  XfrmInHdrError: "damaged ESP or Mobile IPv6 header",
  XfrmInNoStates: "ESP with an SPI that nobody has here: keys that are gone, or not there yet",
  XfrmInStateProtoError: "forged or damaged: the integrity check has failed",
  XfrmInStateModeError: "ESP of the wrong mode",
  XfrmInStateSeqError: "replayed: the sequence number was seen before, or is too old",
  XfrmInStateExpired: "under keys whose lifetime is over",
  XfrmInStateMismatch: "under keys that are for something else",
  XfrmInStateInvalid: "under keys that are being removed",
  XfrmInTmplMismatch: "without the protection that a policy demands, or under the wrong keys",
  XfrmInNoPols: "protected, but no policy is for it",
  XfrmInPolBlock: "blocked by a policy: what must be protected came in clear",
  XfrmInPolError: "refused by a policy on the way in",
  XfrmOutError: "refused on the way out, for another reason",
  XfrmOutBundleGenError: "no protection could be put together on the way out",
  XfrmOutBundleCheckError: "protection on the way out was out of date",
  XfrmOutNoStates: "to be protected on the way out, and no keys are there",
  XfrmOutStateProtoError: "could not be encrypted",
  XfrmOutStateModeError: "too large for its protection, or of the wrong mode",
  XfrmOutStateSeqError: "the sequence numbers of the keys are used up",
  XfrmOutStateExpired: "to be sent under keys whose lifetime is over",
  XfrmOutPolBlock: "blocked by a policy on the way out: not sent in clear",
  XfrmOutPolDead: "a policy on the way out was being removed",
  XfrmOutPolError: "refused by a policy on the way out",
  XfrmFwdHdrError: "damaged header of what is forwarded",
  XfrmOutStateInvalid: "to be sent under keys that are being removed",
  XfrmAcquireError: "keys are asked for and not there yet",
};

/** Of our nftables tables: of home agents, mobile nodes and foreign agents, so each word holds for all of them that have the counter. */
export const FIREWALL_WORDS: Readonly<Record<string, string>> = {
  "spoofed-udp": "payload in UDP whose outer and inner addresses belong to no registration",
  "spoofed-ipv4": "payload in IPv4 whose outer and inner addresses belong to no registration",
  "spoofed-ipv6": "payload in IPv6 whose outer and inner addresses belong to no registration",
  "spoofed-gre": "payload in GRE whose outer and inner addresses belong to no registration",
  "bad-version": "UDP tunnels with neither IPv4 nor IPv6 in them",
  "bad-gre": "GRE with options (key, checksum, sequence number), or with neither IPv4 nor IPv6 in it",
  "link-local": "what a node's kernel sends to its own link through a tunnel: it looks for routers there",
  "mapped-source": "IPv4-mapped addresses as IPv6 source, which no packet may have",
  "mapped-signalling": "came with an IPv4-mapped care-of address (2004 profile)",
  "mapped-proven": "of those, came from that care-of address",
  "mapped-forged": "IPv4-mapped care-of addresses that were not the outer source: forged, or from behind a NAT",
  "send-only": "came in by a device that only sends",
  "tunnelled-signalling": "mobility messages inside a tunnel",
  "no-port": "no NAT port is known to send to",
  "tunnel-loop":
    "for a node, back from its own care-of address in a tunnel to its home address: it would go in circles",
  signalling: "led to the process",
  "signalling-arrived": "acknowledgements in UDP as they came, before anybody's filter",
  "signalling-port": "sent to the process's own UDP port 4192 from outside",
  "tunnel-port": "sent to the kernel's own UDP port 4193 from outside",
  "unknown-signalling": "signalling that names no subscriber, or none of its keys",
  "metered-discovery": "home agent address discovery requests beyond what is answered",
  "metered-reports": "reports of multicast groups beyond what is looked at",
  "metered-registrations": "more registration requests than genuine nodes send",
  "metered-answers": "refusals of registration requests beyond what is answered",
  metered: "more signalling than a genuine node sends",
  "not-a-visitor": "from a visited link, with a source that is neither of that link nor a visitor's",
  "tunnelled-ipv6": "protocol 41 to a foreign agent, whose own tunnels are for IPv4 alone",
  "no-home-agent": "for the tunnel to a home agent that no visitor has any more",
};

/** "NAME COUNT (words)"; without words while there is nothing to be told. */
export function counterText(name: string, count: number): string {
  const words = XFRM_WORDS[name] ?? FIREWALL_WORDS[name];
  return words === undefined || count === 0 ? `${name} ${count}` : `${name} ${count} (${words})`;
}
