#!/usr/bin/python3
"""Writes the Mobile IPv4 vectors of this directory: octets put together by hand from the figures of the documents named beside them.

Independent of the TypeScript codecs on purpose: every octet is written out. Only ICMP checksums and authenticators are computed, with
hmac of Python. T-13 and T-14 are those of the requirement matrix (A.12). Run it after a change: python3 assemble-mip4.py
"""
import hashlib
import hmac
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))
HOA, HA, COA = "192.0.2.10", "203.0.113.1", "198.51.100.7"
HOA_HEX, HA_HEX, COA_HEX = "c000020a", "cb007101", "c6336407"
ID_HEX, ID = "e000000000000001", {"high": 0xE0000000, "low": 1}
PREFIX_HEX = "20010db8000500000000000000000000"
LINK_LOCAL_HEX = "fe8000000000000000000000c000020a"
KEY = bytes(range(16))
FLAGS = {
    "simultaneousBindings": 0x80, "broadcast": 0x40, "decapsulatesItself": 0x20, "minimalEncapsulation": 0x10, "gre": 0x08,
    "reservedFormerlyCompression": 0x04, "reverseTunnelling": 0x02, "reserved": 0x01,
}
AGENT_FLAGS = {
    "registrationRequired": 0x8000, "busy": 0x4000, "homeAgent": 0x2000, "foreignAgent": 0x1000, "minimalEncapsulation": 0x0800,
    "gre": 0x0400, "reverseTunnelling": 0x0100, "udpTunnelling": 0x0080, "registrationRevocation": 0x0040,
    "regionalRegistration": 0x0020,
}
CODES = [0, 1, *range(64, 73), *range(74, 83), 88, *range(96, 100), 104, 105, 106, *range(128, 140), 142, 194]


def hexed(text):
    return text.replace(" ", "")


def vector(name, source, text, value, canonical=True):
    return {"name": name, "source": source, "hex": hexed(text), "value": value, "canonical": canonical}


def bad(name, source, text, reason, field, offset):
    return {"name": name, "source": source, "hex": hexed(text), "error": {"reason": reason, "field": field, "offset": offset}}


def flags(table, *names):
    return {name: name in names for name in table}


def mask(table, *names):
    return sum(table[name] for name in names)


def request_hex(*names, extensions="", lifetime=600):
    return f"01{mask(FLAGS, *names):02x}{lifetime:04x}{HOA_HEX}{HA_HEX}{COA_HEX}{ID_HEX}" + hexed(extensions)


def request(*names, extensions=(), lifetime=600):
    return {"type": "registration-request", "flags": flags(FLAGS, *names), "lifetimeSeconds": lifetime, "homeAddress": HOA,
            "homeAgent": HA, "careOfAddress": COA, "identification": ID, "extensions": list(extensions)}


def reply_hex(code, extensions="", lifetime=600):
    return f"03{code:02x}{lifetime:04x}{HOA_HEX}{HA_HEX}{ID_HEX}" + hexed(extensions)


def reply(code, extensions=(), lifetime=600):
    return {"type": "registration-reply", "code": code, "lifetimeSeconds": lifetime, "homeAddress": HOA, "homeAgent": HA,
            "identification": ID, "extensions": list(extensions)}


def authenticated(text, kind, number, digest, spi=256):
    """`text` with an authentication extension over it."""
    size = hashlib.new(digest).digest_size
    covered = hexed(text) + f"{number:02x}{4 + size:02x}{spi:08x}"
    mac = hmac.new(KEY, bytes.fromhex(covered), digest).hexdigest()
    return covered + mac, {"kind": kind, "spi": spi, "authenticator": "0x" + mac}


def in_request(name, source, text, *values, canonical=True):
    return vector(name, source, request_hex(extensions=text), request(extensions=values), canonical)


def in_reply(name, source, text, *values, canonical=True):
    return vector(name, source, reply_hex(0, text), reply(0, values), canonical)


