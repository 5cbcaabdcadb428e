"""rule.py HOME-ADDRESS TABLE PRIORITY: an IPv6 rule `from HOME-ADDRESS` with FIB_RULE_FIND_SADDR, which `ip` has no word for"""
import socket, struct, sys
def attr(t, b): return struct.pack('HH', 4 + len(b), t) + b + b'\0' * (-len(b) % 4)
body = struct.pack('BBBBBBBBI', socket.AF_INET6, 0, 128, 0, 0, 0, 0, 1, 0x10000) + attr(2, socket.inet_pton(10, sys.argv[1])) + attr(6, struct.pack('I', int(sys.argv[3]))) + attr(15, struct.pack('I', int(sys.argv[2]))) + attr(21, b'\x9b')
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); s.bind((0, 0))
s.send(struct.pack('IHHII', 16 + len(body), 32, 0x605, 1, 0) + body)
e = struct.unpack('i', s.recv(4096)[16:20])[0]
sys.exit(-e)
