#!/bin/bash
# Anti-spoofing before decapsulation: what comes through is exactly what the registered pair of outer and inner source (and port) sends, in every
# encapsulation, with options, extension headers and fragments; everything else is dropped and counted.
here=$(dirname "$(readlink -f "$0")"); . "$here/lib.sh"; . "$here/home-agent.sh"
make_topology; ha_site
in_ns r sysctl -qw net.ipv4.conf.all.rp_filter=0
in_ns r ip route add 240.0.0.0/8 via $HA4; in_ns r ip -6 route add 2001:db8:f::1/128 dev ha 2>/dev/null
in_ns r ping -c1 $HA4 > /dev/null; in_ns cn ping -6 -c1 $HA6 > /dev/null; in_ns r ping -6 -c1 2001:db8:f::1 > /dev/null
uname -r
# Another node, so that its home addresses are registered, but elsewhere
OTHERS() { bind ip6 default 2001:db8:1::200 198.51.100.200 2001:db8:a::77; bind ip4 default 2001:db8:1::200 198.51.100.200 203.0.114.77; bind udp default 2001:db8:1::200 198.51.100.200 203.0.114.77 4191; }
try() {
  unbind_elements; OTHERS
  case $1 in ip6) bind ip6 default $HOA6 $HOA4 $CO6 ;; ip4) bind ip4 default $HOA6 $HOA4 $CO4 ;; udp) bind udp default $HOA6 $HOA4 $CO4 4191 ;; esac
  capture cn eth0 'udp portrange 20000-20999' /run/cn.pcap
  in_ns r python3 "$here/spoof.py" $1 > /run/cases
  in_ns r ping -6 -c1 -W1 $CN6 > /dev/null; capture_stop     # behind everything else in the same queues
  tcpdump -nn -r /run/cn.pcap 2>/dev/null | grep -o '\.20[0-9]*: UDP' | grep -o '20[0-9]*' | sort -u > /run/seen
  while read -r tag want text; do
    if grep -qx $tag /run/seen; then got=wanted; else got=unwanted; fi
    [ $want = $got ] && ok "$([ $want = wanted ] && echo passes || echo stopped): $text" || bad "$text ($want)"
  done < /run/cases
  same "nothing came from the other node's addresses" 0 "$(tcpdump -nn -r /run/cn.pcap 'src host 2001:db8:1::200 or src host 198.51.100.200' 2>/dev/null | wc -l)"
  for c in spoofed-udp spoofed-ip4 spoofed-ip6 bad-version send-only tunnelled-signalling; do echo "     $c $(counter ha $c)"; done
}
echo "== UDP"; try udp
before=$(counter ha bad-version); spoofed=$(counter ha spoofed-udp)
in_ns r python3 "$here/spoof.py" version; in_ns r ping -c1 $HA4 > /dev/null
same "14 wrong version nibbles and an empty datagram are counted" $((before + 15)) "$(counter ha bad-version)"
same "3 inner headers without a source are counted as spoofed" $((spoofed + 3)) "$(counter ha spoofed-udp)"
echo "== plain IPv4"
capture r ha "dst host 203.0.113.254 and proto 41" /run/relay.pcap; relay=$CAPTURE
try ip4
CAPTURE=$relay; capture_stop
same "nothing is relayed to an IPv4-compatible destination" 0 "$("$here/packets.py" /run/relay.pcap | wc -l)"
echo "== IPv6"; try ip6
same "Mobility Header out of a tunnel" 1 "$(counter ha tunnelled-signalling)"
same "packets to another address of the home agent end at the send-only device" 2 "$(counter ha send-only)"
finish
