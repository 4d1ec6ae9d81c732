"""Hostile contents of any size: well formed and senseless, of as many objects as their bytes can claim."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

_encode = msgspec.msgpack.Encoder(order="deterministic").encode

ABOUT = b"\x93\x80\x80\x80"
_CYCLE_ID = _encode("0" * 40)
_INSTRUCTION = b"\x9a\x03\x02\xff\x90\x00\x90\x90\x90\xff\x90"
_OF_TUPLES = b"\x9a\x03\x02\xff\x91\x01\x00\x90\x91\x01\x91\x01\xff\x91\x01"
_ROUTE = b"\x99\xc4\x00\xff\xff\xff"


def program(
    entry: bytes = _CYCLE_ID, blueprints: bytes | None = None, constants: bytes = b"\x90", literals: bytes = b"\x90",
    inputs: bytes = b"\x90", parts: bytes = b"\x90", tables: bytes = b"\x90", shapes: bytes = b"\x90",
) -> bytes:  # fmt: skip
    """A content of these fields."""
    one = b"\x91" + _blueprint() if blueprints is None else blueprints
    return b"".join((b"\x98", entry, one, constants, literals, inputs, parts, tables, shapes))


def array(members: Sequence[bytes]) -> bytes:
    """An array of what is encoded."""
    return _head(len(members)) + b"".join(members)


def of_instructions(instructions: Sequence[bytes]) -> bytes:
    """A content with one blueprint, of these."""
    return _with(instructions=array(instructions))


def _head(count: int) -> bytes:
    return _encode([None] * count)[: 1 if count < 16 else 3 if count < 65536 else 5]


def _blueprint(**fields: bytes) -> bytes:
    known = {
        "cycle_id": _CYCLE_ID, "registers": b"\x05", "literals": b"\x00", "inputs": b"\x90", "symbols": b"\x90", "instructions": b"\x90",
        "strands": b"\x90", "policies": b"\x90", "maps": b"\x90", "choices": b"\x90", "resources": b"\x90", "regions": b"\x91\x90",
    }  # fmt: skip
    return b"\x9c" + b"".join((known | fields).values())


def _with(**fields: bytes) -> bytes:
    return program(blueprints=b"\x91" + _blueprint(**fields))


def _many(one: bytes, size: int) -> bytes:
    count = max(1, size // len(one))
    return _head(count) + one * count


def _different(make: Callable[[int], bytes], size: int) -> bytes:
    members: list[bytes] = []
    while size > 0:
        members.append(make(len(members)))
        size -= len(members[-1])
    return array(members)


def _text(number: int) -> bytes:
    return _encode(f"{number:x}" if number > 255 else f"x{number}")


def _reads(registers: bytes) -> bytes:
    return _with(instructions=b"\x91\x9a\x03\x02\xff" + registers + b"\x00\x90\x90\x90\xff\x90")


def _constant(value: object) -> bytes:
    return program(constants=array([_encode(value if type(value) is bytes else _encode(value))]))


def _numbered(size: int, one: bytes) -> bytes:
    """A map of many keys in order."""
    count = max(1, size // (7 + len(one)))
    head = b"\xde" + count.to_bytes(2, "big") if count < 65_536 else b"\xdf" + count.to_bytes(4, "big")
    return head + b"".join(_encode(f"{number:06x}") + one for number in range(count))


def bodies(size: int) -> Iterator[tuple[str, bytes]]:
    """By name, each of about ``size`` bytes."""
    yield "tiny instructions", _with(instructions=_many(_INSTRUCTION, size))
    yield "instructions of arrays", _with(instructions=_many(_OF_TUPLES, size))
    yield "instructions with keywords", _with(
        instructions=_different(lambda i: b"\x9a\x03\x02\xff\x91\x01\x00\x91" + _text(i) + b"\x90\x90\xff\x90", size)
    )
    yield "instructions with positions", _with(
        instructions=_different(lambda i: b"\x9a\x03" + _encode(300 + i) + b"\xff\x91\x01\x00\x90\x91\x01\x90\xff\x90", size)
    )
    yield "strands", _with(strands=_many(b"\x96\x00\x01\xc2\x91\x01\x91\x01\x00", size))
    yield "strands of instructions", _with(
        instructions=_many(_INSTRUCTION, size), strands=_many(b"\x96\x00\x01\xc2\x91\x01\x91\x01\x00", size * 9 // 11)
    )
    yield "choices", _with(choices=_many(b"\x93\x91\x01\x91\x01\xc3", size))
    yield "maps", _with(maps=_many(b"\x93\x91\x01\xff\xc0", size))
    yield "policies", _with(policies=_many(b"\x95\xc0\xc0\xc0\x91\x92\xa1x\xc0\xc0", size))
    yield "symbols", _with(symbols=_different(lambda i: b"\x96" + _text(i) + b"\xa0\xc2\xa0\xa0\xc2", size))
    yield "resources", _with(resources=_different(lambda i: b"\x93" + _text(i) + b"\xa0\xc2", size))
    yield "regions", _with(regions=_many(b"\x91\x01", size))
    yield "regions of routes", _with(
        instructions=_many(_INSTRUCTION, 100), regions=_many(b"\x91\x01", size // 2),
        choices=b"\x91\x93" + _many(b"\x01", size // 4) + _many(b"\x01", size // 4) + b"\xc3",
    )  # fmt: skip
    yield "names of inputs", _with(inputs=_different(_text, size))
    yield "long reads", _reads(_many(b"\x01", size))
    yield "long reads of negative integers", _reads(_many(b"\xe0", size))
    yield "long reads of large integers", _reads(_different(lambda i: _encode(300 + i), size))
    yield "blueprints", program(blueprints=_many(_blueprint(), size))
    yield "constants", program(constants=_different(lambda i: _encode(_encode(i + 300)), size))
    yield "constant of lists", _constant(["list"] + [["list"]] * (size // 6))
    yield "constant of tuples", _constant(["list"] + [["tuple", 7]] * (size // 8))
    yield "constant of integers", _constant(["list"] + [-20] * size)
    yield "constant of texts", _constant(["list"] + [f"{i:x}" for i in range(size // 5)])
    yield "constant that is a dict", _constant(["dict"] + [one for i in range(size // 4) for one in (i, 1)])
    yield "constant that claims", _constant((b"\xdd" + (size - size // 8).to_bytes(4, "big")) * 60 + b"\x01" * size)
    yield "constant that nests", _constant(b"\x91" * size)
    yield "constant that is a large integer", _constant(["int", "f" * size])
    yield "literals", program(literals=_different(lambda i: _encode(300 + i % 60_000), size))
    yield "negative literals", program(literals=_many(b"\xe0", size))
    yield "inputs", program(inputs=_different(lambda i: b"\x94" + _text(i) + b"\xa5param\xa3int\xc0", size))
    yield "parts", program(parts=_many(b"\x93\x00\x91\x01\x90", size))
    yield "tables", program(tables=_many(b"\x91\x90", size))
    yield "routes", program(tables=b"\x91\x91" + _many(_ROUTE + b"\x91\x95\xa0\xff\xff\xff\xff\xff\xff\xff\x91\x01", size))
    yield "slots", program(tables=b"\x91\x91\x91" + _ROUTE + _many(b"\x95\xa0\xff\xff\xff\xff", size) + b"\xff\xff\xff\x91\x01")
    yield "shapes", program(shapes=_many(b"\x92\x00\x91\x01", size))
    yield "long text", _with(symbols=b"\x91\x96" + _encode("x" * size) + b"\xa0\xc2\xa0\xa0\xc2")
    yield "long wide text", _with(symbols=b"\x91\x96" + _encode("x" * size + "\U0001f600") + b"\xa0\xc2\xa0\xa0\xc2")
    claims = [b"\xdd" + (size - number).to_bytes(4, "big") for number in (0, size // 8, size // 4)]
    yield "claims in claims", b"".join(
        (b"\x98", _CYCLE_ID, claims[0], b"\x9c", _CYCLE_ID, b"\x05\x00\x90\x90", claims[1], b"\x9a\x03\x02\xff", claims[2], b"\x01" * size)
    )
    yield "a claim of 4 G", b"\x98" + _CYCLE_ID + b"\xdd\xff\xff\xff\xff" + b"\x90" * size
    yield "deep", b"\x91" * size
    yield "type that nests", program(inputs=b"\x91\x94\xa1x\xa5param" + _encode("list[" * (size // 5)) + b"\xc0")
    yield "type of many", program(inputs=b"\x91\x94\xa1x\xa5param" + _encode("int|" * (size // 4) + "int") + b"\xc0")


def abouts(size: int) -> Iterator[tuple[str, bytes]]:
    """The same for what is told about a content."""
    yield "source maps", b"\x93" + _numbered(size, b"\x93\x90\xc4\x00\xc4\x00") + b"\x80\x80"
    yield "fingerprints", b"\x93\x80" + _numbered(size, b"\xc4\x10" + b"f" * 16) + b"\x80"
    yield "short fingerprints", b"\x93\x80" + _numbered(size, b"\xc4\x02ab") + b"\x80"
    yield "provenance", b"\x93\x80\x80" + _numbered(size, b"\xa2ab")
    yield "files of a source map", b"\x93\x81\xa1a\x93" + _different(_text, size) + b"\xc4\x00\xc4\x00\x80\x80"
    yield "a long source map", b"\x93\x81\xa1a\x93\x90" + _encode(bytes(size // 3)) + _encode(bytes(2 * (size // 3) + 2)) + b"\x80\x80"
