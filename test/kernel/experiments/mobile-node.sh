#!/bin/bash
# The mobile node's routing: applications that bind to nothing use the home addresses and the tunnel; outer packets, neighbour discovery, DHCP,
# multicast and signalling do not; connections survive handovers, the way home and the way out again.
here=$(dirname "$(readlink -f "$0")"); . "$here/lib.sh"; . "$here/home-agent.sh"
make_topology; ha_site
uname -r
T=dsmip-t
mn_addresses() { ip -n mn link add dsmip-hoa type dummy; ip -n mn link set dsmip-hoa up; ip -n mn -6 addr add $HOA6/128 dev dsmip-hoa nodad home; ip -n mn addr add $HOA4/32 dev dsmip-hoa; }
mn_addresses
in_ns mn ip fou add port 4191 gue
in_ns mn python3 "$here/rule.py" $HOA6 4191 4191 || bad "rule with FIND_SADDR"
ip -n mn rule add from $HOA4 lookup 4191 pref 4191; ip -n mn rule add from 0.0.0.0/32 lookup 4191 pref 4192
ip -n mn -6 rule show | grep 4191
K1=0x0102030405060708090a0b0c0d0e0f1011121314
ip -n mn xfrm state add src $HOA6 dst $HA6 proto esp spi 0x1000 reqid 1 mode transport aead 'rfc4106(gcm(aes))' $K1 128 sel src $HOA6/128 dst $HA6/128 proto 135
ip -n mn xfrm state add src $HOA6 dst $HA6 proto hao mode ro coa $CO6 reqid 2
E="tmpl src $HOA6 dst $HA6 proto esp reqid 1 mode transport"
ip -n mn xfrm policy add src $HOA6/128 dst $HA6/128 proto 135 dir out mark 0x4191 mask 0xffffffff priority 100 $E
ip -n mn xfrm policy add src $HOA6/128 dst $HA6/128 proto 135 dir out priority 110 tmpl src $HOA6 dst $HA6 proto hao reqid 2 mode ro $E
ip -n mn tuntap add dsmip-sig mode tun; ip -n mn link set dsmip-sig addrgenmode none up mtu 1400; ip -n mn -6 route add default dev dsmip-sig table 4190; ip -n mn -6 rule add fwmark 0x4191 lookup 4190 pref 4190
in_ns mn sleep 1000 & # keeps the namespace
# the way out: unicast only, so that multicast without a device stays with main
out4="0.0.0.0/1 128.0.0.0/2 192.0.0.0/3"
egress() { ip -n mn -6 route replace default dev $T table 4191 src $HOA6; local p; for p in $out4; do ip -n mn route replace $p dev $T table 4191 src $HOA4; done; }
no_egress() { ip -n mn -6 route flush table 4191; ip -n mn route flush table 4191; }
move() { unbind_elements
  ip -n mn link del $T 2>/dev/null
  case $1 in
  ip6) device mn $T 240.41.65.1 ip6tnl local $CO6 remote $HA6 mode any tclass inherit hoplimit 64 encaplimit none; egress; bind ip6 default $HOA6 $HOA4 $CO6 ;;
  ip4) device mn $T 240.41.65.1 sit local $CO4 remote $HA4 mode any ttl inherit tos inherit nopmtudisc; egress; bind ip4 default $HOA6 $HOA4 $CO4 ;;
  udp) device mn $T 240.41.65.1 sit local $CONAT remote $HA4 mode any ttl inherit tos inherit nopmtudisc encap fou encap-sport 4191 encap-dport 4191; egress
    PORT=$(nat_port); bind udp default $HOA6 $HOA4 $NAT4 $PORT ;;
  esac; }
source_of() { ip -n mn $1 route get $2 $3 $4 $5 $6 | grep -o 'dev [^ ]*\|src [^ ]*' | tr '\n' ' '; }

