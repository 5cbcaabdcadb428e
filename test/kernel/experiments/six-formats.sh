#!/bin/bash
# Six formats, both directions, over shared devices, with the default profile and one with a fixed DSCP and TTL.
# Proves: send-only sit devices with internal local addresses and the rewriting of saddr, TTL and port; the receive-only sit and ip6tnl devices;
# the traffic class maps and their exceptions; the outer DF is the inner DF for IPv4 payload and clear for IPv6 payload.
here=$(dirname "$(readlink -f "$0")"); . "$here/lib.sh"; . "$here/home-agent.sh"
make_topology; ha_site; mn_site
uname -r
line() { "$here/packets.py" /run/c.pcap "$@" > /run/line; [ -s /run/line ]; }
for format in ip6 ip4 udp; do for profile in default fixed; do
  echo "== $format $profile"
  attach $format $profile
  ttl=64 tos=0xb9 low=0x28; [ $profile = fixed ] && ttl=77 tos=0xb9 low=0xb8
  case $format in
  ip6) from="$HA6>$CO6" back="$CO6>$HA6" p6=41 p4=4 df6=- df4=- dfset=- ;;
  ip4) from="$HA4>$CO4" back="$CO4>$HA4" p6=41 p4=4 df6=0 df4=0 dfset=1 ;;
  udp) from="$HA4>$NAT4" back="$NAT4>$HA4" p6=17 p4=17 df6=0 df4=0 dfset=1 ;;
  esac
  capture r ha 'host 203.0.113.1 or ip6 host 2001:db8:1::1' /run/c.pcap
  expect "IPv6 from the correspondent" in_ns cn ping -6 -c1 -W1 -Q 0xb9 $HOA6
  expect "IPv4 without DF" in_ns cn ping -c1 -W1 -Q 0xb9 -M dont $HOA4
  expect "IPv4 with DF" in_ns cn ping -c1 -W1 -Q 0x28 -M do $HOA4
  capture_stop
  port=; [ $format = udp ] && port="sport=4191 dport=$PORT udpsum=0x0000"
  expect "down, IPv6 inside" line "$from tos=$tos ttl=$ttl df=$df6 mf=0 off=0 proto=$p6" "| $CN6>$HOA6 tos=0xb9 ttl=63" "$port"
  expect "down, IPv4 inside without DF" line "$from tos=$tos ttl=$ttl df=$df4 mf=0 off=0 proto=$p4" "| $CN4>$HOA4 tos=0xb9 ttl=63 df=0" "$port"
  expect "down, IPv4 inside with DF" line "$from tos=$low ttl=$ttl df=$dfset mf=0 off=0 proto=$p4" "| $CN4>$HOA4 tos=0x28 ttl=63 df=1" "$port"
  expect "up, IPv6 inside" line "$back tos=0xb9" "proto=$p6" "| $HOA6>$CN6 tos=0xb9 ttl=64"
  expect "up, IPv4 inside" line "$back tos=0xb9" "proto=$p4" "| $HOA4>$CN4 tos=0xb9 ttl=64"
  refuse "no wrong header checksum" line BADSUM
done; done
[ $FAILED = 1 ] && "$here/packets.py" /run/c.pcap
for c in spoofed-ip4 spoofed-ip6 bad-version send-only tunnelled-signalling no-port; do same "counter $c" 0 "$(counter ha $c)"; done
finish
