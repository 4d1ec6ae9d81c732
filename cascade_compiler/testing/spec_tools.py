"""Questions about a spec, changes that must not matter, and printing a spec as a test."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from cascade_compiler.testing import specs
from cascade_compiler.testing.specs import (
    ABSENT,
    Again,
    Call,
    DictOf,
    Expr,
    Go,
    GraphSpec,
    Input,
    Jumps,
    ListOf,
    Lit,
    Loop,
    Map,
    Member,
    Node,
    Raises,
    ResourceSpec,
    SetOf,
    State,
    TupleOf,
)
from cascade_compiler.testing.walks import demanded, uses

if TYPE_CHECKING:
    from collections.abc import Iterator


def all_nodes(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Every node, also of the graphs that tasks return and of the steps of loops."""
    for node in nodes:
        yield node
        match node:
            case Call(does=Go(graph)) | Map(does=Go(graph)):
                yield from all_nodes(graph.nodes)
            case Loop(members=members):
                for member in members:
                    for step in member.steps:
                        yield from all_nodes(step.nodes)


def named_nodes(spec: GraphSpec, prefix: str = "") -> Iterator[tuple[str, Node, tuple[Node, ...]]]:
    """Every node as ``all_nodes`` has it, with its name before it, and all nodes of its graph behind."""
    for position, node in enumerate(spec.nodes):
        name = f"{prefix}t{position}"
        yield name, node, spec.nodes
        match node:
            case Call(does=Go(graph)) | Map(does=Go(graph)):
                yield from named_nodes(graph, f"{name}.")
            case Loop(members=members):
                for number, member in enumerate(members):
                    for index, step in enumerate(member.steps):
                        if step.nodes:
                            yield from named_nodes(GraphSpec(step.nodes, None), f"{name}.m{number}.s{index}.")


def graphs_with(spec: GraphSpec) -> int:
    """How many graphs there are of which something may use a resource of scope "step", at any time."""
    steps = {number for number, one in enumerate(spec.resources) if one.scope == "step"}
    graphs: list[tuple[Node, ...]] = [spec.nodes]
    repeated = False
    for node in all_nodes(spec.nodes):
        match node:
            case Call(does=Go(graph)) | Map(does=Go(graph)):
                graphs.append(graph.nodes)
                repeated = repeated or isinstance(node, Map)
            case Again() | Jumps():
                repeated = True
            case Loop(members=members):
                graphs += [(*step.nodes, Loop(members, 0, step)) for member in members for step in member.steps]
    found = sum(any(-1 - used in steps for node in nodes for used in uses(node)) for nodes in graphs)
    return found + (1 if found and repeated else 0)


def callers(spec: GraphSpec) -> Iterator[Call | Map | Member | ResourceSpec | State]:
    """Everything in the spec, needed or not, that stands for a task or a resource."""
    yield from spec.resources
    for node in all_nodes(spec.nodes):
        if isinstance(node, (Call, Map)):
            yield node
        elif isinstance(node, Loop):
            yield from node.members
        elif isinstance(node, Jumps):
            yield from node.states


def modes(spec: GraphSpec) -> set[str]:
    """Where tasks of the spec run beside the event loop."""
    return {caller.mode for caller in callers(spec) if isinstance(caller, (Call, Map))} - {"inline"}


def running_on(spec: GraphSpec) -> set[str]:
    """The names of tasks that may run on when their time is up, which nobody waits for but the end of the run."""
    named = [(name, node) for name, node, _ in named_nodes(spec) if isinstance(node, (Call, Map))]
    return {name for name, node in named if node.mode != "inline" and node.timeout is not None}


def has_only_sync_tasks(spec: GraphSpec) -> bool:
    """True if no task or resource is async: then the order of all calls is settled by their places (S6)."""
    return all(caller.delay is None for caller in callers(spec))


def is_sync(spec: GraphSpec) -> bool:
    """True if nothing ever waits, for a task or for another attempt: then no event loop is needed, and no time passes."""
    limited = [caller for caller in callers(spec) if isinstance(caller, (Call, Map))]
    waits = any(caller.rate is not None or (caller.retry is not None and caller.retry.delay) for caller in limited)
    return has_only_sync_tasks(spec) and not waits


def values(spec: GraphSpec) -> dict[str, Any]:
    """What each input is in a run: as given if the target needs the input, else its default."""
    declared = {node.name for i in demanded(spec) if isinstance(node := spec.nodes[i], Input)}
    return {
        given.name: constant(given.value if given.name in declared and given.value is not ABSENT else given.default)
        for given in spec.inputs
    }


def constant(expr: Expr) -> Any:
    """The value of an expression without Refs. Containers are new at every call."""
    match expr:
        case ListOf(items):
            return [constant(item) for item in items]
        case TupleOf(items):
            return tuple([constant(item) for item in items])
        case SetOf(items, frozen):
            made = {constant(item) for item in items}
            return frozenset(made) if frozen else made
        case DictOf(pairs):
            return {constant(key): constant(value) for key, value in pairs}
        case Lit(value):
            return constant(value)
        case _:
            return expr


def add_unused(spec: GraphSpec) -> GraphSpec:
    """The spec with a failing call more that nothing needs: it must run exactly as before (S10)."""
    used: tuple[Expr, ...] = (specs.Ref(0),) if spec.nodes else ()
    return dataclasses.replace(spec, nodes=(*spec.nodes, Call(used, does=Raises("ZeroDivisionError"))))


def as_test(spec: GraphSpec, name: str = "regression") -> str:
    """The source of a pytest function that checks ``spec`` on every engine."""
    text = repr(spec)
    # Values may contain any word: only what stands before a bracket, or alone, is a name; strings are cut out first.
    bare = re.sub(r"""b?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", "", text)
    words = set(re.findall(r"[A-Za-z_]+", bare))
    names = sorted(word for word in words if word in vars(specs) and word[0].isupper())
    numbers = sorted(words & {"inf", "nan"})
    lines = [f"from math import {', '.join(numbers)}\n"] if numbers else []
    lines.append(f"from cascade_compiler.testing import {', '.join(['check_spec', *names])}\n\n")
    body = _wrapped(spec)
    return "\n".join(lines) + f"\ndef test_{name}() -> None:\n    check_spec(\n{body}\n    )\n"


def _wrapped(spec: GraphSpec) -> str:
    nodes = "".join(f"\n                {node!r}," for node in spec.nodes)
    given = [f"{field.name}={value!r}" for field in dataclasses.fields(spec)[2:] if (value := getattr(spec, field.name))]
    rest = "".join(f"\n            {part}," for part in [repr(spec.target), *given])
    return f"        GraphSpec(\n            ({nodes}\n            ),{rest}\n        )"

