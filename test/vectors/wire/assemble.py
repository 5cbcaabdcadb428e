#!/usr/bin/python3
"""Writes the vectors in this directory: octets put together by hand from the figures of the documents named beside them.

Independent of the TypeScript codecs on purpose: nothing here aligns or pads, every octet of an option area is written out. Only
length octets and checksums are computed. Vectors T-nn are those of the requirement matrix (A.12), made with hmac/hashlib and read by
tshark and scapy. Octet strings inside values are written 0x….  Run it after a change: python3 assemble.py
"""
import ipaddress
import json
import os

HOA, HA, COA6, CN6 = "2001:db8:1::10", "2001:db8:1::1", "2001:db8:2::20", "2001:db8:9::9"
HOA_HEX = "20010db8000100000000000000000010"
HA_HEX = "20010db8000100000000000000000001"
COA6_HEX = "20010db8000200000000000000000020"
MNP_HEX = "20010db8000500000000000000000000"
HERE = os.path.dirname(os.path.abspath(__file__))


def octets(text):
    return bytes.fromhex(text.replace(" ", ""))


def packed(address):
    return ipaddress.ip_address(address).packed


def ones_sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def upper_checksum(packet, protocol, source, destination):
    pseudo = packed(source) + packed(destination)
    if len(pseudo) == 32:
        pseudo += len(packet).to_bytes(4, "big") + bytes([0, 0, 0, protocol])
    else:
        pseudo += bytes([0, protocol]) + len(packet).to_bytes(2, "big")
    return ~ones_sum(pseudo + packet) & 0xFFFF


