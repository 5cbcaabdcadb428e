#!/usr/bin/python3
"""The rtnetlink and fou part of the vectors: what `ip` says to the kernel, and the kernel's answer to a dump afterwards.

usage: record_rtnetlink.py > rtnetlink.json     as root, in an empty network namespace of a kernel with sit, ip6tnl and fou
       record_rtnetlink.py raw > raw-links.json  links that no plan contains; requests only

Each case is a command and the object that it means, written by hand: the codecs have no part in this file. Devices have fixed
indices, so that the messages can be read anywhere (DEVICES here and in test/unit/kernel/rtnetlink-vectors.test.ts). An external
ip6tnl device is an answer only: iproute2 leaves out its other parameters. Needs strace.
"""
import json
import subprocess
import sys

from record import kind, record, vector

DEVICES = {"dsmipd0": 42, "dsmip6": 43, "dsmip4": 44}
NEWLINK, NEWADDR, DELADDR, NEWROUTE, DELROUTE, NEWNEIGH, DELNEIGH, NEWRULE, DELRULE = 16, 20, 21, 24, 25, 28, 29, 32, 33
GENERIC = set(range(0x11, 0x60))
HA6, COA6 = "2001:db8:f::1", "2001:db8:f::2"


def prefix(text):
    address, length = text.split("/")
    return {"address": address, "length": int(length)}


def link(name, spec, mtu=1400, up=True):
    return {"kind": "link", "name": name, "mtu": mtu, "up": up, "link": spec}


def sit(local, ttl, tos, pmtudisc=True, **more):
    return {"type": "sit", "local": local, "ttl": ttl, "trafficClass": tos, "pathMtuDiscovery": pmtudisc, **more}


def ip6tnl(ttl, tclass, external=False, **more):
    return {"type": "ip6tnl", "external": external, "ttl": ttl, "trafficClass": tclass, **more}


def address(text, home=False, noprefixroute=False, **more):
    value, length = text.split("/")
    return {"kind": "address", "device": "dsmipd0", "address": value, "prefixLength": int(length), "home": home, "noPrefixRoute": noprefixroute, **more}


def route(destination, table=254, metric=100, device="dsmipd0", **more):
    return {"kind": "route", "destination": prefix(destination), "table": table, "metric": metric, "device": device, **more}


def rule(family, priority, table, **more):
    return {"kind": "rule", "family": family, "priority": priority, "table": table, **more}


def proxy(value, router=False):
    return {"kind": "proxy-neighbour", "device": "dsmipd0", "address": value, "router": router}


def permanent(value, link_address):
    return {"kind": "permanent-neighbour", "device": "dsmipd0", "address": value, "linkAddress": link_address}


ENCAP = {"source": HA6, "destination": COA6, "hopLimit": 64, "trafficClass": 184}
ENCAP_WORDS = f"encap ip6 dst {COA6} src {HA6} hoplimit 64 tc 0xb8"

