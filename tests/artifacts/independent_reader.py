"""A reader of artifacts that was written from docs/artifact-format.md, and from nothing else: it imports neither Cascade nor msgpack.

It gives what is in an artifact as plain data: structures as dicts of their fields, arrays as lists.
"""

from __future__ import annotations

import datetime
import decimal
import hashlib
import uuid
from typing import Any, NamedTuple

MAGIC = bytes.fromhex("89 43 42 50 0D 0A 1A 0A")

# The structures of the page. A name in quotes is one of them; [form] an array of that, {form} a map from text to it, ? before it: or nil.
TEXT, INT, BOOL, FLOAT, BINARY, CONSTANT = "text", "integer", "boolean", "float", "binary", "constant"
STRUCTURES: dict[str, dict[str, Any]] = {
    "Program": {
        "entry": TEXT, "blueprints": ["Blueprint"], "constants": [CONSTANT], "literals": [INT], "inputs": ["Input"], "parts": ["Part"],
        "tables": ["Table"], "shapes": ["Shape"],
    },
    "Part": {"blueprint": INT, "literals": [INT], "inputs": ["Input"]},
    "Table": {"routes": ["Route"]},
    "Route": {
        "key": CONSTANT, "plain": INT, "full": INT, "call": INT, "slots": ["Slot"], "first": INT, "more": INT, "joint": INT,
        "required": [INT],
    },
    "Slot": {"name": TEXT, "plain": INT, "alone": INT, "box": INT, "joint": INT},
    "Shape": {"blueprint": INT, "sites": [INT]},
    "Input": {"name": TEXT, "source": TEXT, "type": TEXT, "default": "?constant"},
    "Blueprint": {
        "cycle_id": TEXT, "registers": INT, "literals": INT, "inputs": [TEXT], "symbols": ["Symbol"], "instructions": ["Instruction"],
        "strands": ["Strand"], "policies": ["Policy"], "maps": ["Map"], "choices": ["Choice"], "resources": ["Resource"],
        "regions": [[INT]],
    },
    "Symbol": {"name": TEXT, "version": TEXT, "is_async": BOOL, "signature": TEXT, "mode": TEXT, "bound": BOOL},
    "Instruction": {
        "opcode": INT, "position": INT, "dst": INT, "reads": [INT], "aux": INT, "names": [TEXT], "dead": [INT], "after": [INT], "spec": INT,
        "tests": [INT],
    },
    "Strand": {"start": INT, "stop": INT, "eager": BOOL, "needs": [INT], "awaits": [INT], "region": INT},
    "Policy": {"retry": "?Retry", "timeout": "?float", "cache": "?text", "constraints": ["Amount"], "rate": "?Rate"},
    "Amount": {"name": TEXT, "amount": "?float"},
    "Rate": {"name": TEXT, "calls": FLOAT, "seconds": FLOAT},
    "Retry": {
        "max_attempts": INT, "delay": FLOAT, "backoff": FLOAT, "max_delay": "?float", "jitter": FLOAT, "seed": "?integer", "on": [TEXT],
    },
    "Map": {"iterated": [INT], "policy": INT, "max_concurrency": "?integer"},
    "Choice": {"regions": [INT], "sources": [INT], "keyed": BOOL},
    "Resource": {"name": TEXT, "scope": TEXT, "is_async": BOOL},
    "About": {"source_maps": {"": "SourceMap"}, "fingerprints": {"": BINARY}, "provenance": {"": TEXT}},
    "SourceMap": {"files": [TEXT], "numbers": BINARY, "lines": BINARY},
    "OldSourceMap": {"files": [TEXT], "places": ["OldPlace"]},
    "OldPlace": {"file": INT, "line": INT},
    "Signature": {"algorithm": TEXT, "name": TEXT, "signature": BINARY},
}  # fmt: skip


class Constant(NamedTuple):
    """A value, which may be nil; where there can be none, that is nil."""

    value: Any


class Unreadable(Exception):
    """These bytes are no artifact as the page describes it."""


def read(artifact: bytes) -> dict[str, Any]:
    """What is in an artifact: ``versions``, ``hash``, ``program``, ``about``, ``signatures``.

    :raises Unreadable: the page says that a reader refuses it.
    """
    if artifact[:8] != MAGIC or len(artifact) < 56:
        raise Unreadable("no artifact")
    container, isa, opset, reserved = (int.from_bytes(artifact[at : at + 2], "big") for at in (8, 10, 12, 14))
    if not (1 <= container <= 3 and isa == 2 and 1 <= opset <= 2 and reserved == 0):
        raise Unreadable("another version")
    start = 64 if container == 3 else 56
    end = start + int.from_bytes(artifact[16:24], "big")
    about_end = end + int.from_bytes(artifact[56:64], "big") if container == 3 else len(artifact)
    if about_end > len(artifact):
        raise Unreadable("cut short")
    content = artifact[start:end]
    if hashlib.blake2b(content, digest_size=32).digest() != artifact[24:56]:
        raise Unreadable("another hash")
    fields = {1: 5, 2: 7, 3: 8}[container]
    forms = {**STRUCTURES, "Program": dict(list(STRUCTURES["Program"].items())[:fields])}
    about_form: Any = "About" if container == 3 else {"": "OldSourceMap"}
    signatures = artifact[about_end:]
    return {
        "versions": [container, isa, opset],
        "hash": artifact[24:56],
        "program": _whole(content, "Program", forms),
        "about": _whole(artifact[end:about_end], about_form, forms, in_order=container == 3),
        "signatures": _whole(signatures, ["Signature"], forms) if signatures else [],
    }


def _whole(data: bytes, form: Any, forms: dict[str, dict[str, Any]], in_order: bool = True) -> Any:
    reader = _Reader(data, forms, in_order)
    value = reader.value(form)
    if reader.at != len(data):
        raise Unreadable("goes on behind its end")
    return value