def mh(mh_type, fixed, options="", source=HOA, destination=HA):
    """A Mobility Header: `fixed` from octet 6 on, then the option area as it is."""
    body = octets(fixed) + octets(options)
    assert (6 + len(body)) % 8 == 0, (mh_type, fixed, options)
    raw = bytearray([59, (6 + len(body)) // 8 - 1, mh_type, 0, 0, 0]) + body
    raw[4:6] = upper_checksum(bytes(raw), 135, source, destination).to_bytes(2, "big")
    return raw.hex()


def vector(name, source, hexa, value, canonical=True, **more):
    return {"name": name, "source": source, "hex": hexa, "value": value, "canonical": canonical, **more}


def bad(name, source, hexa, reason, field, offset, **more):
    return {"name": name, "source": source, "hex": hexa.replace(" ", ""),
            "error": {"reason": reason, "field": field, "offset": offset}, **more}


ADDRESSES = {"addresses": {"source": HOA, "destination": HA}}

BU_FLAGS = {
    "acknowledge": 0x8000, "homeRegistration": 0x4000, "linkLocalCompatibility": 0x2000, "keyManagementMobility": 0x1000,
    "mapRegistration": 0x0800, "mobileRouter": 0x0400, "proxyRegistration": 0x0200, "forceUdp": 0x0100, "tlv": 0x0080,
    "bulk": 0x0040, "multicastSignalling": 0x0020, "distributedMobility": 0x0010,
}
BA_FLAGS = {
    "keyManagementMobility": 0x80, "mobileRouter": 0x40, "proxyRegistration": 0x20, "tlv": 0x10, "bulk": 0x08,
    "multicastSignalling": 0x04, "distributedMobility": 0x02,
}
BR_FLAGS = {"proxyBinding": 0x8000, "ipv4HomeAddressOnly": 0x4000, "global": 0x2000}


def flags(table, *names):
    return {name: name in names for name in table}


def bu_value(sequence=1, set_flags=("acknowledge", "homeRegistration"), units=150, options=()):
    return {"type": "binding-update", "sequence": sequence, "flags": flags(BU_FLAGS, *set_flags), "lifetimeUnits": units,
            "options": list(options)}


def ba_value(status=0, set_flags=(), sequence=1, units=150, options=()):
    return {"type": "binding-acknowledgement", "status": status, "flags": flags(BA_FLAGS, *set_flags), "sequence": sequence,
            "lifetimeUnits": units, "options": list(options)}


BU = "0001 c000 0096"
BA = "00 00 0001 0096"
PAD4 = "01020000"


def bu_option(name, source, area, option, canonical=True, **more):
    """A binding update whose option area is `area`, read as exactly these options."""
    options = option if isinstance(option, list) else [option]
    return vector(name, source, mh(5, BU, area), bu_value(options=options), canonical, **{**ADDRESSES, **more})


def ba_option(name, source, area, option, canonical=True, **more):
    options = option if isinstance(option, list) else [option]
    return vector(name, source, mh(6, BA, area), ba_value(options=options), canonical, **{**ADDRESSES, **more})


def hoa4(prefix=32, mnp=False, address="192.0.2.10"):
    return {"kind": "ipv4-home-address", "prefixLength": prefix, "mobileNetworkPrefix": mnp, "address": address}


def ack4(status=0, prefix=32, address="192.0.2.10"):
    return {"kind": "ipv4-address-acknowledgement", "status": status, "prefixLength": prefix, "address": address}


def coa4(address="10.0.0.5"):
    return {"kind": "ipv4-care-of-address", "address": address}


def nat(force=False, seconds=110):
    return {"kind": "nat-detection", "forceUdp": force, "refreshSeconds": seconds}


BINDING_STATUSES = [0, 1, 4, 5, *range(128, 152), *range(164, 170), 174]
IPV4_STATUSES = [0, *range(128, 134)]
REVOCATION_STATUSES = [0, 1, *range(128, 136)]
REVOCATION_TRIGGERS = [0, 1, 5, 6, 7, 128, 129]


def matrix_vectors():
    t12 = "3b0305006d1c000180000069040400070008050c233b3b2fa9b20a2d8d4acd85"
    return [
        vector("T-01", "requirement matrix A.12", "3b030500191a0001c00000961d068000c000020a200600000a00000501020000",
               bu_value(options=[hoa4(), coa4()]), **ADDRESSES),
        vector("T-02", "requirement matrix A.12", "3b03060061320000000100961e060080c000020a1f0600000000006e01020000",
               ba_value(options=[ack4(), nat()]), addresses={"source": HA, "destination": HOA}),
        vector("T-03", "requirement matrix A.12", "3b03060061a00000000100961e060080c000020a1f060000ffffffff01020000",
               ba_value(options=[ack4(), nat(seconds=0xFFFFFFFF)]), addresses={"source": HA, "destination": HOA}),
        vector("T-12", "requirement matrix A.12", t12,
               bu_value(set_flags=("acknowledge",), units=105, options=[
                   {"kind": "nonce-indices", "homeNonceIndex": 7, "careOfNonceIndex": 8},
                   {"kind": "binding-authorization-data", "authenticator": "0x233b3b2fa9b20a2d8d4acd85"}]),
               addresses={"source": HOA, "destination": CN6}),
        vector("T-15", "requirement matrix A.12", "3b03050000000001c00000960009110100000100e9885693a152cf401d6ed6ea",
               bu_value(options=[{"kind": "authentication", "subtype": 1, "spi": 256,
                                  "authenticator": "0xe9885693a152cf401d6ed6ea"}])),
    ]


def message_vectors():
    found = [
        vector("BRR", "RFC 6275 §6.1.2", mh(0, "0000"), {"type": "binding-refresh-request", "options": []}, **ADDRESSES),
        vector("HoTI", "RFC 6275 §6.1.3", mh(1, "0000 a0a1a2a3a4a5a6a7"),
               {"type": "home-test-init", "cookie": "0xa0a1a2a3a4a5a6a7", "options": []}, **ADDRESSES),
        vector("CoTI", "RFC 6275 §6.1.4", mh(2, "0000 b0b1b2b3b4b5b6b7"),
               {"type": "care-of-test-init", "cookie": "0xb0b1b2b3b4b5b6b7", "options": []}, **ADDRESSES),
        vector("HoT", "RFC 6275 §6.1.5, token of T-04", mh(3, "0007 a0a1a2a3a4a5a6a7 98a67513cec18470"),
               {"type": "home-test", "nonceIndex": 7, "cookie": "0xa0a1a2a3a4a5a6a7", "keygenToken": "0x98a67513cec18470",
                "options": []}, **ADDRESSES),
        vector("CoT", "RFC 6275 §6.1.6, token of T-05", mh(4, "0008 b0b1b2b3b4b5b6b7 09f68fc604da22ed"),
               {"type": "care-of-test", "nonceIndex": 8, "cookie": "0xb0b1b2b3b4b5b6b7", "keygenToken": "0x09f68fc604da22ed",
                "options": []}, **ADDRESSES),
        vector("BU, no flag, lifetime 0, sequence 65535", "RFC 6275 §6.1.7", mh(5, "ffff 0000 0000", PAD4),
               bu_value(65535, (), 0), **ADDRESSES),
        vector("BU, all flags, longest lifetime", "RFC 6275 §6.1.7 and the flag registry", mh(5, "0000 fff0 ffff", PAD4),
               bu_value(0, tuple(BU_FLAGS), 65535), **ADDRESSES),
        vector("BU, only reserved flags", "RFC 6275 §6.1.7", mh(5, "0001 000f 0096", PAD4), bu_value(1, ()), False, **ADDRESSES),
        vector("BU, reserved octet set", "RFC 6275 §6.1.1", "3b0105ff00000001c000009601020000", bu_value(), False),
        vector("BA, all flags", "RFC 6275 §6.1.8 and the flag registry", mh(6, "00 fe 0001 0096", PAD4),
               ba_value(0, tuple(BA_FLAGS)), **ADDRESSES),
        vector("BA, only the reserved flag", "RFC 6275 §6.1.8", mh(6, "00 01 0001 0096", PAD4), ba_value(), False, **ADDRESSES),
        vector("BE 1", "RFC 6275 §6.1.9", mh(7, "01 00" + HOA_HEX),
               {"type": "binding-error", "status": 1, "homeAddress": HOA, "options": []}, **ADDRESSES),
        vector("BE 2", "RFC 6275 §6.1.9", mh(7, "02 00" + "00" * 16),
               {"type": "binding-error", "status": 2, "homeAddress": "::", "options": []}, **ADDRESSES),
        vector("BE, reserved octet set", "RFC 6275 §6.1.9", mh(7, "01 ff" + HOA_HEX),
               {"type": "binding-error", "status": 1, "homeAddress": HOA, "options": []}, False, **ADDRESSES),
        vector("HAS, no address", "RFC 5142", mh(12, "00 00"),
               {"type": "home-agent-switch", "addresses": [], "options": []}, **ADDRESSES),
        vector("HAS, two addresses", "RFC 5142", mh(12, "02 00" + HA_HEX + COA6_HEX),
               {"type": "home-agent-switch", "addresses": [HA, COA6], "options": []}, **ADDRESSES),
        vector("unknown MH type", "RFC 6275 §9.2", mh(99, "0102030405060708090a"),
               {"type": "unknown", "mhType": 99, "body": "0x0102030405060708090a"}, **ADDRESSES),
        vector("unknown MH type with a payload protocol", "RFC 6275 §9.2", "3a006300000001 02".replace(" ", ""),
               {"type": "unknown", "mhType": 99, "body": "0x0102"}, False),
        vector("octets after the header", "RFC 8200 §4.7", mh(0, "0000") + "deadbeef",
               {"type": "binding-refresh-request", "options": []}, False, **ADDRESSES),
    ]
    for name, mask in BU_FLAGS.items():
        found.append(vector(f"BU, only {name}", "flag registry, A.3", mh(5, f"0001 {mask:04x} 0096", PAD4),
                            bu_value(1, (name,)), **ADDRESSES))
    for name, mask in BA_FLAGS.items():
        found.append(vector(f"BA, only {name}", "flag registry, A.3", mh(6, f"00 {mask:02x} 0001 0096", PAD4),
                            ba_value(0, (name,)), **ADDRESSES))
    for status in BINDING_STATUSES:
        found.append(vector(f"BA, status {status}", "A.6", mh(6, f"{status:02x} 00 0001 0096", PAD4), ba_value(status), **ADDRESSES))
    return found


def revocation_vectors():
    def bri(trigger, set_flags=(), mask=0, more=0, canonical=True, name=None):
        return vector(name or f"BRI, trigger {trigger}", "RFC 5846 §5.1", mh(16, f"01 {trigger:02x} 0001 {mask | more:04x}", PAD4),
                      {"type": "binding-revocation-indication", "trigger": trigger, "sequence": 1,
                       "flags": flags(BR_FLAGS, *set_flags), "options": []}, canonical, **ADDRESSES)

    def bra(status, set_flags=(), mask=0, name=None):
        return vector(name or f"BRA, status {status}", "RFC 5846 §5.2", mh(16, f"02 {status:02x} 0001 {mask:04x}", PAD4),
                      {"type": "binding-revocation-acknowledgement", "status": status, "sequence": 1,
                       "flags": flags(BR_FLAGS, *set_flags), "options": []}, True, **ADDRESSES)

    found = [bri(trigger) for trigger in REVOCATION_TRIGGERS] + [bra(status) for status in REVOCATION_STATUSES]
    for name, mask in BR_FLAGS.items():
        found.append(bri(1, (name,), mask, name=f"BRI, only {name}"))
        found.append(bra(0, (name,), mask, name=f"BRA, only {name}"))
    found.append(bri(1, tuple(BR_FLAGS), 0xE000, name="BRI, all flags"))
    found.append(bri(1, (), 0, 0x1FFF, False, "BRI, only reserved flags"))
    return found


def base_option_vectors():
    alt = {"kind": "alternate-care-of-address", "address": COA6}
    bad12 = {"kind": "binding-authorization-data", "authenticator": "0x000102030405060708090a0b"}
    return [
        ba_option("option 2", "RFC 6275 §6.2.4", "02020019", {"kind": "binding-refresh-advice", "intervalUnits": 25}),
        bu_option("option 3", "RFC 6275 §6.2.5, 8n+6: PadN of 2 before it", "0100 0310" + COA6_HEX, alt),
        bu_option("option 4", "RFC 6275 §6.2.6", "040400070008" + "010400000000",
                  {"kind": "nonce-indices", "homeNonceIndex": 7, "careOfNonceIndex": 8}),
        bu_option("option 5", "RFC 6275 §6.2.7, 8n+2: PadN of 6 before it, nothing after it",
                  "010400000000" + "050c000102030405060708090a0b", bad12),
        bu_option("options 4 and 5", "RFC 6275 §6.2.7", "040400070008" + "050c000102030405060708090a0b",
                  [{"kind": "nonce-indices", "homeNonceIndex": 7, "careOfNonceIndex": 8}, bad12]),
        bu_option("option 3 and 4", "RFC 6275 §6.2", "0100 0310" + COA6_HEX + "0404000100020100",
                  [alt, {"kind": "nonce-indices", "homeNonceIndex": 1, "careOfNonceIndex": 2}]),
        bu_option("padding only, four Pad1", "RFC 6275 §6.2.2", "00000000", [], False),
        bu_option("PadN with octets that are not zero", "RFC 6275 §6.2.3", "0102beef", [], False),
        bu_option("PadN of two octets twice", "RFC 6275 §6.2.3", "01000100", [], False),
        bu_option("an option without its alignment", "RFC 6275 §6.2.1", "00 1d068000c000020a 010100",
                  hoa4(), False),
        bu_option("unknown option", "RFC 6275 §6.2.1", "c803aabbcc" + "01050000000000",
                  {"kind": "unknown", "optionType": 200, "data": "0xaabbcc"}),
        bu_option("unknown option without data, and option 29", "RFC 6275 §6.2.1", "c8000100" + "1d068000c000020a",
                  [{"kind": "unknown", "optionType": 200, "data": "0x"}, hoa4()]),
        bu_option("three unknown options of one type", "RFC 6275 §6.2.1", "c80101 c80102 c80403040506",
                  [{"kind": "unknown", "optionType": 200, "data": "0x01"}, {"kind": "unknown", "optionType": 200, "data": "0x02"},
                   {"kind": "unknown", "optionType": 200, "data": "0x03040506"}]),
    ]


def nemo_option_vectors():
    bid = {"kind": "binding-identifier", "bindingId": 513, "status": 0, "simultaneousHomeAndForeign": False}
    return [
        bu_option("option 6", "RFC 3963 §4.3, 8n+4", "06120030" + MNP_HEX,
                  {"kind": "mobile-network-prefix", "prefixLength": 48, "prefix": "2001:db8:5::"}),
        bu_option("option 6, reserved octet set", "RFC 3963 §4.3", "0612ff30" + MNP_HEX,
                  {"kind": "mobile-network-prefix", "prefixLength": 48, "prefix": "2001:db8:5::"}, False),
        bu_option("option 6 twice", "RFC 3963 §4.3", "06120030" + MNP_HEX + PAD4 + "06120040" + MNP_HEX,
                  [{"kind": "mobile-network-prefix", "prefixLength": 48, "prefix": "2001:db8:5::"},
                   {"kind": "mobile-network-prefix", "prefixLength": 64, "prefix": "2001:db8:5::"}]),
        bu_option("option 35 without an address", "RFC 5648 §4.1, 2n", "230402010000" + "010400000000", bid),
        bu_option("option 35, status", "RFC 5648 §4.1", "230402010400" + "010400000000", {**bid, "status": 4}),
        bu_option("option 35, H", "RFC 5648 §4.1", "230402010080" + "010400000000", {**bid, "simultaneousHomeAndForeign": True}),
        bu_option("option 35, reserved bits set", "RFC 5648 §4.1", "23040201007f" + "010400000000", bid, False),
        bu_option("option 35 with an IPv4 address", "RFC 5648 §4.1, 8n+2", "010400000000" + "23080201 0000 0a000005" + "01020000",
                  {**bid, "careOfAddress": "10.0.0.5"}),
        bu_option("option 35 with an IPv6 address", "RFC 5648 §4.1, 8n+2", "010400000000" + "23140201 0000" + COA6_HEX,
                  {**bid, "careOfAddress": COA6}),
    ]


def dsmip_option_vectors():
    found = [
        bu_option("option 29, dynamic address", "RFC 5555 §2.5, §3.1.1", "1d06800000000000" + PAD4, hoa4(address="0.0.0.0")),
        bu_option("option 29, only P", "RFC 5555 §3.1.1", "1d060200c000020a" + PAD4, hoa4(0, True)),
        bu_option("option 29, prefix /24 wanted", "RFC 5555 §3.1.1", "1d06620000000000" + PAD4, hoa4(24, True, "0.0.0.0")),
        bu_option("option 29, greatest Prefix-len", "RFC 5555 §3.1.1", "1d06fc00c000020a" + PAD4, hoa4(63)),
        bu_option("option 29, reserved bits set", "RFC 5555 §3.1.1", "1d0681ffc000020a" + PAD4, hoa4(), False),
        bu_option("option 29 twice, an address and a prefix", "RFC 5555 §3.1.1", "1d068000c000020a1d06620000000000" + PAD4,
                  [hoa4(), hoa4(24, True, "0.0.0.0")]),
        bu_option("option 32", "RFC 5555 §3.1.2", "200600000a000005" + PAD4, coa4()),
        bu_option("option 32, reserved bits set", "RFC 5555 §3.1.2", "2006ffff0a000005" + PAD4, coa4(), False),
        ba_option("option 30, reserved bits set", "RFC 5555 §3.2.1", "1e060083c000020a" + PAD4, ack4(), False),
        ba_option("option 30, greatest Pref-len", "RFC 5555 §3.2.1", "1e0600fcc000020a" + PAD4, ack4(0, 63)),
        ba_option("option 31, only F", "RFC 5555 §3.2.2", "1f06800000000000" + PAD4, nat(True, 0)),
        ba_option("option 31, F and no refresh", "RFC 5555 §3.2.2", "1f068000ffffffff" + PAD4, nat(True, 0xFFFFFFFF)),
        ba_option("option 31, reserved bits set", "RFC 5555 §3.2.2", "1f067fff0000006e" + PAD4, nat(), False),
    ]
    for status in IPV4_STATUSES:
        length = 32 if status == 0 else 0
        found.append(ba_option(f"option 30, status {status}", "RFC 5555 §3.2.1", f"1e06{status:02x}{length << 2:02x}c000020a" + PAD4,
                               ack4(status, length)))
    return found


def auth_option_vectors():
    name = "mn@example.net".encode().hex()
    dns = "mn.example.net".encode().hex()
    return [
        bu_option("option 8", "RFC 4283 §3", f"080f01{name}" + "010100", {"kind": "mobile-node-identifier", "subtype": 1,
                                                                     "identifier": "0x" + name}),
        bu_option("option 8, no text", "RFC 4283 §3", "080101" + "00", {"kind": "mobile-node-identifier", "subtype": 1, "identifier": "0x"}),
        bu_option("option 9, subtype 2, no data", "RFC 4285 §5", "00 0905 02 00000003" + PAD4, {
            "kind": "authentication", "subtype": 2, "spi": 3, "authenticator": "0x"}),
        bu_option("option 9 twice, subtypes 1 and 2", "RFC 4285 §5", "00 0906 01 00000001 aa" + "0906 02 00000002 bb" + "010100",
                  [{"kind": "authentication", "subtype": 1, "spi": 1, "authenticator": "0xaa"},
                   {"kind": "authentication", "subtype": 2, "spi": 2, "authenticator": "0xbb"}]),
        bu_option("option 10", "RFC 4285 §6, 8n+2", "010400000000" + "0a08e000000080000000" + "01020000",
                  {"kind": "message-identification", "seconds": 0xE0000000, "fraction": 0x80000000}),
        bu_option("option 17", "RFC 5026", f"1110 00 00 {dns}" + "0100", {
            "kind": "dns-update", "status": 0, "remove": False, "identity": "0x" + dns}),
        bu_option("option 17, only R", "RFC 5026", "11020080", {
            "kind": "dns-update", "status": 0, "remove": True, "identity": "0x"}),
        bu_option("option 17, status", "RFC 5026", "11028000", {
            "kind": "dns-update", "status": 128, "remove": False, "identity": "0x"}),
        bu_option("option 17, reserved bits set", "RFC 5026", "1102007f", {
            "kind": "dns-update", "status": 0, "remove": False, "identity": "0x"}, False),
        bu_option("option 18", "RFC 5096", "1202 beef", {"kind": "experimental", "data": "0xbeef"}),
        bu_option("option 18, no data", "RFC 5096", "1200 0100", {"kind": "experimental", "data": "0x"}),
    ]


def ro_messages(ro):
    """The messages of draft-oulai-mext-dsmip-ro-00 §7, with the mode in option 18."""
    draft = "draft-oulai-mext-dsmip-ro-00 "
    mode = [{"kind": "ipv4-ro-mode", "mode": n} for n in range(5)]
    home_cookie, care_cookie, token = "a0a1a2a3a4a5a6a7", "b0b1b2b3b4b5b6b7", "98a67513cec18470"
    home, care = "1d06 8000 c000020a", "2006 0000 0a000005"
    update = [hoa4(), mode[4], {"kind": "nonce-indices", "homeNonceIndex": 1, "careOfNonceIndex": 2},
              {"kind": "nonce-indices", "homeNonceIndex": 3, "careOfNonceIndex": 2},
              {"kind": "binding-authorization-data", "authenticator": "0x" + "a1" * 12},
              {"kind": "binding-authorization-data", "authenticator": "0x" + "b2" * 12}]

    def one(name, section, hexa, value):
        return vector(name, draft + section, hexa, value, **{**ADDRESSES, **ro})

    return [
        one("RO HoTI for an IPv4 home address", "§7.1.1.1", mh(1, "0000" + home_cookie, home),
            {"type": "home-test-init", "cookie": "0x" + home_cookie, "options": [hoa4()]}),
        one("RO HoT for an IPv4 home address", "§7.1.1.1", mh(3, "0007" + home_cookie + token, home),
            {"type": "home-test", "nonceIndex": 7, "cookie": "0x" + home_cookie, "keygenToken": "0x" + token, "options": [hoa4()]}),
        one("RO CoTI, case A", "§7.1.1.2", mh(2, "0000" + care_cookie, home + "120101" + "0103000000"),
            {"type": "care-of-test-init", "cookie": "0x" + care_cookie, "options": [hoa4(), mode[1]]}),
        one("RO CoT, case A", "§7.1.1.2", mh(4, "0008" + care_cookie + token, "120101" + "0103000000"),
            {"type": "care-of-test", "nonceIndex": 8, "cookie": "0x" + care_cookie, "keygenToken": "0x" + token, "options": [mode[1]]}),
        one("RO CoTI, case B", "§7.2.1.2", mh(2, "0000" + care_cookie, care + "120103" + "0103000000"),
            {"type": "care-of-test-init", "cookie": "0x" + care_cookie, "options": [coa4(), mode[3]]}),
        one("RO CoT behind a NAT", "§7.2.1.2, §7.2.4, C-47",
            mh(4, "0008" + care_cookie + token, care + "120104" + "00" + "1f06 0000 0000006e" + "01020000"),
            {"type": "care-of-test", "nonceIndex": 8, "cookie": "0x" + care_cookie, "keygenToken": "0x" + token,
             "options": [coa4(), mode[4], nat()]}),
        one("RO BU for both home addresses", "§7.1.2, C-45",
            mh(5, "0001 8000 0096", home + "120104" + "00" + "040400010002" + "040400030002" + "010400000000"
               + "050c" + "a1" * 12 + "0100" + "050c" + "b2" * 12),
            bu_value(1, ("acknowledge",), options=update)),
        one("RO BA behind a NAT", "§7.1.2, §7.2.4, C-47", mh(6, BA, "120104" + "00" + "1f06 0000 0000006e"),
            ba_value(options=[mode[4], nat()])),
    ]


def profile_vectors():
    ro, old = {"profile": "ro"}, {"profile": "soliman2004"}
    nonces = [{"kind": "nonce-indices", "homeNonceIndex": 1, "careOfNonceIndex": 2},
              {"kind": "nonce-indices", "homeNonceIndex": 3, "careOfNonceIndex": 4}]
    both = [{"kind": "binding-authorization-data", "authenticator": "0x" + "a1" * 12},
            {"kind": "binding-authorization-data", "authenticator": "0x" + "b2" * 12}]
    mode = [bu_option(f"RO mode {n}", "draft-oulai-mext-dsmip-ro-00 §6.2, C-41", f"1201{n:02x}" + "00",
                      {"kind": "ipv4-ro-mode", "mode": n}, **ro) for n in range(5)]
    return mode + [
        bu_option("RO mode with Length 3", "C-42", "1203030000" + "01050000000000", {"kind": "ipv4-ro-mode", "mode": 3}, False, **ro),
        bu_option("RO mode that is not defined", "draft-oulai-mext-dsmip-ro-00 §6.2", "120105" + "00",
                  {"kind": "unknown", "optionType": 18, "data": "0x05"}, **ro),
        bu_option("RO mode without a mode", "C-42", "1200" + "0100", {"kind": "unknown", "optionType": 18, "data": "0x"}, **ro),
        bu_option("two authenticators", "C-45, each at 8n+2",
                  "040400010002" + "040400030004" + "0100" + "050c" + "a1" * 12 + "0100" + "050c" + "b2" * 12, nonces + both, **ro),
        *ro_messages(ro),
        bu_option("2004 home address", "draft-soliman-v4v6-mipv6-00 §3.1.1, C-52, 4n+2", "0100 1d04c000020a" + PAD4,
                  {"kind": "ipv4-home-address-2004", "address": "192.0.2.10"}, **old),
        bu_option("2004 home address, Length 1", "C-52", "0100 1d01c000020a" + PAD4,
                  {"kind": "ipv4-home-address-2004", "address": "192.0.2.10"}, False, **old),
        bu_option("RFC 5555 home address in the 2004 profile", "C-53", "1d068000c000020a" + PAD4, hoa4(), **old),
        *[ba_option(f"2004 acknowledgement, status {status}", "draft-soliman-v4v6-mipv6-00 §3.2.1, C-52",
                    f"1e06{status:02x}00c000020a" + PAD4,
                    {"kind": "ipv4-address-acknowledgement-2004", "status": status, "address": "192.0.2.10"}, **old)
          for status in [0, 128, 129, 130, 131, 132]],
        ba_option("2004 acknowledgement, Length 1", "C-52", "1e010000c000020a" + PAD4,
                  {"kind": "ipv4-address-acknowledgement-2004", "status": 0, "address": "192.0.2.10"}, False, **old),
        ba_option("2004 acknowledgement, reserved octet set", "C-52", "1e0600ffc000020a" + PAD4,
                  {"kind": "ipv4-address-acknowledgement-2004", "status": 0, "address": "192.0.2.10"}, False, **old),
    ]


def malformed_vectors():
    start = "3b{:02x}0500 0000 0001 c000 0096"

    def area(name, source, options, reason, field, offset, **more):
        body = octets(options)
        assert (12 + len(body)) % 8 == 0, name
        return bad(name, source, start.format((12 + len(body)) // 8 - 1) + body.hex(), reason, field, offset, **more)

    home, auth = "ipv4-home-address", "binding-authorization-data"
    found = [
        bad("nothing", "RFC 6275 §6.1.1", "", "truncated", "payload-proto", 0),
        bad("one octet", "RFC 6275 §6.1.1", "3b", "truncated", "header-length", 1),
        bad("two octets", "RFC 6275 §6.1.1", "3b00", "truncated", "mh-type", 2),
        bad("fewer octets than stated", "RFC 6275 §6.1.1", start.format(3), "truncated", "mobility-header", 12),
        bad("unknown type, fewer octets than stated", "RFC 6275 §6.1.1", "3b016300 00000000", "truncated", "mobility-header", 8),
        bad("payload protocol 58", "RFC 6275 §9.2", "3a010500 0000 0001 c000 0096 01020000", "payload-proto", "payload-proto", 0),
        bad("BRI of type 3", "RFC 5846 §5", "3b011000 0000 0300 0001 0000 01020000", "malformed", "subtype", 6),
        area("option Length past the end", "RFC 6275 §6.2.1", "1d068000", "truncated", home, 14),
        area("PadN past the end", "RFC 6275 §6.2.3", "01ff0000", "truncated", "PadN", 14),
        area("option type without Length", "RFC 6275 §6.2.1", "0101001d", "truncated", "option-length", 16),
        area("an option after the authorization data", "RFC 6275 §6.2.7", "010400000000 050c" + "00" * 12 + "020200010102 0000",
             "malformed", "binding-refresh-advice", 32),
        area("padding after the authorization data", "RFC 6275 §6.2.7", "050c" + "00" * 12 + "010400000000", "malformed", auth, 26),
        area("two authorization data options", "RFC 6275 §6.2.7", "010400000000 050c" + "00" * 12 + "0100 050c" + "00" * 12,
             "malformed", auth, 34),
        area("an option after the authentication option", "RFC 4285 §5", "00 0906 01 00000001 aa 00 00 00 1d068000c000020a",
             "malformed", home, 24),
        area("2004 home address without the profile", "C-53", "0100 1d04c000020a 01020000", "malformed", home, 15),
        area("2004 home address of Length 5 in its profile", "C-53", "1d058000c00002 0000000000", "malformed", home, 13,
             profile="soliman2004"),
        area("2004 home address of Length 1 at the end", "C-52", "00001d01", "truncated", "ipv4-home-address-2004", 16,
             profile="soliman2004"),
        area("binding identifier with an address of 5 octets", "RFC 5648 §4.1", "2309000100000a00000501 00", "malformed",
             "binding-identifier", 13),
    ]
    minimum = {1: 1, 2: 1, 3: 2, 4: 2, 5: 1, 6: 1, 7: 2, 16: 1}
    for mh_type, least in minimum.items():
        found.append(bad(f"MH type {mh_type}, Header Len {least - 1}", "RFC 6275 §9.2, A.2", f"3b{least - 1:02x}{mh_type:02x}00" + "00" * (8 * least - 4),
                         "header-length", "header-length", 1))
    found.append(bad("HAS, fewer addresses than counted", "RFC 5142", "3b020c00 0000 0200" + HA_HEX, "header-length", "header-length", 1))
    lengths = {2: 2, 3: 16, 4: 4, 5: 12, 6: 18, 10: 8, 29: 6, 30: 6, 31: 6, 32: 6}
    kinds = {2: "binding-refresh-advice", 3: "alternate-care-of-address", 4: "nonce-indices", 5: auth, 6: "mobile-network-prefix",
             10: "message-identification", 29: home, 30: "ipv4-address-acknowledgement", 31: "nat-detection",
             32: "ipv4-care-of-address"}
    for option, right in lengths.items():
        for wrong in (0, right - 1, right + 1):
            text = f"{option:02x}{wrong:02x}" + "00" * wrong
            text += "00" * ((4 - len(text) // 2) % 8)
            found.append(area(f"option {option} with Length {wrong}", "RFC 6275 §6.2.1", text, "malformed", kinds[option], 13))
    for option, kind, least in ((8, "mobile-node-identifier", 1), (9, "authentication", 5), (17, "dns-update", 2), (35, "binding-identifier", 4)):
        text = f"{option:02x}{least - 1:02x}" + "00" * (least - 1)
        text += "00" * ((4 - len(text) // 2) % 8)
        found.append(area(f"option {option} with Length {least - 1}", "RFC 6275 §6.2.1", text, "malformed", kind, 13))
    return found


def destination_option_vectors():
    hao = {"kind": "home-address", "address": HOA}
    limit = {"kind": "unknown", "optionType": 4, "data": "0x04"}
    source = "RFC 6275 §6.3"

    def value(next_header, *options):
        return {"nextHeader": next_header, "options": list(options)}

    def wrong(name, address):
        return bad(f"home address {name}", "RFC 6275 §9.3.1", "8702 01020000 c910" + packed(address).hex(), "malformed", "home-address", 8)

    return [
        vector("home address before ESP", source + ", A.5", "32020102 0000c910".replace(" ", "") + HOA_HEX, value(50, hao)),
        vector("home address before a Mobility Header", source, "870201020000c910" + HOA_HEX, value(135, hao)),
        vector("tunnel encapsulation limit alone", "RFC 2473 §4.1.1", "2900040104010100", value(41, limit)),
        vector("an unknown option in front", source, "870204010400c910" + HOA_HEX, value(135, limit, hao)),
        vector("home address not at 8n+6", source, "8702c910" + HOA_HEX + "01020000", value(135, hao), False),
        vector("no option", "RFC 8200 §4.6", "3b00010400000000", value(59)),
        vector("Pad1 only", "RFC 8200 §4.2", "3b00000000000000", value(59), False),
        vector("PadN only", "RFC 8200 §4.2", "3b0001040a0b0c0d", value(59), False),
        bad("two home addresses", source, "870501020000c910" + HOA_HEX + "010400000000c910" + HOA_HEX, "malformed", "home-address", 30),
        bad("home address of 15 octets", source, "870201020000c90f" + HOA_HEX, "malformed", "home-address", 7),
        bad("fewer octets than stated", "RFC 8200 §4.6", "870201020000c910" + HOA_HEX[:16], "truncated", "options", 2),
        bad("option past the end", "RFC 8200 §4.2", "3b000102000004ff", "truncated", "option-data", 8),
        bad("option without Length", "RFC 8200 §4.2", "3b00010300000004", "truncated", "option-length", 8),
        bad("nothing", "RFC 8200 §4.6", "", "truncated", "next-header", 0),
        wrong("::", "::"),
        wrong("link-local", "fe80::1"),
        wrong("multicast", "ff02::1"),
        wrong("loopback", "::1"),
        wrong("IPv4-mapped", "::ffff:192.0.2.10"),
        vector("IPv4-mapped home address in its profile", "C-56", "870201020000c910" + packed("::ffff:192.0.2.10").hex(),
               value(135, {"kind": "home-address", "address": "::ffff:c000:20a"}), profile="ro"),
        bad("link-local home address in the RO profile", "RFC 6275 §6.3", "870201020000c910" + packed("fe80::1").hex(),
            "malformed", "home-address", 8, profile="ro"),
    ]


def routing_header_vectors():
    value = {"nextHeader": 50, "homeAddress": HOA}
    source = "RFC 6275 §6.4, A.5"
    return [
        vector("before ESP", source, "3202020100000000" + HOA_HEX, value),
        vector("before a Mobility Header", source, "8702020100000000" + HOA_HEX, {**value, "nextHeader": 135}),
        vector("reserved octets set", source, "32020201ffffffff" + HOA_HEX, value, False),
        bad("Hdr Ext Len 4", source, "3204020100000000" + HOA_HEX, "malformed", "extLength", 1),
        bad("type 0", source, "3202000100000000" + HOA_HEX, "malformed", "routingType", 2),
        bad("Segments Left 0", source, "3202020000000000" + HOA_HEX, "malformed", "segmentsLeft", 3),
        bad("Segments Left 2", source, "3202020200000000" + HOA_HEX, "malformed", "segmentsLeft", 3),
        bad("cut short", source, "3202020100000000" + HOA_HEX[:-2], "truncated", "homeAddress", 8),
    ]


def icmp(text, source, destination):
    raw = bytearray(octets(text))
    raw[2:4] = upper_checksum(bytes(raw), 58, source, destination).to_bytes(2, "big")
    return raw.hex()


def icmpv6_vectors():
    pair = {"source": "fe80::1", "destination": "ff02::1"}
    mac = "02005e100001"
    slla = {"kind": "source-link-layer-address", "address": "0x" + mac}
    prefix = "2001:db8:1::"

    def one(name, source, text, value, canonical=True):
        return vector(name, source, icmp(text, **pair), value, canonical, addresses=pair)

    def ra(name, source, text, options, canonical=True, set_flags=(), flag_octet="00"):
        head = "86 00 0000 40" + flag_octet + "0708 00007530 000003e8"
        return one(name, source, head + text, {
            "type": "router-advertisement", "currentHopLimit": 64,
            "flags": flags(["managedAddresses", "otherConfiguration", "homeAgent"], *set_flags), "routerLifetimeSeconds": 1800,
            "reachableTimeMs": 30000, "retransmissionTimerMs": 1000, "options": options}, canonical)

    def pio(*set_flags, prefix=prefix):
        return {"kind": "prefix-information", "prefixLength": 64, "flags": flags(["onLink", "autonomous", "routerAddress"], *set_flags),
                "validLifetimeSeconds": 86400, "preferredLifetimeSeconds": 14400, "prefix": prefix}

    def pio_hex(flag_octet, reserved="00000000", prefix=prefix):
        return f"0304 40 {flag_octet} 00015180 00003840 {reserved}" + packed(prefix).hex()

    def na(name, word, *set_flags, canonical=True):
        return one(name, "RFC 4861 §4.4", f"88 00 0000 {word}" + HOA_HEX + "0201" + mac, {
            "type": "neighbour-advertisement", "flags": flags(["router", "solicited", "override"], *set_flags), "target": HOA,
            "options": [{"kind": "target-link-layer-address", "address": "0x" + mac}]}, canonical)

    def dhaad(name, text, value, canonical=True):
        anycast = {"source": COA6, "destination": "2001:db8:1:0:fdff:ffff:ffff:fffe"}
        return vector(name, "RFC 6275 §6.5, §6.6, RFC 3963 §7", icmp(text, **anycast), value, canonical, addresses=anycast)

    def mpa(name, word, *set_flags, options="", value=(), canonical=True):
        return one(name, "RFC 6275 §6.8", f"93 00 0000 1234 {word}" + options, {
            "type": "mobile-prefix-advertisement", "identifier": 0x1234,
            "flags": flags(["managedAddresses", "otherConfiguration"], *set_flags), "options": list(value)}, canonical)

    def info(router, preference, lifetime):
        return {"kind": "home-agent-information", "flags": {"mobileRouter": router}, "preference": preference, "lifetimeSeconds": lifetime}

    request = {"type": "home-agent-address-discovery-request", "identifier": 0x1234, "flags": {"mobileRouter": False}}
    reply = {"type": "home-agent-address-discovery-reply", "identifier": 0x1234, "flags": {"mobileRouter": False}, "addresses": []}
    router = {"mobileRouter": True}
    interval = {"kind": "advertisement-interval", "milliseconds": 3000}
    quoted = "6000000000003b40" + HOA_HEX + HA_HEX
    return [
        dhaad("DHAAD request", "90 00 0000 1234 0000", request),
        dhaad("DHAAD request, only R", "90 00 0000 1234 8000", {**request, "flags": router}),
        dhaad("DHAAD request, reserved bits set", "90 00 0000 1234 7fff", request, False),
        dhaad("DHAAD reply without addresses", "91 00 0000 1234 0000", reply),
        dhaad("DHAAD reply, only R", "91 00 0000 1234 8000", {**reply, "flags": router}),
        dhaad("DHAAD reply, two addresses", "91 00 0000 1234 0000" + HA_HEX + COA6_HEX, {**reply, "addresses": [HA, COA6]}),
        one("MPS", "RFC 6275 §6.7", "92 00 0000 1234 0000", {"type": "mobile-prefix-solicitation", "identifier": 0x1234}),
        one("MPS, reserved octets set", "RFC 6275 §6.7", "92 00 0000 1234 ffff", {"type": "mobile-prefix-solicitation", "identifier": 0x1234}, False),
        mpa("MPA", "0000"),
        mpa("MPA, only M", "8000", "managedAddresses"),
        mpa("MPA, only O", "4000", "otherConfiguration"),
        mpa("MPA, reserved bits set", "3fff", canonical=False),
        mpa("MPA, prefix", "0000", options=pio_hex("c0"), value=[pio("onLink", "autonomous")]),
        one("RS", "RFC 4861 §4.1", "85 00 0000 00000000", {"type": "router-solicitation", "options": []}),
        one("RS, link-layer address", "RFC 4861 §4.1", "85 00 0000 00000000 0101" + mac, {"type": "router-solicitation", "options": [slla]}),
        ra("RA, no flag", "RFC 4861 §4.2", "", []),
        ra("RA, only M", "RFC 4861 §4.2", "", [], set_flags=["managedAddresses"], flag_octet="80"),
        ra("RA, only O", "RFC 4861 §4.2", "", [], set_flags=["otherConfiguration"], flag_octet="40"),
        ra("RA, only H", "RFC 6275 §7.1", "", [], set_flags=["homeAgent"], flag_octet="20"),
        ra("RA, reserved bits set", "RFC 6275 §7.1", "", [], False, flag_octet="1f"),
        ra("RA of a home agent", "RFC 6275 §7.1 to §7.4", "0101" + mac + pio_hex("e0", prefix=HA) + "0701 0000 00000bb8 0801 0000 000a 0708",
           [slla, pio("onLink", "autonomous", "routerAddress", prefix=HA), interval, info(False, 10, 1800)],
           set_flags=["homeAgent"], flag_octet="20"),
        ra("prefix, only L", "RFC 4861 §4.6.2", pio_hex("80"), [pio("onLink")]),
        ra("prefix, only A", "RFC 4861 §4.6.2", pio_hex("40"), [pio("autonomous")]),
        ra("prefix, only R", "RFC 6275 §7.2", pio_hex("20", prefix=HA), [pio("routerAddress", prefix=HA)]),
        ra("prefix, reserved bits set", "RFC 4861 §4.6.2", pio_hex("1f", "ffffffff"), [pio()], False),
        ra("advertisement interval, reserved set", "RFC 6275 §7.3", "0701 ffff 00000bb8", [interval], False),
        ra("home agent information, only R", "RFC 3963 §7", "0801 8000 0000 0001", [info(True, 0, 1)]),
        ra("home agent information, reserved set", "RFC 6275 §7.4", "0801 7fff 0000 0001", [info(False, 0, 1)], False),
        ra("MTU", "RFC 4861 §4.6.4", "0501 0000 000005dc", [{"kind": "mtu", "mtu": 1500}]),
        ra("unknown ND option", "RFC 4861 §4.6", "fd02" + "0102030405060708090a0b0c0d0e",
           [{"kind": "unknown", "optionType": 253, "data": "0x0102030405060708090a0b0c0d0e"}]),
        one("NS of duplicate address detection", "RFC 4861 §4.3, RFC 4862 §5.4.2", "87 00 0000 00000000" + HOA_HEX,
            {"type": "neighbour-solicitation", "target": HOA, "options": []}),
        one("NS, link-layer address", "RFC 4861 §4.3", "87 00 0000 00000000" + HOA_HEX + "0101" + mac,
            {"type": "neighbour-solicitation", "target": HOA, "options": [slla]}),
        one("NS, reserved octets set", "RFC 4861 §4.3", "87 00 0000 ffffffff" + HOA_HEX,
            {"type": "neighbour-solicitation", "target": HOA, "options": []}, False),
        na("NA, no flag", "00000000"),
        na("NA, only R", "80000000", "router"),
        na("NA, only S", "40000000", "solicited"),
        na("NA, only O", "20000000", "override"),
        na("NA, reserved bits set", "1fffffff", canonical=False),
        one("parameter problem at Header Len", "RFC 4443 §3.4, RFC 6275 §9.2", "04 00 0000 00000029" + quoted,
            {"type": "parameter-problem", "code": 0, "pointer": 41, "packet": "0x" + quoted}),
        one("parameter problem, unknown next header", "RFC 4443 §3.4, RFC 6275 §11.3.5", "04 01 0000 00000006" + quoted,
            {"type": "parameter-problem", "code": 1, "pointer": 6, "packet": "0x" + quoted}),
        one("packet too big", "RFC 4443 §3.2", "02 00 0000 00000500" + quoted,
            {"type": "packet-too-big", "code": 0, "mtu": 1280, "packet": "0x" + quoted}),
        one("destination unreachable", "RFC 4443 §3.1", "01 03 0000 00000000" + quoted,
            {"type": "destination-unreachable", "code": 3, "packet": "0x" + quoted}),
        one("time exceeded", "RFC 4443 §3.3", "03 00 0000 00000000" + quoted,
            {"type": "time-exceeded", "code": 0, "packet": "0x" + quoted}),
        one("unknown type", "RFC 4443 §2.1", "80 00 0000 12340001", {"type": "unknown", "icmpType": 128, "code": 0, "body": "0x12340001"}),
        bad("nothing", "RFC 4443 §2.1", "", "truncated", "icmp-type", 0),
        bad("cut in the checksum", "RFC 4443 §2.1", "870000", "truncated", "checksum", 2),
        bad("NS with code 1", "RFC 4861 §7.1.1", "87010000 00000000" + HOA_HEX, "malformed", "code", 1),
        bad("DHAAD request, too long", "RFC 6275 §6.5", "90000000 12340000 00", "malformed", "home-agent-address-discovery-request", 8),
        bad("DHAAD reply, half an address", "RFC 6275 §6.6", "91000000 12340000" + HA_HEX[:16], "truncated", "addresses", 8),
        bad("ND option of Length 0", "RFC 4861 §4.6", "85000000 00000000 0100" + mac, "malformed", "option-length", 9),
        bad("ND option past the end", "RFC 4861 §4.6", "85000000 00000000 0102" + mac, "truncated", "option-data", 10),
        bad("prefix of Length 3", "RFC 4861 §4.6.2", "85000000 00000000 0303" + "00" * 22, "malformed", "prefix-information", 9),
        bad("home agent information of Length 2", "RFC 6275 §7.4", "85000000 00000000 0802" + "00" * 14, "malformed", "home-agent-information", 9),
    ]


def ipv6_vectors():
    header = {"trafficClass": 0, "flowLabel": 0, "nextHeader": 59, "hopLimit": 64, "source": HOA, "destination": HA}
    ends = HOA_HEX + HA_HEX
    source = "RFC 8200 §3"

    def one(name, first, tail, change, payload="0x", canonical=True):
        return vector(name, source, (first + "0000" + "3b40" + ends if tail is None else first + tail).replace(" ", ""),
                      {"header": {**header, **change}, "payload": payload}, canonical)

    return [
        one("no payload", "60000000", None, {}),
        one("DSCP 46 and ECT(1)", "6b900000", None, {"trafficClass": 0xB9}),
        one("greatest flow label", "600fffff", None, {"flowLabel": 0xFFFFF}),
        one("payload", "60000000", "0004 1140" + ends + "deadbeef", {"nextHeader": 17}, "0xdeadbeef"),
        one("octets after the payload", "60000000", "0002 1140" + ends + "deadbeef", {"nextHeader": 17}, "0xdead", False),
        bad("version 4", source, "40000000 0000 3b40" + ends, "malformed", "version", 0),
        bad("cut in the header", source, "60000000 0000 3b40" + ends[:-2], "truncated", "destination", 24),
        bad("cut in the payload", source, "60000000 0004 1140" + ends + "dead", "truncated", "payload", 40),
    ]


def ipv4_vectors():
    header = {"trafficClass": 0, "identification": 0, "dontFragment": False, "moreFragments": False, "fragmentOffset": 0,
              "timeToLive": 64, "protocol": 17, "source": "198.51.100.7", "destination": "203.0.113.1", "options": "0x"}
    ends = packed("198.51.100.7") + packed("203.0.113.1")

    def raw(first, tos="00", total=20, ident="0000", fragment="0000", options="", payload=""):
        data = bytearray(octets(first + tos) + total.to_bytes(2, "big") + octets(ident + fragment + "4011 0000") + ends + octets(options))
        data[10:12] = (~ones_sum(bytes(data)) & 0xFFFF).to_bytes(2, "big")
        return data.hex() + payload

    def one(name, hexa, change=(), payload="0x", canonical=True):
        return vector(name, "RFC 791 §3.1", hexa, {"header": {**header, **dict(change)}, "payload": payload}, canonical)

    good = raw("45")
    return [
        one("no payload", good),
        one("DSCP 46 and ECT(1)", raw("45", tos="b9"), {"trafficClass": 0xB9}),
        one("only DF", raw("45", fragment="4000"), {"dontFragment": True}),
        one("only MF", raw("45", fragment="2000"), {"moreFragments": True}),
        one("greatest offset, identification", raw("45", ident="beef", fragment="1fff"), {"fragmentOffset": 8191, "identification": 0xBEEF}),
        one("reserved flag set", raw("45", fragment="8000"), canonical=False),
        one("options", raw("46", total=24, options="94040000"), {"options": "0x94040000"}),
        one("payload", raw("45", total=24, payload="deadbeef"), payload="0xdeadbeef"),
        one("octets after the payload", raw("45", total=22, payload="deadbeef"), payload="0xdead", canonical=False),
        bad("version 6", "RFC 791 §3.1", raw("65"), "malformed", "version", 0),
        bad("header of 16 octets", "RFC 791 §3.1", raw("44"), "malformed", "header-length", 0),
        bad("total length of 19", "RFC 791 §3.1", raw("45", total=19), "malformed", "total-length", 2),
        bad("wrong checksum", "RFC 791 §3.1", good[:20] + "0000" + good[24:], "checksum", "checksum", 10),
        bad("options cut", "RFC 791 §3.1", raw("46", total=24), "truncated", "options", 20),
        bad("payload cut", "RFC 791 §3.1", raw("45", total=24, payload="dead"), "truncated", "payload", 20),
    ]


def udp_vectors():
    four = {"source": "198.51.100.7", "destination": "203.0.113.1"}
    six = {"source": HOA, "destination": HA}

    def raw(pair, payload, total=None):
        data = bytearray(octets("9c40 105f") + (8 + len(payload) // 2 if total is None else total).to_bytes(2, "big") + b"\0\0" + octets(payload))
        if pair is not None:
            data[6:8] = (upper_checksum(bytes(data), 17, **pair) or 0xFFFF).to_bytes(2, "big")
        return data.hex()

    def one(name, pair, payload, hexa=None, canonical=True):
        more = {} if pair is None else {"addresses": pair}
        return vector(name, "RFC 768", hexa or raw(pair, payload), {"sourcePort": 40000, "destinationPort": 4191, "payload": "0x" + payload},
                      canonical, **more)

    # 40000 + 4191 + 2·10 + 17 and the addresses sum up to a word that this payload takes to ffff, a checksum of 0 that is sent as ffff.
    base = upper_checksum(octets("9c40 105f 000a 0000 0000"), 17, **four)
    turned = f"{base:04x}"
    wrong = raw(four, "deadbeef")
    return [
        one("no checksum", None, "deadbeef"),
        one("IPv4 pseudo-header", four, "deadbeef"),
        one("IPv4 pseudo-header, odd length", four, "deadbe"),
        one("IPv6 pseudo-header", six, "deadbeef"),
        one("computed zero is sent as ffff", four, turned),
        one("IPv4 without a checksum, addresses known", four, "deadbeef", raw(None, "deadbeef"), False),
        one("octets after the datagram", None, "dead", raw(None, "dead") + "beef", False),
        bad("wrong checksum", "RFC 768", wrong[:12] + "0001" + wrong[16:], "checksum", "checksum", 6, addresses=four),
        bad("IPv6 without a checksum", "RFC 8200 §8.1", raw(None, "deadbeef"), "checksum", "checksum", 6, addresses=six),
        bad("length of 7", "RFC 768", raw(None, "", 7), "malformed", "length", 4),
        bad("cut in the header", "RFC 768", "9c40105f0008", "truncated", "checksum", 6),
        bad("cut in the payload", "RFC 768", raw(None, "dead", 14), "truncated", "payload", 8),
    ]


def arp_vectors():
    mac, address = "02005e100001", "c000020a"
    value = {"operation": 1, "senderMac": "0x" + mac, "senderAddress": "192.0.2.10", "targetMac": "0x000000000000", "targetAddress": "192.0.2.10"}
    head = "0001 0800 06 04"
    gratuitous = f"{head} 0001 {mac} {address} 000000000000 {address}".replace(" ", "")
    return [
        vector("gratuitous request", "RFC 5227 §3", gratuitous, value),
        vector("reply", "RFC 826", f"{head} 0002 {mac} {address} 02005e100002 c0000201".replace(" ", ""),
               {**value, "operation": 2, "targetMac": "0x02005e100002", "targetAddress": "192.0.2.1"}),
        vector("link-layer padding", "RFC 826", gratuitous + "00" * 18, value, False),
        bad("hardware type 6", "RFC 826", "0006" + gratuitous[4:], "malformed", "hardwareType", 0),
        bad("protocol type IPv6", "RFC 826", "000186dd" + gratuitous[8:], "malformed", "protocolType", 2),
        bad("hardware length 8", "RFC 826", "0001080008" + gratuitous[10:], "malformed", "hardwareLength", 4),
        bad("protocol length 16", "RFC 826", "000108000610" + gratuitous[12:], "malformed", "protocolLength", 5),
        bad("cut short", "RFC 826", gratuitous[:-2], "truncated", "targetAddress", 24),
    ]


def mld_vectors():
    pair = {"source": "fe80::1", "destination": "ff02::16"}
    group, s1 = packed("ff3e::99").hex(), packed("2001:db8:9::9").hex()

    def one(name, source, text, value, canonical=True):
        return vector(name, source, icmp(text, **pair), value, canonical, addresses=pair)

    def records(name, text, value, canonical=True):
        return one(name, "RFC 3810 §5.2", "8f 00 0000 0000" + text, {"type": "records", "records": value}, canonical)

    def record(number, sources=()):
        return {"recordType": number, "group": "ff3e::99", "sources": list(sources)}

    every = [records(f"MLDv2 record type {number}", f"0001 0{number} 00 0000" + group, [record(number)]) for number in range(1, 7)]
    v1 = "8200 0000 2710 0000" + "00" * 16
    return every + [
        one("MLDv1 general query", "RFC 2710 §3", v1, {"type": "query", "group": "::", "responseCode": 10000}),
        one("MLDv1 report", "RFC 2710 §3", "8300 0000 0000 0000" + group, {"type": "report", "version": 1, "group": "ff3e::99"}),
        one("MLDv1 report with a delay that means nothing", "RFC 2710 §3", "8300 0000 2710 0000" + group,
            {"type": "report", "version": 1, "group": "ff3e::99"}, canonical=False),
        one("MLDv1 done", "RFC 2710 §3", "8400 0000 0000 0000" + group, {"type": "done", "group": "ff3e::99"}),
        one("MLDv2 general query", "RFC 3810 §5.1", v1 + "02 7d 0000", {
            "type": "query", "group": "::", "responseCode": 10000,
            "extended": {"suppress": False, "robustness": 2, "intervalCode": 125, "sources": []}}),
        one("MLDv2 query about a source, S set", "RFC 3810 §5.1", "8200 0000 03e8 0000" + group + "0a 7d 0001" + s1, {
            "type": "query", "group": "ff3e::99", "responseCode": 1000,
            "extended": {"suppress": True, "robustness": 2, "intervalCode": 125, "sources": ["2001:db8:9::9"]}}),
        records("MLDv2 report without records", "0000", []),
        records("MLDv2 report of two, one with a source", "0002 05 00 0001" + group + s1 + "04 00 0000" + group, [record(5, ["2001:db8:9::9"]), record(4)]),
        records("MLDv2 record with auxiliary data", "0002 04 01 0000" + group + "deadbeef" + "03 00 0000" + group, [record(4), record(3)], canonical=False),
        records("octets after the last record", "0000 ffff", [], canonical=False),
        bad("neighbour solicitation", "RFC 3810 §5", "8700 0000 0000 0000" + group, "malformed", "type", 0),
        bad("group cut short", "RFC 3810 §5.1", "8200 0000 2710 0000 ff02", "truncated", "group", 8),
        bad("more records than octets", "RFC 3810 §5.2", "8f00 0000 0000 ffff 01 00 0000" + group, "truncated", "recordType", 28),
        bad("more sources than octets", "RFC 3810 §5.2", "8f00 0000 0000 0001 01 00 0002" + group + s1, "truncated", "source", 44),
    ]


def igmp_vectors():
    group, s1 = "ef010109", "c6336402"

    def igmp(text):
        raw = bytearray(octets(text))
        raw[2:4] = (~ones_sum(bytes(raw)) & 0xFFFF).to_bytes(2, "big")
        return raw.hex()

    def one(name, source, text, value, canonical=True):
        return vector(name, source, igmp(text), value, canonical)

    def record(number, sources=()):
        return {"recordType": number, "group": "239.1.1.9", "sources": list(sources)}

    return [
        one("IGMPv2 general query", "RFC 2236 §2", "1164 0000 00000000", {"type": "query", "group": "0.0.0.0", "responseCode": 100}),
        one("IGMPv1 report", "RFC 2236 §2", "1200 0000" + group, {"type": "report", "version": 1, "group": "239.1.1.9"}),
        one("IGMPv2 report", "RFC 2236 §2", "1600 0000" + group, {"type": "report", "version": 2, "group": "239.1.1.9"}),
        one("IGMPv2 leave", "RFC 2236 §2", "1700 0000" + group, {"type": "done", "group": "239.1.1.9"}),
        one("IGMPv3 general query", "RFC 3376 §4.1", "1164 0000 00000000 02 7d 0000", {
            "type": "query", "group": "0.0.0.0", "responseCode": 100,
            "extended": {"suppress": False, "robustness": 2, "intervalCode": 125, "sources": []}}),
        one("IGMPv3 query about a source, S set", "RFC 3376 §4.1", "110a 0000" + group + "0a 7d 0001" + s1, {
            "type": "query", "group": "239.1.1.9", "responseCode": 10,
            "extended": {"suppress": True, "robustness": 2, "intervalCode": 125, "sources": ["198.51.100.2"]}}),
        one("IGMPv3 report of two, one with a source", "RFC 3376 §4.2", "2200 0000 0000 0002 05 00 0001" + group + s1 + "04 00 0000" + group,
            {"type": "records", "records": [record(5, ["198.51.100.2"]), record(4)]}),
        one("IGMPv3 record with auxiliary data", "RFC 3376 §4.2", "2200 0000 0000 0002 04 01 0000" + group + "deadbeef" + "03 00 0000" + group,
            {"type": "records", "records": [record(4), record(3)]}, canonical=False),
        bad("DVMRP", "RFC 3376 §4", "1300 ecff 00000000", "malformed", "type", 0),
        bad("wrong checksum", "RFC 3376 §4.1.2", "1600 0000" + group, "checksum", "checksum", 2),
        bad("group cut short", "RFC 3376 §4", "1600 0000 ef", "truncated", "group", 4),
        bad("more records than octets", "RFC 3376 §4.2", "2200 0000 0000 ffff", "truncated", "recordType", 8),
    ]


def home_information_vectors():
    rfc = "RFC 6610 §3.1"
    address, name = packed(HA).hex(), "03 686131 07 6578616d706c65 03 6f7267 00"
    haa, haf, hnidf = "0048 0010" + address, "0049 0011" + name, "0031 0011" + name
    of_address, of_name = {"kind": "home-agent-address", "address": HA}, {"kind": "home-agent-name", "name": "ha1.example.org"}
    of_network = {"kind": "home-network-identifier", "name": "ha1.example.org"}
    prefix = "40" + "20010db8000100000000000000000000"

    def one(title, text, value, canonical=True):
        return vector(title, rfc, octets(text).hex(), value, canonical)

    def network(kind, *options):
        return {"kind": "home-network", "network": kind, "options": list(options)}

    def wrong(title, text, reason, field, offset):
        return bad(title, rfc, text, reason, field, offset)

    return [
        one("nothing", "", []),
        one("home agent address", haa, [of_address]),
        one("home agent name", haf, [of_name]),
        one("home network identifier", hnidf, [of_network]),
        one("visited home network", "0032 0014" + haa, [network("visited", of_address)]),
        one("identified home network with its name", "0045 003e" + hnidf + haa + haf, [network("identified", of_network, of_address, of_name)]),
        one("unrestricted home network with its prefix", "0046 0029" + "0047 0011" + prefix + haa,
            [network("unrestricted", {"kind": "other", "code": 71, "data": "0x" + prefix}, of_address)]),
        one("two home networks", "0045 0014" + haa + "0032 0015" + haf, [network("identified", of_address), network("visited", of_name)]),
        one("home network without anything", "0032 0000", [network("visited")]),
        one("an option of others", "0017 0010" + address, [{"kind": "other", "code": 23, "data": "0x" + address}]),
        one("name in capitals", "0049 0011 03 484131 07 6578616d706c65 03 6f7267 00", [of_name], canonical=False),
        wrong("code cut short", "00", "truncated", "code", 0),
        wrong("no length", "0048", "truncated", "option-length", 2),
        wrong("longer than there is", "0048 0011" + address, "truncated", "option", 4),
        wrong("longer than the home network", "0032 0014 0048 0011" + address, "truncated", "option", 8),
        wrong("address of 15 octets", "0048 000f" + address[2:], "truncated", "home-agent-address", 4),
        wrong("address of 17 octets", "0048 0011" + address + "00", "malformed", "option-length", 20),
        wrong("a home network within another", "0045 0018 0032 0014" + haa, "malformed", "code", 8),
        wrong("name without an end", "0049 0004 03 686131", "truncated", "label", 8),
        wrong("octets after the name", "0049 0012" + name + "00", "malformed", "option-length", 21),
        wrong("the root as name", "0049 0001 00", "malformed", "name", 4),
        wrong("a blank in the name", "0049 0005 03 682061 00", "malformed", "name", 4),
        wrong("a compressed name", "0049 0002 c004", "malformed", "name", 5),
        wrong("a name of 260 octets", "0049 0105" + ("3f" + "61" * 63) * 4 + "03 616161 00", "malformed", "name", 260),
    ]


def main():
    files = {
        "mobility-header": matrix_vectors() + message_vectors() + revocation_vectors() + base_option_vectors() + nemo_option_vectors()
        + dsmip_option_vectors() + auth_option_vectors(),
        "mobility-header-profiles": profile_vectors(),
        "mobility-header-malformed": malformed_vectors(),
        "destination-options": destination_option_vectors(),
        "routing-header": routing_header_vectors(),
        "icmpv6": icmpv6_vectors(),
        "ipv6": ipv6_vectors(),
        "ipv4": ipv4_vectors(),
        "udp": udp_vectors(),
        "arp": arp_vectors(),
        "mld": mld_vectors(),
        "igmp": igmp_vectors(),
        "dhcpv6-home-information": home_information_vectors(),
    }
    for name, vectors in files.items():
        names = [entry["name"] for entry in vectors]
        assert len(set(names)) == len(names), [entry for entry in names if names.count(entry) > 1]
        with open(os.path.join(HERE, name + ".json"), "w", encoding="utf-8") as file:
            file.write("[\n" + ",\n".join("  " + json.dumps(entry, ensure_ascii=False) for entry in vectors) + "\n]\n")
        print(name, len(vectors))


if __name__ == "__main__":
    main()
