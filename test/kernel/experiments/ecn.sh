#!/bin/bash
# RFC 6040 on every format, both directions, with the default profile and a fixed DSCP: a router marks every outer packet CE.
# Inside, ECT(0), ECT(1) and CE must come out as CE, not-ECT must be dropped; the inner DSCP must come out as it went in. Without marking, the
# inner octet comes out as it went in.
here=$(dirname "$(readlink -f "$0")"); . "$here/lib.sh"; . "$here/home-agent.sh"
make_topology; ha_site; mn_site
cat > /run/send.py <<P
import sys; sys.path.insert(0, '$here')
from craft import *
src6, dst6, src4, dst4 = sys.argv[1:]
send_from(src4, src6)
for ecn in range(4):
    send(inner6(src6, dst6, 21000 + ecn, tc=0xb8 | ecn)); send(inner4(src4, dst4, 21000 + ecn, tos=0xb8 | ecn))
P
mark() {
  in_ns r nft 'add table inet m; flush table inet m; add chain inet m f { type filter hook forward priority 0; }'
  [ -n "$1" ] && in_ns r nft "add rule inet m f ip protocol { 4, 17, 41 } ip ecn set ce; add rule inet m f ip6 nexthdr { 4, 41 } ip6 ecn set ce"
}
# octets: "family:ecn=octet" of what arrived, sorted
octets() { "$here/packets.py" /run/e.pcap proto=17 len= | sed -n 's/^\([^ ]*\)>[^ ]* tos=\(0x..\).* dport=2100\([0-3]\).*/\1 \3=\2/p' | sed 's/^[0-9a-f]*:[^ ]*/6/; s/^[0-9]*\.[^ ]*/4/' | sort | tr '\n' ',' ; }
way() { # FROM-NAMESPACE SRC6 DST6 SRC4 DST4 TO-NAMESPACE DEVICE
  capture $6 $7 'udp portrange 21000-21003' /run/e.pcap
  in_ns $1 python3 /run/send.py $2 $3 $4 $5
  in_ns $1 ping -6 -c1 -W1 -Q 2 -I $2 $3 > /dev/null; in_ns $1 ping -6 -c1 -W1 -Q 2 -I $2 $3 > /dev/null
  capture_stop; octets
}
uname -r
CLEAN='4 0=0xb8,4 1=0xb9,4 2=0xba,4 3=0xbb,6 0=0xb8,6 1=0xb9,6 2=0xba,6 3=0xbb,'
MARKED='4 1=0xbb,4 2=0xbb,4 3=0xbb,6 1=0xbb,6 2=0xbb,6 3=0xbb,'
for format in ip6 ip4 udp; do for profile in default fixed; do
  mark; attach $format $profile
  same "$format $profile down, unmarked" "$CLEAN" "$(way cn $CN6 $HOA6 $CN4 $HOA4 mn dsmip-t)"
  same "$format $profile up, unmarked" "$CLEAN" "$(way mn $HOA6 $CN6 $HOA4 $CN4 cn eth0)"
  mark ce
  same "$format $profile down, all marked CE" "$MARKED" "$(way cn $CN6 $HOA6 $CN4 $HOA4 mn dsmip-t)"
  same "$format $profile up, all marked CE" "$MARKED" "$(way mn $HOA6 $CN6 $HOA4 $CN4 cn eth0)"
done; done
finish
