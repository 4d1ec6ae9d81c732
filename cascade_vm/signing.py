"""Signatures of artifacts: who says that these are the bytes.

They stand behind everything else in the container, as one canonical msgpack value: an array of ``Signature``, ascending by algorithm and
name, each pair once. Each is over every byte before the block. So a signature can be added without touching another, and whoever has
a key needs nothing but the lengths in the header to check one: nothing is hashed or decoded before.

Keys are in ``cascade_vm/keys.py``. This file knows of them only what they can do, and never sees a secret.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

import msgspec

from cascade_vm import container
from cascade_vm.errors import BadKey, LoadError

HMAC_SHA256 = "hmac-sha256"
ED25519 = "ed25519"

# The algorithms that there are, and how many bytes a signature of each has.
SIZES = {HMAC_SHA256: 32, ED25519: 64}

# What is read before anything is checked has a bound.
MAX_BLOCK = 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


class Signature(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One signature: by which algorithm, by the key of which name, and its bytes."""

    algorithm: str
    name: str
    signature: bytes

    def __str__(self) -> str:
        return f"{self.name!r} ({self.algorithm})"


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(tuple[Signature, ...])


class Key(ABC):
    """What checks signatures: those of its ``algorithm`` that carry its ``name``."""

    __slots__ = ("name",)
    algorithm: ClassVar[str]
    name: str

    @abstractmethod
    def verifies(self, message: bytes | memoryview, signature: bytes) -> bool:
        """Did this key make ``signature``, over ``message``?"""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, 'name', '')!r}>"

    def __str__(self) -> str:
        return f"{self.name!r} ({self.algorithm})"


class SigningKey(Key):
    """A key that makes signatures too."""

    __slots__ = ()

    @abstractmethod
    def make(self, message: bytes | memoryview) -> bytes:
        """The signature over ``message``."""


def sign(artifact: bytes, key: SigningKey) -> bytes:
    """The artifact with a signature by ``key`` in it, beside those that it has. One by a key of the same algorithm and name is replaced.

    The same artifact and key give the same bytes.
    :raises LoadError: it is no whole artifact (its code is not looked at: see ``verify``), or one of an older container format, which
        has no room for signatures.
    :raises BadKey: a public key, which only checks signatures.
    """
    if not isinstance(artifact, (bytes, bytearray, memoryview)):
        raise TypeError(f"sign() takes the bytes of an artifact, not {type(artifact).__name__}")
    if not isinstance(key, SigningKey):
        if isinstance(key, Key):
            raise BadKey(f"{key} is a public key: it checks signatures, and the private key makes them")
        raise TypeError(f"sign() takes a key (HmacKey, Ed25519PrivateKey), not {type(key).__name__}")
    artifact = bytes(artifact)
    parts = container.unpack(artifact)
    others = [one for one in read(parts.signatures) if (one.algorithm, one.name) != (key.algorithm, key.name)]
    container.check_hash(artifact, parts.content)
    if parts.version < 3:
        raise LoadError(f"{_no_room(parts.version)}: compile it again, and sign that", code="L03")
    signed = sorted([*others, Signature(key.algorithm, key.name, key.make(parts.signed))], key=_order)
    block = _ENCODER.encode(signed)
    if len(block) > MAX_BLOCK:
        what = f"with one more, the signatures have {len(block):,} bytes, and the limit is {MAX_BLOCK:,}"
        raise LoadError(f"{what}. Sign with fewer keys", code="L06")
    return b"".join((parts.signed, block))


def signatures(artifact: bytes) -> tuple[Signature, ...]:
    """The signatures of an artifact; whether they are right is not looked at.

    :raises LoadError: it is no artifact, or what follows its parts is no block of signatures.
    """
    return read(container.unpack(artifact).signatures)


def check(artifact: bytes, keys: Iterable[Key]) -> Signature:
    """The first signature that one of ``keys`` made.

    :raises LoadError: there is none: L11 where the artifact is unsigned, L12 otherwise. :raises ValueError: there are no keys.
    """
    parts = container.unpack(artifact)
    return accepted(parts, read(parts.signatures), checked_keys(keys))


# --- for whoever has the container ------------------------------------------------------------------------------------


