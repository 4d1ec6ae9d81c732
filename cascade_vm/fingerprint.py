"""Fingerprints of the source of tasks: what shows that a task's code is no longer what a program was compiled with.

**A change is**: any other text of the function, from its first decorator to its last line: a name, a literal, a docstring, an annotation,
a decorator, a default, how an expression is broken into lines. **None is**: comments, blank lines, trailing space, the kind of line ends,
how deep the function is indented as a whole, and where in which file it stands. Inside of strings every character counts.

What the function calls is not looked into: a helper that changed changes no fingerprint but its own, if it is a task. A function that
another decorator wrapped (``functools.wraps``) is represented by the innermost one. Where there is no source (a function typed in at a
prompt, built by ``exec``, or shipped without its .py file), there is no fingerprint.

The text is read by a scanner of its own that knows strings, comments and brackets. Python's tokenizer would do, but it is not the same in
every version, and a fingerprint must be; and it takes ten times as long, at each start of each process that links.
"""

from __future__ import annotations

import hashlib
import inspect
import linecache
import re
import types
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

SIZE = 16  # bytes

_FORM = b"cascade source 1"  # of the text that is hashed: to be changed with whatever this module makes of it
_NEAR = 40  # lines; most functions have fewer

# By function, with the code that it had: what is behind a name can be replaced in place.
_KNOWN: WeakKeyDictionary[types.FunctionType, tuple[types.CodeType, bytes | None]] = WeakKeyDictionary()


def fingerprint(fn: Any) -> bytes | None:
    """16 bytes that stand for the source of ``fn``: its BLAKE2b, the same in every process, Python version and place; None without source.

    The source is read from its file when it is first asked for. Who edits a file that is in use, and then asks, gets that of the edit.
    """
    try:
        inner = inspect.unwrap(fn)
    except ValueError:  # it wraps itself
        return None
    if not isinstance(inner, types.FunctionType):
        return None
    code = inner.__code__
    known = _KNOWN.get(inner)
    if known is None or known[0] is not code:
        text = _source(inner, code)
        known = _KNOWN[inner] = code, None if text is None else digest(text)
    return known[1]


def digest(text: str) -> bytes:
    """The fingerprint of a source in normal form."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=SIZE, person=_FORM).digest()


def _source(fn: types.FunctionType, code: types.CodeType) -> str | None:
    """The source of a function in normal form; None if it cannot be had."""
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, fn.__globals__)
    start = code.co_firstlineno - 1
    if not 0 <= start < len(lines):
        return None
    found = first_function("".join(lines[start : start + _NEAR]))
    if not found.ended and start + _NEAR < len(lines):
        found = first_function("".join(lines[start:]))
    named = unicodedata.normalize("NFKC", found.name)  # as Python does; another name: the file is not what was imported
    return found.text if named == code.co_name else None


class Found(NamedTuple):
    """A function in a text: its name ("" if there is none), its source in normal form, whether anything shows that it ends there."""

    name: str
    text: str
    ended: bool


_HEAD = re.compile(r"(?:async[ \t]+)?def[ \t]+(\w+)")


def first_function(text: str) -> Found:
    """The function that ``text`` begins with, decorators first, in normal form: see the head of this module."""
    name, indent = "", ""
    lines: list[str] = []
    for logical in _logical_lines(text.replace("\r\n", "\n").replace("\r", "\n")):
        own = logical[0][: len(logical[0]) - len(logical[0].lstrip(" \t\f"))]
        if not lines:
            indent = own
        elif name and len(own.expandtabs()) <= len(indent.expandtabs()):
            return Found(name, "\n".join(lines), True)
        if not name:
            head = _HEAD.match(logical[0], len(own))
            if head is None and not logical[0].startswith("@", len(own)):
                return Found("", "", True)
            name = head[1] if head is not None else ""
        lines += [line.removeprefix(indent) for line in logical]
    return Found(name, "\n".join(lines), False)


# --- the scanner ------------------------------------------------------------------------------------------------------

_CODE = re.compile(r"""["'#\\\n()\[\]{}]""")
_FIELD = re.compile(r"""["'#:()\[\]{}]""")
_BRACE = re.compile(r"[{}]")
_FILLED = re.compile(r"(?<!\w)(?:[fFtT][rR]?|[rR][fFtT])\Z")  # what stands before a string with fields in it
_QUOTES = ('"', "'", '"' * 3, "'" * 3)
# Where a string may end, by what it began with; one with single quotes ends with its line at the latest.
_PLAIN_STOP = {quote: re.compile(rf"\\.|{quote}" + r"|\n" * (len(quote) == 1), re.DOTALL) for quote in _QUOTES}
_FILLED_STOP = {quote: re.compile(r"\\[^{]|\{\{|\{|" + quote + r"|\n" * (len(quote) == 1), re.DOTALL) for quote in _QUOTES}


def _logical_lines(text: str) -> Iterator[list[str]]:
    """Each logical line as its lines of text, without comments, trailing space and blank lines; a long string is in one, with breaks."""
    at = depth = begin = 0
    line = ""  # what there is of the line before ``begin``
    lines: list[str] = []
    while (found := _CODE.search(text, at)) is not None:
        at, what = found.end(), found[0]
        if what in "\"'":
            at = _string_end(text, at - 1)
        elif what == "\n":
            line = (line + text[begin : at - 1]).rstrip()
            if line:
                lines.append(line)
            line, begin = "", at
            if lines and not depth:
                yield lines
                lines = []
        elif what == "\\":
            if text.startswith("\n", at):  # the logical line goes on
                lines.append(line + text[begin:at])
                at += 1
                line, begin = "", at
        elif what == "#":
            line += text[begin : at - 1]
            begin = at = _line_end(text, at)
        elif what in "([{":
            depth += 1
        elif depth:
            depth -= 1
    line = (line + text[begin:]).rstrip()
    if line:
        lines.append(line)
    if lines:
        yield lines


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return end if end >= 0 else len(text)


def _string_end(text: str, at: int) -> int:
    """Where the string ends whose first quote is at ``at``."""
    quote = text[at]
    filled = _FILLED.search(text[max(0, at - 3) : at])
    if text.startswith(quote * 3, at):
        quote *= 3
    stop = (_FILLED_STOP if filled else _PLAIN_STOP)[quote]
    at += len(quote)
    while (found := stop.search(text, at)) is not None:
        at = found.end()
        if found[0] == quote:
            return at
        if found[0] == "\n":
            return found.start()
        if found[0] == "{":
            at = _field_end(text, at)
    return len(text)


def _field_end(text: str, at: int) -> int:
    """Where the ``{...}`` of an f-string ends whose content begins at ``at``. Since 3.12 it may hold anything, the same quotes too."""
    depth = 0
    while (found := _FIELD.search(text, at)) is not None:
        what, at = found[0], found.end()
        if what in "\"'":
            at = _string_end(text, at - 1)
        elif what == "#":
            at = _line_end(text, at)
        elif what in "([{":
            depth += 1
        elif depth and what in ")]}":
            depth -= 1
        elif what == "}":
            return at
        elif what == ":" and not depth:
            return _format_end(text, at)
    return len(text)


def _format_end(text: str, at: int) -> int:
    """The same from behind the colon: text, with fields in it."""
    while (found := _BRACE.search(text, at)) is not None:
        at = found.end()
        if found[0] == "}":
            return at
        at = _field_end(text, at)
    return len(text)
