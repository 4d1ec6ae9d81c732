"""The container of an artifact: a header, the content, what is told about it, signatures. From bytes to bytes: nothing is decoded here.

    offset  size  what
         0     8  magic: 89 43 42 50 0D 0A 1A 0A (the line ends show a file that was transferred as text)
         8     2  version of the container, big-endian like all numbers
        10     2  version of the instruction set
        12     2  version of the operation set
        14     2  reserved, 0
        16     8  length of the content, n
        24    32  BLAKE2b-256 of the content
        56     8  length of what is told about it, m
        64     n  the content: ProgramData as msgpack, in one canonical form
         .     m  about it: source maps, fingerprints, provenance; outside the hash, since they change no meaning
         .     .  the signatures, over every byte before them; nothing where there are none

Versions 1 and 2, which were written before there were releases, have no length at 56: their content begins there, and source maps of an
older form are all that follows it.
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

from cascade_vm.errors import LoadError
from cascade_vm.isa import ISA_VERSION, OPSET_VERSION

MAGIC = b"\x89CBP\r\n\x1a\n"
CONTAINER_VERSION = 3

# The oldest versions that are read (docs/compatibility.md). Version 1 of the instruction set had other forms while it grew.
OLDEST = {"container format": 1, "instruction set": 2, "operation set": 1}

_FIRST = struct.Struct(">8sHHHHQ32s")
_SECOND = struct.Struct(">Q")


class Container(NamedTuple):
    """An artifact, taken apart. ``signed`` is all that signatures are over."""

    version: int
    content: memoryview
    about: memoryview
    signed: memoryview
    signatures: memoryview


def pack(content: bytes, about: bytes) -> bytes:
    """An artifact without signatures; they can be put behind it."""
    first = _FIRST.pack(MAGIC, CONTAINER_VERSION, ISA_VERSION, OPSET_VERSION, 0, len(content), digest(content))
    return b"".join((first, _SECOND.pack(len(about)), content, about))


def unpack(artifact: bytes) -> Container:
    """Take an artifact apart; nothing of it is copied. Its hash is not looked at: see ``check_hash``.

    :raises LoadError: it is none, is cut short, or is of a version that is not known.
    """
    whole = memoryview(artifact)
    if len(artifact) < _FIRST.size or not artifact.startswith(MAGIC):
        if artifact.startswith(MAGIC[:4]):
            raise LoadError("the artifact is cut short, or its line ends were converted in transfer: copy it again, as binary", code="L02")
        raise LoadError(
            "this is no Cascade artifact: it does not begin with the magic bytes 89 43 42 50 0D 0A 1A 0A. "
            "Give what `cascade compile` or Program.save() wrote",
            code="L01",
        )
    _, container, isa, opset, reserved, length, _ = _FIRST.unpack_from(artifact)
    for what, version, known in (
        ("container format", container, CONTAINER_VERSION), ("instruction set", isa, ISA_VERSION), ("operation set", opset, OPSET_VERSION),
    ):  # fmt: skip
        if not OLDEST[what] <= version <= known:
            raise LoadError(
                f"the artifact has version {version} of the {what}, and this version of Cascade reads {OLDEST[what]} to {known}. "
                f"Compile it again, or {'upgrade cascade-vm' if version > known else 'use the cascade-vm that wrote it'}",
                code="L03",
            )
    if reserved:
        raise LoadError(
            f"the artifact's reserved field is {reserved}, not 0: it was not written by this version of Cascade. Compile it again",
            code="L04",
        )
    start, after = _FIRST.size, 0
    if container >= 3:
        start += _SECOND.size
        if len(artifact) < start:
            raise LoadError("the artifact is cut short: its header is not whole. Copy or compile it again", code="L02")
        (after,) = _SECOND.unpack_from(artifact, _FIRST.size)
    if start + length + after > len(artifact):
        raise LoadError(
            f"the artifact is cut short: it has {len(artifact) - start:,} bytes after its header, which states {length + after:,}. "
            "Copy or compile it again",
            code="L02",
        )
    end = start + length + after if container >= 3 else len(artifact)
    return Container(container, whole[start : start + length], whole[start + length : end], whole[:end], whole[end:])


def check_hash(artifact: bytes, content: memoryview) -> None:
    """:raises LoadError: the content is not what the header states."""
    if digest(content) != content_hash(artifact):
        raise LoadError(
            "the artifact is damaged: its content does not have the hash that its header states. Copy or compile it again", code="L05"
        )


def content_hash(artifact: bytes) -> bytes:
    """The hash that the header states: 32 bytes."""
    stated: bytes = _FIRST.unpack_from(artifact)[-1]
    return stated


def digest(content: bytes | memoryview) -> bytes:
    """The content hash: BLAKE2b with 32 bytes."""
    return hashlib.blake2b(content, digest_size=32).digest()
