"""Building a node, in the way of ``@task`` and in others; and freeing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from sys import _getframe
from typing import Any

from bench.case import Case, Work, sized
from bench.tasks import f, increment
from cascade_compiler.lazy import LazyResult

_NODES = 10_000
_TASK = increment.task
_NO_NAMES: dict[str, Any] = {}


def _closure_without_site(*args: Any, **kwargs: Any) -> LazyResult:
    return LazyResult(_TASK, args, kwargs, None, None, 0)  # type: ignore[arg-type]


def _closure_with_one_dict(*args: Any, **kwargs: Any) -> LazyResult:
    caller = _getframe(1)
    return LazyResult(_TASK, args, kwargs or _NO_NAMES, None, caller.f_code, caller.f_lasti)


class _Node:
    __slots__ = ("args", "code", "kwargs", "lasti", "policy", "task")

    def __init__(self, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any], policy: Any, code: Any, lasti: int) -> None:
        self.task = task
        self.args = args
        self.kwargs = kwargs
        self.policy = policy
        self.code = code
        self.lasti = lasti


class _Builder:
    """A task as a class with ``__call__``, which this project does not use."""

    __slots__ = ("task",)

    def __init__(self, task: Any) -> None:
        self.task = task

    def __call__(self, *args: Any, **kwargs: Any) -> _Node:
        caller = _getframe(1)
        return _Node(self.task, args, kwargs, None, caller.f_code, caller.f_lasti)


class _BuilderWithoutSite(_Builder):
    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> _Node:
        return _Node(self.task, args, kwargs, None, None, 0)


def _calls(function: Callable[[Any], Any]) -> Work:
    def call() -> None:
        make = function
        for _ in range(sized(_NODES)):
            make(1)

    return Work(call, sized(_NODES))


def _chain(make: Callable[[Any], Any]) -> Callable[[], list[Any]]:
    def build() -> list[Any]:
        node: Any = 0
        for _ in range(sized(_NODES)):
            node = make(node)
        return [node]  # the only reference

    return build


def _many(make: Callable[[Any], Any]) -> Callable[[], list[Any]]:
    return lambda: [make(at) for at in range(sized(_NODES))]


def _freeing(build: Callable[[], list[Any]]) -> Work:
    return Work(list.clear, sized(_NODES), prepare=build)


def cases() -> Iterator[Case]:
    ways: list[tuple[str, Callable[..., Any]]] = [
        ("@task", increment),
        ("closure and Struct, no site", _closure_without_site),
        ("closure and Struct, one dict for all calls without names", _closure_with_one_dict),
        ("class and slots", _Builder(_TASK)),
        ("class and slots, no site", _BuilderWithoutSite(_TASK)),
    ]
    yield Case(
        "build and free a node", "node", "a plain call of the function",
        {"plain call": lambda: _calls(f), **{name: lambda make=make: _calls(make) for name, make in ways}},
        about="`@task` is what this project does: a closure that makes a struct and notes where it was called.",
    )  # fmt: skip
    for name, shape in (("separate", _many), ("a chain", _chain)):
        yield Case(
            f"free 10,000 nodes: {name}", "node", "nodes of a class with slots",
            {
                "class and slots": lambda shape=shape: _freeing(shape(_Builder(_TASK))),
                "@task": lambda shape=shape: _freeing(shape(increment)),
            },
            quick=False,
        )  # fmt: skip


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.build", cases())