def checked_keys(keys: Iterable[Key]) -> tuple[Key, ...]:
    """``keys``, known to be some.

    :raises ValueError: there are none: nothing could be accepted, and that is not the same as no requirement.
    :raises TypeError: it is something else than keys.
    """
    if isinstance(keys, Key):
        raise TypeError("keys takes a list of keys: keys=[key]")
    if isinstance(keys, (str, bytes)) or not isinstance(keys, Iterable):
        raise TypeError(f"keys takes a list of keys, not {type(keys).__name__}: read_keys(path) reads them from a file")
    found = tuple(keys)
    if not found:
        raise ValueError("keys is empty, so that no artifact could be accepted: keys=None asks for no signature")
    for one in found:
        if not isinstance(one, Key):
            raise TypeError(f"keys takes keys (HmacKey, Ed25519PublicKey, ...), not {type(one).__name__}: read_keys(path) reads them")
    return found


def read(block: memoryview) -> tuple[Signature, ...]:
    """The block of signatures; of no bytes, none.

    :raises LoadError: it has not the one form that it may have.
    """
    if not block:
        return ()
    if len(block) > MAX_BLOCK:
        raise _malformed(f"it has {len(block):,} bytes, and the limit is {MAX_BLOCK:,}")
    try:
        found = _DECODER.decode(block)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, OverflowError, RecursionError) as fault:
        raise _malformed(str(fault)) from None
    for one in found:
        if one.algorithm not in SIZES:
            raise _malformed(f"the algorithm {one.algorithm[:40]!r} is not known, but {' and '.join(SIZES)} are")
        if not _NAME.fullmatch(one.name):
            raise _malformed(f"{one.name[:64]!r} is no name of a key")
        if len(one.signature) != SIZES[one.algorithm]:
            raise _malformed(f"that by {one} has {len(one.signature)} bytes, not {SIZES[one.algorithm]}")
    order = [_order(one) for one in found]
    if not found or order != sorted(set(order)) or _ENCODER.encode(found) != block:
        raise _malformed("it is not in canonical form")
    return found


def accepted(parts: container.Container, found: Sequence[Signature], keys: Sequence[Key]) -> Signature:
    """The first of the signatures ``found`` that one of ``keys`` made, over what is signed of the container.

    :raises LoadError: there is none.
    """
    if not found:
        why = "the artifact is unsigned" if parts.version >= 3 else _no_room(parts.version)
        remedy = "Sign it (cascade sign)" if parts.version >= 3 else "Compile it again, and sign that (cascade sign)"
        raise LoadError(f"{why}, and a signature is required, by {_listed(keys)}. {remedy}, if you trust it", code="L11")
    of_a_key = [(key, one) for one in found for key in keys if (key.algorithm, key.name) == (one.algorithm, one.name)]
    for key, one in of_a_key:
        if key.verifies(parts.signed, one.signature):
            return one
    if not of_a_key:
        raise LoadError(
            f"the artifact is signed by {_listed(found)}, and accepted is only {_listed(keys)}. Have it signed by one of those, or add "
            "the key that signed it to those that are accepted",
            code="L12",
        )
    raise LoadError(
        f"the artifact's signature by {_listed([one for _, one in of_a_key])} is wrong: the artifact was changed after it had been "
        "signed, or it was signed by another key of that name. Get it anew from whoever signed it",
        code="L12",
    )


def fault_of_name(name: object) -> str:
    """Why this is no name for a key; empty where it is one."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return ""
    return "the name of a key is 1 to 64 letters, digits or . _ @ + -, and begins with a letter or digit"


def _order(one: Signature) -> tuple[str, str]:
    return one.algorithm, one.name


def _listed(them: Sequence[Key] | Sequence[Signature]) -> str:
    shown = list(dict.fromkeys(str(one) for one in them))
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def _no_room(version: int) -> str:
    return f"the artifact has version {version} of the container format, which has no room for signatures"


def _malformed(fault: str) -> LoadError:
    return LoadError(
        f"what follows the artifact's parts is no block of signatures that this version reads: {fault}. Copy it "
        "again, or sign it again, or upgrade cascade-vm",
        code="L13",
    )
