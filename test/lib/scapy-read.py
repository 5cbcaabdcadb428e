"""Reads IPv6 packets (a JSON list of hexadecimal texts on stdin) with scapy and prints what it finds in their Mobility Headers:
the checksum in the packet, the one scapy computes (home address options and routing headers taken into account), and fields."""
import json
import sys

from scapy.layers.inet6 import HAO, IPv6, IPv6ExtHdrDestOpt, in6_chksum


def mobility_header(packet):
    for number in range(20):
        layer = packet.getlayer(number)
        if layer is None or layer.__class__.__name__.startswith("MIP6MH_"):
            return layer
    return None


def computed(packet, layer):
    octets = bytearray(layer.original)
    octets[4:6] = b"\0\0"
    under = layer.underlayer
    if IPv6ExtHdrDestOpt in packet:
        # scapy looks for the home address only where no padding stands beside it.
        for option in packet[IPv6ExtHdrDestOpt].options:
            if isinstance(option, HAO):
                under = IPv6(src=option.hoa, dst=packet.dst)
    return in6_chksum(135, under, bytes(octets))


def plain(value):
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int) and value >= 2**53:
        return hex(value)
    return value if isinstance(value, (int, str)) else str(value)


def fields(layer):
    return {field.name: plain(layer.getfieldval(field.name)) for field in layer.fields_desc if field.name != "options"}


def options(layer):
    found = []
    for option in getattr(layer, "options", None) or []:
        if not option.__class__.__name__.startswith("Pad"):
            found.append({"scapy": option.__class__.__name__, **fields(option)})
    return found


def read(text):
    packet = IPv6(bytes.fromhex(text))
    layer = mobility_header(packet)
    if layer is None:
        return None
    return {"layer": layer.__class__.__name__, "computed": computed(packet, layer), **fields(layer), "options": options(layer)}


json.dump([read(text) for text in json.load(sys.stdin)], sys.stdout)
