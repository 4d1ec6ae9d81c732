"""What damages artifacts, and what may come of that."""

from __future__ import annotations

import copy
import hashlib
import random
from typing import Any

import msgspec

from cascade_vm import InputError, LinkError, LoadError, VerifyError, disassemble, loads
from cascade_vm.container import pack, unpack

EXPECTED = (LoadError, VerifyError, LinkError, InputError)


def behaves(content: bytes, *, same_as: Any = None) -> str:
    """Load, verify, disassemble, link and run; only Cascade's own errors for damaged artifacts may come out."""
    try:
        program = loads(content)
        disassemble(program)
        repr(program)
        repr(program.inputs)
        executable = program.link(drift="ignore")  # a damaged fingerprint is one that differs, and would be warned of
    except EXPECTED as error:
        return type(error).__name__
    try:
        value = executable.run(x="5")
    except EXPECTED as error:
        return type(error).__name__
    except (ValueError, TypeError, IndexError, KeyError) as error:
        # A step failed on the values that it got, and says which: a task, an item, a container.
        if not any(note.startswith("in ") for note in getattr(error, "__notes__", [])):
            raise
        return "a step failed"
    if same_as is not None:
        assert value == same_as
    return "ran"


def sealed(content: bytes, body: bytes) -> bytes:
    """``content`` with another body, and the header to it."""
    made = pack(body, about_of(content))
    assert made[24:56] == hashlib.blake2b(body, digest_size=32).digest()
    return made


def body_of(content: bytes) -> bytes:
    return bytes(unpack(content).content)


def about_of(content: bytes) -> bytes:
    return bytes(unpack(content).about)


def with_about(content: bytes, tree: Any) -> bytes:
    """``content`` with something else told about it."""
    return pack(body_of(content), msgspec.msgpack.encode(tree, order="deterministic"))


def mutate(tree: Any, rng: random.Random) -> None:
    """One change somewhere in nested lists."""
    lists = [tree]
    for one in lists:
        lists.extend(part for part in one if type(part) is list)
    place = rng.choice([one for one in lists if one] or [tree])
    at = rng.randrange(len(place))
    value = place[at]
    choice = rng.random()
    if choice < 0.15:
        del place[at]
    elif choice < 0.3:
        place.insert(at, copy.deepcopy(value))
    elif choice < 0.4:
        other = rng.choice([one for one in lists if one])
        place[at] = copy.deepcopy(rng.choice(other))
    elif type(value) is bool:
        place[at] = not value
    elif type(value) is int:
        place[at] = rng.choice([value + 1, value - 1, 0, -1, -2, 255, 2**31, 2**63, rng.randrange(16), True, None])
    elif type(value) is str:
        place[at] = rng.choice(["", value + "x", value[:-1], "os:system", "x", "k", "\x00", "é" * 100, "int", None, 3])
    elif type(value) is bytes:
        place[at] = rng.choice([b"", b"\x00", b"\xc1", b"\x91\xa4list", b"\x91\xa4dict", b"\x05", b"\xa1k", None])
    else:
        place[at] = rng.choice([[], None, 0, "x", value])
