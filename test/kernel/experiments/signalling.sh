#!/bin/bash
# Binding updates and acknowledgements: natively over IPv6 (home address option, type 2 routing header, ESP) and over UDP and IPv4 through user space
# (steered to port 4192, written to the TUN device with a flow label, ESP by the kernel). What comes without ESP, with a foreign home address option or
# out of a tunnel is dropped by the kernel.
here=$(dirname "$(readlink -f "$0")"); . "$here/lib.sh"; . "$here/home-agent.sh"
make_topology; ha_site; mn_site
K1=0x0102030405060708090a0b0c0d0e0f1011121314 K2=0x0102030405060708090a0b0c0d0e0f1011121315
sas() { # NAMESPACE
  ip -n $1 xfrm state add src $HOA6 dst $HA6 proto esp spi 0x1000 reqid 1 mode transport replay-window 32 aead 'rfc4106(gcm(aes))' $K1 128 sel src $HOA6/128 dst $HA6/128 proto 135
  ip -n $1 xfrm state add src $HA6 dst $HOA6 proto esp spi 0x1001 reqid 1 mode transport replay-window 32 aead 'rfc4106(gcm(aes))' $K2 128 sel src $HA6/128 dst $HOA6/128 proto 135
}
ESP="tmpl src :: dst :: proto esp reqid 1 mode transport"
sas ha
ip -n ha xfrm policy add src $HOA6/128 dst $HA6/128 proto 135 dir in priority 100 $ESP
ip -n ha xfrm policy add src $HA6/128 dst $HOA6/128 proto 135 dir out priority 100 $ESP
ip -n ha xfrm policy add src ::/0 dst $HA6/128 proto 135 ${BLOCKTYPE-} dir in priority 200 action block
ip -n ha xfrm state add src :: dst :: proto hao mode ro coa :: flag wildrecv
for p in ${SUB-50 135}; do ip -n ha xfrm policy add src ::/0 dst ::/0 proto $p dir in ptype sub priority 300 tmpl src :: dst :: proto hao mode ro level use; done
ip -n ha -6 rule add fwmark 0x4191 lookup 4191
sas mn
ip -n mn xfrm state add src $HOA6 dst $HA6 proto hao mode ro coa $CO6 reqid 2
ip -n mn xfrm policy add src $HA6/128 dst $HOA6/128 proto 135 dir in priority 100 $ESP
ip -n mn xfrm state add src :: dst :: proto route2 mode ro coa :: flag wildrecv
for p in ${SUB-50 135}; do ip -n mn xfrm policy add src ::/0 dst ::/0 proto $p dir in ptype sub priority 300 tmpl src :: dst :: proto route2 mode ro level use; done
mn_out() { # esp | plain: whether the mobile node protects
  ip -n mn xfrm policy del src $HOA6/128 dst $HA6/128 proto 135 dir out 2>/dev/null; ip -n mn xfrm policy del src $HOA6/128 dst $HA6/128 proto 135 dir out mark 0x4191 2>/dev/null
  local e=; [ $1 = esp ] && e="tmpl src $HOA6 dst $HA6 proto esp reqid 1 mode transport"
  ip -n mn xfrm policy add src $HOA6/128 dst $HA6/128 proto 135 dir out priority 110 tmpl src $HOA6 dst $HA6 proto hao reqid 2 mode ro $e
  [ $1 = esp ] && ip -n mn xfrm policy add src $HOA6/128 dst $HA6/128 proto 135 dir out mark 0x4191 mask 0xffffffff priority 100 $e
}
for n in ha mn; do ip -n $n tuntap add dsmip-sig mode tun; ip -n $n link set dsmip-sig addrgenmode none; ip -n $n link set dsmip-sig up mtu 1400; ip -n $n -6 route add default dev dsmip-sig table 4190; done
ip -n ha -6 rule del fwmark 0x4191; ip -n ha -6 rule add fwmark 0x4191 lookup 4190 pref 100
ip -n mn -6 rule add fwmark 0x4191 lookup 4190 pref 100
in_ns mn nft -f - <<N
table inet dsmipd {
  chain prerouting { type filter hook prerouting priority -350;
    ip saddr $HA4 udp sport 4191 @th,64,8 & 0xf0 == 0x60 @th,256,128 $(hex6 $HOA6) @th,128,128 $(hex6 $HA6) @th,112,8 { 43, 50, 135 } udp dport set 4192 udp checksum set 0 notrack
  }
  chain sig { type filter hook output priority -350;
    ip daddr $HA4 udp sport 4192 udp sport set 4191 udp checksum set 0 notrack
  }
}
N
in_ns r ping -6 -c1 -W1 2001:db8:f::1 > /dev/null; in_ns mn ping -6 -c1 -W1 $HA6 > /dev/null; in_ns mn ping -c1 -W1 $HA4 > /dev/null
ip netns exec ha python3 "$here/signaller.py" ha 900 > /run/ha.out 2>&1 & HAPID=$!
wait_for grep -q READY /run/ha.out
uname -r
bu() { : > /run/ha.new; cp /run/ha.out /run/ha.old; in_ns mn python3 "$here/signaller.py" mn send "$@" > /run/mn.out 2>&1; sed 's/label=0x[^5][^ ]* //' /run/mn.out | tr '\n' ' '; news | tr '\n' ' '; }
news() { tail -c +$(($(stat -c %s /run/ha.old) + 1)) /run/ha.out | grep GOT; }
stat_of() { in_ns ha awk -v n=$1 '$1 == n { print $2 }' /proc/net/xfrm_stat; }

