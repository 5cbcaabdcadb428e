# The home agent's data path by hand, as KERNEL.md describes it; source it after lib.sh and make_topology.
# attach FORMAT [PROFILE]: both ends of one binding. FORMAT: ip6 | ip4 | udp; PROFILE: default (copy DSCP, TTL 64) | fixed (DSCP 46, TTL 77).

# The traffic class octet of the inner header as the first 16 bits of the outer one, for all 256 values.
class_maps() {
  python3 - <<'P'
print("map class-6 { typeof @th,0,16 : @nh,0,16; elements = { " + ", ".join(f"0x{t<<4:04x} : 0x{0x6000|t<<4:04x}" for t in range(256)) + " }; }")
print("map class-4 { typeof @th,8,8 : @nh,0,16; elements = { " + ", ".join(f"0x{t:02x} : 0x{0x6000|t<<4:04x}" for t in range(256)) + " }; }")
P
}

# device NAMESPACE NAME ADDRESS TYPE...: a tunnel device with an internal IPv4 address of its own
device() {
  local n=$1 d=$2 a=$3; shift 3
  ip -n $n link add $d mtu 1400 type "$@" || bad "$d"
  ip -n $n link set $d addrgenmode none; ip -n $n link set $d up; ip -n $n addr add $a/32 dev $d scope host
  in_ns $n sysctl -qw net.ipv4.conf.$d.rp_filter=2
}