# name, command, dump command, types (request, reply), object
LINKS = [
    ("sit without remote", "dsmip1", "type sit mode any local 203.0.113.1 remote any ttl 64 tos inherit", sit("203.0.113.1", 64, "inherit")),
    ("sit over UDP", "dsmip2", "type sit mode any local 192.0.0.8 remote any ttl 64 tos inherit encap fou encap-sport 4191 encap-dport 9",
     sit("192.0.0.8", 64, "inherit", udp={"sourcePort": 4191, "destinationPort": 9})),
    ("sit to one node, fixed DSCP, no path MTU discovery", "dsmip3", "type sit mode any local 203.0.113.1 remote 203.0.113.77 ttl inherit tos 0xb8 nopmtudisc",
     sit("203.0.113.1", 0, 184, False, remote="203.0.113.77")),
    ("ip6tnl to one node", "dsmip5", f"type ip6tnl mode any local {HA6} remote {COA6} hoplimit 64 tclass inherit encaplimit none",
     ip6tnl(64, "inherit", local=HA6, remote=COA6)),
    ("ip6tnl with a fixed traffic class", "dsmip7", "type ip6tnl mode any local 2001:db8:f::1 remote 2001:db8:f::9 hoplimit 3 tclass 0x28 encaplimit none",
     ip6tnl(3, 40, local=HA6, remote="2001:db8:f::9")),
    ("dummy", "dsmip8", "type dummy", {"type": "dummy"}),
]
SIMPLE = [
    ("IPv6 home address", "ip address add 2001:db8:1::100/128 dev dsmipd0 home nodad noprefixroute", "ip -6 address show dev dsmipd0", NEWADDR, address("2001:db8:1::100/128", True, True)),
    ("IPv6 address", "ip address add 2001:db8:1::101/64 dev dsmipd0", "ip -6 address show dev dsmipd0", NEWADDR, address("2001:db8:1::101/64")),
    ("IPv4 address", "ip address add 198.51.100.100/32 dev dsmipd0", "ip -4 address show dev dsmipd0", NEWADDR, address("198.51.100.100/32")),
    ("IPv4 address of host scope", "ip address add 240.41.64.64/32 dev dsmipd0 scope host", "ip -4 address show dev dsmipd0", NEWADDR, address("240.41.64.64/32", hostScope=True)),
    ("IPv6 route", "ip -6 route add 2001:db8:5::/64 dev dsmipd0 table 254 proto 155 metric 100", "ip -6 route show table all", NEWROUTE, route("2001:db8:5::/64")),
    ("IPv6 default route in a table of its own", "ip -6 route add default dev dsmipd0 table 4191 proto 155 metric 5", "ip -6 route show table all", NEWROUTE, route("::/0", 4191, 5)),
    ("IPv6 route with everything", "ip -6 route add 2001:db8:6::1/128 via fe80::1 dev dsmipd0 table 254 proto 155 metric 100 src 2001:db8:1::101 mtu lock 1300 advmss 1220 onlink",
     "ip -6 route show table all", NEWROUTE, route("2001:db8:6::1/128", via="fe80::1", onlink=True, preferredSource="2001:db8:1::101", mtu=1300, advertisedMss=1220)),
    ("IPv6 route into an external tunnel", f"ip -6 route add 2001:db8:7::1/128 {ENCAP_WORDS} dev dsmip6 table 254 proto 155 metric 100",
     "ip -6 route show table all", NEWROUTE, route("2001:db8:7::1/128", device="dsmip6", encapsulation=ENCAP)),
    ("IPv6 route via an IPv4 end point", "ip -6 route add 2001:db8:7::2/128 via ::203.0.113.77 dev dsmip4 table 254 proto 155 metric 100",
     "ip -6 route show table all", NEWROUTE, route("2001:db8:7::2/128", device="dsmip4", via="::cb00:714d")),
    ("IPv4 route", "ip route add 198.51.101.0/24 dev dsmipd0 table 254 proto 155 metric 100", "ip -4 route show table all", NEWROUTE, route("198.51.101.0/24")),
    ("IPv4 route via an end point on the link", "ip route add 198.51.100.7/32 via 203.0.113.77 dev dsmip4 table 254 proto 155 metric 100 onlink",
     "ip -4 route show table all", NEWROUTE, route("198.51.100.7/32", device="dsmip4", via="203.0.113.77", onlink=True)),
    ("IPv4 route into an external tunnel", f"ip route add 198.51.100.8/32 {ENCAP_WORDS} dev dsmip6 table 4191 proto 155 metric 100",
     "ip -4 route show table all", NEWROUTE, route("198.51.100.8/32", 4191, device="dsmip6", encapsulation=ENCAP)),
    ("IPv4 route with a source, without a metric", "ip route add 203.0.113.0/24 dev dsmipd0 table 254 proto 155 src 198.51.100.100 mtu lock 1280",
     "ip -4 route show table all", NEWROUTE, route("203.0.113.0/24", metric=0, preferredSource="198.51.100.100", mtu=1280)),
    ("IPv6 rule for a mark", "ip -6 rule add priority 1000 fwmark 0x4191 table 4191 proto 155", "ip -6 rule show", NEWRULE, rule(6, 1000, 4191, mark=0x4191)),
    ("IPv6 rule for a source", "ip -6 rule add priority 1001 from 2001:db8:1::100/128 table 200 proto 155", "ip -6 rule show", NEWRULE,
     rule(6, 1001, 200, **{"from": prefix("2001:db8:1::100/128")})),
    ("IPv4 rule for packets without a source", "ip rule add priority 1002 from 0.0.0.0/32 table 4191 proto 155", "ip -4 rule show", NEWRULE,
     rule(4, 1002, 4191, **{"from": prefix("0.0.0.0/32")})),
    ("IPv4 rule for a destination", "ip rule add priority 1003 from 0.0.0.0/32 to 224.0.0.0/3 table 4191 proto 155", "ip -4 rule show", NEWRULE,
     rule(4, 1003, 4191, **{"from": prefix("0.0.0.0/32"), "to": prefix("224.0.0.0/3")})),
    ("IPv4 rule for a UDP port", "ip rule add priority 1004 from 0.0.0.0/32 ipproto udp dport 67 table 4191 proto 155", "ip -4 rule show", NEWRULE,
     rule(4, 1004, 4191, **{"from": prefix("0.0.0.0/32"), "udpDestinationPort": 67})),
    ("IPv6 proxy neighbour", "ip -6 neighbour add proxy 2001:db8:1::200 dev dsmipd0 router proto 155", "ip -6 neighbour show proxy", NEWNEIGH, proxy("2001:db8:1::200", True)),
    ("IPv4 proxy neighbour", "ip neighbour add proxy 198.51.100.200 dev dsmipd0 proto 155", "ip -4 neighbour show proxy", NEWNEIGH, proxy("198.51.100.200")),
    ("IPv4 permanent neighbour", "ip neighbour add 240.43.0.1 lladdr 02:00:00:00:00:02 nud permanent dev dsmipd0 proto 155",
     "ip -4 neighbour show nud permanent", NEWNEIGH, permanent("240.43.0.1", "02:00:00:00:00:02")),
    ("FOU port for GUE", "ip fou add port 4191 gue", "ip fou show", GENERIC, {"kind": "fou-port", "family": 4, "port": 4191, "encapsulation": "gue"}),
    ("FOU port for GUE over IPv6", "ip -6 fou add port 4191 gue", "ip fou show", GENERIC, {"kind": "fou-port", "family": 6, "port": 4191, "encapsulation": "gue"}),
]
REMOVALS = [
    ("IPv6 address", "ip address delete 2001:db8:1::101/64 dev dsmipd0", DELADDR, "IPv6 address"),
    ("IPv6 route", "ip -6 route delete 2001:db8:5::/64 table 254 proto 155 metric 100", DELROUTE, "IPv6 route"),
    ("IPv4 route", "ip route delete 198.51.101.0/24 table 254 proto 155 metric 100", DELROUTE, "IPv4 route"),
    ("IPv6 rule", "ip -6 rule delete priority 1000 fwmark 0x4191 table 4191 proto 155", DELRULE, "IPv6 rule for a mark"),
    ("IPv4 proxy neighbour", "ip neighbour delete proxy 198.51.100.200 dev dsmipd0", DELNEIGH, "IPv4 proxy neighbour"),
    ("IPv4 permanent neighbour", "ip neighbour delete 240.43.0.1 dev dsmipd0", DELNEIGH, "IPv4 permanent neighbour"),
    ("FOU port", "ip fou del port 4191", GENERIC, "FOU port for GUE"),
]


