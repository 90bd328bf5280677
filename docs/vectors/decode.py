#!/usr/bin/env python3
"""A second decoder of backup files, written from ../backup-format.md alone.

It needs nothing but Python's standard library. It judges all test vectors in the
file that is its argument, or else in backup.json beside it, and compares
verdicts and contents with what they say.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import struct
import sys

MAX_FILE = 1 << 20
MAX_TOKEN = 64 * 1024
NETWORKS = ("mainnet", "testnet", "testnet4", "signet", "simnet", "regtest")
FIELD_PRIME = 2**256 - 2**32 - 977


class Refused(Exception):
    """A verdict other than ok."""


def need(condition, verdict):
    if not condition:
        raise Refused(verdict)


# --- Cryptography ----------------------------------------------------------

M = 0xFFFFFFFF


def rotl(x, n):
    return ((x << n) | (x >> (32 - n))) & M


def chacha_rounds(s):
    def quarter(a, b, c, d):
        for x, y, z, n in ((a, b, d, 16), (c, d, b, 12),
                           (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & M
            s[z] = rotl(s[z] ^ s[x], n)

    for _ in range(10):
        quarter(0, 4, 8, 12)
        quarter(1, 5, 9, 13)
        quarter(2, 6, 10, 14)
        quarter(3, 7, 11, 15)
        quarter(0, 5, 10, 15)
        quarter(1, 6, 11, 12)
        quarter(2, 7, 8, 13)
        quarter(3, 4, 9, 14)


SIGMA = struct.unpack("<4I", b"expand 32-byte k")


def hchacha(key, nonce):
    s = list(SIGMA + struct.unpack("<8I", key) + struct.unpack("<4I", nonce))
    chacha_rounds(s)
    return struct.pack("<8I", *(s[0:4] + s[12:16]))


def chacha_block(key, counter, nonce):
    start = list(SIGMA + struct.unpack("<8I", key) + (counter,)
                 + struct.unpack("<3I", nonce))
    s = list(start)
    chacha_rounds(s)
    return struct.pack("<16I", *((a + b) & M for a, b in zip(s, start)))


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little")
    r &= 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    acc = 0
    for i in range(0, len(message), 16):
        block = message[i:i + 16] + b"\x01"
        acc = (acc + int.from_bytes(block, "little")) * r % (2**130 - 5)
    acc += int.from_bytes(key[16:], "little")
    return (acc & (2**128 - 1)).to_bytes(16, "little")


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def xchacha20poly1305_open(key, nonce, sealed, associated):
    """Return the plaintext, or None."""
    if len(sealed) < 16:
        return None
    text, tag = sealed[:-16], sealed[-16:]
    key, nonce = hchacha(key, nonce[:16]), bytes(4) + nonce[16:]

    def pad(data):
        return data + bytes(-len(data) % 16)

    mac = pad(associated) + pad(text) + struct.pack(
        "<QQ", len(associated), len(text))
    want = poly1305(chacha_block(key, 0, nonce)[:32], mac)
    if not hmac.compare_digest(tag, want):
        return None
    return b"".join(
        xor(text[i:i + 64], chacha_block(key, 1 + i // 64, nonce))
        for i in range(0, len(text), 64))


def salsa_state(key, middle):
    k = struct.unpack("<8I", key)
    m = struct.unpack("<4I", middle)
    return [SIGMA[0], *k[:4], SIGMA[1], *m, SIGMA[2], *k[4:], SIGMA[3]]


def salsa_rounds(s):
    def quarter(a, b, c, d):
        for x, y, z, n in ((b, a, d, 7), (c, b, a, 9),
                           (d, c, b, 13), (a, d, c, 18)):
            s[x] ^= rotl((s[y] + s[z]) & M, n)

    for _ in range(10):
        quarter(0, 4, 8, 12)
        quarter(5, 9, 13, 1)
        quarter(10, 14, 2, 6)
        quarter(15, 3, 7, 11)
        quarter(0, 1, 2, 3)
        quarter(5, 6, 7, 4)
        quarter(10, 11, 8, 9)
        quarter(15, 12, 13, 14)


def secretbox_open(key, nonce, sealed):
    """Return the plaintext of XSalsa20-Poly1305, or None."""
    s = salsa_state(key, nonce[:16])
    salsa_rounds(s)
    key = struct.pack("<8I", *(s[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))
    tag, text = sealed[:16], sealed[16:]
    stream = b""
    for counter in range((len(text) + 32 + 63) // 64):
        start = salsa_state(key, nonce[16:] + struct.pack("<Q", counter))
        s = list(start)
        salsa_rounds(s)
        stream += struct.pack(
            "<16I", *((a + b) & M for a, b in zip(s, start)))
    if not hmac.compare_digest(tag, poly1305(stream[:32], text)):
        return None
    return xor(text, stream[32:])


def hkdf(secret, info, size):
    """HKDF-SHA256 without salt, for at most 32 bytes."""
    extracted = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()[:size]


# --- Contents --------------------------------------------------------------


def check_key(key):
    """Refuse what is not a compressed point of secp256k1."""
    need(len(key) == 33 and key[0] in (2, 3), "incomplete")
    x = int.from_bytes(key[1:], "big")
    need(x < FIELD_PRIME, "incomplete")
    square = (pow(x, 3, FIELD_PRIME) + 7) % FIELD_PRIME
    root = pow(square, (FIELD_PRIME + 1) // 4, FIELD_PRIME)
    need(root * root % FIELD_PRIME == square, "incomplete")


class Reader:
    """Reads the fields of a macaroon of version 2."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        need(self.at + size <= len(self.data), "incomplete")
        self.at += size
        return self.data[self.at - size:self.at]

    def varint(self):
        value = shift = 0
        while True:
            need(shift < 63, "incomplete")
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                # The last byte of a canonical number is not zero.
                need(byte or shift == 7, "incomplete")
                return value

    def peek(self):
        need(self.at < len(self.data), "incomplete")
        return self.data[self.at]

    def field(self, kind):
        need(self.varint() == kind, "incomplete")
        return self.take(self.varint())