ha_site() {
  in_ns ha ip fou add port 4191 gue
  device ha dsmip-in4 240.41.65.4 sit local $HA4 mode any ttl inherit tos inherit nopmtudisc
  device ha dsmip-in6 240.41.65.6 ip6tnl local $HA6 mode any encaplimit none
  device ha dsmip-p-c-64 240.41.64.64 sit local 240.41.64.64 mode any ttl inherit tos inherit nopmtudisc
  device ha dsmip-u-c-64 240.91.64.64 sit local 240.91.64.64 mode any ttl inherit tos inherit nopmtudisc encap fou encap-sport 4191 encap-dport 4191
  device ha dsmip-p-46-77 240.41.46.77 sit local 240.41.46.77 mode any ttl inherit tos 0xb8 nopmtudisc
  device ha dsmip-u-46-77 240.91.46.77 sit local 240.91.46.77 mode any ttl inherit tos 0xb8 nopmtudisc encap fou encap-sport 4191 encap-dport 4191
  device ha dsmip-out6 240.41.65.0 ip6tnl external
  # IPv4 packets without DF in IPv6: the kernel fragments them by the learnt path MTU only with this; unicast NS for home addresses needs the other
  in_ns ha sysctl -qw net.ipv4.ip_forward_use_pmtu=1 net.ipv6.conf.all.proxy_ndp=1
  # IPv4-compatible destinations: the kernel gives each sit device a route ::/96, through which anybody could send IPv4 packets in our name
  ip -n ha -6 route add ::/96 dev lo metric 1
  { cat <<N
table inet dsmipd {
  counter spoofed-udp { }
  counter spoofed-ip4 { }
  counter spoofed-ip6 { }
  counter bad-version { }
  counter send-only { }
  counter tunnelled-signalling { }
  counter signalling { }
  counter no-port { }
  map port-6 { typeof ip daddr . @th,256,128 : udp dport; }
  map port-4 { typeof ip daddr . @th,192,32 : udp dport; }
  set udp-6 { typeof ip saddr . udp sport . @th,128,128; }
  set udp-4 { typeof ip saddr . udp sport . @th,160,32; }
  set ip4-6 { typeof ip saddr . @th,64,128; }
  set ip4-4 { typeof ip saddr . @th,96,32; }
  set ip6-6 { typeof ip6 saddr . @th,64,128; }
  set ip6-4 { typeof ip6 saddr . @th,96,32; }
  set fixed-6 { typeof @th,192,128; }
  set fixed-4 { typeof @th,128,32; }
N
  class_maps
  cat <<N
  chain prerouting { type filter hook prerouting priority -350;
    iifname { "dsmip-p-c-64", "dsmip-u-c-64", "dsmip-p-46-77", "dsmip-u-46-77", "dsmip-out6" } counter name send-only drop
    ip daddr $HA4 udp dport 4191 jump steer
    ip daddr $HA4 meta l4proto { 4, 41 } notrack
    ip6 daddr $HA6 meta l4proto { 4, 41 } notrack
  }
  chain steer {
    @th,64,8 & 0xf0 == 0x60 @th,256,128 $(hex6 $HA6) @th,112,8 { 43, 50, 60, 135 } udp dport set 4192 udp checksum set 0 counter name signalling
    notrack
  }
  chain input { type filter hook input priority 0;
    iifname { "dsmip-in4", "dsmip-in6" } meta l4proto 135 counter name tunnelled-signalling drop
    ip daddr $HA4 udp dport 4191 jump in-udp
    ip daddr $HA4 meta l4proto 41 jump in-ip4-6
    ip daddr $HA4 meta l4proto 4 jump in-ip4-4
    ip daddr 240.0.0.0/8 counter name spoofed-ip4 drop
    ip6 daddr $HA6 meta l4proto 41 jump in-ip6-6
    ip6 daddr $HA6 meta l4proto 4 jump in-ip6-4
  }
  chain in-udp {
    @th,64,8 & 0xf0 == 0x60 ip saddr . udp sport . @th,128,128 @udp-6 accept
    @th,64,8 & 0xf0 == 0x40 ip saddr . udp sport . @th,160,32 @udp-4 accept
    @th,64,8 & 0xf0 == { 0x40, 0x60 } counter name spoofed-udp drop
    counter name bad-version drop
  }
  chain in-ip4-6 {
    ip saddr . @th,64,128 @ip4-6 accept
    counter name spoofed-ip4 drop
  }
  chain in-ip4-4 {
    ip saddr . @th,96,32 @ip4-4 accept
    counter name spoofed-ip4 drop
  }
  # IPv6 fragments reach this hook before reassembly: the first one is judged; the others load nothing at @th and pass, and without their first one
  # they are nothing. 24 bits on purpose: loads of 1, 2 and 4 octets take a fast path in the kernel that does not know of fragments.
  chain in-ip6-6 {
    ip6 saddr . @th,64,128 @ip6-6 accept
    @th,0,24 >= 0 counter name spoofed-ip6 drop
  }
  chain in-ip6-4 {
    ip6 saddr . @th,96,32 @ip6-4 accept
    @th,0,24 >= 0 counter name spoofed-ip6 drop
  }
  # type route: the kernel looks up the outer route again when saddr has changed
  chain output-4 { type route hook output priority -350;
    ip saddr 240.91.64.64 ip ttl set 64 jump out-udp
    ip saddr 240.91.46.77 ip ttl set 77 jump out-udp
    ip saddr 240.41.64.64 ip ttl set 64 jump out-ip4
    ip saddr 240.41.46.77 ip ttl set 77 jump out-ip4
    ip saddr $HA4 udp sport 4192 udp sport set 4191 udp checksum set 0 notrack
  }
  chain out-udp {
    ip saddr set $HA4
    @th,64,8 & 0xf0 == 0x60 udp dport set ip daddr . @th,256,128 map @port-6 udp checksum set 0 notrack accept
    @th,64,8 & 0xf0 == 0x40 udp dport set ip daddr . @th,192,32 map @port-4 udp checksum set 0 notrack accept
    counter name no-port drop
  }
  chain out-ip4 {
    ip saddr set $HA4 notrack
  }
  chain output-6 { type filter hook output priority -350;
    ip6 saddr $HA6 meta l4proto 41 jump out-ip6-6
    ip6 saddr $HA6 meta l4proto 4 jump out-ip6-4
  }
  chain out-ip6-6 {
    notrack
    @th,192,128 @fixed-6 accept
    @nh,0,16 set @th,0,16 & 0x0ff0 map @class-6
  }
  chain out-ip6-4 {
    notrack
    @th,128,32 @fixed-4 accept
    @nh,0,16 set @th,8,8 map @class-4
  }
}
N
  } > /run/ha.nft
  in_ns ha nft -f /run/ha.nft || bad "nft refuses the table"
}

