#!/usr/bin/python3
"""Packets of a capture (Ethernet, cooked or raw IP), one line each:
   SRC>DST proto=41|4|17 tos=0xNN ttl=N df=0|1 mf=0|1 off=N [sport=N dport=N udpsum=0xNNNN] | inner SRC>DST tos= ttl= df= proto= len=
usage: packets.py FILE [WORD...]   only lines that hold all words"""
import socket, struct, sys

def ip(b):
    v = b[0] >> 4
    if v == 4:
        h = (b[0] & 15) * 4
        f = struct.unpack('!H', b[6:8])[0]
        s = sum(struct.unpack('!%dH' % (h // 2), b[:h]))
        while s >> 16: s = (s & 0xffff) + (s >> 16)
        bad = '' if s == 0xffff else ' BADSUM'
        return dict(src=socket.inet_ntoa(b[12:16]), dst=socket.inet_ntoa(b[16:20]), tos=b[1], ttl=b[8], df=f >> 14 & 1, mf=f >> 13 & 1, off=(f & 0x1fff) * 8, proto=b[9], h=h,
                    len=struct.unpack('!H', b[2:4])[0], bad=bad)
    if v == 6:
        nh, h, mf, off = b[6], 40, 0, 0
        while nh in (0, 43, 60, 44):
            if nh == 44:
                o = struct.unpack('!H', b[h + 2:h + 4])[0]; mf, off = o & 1, o & 0xfff8
                nh, h = b[h], h + 8
                if off: break
            else: nh, h = b[h], h + 8 * (b[h + 1] + 1)
        return dict(src=socket.inet_ntop(10, b[8:24]), dst=socket.inet_ntop(10, b[24:40]), tos=(b[0] & 15) << 4 | b[1] >> 4, ttl=b[7], df='-', mf=mf, off=off, proto=nh, h=h,
                    len=40 + struct.unpack('!H', b[4:6])[0], bad='')
    return None

def show(p, extra=''):
    return f"{p['src']}>{p['dst']} tos=0x{p['tos']:02x} ttl={p['ttl']} df={p['df']} mf={p['mf']} off={p['off']} proto={p['proto']} len={p['len']}{extra}{p['bad']}"

data = open(sys.argv[1], 'rb').read()
o, linktype = 24, struct.unpack('<I', data[20:24])[0] & 0xffff if len(data) >= 24 else 1
while o + 16 <= len(data):
    n = struct.unpack('<I', data[o + 8:o + 12])[0]
    b = data[o + 16:o + 16 + n]; o += 16 + n
    if linktype == 1:
        if b[12:14] not in (b'\x08\x00', b'\x86\xdd'): continue
        b = b[14:]
    elif linktype == 113: b = b[16:]
    p = ip(b)
    if not p: continue
    extra, inner = '', b[p['h']:]
    if p['proto'] == 17 and not p['off'] and len(inner) >= 8:
        s, d, _, c = struct.unpack('!HHHH', inner[:8]); extra = f" sport={s} dport={d} udpsum=0x{c:04x}"; inner = inner[8:] if 4191 in (s, d) or 4192 in (s, d) else b''
    elif p['proto'] not in (4, 41): inner = b''
    line = show(p, extra)
    q = ip(inner) if not p['off'] and len(inner) >= 20 and (inner[0] >> 4 == 4 or len(inner) >= 40) else None
    if q: line += ' | ' + show(q)
    if all(w in line for w in sys.argv[2:]): print(line)
