"""Mutants of artifacts: of their bytes, of their structure, of their listings. Each is drawn from a ``random.Random`` alone."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

import msgspec
from fuzz_corpus import Sample

from cascade_vm import container, disassemble, loads

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_BYTES = (
    0x00, 0x01, 0x7F, 0x80, 0x8F, 0x90, 0x91, 0x9C, 0xA0, 0xA1, 0xBF, 0xC0, 0xC1, 0xC2, 0xC4, 0xC7, 0xCA, 0xCB, 0xCC, 0xCF, 0xD4, 0xD9,
    0xDB, 0xDC, 0xDD, 0xDF, 0xE0, 0xFF,
)  # fmt: skip
_NUMBERS = (
    0, 1, 2, 3, 16, 31, 32, 127, 128, 255, 256, 65_535, 65_536, 2**31, 2**32, 2**63, 2**64 - 1,
    -1, -2, -3, -33, -129, -(2**31), -(2**63),
)  # fmt: skip
_TEXTS = (
    "", "x", "k", "os:system", "golden_flows:inc", "golden_flows:later", "builtins:ValueError", "int", "list[int] | None", "run", "step",
    "param", "env", "thread", "process", "\x00", "é" * 100, "a" * 300, "0" * 40,
)  # fmt: skip
_CONSTANTS = (
    b"", b"\x00", b"\xc0", b"\xc1", b"\x91\xa4list", b"\x91\xa4dict", b"\x91\xa5tuple", b"\x92\xa3set\x01", b"\xa1k", b"\xc4\x01k",
    b"\x92\xa3int\xb14444444444444444", b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", b"\x91\xa8ellipsis", b"\x92\xa7Decimal\xa3NaN",
    b"\x94\xa5range\x00\xcf\x00\x00\x00\xff\xff\xff\xff\xff\x01",
)  # fmt: skip


def mutant(samples: Sequence[Sample], rng: random.Random) -> tuple[Sample, bytes | str]:
    """A sample, and a mutant of it: bytes, or the text of a listing."""
    sample = rng.choices(samples, [1 / (len(one.artifact) + 200) for one in samples])[0]  # what is small is quick
    kind = rng.random()
    if kind < 0.1:
        return sample, _bytes_changed(sample.artifact, rng)
    if kind < 0.35:
        parts = container.unpack(sample.artifact)
        return sample, _sealed(sample.artifact, _bytes_changed(bytes(parts.content), rng), bytes(parts.about))
    if kind < 0.9:
        return sample, _structure_changed(samples, sample, rng)
    return sample, _listing_changed(samples, sample, rng)


def _sealed(artifact: bytes, content: bytes, about: bytes) -> bytes:
    """An artifact of these parts in the same version of the container."""
    version = container.unpack(artifact).version
    made = container.pack(content, about)
    if version >= container.CONTAINER_VERSION:
        return made
    return b"".join((made[:8], version.to_bytes(2, "big"), artifact[10:14], made[14:56], content, about))


def _bytes_changed(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        what = rng.randrange(7)
        size = rng.choice((1, 1, 2, 4, 16))
        if what == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif what == 1 and at < len(changed):
            changed[at] = rng.choice(_BYTES)
        elif what == 2:
            changed[at:at] = bytes(rng.choice(_BYTES) for _ in range(size))
        elif what == 3:
            del changed[at : at + size]
        elif what == 4:
            changed[at:at] = changed[at : at + size]
        elif what == 5:
            other = rng.randrange(len(changed) + 1)
            changed[at : at + size] = changed[other : other + size]
        elif rng.random() < 0.1:
            del changed[at:]
    return bytes(changed)


def _structure_changed(samples: Sequence[Sample], sample: Sample, rng: random.Random) -> bytes:
    parts = container.unpack(sample.artifact)
    content, about = bytes(parts.content), bytes(parts.about)
    try:
        if rng.random() < 0.08:
            tree = msgspec.msgpack.decode(about)
            _change(tree, [tree], rng)
            about = _ENCODER.encode(tree)
        else:
            tree = msgspec.msgpack.decode(content)
            other = tree
            if rng.random() < 0.3:
                other = msgspec.msgpack.decode(container.unpack(rng.choice(samples).artifact).content)
            for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
                _change(tree, [other], rng)
            content = _ENCODER.encode(tree)
    except (OverflowError, RecursionError, ValueError, TypeError):  # no msgpack any more
        return _sealed(sample.artifact, _bytes_changed(content, rng), about)
    return _sealed(sample.artifact, content, about)


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Each container of a tree and each of its keys."""
    found: list[tuple[Any, Any]] = []
    todo = [tree]
    for one in todo:
        items = list(one.items()) if type(one) is dict else list(enumerate(one))
        found += [(one, key) for key, _ in items]
        todo.extend(value for _, value in items if type(value) in (list, dict))
    return found