def macaroon_identifier(data):
    reader = Reader(data)
    need(reader.take(1) == b"\x02", "incomplete")
    if reader.peek() == 1:
        need(reader.field(1), "incomplete")
    identifier = reader.field(2)
    need(reader.take(1) == b"\x00", "incomplete")
    while reader.peek() != 0:
        located = reader.peek() == 1
        if located:
            need(reader.field(1), "incomplete")
        reader.field(2)
        if located or reader.peek() == 4:
            need(reader.field(4), "incomplete")
        need(reader.take(1) == b"\x00", "incomplete")
    reader.take(1)
    need(len(reader.field(6)) == 32, "incomplete")
    need(reader.at == len(data), "incomplete")
    return identifier


def check_token(token, token_id, created):
    need(92 <= len(token) <= MAX_TOKEN, "incomplete")
    size = struct.unpack(">I", token[:4])[0]
    need(size == len(token) - 92, "incomplete")
    identifier = macaroon_identifier(token[4:4 + size])
    rest = token[4 + size:]
    payment_hash, preimage = rest[:32], rest[32:64]
    need(len(identifier) >= 66, "incomplete")
    need(identifier[:2] == b"\x00\x00", "incomplete")
    need(identifier[2:34] == payment_hash, "incomplete")
    need(preimage != bytes(32), "incomplete")
    need(hashlib.sha256(preimage).digest() == payment_hash, "incomplete")
    need(identifier[34:66] == token_id, "incomplete")
    need(struct.unpack(">Q", rest[80:88])[0] == created, "incomplete")


def check_contents(f, token_id):
    families = (f["client_family"], f["receive_family"], f["change_family"])
    need(f["network"] in NETWORKS, "incomplete")
    need(f["protocol_version"] == 0, "incomplete")
    need(1 <= f["expiry"] <= 28800, "incomplete")
    need(all(0 < family < 2**31 for family in families), "incomplete")
    need(len(set(families)) == 3, "incomplete")
    need(0 <= (f["client_index"] or 0) < 2**31, "incomplete")
    need(0 < f["first_height"] < 2**31, "incomplete")
    need(0 <= f["families_first_height"] < 2**31, "incomplete")
    check_key(bytes.fromhex(f["server_key"]))
    check_key(bytes.fromhex(f["client_key"]))
    check_token(bytes.fromhex(f["token"]), token_id, int(f["created"]))


def open_native(data, daemon_network, shared):
    need(len(data) >= 134, "corrupt")
    need(hashlib.sha256(data[:-32]).digest() == data[-32:], "corrupt")
    version = struct.unpack(">H", data[8:10])[0]
    need(version != 0, "corrupt")
    need(version <= 2, "newer version")
    network = data[10:18].rstrip(b"\x00").decode("latin-1")
    need(network in NETWORKS, "corrupt")
    token_id = data[18:50]
    created = struct.unpack(">Q", data[50:58])[0]
    need(created < 2**63, "corrupt")
    need(struct.unpack(">I", data[98:102])[0] == len(data) - 134, "corrupt")
    need(network == daemon_network, "other network")

    check = hkdf(shared, b"looprecovery/backup/v1/check", 16)
    need(data[58:74] == check, "other seed")
    key = hkdf(shared, b"looprecovery/backup/v1/key", 32)
    payload = xchacha20poly1305_open(
        key, data[74:98], data[102:-32], data[:102])
    need(payload is not None, "corrupt")

    # Version 2 says that a person accepted the pair, before the token's size.
    accepted = version == 2
    start = 106 if accepted else 102
    need(len(payload) >= start, "incomplete")
    numbers = struct.unpack(">9I", payload[66:98] + payload[start - 4:start])
    need(not accepted or payload[98:102] == b"\0\0\0\1", "incomplete")
    token = payload[start:]
    need(numbers[8] == len(token), "incomplete")
    fields = {
        "network": network,
        "token_id": token_id.hex(),
        "created": str(created),
        "token": token.hex(),
        "server_key": payload[:33].hex(),
        "client_key": payload[33:66].hex(),
        "protocol_version": numbers[0],
        "client_family": numbers[1],
        "client_index": numbers[2],
        "expiry": numbers[3],
        "receive_family": numbers[4],
        "change_family": numbers[5],
        "first_height": numbers[6],
        "families_first_height": numbers[7],
        "pair_accepted": accepted,
    }
    check_contents(fields, token_id)
    return fields


