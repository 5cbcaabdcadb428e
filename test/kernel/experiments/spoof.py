"""Runs in namespace r. Sends what only a registered node may send, and everything that must not come through; the inner UDP port is the tag.
Prints "TAG wanted|unwanted TEXT" for spoof.sh to compare with what the correspondent has seen."""
import sys
from craft import *
HA6, HA4, HOA6, HOA4, CN6, CN4, CO6, CO4 = '2001:db8:1::1', '203.0.113.1', '2001:db8:1::100', '198.51.100.100', '2001:db8:1::2', '198.51.100.2', '2001:db8:a::2', '203.0.114.2'
OTHER6, OTHER4 = '2001:db8:1::200', '198.51.100.200'   # home addresses of another node, registered somewhere else
tag = 20000
def case(wanted, text, *packets):
    global tag
    for p in packets: send(p)
    print(tag, 'wanted' if wanted else 'unwanted', text); tag += 1
u = lambda p, src=CO4, sport=4191: ip4(src, HA4, 17, udp(sport, 4191, p))
six = lambda src=HOA6, dst=CN6, **k: inner6(src, dst, tag, **k)
four = lambda src=HOA4, dst=CN4, **k: inner4(src, dst, tag, **k)
if sys.argv[1] == 'udp':
    case(1, 'IPv6 in UDP from the registered address and port', u(six()))
    case(1, 'IPv4 in UDP from the registered address and port', u(four()))
    for text, k in (('another port', dict(sport=4190)), ('another address', dict(src='203.0.114.3'))):
        case(0, 'IPv6 in UDP from ' + text, u(six(), **k)); case(0, 'IPv4 in UDP from ' + text, u(four(), **k))
    for text, src in (("somebody else's home address", OTHER6), ('a link-local source', 'fe80::1'), ('a multicast source', 'ff02::1'), ('the unspecified source', '::'), ('an IPv4-compatible source', '::198.51.100.100'), ('an IPv4-mapped source', '::ffff:198.51.100.100'), ("the correspondent's source", CN6)):
        case(0, 'IPv6 in UDP with ' + text, u(six(src)))
    for text, src in (("somebody else's home address", OTHER4), ('the unspecified source', '0.0.0.0'), ('a loopback source', '127.0.0.1'), ('a multicast source', '224.0.0.1')):
        case(0, 'IPv4 in UDP with ' + text, u(four(src)))
    case(1, 'IPv6 in UDP, outer fragments', *fragments4(CO4, HA4, 17, udp(4191, 4191, six(payload=bytes(200))), [8, 64]))
    case(0, 'spoofed IPv6 in UDP, outer fragments', *fragments4(CO4, HA4, 17, udp(4191, 4191, six(OTHER6, payload=bytes(200))), [8, 64], ident=78))
    case(0, 'IPv6 in plain IPv4 of a node that registered UDP', ip4(CO4, HA4, 41, six()))
    case(0, 'IPv4 in plain IPv4 of a node that registered UDP', ip4(CO4, HA4, 4, four()))
if sys.argv[1] == 'version':
    for first in range(16):
        if first not in (4, 6): send(u(bytes([first << 4]) + six()[1:]))
    send(u(b'')); send(u(b'\x60')); send(u(b'\x45')); send(u(six()[:30])); send(u(four()[:15]))
if sys.argv[1] == 'ip4':
    p = lambda proto, inner, src=CO4, dst=HA4, **k: ip4(src, dst, proto, inner, **k)
    case(1, 'IPv6 in IPv4', p(41, six())); case(1, 'IPv4 in IPv4', p(4, four()))
    case(1, 'IPv6 in IPv4 with outer options', p(41, six(), options=bytes([1] * 7 + [0]))); case(1, 'IPv4 in IPv4 with outer options', p(4, four(), options=bytes([1] * 7 + [0])))
    case(0, 'IPv6 in IPv4 from another address', p(41, six(), src='203.0.114.3')); case(0, 'IPv4 in IPv4 from another address', p(4, four(), src='203.0.114.3'))
    case(0, "IPv6 in IPv4 with somebody else's home address", p(41, six(OTHER6))); case(0, "IPv4 in IPv4 with somebody else's home address", p(4, four(OTHER4)))
    case(0, 'spoofed IPv6 in IPv4 with outer options', p(41, six(OTHER6), options=bytes([1] * 7 + [0])))
    case(0, 'IPv6 in IPv4, link-local source', p(41, six('fe80::1')))
    case(0, 'IPv4 where protocol 41 stands', p(41, four())); case(0, 'IPv6 where protocol 4 stands', p(4, six()))
    case(1, 'IPv6 in IPv4, outer fragments', *fragments4(CO4, HA4, 41, six(payload=bytes(200)), [8, 64]))
    case(0, 'spoofed IPv6 in IPv4, outer fragments', *fragments4(CO4, HA4, 41, six(OTHER6, payload=bytes(200)), [8, 64], ident=78))
    for dst in ('240.41.64.64', '240.41.46.77', '240.41.65.4'):
        case(0, f'IPv6 in IPv4 to the internal address {dst}', p(41, six(), dst=dst)); case(0, f'IPv4 in IPv4 to the internal address {dst}', p(4, four(), dst=dst))
    case(0, 'IPv6 in UDP of a node that registered plain IPv4', u(six()))
    send(p(41, six(dst='::203.0.113.254')))     # relay test: nothing of protocol 41 may leave towards 203.0.113.254
