"""What is in a graph, before it is decided how that is drawn: one ``Vertex`` for each call, container, choice, input and resource.

References to others are their numbers; a text stands for a value that is no node.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import msgspec

from cascade_vm.pictures import labels

Value: TypeAlias = int | str  # the number of a vertex, or the text of a literal

HIDDEN = "·"  # stands for a value that comes along an edge
UNKNOWN = "…"  # for one of which nothing is known


class Argument(msgspec.Struct, frozen=True, gc=False):
    """``name`` is the keyword, or empty; ``each`` says that a map goes over the value."""

    value: Value
    name: str = ""
    each: bool = False


class Vertex(msgspec.Struct, gc=False):
    """One thing of a graph.

    ``kind`` is "call", "map", "container", "item", "router", "choice", "input", "literal", "resource", "jump" or "end". Of a container
    ``title`` is its kind ("list"), of an item its key in brackets. ``tests`` are conditions: (test, value or None for the other case).
    ``amounts`` are constraints that are computed. ``routes`` are those of a choice: (key, value; None where there is none). ``jumps``
    lead to what a run goes on with, ``turns`` are what gives arguments for that. ``section`` and ``strand`` say which box it is in; -1 is
    none.
    """

    kind: str
    title: str
    name: str = ""  # in full, for whoever points at it
    mode: str = ""  # of a call: "", "async", "thread" or "process"
    where: str = ""
    arguments: tuple[Argument, ...] = ()
    marks: tuple[str, ...] = ()
    tests: tuple[tuple[Value, Value | None], ...] = ()
    after: tuple[int, ...] = ()
    amounts: tuple[tuple[str, int], ...] = ()
    selector: Value | None = None
    routes: tuple[tuple[str, Value | None], ...] = ()
    jumps: tuple[tuple[str, int], ...] = ()
    turns: tuple[int, ...] = ()
    over: str = ""  # of a map: what is said of it
    section: int = -1
    strand: int = -1


class Plan(msgspec.Struct):
    """``results`` are what is asked for; ``sections`` the titles of boxes around what is not part of the graph itself; ``strands`` how many
    strands there are, and of which section each is."""

    vertices: list[Vertex]
    results: list[int]
    sections: list[str] = []
    strands: list[int] = []


@lru_cache(1024)
def named(full: str) -> str:
    """The short name of a task or resource: without its module and without the functions that it is defined in."""
    return labels.plain(full.rpartition(":")[2].rpartition("<locals>.")[2] or full, labels.TITLE)