echo "== native"
mn_tunnel ip6
mn_out esp
capture r ha 'ip6 proto 50 or ip6[6] == 60 or ip6[6] == 43' /run/n.pcap
same "BU and BA" "GOT type=6 src=$HA6 coa=rthdr $CO6 dev=eth6 GOT type=5 src=$HOA6 outer=None coa=$CO6 dev=wan " "$(bu 5 $HOA6 $HA6)"
capture_stop; tcpdump -nn -r /run/n.pcap 2>/dev/null | cut -d' ' -f2- | cut -c1-150 | sed 's/^/     | /'
ip -n mn -6 addr add 2001:db8:a::22/64 dev eth6 nodad
ip -n mn xfrm state update src $HOA6 dst $HA6 proto hao mode ro coa 2001:db8:a::22 reqid 2
same "the care-of address of the hao state changes in place" "GOT type=6 src=$HA6 coa=rthdr 2001:db8:a::22 dev=eth6 GOT type=5 src=$HOA6 outer=None coa=2001:db8:a::22 dev=wan " "$(bu 5 $HOA6 $HA6)"
mn_out plain
same "without ESP: dropped" "NOTHING" "$(bu 5 $HOA6 $HA6 | tr -d ' ')"
ip -n r -6 addr replace 2001:db8:9::9/128 dev lo nodad
cp /run/ha.out /run/ha.old
for k in 0 1 4 5 6 7; do in_ns r python3 "$here/signaller.py" mn send $k 2001:db8:9::9 $HA6 quiet; done
in_ns r ping -6 -c1 -W1 2001:db8:f::1 > /dev/null
same "a stranger's mobility messages without ESP (types 0 1 4 5 6 7)" "" "$(news)"
expect "blocked by policy" test "$(stat_of XfrmInPolBlock)" -ge 6    # each raw socket counts
before=$(stat_of XfrmInNoPols)
in_ns r python3 - <<P
import sys; sys.path.insert(0, '$here')
from craft import *
def echo(src, dst):
    b = struct.pack('!BBHHH', 128, 0, 0, 1, 1); p = a(src) + a(dst) + struct.pack('!II', len(b), 58)
    return b[:2] + struct.pack('!H', checksum(p + b)) + b[4:]
hao = bytes([58, 2, 1, 2, 0, 0, 0xc9, 16]) + a('$HOA6')
send(ip6('$CO6', '$HA6', 60, hao + echo('$HOA6', '$HA6')))
hao = bytes([17, 2, 1, 2, 0, 0, 0xc9, 16]) + a('$HOA6')
send(ip6('$CO6', '$HA6', 60, hao + udp_in('$HOA6', '$HA6', 9, 53)))
P
in_ns r ping -6 -c1 -W1 2001:db8:f::1 > /dev/null
expect "home address options before anything but ESP and mobility headers: dropped" test "$(stat_of XfrmInNoPols)" -ge $((before + 2))

echo "== UDP"
mn_out esp
same "BU and BA behind the NAT" "GOT type=6 src=$HA6 label=0x50001 coa=None dev=dsmip-sig" "$(bu 5 $HOA6 $HA6 mark udp $CONAT $HA4 | grep -o 'GOT type=6.*dsmip-sig GOT' | sed 's/ GOT$//')"
news > /run/got
expect "the home agent knows the outer address and port: $(grep -o 'outer=[^c]*' /run/got)" grep -q "^GOT type=5 src=$HOA6 outer=('$NAT4', [0-9]*) coa=None dev=dsmip-sig" /run/got
same "acknowledgements left through ESP only" "TUN nexthdr=50" "$(grep TUN /run/ha.out | sort -u)"
mn_out plain
ip -n mn xfrm policy add src $HOA6/128 dst $HA6/128 proto 135 dir out mark 0x4191 mask 0xffffffff priority 100
before=$(stat_of XfrmInTmplMismatch)
same "without ESP over UDP: dropped" "NOTHING" "$(bu 5 $HOA6 $HA6 mark udp $CONAT $HA4 | tr -d ' ')"
expect "by the kernel's policy check" test "$(stat_of XfrmInTmplMismatch)" -gt $before

echo "== out of a tunnel"
for format in ip6 ip4 udp; do
  attach $format; mn_out esp
  # at home's policy without mark: ESP only, so that the update goes into the tunnel
  ip -n mn xfrm policy update src $HOA6/128 dst $HA6/128 proto 135 dir out priority 110 tmpl src $HOA6 dst $HA6 proto esp reqid 1 mode transport
  before=$(counter ha tunnelled-signalling); steered=$(counter ha signalling)
  got=$(bu 5 $HOA6 $HA6)
  case $format in
  udp) expect "$format: steered to user space, so the outer header is known: $got" test "$(counter ha signalling)" = $((steered + 1)) ;;
  *) same "$format: a protected update in the tunnel: dropped" "NOTHING" "$(echo $got)"; same "and counted" $((before + 1)) "$(counter ha tunnelled-signalling)" ;;
  esac
done
kill $HAPID
finish