RAW = [
    ("veth", "ip link add w0 mtu 1400 type veth peer name w1 mtu 1300",
     {"type": "veth", "end": {"name": "w0", "mtu": 1400}, "peer": {"name": "w1", "mtu": 1300}}),
    ("ipip without remote", "ip link add i0 type ipip local 203.0.113.1 remote any ttl 64 tos inherit",
     {"type": "ipip", "name": "i0", "local": "203.0.113.1", "ttl": 64, "tos": "inherit", "pathMtuDiscovery": True}),
    ("ipip over UDP", "ip link add i1 type ipip local 203.0.113.1 remote 203.0.113.77 ttl inherit tos 0xb8 nopmtudisc encap fou encap-sport 4191 encap-dport 9",
     {"type": "ipip", "name": "i1", "local": "203.0.113.1", "remote": "203.0.113.77", "ttl": 0, "tos": 184, "pathMtuDiscovery": False,
      "udp": {"sourcePort": 4191, "destinationPort": 9}}),
    ("external ipip", "ip link add i2 type ipip external",
     {"type": "ipip", "name": "i2", "local": "0.0.0.0", "ttl": 0, "tos": 0, "pathMtuDiscovery": True, "external": True}),
]


def record_raw():
    vectors = []
    for name, command, obj in RAW:
        sent = [m for m in record(command.split(), "sent", {NEWLINK}) if obj.get("name", "w0").encode() in m]
        vectors.append(vector(name, "create", command, sent[-1], obj))
    return vectors