def messages():
    prefix_request = {"kind": "ipv6-prefix-request", "prefixLength": 48, "prefix": "2001:db8:5::"}
    mode = {"kind": "ipv6-tunnelling-mode"}
    found = [vector("T-13", "requirement matrix A.12",
                    "01220258c000020acb007101c6336407e000000000000001"
                    "9812013020010db800050000000000000000000098020300"
                    "2014000001007d35cb84d9895591fffbcdfc4ab149ac",
                    request("decapsulatesItself", "reverseTunnelling", extensions=[
                        prefix_request, mode,
                        {"kind": "mobile-home-authentication", "spi": 256, "authenticator": "0x7d35cb84d9895591fffbcdfc4ab149ac"}]))]
    text, value = authenticated(found[0]["hex"][:2 * 48], "mobile-home-authentication", 32, "md5")
    assert text == found[0]["hex"], "T-13 is what hmac computes"
    for digest in ("sha1", "sha256"):
        text, value = authenticated(request_hex(), "mobile-home-authentication", 32, digest)
        found.append(vector(f"Mobile-Home authentication, HMAC-{digest}", "RFC 5944 3.5.2", text, request(extensions=[value])))
    text, home = authenticated(request_hex(), "mobile-home-authentication", 32, "md5")
    text, foreign = authenticated(text, "mobile-foreign-authentication", 33, "md5", 257)
    text, agents = authenticated(text, "foreign-home-authentication", 34, "md5", 258)
    found.append(vector("all three authentications", "RFC 5944 3.5.2 to 3.5.4", text, request(extensions=[home, foreign, agents])))
    found += [vector(f"request, {name}", "RFC 5944 3.3", request_hex(name), request(name)) for name in FLAGS]
    found += [vector("request, no flag, no end", "RFC 5944 3.3", request_hex(lifetime=0xFFFF), request(lifetime=0xFFFF)),
              vector("request, de-registration", "RFC 5944 3.6.1.2", request_hex(lifetime=0), request(lifetime=0))]
    found += [vector(f"reply, code {code}", "RFC 5944 3.4", reply_hex(code), reply(code)) for code in CODES]
    aaa = "a0" * 16
    found += [
        in_request("Mobile-AAA authentication", "RFC 4721 5, 6", "24 01 0014 00000101" + aaa,
                   {"kind": "mobile-aaa-authentication", "spi": 257, "authenticator": "0x" + aaa}),
        in_request("NAI", "RFC 2794 2", "83 0f" + b"n1@example.org!".hex(),
                   {"kind": "network-access-identifier", "identifier": "0x" + b"n1@example.org!".hex()}),
        in_request("challenge", "RFC 4721 4", "84 04 01020304", {"kind": "mobile-foreign-challenge", "challenge": "0x01020304"}),
        in_request("encapsulating delivery", "RFC 3024 3.3", "82 00", {"kind": "encapsulating-delivery"}),
        in_request("UDP tunnel request", "RFC 3519 3.1", "90 06 00 00 00 00 0000",
                   {"kind": "udp-tunnel-request", "forced": False, "throughForeignAgent": False, "encapsulation": 0}),
        in_request("UDP tunnel request, F", "RFC 3519 3.1.1", "90 06 00 00 80 00 0000",
                   {"kind": "udp-tunnel-request", "forced": True, "throughForeignAgent": False, "encapsulation": 0}),
        in_request("UDP tunnel request, R", "RFC 3519 3.1.2", "90 06 00 00 40 00 0000",
                   {"kind": "udp-tunnel-request", "forced": False, "throughForeignAgent": True, "encapsulation": 0}),
        in_request("UDP tunnel request, GRE", "RFC 3519 3.1.4", "90 06 00 00 00 2f 0000",
                   {"kind": "udp-tunnel-request", "forced": False, "throughForeignAgent": False, "encapsulation": 47}),
        in_request("UDP tunnel request, reserved 1 and 2", "RFC 3519 3.1.3", "90 06 00 ff 3f 00 0000",
                   {"kind": "udp-tunnel-request", "forced": False, "throughForeignAgent": False, "encapsulation": 0}, canonical=False),
        in_request("UDP tunnel request, reserved 3: skipped", "RFC 3519 3.1.3, C-29", "90 06 00 00 80 00 0001",
                   {"kind": "unknown", "extensionType": 144, "data": "0x000080000001"}),
        in_request("UDP tunnel request of another subtype: skipped", "RFC 5944 1.11", "90 02 01 00",
                   {"kind": "unknown", "extensionType": 144, "data": "0x0100"}),
        in_reply("UDP tunnel reply", "RFC 3519 3.2", "2c 06 00 00 0000 006e",
                 {"kind": "udp-tunnel-reply", "code": 0, "forced": False, "keepaliveSeconds": 110}),
        in_reply("UDP tunnel reply, F", "RFC 3519 3.2", "2c 06 00 00 8000 0000",
                 {"kind": "udp-tunnel-reply", "code": 0, "forced": True, "keepaliveSeconds": 0}),
        in_reply("UDP tunnel reply, declined", "RFC 3519 3.2.1", "2c 06 00 40 0000 0000",
                 {"kind": "udp-tunnel-reply", "code": 64, "forced": False, "keepaliveSeconds": 0}),
        in_request("prefix request", "RFC 5454 2.1", "98 12 01 30" + PREFIX_HEX, prefix_request),
        in_request("prefix request, bits after the length", "RFC 5454 2.1, V4-3.1-03", "98 12 01 30 20010db8000500000000000000000001",
                   prefix_request, canonical=False),
        in_request("prefix request, link-local", "RFC 5454 3.7.1, C-23", "98 12 01 ff" + LINK_LOCAL_HEX,
                   {"kind": "ipv6-prefix-request", "prefixLength": 255, "prefix": "fe80::c000:20a"}),
        in_request("prefix request, length 0", "RFC 5454 2.1", "98 12 01 00" + "00" * 16,
                   {"kind": "ipv6-prefix-request", "prefixLength": 0, "prefix": "::"}),
        in_request("prefix request, length 129", "RFC 5454 2.1", "98 12 01 81" + PREFIX_HEX,
                   {"kind": "ipv6-prefix-request", "prefixLength": 129, "prefix": "2001:db8:5::"}),
        in_request("tunnelling mode", "RFC 5454 2.3", "98 02 03 00", mode),
        in_request("tunnelling mode, reserved octet", "RFC 5454 2.3", "98 02 03 ff", mode, canonical=False),
        in_request("type 152 of another subtype: skipped", "RFC 5944 1.11", "98 03 04 0102",
                   {"kind": "unknown", "extensionType": 152, "data": "0x040102"}),
        in_request("unknown extensions, skippable", "RFC 5944 1.8", "80 00 ff 03 010203 c8 01 20",
                   {"kind": "unknown", "extensionType": 128, "data": "0x"},
                   {"kind": "unknown", "extensionType": 255, "data": "0x010203"},
                   {"kind": "unknown", "extensionType": 200, "data": "0x20"}),
        in_request("padding", "RFC 5944 2.1.3", "00 98 02 03 00 00", mode, canonical=False),
        vector("T-14", "requirement matrix A.12", reply_hex(0, "98140201300020010db8000500000000000000000000"),
               reply(0, [{"kind": "ipv6-prefix-reply", "code": 1, "prefixLength": 48, "prefix": "2001:db8:5::"}])),
        in_reply("prefix reply, reserved octet and bits after the length", "RFC 5454 2.2",
                 "98 14 02 01 30 ff 20010db80005000000000000000000ff",
                 {"kind": "ipv6-prefix-reply", "code": 1, "prefixLength": 48, "prefix": "2001:db8:5::"}, canonical=False),
        in_reply("prefix reply, link-local", "RFC 5454 2.2", "98 14 02 00 ff 00" + LINK_LOCAL_HEX,
                 {"kind": "ipv6-prefix-reply", "code": 0, "prefixLength": 255, "prefix": "fe80::c000:20a"}),
    ]
    found += [in_reply(f"prefix reply, code {code}", "RFC 5454 2.2", f"98 14 02 {code:02x} 30 00" + PREFIX_HEX,
                       {"kind": "ipv6-prefix-reply", "code": code, "prefixLength": 48, "prefix": "2001:db8:5::"}) for code in (0, 8, 9)]
    found += [vector(f"tunnel data, next header {number}", "RFC 3519 3.3, RFC 5454 3.9", f"04 {number:02x} 0000 4500",
                     {"type": "tunnel-data", "nextHeader": number, "payload": "0x4500"}) for number in (4, 41, 47, 55)]
    found += [
        vector("tunnel data, reserved bits", "RFC 3519 3.3", "04 04 ffff", {"type": "tunnel-data", "nextHeader": 4, "payload": "0x"},
               canonical=False),
        vector("another message", "RFC 3543", "07 00", {"type": "unknown", "messageType": 7, "body": "0x00"}),
        bad("nothing", "RFC 5944 3.3", "", "truncated", "message-type", 0),
        bad("request cut short", "RFC 5944 3.3", request_hex()[:-2], "truncated", "low", 20),
        bad("reply cut short", "RFC 5944 3.4", reply_hex(0)[:-10], "truncated", "high", 12),
        bad("unknown extension, not skippable", "RFC 5944 1.8", request_hex(extensions="7f 00"), "malformed", "extension-type", 24),
        bad("extension of discovery", "RFC 5944 1.8", request_hex(extensions="10 06 000000000000"), "malformed", "extension-type", 24),
        bad("extension longer than the datagram", "RFC 5944 1.9", request_hex(extensions="80 05 01020304"), "truncated", "data", 26),
        bad("long extension longer than the datagram", "RFC 5944 1.10", request_hex(extensions="24 01 ffff 00000100" + aaa),
            "truncated", "mobile-aaa-authentication", 28),
        bad("extension without a length", "RFC 5944 1.9", request_hex(extensions="80"), "truncated", "extension-length", 25),
        bad("authentication without an authenticator", "RFC 5944 3.5.2", request_hex(extensions="20 04 00000100"),
            "malformed", "authenticator", 30),
        bad("authentication without a whole SPI", "RFC 5944 3.5.2", request_hex(extensions="20 03 000001"),
            "malformed", "mobile-home-authentication", 25),
        bad("Mobile-AAA authentication too short", "RFC 4721 5", request_hex(extensions="24 01 0013 00000101" + aaa[2:]),
            "malformed", "authenticator", 32),
        bad("generalized authentication of another subtype", "RFC 4721 5", request_hex(extensions="24 02 0014 00000101" + aaa),
            "malformed", "extension-type", 24),
        bad("NAI of nothing", "RFC 2794 2", request_hex(extensions="83 00"), "malformed", "identifier", 26),
        bad("encapsulating delivery with data", "RFC 3024 3.3", request_hex(extensions="82 01 00"), "malformed", "encapsulating-delivery", 25),
        bad("UDP tunnel reply of another subtype", "RFC 3519 3.2", reply_hex(0, "2c 06 01 00 0000 006e"), "malformed", "extension-type", 20),
        bad("UDP tunnel reply too short", "RFC 3519 3.2", reply_hex(0, "2c 05 00 00 0000 00"), "malformed", "udp-tunnel-reply", 21),
        bad("UDP tunnel request too long", "RFC 3519 3.1", request_hex(extensions="90 07 00 00 00 00 0000 00"),
            "malformed", "udp-tunnel-request", 25),
        bad("prefix request of length 17", "RFC 5454 2.1", request_hex(extensions="98 11 01 30" + PREFIX_HEX[:-2]),
            "malformed", "ipv6-prefix-request", 25),
        bad("prefix reply of length 18", "RFC 5454 2.2", reply_hex(0, "98 12 02 00 30 00" + PREFIX_HEX[:-4]),
            "malformed", "ipv6-prefix-reply", 21),
        bad("tunnelling mode of length 3", "RFC 5454 2.3", request_hex(extensions="98 03 03 00 00"),
            "malformed", "ipv6-tunnelling-mode", 25),
        bad("type 152 without a subtype", "RFC 5454 2", request_hex(extensions="98 00"), "malformed", "extension-type", 24),
        bad("tunnel data cut short", "RFC 3519 3.3", "04 04 00", "truncated", "reserved", 2),
    ]
    return found


