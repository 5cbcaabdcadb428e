"""Home agent (`ha`) or mobile node (`mn`) end of the signalling experiments, without any protocol: prints what arrives, answers a BU on the way it came.
   ha: MH raw socket, UDP socket on 4192, TUN device dsmip-sig.   usage: signaller.py ha SECONDS
   mn send TYPE SRC DST [mark] [dev DEVICE] [udp LOCAL REMOTE]: sends a mobility message, waits up to a second for an answer
   Lines: GOT type=T src=S label=OUTER coa=C dev=D"""
import fcntl, os, select, socket, struct, sys, time
IPV6_FLOWINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO, IPV6_RECVDSTOPTS, IPV6_DSTOPTS, IPV6_RTHDR, IPV6_RECVRTHDR, SO_MARK = 11, 49, 50, 58, 59, 57, 56, 36
MARK = 0x4191
def mh_socket(*marks):
    s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 135)
    for o in (IPV6_FLOWINFO, IPV6_RECVPKTINFO, IPV6_RECVDSTOPTS, IPV6_RECVRTHDR): s.setsockopt(41, o, 1)
    return s
def tun():
    t = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(t, 0x400454ca, struct.pack('16sH14x', b'dsmip-sig', 0x1001)); return t
def message(kind): return bytes([59, 1, kind, 0, 0, 0] + ([0, 1, 0xc0, 0, 0, 60, 1, 2, 0, 0] if kind == 5 else [0, 0, 0, 1, 0, 10, 1, 2, 0, 0] if kind == 6 else [0] * 10))
def received(m, who):
    d, anc, fl, src = m.recvmsg(2000, 500)
    label, coa, dev = 0, None, None
    for l, t, v in anc:
        if t == IPV6_FLOWINFO: label = struct.unpack('!I', v)[0] & 0xfffff
        if t == IPV6_DSTOPTS: i = v.find(b'\xc9\x10'); coa = socket.inet_ntop(10, v[i + 2:i + 18]) if i >= 0 else 'none'
        if t == IPV6_RTHDR: coa = 'rthdr ' + socket.inet_ntop(10, v[8:24])
        if t == IPV6_PKTINFO: dev = socket.if_indextoname(struct.unpack('I', v[16:20])[0])
    return d[2], src[0], label, coa, dev
def relabel(b, label): return bytes([b[0], (b[1] & 0xf0) | label >> 16, label >> 8 & 255, label & 255]) + b[4:]
def ha(seconds):
    HA = '2001:db8:1::1'
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('203.0.113.1', 4192))
    t, m = tun(), mh_socket()
    out = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 135); out.bind((HA, 0))
    marked = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 135); marked.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK); marked.bind((HA, 0))
    outer, back, end = {}, None, time.time() + seconds
    print('READY', flush=True)
    while time.time() < end:
        for r in select.select([u, t, m], [], [], 0.1)[0]:
            if r is u:
                d, a = u.recvfrom(2000); label = 0x40000 | len(outer) + 1; outer[label] = a; os.write(t, relabel(d, label))
            elif r is m:
                kind, src, label, coa, dev = received(m, 'ha')
                print(f'GOT type={kind} src={src} outer={outer.get(label)} coa={coa} dev={dev}', flush=True)
                if kind != 5: continue
                if label in outer: back = outer[label]; marked.sendto(message(6), (src, 0))
                elif coa and coa != 'none': out.sendmsg([message(6)], [(41, IPV6_RTHDR, bytes([0, 2, 2, 1, 0, 0, 0, 0]) + socket.inet_pton(10, coa))], 0, (src, 0))
                else: out.sendto(message(6), (src, 0))
            else:
                d = os.read(t, 2000)
                if d[0] >> 4 != 6 or d[6] not in (50, 135): continue
                print(f'TUN nexthdr={d[6]}', flush=True)
                if back: u.sendto(d, back)
def mn(kind, src, dst, *words):
    words = list(words); mark = 'mark' in words
    dev = words[words.index('dev') + 1] if 'dev' in words else None
    udp = words[words.index('udp') + 1:words.index('udp') + 3] if 'udp' in words else None
    m = mh_socket(); m.bind((src, 0)); s = m
    t = u = None
    if udp:
        t = tun(); u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind((udp[0], 4192))
    if mark: s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 135); s.setsockopt(socket.SOL_SOCKET, SO_MARK, MARK); s.bind((src, 0))
    if dev: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, dev.encode())
    if 'quiet' in words: s.sendto(message(int(kind)), (dst, 0)); return
    s.sendto(message(int(kind)), (dst, 0)); end = time.time() + 1
    while time.time() < end:
        for r in select.select([x for x in (m, t, u) if x is not None], [], [], 0.1)[0]:
            if r is m:
                kind, src, label, coa, dev = received(m, 'mn'); print(f'GOT type={kind} src={src} label={label:#x} coa={coa} dev={dev}'); return
            if r is t:
                d = os.read(t, 2000)
                if d[0] >> 4 == 6 and d[6] in (50, 135): u.sendto(d, (udp[1], 4191))
            if r is u: d, a = u.recvfrom(2000); os.write(t, relabel(d, 0x50001))
    print('NOTHING')
if sys.argv[1] == 'ha': ha(float(sys.argv[2]))
else: mn(*sys.argv[3:])