def run(command):
    subprocess.run(command.split(), check=True)


def prepare():
    run(f"ip link add index {DEVICES['dsmipd0']} name dsmipd0 type dummy")
    run(f"ip link add index {DEVICES['dsmip6']} name dsmip6 type ip6tnl external")
    run(f"ip link add index {DEVICES['dsmip4']} name dsmip4 type sit mode any local 192.0.2.1 remote any ttl 64")
    for name in DEVICES:
        run(f"ip link set {name} up")


def types(of):
    return of if isinstance(of, set) else {of}


def replies(dump, of):
    return record(dump.split(), "received", types(of))


def record_links():
    vectors = []
    for name, device, words, spec in LINKS:
        command = f"ip link add {device} mtu 1400 {words}"
        sent = [m for m in record(command.split(), "sent", {NEWLINK}) if b"dsmip" in m]
        vectors.append(vector(name, "create", command, sent[-1], link(device, spec)))
        run(f"ip link set dev {device} alias dsmipd up")
        show = f"ip -d link show dev {device}"
        shown = [m for m in replies(show, NEWLINK) if device.encode() in m][-1]  # asked for its index first
        vectors.append(vector(name, "reply", show, shown, link(device, spec)))
    run("ip link set dev dsmip6 mtu 1400 alias dsmipd")
    show = "ip -d link show dev dsmip6"
    shown = [m for m in replies(show, NEWLINK) if b"dsmip6" in m][-1]
    vectors.append(vector("external ip6tnl", "reply", show, shown, link("dsmip6", ip6tnl(0, 0, True))))
    return vectors


def record_simple():
    vectors = []
    for name, command, dump, of, obj in SIMPLE:
        before = {m.hex() for m in replies(dump, of)}
        sent = record(command.split(), "sent", types(of))
        vectors.append(vector(name, "create", command, sent[-1], obj))
        new = [m for m in replies(dump, of) if m.hex() not in before and is_answer(m, of)]
        if len(new) != 1:
            sys.exit(f"{name}: {len(new)} new objects in the dump")
        vectors.append(vector(name, "reply", dump, new[0], obj))
    objects = {name: obj for name, _, _, _, obj in SIMPLE}
    for name, command, of, subject in REMOVALS:
        sent = record(command.split(), "sent", types(of))
        vectors.append(vector(f"remove {name}", "remove", command, sent[-1], objects[subject]))
    return vectors


def is_answer(message, of):
    """Without the end of the dump and, for addresses, without those that only aged."""
    return kind(message) in types(of) and len(message) > 20


if __name__ == "__main__":
    if sys.argv[1:] == ["raw"]:
        result = record_raw()
    else:
        prepare()
        result = record_links() + record_simple()
    json.dump(result, sys.stdout, indent=1)
    print()