class _Reader:
    def __init__(self, data: bytes, forms: dict[str, dict[str, Any]], in_order: bool) -> None:
        self.data = data
        self.at = 0
        self.forms = forms
        self.in_order = in_order

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise Unreadable("cut short")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, count: int, least: int) -> int:
        """A length, or an integer, that a shorter form could not have held."""
        value = int.from_bytes(self.take(count), "big")
        if value < least:
            raise Unreadable("not in its shortest form")
        return value

    def value(self, form: Any) -> Any:
        if type(form) is list:
            return [self.value(form[0]) for _ in range(self.count(0x90, 0xDC))]
        if type(form) is dict:
            return self.map(form[""])
        if form.startswith("?"):
            if self.data[self.at : self.at + 1] == b"\xc0":
                self.at += 1
                return None
            form = form[1:]
        if form in self.forms:
            fields = self.forms[form]
            if self.count(0x90, 0xDC) != len(fields):
                raise Unreadable(f"no {form}")
            return {name: self.value(inner) for name, inner in fields.items()}
        if form == CONSTANT:
            return Constant(constant(self.value(BINARY)))
        found = self.atom()
        if type(found) is not {TEXT: str, INT: int, BOOL: bool, FLOAT: float, BINARY: bytes}[form]:
            raise Unreadable(f"no {form}")
        return found

    def count(self, short: int, long: int) -> int:
        head = self.take(1)[0]
        if short <= head < short + 16:
            return head - short
        if head not in (long, long + 1):
            raise Unreadable("no array or map")
        return self.number(2, 16) if head == long else self.number(4, 2**16)

    def map(self, form: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        before = None
        for _ in range(self.count(0x80, 0xDE)):
            key = self.value(TEXT)
            if key in found or (self.in_order and before is not None and before.encode() >= key.encode()):
                raise Unreadable("keys that are not in order")
            before = key
            found[key] = self.value(form)
        return found

    def atom(self) -> Any:
        head = self.take(1)[0]
        if head < 0x80:
            return head
        if head >= 0xE0:
            return head - 0x100
        if head in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[head]
        if 0xCC <= head <= 0xCF:
            size = 1 << (head - 0xCC)
            return self.number(size, {1: 0x80, 2: 0x100, 4: 2**16, 8: 2**32}[size])
        if 0xD0 <= head <= 0xD3:
            size = 1 << (head - 0xD0)
            value = int.from_bytes(self.take(size), "big", signed=True)
            if value >= {1: -32, 2: -128, 4: -(2**15), 8: -(2**31)}[size]:
                raise Unreadable("not in its shortest form")
            return value
        if head == 0xCB:
            return _float(self.take(8))
        if 0xA0 <= head <= 0xBF or 0xD9 <= head <= 0xDB:
            size = head - 0xA0 if head <= 0xBF else self.number(1 << (head - 0xD9), {0xD9: 32, 0xDA: 2**8, 0xDB: 2**16}[head])
            try:
                return self.take(size).decode()
            except UnicodeDecodeError:
                raise Unreadable("text that is not UTF-8") from None
        if 0xC4 <= head <= 0xC6:
            return self.take(self.number(1 << (head - 0xC4), {0xC4: 0, 0xC5: 2**8, 0xC6: 2**16}[head]))
        raise Unreadable("something that the page does not know")

    def tree(self, depth: int) -> Any:
        """A constant, arrays as lists with their tags."""
        head = self.data[self.at : self.at + 1]
        if not head or not (0x90 <= head[0] <= 0x9F or head[0] in (0xDC, 0xDD)):
            return self.atom()
        if depth > 64:
            raise Unreadable("nested too deep")
        return [self.tree(depth + 1) for _ in range(self.count(0x90, 0xDC))]


def _float(data: bytes) -> float:
    """IEEE 754, without the help of a library."""
    bits = int.from_bytes(data, "big")
    sign = -1.0 if bits >> 63 else 1.0
    exponent, fraction = bits >> 52 & 0x7FF, bits & (1 << 52) - 1
    if exponent == 0x7FF:
        return sign * float("nan" if fraction else "inf")
    return sign * (fraction * 2.0**-1074 if exponent == 0 else (1 + fraction * 2.0**-52) * 2.0 ** (exponent - 1023))


def constant(data: bytes) -> Any:
    """The value of a constant.

    :raises Unreadable: it is none.
    """
    reader = _Reader(data, {}, True)
    tree = reader.tree(0)
    if reader.at != len(data):
        raise Unreadable("goes on behind its end")
    return _value(tree)


def _value(tree: Any) -> Any:
    if type(tree) is not list:
        return tree
    tag, *parts = tree
    if tag in ("list", "tuple", "set", "frozenset"):
        return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[tag]([_value(part) for part in parts])
    if tag == "dict":
        values = [_value(part) for part in parts]
        return dict(zip(values[::2], values[1::2], strict=True))
    if tag in ("range", "slice"):
        return {"range": range, "slice": slice}[tag](*[_value(part) for part in parts])
    makes: dict[str, Any] = {
        "int": lambda text: int(text, 16),
        "complex": complex,
        "bytearray": bytearray,
        "ellipsis": lambda: ...,
        "Decimal": decimal.Decimal,
        "UUID": lambda text: uuid.UUID(hex=text),
        "date": datetime.date.fromisoformat,
        "datetime": lambda text, fold: datetime.datetime.fromisoformat(text).replace(fold=fold),
        "time": lambda text, fold: datetime.time.fromisoformat(text).replace(fold=fold),
        "timedelta": datetime.timedelta,
    }
    if tag not in makes:
        raise Unreadable("an unknown tag")
    return makes[tag](*parts)
