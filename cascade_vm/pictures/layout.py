"""SVG: laid out by Graphviz, whose program ``dot`` is run as a process of its own."""

from __future__ import annotations

import shutil
import subprocess

from cascade_vm.errors import CascadeError

SECONDS = 120.0


class CannotLayOut(CascadeError):
    """There is nothing that could lay out a picture, or it failed."""

    code = "U04"


_INSTALL = (
    "SVG needs Graphviz, and there is no program `dot` here. Install it (apt-get install graphviz, brew install graphviz, "
    "https://graphviz.org/download). DOT and Mermaid need nothing"
)


def can_lay_out() -> bool:
    """Is Graphviz installed?"""
    return shutil.which("dot") is not None


def to_svg(dot_text: str, seconds: float = SECONDS) -> str:
    """``dot_text`` laid out. The text of the SVG begins with its root element, so that it can stand in a page.

    :param seconds: how long the program may take.
    :raises CannotLayOut: Graphviz is not installed, took too long, or cannot read the text.
    """
    program = shutil.which("dot")
    if program is None:
        raise CannotLayOut(_INSTALL)
    try:
        done = subprocess.run([program, "-Tsvg"], input=dot_text.encode(), capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise CannotLayOut(f"dot has not laid the picture out within {seconds:g} s: fold it, or write DOT or Mermaid") from None
    except OSError as fault:
        raise CannotLayOut(f"{program} cannot be started: {fault.strerror or fault}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[:300]
        raise CannotLayOut(f"dot failed with exit code {done.returncode}: {said or 'it does not say why'}")
    found = done.stdout.decode(errors="replace")
    start = found.find("<svg")
    if start < 0:
        raise CannotLayOut(f"dot gave no SVG: {found[:200]!r}")
    return found[start:]
