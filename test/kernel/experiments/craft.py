"""Packets from nothing, for the experiments: headers as functions, sent through raw sockets of the present namespace."""
import ipaddress, socket, struct

def checksum(b):
    if len(b) & 1: b += b'\0'
    s = sum(struct.unpack('!%dH' % (len(b) // 2), b))
    while s >> 16: s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff

def a(text): return ipaddress.ip_address(text).packed

def ip4(src, dst, proto, payload, tos=0, ttl=64, df=0, ident=0, mf=0, off=0, options=b''):
    h = bytearray(struct.pack('!BBHHHBBH', 0x45 + len(options) // 4, tos, 20 + len(options) + len(payload), ident, df << 14 | mf << 13 | off // 8, ttl, proto, 0) + a(src) + a(dst) + options)
    h[10:12] = struct.pack('!H', checksum(bytes(h)))
    return bytes(h) + payload

def ip6(src, dst, nxt, payload, tc=0, hops=64, label=0):
    return struct.pack('!IHBB', 6 << 28 | tc << 20 | label, len(payload), nxt, hops) + a(src) + a(dst) + payload

def udp(sport, dport, payload=b'', check=0): return struct.pack('!HHHH', sport, dport, 8 + len(payload), check) + payload

def udp_in(src, dst, sport, dport, payload=b''):
    """A UDP packet with its checksum, for the inside of a tunnel"""
    u = udp(sport, dport, payload)
    pseudo = a(src) + a(dst) + (struct.pack('!II', len(u), 17) if ':' in src else struct.pack('!BBH', 0, 17, len(u)))
    c = checksum(pseudo + u) or 0xffff
    return udp(sport, dport, payload, c)

def inner6(src, dst, tag, payload=b'', **k): return ip6(src, dst, 17, udp_in(src, dst, 9, tag, payload), **k)
def inner4(src, dst, tag, payload=b'', **k): return ip4(src, dst, 17, udp_in(src, dst, 9, tag, payload), **k)

def options(nxt, length=8):
    """A destination (or hop-by-hop) options header with one unknown option to be skipped (Linux drops more than 7 octets of padding)"""
    return bytes([nxt, length // 8 - 1, 0x1e, length - 4]) + bytes(length - 4)

def fragments6(src, dst, nxt, payload, cuts, ident=77):
    """The payload cut at the given offsets (multiples of 8) into IPv6 fragments"""
    edges = [0, *cuts, len(payload)]
    return [ip6(src, dst, 44, struct.pack('!BBHI', nxt, 0, at | (end < len(payload)), ident) + payload[at:end]) for at, end in zip(edges, edges[1:])]

def fragments4(src, dst, proto, payload, cuts, ident=77):
    edges = [0, *cuts, len(payload)]
    return [ip4(src, dst, proto, payload[at:end], ident=ident, mf=int(end < len(payload)), off=at) for at, end in zip(edges, edges[1:])]

_s4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
_s6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)

def send_from(source4, source6):
    """Routes by these sources from here on, as rules of a mobile node want it"""
    _s4.bind((source4, 0)); _s6.bind((source6, 0))

def send(packet):
    if packet[0] >> 4 == 4: _s4.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
    else: _s6.sendto(packet, (socket.inet_ntop(10, packet[24:40]), 0))
