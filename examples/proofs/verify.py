#!/usr/bin/env python3
"""Checks a proof of the ledger's history, independently of the program that made it.

Written from docs/LEDGER-PROOFS.md alone. Needs the package `cryptography` for Ed25519.

    verify.py --key "finitech/ledger+1a2b3c4d+AbCd..." proof.json

The proof is the answer of /api/v1/ledger/transactions/{id}/proof or of
/api/v1/ledger/checkpoints/consistency. Ends with 0 if it holds, with 1 if not.
"""

import argparse
import base64
import hashlib
import json
import struct
import sys
from datetime import datetime, timezone
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class NotProven(Exception):
    """Why the proof does not hold."""


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def node(left, right):
    return sha256(b"\x01", left, right)


# Canonical bytes ---------------------------------------------------------------------------------

def integer(number):
    return struct.pack(">q", number)


def instant(text):
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    since_epoch = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    seconds = since_epoch.days * 86_400 + since_epoch.seconds
    return integer(seconds * 1_000_000 + since_epoch.microseconds)


def length(items):
    return struct.pack(">I", len(items))


def text(value):
    encoded = value.encode()
    return length(encoded) + encoded


def uuid(value):
    return UUID(value).bytes


def optional(value, write):
    return b"\x00" if value is None else b"\x01" + write(value)


def leg(value):
    side = {"debit": b"\x01", "credit": b"\x02"}[value["direction"]]
    amount = integer(value["amountMinorUnits"])
    return uuid(value["accountId"]) + side + amount + text(value["currencyCode"])


# What the leaf of a transaction covers. Anything else in a proof would be believed for nothing.
TRANSACTION = {
    "id", "sequence", "kind", "description", "reference", "effectiveAt", "recordedAt", "metadata",
    "legs", "reverses", "captures",
}
# Proofs from before there was it do not have it.
INITIATOR = "initiatedBy"
LEG = {"accountId", "direction", "amountMinorUnits", "currencyCode"}


def transaction(value):
    if set(value) - {INITIATOR} != TRANSACTION or any(set(one) != LEG for one in value["legs"]):
        raise NotProven("the transaction has members that are not proven, or lacks some")
    initiator = value.get(INITIATOR)
    metadata = sorted(value["metadata"].items(), key=lambda member: member[0].encode())
    return b"".join([
        b"\x06" if initiator is None else b"\x09",
        integer(value["sequence"]),
        instant(value["recordedAt"]),
        uuid(value["id"]),
        text(value["kind"]),
        optional(value["description"], text),
        optional(value["reference"], text),
        length(metadata),
        *(text(name) + text(member) for name, member in metadata),
        instant(value["effectiveAt"]),
        optional(value["reverses"], uuid),
        optional(value["captures"], uuid),
        length(value["legs"]),
        *map(leg, value["legs"]),
        b"" if initiator is None else uuid(initiator),
    ])


# Checkpoints -------------------------------------------------------------------------------------

def open_checkpoint(note, keys):
    """Size and root of a note that one of the keys signed."""
    body, signatures = note.split("\n\n", 1)
    body += "\n"
    for line in signatures.splitlines():
        for key in keys:
            if is_signed(body, line, key):
                name, size, root, *_ = body.split("\n")
                return name, int(size), base64.b64decode(root, validate=True)
    raise NotProven("no key that was given signed the checkpoint")


def is_signed(body, line, key):
    name, key_id, encoded = key.split("+", 2)
    public = base64.b64decode(encoded, validate=True)
    expected_id = sha256(name.encode(), b"\n", public)[:4]
    if expected_id.hex() != key_id or public[:1] != b"\x01":
        raise NotProven(f"{key} is not a verifier key")
    dash, signer, signature = line.split(" ", 2)
    signature = base64.b64decode(signature, validate=True)
    if (dash, signer, signature[:4]) != ("\u2014", name, expected_id):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], body.encode())
    except InvalidSignature:
        return False
    return True


# RFC 9162 ----------------------------------------------------------------------------------------

def root_of_inclusion(index, size, leaf_hash, path):
    """Section 2.1.3.2."""
    if not 0 <= index < size:
        raise NotProven("the transaction is newer than the checkpoint")
    at, last, root = index, size - 1, leaf_hash
    for beside in path:
        if last == 0:
            raise NotProven("the path is too long")
        if at & 1 or at == last:
            root = node(beside, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node(root, beside)
        at, last = at >> 1, last >> 1
    if last:
        raise NotProven("the path is too short")
    return root


def check_consistency(smaller, old_root, size, new_root, path):
    """Section 2.1.4.2."""
    if not 0 < smaller <= size:
        raise NotProven("the first checkpoint is the larger one")
    if smaller == size:
        if path or old_root != new_root:
            raise NotProven("one size, but two histories")
        return
    path = ([old_root] if smaller & (smaller - 1) == 0 else []) + path
    if not path:
        raise NotProven("the path is empty")
    at, last = smaller - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for beside in path[1:]:
        if last == 0:
            raise NotProven("the path is too long")
        if at & 1 or at == last:
            old, new = node(beside, old), node(beside, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node(new, beside)
        at, last = at >> 1, last >> 1
    if last or old != old_root or new != new_root:
        raise NotProven("the two checkpoints are not of one history")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--key", action="append", required=True, help="a verifier key")
    arguments.add_argument("proof", help="the JSON of the proof; - for standard input")
    options = arguments.parse_args()
    with sys.stdin if options.proof == "-" else open(options.proof, encoding="utf-8") as file:
        proof = json.load(file)
    path = [base64.b64decode(entry, validate=True) for entry in proof["path"]]
    try:
        if "transaction" in proof:
            name, size, root = open_checkpoint(proof["checkpoint"], options.key)
            leaf_hash = sha256(b"\x00", transaction(proof["transaction"]))
            index = proof["transaction"]["sequence"] - 1
            if root_of_inclusion(index, size, leaf_hash, path) != root:
                raise NotProven("the transaction is not part of the history")
            print(f"proven: record {index + 1} of the {size} that {name} signed")
        else:
            name, smaller, old_root = open_checkpoint(proof["from"], options.key)
            other, size, new_root = open_checkpoint(proof["to"], options.key)
            if name != other:
                raise NotProven("the checkpoints are of two ledgers")
            check_consistency(smaller, old_root, size, new_root, path)
            print(f"proven: the first {smaller} of the {size} records of {name} are the same")
    except NotProven as error:
        sys.exit(f"not proven: {error}")


if __name__ == "__main__":
    main()
