"""What was found out about the last specs: asked for again with each run of one, and dear."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from cascade_compiler.testing.specs import GraphSpec

T = TypeVar("T")
Memory = OrderedDict[int, "tuple[GraphSpec, T]"]  # by identity: two specs are compared by their texts, which costs more than it saves

_MOST = 1_000


def remembered(memory: Memory[T], spec: GraphSpec, find: Callable[[], T]) -> T:
    """What ``find`` gives for ``spec``, found once."""
    known = memory.get(id(spec))
    if known is not None:  # which has the spec, so no other can have its identity
        return known[1]
    found = find()
    memory[id(spec)] = (spec, found)
    if len(memory) > _MOST:
        memory.popitem(last=False)
    return found