if sys.argv[1] == 'ip6':
    p = lambda nxt, inner, src=CO6, dst=HA6: ip6(src, dst, nxt, inner)
    case(1, 'IPv6 in IPv6', p(41, six())); case(1, 'IPv4 in IPv6', p(4, four()))
    case(1, 'IPv6 in IPv6 behind destination options', p(60, options(41) + six())); case(1, 'IPv4 in IPv6 behind destination options', p(60, options(4, 24) + four()))
    case(0, 'IPv6 in IPv6 from another address', p(41, six(), src='2001:db8:a::3')); case(0, 'IPv4 in IPv6 from another address', p(4, four(), src='2001:db8:a::3'))
    case(0, "IPv6 in IPv6 with somebody else's home address", p(41, six(OTHER6))); case(0, "IPv4 in IPv6 with somebody else's home address", p(4, four(OTHER4)))
    case(0, 'spoofed IPv6 in IPv6 behind destination options', p(60, options(41) + six(OTHER6)))
    case(0, 'spoofed IPv6 in IPv6 behind hop-by-hop options', p(0, options(41) + six(OTHER6)))
    case(0, 'IPv6 in IPv6, link-local source', p(41, six('fe80::1')))
    big = bytes(200)
    case(1, 'IPv6 in IPv6, outer fragments', *fragments6(CO6, HA6, 41, six(payload=big), [64, 128], 1))
    case(1, 'IPv4 in IPv6, outer fragments', *fragments6(CO6, HA6, 4, four(payload=big), [64, 128], 2))
    case(0, 'spoofed IPv6 in IPv6, outer fragments', *fragments6(CO6, HA6, 41, six(OTHER6, payload=big), [64], 3))
    case(0, 'spoofed IPv6 in IPv6, first fragment of 8 octets', *fragments6(CO6, HA6, 41, six(OTHER6, payload=big), [8], 4))
    case(0, 'spoofed IPv6 in IPv6, first fragment of 16 octets, second in front', *reversed(fragments6(CO6, HA6, 41, six(OTHER6, payload=big), [16], 5)))
    case(0, 'spoofed IPv6 in IPv6, destination options over the edge of the first fragment', *fragments6(CO6, HA6, 60, options(41, 64) + six(OTHER6, payload=big), [8], 6))
    case(0, 'spoofed IPv6 in IPv6, destination options that fill the first fragment', *fragments6(CO6, HA6, 60, options(41, 64) + six(OTHER6, payload=big), [64], 7))
    good, evil = six(payload=big), six(OTHER6, payload=big)
    a1 = fragments6(CO6, HA6, 41, good, [64], 8); a2 = fragments6(CO6, HA6, 41, evil, [8, 64], 8)
    case(1, 'IPv6 in IPv6, a later fragment with another source over a good first one: the good one stays', a1[0], a2[1], a2[2])
    case(0, 'IPv6 in IPv6 to another address of the home agent', p(41, six(), dst='2001:db8:f::1')); case(0, 'IPv4 in IPv6 to another address of the home agent', p(4, four(), dst='2001:db8:f::1'))
    case(0, 'IPv6 in IPv6 with a routing header of type 0', p(43, bytes([41, 2, 0, 0]) + bytes(4) + a(HA6) + six(OTHER6)))
    send(p(41, ip6(HOA6, HA6, 135, bytes(16))))  # a Mobility Header out of a tunnel
