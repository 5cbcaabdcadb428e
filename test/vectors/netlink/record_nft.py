"""The nftables half of record.py: rules, sets, elements, chains and counters in a table of our name."""
import subprocess
import sys
import tempfile

from record import record, vector

TABLE = "inet dsmipd"
NEWCHAIN, NEWRULE, NEWSET, NEWSETELEM, DELSETELEM, NEWOBJ = (10 << 8 | n for n in (3, 6, 9, 12, 14, 18))


def meta(key, register=1):
    return {"type": "meta", "key": key, "register": register}


def payload(base, offset, length, register=1):
    return {"type": "payload", "base": base, "offset": offset, "length": length, "register": register}


def compare(value, op="eq", register=1):
    return {"type": "compare", "op": op, "register": register, "value": value}


def bitwise(mask, xor=None):
    return {"type": "bitwise", "source": 1, "destination": 1, "mask": mask, "xor": xor or "00" * (len(mask) // 2)}


def immediate(value):
    return {"type": "immediate", "register": 1, "value": value}


def store(offset, length=2, base="transport", checksum="inet", at=6, pseudo=False):
    return {"type": "payload-set", "base": base, "offset": offset, "length": length, "register": 1, "checksum": checksum,
            "checksumOffset": at, "pseudoHeader": pseudo}


def lookup(name, register=1, destination=None, negate=False):
    value = {"type": "lookup", "set": name, "register": register, "negate": negate}
    return value if destination is None else {**value, "destination": destination}


def verdict(name, chain=None):
    return {"type": "verdict", "verdict": name, **({} if chain is None else {"chain": chain})}


UDP = [meta("l4proto"), compare("11")]
UDP6 = [meta("nfproto"), compare("0a")]
IPV4 = [meta("nfproto"), compare("02")]

# The sets that rules refer to: name, nft's definition, ours.
SETS = [
    ("bind6", "{ type ipv4_addr . inet_service . ipv6_addr; }", {"key": ["ipv4_addr", "inet_service", "ipv6_addr"]}),
    ("allowed", "{ type ipv4_addr; }", {"key": ["ipv4_addr"]}),
    ("hosts", "{ type ipv6_addr; size 65536; }", {"key": ["ipv6_addr"], "size": 65536}),
    ("ports", "{ type inet_service; flags constant; elements = { 4191, 4192 }; }",
     {"key": ["inet_service"], "elements": [{"key": "105f"}, {"key": "1060"}], "constant": True}),
    ("raw", "{ typeof @nh,0,16; }", {"key": ["integer"], "integerLength": 2}),
    ("spoof6", "{ typeof ip saddr . udp sport . @th,128,128; }",
     {"key": ["ipv4_addr", "inet_service", "integer"], "integerLength": 16}),
    ("marks", "{ type mark; }", {"key": ["mark"]}),
]
MAPS = [
    ("port4", "{ type ipv4_addr : inet_service; }", {"key": ["ipv4_addr"], "value": "inet_service"}),
    ("port6", "{ type ipv6_addr : inet_service; }", {"key": ["ipv6_addr"], "value": "inet_service"}),
    ("tc", "{ typeof @th,0,16 : @nh,0,16; flags constant; elements = { 0x0b90 : 0x6b90, 0x0000 : 0x6000 }; }",
     {"key": ["inet_service"], "value": "integer", "integerLength": 2, "constant": True,
      "elements": [{"key": "0000", "value": "6000"}, {"key": "0b90", "value": "6b90"}]}),
    ("nat6", "{ typeof @th,256,128 : udp dport; }", {"key": ["integer"], "value": "inet_service", "integerLength": 16}),
    ("label", "{ type ipv6_addr : mark; }", {"key": ["ipv6_addr"], "value": "mark"}),
]
# name, element in nft's words, ours
ELEMENTS = [
    ("bind6", "203.0.113.77 . 40000 . 2001:db8:1::100", {"key": ["203.0.113.77", 40000, "2001:db8:1::100"]}),
    ("allowed", "203.0.113.1", {"key": ["203.0.113.1"]}),
    ("hosts", "2001:db8::1", {"key": ["2001:db8::1"]}),
    ("raw", "0x0b90", {"key": [0x0b90]}),
    ("spoof6", "203.0.113.77 . 40000 . 0x20010db8000100000000000000000100", {"key": ["203.0.113.77", 40000, "2001:db8:1::100"]}),
    ("marks", "0x4191", {"key": [0x4191]}),
    ("port4", "198.51.100.100 : 40000", {"key": ["198.51.100.100"], "value": 40000}),
    ("port6", "2001:db8:1::100 : 40000", {"key": ["2001:db8:1::100"], "value": 40000}),
    ("nat6", "0x20010db8000100000000000000000100 : 40000", {"key": ["2001:db8:1::100"], "value": 40000}),
    ("label", "2001:db8:1::100 : 0x4191", {"key": ["2001:db8:1::100"], "value": 0x4191}),
]
CHAINS = [
    ("plain", "", ()),
    ("out", "{ type filter hook output priority 0; policy accept; }", ("output", 0, "accept")),
    ("steer", "{ type filter hook prerouting priority -350; policy accept; }", ("prerouting", -350, "accept")),
    ("in", "{ type filter hook input priority -5; policy drop; }", ("input", -5, "drop")),
    ("through", "{ type filter hook forward priority 10; }", ("forward", 10, "accept")),
    ("post", "{ type filter hook postrouting priority 300; }", ("postrouting", 300, "accept")),
    ("reroute", "{ type route hook output priority -150; policy accept; }", ("output", -150, "accept", "route")),
]
PSEUDO = {"at": 10, "pseudo": True}
RULES = [
    ("port of a node behind a NAT", "ip saddr 203.0.113.1 udp sport 4191 @th,64,4 6 udp dport set @th,256,128 map @nat6 udp checksum set 0",
     [*IPV4, payload("network", 12, 4), compare("cb007101"), *UDP, payload("transport", 0, 2), compare("105f"),
      payload("transport", 8, 1), bitwise("f0"), compare("60"), payload("transport", 32, 16), lookup("nat6", destination=1),
      store(2), immediate("0000"), store(6)]),
    ("signalling is steered", "udp dport 4191 @th,64,4 6 @th,256,128 0x20010db8000100000000000000000001 udp dport set 4192 udp checksum set 0",
     [*UDP, payload("transport", 2, 2), compare("105f"), payload("transport", 8, 1), bitwise("f0"), compare("60"),
      payload("transport", 32, 16), compare("20010db8000100000000000000000001"), immediate("1060"), store(2), immediate("0000"), store(6)]),
    ("outer and inner source belong together", "udp dport 4191 ip saddr . udp sport . @th,128,128 @spoof6 accept",
     [*UDP, payload("transport", 2, 2), compare("105f"), *IPV4, payload("network", 12, 4), payload("transport", 0, 2, 9),
      payload("transport", 16, 16, 10), lookup("spoof6"), verdict("accept")]),
    ("not in a set", "ip saddr != @allowed drop",
     [*IPV4, payload("network", 12, 4), lookup("allowed", negate=True), verdict("drop")]),
    ("traffic class copied", "ip6 nexthdr 41 @nh,0,16 set @th,0,16 & 0x0ff0 map @tc",
     [*UDP6, payload("network", 6, 1), compare("29"), payload("transport", 0, 2), bitwise("0ff0"), lookup("tc", destination=1),
      store(0, base="network", checksum="none", at=0)]),
    ("an address is written", "ip saddr set 203.0.113.9", [*IPV4, immediate("cb007109"), store(12, 4, "network", **PSEUDO)]),
    ("marks", "meta mark 0x4191 meta mark set 0x5", [meta("mark"), compare("91410000"), immediate("05000000"),
                                                     {"type": "meta-set", "key": "mark", "register": 1}]),
    ("interfaces", 'iifname "dsmip0" oifname != "lo"',
     [meta("iifname"), compare("64736d6970300000" + "00" * 8), meta("oifname"), compare("6c6f" + "00" * 14, "neq")]),
    ("ranges", "udp dport < 1024 udp sport >= 4191", [*UDP, payload("transport", 2, 2), compare("0400", "lt"),
                                                      payload("transport", 0, 2), compare("105f", "gte")]),
    ("more ranges", "udp dport <= 1024 udp sport > 4191", [*UDP, payload("transport", 2, 2), compare("0400", "lte"),
                                                           payload("transport", 0, 2), compare("105f", "gt")]),
    ("verdicts", "jump plain", [verdict("jump", "plain")]),
    ("return", "return", [verdict("return")]),
    ("a counter", "counter name hits", [{"type": "count", "counter": "hits"}]),
    ("no connection tracking", "udp sport 4192 notrack", [*UDP, payload("transport", 0, 2), compare("1060"), {"type": "notrack"}]),
    ("link layer", "@ll,48,48 0x020000000001", [payload("link", 6, 6), compare("020000000001")]),
]


def run(text):
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)


def has_object_references():
    """CONFIG_NFT_OBJREF is a choice of its own before Linux 6.2."""
    rule = f"add rule {TABLE} plain counter name hits"
    return subprocess.run(["nft", "--check", "-f", "-"], input=rule, text=True, capture_output=True).returncode == 0


def nft(text, type_, way="sent"):
    with tempfile.NamedTemporaryFile("w", suffix=".nft") as file:
        file.write(text + "\n")
        file.flush()
        return record(["nft", "-f", file.name], way, {type_})


def both(name, text, type_, list_, obj, verb="create"):
    """What nft sends, and the last message of this type in what `list_` brings back."""
    messages = nft(text, type_)
    reply = record(["nft", "list"] + list_.split(), "received", {type_})
    last = max(reply, key=len) if type_ == NEWSETELEM else reply[-1]  # a dump of elements may end with an empty list
    return [vector(name, verb, f"nft {text}", messages[0], obj), vector(name, "reply", f"nft list {list_}", last, obj)]


def record_all():
    run(f"add table {TABLE}\nadd counter {TABLE} hits")
    vectors = []
    for name, definition, base in CHAINS:
        obj = {"name": name}
        if base:
            hook, priority, verdict_, *type_ = base
            obj["base"] = {"type": type_[0] if type_ else "filter", "hook": hook, "priority": priority, "policy": verdict_}
        vectors += both(f"chain {name}", f"add chain {TABLE} {name} {definition}".strip(), NEWCHAIN, "chains", obj)
    for noun, entries in (("set", SETS), ("map", MAPS)):
        for name, definition, fields in entries:
            vectors += both(f"{noun} {name}", f"add {noun} {TABLE} {name} {definition}", NEWSET, f"{noun}s", {"name": name, **fields})
    for name, element, fields in ELEMENTS:
        obj, noun = {"kind": "nft-element", "set": name, **fields}, "map" if "value" in fields else "set"
        vectors += both(f"element of {name}", f"add element {TABLE} {name} {{ {element} }}", NEWSETELEM, f"{noun} {TABLE} {name}", obj)
        key = element.split(" : ")[0]
        [message] = nft(f"delete element {TABLE} {name} {{ {key} }}", DELSETELEM)
        vectors.append(vector(f"element of {name}", "remove", f"nft delete element {TABLE} {name} {{ {key} }}", message, obj))
    for name, text, expressions in RULES:
        if any(e["type"] == "count" for e in expressions) and not has_object_references():
            print(f"no nft_objref in this kernel: left out {name}", file=sys.stderr)
            continue
        vectors += both(f"rule: {name}", f"add rule {TABLE} plain {text}" if name != "verdicts" else f"add rule {TABLE} out {text}",
                        NEWRULE, f"table {TABLE}" if name != "verdicts" else f"chain {TABLE} out", {"expressions": expressions})
        run(f"flush chain {TABLE} plain\nflush chain {TABLE} out")
    vectors += both("counter", f"add counter {TABLE} drops", NEWOBJ, f"counters table {TABLE}", "drops")
    return vectors
