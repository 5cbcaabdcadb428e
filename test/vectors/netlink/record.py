#!/usr/bin/python3
"""Records what `ip xfrm` and `nft` say to the kernel and what the kernel says back, as vectors for the unit tests.

usage: record.py xfrm|nft > FILE.json      as root, in an empty network namespace of a kernel with ESP and Mobile IPv6

Record on Linux 6.1; what that kernel was built without (named nftables counters in some) is left out with a note on stderr and may be
added from another one: each vector names its kernel. Each case is a command and the object that it means, written by hand: the codecs have no part in this file. Needs strace.
Sequence numbers and ports are zeroed. One vector holds one message, with its netlink header.
"""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

REQID, PRIORITY = 0x44000000, 0x41910000
HA, HOA, COA = "2001:db8:1::1", "2001:db8:1::100", "2001:db8:f::2"
KEY = "0102030405060708090a0b0c0d0e0f1011121314"
AEAD = f"aead rfc4106(gcm(aes)) 0x{KEY} 128"
HA4, COA4 = "203.0.113.1", "203.0.114.11"
# controller/plan/security-marks.ts
SENDING = {"value": 0, "mask": 0x40000000}
PLAIN = {"value": 0, "mask": 0x60000000}
UDP = {"value": 0x20000000, "mask": 0x60000000}


def traced(command):
    """The netlink datagrams that the command sent and received, in order: [("sent"|"received", bytes)]."""
    with tempfile.NamedTemporaryFile("r") as log:
        trace = ["strace", "-o", log.name, "-e", "trace=sendmsg,recvmsg", "-e", "write=all", "-e", "read=all"]
        result = subprocess.run(trace + command, capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"{' '.join(command)}: {result.stderr}")
        found, buffer = [], None
        for line in log:
            dump = re.match(r" \| ([0-9a-f]{5})  ((?:[0-9a-f]{2} {1,2})+)", line)
            if dump and buffer is not None:
                buffer += bytes.fromhex(dump.group(2).replace(" ", ""))
            call = re.match(r"(sendmsg|recvmsg)\(.*\) = (-?\d+)", line)
            if call:
                buffer = bytearray()
                # iproute2 asks for the length first (MSG_PEEK) and reads again
                if "sa_family=AF_NETLINK" in line and "MSG_PEEK" not in line and int(call.group(2)) > 0:
                    found.append(("sent" if call.group(1) == "sendmsg" else "received", buffer, int(call.group(2))))
        return [(way, bytes(data[:size])) for way, data, size in found]


def messages(datagram):
    while len(datagram) >= 16:
        length = struct.unpack("=I", datagram[:4])[0]
        message = bytearray(datagram[:length])
        message[8:16] = bytes(8)
        yield bytes(message)
        datagram = datagram[(length + 3) & ~3:]


def kind(message):
    return struct.unpack("=H", message[4:6])[0]


def record(command, way, types):
    return [m for w, d in traced(command) if w == way for m in messages(d) if kind(m) in types]


def vector(name, direction, command, message, obj):
    return {"name": name, "direction": direction, "command": command, "kernel": re.match(r"[0-9.]+", os.uname().release).group(), "hex": message.hex(), "object": obj}


def selector(source, destination, protocol, mh=None):
    def prefix(text):
        address, length = text.split("/")
        return {"address": address, "length": int(length)}
    value = {"source": prefix(source), "destination": prefix(destination), "protocol": protocol}
    return value if mh is None else {**value, "mobilityHeaderType": mh}


def esp(spi, mode="transport", window=0, **more):
    aead = {"algorithm": "rfc4106(gcm(aes))", "key": {"$secret": KEY}, "icvLength": 16}
    return {"kind": "xfrm-state", "source": HOA, "destination": HA, "reqid": REQID + 1, **more,
            "transform": {"type": "esp", "spi": spi, "mode": mode, "aead": aead, "replayWindow": window}}


