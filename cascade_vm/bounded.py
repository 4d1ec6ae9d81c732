"""Short texts of things that may be large: what ``repr`` of everything public is made with. None is longer than ``MOST`` characters."""

from __future__ import annotations

from typing import Any

from cascade_vm.notes import short

MOST = 300
_ROOM = 20  # for what is put around a text


def bounded(text: str, most: int = MOST - _ROOM) -> str:
    """``text``; where it is longer than ``most``, with its middle left out."""
    if len(text) <= most:
        return text
    head = (most - 3) * 2 // 3
    return f"{text[:head]}...{text[len(text) - (most - 3 - head) :]}"


def shown(struct: Any) -> str:
    """The ``repr`` of a struct: its fields as they are written, each of them short, and no more of them than there is room for."""
    name = bounded(type(struct).__name__, 60)
    parts: list[str] = []
    room = MOST - len(name) - len("(, ...)")
    for field in struct.__struct_fields__:
        part = f"{field}={bounded(short(getattr(struct, field)), 70)}"
        room -= len(part) + 2
        if room < 0:
            parts.append("...")
            break
        parts.append(part)
    return f"{name}({', '.join(parts)})"
