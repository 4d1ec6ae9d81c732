"""SVG: laid out by Graphviz, in a process of its own: by its program ``dot``, or by pygraphviz, whose wheels bring Graphviz along."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec

from cascade_vm.errors import CascadeError

SECONDS = 120.0


class CannotLayOut(CascadeError):
    """There is nothing that could lay out a picture, or it failed."""

    code = "U04"


_INSTALL = (
    "SVG needs Graphviz, and there is no program `dot` here. Install it (pip install 'cascade-vm[pictures]', apt-get install graphviz, "
    "brew install graphviz, https://graphviz.org/download). DOT and Mermaid need nothing"
)
_PYGRAPHVIZ = (
    "import sys, pygraphviz as p; "
    "sys.stdout.buffer.write(p.AGraph(string=sys.stdin.buffer.read().decode()).draw(format='svg', prog='dot'))"
)


def _command() -> list[str] | None:
    """What reads DOT and writes SVG; None where there is nothing that could."""
    program = shutil.which("dot")
    if program is not None:
        return [program, "-Tsvg"]
    return [sys.executable, "-P", "-c", _PYGRAPHVIZ] if sys.executable and find_spec("pygraphviz") is not None else None


def can_lay_out() -> bool:
    """Is Graphviz installed?"""
    return _command() is not None


def to_svg(dot_text: str, seconds: float = SECONDS) -> str:
    """``dot_text`` laid out. The text of the SVG begins with its root element, so that it can stand in a page.

    :param seconds: how long that may take.
    :raises CannotLayOut: Graphviz is not installed, took too long, or cannot read the text.
    """
    command = _command()
    if command is None:
        raise CannotLayOut(_INSTALL)
    try:
        done = subprocess.run(command, input=dot_text.encode(), capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise CannotLayOut(f"dot has not laid the picture out within {seconds:g} s: fold it, or write DOT or Mermaid") from None
    except OSError as fault:
        raise CannotLayOut(f"{command[0]} cannot be started: {fault.strerror or fault}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[:300]
        raise CannotLayOut(f"dot failed with exit code {done.returncode}: {said or 'it does not say why'}")
    found = done.stdout.decode(errors="replace")
    start = found.find("<svg")
    if start < 0:
        raise CannotLayOut(f"dot gave no SVG: {found[:200]!r}")
    return found[start:]