def by_hand(spi, algorithm, icv, integrity, encryption):
    """A cipher and a keyed hash beside it, as hand-keyed peers have them."""
    state = esp(spi, selector=MH_SELECTOR)
    del state["transform"]["aead"]
    state["transform"]["encryption"] = {"algorithm": "cbc(aes)", "key": {"$secret": encryption}}
    state["transform"]["integrity"] = {"algorithm": algorithm, "key": {"$secret": integrity}, "icvLength": icv // 8}
    return state


def by_hand_command(spi, algorithm, icv, integrity, encryption):
    keys = f"auth-trunc {algorithm} 0x{integrity} {icv} enc cbc(aes) 0x{encryption}"
    return f"state add src {HOA} dst {HA} proto esp spi {spi:#x} reqid {REQID + 1} mode transport {keys} sel src {HOA}/128 dst {HA}/128 proto 135"


def between(source, destination, spi, mode="tunnel", window=0, **transform):
    """ESP between other ends than the home address and the home agent."""
    state = esp(spi, mode, window, source=source, destination=destination)
    state["transform"].update(transform)
    return state


def marked(mark, word="mark"):
    return f"{word} {mark['value']:#x} mask {mark['mask']:#x}"


def state_command(source, destination, spi, mode="tunnel", more="", verb="add"):
    family = " flag af-unspec" if mode == "tunnel" and "flag " not in more.replace("extra-flag ", "") else ""
    return f"state {verb} src {source} dst {destination} proto esp spi {spi:#x} reqid {REQID + 1} mode {mode}{family} {AEAD} {more}".strip()


def ports(source, destination):
    return {"encapsulation": {"sourcePort": source, "destinationPort": destination}}


def mobility(kind_, source, destination, coa, wildcard, reqid=REQID + 2, **more):
    return {"kind": "xfrm-state", "source": source, "destination": destination, "reqid": reqid, **more,
            "transform": {"type": kind_, "careOfAddress": coa, "wildcard": wildcard}}


def template(protocol, mode, source="::", destination="::", reqid=0, optional=False):
    return {"protocol": protocol, "mode": mode, "source": source, "destination": destination, "reqid": reqid, "optional": optional}


def policy(direction, sel, templates, ptype="main", priority=PRIORITY, action="allow", **more):
    return {"kind": "xfrm-policy", "direction": direction, "policyType": ptype, "selector": sel, "priority": priority,
            "action": action, **more, "templates": templates}


# name, verb, `ip xfrm` command, object
ESPINUDP = "encap espinudp %d %d 0.0.0.0"
OUTPUT_MARK = {"value": 0x7, "mask": 0xff}
XFRM_ENDS = [
    ("esp between IPv4 ends, transport", "create", state_command(COA4, HA4, 0x1010, "transport"), between(COA4, HA4, 0x1010, "transport")),
    ("esp between IPv4 ends, tunnel", "create", state_command(COA4, HA4, 0x1011), between(COA4, HA4, 0x1011)),
    ("esp in UDP", "create", state_command(COA4, HA4, 0x1012, more=ESPINUDP % (4500, 40000)), between(COA4, HA4, 0x1012, **ports(4500, 40000))),
    ("esp in UDP over IPv6", "create", state_command(COA, HA, 0x1013, more=ESPINUDP % (4500, 4500)), between(COA, HA, 0x1013, **ports(4500, 4500))),
    ("esp with a mark", "create", state_command(COA, HA, 0x1014, more=marked(SENDING)), between(COA, HA, 0x1014, mark=SENDING)),
    ("esp that sets some bits of the mark", "create", state_command(COA, HA, 0x1015, more=marked(OUTPUT_MARK, "output-mark")),
     between(COA, HA, 0x1015, setMark=OUTPUT_MARK)),
    ("esp that sets the whole mark", "create", state_command(COA, HA, 0x1016, more="output-mark 0x2a"),
     between(COA, HA, 0x1016, setMark={"value": 0x2a, "mask": 0xffffffff})),
    ("esp that copies the outer DSCP inwards", "create", state_command(COA, HA, 0x1017, more="flag af-unspec decap-dscp"),
     between(COA, HA, 0x1017, decapsulateDscp=True)),
    ("esp that hides the inner DSCP", "create", state_command(COA, HA, 0x1018, more="extra-flag dont-encap-dscp"),
     between(COA, HA, 0x1018, hideDscp=True)),
    ("esp in UDP that sends, with everything", "create",
     state_command(HA4, COA4, 0x1019, more=f"replay-window 4096 {ESPINUDP % (4500, 40000)} {marked(SENDING)} {marked(OUTPUT_MARK, 'output-mark')} extra-flag dont-encap-dscp"),
     between(HA4, COA4, 0x1019, window=4096, mark=SENDING, setMark=OUTPUT_MARK, hideDscp=True, **ports(4500, 40000))),
    ("esp that receives, plain", "create", state_command("0.0.0.0", HA4, 0x101a, more=f"replay-window 32 {marked(PLAIN)}"),
     between("0.0.0.0", HA4, 0x101a, window=32, mark=PLAIN)),
    ("esp in UDP that receives beside it", "create",
     state_command("0.0.0.0", HA4, 0x101a, more=f"replay-window 128 {ESPINUDP % (4500, 4500)} {marked(UDP)} flag af-unspec decap-dscp"),
     between("0.0.0.0", HA4, 0x101a, window=128, mark=UDP, decapsulateDscp=True, **ports(4500, 4500))),
    ("another port of esp in UDP", "update", state_command(COA4, HA4, 0x1012, more=ESPINUDP % (4500, 40001), verb="update"),
     between(COA4, HA4, 0x1012, **ports(4500, 40001))),
    ("IPv4 in an IPv6 tunnel", "create",
     f"policy add src 198.51.100.100/32 dst 0.0.0.0/0 dir out priority {PRIORITY + 20} tmpl src {COA} dst {HA} proto esp reqid {REQID + 3} mode tunnel",
     policy("out", selector("198.51.100.100/32", "0.0.0.0/0", 0), [template("esp", "tunnel", COA, HA, REQID + 3)], priority=PRIORITY + 20)),
    ("IPv6 in an IPv4 tunnel", "create",
     f"policy add src {HOA}/128 dst ::/0 dir out priority {PRIORITY + 21} tmpl src {COA4} dst {HA4} proto esp reqid {REQID + 3} mode tunnel",
     policy("out", selector(f"{HOA}/128", "::/0", 0), [template("esp", "tunnel", COA4, HA4, REQID + 3)], priority=PRIORITY + 21)),
    ("IPv6 out of an IPv4 tunnel between any ends", "create",
     f"policy add src ::/0 dst {HOA}/128 dir in priority {PRIORITY + 22} tmpl src 0.0.0.0 dst 0.0.0.0 proto esp reqid {REQID + 3} mode tunnel",
     policy("in", selector("::/0", f"{HOA}/128", 0), [template("esp", "tunnel", "0.0.0.0", "0.0.0.0", REQID + 3)], priority=PRIORITY + 22)),
    ("IPv4 out of an IPv6 tunnel between any ends, or none", "create",
     f"policy add src 0.0.0.0/0 dst 198.51.100.100/32 dir in priority {PRIORITY + 23} tmpl src :: dst :: proto esp reqid {REQID + 3} mode tunnel level use",
     policy("in", selector("0.0.0.0/0", "198.51.100.100/32", 0), [template("esp", "tunnel", "::", "::", REQID + 3, True)], priority=PRIORITY + 23)),
]
MH_SELECTOR = selector(f"{HOA}/128", f"{HA}/128", 135)
ANY = selector("::/0", "::/0", 0)
SHA256 = (0x1020, "hmac(sha256)", 128, KEY[:32] * 2, KEY[:32])
SHA1 = (0x1021, "hmac(sha1)", 96, KEY, KEY[:32] * 2)
XFRM = [
    ("esp transport for the Mobility Header", "create",
     f"state add src {HOA} dst {HA} proto esp spi 0x1000 reqid {REQID + 1} mode transport {AEAD} sel src {HOA}/128 dst {HA}/128 proto 135",
     esp(0x1000, selector=MH_SELECTOR)),
    ("esp transport for binding updates only, window 32", "create",
     f"state add src {HOA} dst {HA} proto esp spi 0x1001 reqid {REQID + 1} mode transport replay-window 32 {AEAD} sel src {HOA}/128 dst {HA}/128 proto 135 type 5",
     esp(0x1001, window=32, selector=selector(f"{HOA}/128", f"{HA}/128", 135, 5))),
    ("esp transport, window 128", "create",
     f"state add src {HOA} dst {HA} proto esp spi 0x1002 reqid {REQID + 1} mode transport replay-window 128 {AEAD} sel src {HOA}/128 dst {HA}/128 proto 135",
     esp(0x1002, window=128, selector=MH_SELECTOR)),
    ("esp tunnel for both families", "create",
     f"state add src {HOA} dst {HA} proto esp spi 0x1003 reqid {REQID + 1} mode tunnel flag af-unspec {AEAD}",
     esp(0x1003, mode="tunnel")),
    ("esp with AES-CBC and HMAC-SHA-256", "create", by_hand_command(*SHA256), by_hand(*SHA256)),
    ("esp with AES-CBC and HMAC-SHA-1", "create", by_hand_command(*SHA1), by_hand(*SHA1)),
    ("home address option of a mobile node", "create",
     f"state add src {HOA} dst {HA} proto hao mode ro coa {COA} reqid {REQID + 2}",
     mobility("home-address-option", HOA, HA, COA, False)),
    ("home address option with a selector", "create",
     f"state add src {HOA} dst 2001:db8:2::1 proto hao mode ro coa {COA} reqid {REQID + 2} sel src {HOA}/128 dst 2001:db8:2::1/128",
     mobility("home-address-option", HOA, "2001:db8:2::1", COA, False, selector=selector(f"{HOA}/128", "2001:db8:2::1/128", 0))),
    ("type 2 routing header of a home agent", "create",
     f"state add src {HA} dst {HOA} proto route2 mode ro coa {COA} reqid {REQID + 2}",
     mobility("type2-routing-header", HA, HOA, COA, False)),
    ("home address option from anybody", "create",
     f"state add src :: dst :: proto hao mode ro coa :: reqid {REQID} flag wildrecv",
     mobility("home-address-option", "::", "::", "::", True, REQID)),
    ("type 2 routing header from anybody", "create",
     f"state add src :: dst :: proto route2 mode ro coa :: reqid {REQID} flag wildrecv",
     mobility("type2-routing-header", "::", "::", "::", True, REQID)),
    ("a new care-of address", "update",
     f"state update src {HOA} dst {HA} proto hao mode ro coa 2001:db8:e::3 reqid {REQID + 2}",
     mobility("home-address-option", HOA, HA, "2001:db8:e::3", False)),
    ("policy with one esp template", "create",
     f"policy add src {HOA}/128 dst {HA}/128 proto 135 dir in priority {PRIORITY} tmpl src :: dst :: proto esp reqid {REQID + 1} mode transport",
     policy("in", MH_SELECTOR, [template("esp", "transport", reqid=REQID + 1)])),
    ("policy with home address option and esp", "create",
     f"policy add src {HOA}/128 dst {HA}/128 proto 135 dir out priority {PRIORITY + 5} tmpl src {HOA} dst {HA} proto hao reqid {REQID + 2} mode ro tmpl src {HOA} dst {HA} proto esp reqid {REQID + 1} mode transport",
     policy("out", MH_SELECTOR, [template("home-address-option", "route-optimisation", HOA, HA, REQID + 2), template("esp", "transport", HOA, HA, REQID + 1)], priority=PRIORITY + 5)),
    ("policy for one Mobility Header type", "create",
     f"policy add src {HA}/128 dst {HOA}/128 proto 135 type 6 dir out priority {PRIORITY} tmpl src :: dst :: proto esp reqid {REQID + 1} mode transport",
     policy("out", selector(f"{HA}/128", f"{HOA}/128", 135, 6), [template("esp", "transport", reqid=REQID + 1)])),
    ("catch-all sub policy for home address options", "create",
     f"policy add src ::/0 dst ::/0 dir in ptype sub priority {PRIORITY + 99} tmpl src :: dst :: proto hao mode ro level use",
     policy("in", ANY, [template("home-address-option", "route-optimisation", optional=True)], "sub", PRIORITY + 99)),
    ("catch-all sub policy for routing headers, with a mark", "create",
     f"policy add src ::/0 dst ::/0 dir fwd ptype sub mark 0x4191 mask 0xffff priority {PRIORITY + 99} tmpl src :: dst :: proto route2 mode ro level use",
     policy("forward", ANY, [template("type2-routing-header", "route-optimisation", optional=True)], "sub", PRIORITY + 99, mark={"value": 0x4191, "mask": 0xffff})),
    ("block", "create",
     f"policy add src 198.51.100.0/24 dst 0.0.0.0/0 dir out action block priority {PRIORITY + 7}",
     policy("out", selector("198.51.100.0/24", "0.0.0.0/0", 0), [], priority=PRIORITY + 7, action="block")),
    ("policy in tunnel mode", "create",
     f"policy add src {HOA}/128 dst ::/0 dir fwd priority {PRIORITY + 8} tmpl src {COA} dst {HA} proto esp reqid {REQID + 3} mode tunnel",
     policy("forward", selector(f"{HOA}/128", "::/0", 0), [template("esp", "tunnel", COA, HA, REQID + 3)], priority=PRIORITY + 8)),
    ("policy changed in place", "update",
     f"policy update src {HOA}/128 dst {HA}/128 proto 135 dir in priority {PRIORITY + 1} tmpl src :: dst :: proto esp reqid {REQID + 9} mode transport",
     policy("in", MH_SELECTOR, [template("esp", "transport", reqid=REQID + 9)], priority=PRIORITY + 1)),
] + XFRM_ENDS
XFRM_REMOVALS = [
    ("esp", "state delete src %s dst %s proto esp spi 0x1000" % (HOA, HA), "esp transport for the Mobility Header"),
    ("esp between IPv4 ends", f"state delete src {COA4} dst {HA4} proto esp spi 0x1011", "esp between IPv4 ends, tunnel"),
    ("esp in UDP beside plain esp", f"state delete src 0.0.0.0 dst {HA4} proto esp spi 0x101a {marked(UDP)}", "esp in UDP that receives beside it"),
    ("home address option", f"state delete src {HOA} dst {HA} proto hao", "a new care-of address"),
    ("wildcard", "state delete src :: dst :: proto hao", "home address option from anybody"),
    ("policy", f"policy delete src {HOA}/128 dst {HA}/128 proto 135 dir in", "policy changed in place"),
    ("policy for one Mobility Header type", f"policy delete src {HA}/128 dst {HOA}/128 proto 135 type 6 dir out", "policy for one Mobility Header type"),
    ("sub policy with a mark", "policy delete src ::/0 dst ::/0 dir fwd ptype sub mark 0x4191 mask 0xffff", "catch-all sub policy for routing headers, with a mark"),
]


def record_xfrm():
    vectors, objects = [], {name: obj for name, _, _, obj in XFRM}
    requests = {0x10, 0x1a, 0x13, 0x19}
    for name, verb, command, obj in XFRM:
        words = ["ip", "xfrm"] + command.split()
        [message] = record(words, "sent", requests)
        vectors.append(vector(name, verb, " ".join(words), message, obj))
        # What the kernel holds now, as it dumps it: the newest last for states, policies by their selector.
        dump = ["ip", "xfrm", words[2]]
        replies = record(dump, "received", {0x10, 0x13})
        before = {v["hex"] for v in vectors if v["direction"] == "reply"}
        new = [m for m in replies if stable(m) not in map(stable_hex, before)]
        if len(new) != 1:
            sys.exit(f"{name}: {len(new)} new objects in the dump")
        vectors.append(vector(name, "reply", " ".join(dump), new[0], obj))
    for name, command, of in XFRM_REMOVALS:
        words = ["ip", "xfrm"] + command.split()
        [message] = record(words, "sent", {0x11, 0x14})
        vectors.append(vector(f"remove {name}", "remove", " ".join(words), message, objects[of]))
    return vectors


def stable(message):
    """Without times of use, which differ between two dumps of the same object."""
    body = bytearray(message[16:])
    at = 160 if kind(message) == 0x10 else 120
    body[at:at + 32] = bytes(32)
    if kind(message) == 0x10:
        body[192:204] = bytes(12)
    text = bytes(body)
    return re.sub(rb"\x0c\x00\x0f\x00.{8}", b"", text, flags=re.S)  # XFRMA_LASTUSED


def stable_hex(text):
    return stable(bytes.fromhex(text))


if __name__ == "__main__":
    import record_nft
    json.dump(record_xfrm() if sys.argv[1] == "xfrm" else record_nft.record_all(), sys.stdout, indent=1)
    print()
