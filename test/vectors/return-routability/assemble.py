#!/usr/bin/python3
"""Writes vectors.json beside it: tokens, keys and authenticators of return routability, made with hmac of Python from RFC 6275 §5.2.5,
§6.2.7 and draft-oulai-mext-dsmip-ro-00 §6.4. Independent of the TypeScript code on purpose: every octet of the messages is written out.
Run it after a change: python3 assemble.py
"""
import hashlib
import hmac
import ipaddress
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))
KCN = bytes(range(1, 21))
HOME_NONCE, CARE_OF_NONCE = bytes.fromhex("a0a1a2a3a4a5a6a7"), bytes.fromhex("b0b1b2b3b4b5b6b7")
HOA, COA, CN = "2001:db8:1::10", "2001:db8:2::20", "2001:db8:3::30"
HOA4, COA4, NAT, PORT = "192.0.2.10", "10.0.0.7", "203.0.113.9", 40001


def packed(address):
    return ipaddress.ip_address(address).packed


def first(octets, key, data):
    return hmac.new(key, data, hashlib.sha1).digest()[:octets]


def home_token(*addresses):
    return first(8, KCN, b"".join(map(packed, addresses)) + HOME_NONCE + b"\0")


def care_of_token(data):
    return first(8, KCN, data + CARE_OF_NONCE + b"\1")


def kbm(*tokens):
    return hashlib.sha1(b"".join(tokens)).digest()


def authenticated(head, key, care_of):
    """`head`: a Mobility Header with a checksum of zero up to where its authenticator stands."""
    covered = packed(care_of) + packed(CN) + head
    return head + first(12, key, covered)


def message(name, text, key, care_of):
    head = bytes.fromhex(text.replace(" ", ""))
    octets = authenticated(head, key, care_of)
    assert len(octets) == 8 * (octets[1] + 1), name
    return {"name": name, "careOf": care_of, "correspondent": CN, "kbm": key.hex(), "hex": octets.hex()}


HOME = home_token(HOA)
CARE_OF = care_of_token(packed(COA))
BOTH, DELETION = kbm(HOME, CARE_OF), kbm(HOME)

VECTORS = {
    "kcn": KCN.hex(), "homeNonce": HOME_NONCE.hex(), "careOfNonce": CARE_OF_NONCE.hex(),
    "homeTokens": [
        {"homeAddress": HOA, "token": HOME.hex()},
        {"homeAddress": HOA, "ipv4HomeAddress": HOA4, "token": home_token(HOA, HOA4).hex()},
    ],
    "careOfTokens": [
        {"careOf": COA, "token": CARE_OF.hex()},
        {"careOf": COA4, "observed": {"address": NAT, "port": PORT},
         "token": care_of_token(packed(COA4) + PORT.to_bytes(2, "big") + packed(NAT)).hex()},
        {"careOf": COA4, "observed": {"address": NAT, "port": PORT + 1},
         "token": care_of_token(packed(COA4) + (PORT + 1).to_bytes(2, "big") + packed(NAT)).hex()},
    ],
    "kbm": BOTH.hex(), "kbmOfDeletion": DELETION.hex(),
    "messages": [
        # 59 len type rsv checksum | sequence flags lifetime | options, padded to 8n+2 | authenticator
        message("binding update", "3b 03 05 00 0000 1234 8000 0069  0404 0005 0009  050c", BOTH, COA),
        message("binding update, Alternate Care-of Address",
                "3b 06 05 00 0000 1235 8000 0069  0100  0310 20010db8000200000000000000000021"
                "0404 0005 0009 0102 0000  050c", kbm(HOME, care_of_token(packed("2001:db8:2::21"))), "2001:db8:2::21"),
        message("binding update that deletes", "3b 03 05 00 0000 1236 8000 0000  0404 0005 0009  050c", DELETION, COA),
        message("binding acknowledgement", "3b 03 06 00 0000 0000 1234 0069  0104 0000 0000  050c", BOTH, COA),
    ],
}

with open(os.path.join(HERE, "vectors.json"), "w", encoding="utf8") as file:
    json.dump(VECTORS, file, indent=1)
    file.write("\n")
