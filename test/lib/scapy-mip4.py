"""Both directions with scapy's Mobile IP layer: reads the UDP datagrams given in hexadecimal ("read"), and makes some ("make")."""
import json
import sys

from scapy.layers.inet import UDP
from scapy.layers.mobileip import MobileIP, MobileIPRRP, MobileIPRRQ, MobileIPTunnelData
from scapy.packet import Raw

LAYERS = (MobileIPRRQ, MobileIPRRP, MobileIPTunnelData)


def fields(layer):
    return {field.name: str(layer.getfieldval(field.name)) for field in layer.fields_desc}


def read(text):
    packet = UDP(bytes.fromhex(text))
    layer = next((packet[kind] for kind in LAYERS if kind in packet), None)
    if layer is None:
        return None
    return {"layer": layer.__class__.__name__, **fields(layer), "rest": bytes(layer.payload).hex()}


def make(extensions):
    rest = Raw(bytes.fromhex(extensions))
    request = MobileIPRRQ(flags=0x22, lifetime=600, homeaddr="192.0.2.10", haaddr="203.0.113.1", coaddr="198.51.100.7", id=(7 << 32) + 9)
    reply = MobileIPRRP(code=133, lifetime=600, homeaddr="192.0.2.10", haaddr="203.0.113.1", id=(8 << 32) + 9)
    data = MobileIPTunnelData(nexthdr=41)
    return [bytes(MobileIP(type=number) / layer / rest).hex() for number, layer in ((1, request), (3, reply), (4, data))]


asked = json.load(sys.stdin)
json.dump({"read": [read(text) for text in asked["read"]], "made": make(asked["extensions"])}, sys.stdout)