def _depth_of(tree: Any) -> int:
    return 1 + max(map(_depth_of, tree), default=0) if type(tree) is list else 0


def _change(tree: Any, givers: Sequence[Any], rng: random.Random) -> None:
    """One change, with a value that is near, or from somewhere else, or of another type."""
    places = _places(tree)
    if not places:
        return
    place, key = rng.choice(places)
    if rng.random() < 0.5:  # lists and texts are few among all the numbers
        place, key = rng.choice([one for one in rng.choices(places, k=12) if type(one[0][one[1]]) is not int] or [(place, key)])
    value = place[key]
    what = rng.random()
    if what < 0.08:
        del place[key]
    elif what < 0.16 and type(place) is list:
        place.insert(key, copy.deepcopy(value))
    elif what < 0.24 and type(place) is list:
        other = rng.randrange(len(place))
        place[key], place[other] = place[other], place[key]
    elif what < 0.44:  # what stands somewhere in the same kind of place
        sources = _places(rng.choice(givers))
        alike = [source for source in rng.choices(sources, k=40) if type(source[0][source[1]]) is type(value)] if sources else []
        if type(value) is list:
            alike = [one for one in alike if len(one[0][one[1]]) == len(value) and _depth_of(one[0][one[1]]) == _depth_of(value)] or alike
        if alike:
            giver, at = rng.choice(alike)
            place[key] = copy.deepcopy(giver[at])
    elif what < 0.5:
        place[key] = rng.choice((None, True, False, 0, -1, 1.5, "", b"", [], {}, [[]], [0], "x"))
    elif type(value) is bool:
        place[key] = not value
    elif type(value) is int:
        place[key] = rng.choice((value + 1, value - 1, value + 2, -value, rng.randrange(12), rng.choice(_NUMBERS)))
    elif type(value) is float:
        place[key] = rng.choice((0.0, -1.0, 1e-9, 1e300, float("nan"), float("inf"), 0.5, value * 2))
    elif type(value) is str:
        place[key] = rng.choice((*_TEXTS, value + "x", value[:-1], value.upper()))
    elif type(value) is bytes:
        place[key] = rng.choice((*_CONSTANTS, _bytes_changed(value, rng), _bytes_changed(value, rng)))
    elif type(value) is list and value:
        place[key] = rng.choice(([], value[:-1], value[1:], value + value, value[::-1], [value]))


_listings: dict[str, str] = {}


def _listing_of(sample: Sample) -> str:
    text = _listings.get(sample.name)
    if text is None:
        text = _listings[sample.name] = disassemble(loads(sample.artifact))
    return text


def _listing_changed(samples: Sequence[Sample], sample: Sample, rng: random.Random) -> str:
    lines = _listing_of(sample).split("\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(lines))
        what = rng.randrange(6)
        if what == 0:
            del lines[at]
        elif what == 1:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif what == 2:
            lines.insert(at, rng.choice(_listing_of(rng.choice(samples)).split("\n")))
        elif what == 3:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            digits = [place for place, sign in enumerate(lines[at]) if sign.isdigit()] or [0]
            place = rng.choice(digits) if what == 4 else rng.randrange(len(lines[at]) + 1)
            put = rng.choice("0123456789") if what == 4 else rng.choice(("", "R", "(", ")", ",", "-1", '"', "[", "=", " ", "é", "9" * 30))
            lines[at] = lines[at][:place] + put + lines[at][place + rng.randrange(2) :]
        if not lines:
            lines = [""]
    return "\n".join(lines)
