"""Creation sites: where in a user's source a call was written.

A node of a graph keeps only ``(code object, instruction offset)``, which costs a tenth of a microsecond; the file and line are
looked up when somebody wants to read them. Paths are shown relative to the import path, so they are the same on every machine.
"""

from __future__ import annotations

import os.path
import sys
from types import CodeType


def line_of(code: CodeType, offset: int) -> int:
    """The line of the instruction at byte ``offset`` of ``code``; the function's first line where none is recorded."""
    for start, end, line in code.co_lines():
        if start <= offset < end:
            return line or code.co_firstlineno
    return code.co_firstlineno


class LineTable:
    """``line_of`` for many sites: each code object's table is read once."""

    def __init__(self) -> None:
        self._lines: dict[CodeType, dict[int, int]] = {}
        self._paths: dict[str, str] = {}

    def resolve(self, code: CodeType, offset: int) -> tuple[str, int]:
        """(path, line) of a site."""
        table = self._lines.get(code)
        if table is None:
            table = self._lines[code] = {
                at: line or code.co_firstlineno for start, end, line in code.co_lines() for at in range(start, end, 2)
            }
        name = code.co_filename
        path = self._paths.get(name)
        if path is None:
            path = self._paths[name] = portable_path(name)
        return path, table.get(offset, code.co_firstlineno)


def portable_path(filename: str) -> str:
    """``filename`` relative to the longest entry of ``sys.path`` above it, else its last part; with forward slashes."""
    best = ""
    for entry in sys.path:
        root = os.path.abspath(entry or ".")
        if len(root) > len(best) and filename.startswith(root + os.sep):
            best = root
    shown = filename[len(best) + 1 :] if best else os.path.basename(filename)
    return shown.replace(os.sep, "/")
