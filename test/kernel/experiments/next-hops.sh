#!/bin/bash
# A sit device without a remote keeps ONE outer route for the IPv6 packets of all its nodes (dst_cache without a key in net/ipv6/sit.c):
# with two uplinks, packets for one node leave towards the other's next hop. Shown first; then the cure: rewriting saddr in a `type route`
# output chain makes the kernel look up the route again. IPv4 payload takes another function and is not affected.
here=$(dirname "$(readlink -f "$0")"); . "$here/lib.sh"; . "$here/home-agent.sh"
make_topology
link ha wan2 r ha2; ip -n ha addr add 203.0.117.1/24 dev wan2; ip -n r addr add 203.0.117.254/24 dev ha2
ip -n ha route add $NAT4/32 via 203.0.117.254       # node 2 over the second uplink
in_ns r sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.ha2.rp_filter=0
in_ns r ping -c1 -W1 $HA4 > /dev/null; in_ns ha ping -c1 -W1 203.0.117.254 > /dev/null
uname -r
# sent DEVICE DESTINATION: IPv4 packets to DESTINATION seen leaving through DEVICE while 5 packets went to each node alternately
round() {
  local i
  ip netns exec ha tcpdump --immediate-mode -U -nn -i wan -w /run/w1.pcap 'ip and not icmp' 2> /run/t1 & local a=$!
  ip netns exec ha tcpdump --immediate-mode -U -nn -i wan2 -w /run/w2.pcap 'ip and not icmp' 2> /run/t2 & local b=$!
  wait_for grep -q listening /run/t1; wait_for grep -q listening /run/t2
  for i in 1 2 3 4 5; do in_ns cn ping -6 -c1 -W0.05 $HOA6 > /dev/null; in_ns cn ping -6 -c1 -W0.05 2001:db8:1::200 > /dev/null; done
  for i in 1 2 3 4 5; do in_ns cn ping -c1 -W0.05 $HOA4 > /dev/null; in_ns cn ping -c1 -W0.05 198.51.100.200 > /dev/null; done
  kill $a $b; wait $a $b 2>/dev/null
}
seen() { "$here/packets.py" /run/$1.pcap ">$2 " "proto=$3 " | wc -l; }
for h in 100 200; do ip -n ha -6 neigh add proxy 2001:db8:1::$h dev home; ip -n ha neigh add proxy 198.51.100.$h dev home; done

echo "== a plain NBMA device"
ip -n ha link add naive mtu 1400 type sit local $HA4 mode any ttl 64; ip -n ha link set naive up
ip -n ha -6 route add $HOA6/128 via ::$CO4 dev naive; ip -n ha -6 route add 2001:db8:1::200/128 via ::$NAT4 dev naive
ip -n ha route add $HOA4/32 via $CO4 dev naive onlink; ip -n ha route add 198.51.100.200/32 via $NAT4 dev naive onlink
round
same "IPv6 inside, node 1 over wan" 5 $(seen w1 $CO4 41)
same "IPv6 inside, node 2 over wan2: none, they follow node 1" 0 $(seen w2 $NAT4 41)
same "IPv6 inside, node 2 over wan, the wrong uplink" 5 $(seen w1 $NAT4 41)
same "IPv4 inside, node 2 over wan2" 5 $(seen w2 $NAT4 4)
ip -n ha link del naive

echo "== the home agent's devices"
ha_site
bind ip4 default $HOA6 $HOA4 $CO4; bind ip4 default 2001:db8:1::200 198.51.100.200 $NAT4
round
same "IPv6 inside, node 1 over wan" 5 $(seen w1 $CO4 41)
same "IPv6 inside, node 2 over wan2" 5 $(seen w2 $NAT4 41)
same "IPv6 inside, node 2 over wan" 0 $(seen w1 $NAT4 41)
same "IPv4 inside, node 1 over wan" 5 $(seen w1 $CO4 4)
same "IPv4 inside, node 2 over wan2" 5 $(seen w2 $NAT4 4)
echo "== the same over UDP, node 2 alone"
unbind_elements; bind udp default 2001:db8:1::200 198.51.100.200 $NAT4 5000; bind udp default $HOA6 $HOA4 $CO4 4191
round
same "UDP, node 1 over wan" 10 $(seen w1 $CO4 17)
same "UDP, node 2 over wan2" 10 $(seen w2 $NAT4 17)
finish
