"""From a program to the bytes of an artifact, and back. Loading imports nothing and runs nothing.

``cascade_vm/container.py`` has the layout around the content; docs/artifact-format.md describes all of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from cascade_vm import container, signing
from cascade_vm.about import About, SourceMap, about
from cascade_vm.content_form import OldSourceMaps, check_about, check_content
from cascade_vm.errors import LoadError, VerifyError
from cascade_vm.load_limits import DEFAULT, LoadLimits, over
from cascade_vm.program import Program, ProgramData, check_allow
from cascade_vm.stored import stored
from cascade_vm.verify import verify_data

# Bytes of a content that is decoded as a whole before it has been verified: of more, only pieces are.
_SMALL = 16_384

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(ProgramData)
_ABOUT_DECODER = msgspec.msgpack.Decoder(About)
_OLD_DECODER = msgspec.msgpack.Decoder(OldSourceMaps)

_MEND = "check the path and its permissions"


def to_bytes(
    data: ProgramData,
    source_maps: Mapping[str, SourceMap],
    fingerprints: Mapping[str, bytes] | None = None,
    provenance: Mapping[str, str] | None = None,
) -> bytes:
    """The artifact's bytes, without a signature; equal programs give equal bytes."""
    return container.pack(_ENCODER.encode(data), _ENCODER.encode(about(source_maps, fingerprints, provenance)))


def loads(
    content: bytes | bytearray | memoryview,
    *,
    allow: Sequence[str] | None = None,
    limits: LoadLimits = DEFAULT,
    keys: Iterable[signing.Key] | None = None,
) -> Program:
    """A program from its bytes, decoded and verified. Nothing is imported and nothing is run: that is for ``link`` and ``run``.

    :param allow: modules and packages that linking may import; None allows all.
    :param limits: what more than that is refused, before any of it is decoded.
    :param keys: one of these must have signed the artifact. That is checked before anything is hashed or decoded but the signatures
        themselves. None asks for no signature; whatever signatures there are must have the right form all the same.
    :raises LoadError: the bytes are no artifact that this version reads, or none that one of ``keys`` has signed.
    :raises VerifyError: the artifact is well formed, and its code is not.
    """
    check_allow(allow)
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(f"loads() takes bytes, not {type(content).__name__}; load() takes a path")
    accepted = None if keys is None else signing.checked_keys(keys)
    size = memoryview(content).nbytes
    if size > limits.bytes:
        raise over("bytes", "size in bytes", size, limits.bytes)
    artifact = bytes(content)
    parts = container.unpack(artifact)
    signatures = signing.read(parts.signatures)
    signed_by = None if accepted is None else signing.accepted(parts, signatures, accepted).name
    container.check_hash(artifact, parts.content)
    places = check_content(parts.content, parts.version, limits)
    check_about(parts.about, parts.version, limits)
    if len(parts.content) > _SMALL:
        verify_data(stored(ProgramData, parts.content, 0, len(parts.content), places))
        data = _decoded(_DECODER, parts.content, "content")
    else:
        data = _decoded(_DECODER, parts.content, "content")
        verify_data(data)
    told = _about(parts)
    return Program(data, told.source_maps, told.fingerprints, told.provenance, allow=allow, signed_by=signed_by)


def load(
    path: str | os.PathLike[str],
    *,
    allow: Sequence[str] | None = None,
    limits: LoadLimits = DEFAULT,
    keys: Iterable[signing.Key] | None = None,
) -> Program:
    """``loads`` of a file.

    :raises LoadError, VerifyError: there is no such file, it is no regular file, or ``loads`` refuses it; the text names the path.
    """
    if isinstance(path, (bytes, bytearray, memoryview)):
        raise TypeError("load() takes the path of an artifact; loads() takes its bytes")
    accepted = None if keys is None else signing.checked_keys(keys)
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise LoadError("not a regular file: copy what it gives into one", code="L09")
            if status.st_size > limits.bytes:
                raise over("bytes", "size in bytes", status.st_size, limits.bytes)
            content = file.read(limits.bytes + 1)
        return loads(content, allow=allow, limits=limits, keys=accepted)
    except OSError as fault:
        raise LoadError(f"{os.fspath(path)}: cannot be read: {fault.strerror or fault}; {_MEND}", code="L09") from None
    except ValueError as fault:  # a path that no file can have
        raise LoadError(f"{os.fspath(path)!r}: cannot be read: {fault}; {_MEND}", code="L09") from None
    except LoadError as fault:
        raise LoadError(f"{os.fspath(path)}: {fault}", code=fault.code) from None
    except VerifyError as fault:
        raise VerifyError(f"{os.fspath(path)}: {fault}", fault.faults) from None


def _about(parts: container.Container) -> About:
    """What is known about the content."""
    if parts.version < 3:
        old = _decoded(_OLD_DECODER, parts.about, "source map")
        try:
            found = about({name: SourceMap.of(files, lines) for name, (files, lines) in old.items()})
        except OverflowError:
            raise LoadError("the artifact's source map has a line below 0, or beyond 32 bits. Compile it again", code="L07") from None
    else:
        found = _decoded(_ABOUT_DECODER, parts.about, "part about its content")
    for name, source_map in found.source_maps.items():
        if not source_map.is_whole:
            what = f"the artifact's source map of {name[:60]!r} names files that it does not have, or is not whole"
            raise LoadError(f"{what}. Compile it again", code="L07")
    return found


def _decoded(decoder: Any, content: memoryview, what: str) -> Any:
    try:
        return decoder.decode(content)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, OverflowError, RecursionError, MemoryError) as fault:
        raise LoadError(f"the artifact's {what} is malformed: {fault}. Compile it again", code="L07") from None
