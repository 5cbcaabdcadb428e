#!/bin/bash
# usage: mtu.sh [FORMAT...]   Packets larger than the path, for each format: what comes through, which error with which MTU, whether TCP keeps going. The tunnel devices have 1400;
# the path has 1380 or 1300, at the home agent's own link (near) or at the last one (far).
#   IPv6 inside IPv4: the outer header has no DF, so the path fragments it (RFC 4213 §3.2.1); an error only above the device's MTU.
#   IPv4 inside: outer DF as inside; with DF the sender is told the path's MTU less the overhead; without DF everything arrives.
#   Inside IPv6: the sender is told; IPv4 without DF loses packets until the kernel has learnt the path MTU, then the kernel fragments the inner packet.
#   Limit of the kernel: IPv6 inside IPv6 over a path of less than 1320 octets. It neither tells less than 1280 nor fragments its own tunnel packets.
here=$(dirname "$(readlink -f "$0")"); . "$here/lib.sh"; . "$here/home-agent.sh"
# told FAMILY SIZE [OPTIONS]: what a ping of SIZE octets in all gets: the MTU in the error, ok, or - for nothing
told() {
  local dst=$HOA4 f=-4 h=28; [ $1 = 6 ] && dst=$HOA6 f=-6 h=48
  in_ns cn ip route flush cache; in_ns cn ip -6 route flush cache
  in_ns cn ping $f -c1 -W1 -s $(($2 - h)) $3 $4 $dst > /run/told 2>&1 && { echo ok; return; }
  grep -o 'mtu *=* *[0-9]*' /run/told | grep -o '[0-9]*' | head -1 | grep . || echo -
}
# soon WANTED ARGUMENTS-OF-TOLD: within four tries
soon() { local w=$1 i t; shift; for i in 1 2 3 4; do t=$(told "$@"); [ "$t" = "$w" ] && break; done; same "$FORMAT: IPv$1 of $2 octets ${4+$4}, try $i" "$w" "$t"; }
# tcp FROM TO ADDRESS SOURCE: 300 kB
tcp() {
  local from=$1 to=$2 dst=$3 bind=$4 l
  rm -f /run/got; ip netns exec $to timeout 15 socat -u TCP-LISTEN:5001,pf=$([[ $dst == *:* ]] && echo ip6 || echo ip4),reuseaddr OPEN:/run/got,creat & l=$!
  wait_for sh -c "ip netns exec $to ss -ltn | grep -q 5001"
  head -c 300000 /dev/zero | ip netns exec $from timeout 12 socat -u - TCP:$dst:5001,bind=$bind
  wait $l; [ "$(stat -c %s /run/got)" = 300000 ]
}
run() {
  local where=$2 mtu=$3 l; FORMAT="$1 $2 $3"
  echo "== $1, path MTU $mtu $where"
  ip -all netns del; make_topology; ha_site; mn_site; attach $1
  case $where in      # both ends of a link: veth drops what its peer would not take
  near) ip -n ha link set wan mtu $mtu; ip -n r link set ha mtu $mtu ;;
  far) for l in eth4 eth6; do ip -n r link set $l mtu $mtu; ip -n mn link set $l mtu $mtu; done; ip -n r link set nat mtu $mtu; ip -n nat link set wan mtu $mtu ;;
  esac
  local over; case $1 in ip6) over=40 ;; ip4) over=20 ;; udp) over=28 ;; esac
  if [ $1 = ip6 ]; then
    [ $mtu = 1380 ] && soon 1340 6 1400 || soon 1280 6 1400
    in_ns cn ping -6 -c1 -W1 -s 1200 $HOA6 > /dev/null
    [ $mtu = 1380 ] && soon ok 6 1340
  else
    soon ok 6 1400; soon 1400 6 1401
  fi
  soon $((mtu - over)) 4 1400 -M do
  soon ok 4 $((mtu - over)) -M do
  soon ok 4 1400 -M dont; soon ok 4 3000 -M dont
  in_ns cn ip -6 route flush cache; in_ns cn ip route flush cache
  if [ $1 = ip6 ] && [ $mtu = 1300 ]; then refuse "known limit: TCP over IPv6" tcp cn mn "[$HOA6]" "[$CN6]"
  else expect "TCP over IPv6, down" tcp cn mn "[$HOA6]" "[$CN6]"; expect "TCP over IPv6, up" tcp mn cn "[$CN6]" "[$HOA6]"; fi
  expect "TCP over IPv4, down" tcp cn mn $HOA4 $CN4; expect "TCP over IPv4, up" tcp mn cn $CN4 $HOA4
}
uname -r
for format in ${*:-ip6 ip4 udp}; do for where in near far; do for mtu in 1380 1300; do run $format $where $mtu; done; done; done
echo "== the MTU of a profile: a locked route MTU, honoured for forwarded packets of both families in every format"
ip -all netns del; make_topology; ha_site; mn_site; MTU_LOCK=1300
for format in ip6 ip4 udp; do attach $format; FORMAT=$format; soon 1300 6 1301; soon ok 6 1300; soon 1300 4 1301 -M do; soon ok 4 1300 -M do; soon ok 4 1400 -M dont; done
finish