hex6() { python3 -c "import ipaddress,sys;print('0x'+ipaddress.ip_address(sys.argv[1]).packed.hex())" $1; }
hex4() { printf '0x%02x%02x%02x%02x' ${1//./ }; }
# bind FORMAT PROFILE HOA6 HOA4 CAREOF [PORT]: adds the elements, replaces the routes
bind() {
  local format=$1 profile=$2 h6=$3 h4=$4 coa=$5 port=$6 x6 x4 class=c-64 tc=0 ttl=64 fixed=''
  x6=$(hex6 $3); x4=$(hex4 $4)
  [ $profile = fixed ] && class=46-77 tc=0xb8 ttl=77
  ip -n ha -6 neigh replace proxy $h6 dev home; ip -n ha neigh replace proxy $h4 dev home
  case $format in
  ip6) [ $profile = fixed ] && fixed="add element inet dsmipd fixed-6 { $x6 }; add element inet dsmipd fixed-4 { $x4 }"
    in_ns ha nft "add element inet dsmipd ip6-6 { $coa . $x6 }; add element inet dsmipd ip6-4 { $coa . $x4 }; $fixed" &&
    ip -n ha -6 route replace $h6/128 encap ip6 dst $coa src $HA6 hoplimit $ttl tc $tc dev dsmip-out6 src $HA6 ${MTU_LOCK:+mtu lock $MTU_LOCK} &&
    ip -n ha route replace $h4/32 encap ip6 dst $coa src $HA6 hoplimit $ttl tc $tc dev dsmip-out6 src $HA4 ${MTU_LOCK:+mtu lock $MTU_LOCK} ;;
  ip4) in_ns ha nft "add element inet dsmipd ip4-6 { $coa . $x6 }; add element inet dsmipd ip4-4 { $coa . $x4 }" &&
    ip -n ha -6 route replace $h6/128 via ::$coa dev dsmip-p-$class onlink src $HA6 ${MTU_LOCK:+mtu lock $MTU_LOCK} &&
    ip -n ha route replace $h4/32 via $coa dev dsmip-p-$class onlink src $HA4 ${MTU_LOCK:+mtu lock $MTU_LOCK} ;;
  udp) in_ns ha nft "add element inet dsmipd udp-6 { $coa . $port . $x6 }; add element inet dsmipd udp-4 { $coa . $port . $x4 }; \
                     add element inet dsmipd port-6 { $coa . $x6 : $port }; add element inet dsmipd port-4 { $coa . $x4 : $port }" &&
    ip -n ha -6 route replace $h6/128 via ::$coa dev dsmip-u-$class onlink src $HA6 ${MTU_LOCK:+mtu lock $MTU_LOCK} &&
    ip -n ha route replace $h4/32 via $coa dev dsmip-u-$class onlink src $HA4 ${MTU_LOCK:+mtu lock $MTU_LOCK} ;;
  esac || bad "bind $*"
}
unbind_elements() {
  local s all=''
  for s in udp-6 udp-4 ip4-6 ip4-4 ip6-6 ip6-4 fixed-6 fixed-4; do all="$all flush set inet dsmipd $s;"; done
  in_ns ha nft "$all flush map inet dsmipd port-6; flush map inet dsmipd port-4"
}

# The mobile node's end: home addresses on a dummy device, one tunnel device at a time.
mn_site() {
  in_ns mn ip fou add port 4191 gue
  ip -n mn link add dsmip-hoa type dummy; ip -n mn link set dsmip-hoa up
  ip -n mn -6 addr add $HOA6/128 dev dsmip-hoa nodad home; ip -n mn addr add $HOA4/32 dev dsmip-hoa
  ip -n mn -6 rule add from $HOA6 lookup 4191; ip -n mn rule add from $HOA4 lookup 4191
  in_ns mn nft -f - <<N
table inet dsmipd {
  chain output-4 { type filter hook output priority -350;
    ip daddr $HA4 udp sport 4191 ip ttl set 64 notrack
    ip daddr $HA4 meta l4proto { 4, 41 } ip ttl set 64 notrack
  }
}
N
}
mn_tunnel() {
  ip -n mn link del dsmip-t 2>/dev/null
  case $1 in
  ip6) device mn dsmip-t 240.41.65.1 ip6tnl local $CO6 remote $HA6 mode any tclass inherit hoplimit 64 encaplimit none ;;
  ip4) device mn dsmip-t 240.41.65.1 sit local $CO4 remote $HA4 mode any ttl inherit tos inherit nopmtudisc ;;
  udp) device mn dsmip-t 240.41.65.1 sit local $CONAT remote $HA4 mode any ttl inherit tos inherit nopmtudisc encap fou encap-sport 4191 encap-dport 4191 ;;
  esac
  ip -n mn -6 route replace default dev dsmip-t table 4191 src $HOA6; ip -n mn route replace default dev dsmip-t table 4191 src $HOA4
}
# nat_port: the port that the NAT has given the mobile node (any packet to the home agent's port opens it)
nat_port() {
  in_ns mn ping -6 -c1 -W0.2 -I $HOA6 $CN6 > /dev/null
  in_ns nat conntrack -L -p udp 2>/dev/null | grep "src=$CONAT" | grep -o 'dport=[0-9]*' | tail -1 | cut -d= -f2
}
attach() {
  unbind_elements; mn_tunnel $1
  case $1 in
  ip6) bind ip6 ${2:-default} $HOA6 $HOA4 $CO6 ;;
  ip4) bind ip4 ${2:-default} $HOA6 $HOA4 $CO4 ;;
  udp) PORT=$(nat_port); bind udp ${2:-default} $HOA6 $HOA4 $NAT4 $PORT ;;
  esac
}
