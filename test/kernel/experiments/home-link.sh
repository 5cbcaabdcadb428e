#!/bin/bash
# Standing in for a node on the home link: NS multicast, unicast (NUD) and for DAD, ARP; how fast; which switches that needs. No redirects between two
# nodes behind the same device. Errors from the home agent to a node come from the home agent's addresses.
here=$(dirname "$(readlink -f "$0")"); . "$here/lib.sh"; . "$here/home-agent.sh"
make_topology; ha_site; mn_site; attach ip4
cat > /run/ns.py <<'P'
# ns.py SOURCE TARGET DESTINATION-IP DESTINATION-MAC: sends a neighbour solicitation on eth0, prints the advertisement's flags and the milliseconds it took
import socket, struct, sys, time, select, ipaddress
sys.path.insert(0, sys.argv[5])
from craft import *
src, target, dst, mac = sys.argv[1:5]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind(('eth0', 3))
me = s.getsockname()[4]
body = struct.pack('!BBHI', 135, 0, 0, 0) + a(target) + (b'' if src == '::' else b'\1\1' + me)
pseudo = a(src) + a(dst) + struct.pack('!II', len(body), 58)
body = body[:2] + struct.pack('!H', checksum(pseudo + body)) + body[4:]
t = time.time(); s.send(bytes.fromhex(mac.replace(':', '')) + me + b'\x86\xdd' + ip6(src, dst, 58, body, hops=255))
while select.select([s], [], [], 1.5)[0]:
    b = s.recv(2000)
    if b[12:14] == b'\x86\xdd' and b[20] == 58 and b[54] == 136 and b[62:78] == a(target):
        print('R%d S%d O%d %s' % (b[58] >> 7, b[58] >> 6 & 1, b[58] >> 5 & 1, 'fast' if time.time() - t < 0.1 else 'slow')); break
else: print('none')
P
HAMAC=$(in_ns ha cat /sys/class/net/home/address)
ns() { in_ns cn python3 /run/ns.py "$@" "$here"; }
in_ns cn ping -6 -c1 -W1 $HA6 > /dev/null
uname -r
in_ns ha sysctl -qw net.ipv6.conf.all.proxy_ndp=0
same "multicast NS, proxy_ndp on the link" "R0 S1 O0 fast" "$(ns $CN6 $HOA6 ff02::1:ff00:100 33:33:ff:00:01:00)"
same "DAD NS" "R0 S0 O0 fast" "$(ns :: $HOA6 ff02::1:ff00:100 33:33:ff:00:01:00)"
same "unicast NS (NUD), proxy_ndp on the link only: no answer" "none" "$(ns $CN6 $HOA6 $HOA6 $HAMAC)"
in_ns ha sysctl -qw net.ipv6.conf.all.proxy_ndp=1
same "unicast NS (NUD) with all.proxy_ndp" "R0 S1 O0 fast" "$(ns $CN6 $HOA6 $HOA6 $HAMAC)"
ip -n ha -6 neigh del proxy $HOA6 dev home; ip -n ha -6 neigh add proxy $HOA6 dev home router
same "as a router (mobile router)" "R1 S1 O0 fast" "$(ns $CN6 $HOA6 ff02::1:ff00:100 33:33:ff:00:01:00)"
ip -n ha -6 neigh del proxy $HOA6 dev home
same "without the entry" "none" "$(ns $CN6 $HOA6 ff02::1:ff00:100 33:33:ff:00:01:00)"
ip -n ha -6 neigh add proxy $HOA6 dev home
in_ns ha sysctl -qw net.ipv6.neigh.home.proxy_delay=80
echo "     with the kernel's default proxy_delay: $(ns $CN6 $HOA6 ff02::1:ff00:100 33:33:ff:00:01:00) $(ns $CN6 $HOA6 ff02::1:ff00:100 33:33:ff:00:01:00) $(ns $CN6 $HOA6 ff02::1:ff00:100 33:33:ff:00:01:00)"
in_ns ha sysctl -qw net.ipv6.neigh.home.proxy_delay=0
arp() { in_ns cn ip neigh flush dev eth0; in_ns cn ping -c1 -W1 $HOA4 > /dev/null; in_ns cn ip neigh show $HOA4 | grep -o '..:..:..:..:..:..'; }
same "ARP for the IPv4 home address" "$HAMAC" "$(arp)"
ip -n ha neigh del proxy $HOA4 dev home
same "ARP without the entry" "" "$(arp)"
ip -n ha neigh add proxy $HOA4 dev home

echo "== errors to the mobile node"
# source FAMILY: of the time exceeded message for a packet with a hop limit of 1
exceeded() { in_ns mn ping $1 -c1 -W1 -t1 -I $2 $3 | sed -n 's/^From \([^ ]*\) .*[Tt]ime.*/\1/p'; }
for format in ip6 ip4 udp; do
  attach $format
  same "$format: time exceeded, IPv6" $HA6 "$(exceeded -6 $HOA6 $CN6)"; same "$format: time exceeded, IPv4" $HA4 "$(exceeded -4 $HOA4 $CN4)"
done

echo "== between two nodes behind one device"
attach ip4
# a second node in namespace r (its care-of address is r's own)
bind ip4 default 2001:db8:1::200 198.51.100.200 203.0.113.254
device r dsmip-t 240.41.65.1 sit local 203.0.113.254 remote $HA4 mode any ttl inherit tos inherit nopmtudisc
ip -n r link add dsmip-hoa type dummy; ip -n r link set dsmip-hoa up; ip -n r addr add 198.51.100.200/32 dev dsmip-hoa; ip -n r -6 addr add 2001:db8:1::200/128 dev dsmip-hoa nodad
ip -n r -6 rule add from 2001:db8:1::200 lookup 4191; ip -n r rule add from 198.51.100.200 lookup 4191
ip -n r -6 route replace default dev dsmip-t table 4191 src 2001:db8:1::200; ip -n r route replace default dev dsmip-t table 4191 src 198.51.100.200
in_ns r sysctl -qw net.ipv4.conf.dsmip-t.rp_filter=2
capture mn dsmip-t 'icmp[icmptype] == 5 or (ip6 and ip6[40] == 137)' /run/redirect.pcap
expect "node to node, IPv6" in_ns mn ping -6 -c3 -i0.2 -W1 -I $HOA6 2001:db8:1::200
expect "node to node, IPv4" in_ns mn ping -4 -c3 -i0.2 -W1 -I $HOA4 198.51.100.200
capture_stop
same "redirects: none, for packets come in and go out through different devices" 0 "$("$here/packets.py" /run/redirect.pcap | wc -l)"
finish