def icmp(text):
    raw = bytearray.fromhex(hexed(text))
    data = bytes(raw) + b"\0" * (len(raw) % 2)
    total = sum(int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    raw[2:4] = (~total & 0xFFFF).to_bytes(2, "big")
    return raw.hex()


def agent(*names, sequence=1, lifetime=1800, care_of=()):
    return {"kind": "mobility-agent-advertisement", "sequence": sequence, "registrationLifetimeSeconds": lifetime,
            "flags": flags(AGENT_FLAGS, *names), "careOfAddresses": list(care_of)}


def agent_hex(*names, care_of_hex="", reserved=0):
    length = 6 + len(hexed(care_of_hex)) // 2
    return f"10 {length:02x} 0001 0708 {mask(AGENT_FLAGS, *names) | reserved:04x}" + care_of_hex


def advertisement(*extensions, code=0, routers=()):
    return {"type": "router-advertisement", "code": code, "lifetimeSeconds": 9, "routers": list(routers), "extensions": list(extensions)}


def discovery():
    router = [{"address": HA, "preference": -0x80000000}]
    one = f"{HA_HEX}80000000"
    found = [vector("solicitation", "RFC 1256 3", icmp("0a00000000000000"), {"type": "router-solicitation"}),
             vector("solicitation, octets after it", "RFC 1256 5.2", icmp("0a000000000000000102"), {"type": "router-solicitation"}, False),
             vector("router advertisement alone", "RFC 1256 3", icmp("09000000 01 02 0009" + one), advertisement(routers=router)),
             vector("preference above 0", "RFC 1256 3", icmp("09000000 01 02 0009" + HA_HEX + "00000007"),
                    advertisement(routers=[{"address": HA, "preference": 7}])),
             vector("entries of three words", "RFC 1256 5.2", icmp("09000000 01 03 0009" + one + "01020304"),
                    advertisement(routers=router), False),
             vector("another ICMP message", "RFC 792", icmp("080000000001"), {"type": "unknown", "icmpType": 8, "code": 0, "body": "0x0001"})]
    found += [vector(f"agent, {name}", "RFC 5944 2.1.1", icmp("09000000 00 02 0009" + agent_hex(name)), advertisement(agent(name)))
              for name in AGENT_FLAGS]
    found += [
        vector("agent of no common traffic, two care-of addresses", "RFC 5944 2.1",
               icmp("09100000 00 02 0009" + agent_hex("foreignAgent", care_of_hex=COA_HEX + HA_HEX)),
               advertisement(agent("foreignAgent", care_of=[COA, HA]), code=16)),
        vector("agent, reserved bits", "RFC 5944 2.1.1", icmp("09000000 00 02 0009" + agent_hex("homeAgent", reserved=0x021F)),
               advertisement(agent("homeAgent")), False),
        vector("prefix lengths, challenge, unknown", "RFC 5944 2.1.2, RFC 4721 2",
               icmp("09000000 01 02 0009" + one + agent_hex("homeAgent") + "13 01 18 18 04 01020304 c8 01 ff"),
               advertisement(agent("homeAgent"), {"kind": "prefix-lengths", "prefixLengths": [24]},
                             {"kind": "challenge", "challenge": "0x01020304"},
                             {"kind": "unknown", "extensionType": 200, "data": "0xff"}, routers=router)),
        vector("padding", "RFC 5944 2.1.3", icmp("09000000 01 02 0009" + one + agent_hex("homeAgent") + "13 01 18 00"),
               advertisement(agent("homeAgent"), {"kind": "prefix-lengths", "prefixLengths": [24]}, routers=router), False),
        bad("code 1", "RFC 5944 2.1", "09010000 00 02 0009", "malformed", "code", 1),
        bad("solicitation, code 16", "RFC 1256 3", "0a100000 00000000", "malformed", "code", 1),
        bad("solicitation cut short", "RFC 1256 5.2", "0a000000 000000", "truncated", "reserved", 4),
        bad("entries of one word", "RFC 1256 5.2", "09000000 01 01 0009 cb007101", "malformed", "addr-entry-size", 5),
        bad("fewer routers than stated", "RFC 1256 5.2", "09000000 02 02 0009" + one, "truncated", "address", 16),
        bad("unknown extension, not skippable", "RFC 5944 1.8", "09000000 00 02 0009 7f 00", "malformed", "extension-type", 8),
        bad("extension of registration", "RFC 5944 1.8", "09000000 00 02 0009 20 05 0000010000", "malformed", "extension-type", 8),
        bad("half a care-of address", "RFC 5944 2.1.1", "09000000 00 02 0009 10 08 0001 0708 1000 c633",
            "malformed", "mobility-agent-advertisement", 9),
        bad("one prefix length too many", "RFC 5944 2.1.2", "09000000 01 02 0009" + one + "13 02 18 18", "malformed", "prefix-lengths", 17),
        bad("prefix length 33", "RFC 5944 2.1.2", "09000000 01 02 0009" + one + "13 01 21", "malformed", "prefixLengths", 18),
        bad("challenge of nothing", "RFC 4721 2", "09000000 00 02 0009 18 00", "malformed", "challenge", 10),
    ]
    return found


def write(name, vectors):
    lines = ",\n".join("  " + json.dumps(one) for one in vectors)
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as file:
        file.write(f"[\n{lines}\n]\n")


write("mip4-control.json", messages())
write("mip4-discovery.json", discovery())
