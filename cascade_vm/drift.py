"""Code drift: tasks whose source is no longer what it was when a program was compiled, though name, signature and version are the same.

A version says what an author thought of; a fingerprint says that the text is another. What counts as a change: ``cascade_vm.fingerprint``.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cascade_vm.errors import CodeDriftWarning
from cascade_vm.fingerprint import fingerprint
from cascade_vm.registry import PROCESS, Linkable

if TYPE_CHECKING:
    from cascade_vm.finding import Finder
    from cascade_vm.program import Live, Program

CHOICES = ("warn", "error", "ignore")


def check_choice(drift: object) -> None:
    """:raises ValueError: it is none of those there are."""
    if drift not in CHOICES:
        raise ValueError(f"unknown drift {drift!r}: expected one of {', '.join(map(repr, CHOICES))}")


def fingerprints_of(program: Program, live: Live) -> dict[str, bytes]:
    """Of a program that was compiled in this process: the fingerprints of its tasks, by symbol, in the order of the symbols."""
    data = program.data
    functions: dict[str, Any] = {}
    graphs = [(program.entry, live.entry), *((data.blueprints[p.blueprint], one) for p, one in zip(data.parts, live.parts, strict=True))]
    for blueprint, graph in graphs:
        functions.update((symbol.name, fn) for symbol, fn in zip(blueprint.symbols, graph.functions, strict=True))
    for symbol in (symbol for blueprint in data.blueprints for symbol in blueprint.symbols if symbol.name not in functions):
        task = PROCESS.lookup(symbol.name)  # met only in graphs that tasks return
        functions[symbol.name] = None if task is None else task.fn
    found = {name: fingerprint(functions[name]) for name in sorted(functions)}
    return {name: one for name, one in found.items() if one is not None}


def drifted(program: Program, lookup: Callable[[str], Linkable | None] = PROCESS.lookup) -> tuple[list[str], list[str]]:
    """(the tasks whose source has changed, those whose source cannot be had here): of those that have a fingerprint and are found.

    Nothing is imported: to be asked once the program is linked, for what is met only in graphs that tasks return, too.
    """
    changed, unknown = [], []
    called = {symbol.name for blueprint in program.data.blueprints for symbol in blueprint.symbols}
    for name, known in program.fingerprints.items():
        task = lookup(name) if name in called else None
        if task is not None:
            now = fingerprint(task.fn)
            if now is None:
                unknown.append(name)
            elif now != known:
                changed.append(name)
    return changed, unknown


def check_drift(program: Program, finder: Finder, drift: str) -> list[str]:
    """What has drifted of a program that was loaded: as faults of ``finder`` for "error", to be warned of for "warn".

    What cannot be compared is a fault for who asks for errors: nobody could say that it is what it was.
    """
    if drift == "ignore" or not program.fingerprints:
        return []
    changed, unknown = drifted(program, finder.registry.lookup)
    if drift == "warn":
        return changed
    for name in changed:
        finder.fault(name, f"its source has changed since the program was compiled: {_REMEDY}", code="K05", of_a_task=True)
    for name in unknown:
        why = f"its source is not here, to see whether it has changed: ship it, or {_REMEDY}"
        finder.fault(name, why, code="K05", of_a_task=True)
    return []


def told(changed: list[str], program: str, remedy: str) -> str:
    """One line about tasks that have changed."""
    tasks = "1 task has" if len(changed) == 1 else f"{len(changed)} tasks have"
    return f"{tasks} changed since {program} was compiled ({', '.join(changed)}): {remedy}"


def warn_of(changed: list[str]) -> None:
    """Warn, where somebody outside of Cascade asked for the program to be linked."""
    if not changed:
        return
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("cascade_vm", "functools"):
        level, frame = level + 1, frame.f_back
    text = told(changed, "the program", f"{_REMEDY} if the changes do not matter")
    warnings.warn(CodeDriftWarning(text, tuple(changed)), stacklevel=level + 1)


_REMEDY = "compile it again, or link with drift='ignore'"
