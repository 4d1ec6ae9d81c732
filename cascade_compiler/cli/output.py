"""Writing results: for people when the stream is a terminal, plain otherwise, or as one JSON document.

A reader that goes away (``cascade dis big.cbp | head``) has seen what it wanted: that is no failure.
"""

from __future__ import annotations

import contextlib
import json
import os
import pprint
import re
import sys
import textwrap
from typing import TYPE_CHECKING, Any, TextIO

from cascade_vm.errors import CascadeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console


class OutputError(CascadeError):
    """What a command has to say cannot be written."""

    code = "U03"


Styles = tuple[tuple[str, str], ...]  # (pattern, style), applied in turn, on a terminal only

FAILURE: Styles = (
    (r"^error(\[[^\]\n]*\])?:|^interrupted", "bold red"),
    (r"^usage:", "bold"),
    (r'^ +File "[^\n]*', "cyan"),
    (r"^Traceback [^\n]*|^The above exception [^\n]*|^During handling [^\n]*", "dim"),
    (r"^in (task|item) [^\n]*", "yellow"),
    (r"^[\w.]*[A-Z]\w*(?=: |$)", "bold red"),  # the type of an exception
)
LISTING: Styles = (
    (r"^  ; [^\n]*", "italic yellow"),  # a line of source
    (r"^(program|blueprint|strand)\b[^\n]*", "bold"),
    (r"(?<=  |= )((tail_)?(call|spawn|perform)|map|enter|branch|select|build|item|drop|return)(?= \S| ?\()", "magenta"),
    (r"@ \S+:\d+", "cyan"),
    (r"   ; [^\n]*", "dim"),
)
LIVE: Styles = (
    (r"^(blueprint|strand)\b[^\n]*", "bold"),
    (r"^ +R [\d]+", "cyan"),
    (r"(?<=[o|x. ])\.(?=[o|x.]*  )", "dim"),
    (r"(?<=[o|x. ])o(?=[o|x.]*  )", "bold green"),
    (r"(?<=[o|x. ])\|(?=[o|x.]*  )", "green"),
    (r"(?<=[o|x. ])x(?=[o|x.]*  )", "red"),
)
PASSES: Styles = (
    (r"^(graph|pass)\b[^\n]*", "bold"),
    (r"^  \+[^\n]*", "green"),
    (r"^  -[^\n]*", "red"),
    (r"^  @@[^\n]*", "cyan"),
    (r"   ; [^\n]*", "dim"),
)
PYTHON: Styles = (
    (r"\b(async|await|def|return|if|else|not|in|and|is|while|try|except|finally|raise|for)\b", "magenta"),
    (r"# [^\n]*", "dim"),
)
SUMMARY: Styles = ((r"^\S+: ok", "green"), (r"^wrote [^\n]*", "bold"), (r"^  (instructions|inputs|cycle_id)", "dim"))


def say(text: str, styles: Styles = ()) -> None:
    """Write ``text`` and a line end to stdout."""
    _write(sys.stdout, text, styles)


def complain(text: str, styles: Styles = FAILURE) -> None:
    """Write ``text`` and a line end to stderr, after all that stdout was given."""
    _flush(sys.stdout)
    _write(sys.stderr, text, styles)


def wrapped(text: str, width: int = 100) -> str:
    """``text`` in lines of at most so many characters."""
    return "\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))


def one_line(text: str) -> str:
    """Names and texts in an artifact are anybody's: what would move the cursor or begin a line is shown as an escape."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def say_json(document: Any) -> None:
    """Write one JSON document: one line, or several on a terminal; ASCII alone, so that no encoding of the stream can spoil it."""
    indent = 2 if _is_terminal(sys.stdout) else None
    _write(sys.stdout, json.dumps(document, indent=indent, allow_nan=False), ())


def say_value(value: Any) -> None:
    """Write the result of a run: text as it is, anything else as Python would write it."""
    if isinstance(value, str):
        _write(sys.stdout, str(value), ())
    elif _is_terminal(sys.stdout):
        from rich.pretty import Pretty

        console = _console(sys.stdout)
        try:
            with console.capture() as captured:
                console.print(Pretty(value))
        except Exception as fault:
            _write(sys.stdout, _unshowable(value, fault), ())
        else:
            _put(sys.stdout, captured.get())
    else:
        try:
            text = pprint.pformat(value, width=100, sort_dicts=False)
        except Exception as fault:
            text = _unshowable(value, fault)
        _write(sys.stdout, text, ())


@contextlib.contextmanager
def kept_clean(as_json: bool) -> Iterator[None]:
    """What the user's code prints goes to stderr where stdout is to hold one JSON document."""
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield


def put(text: str) -> None:
    """Write ``text`` to stdout as it is."""
    _put(sys.stdout, text)


def finish() -> None:
    """Flush, so that Python has nothing left to complain about at its exit."""
    _flush(sys.stdout)
    _flush(sys.stderr)


def _unshowable(value: Any, fault: Exception) -> str:
    return f"<a {type(value).__name__}; its repr raises {type(fault).__name__}>"


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _write(stream: TextIO | None, text: str, styles: Styles) -> None:
    if stream is None:  # closed by whoever started this process
        return
    if styles and _is_terminal(stream):
        from rich.text import Text

        styled = Text(text)
        for pattern, style in styles:
            styled.highlight_regex(re.compile(pattern, re.MULTILINE), style)
        console = _console(stream)
        with console.capture() as captured:
            console.print(styled, soft_wrap=True)
        _put(stream, captured.get())
    else:
        _put(stream, f"{text}\n")


def _put(stream: TextIO | None, text: str) -> None:
    if stream is None:
        return
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    except OSError as fault:
        _give_up(stream, fault)
    _flush(stream)


def _flush(stream: TextIO | None) -> None:
    if stream is None:
        return
    try:
        stream.flush()
    except OSError as fault:
        _give_up(stream, fault)


def _give_up(stream: TextIO, fault: OSError) -> None:
    """Let what is still buffered go nowhere: Python's own flush at exit would fail on it otherwise.

    :raises OutputError: it is not just that the reader has gone.
    """
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    if not isinstance(fault, BrokenPipeError):
        raise OutputError(f"the output cannot be written: {fault.strerror or fault}")
