"""Pages of the documentation that are generated from code: written, or checked to be fresh."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def write_or_check(page: str, arguments: Sequence[str]) -> int:
    """Write ``page`` to the path in ``arguments``, or with ``--check`` before it tell whether that is what is there; the exit status."""
    path = Path(arguments[-1])
    if arguments[0] != "--check":
        path.write_text(page, encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == page:
        return 0
    print(f"{path} is not what `make docs` writes: run it and commit the result", file=sys.stderr)
    return 1
