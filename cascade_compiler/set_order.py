"""The order in which the members of a set are evaluated (S27, S29).

A set is walked in an order that depends on addresses and on the seed of string hashing; neither the order of calls nor the digest of a
shape may. So its members are sorted: literals first, then by what the sub-graph of a member looks like; members that look alike, in the
order in which they were written, and if that is one place, in the order of their literals. Used by the compiler and by graph mode alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from cascade_compiler.inputs import InputKind
from cascade_compiler.lazy import LazyResult
from cascade_compiler.scan import Scanner, members
from cascade_compiler.task import Task

_Key = tuple[str, str, int, int, str]
_PLAIN = (int, float, str, bool, bytes, type(None))


class SetOrder:
    """Orders members, and remembers what sub-graphs look like: one object for each walk over a graph."""

    __slots__ = ("_looks", "_scanner")

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._looks: dict[int, str] = {}

    def members(self, container: Any) -> Sequence[Any]:
        """``scan.members``, with those of a set in order."""
        parts = list(members(container))
        if len(parts) < 2 or not issubclass(type(container), (set, frozenset)):
            return parts
        return sorted(parts, key=self._key)

    def _key(self, part: Any) -> _Key:
        if not self._scanner.holds_lazy(part):
            return "", "", 0, 0, repr(part) if type(part) in _PLAIN else type(part).__qualname__
        nodes, literals = self._below(part)
        shown = repr([value for value in literals if type(value) in _PLAIN])
        if not nodes:
            return self._look(part), "", 0, 0, shown
        return self._look(part), nodes[0].code.co_filename, nodes[0].code.co_firstlineno, nodes[0].lasti, shown

    def _children(self, node: Any) -> list[Any]:
        if type(node) is not LazyResult:
            return list(members(node))
        return [*node.args, *node.kwargs.values(), *(node.policy.after if node.policy is not None else ())]

    def _below(self, part: Any) -> tuple[list[LazyResult], list[Any]]:
        """The nodes and literals of a member, the first in order of evaluation, as far as that is known before it is sorted."""
        nodes: list[LazyResult] = []
        literals: list[Any] = []
        seen: set[int] = set()
        stack = [part]
        while stack:
            node = stack.pop()
            if not self._scanner.holds_lazy(node):
                literals.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                if type(node) is LazyResult:
                    nodes.append(node)
                stack += reversed(self._children(node))
        return nodes, literals

    def _look(self, root: Any) -> str:
        """A digest of what a sub-graph is, bottom up; of a set, whatever the order. A cycle is cut: whoever walks next reports it."""
        looks = self._looks
        stack = [(root, False)]
        opened: set[int] = set()
        while stack:
            node, left = stack.pop()
            if left:
                looks[id(node)] = self._digest(node)
            elif id(node) not in looks and id(node) not in opened and self._scanner.holds_lazy(node):
                opened.add(id(node))
                stack.append((node, True))
                stack += [(child, False) for child in self._children(node)]
        return looks[id(root)]

    def _digest(self, node: Any) -> str:
        parts = [self._looks.get(id(child), "literal") for child in self._children(node)]
        if type(node) is not LazyResult:
            head: tuple[Any, ...] = (type(node).__module__, type(node).__qualname__)
            if issubclass(type(node), (set, frozenset)):
                parts.sort()
        elif type(node.task) is Task:
            head = (node.task.symbol, node.task.version, len(node.args), *node.kwargs)
        elif type(node.task) is InputKind:
            head = (node.task.source, node.task.name)
        else:
            head = (node.task.label,)
        return hashlib.blake2b(repr((head, parts)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
