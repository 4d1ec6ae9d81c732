"""Texts in pictures: bounded, on one line, and escaped for the language that they are written in."""

from __future__ import annotations

from functools import lru_cache
from types import BuiltinFunctionType, FunctionType
from typing import Any

from cascade_vm.notes import short

TITLE, ARGUMENTS, PLACE, MARK, ROUTE = 40, 48, 44, 28, 24  # the most characters of each kind of text

_SHORT = 10**9


def plain(text: str, most: int) -> str:
    """``text`` with what would not print (line ends, control characters, halves of surrogate pairs, changes of direction) as escapes;
    where it is longer than ``most``, with its middle left out. Never empty."""
    if len(text) > 2 * most:  # the middle is not looked at
        text = f"{text[:most]}…{text[-most:]}"
    if not text.isprintable():
        text = "".join([one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text])
    text = text.strip() or "…"
    if len(text) > most:
        head = (most - 1) * 2 // 3
        text = f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"
    return text


def value(of: Any, most: int) -> str:
    """A value as it would be written; where that has an address in it, which is another in each process, its type."""
    if type(of) is int and -_SHORT < of < _SHORT:
        return str(of)
    text = short(of)
    if "0x" in text and not isinstance(of, (str, bytes)):
        named = isinstance(of, (type, FunctionType, BuiltinFunctionType))
        text = f"<{type(of).__name__} {of.__name__}>" if named else f"<{type(of).__name__}>"
    return plain(text, most)


@lru_cache(1024)  # many calls are written on one line
def place(path: str, line: int) -> str:
    """A place in a source, with the beginning of a long path left out."""
    shown = plain(path.replace("\\", "/"), 200)
    while len(shown) > PLACE - 6 and "/" in shown.removeprefix("…/"):
        shown = f"…/{shown.removeprefix('…/').partition('/')[2]}"
    return f"{plain(shown, PLACE - 6)}:{line}"


_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
_DOT = str.maketrans({"&": "&amp;", "\\": "\\\\", '"': '\\"'})
# Mermaid takes #name; and #number; for a character. What has a meaning there anywhere in a text is written like that.
_MERMAID = str.maketrans({
    "&": "#amp;", "<": "#lt;", ">": "#gt;", '"': "#quot;", "#": "#35;", "`": "#96;", "\\": "#92;", "%": "#37;", "$": "#36;", ";": "#59;",
    "*": "#42;", "_": "#95;", "~": "#126;",
})  # fmt: skip


def html(text: str) -> str:
    """For an HTML-like label of DOT. ``text`` is what ``plain`` gave."""
    return text.translate(_HTML)


def dot(text: str) -> str:
    """For a quoted string of DOT, with its quotes."""
    return f'"{text.translate(_DOT)}"'


def mermaid(text: str) -> str:
    """For a quoted text of Mermaid, without the quotes."""
    return text.translate(_MERMAID)