TOP = {"version": int, "network": str, "l402_token_id": str,
       "l402_token_created_at": int, "static_address": dict,
       "token_files": list}
ADDRESS = {"protocol_version": int, "client_pubkey": str,
           "server_pubkey": str, "expiry": int,
           "legacy_client_key_family": int, "main_key_family": int,
           "change_key_family": int, "legacy_first_height": int,
           "multi_address_first_height": int}
TOKEN_FILE = {"name": str, "data": str}


def unique(pairs):
    result = dict(pairs)
    need(len(result) == len(pairs), "incomplete")
    return result


def integer(text):
    """Minus zero is no integer."""
    return -0.0 if text == "-0" else int(text)


def no_constant(text):
    """NaN and the like are no JSON."""
    raise ValueError(text)


def shaped(value, shape, optional=()):
    """Refuse what has other fields than a shape, or of another type."""
    need(type(value) is dict, "incomplete")
    need(set(value) <= set(shape), "incomplete")
    need(set(shape) - set(value) <= set(optional), "incomplete")
    for name, item in value.items():
        need(type(item) is shape[name], "incomplete")
        need(name not in optional or item != 0, "incomplete")


def unbase64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused("incomplete") from None
    need(base64.b64encode(data).decode() == text, "incomplete")
    return data


def open_older(data, daemon_network, key):
    need(len(data) >= 48, "corrupt")
    plain = secretbox_open(key, data[8:32], data[32:])
    need(plain is not None, "does not open: damaged or other seed")
    try:
        decoded = json.loads(
            plain.decode(), object_pairs_hook=unique, parse_int=integer,
            parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise Refused("incomplete") from None
    need(type(decoded) is dict, "incomplete")
    version = decoded.get("version")
    need(type(version) is int and 1 <= version < 2**32, "incomplete")
    need(version == 1, "newer version")

    shaped(decoded, TOP)
    address, files = decoded["static_address"], decoded["token_files"]
    shaped(address, ADDRESS, ("multi_address_first_height",))
    need(len(files) == 1, "incomplete")
    shaped(files[0], TOKEN_FILE)
    need(files[0]["name"] == "l402.token", "incomplete")
    need(re.fullmatch("[0-9a-f]{64}", decoded["l402_token_id"]), "incomplete")
    need(0 <= decoded["l402_token_created_at"] < 2**63, "incomplete")
    fields = {
        "network": decoded["network"],
        "token_id": decoded["l402_token_id"],
        "created": str(decoded["l402_token_created_at"]),
        "token": unbase64(files[0]["data"]).hex(),
        "server_key": unbase64(address["server_pubkey"]).hex(),
        "client_key": unbase64(address["client_pubkey"]).hex(),
        "protocol_version": address["protocol_version"],
        "client_family": address["legacy_client_key_family"],
        "client_index": None,
        "expiry": address["expiry"],
        "receive_family": address["main_key_family"],
        "change_family": address["change_key_family"],
        "first_height": address["legacy_first_height"],
        "families_first_height": address.get("multi_address_first_height", 0),
        "pair_accepted": False,
    }
    check_contents(fields, bytes.fromhex(fields["token_id"]))
    need(fields["network"] == daemon_network, "other network")
    return fields


NAME = r"loop_recovery_([0-9]{19})_([0-9a-f]{64})(?:\.[1-9][0-9]?)?\.lrb"
OLDER_NAME = r"L402_backup_([0-9]{19})_([0-9a-f]{64})\.enc"


def judge(name, data, daemon_network, shared, older_key):
    """Return the verdict on a file, and its contents if that is ok."""
    try:
        need(len(data) <= MAX_FILE, "not a backup")
        if data[:8] == b"looprcv1":
            fields = open_native(data, daemon_network, shared)
            pattern = NAME
        elif data[:8] == b"loopbak1":
            fields = open_older(data, daemon_network, older_key)
            pattern = OLDER_NAME
        else:
            raise Refused("not a backup")
        found = re.fullmatch(pattern, name)
        need(found and found[1] == fields["created"].zfill(19)
             and found[2] == fields["token_id"],
             "name does not match contents")
    except Refused as refused:
        return str(refused), None
    return "ok", fields


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(here, "backup.json")
    if len(sys.argv) > 1:
        path = sys.argv[1]
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    wrong = 0
    for vector in vectors:
        verdict, fields = judge(
            vector["name"], bytes.fromhex(vector["file"]),
            vector["daemon_network"], bytes.fromhex(vector["shared"]),
            bytes.fromhex(vector["legacy_key"]))
        if verdict != vector["verdict"] or fields != vector.get("fields"):
            wrong += 1
            print(f"{vector['case']}: {verdict}, not {vector['verdict']}")
    if wrong:
        print(f"vectors: {wrong} of {len(vectors)} differ")
        return 1
    print(f"vectors: {len(vectors)} ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
