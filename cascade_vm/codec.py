"""The container: a program as bytes, and back. Loading imports nothing and runs nothing.

    offset  size  what
         0     8  magic: 89 43 42 50 0D 0A 1A 0A (the line ends show a file that was transferred as text)
         8     2  version of the container, big-endian like all numbers: 1, or 2 where the program has jumps
        10     2  version of the instruction set
        12     2  version of the operation set
        14     2  reserved, 0
        16     8  length of the content
        24    32  BLAKE2b-256 of the content
        56     .  the content: ProgramData as msgpack, in one canonical form
         .     .  the source maps: msgpack, {cycle_id: SourceMap}; outside the hash, since a moved line changes no meaning

docs/artifact-format.md describes the content.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import astuple

from cascade_vm.errors import LoadError, VerifyError
from cascade_vm.isa import ISA_VERSION, OPSET_VERSION
from cascade_vm.program import Program, ProgramData, SourceMap, check_allow
from cascade_vm.verify import verify

MAGIC = b"\x89CBP\r\n\x1a\n"
CONTAINER_VERSION = 2  # what has no jumps is written as version 1, which older readers know
MAX_BYTES = 16 * 1024 * 1024

_HEADER = struct.Struct(">8sHHHHQ32s")
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(ProgramData)
_MAP_DECODER = msgspec.msgpack.Decoder(dict[str, SourceMap])


def to_bytes(data: ProgramData, source_maps: Mapping[str, SourceMap]) -> bytes:
    """The artifact's bytes; equal programs give equal bytes."""
    content = _content(data)
    header = _HEADER.pack(MAGIC, _version(data), ISA_VERSION, OPSET_VERSION, 0, len(content), _hash(content))
    return header + content + _ENCODER.encode(dict(source_maps))


def loads(content: bytes | bytearray | memoryview, *, allow: Sequence[str] | None = None, max_bytes: int = MAX_BYTES) -> Program:
    """A program from its bytes, decoded and verified. Nothing is imported and nothing is run: that is for ``link`` and ``run``.

    :param allow: modules and packages that linking may import; None allows all.
    :raises LoadError: the bytes are no artifact that this version reads.
    :raises VerifyError: the artifact is well formed, and its code is not.
    """
    check_allow(allow)
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(f"loads() takes bytes, not {type(content).__name__}; load() takes a path")
    content = bytes(content)
    if len(content) > max_bytes:
        raise LoadError(f"the artifact has {len(content):,} bytes, and the limit is {max_bytes:,} (max_bytes=)")
    if len(content) < _HEADER.size or not content.startswith(MAGIC):
        if content.startswith(MAGIC[:4]):
            raise LoadError("the artifact is cut short, or its line ends were converted in transfer: copy it again, as binary")
        raise LoadError("this is no Cascade artifact: it does not begin with the magic bytes 89 43 42 50 0D 0A 1A 0A")
    _, container, isa, opset, reserved, length, digest = _HEADER.unpack_from(content)
    for what, version, known in (
        ("container format", container, CONTAINER_VERSION), ("instruction set", isa, ISA_VERSION), ("operation set", opset, OPSET_VERSION),
    ):  # fmt: skip
        if not 1 <= version <= known:
            raise LoadError(
                f"the artifact has version {version} of the {what}, and this version of Cascade reads 1 to {known}. "
                f"Compile it again, or {'upgrade cascade-vm' if version > known else 'use the cascade-vm that wrote it'}"
            )
    body, rest = content[_HEADER.size : _HEADER.size + length], content[_HEADER.size + length :]
    if reserved:
        raise LoadError(f"the artifact's reserved field is {reserved}, not 0: it was not written by this version of Cascade")
    if len(body) != length:
        raise LoadError(f"the artifact is cut short: its content has {len(body):,} of {length:,} bytes. Copy or compile it again")
    if _hash(body) != digest:
        raise LoadError(
            "the artifact is damaged: its content does not have the hash that its header states. Copy or compile it again"
        )
    data = _decoded(_DECODER, body, "content")
    source_maps = _decoded(_MAP_DECODER, rest, "source map")
    if container != _version(data) or _content(data) != body:
        raise LoadError("the artifact's content is not in canonical form: it was not written by Cascade")
    program = Program(data, source_maps, allow=allow)
    verify(program)
    return program


def load(path: str | os.PathLike[str], *, allow: Sequence[str] | None = None, max_bytes: int = MAX_BYTES) -> Program:
    """``loads`` of a file.

    :raises LoadError, VerifyError: there is no such file, it is no regular file, or ``loads`` refuses it; the text names the path.
    """
    if isinstance(path, (bytes, bytearray, memoryview)):
        raise TypeError("load() takes the path of an artifact; loads() takes its bytes")
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise LoadError("not a regular file")
            content = file.read(max_bytes + 1)
        return loads(content, allow=allow, max_bytes=max_bytes)
    except OSError as fault:
        raise LoadError(f"{os.fspath(path)}: cannot be read: {fault.strerror or fault}") from None
    except ValueError as fault:  # a path that no file can have
        raise LoadError(f"{os.fspath(path)!r}: cannot be read: {fault}") from None
    except LoadError as fault:
        raise LoadError(f"{os.fspath(path)}: {fault}") from None
    except VerifyError as fault:
        raise VerifyError(f"{os.fspath(path)}: {fault}", fault.faults) from None


def _version(data: ProgramData) -> int:
    return 2 if data.parts or data.tables else 1


def _content(data: ProgramData) -> bytes:
    """The canonical bytes of a program: version 1 has no parts and tables."""
    fields = astuple(data)
    return _ENCODER.encode(fields if _version(data) == 2 else fields[:-2])


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=32).digest()


def _decoded(decoder: Any, content: bytes, what: str) -> Any:
    try:
        return decoder.decode(content)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, OverflowError, RecursionError) as fault:
        raise LoadError(f"the artifact's {what} is malformed: {fault}") from None
