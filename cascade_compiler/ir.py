"""The intermediate representation: a list of operations in single-assignment form.

An operation's place in ``Graph.ops`` is the number of the value that it computes, and the order of the list is the order in which
eager Python would have evaluated the same expression (S6). Operands are numbers of earlier operations. What an operation may do
besides computing its value is in its effects, and passes look at nothing else to decide what may move or vanish.
"""

from __future__ import annotations

import enum
from types import CodeType
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

if TYPE_CHECKING:
    from cascade_compiler.inputs import InputKind
    from cascade_compiler.task import Task


class Effects(enum.Flag):
    """What an operation does besides computing its value from its operands."""

    NONE = 0
    IMPURE = enum.auto()  # may do or see anything: keeps its place among its like, is never merged, never dropped
    RAISES = enum.auto()  # may fail
    WAITS = enum.auto()  # hands something to the driver; its value comes later


class Kind(enum.Enum):
    """What an operation is."""

    LITERAL = "literal"  # the value in slot `detail` of the graph's literals
    INPUT = "input"  # the input whose declaration is `detail`
    CALL = "call"  # a call of `task`
    ITEM = "item"  # args[0][args[1]]
    BUILD = "build"  # a container of kind `detail`


class Op(msgspec.Struct, eq=False):
    """One operation. ``names`` are the keywords of the last ``len(names)`` operands of a call.

    What was written as a call has a creation site (``code``, ``lasti``) and a ``slot``: its number among the sites of the graph.
    """

    kind: Kind
    args: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    after: tuple[int, ...] = ()
    task: Task | None = None
    detail: Any = None
    code: CodeType | None = None
    lasti: int = 0
    slot: int = -1

    @property
    def effects(self) -> Effects:
        if self.kind is Kind.CALL:
            assert self.task is not None
            effects = Effects.RAISES
            if self.task.is_async:
                effects |= Effects.WAITS
            if not self.task.pure:
                effects |= Effects.IMPURE
            return effects
        return Effects.RAISES if self.kind in (Kind.ITEM, Kind.BUILD) else Effects.NONE

    @property
    def preloaded(self) -> bool:
        """True for values that are in their registers before the first instruction runs."""
        return self.kind is Kind.LITERAL or self.kind is Kind.INPUT

    @property
    def waits(self) -> bool:
        return self.kind is Kind.CALL and self.task is not None and self.task.is_async


@attrs.define(eq=False)
class Graph:
    """A captured graph. ``result`` is the number of the target's value; ``literals`` are values, kept by nobody else."""

    ops: list[Op]
    result: int
    literals: list[Any]
    inputs: list[InputKind]
    classes: list[type] = attrs.Factory(list)  # of containers that are not plain builtins, as they are met

    def sites(self) -> tuple[Any, ...]:
        """The creation sites of a captured graph, flat: code, offset, code, offset, ..."""
        return tuple([part for op in self.ops if op.slot >= 0 for part in (op.code, op.lasti)])

    def operands(self, op: Op) -> tuple[int, ...]:
        """Everything that must be there before ``op`` runs: its data, and what it comes after."""
        return op.args + op.after if op.after else op.args


def render(graph: Graph) -> str:
    """The graph as text, one operation a line, for tests and for people.

    >>> %2 = call shop.price(%0, currency=%1)
    """
    return "\n".join([*(f"%{at} = {_render(op)}" for at, op in enumerate(graph.ops)), f"result %{graph.result}"])


def _render(op: Op) -> str:
    plain = len(op.args) - len(op.names)
    args = [f"%{a}" for a in op.args[:plain]] + [f"{n}=%{a}" for n, a in zip(op.names, op.args[plain:], strict=True)]
    after = f" after {', '.join(f'%{a}' for a in op.after)}" if op.after else ""
    match op.kind:
        case Kind.LITERAL:
            return f"literal {op.detail}"
        case Kind.INPUT:
            return f"input {op.detail.name}"
        case Kind.CALL:
            assert op.task is not None
            return f"{'spawn' if op.waits else 'call'} {op.task.label}({', '.join(args)}){after}"
        case Kind.ITEM:
            return f"item %{op.args[0]}[%{op.args[1]}]{after}"
        case Kind.BUILD:
            return f"build {op.detail}({', '.join(args)}){after}"
