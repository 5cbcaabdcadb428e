# Common topology of the experiments; source it. Needs root in a kernel with sit, ip6tnl, fou, ESP, MIP6 and nftables
# (a test bench, never a machine in use: namespaces get plain names).
#
#   cn ─┐
#       hl ──home── ha ──wan── r ──eth4── mn      IPv4 access, public address
#   mn ─┘ eth0 (down)      r ──eth6── mn      IPv6 access
#                          r ──wan── nat ──lan── mn   IPv4 access behind a NAT
# hl is the home link, a bridge.
#
# Home network 2001:db8:1::/64 and 198.51.100.0/24, home agent 2001:db8:1::1 and 203.0.113.1, home addresses ::100 and .100.
set +e
HA6=2001:db8:1::1 HA4=203.0.113.1 HOA6=2001:db8:1::100 HOA4=198.51.100.100
CN6=2001:db8:1::2 CN4=198.51.100.2
CO6=2001:db8:a::2 CO4=203.0.114.2 CONAT=10.0.0.2 NAT4=203.0.115.2
FAILED=0

ok() { echo "ok   $*"; }
bad() { echo "FAIL $*"; FAILED=1; }
# expect TEXT COMMAND...: the command must succeed
expect() { local text=$1; shift; if "$@" > /run/expect.out 2>&1; then ok "$text"; else bad "$text"; sed 's/^/     | /' /run/expect.out; fi; }
refuse() { local text=$1; shift; if "$@" > /run/expect.out 2>&1; then bad "$text"; sed 's/^/     | /' /run/expect.out; else ok "$text"; fi; }
same() { if [ "$2" = "$3" ]; then ok "$1 ($2)"; else bad "$1: wanted '$2', got '$3'"; fi; }
finish() { [ $FAILED = 0 ] && echo "ALL OK" || echo "SOME FAILED"; exit $FAILED; }

in_ns() { local n=$1; shift; ip netns exec "$n" "$@"; }
link() { ip link add "$2" netns "$1" type veth peer name "$4" netns "$3"; ip -n "$1" link set "$2" up; ip -n "$3" link set "$4" up; }

make_topology() {
  local n
  modprobe -a sit ip6_tunnel fou fou6 esp4 esp6 mip6 veth dummy nf_tables tun 2>/dev/null
  for n in cn hl ha r nat mn; do ip netns add $n; ip -n $n link set lo up; done
  for n in cn ha r nat mn; do in_ns $n sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1; done   # the hardest case
  for n in ha r nat; do in_ns $n sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; done
  ip -n hl link add br0 type bridge; ip -n hl link set br0 up
  link cn eth0 hl cn; link ha home hl ha; link mn eth0 hl mn; for n in cn ha mn; do ip -n hl link set $n master br0; done; ip -n mn link set eth0 down
  link ha wan r ha; link r eth4 mn eth4; link r eth6 mn eth6; link r nat nat wan; link nat lan mn lan
  ip -n ha addr add 198.51.100.1/24 dev home; ip -n ha -6 addr add $HA6/64 dev home nodad
  ip -n cn addr add $CN4/24 dev eth0; ip -n cn -6 addr add $CN6/64 dev eth0 nodad
  ip -n cn route add default via 198.51.100.1; ip -n cn -6 route add default via $HA6
  ip -n ha addr add $HA4/24 dev wan; ip -n ha -6 addr add 2001:db8:f::1/64 dev wan nodad
  ip -n r addr add 203.0.113.254/24 dev ha; ip -n r -6 addr add 2001:db8:f::fe/64 dev ha nodad
  ip -n ha route add default via 203.0.113.254; ip -n ha -6 route add default via 2001:db8:f::fe
  ip -n r addr add 203.0.114.254/24 dev eth4; ip -n r addr add 203.0.115.254/24 dev nat
  ip -n r -6 addr add 2001:db8:a::fe/64 dev eth6 nodad; ip -n r -6 route add 2001:db8:1::/64 via 2001:db8:f::1
  ip -n nat addr add $NAT4/24 dev wan; ip -n nat addr add 10.0.0.1/24 dev lan; ip -n nat route add default via 203.0.115.254
  ip -n mn addr add $CO4/24 dev eth4; ip -n mn -6 addr add $CO6/64 dev eth6 nodad; ip -n mn addr add $CONAT/24 dev lan
  ip -n mn -6 route add default via 2001:db8:a::fe
  in_ns nat nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; add rule ip nat post oifname "wan" masquerade random'
  in_ns ha sysctl -qw net.ipv6.conf.home.proxy_ndp=1 net.ipv6.neigh.home.proxy_delay=0 net.ipv4.neigh.home.proxy_delay=0
  # IPv4 uplink of the mobile node by source, so that all three accesses work side by side
  ip -n mn route add default via 203.0.114.254 dev eth4; ip -n mn route add default via 10.0.0.1 dev lan table 10; ip -n mn rule add from $CONAT lookup 10
}

wait_for() { local i; for i in $(seq 200); do "$@" > /dev/null 2>&1 && return 0; sleep 0.02; done; return 1; }
# counter NAMESPACE NAME: packets in the named counter of table inet dsmipd
counter() { in_ns "$1" nft list counter inet dsmipd "$2" | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }
# capture NAMESPACE DEVICE FILTER FILE: starts tcpdump and waits until it listens; stop with capture_stop
capture() { ip netns exec "$1" tcpdump --immediate-mode -U -nn -i "$2" -w "$4" "$3" 2> /run/tcpdump.err & CAPTURE=$!; wait_for grep -q 'listening on' /run/tcpdump.err; }
capture_stop() { kill -TERM $CAPTURE; wait $CAPTURE 2>/dev/null; : > /run/tcpdump.err; }
