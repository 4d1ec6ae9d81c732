"""Tracebacks without the engine's own frames, so that the first line that a user reads is theirs."""

from __future__ import annotations

import os
import os.path
import sys
from types import TracebackType

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_COMPILER = os.path.join(os.path.dirname(os.path.dirname(_HERE)), "cascade_compiler") + os.sep

GENERATED = "cascade-generated/"  # how the file names of generated code begin: there are no such files


def trimmed(traceback: TracebackType | None) -> TracebackType | None:
    """``traceback`` without the engine's frames at its start; whole if ``CASCADE_FULL_TRACEBACK=1``, or if nothing would be left."""
    if os.environ.get("CASCADE_FULL_TRACEBACK") == "1":
        return traceback
    user = traceback
    while user is not None and _is_engine(user):
        user = user.tb_next
    return user or traceback


def _is_engine(entry: TracebackType) -> bool:
    name = entry.tb_frame.f_code.co_filename
    if name.startswith((_HERE, _COMPILER, GENERATED)):
        return True
    # asyncio's frames stand between a driver and what it awaits in place.
    return entry.tb_next is not None and name.startswith(os.path.dirname(sys.modules["os"].__file__ or "?") + os.sep + "asyncio")
