#!/bin/bash
# Says whether the kernel it runs under has all that the product and its tests need, by making one of each in a fresh namespace.
# The last line names what is missing. To be run in a cell (cell.sh). Modules load by themselves when something of theirs is made, save fou.
try() {
  local what=$1; shift
  message=$("$@" 2>&1) || { echo "missing: $what (${message:-$*})"; exit 1; }
}
modprobe -aq fou fou6
key="aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128"
try veth          ip link add probe0 type veth peer name probe1
try "fou (GUE)"   ip fou add port 4191 gue
try sit           ip link add probe2 type sit local 192.0.2.1 mode any encap fou encap-sport 4191 encap-dport 9
try ip6tnl        ip link add probe3 type ip6tnl external
try tun           ip tuntap add probe4 mode tun
try esp6          ip xfrm state add src 2001:db8::1 dst 2001:db8::2 proto esp spi 1 reqid 1 mode transport $key
try mip6          ip xfrm state add src 2001:db8::1 dst 2001:db8::2 proto hao reqid 2 mode ro coa 2001:db8::3
try "sub policy"  ip xfrm policy add dir in src ::/0 dst ::/0 ptype sub tmpl proto hao mode ro level use
try nftables      nft 'table inet probe { chain c { type filter hook output priority 0; udp dport set 9 udp checksum set 0; ct state new accept; }; }'