for format in ip6 ip4 udp; do
  echo "== away, $format"; move $format
  same "IPv6 to anybody" "dev $T src $HOA6 " "$(source_of -6 2001:db8:77::1)"
  same "IPv4 to anybody" "dev $T src $HOA4 " "$(source_of -4 8.8.8.8)"
  expect "ping without a source, IPv6" in_ns mn ping -6 -c1 -W1 $CN6; expect "ping without a source, IPv4" in_ns mn ping -4 -c1 -W1 $CN4
done
echo "== what must stay out of the tunnel"
move ip6
same "from the care-of address, IPv6" "dev eth6" "$(source_of -6 2001:db8:77::1 from $CO6 | grep -o '^dev eth6')"
same "from the care-of address, IPv4" "dev eth4 " "$(source_of -4 8.8.8.8 from $CO4)"
same "through a given device, IPv6" "dev eth6 src $CO6 " "$(source_of -6 2001:db8:a::fe oif eth6 | sed "s/src $HOA6/src $CO6/")"
same "through a given device, IPv4" "dev eth4 src $CO4 " "$(source_of -4 8.8.8.8 oif eth4)"
RLL=$(in_ns r ip -6 addr show dev eth6 scope link | grep -o 'fe80[^/]*')
expect "link-local" in_ns mn ping -6 -c1 -W1 $RLL%eth6
ip -n mn -6 neigh flush dev eth6
expect "neighbour discovery for the router" in_ns mn ping -6 -c1 -W1 -I $CO6 2001:db8:a::fe
same "IPv6 multicast without a device" "out" "$(source_of -6 ff0e::1 | grep -q $T && echo in || echo out)"
same "IPv4 multicast without a device" "out" "$(source_of -4 224.0.0.251 | grep -q $T && echo in || echo out)"
capture mn eth4 'udp port 67' /run/dhcp.pcap
in_ns mn python3 - <<'P'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1); s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth4')
s.bind(('', 68)); s.sendto(b'discover', ('255.255.255.255', 67)); s.sendto(b'renew', ('203.0.114.254', 67))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1); s.sendto(b'unbound', ('255.255.255.255', 67))
P
capture_stop
same "DHCP on its device (broadcast, renewal) and an unbound broadcast" 3 "$("$here/packets.py" /run/dhcp.pcap | wc -l)"
echo "     a renewal by unicast from an unbound socket: $(source_of -4 203.0.114.254)"
capture mn eth6 "ip6 proto 60 or ip6 proto 50" /run/bu.pcap
in_ns mn python3 "$here/signaller.py" mn send 5 $HOA6 $HA6 quiet; in_ns mn ping -6 -c1 -W1 -I $CO6 2001:db8:a::fe > /dev/null; capture_stop
same "a binding update leaves with the care-of address on the access link" "$CO6 > $HA6: DSTOPT ESP" "$(tcpdump -nn -r /run/bu.pcap 2>/dev/null | grep -o "2001[^(]*" | head -1)"
same "a marked one goes to the signalling device" "dev dsmip-sig" "$(source_of -6 $HA6 from $HOA6 mark 0x4191 | grep -o '^dev dsmip-sig')"

echo "== connections"
# talk: a TCP connection that sends a line every 50 ms; lines() counts what the correspondent has received
ip netns exec cn socat -u TCP6-LISTEN:6001,ipv6only=0,fork,reuseaddr OPEN:/run/lines,creat,append & L=$!
wait_for sh -c "ip netns exec cn ss -ltn | grep -q 6001"
sender() { ip netns exec mn python3 -c "
import socket, time, sys
s = socket.create_connection(('$1', 6001)); s.setsockopt(6, 1, 1)
print(s.getsockname()[0], flush=True)
while True: s.sendall(b'$2\n'); time.sleep(0.05)"; }
sender $CN6 six > /run/a6 & S6=$!; sender $CN4 four > /run/a4 & S4=$!
alive() { local a b; a=$(grep -c $1 /run/lines); wait_for sh -c "test \$(grep -c $1 /run/lines) -gt $((a + 5))"; }
wait_for grep -q . /run/a6; wait_for grep -q . /run/a4
same "their source, IPv6" $HOA6 "$(cat /run/a6)"; same "their source, IPv4" "$HOA4" "$(cat /run/a4)"
for format in udp ip4 ip6; do move $format; expect "TCP over IPv6 goes on over $format" alive six; expect "TCP over IPv4 goes on over $format" alive four; done
echo "== home"
ip -n mn link set eth0 up; wait_for sh -c "ip -n mn link show eth0 | grep -q LOWER_UP"
ip netns exec mn tcpdump --immediate-mode -U -nn -i eth0 -w /run/dereg.pcap "ip6 proto 50 or ip6 proto 60" 2> /run/t4 & D=$!; wait_for grep -q listening /run/t4
ip -n mn -6 route add 2001:db8:1::/64 dev eth0 metric 1    # as the home link's router advertises
in_ns mn python3 "$here/signaller.py" mn send 5 $HOA6 $HA6 mark dev eth0 quiet
wait_for sh -c "$here/packets.py /run/dereg.pcap | grep -q ."
same "de-registration on the home link: ESP only, from the home address, while the tunnel still carries payload" "$HOA6 > $HA6: ESP" "$(tcpdump -nn -r /run/dereg.pcap 2>/dev/null | grep -o "2001[^(]*" | head -1)"
kill $D
expect "TCP over IPv6 meanwhile" alive six
# accepted: the home agent withdraws, the node takes its addresses on the link
ip -n ha -6 neigh del proxy $HOA6 dev home; ip -n ha neigh del proxy $HOA4 dev home; ip -n ha -6 route del $HOA6/128; ip -n ha route del $HOA4/32; unbind_elements
ip -n mn -6 addr add $HOA6/64 dev eth0 nodad home; ip -n mn addr add $HOA4/24 dev eth0; no_egress; ip -n mn link del $T
in_ns cn ip neigh flush dev eth0; in_ns cn ip -6 neigh flush dev eth0
expect "TCP over IPv6 at home" alive six; expect "TCP over IPv4 at home" alive four
same "IPv6 to the home link" "dev eth0 src $HOA6 " "$(source_of -6 $CN6)"; same "IPv4 to the home link" "dev eth0 src $HOA4 " "$(source_of -4 $CN4)"
echo "== out again"
move udp
in_ns cn ip neigh flush dev eth0; in_ns cn ip -6 neigh flush dev eth0
echo "     with the addresses still on the home link: $(source_of -6 2001:db8:77::1)| $(source_of -4 8.8.8.8)"
ip -n mn -6 addr del $HOA6/64 dev eth0; ip -n mn addr del $HOA4/24 dev eth0; ip -n mn link set eth0 down; ip -n mn -6 route flush dev eth0
same "the copies on the dummy device stay" 2 "$(ip -n mn addr show dev dsmip-hoa | grep -c -e $HOA6/128 -e $HOA4/32)"
in_ns cn ip neigh flush dev eth0; in_ns cn ip -6 neigh flush dev eth0
expect "TCP over IPv6 away again" alive six; expect "TCP over IPv4 away again" alive four
expect "ping without a source, IPv6" in_ns mn ping -6 -c1 -W1 $CN6; expect "ping without a source, IPv4" in_ns mn ping -4 -c1 -W1 $CN4
echo "== one sit device, encapsulation changed in place"
move ip4
unbind_elements; bind udp default $HOA6 $HOA4 $CO4 4191
ip -n mn link change dsmip-t type sit local $CO4 remote $HA4 mode any ttl inherit tos inherit nopmtudisc encap fou encap-sport 4191 encap-dport 4191
expect "plain to UDP, IPv6" alive six; expect "plain to UDP, IPv4" alive four
unbind_elements; bind ip4 default $HOA6 $HOA4 $CO4
ip -n mn link change dsmip-t type sit local $CO4 remote $HA4 mode any ttl inherit tos inherit nopmtudisc encap none
expect "UDP to plain, IPv6" alive six; expect "UDP to plain, IPv4" alive four
kill $S6 $S4 $L %% 2>/dev/null
finish
