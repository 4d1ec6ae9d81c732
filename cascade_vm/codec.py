"""From a program to the bytes of an artifact, and back. Loading imports nothing and runs nothing.

``cascade_vm/container.py`` has the layout around the content; docs/artifact-format.md describes all of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import astuple

from cascade_vm import container
from cascade_vm.about import About, SourceMap, about
from cascade_vm.errors import LoadError, VerifyError
from cascade_vm.program import Program, ProgramData, check_allow
from cascade_vm.verify import verify

MAX_BYTES = 16 * 1024 * 1024

# How many fields of ProgramData a version of the container has.
_FIELDS = {1: 5, 2: 7, 3: 8}

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(ProgramData)
_ABOUT_DECODER = msgspec.msgpack.Decoder(About)
_OldSourceMaps = dict[str, tuple[tuple[str, ...], tuple[tuple[int, int], ...]]]
_OLD_DECODER = msgspec.msgpack.Decoder(_OldSourceMaps)


def to_bytes(
    data: ProgramData,
    source_maps: Mapping[str, SourceMap],
    fingerprints: Mapping[str, bytes] | None = None,
    provenance: Mapping[str, str] | None = None,
) -> bytes:
    """The artifact's bytes, without a signature; equal programs give equal bytes."""
    return container.pack(_ENCODER.encode(data), _ENCODER.encode(about(source_maps, fingerprints, provenance)))


def loads(content: bytes | bytearray | memoryview, *, allow: Sequence[str] | None = None, max_bytes: int = MAX_BYTES) -> Program:
    """A program from its bytes, decoded and verified. Nothing is imported and nothing is run: that is for ``link`` and ``run``.

    :param allow: modules and packages that linking may import; None allows all.
    :raises LoadError: the bytes are no artifact that this version reads.
    :raises VerifyError: the artifact is well formed, and its code is not.
    """
    check_allow(allow)
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(f"loads() takes bytes, not {type(content).__name__}; load() takes a path")
    if len(content) > max_bytes:
        raise LoadError(f"the artifact has {len(content):,} bytes, and the limit is {max_bytes:,} (max_bytes=)", code="L06")
    artifact = bytes(content)
    parts = container.unpack(artifact)
    if parts.signatures:
        raise LoadError(f"the artifact goes on for {len(parts.signatures):,} bytes behind its end", code="L04")
    container.check_hash(artifact, parts.content)
    data = _decoded(_DECODER, parts.content, "content")
    if _ENCODER.encode(astuple(data)[: _FIELDS[parts.version]]) != parts.content:
        raise _not_canonical("content")
    told = _about(parts)
    program = Program(data, told.source_maps, told.fingerprints, told.provenance, allow=allow)
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
                raise LoadError("not a regular file", code="L09")
            content = file.read(max_bytes + 1)
        return loads(content, allow=allow, max_bytes=max_bytes)
    except OSError as fault:
        raise LoadError(f"{os.fspath(path)}: cannot be read: {fault.strerror or fault}", code="L09") from None
    except ValueError as fault:  # a path that no file can have
        raise LoadError(f"{os.fspath(path)!r}: cannot be read: {fault}", code="L09") from None
    except LoadError as fault:
        raise LoadError(f"{os.fspath(path)}: {fault}", code=fault.code) from None
    except VerifyError as fault:
        raise VerifyError(f"{os.fspath(path)}: {fault}", fault.faults) from None


def _about(parts: container.Container) -> About:
    """What is known about the content."""
    if parts.version < 3:
        old = _decoded(_OLD_DECODER, parts.about, "source map")
        found = about({name: SourceMap.of(files, lines) for name, (files, lines) in old.items()})
    else:
        found = _decoded(_ABOUT_DECODER, parts.about, "part about its content")
        if _ENCODER.encode(found) != parts.about:
            raise _not_canonical("part about its content")
    for name, source_map in found.source_maps.items():
        if not source_map.is_whole:
            raise LoadError(f"the artifact's source map of {name[:60]!r} names files that it does not have, or is not whole", code="L07")
    return found


def _not_canonical(what: str) -> LoadError:
    return LoadError(f"the artifact's {what} is not in canonical form: it was not written by Cascade", code="L08")


def _decoded(decoder: Any, content: memoryview, what: str) -> Any:
    try:
        return decoder.decode(content)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, OverflowError, RecursionError) as fault:
        raise LoadError(f"the artifact's {what} is malformed: {fault}", code="L07") from None
