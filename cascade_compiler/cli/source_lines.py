"""``cascade dis --source``: the lines of the user's source, above the instructions that were made of them.

A listing names places as an artifact has them, by paths that lead from a folder of the import path. Nothing else is read: no absolute
path, none with ``..``, nothing that is no ``.py`` file. A file that is not there is no error; its lines are not shown.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tokenize
from pathlib import PurePosixPath, PureWindowsPath

from cascade_compiler.cli import output

_PLACE = re.compile(r'^ +\d+  %.*  @ ("(?:[^"\\]|\\.)*"|\S.*?):(\d+)   ; live ')
_LARGEST = 10_000_000  # bytes of a file
_LONGEST = 160  # characters of a line


class Sources:
    """Lines of source files, each file read once."""

    def __init__(self, folders: list[str] | None = None) -> None:
        """:param folders: where paths begin; None for those of the import path."""
        self._folders = [folder or os.curdir for folder in (sys.path if folders is None else folders)]
        self._files: dict[str, list[str]] = {}

    def line(self, path: str, number: int) -> str | None:
        """A line, on one line and without what moves a cursor; None where it cannot be had."""
        if path not in self._files:
            self._files[path] = self._read(path)
        lines = self._files[path]
        if not 1 <= number <= len(lines):
            return None
        text = output.one_line(lines[number - 1].expandtabs(4).strip())
        return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."

    def _read(self, path: str) -> list[str]:
        if not path.endswith(".py") or "\0" in path or ".." in re.split(r"[/\\]", path):
            return []
        if PurePosixPath(path).is_absolute() or PureWindowsPath(path).drive or PureWindowsPath(path).root:
            return []
        for folder in self._folders:
            whole = os.path.join(folder, path)
            try:
                if not os.path.isfile(whole) or os.path.getsize(whole) > _LARGEST:
                    continue
                with tokenize.open(whole) as file:
                    return file.read().split("\n")
            except (OSError, SyntaxError, ValueError):  # it has gone, or is no text
                continue
        return []


def with_source(listing: str, sources: Sources) -> str:
    """``listing`` with the line of source above the first of the instructions that follow each other and come of it, as a comment."""
    found: list[str] = []
    before: tuple[str, str] | None = None
    for line in listing.split("\n"):
        match = _PLACE.match(line)
        if match is None:
            before = None
        else:
            path = json.loads(match[1]) if match[1].startswith('"') else match[1]
            place = path, match[2]
            text = sources.line(path, int(match[2])) if place != before else None
            before = place
            if text is not None:
                found.append(f"  ; {output.one_line(path)}:{match[2]}   {text}")
        found.append(line)
    return "\n".join(found)
