"""Writes messages with scapy and prints them, checksums and all, as JSON: name (that of a vector) to hexadecimal text. For formats that scapy
knows its own fields are used, for the others (RFC 5142, RFC 5846, draft-soliman-v4v6-mipv6-00) its Mobility Header around octets."""
import ipaddress
import json
import sys

from scapy.layers.inet6 import (
    ICMPv6HAADReply,
    ICMPv6HAADRequest,
    ICMPv6MPAdv,
    ICMPv6MPSol,
    ICMPv6NDOptPrefixInfo,
    IPv6,
    MIP6MH_BA,
    MIP6MH_BRR,
    MIP6MH_BU,
    MIP6MH_Generic,
    MIP6OptUnknown,
    PadN,
)

HOA, HA, COA = "2001:db8:1::10", "2001:db8:1::1", "2001:db8:2::20"
ANYCAST = "2001:db8:1:0:fdff:ffff:ffff:fffe"
LINK = ("fe80::1", "ff02::1")


def icmp(source, destination, layer):
    return bytes(IPv6(src=source, dst=destination) / layer)[40:].hex()


def mobility(layer):
    return bytes(IPv6(src=HOA, dst=HA, nh=135) / layer)[40:].hex()


def generic(kind, octets):
    return mobility(MIP6MH_Generic(mhtype=kind, len=(6 + len(octets)) // 8 - 1, msg=octets))


def revocation(kind, code, sequence, flags=0):
    return generic(16, bytes([kind, code]) + sequence.to_bytes(2, "big") + flags.to_bytes(2, "big") + bytes([1, 2, 0, 0]))


IPV4 = bytes([192, 0, 2, 10])
MESSAGES = {
    "DHAAD request": icmp(COA, ANYCAST, ICMPv6HAADRequest(id=0x1234, R=0)),
    "DHAAD request, only R": icmp(COA, ANYCAST, ICMPv6HAADRequest(id=0x1234, R=1)),
    "DHAAD reply, two addresses": icmp(COA, ANYCAST, ICMPv6HAADReply(id=0x1234, R=0, addresses=[HA, COA])),
    "MPS": icmp(*LINK, ICMPv6MPSol(id=0x1234)),
    "MPA": icmp(*LINK, ICMPv6MPAdv(id=0x1234, flags=0)),
    "MPA, only M": icmp(*LINK, ICMPv6MPAdv(id=0x1234, flags=2)),
    "MPA, prefix": icmp(
        *LINK,
        ICMPv6MPAdv(id=0x1234, flags=0)
        / ICMPv6NDOptPrefixInfo(prefixlen=64, L=1, A=1, R=0, validlifetime=86400, preferredlifetime=14400, prefix="2001:db8:1::"),
    ),
    "BRR": mobility(MIP6MH_BRR(res2=0)),
    "HAS, two addresses": generic(12, bytes([2, 0]) + ipaddress.ip_address(HA).packed + ipaddress.ip_address(COA).packed),
    "BRI, trigger 1": revocation(1, 1, 1),
    "BRA, status 0": revocation(2, 0, 1),
    "2004 home address": mobility(
        MIP6MH_BU(seq=1, flags="AH", mhtime=150, autopad=0, options=[PadN(), MIP6OptUnknown(otype=29, odata=IPV4), PadN(optdata=b"\0\0")])
    ),
    "2004 acknowledgement, status 0": mobility(
        MIP6MH_BA(status=0, flags=0, seq=1, mhtime=150, autopad=0, options=[MIP6OptUnknown(otype=30, odata=bytes([0, 0]) + IPV4), PadN(optdata=b"\0\0")])
    ),
}
json.dump(MESSAGES, sys.stdout)
