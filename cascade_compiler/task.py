"""``@task``: turns a function into one whose calls build graph nodes."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Coroutine
from functools import partial, update_wrapper
from sys import _getframe
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from cascade_compiler.lazy import LazyResult
from cascade_compiler.mapping import Iterated, mapped
from cascade_compiler.resource import injected_defaults, is_injected
from cascade_vm.bounded import bounded
from cascade_vm.registry import register

if TYPE_CHECKING:
    from weakref import ref as Ref

    from cascade_compiler.annotations import Ends
    from cascade_compiler.cache import Entry
    from cascade_compiler.node_kinds import MapKind

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
G = TypeVar("G")
R_co = TypeVar("R_co", covariant=True)
if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultingTypeVar

    G_co = DefaultingTypeVar("G_co", covariant=True, default=Any)
else:
    G_co = TypeVar("G_co", covariant=True)


class TaskFunction(Protocol, Generic[P, R_co, G_co]):
    """What ``@task`` gives: call it to build a node; ``fn`` is the undecorated function.

    ``P`` are the parameters of the function, ``R_co`` is its value (of an ``async def``: the awaited one), ``G_co`` what it gives when it
    is called itself.
    """

    @property
    def fn(self) -> Callable[P, G_co]: ...

    @property
    def task(self) -> Task: ...

    # A LazyResult is accepted for every parameter, since type checkers take it for a value of any type.
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> LazyResult[R_co]: ...

    def map(self, *iterables: Iterated, max_concurrency: int | None = None, **named: Any) -> LazyResult[list[R_co]]: ...

    @overload
    def __get__(self, instance: None, owner: Any, /) -> TaskFunction[P, R_co, G_co]: ...
    @overload
    def __get__(
        self: TaskFunction[Concatenate[S, Q], R, G], instance: S, owner: Any, /
    ) -> Callable[Q, LazyResult[R]]: ...
    @overload
    def __get__(self, instance: Any, owner: Any, /) -> Callable[..., LazyResult[R_co]]: ...


TaskFunction.__class_getitem__ = classmethod(types.GenericAlias)  # type: ignore[attr-defined]  # with or without the third


class Task:
    """All that is known of one task. One object a decoration; compared by identity, never by name."""

    is_input: ClassVar[bool] = False
    is_call: ClassVar[bool] = True

    __slots__ = (
        "__weakref__",
        "_signature",
        "ends",
        "entries",
        "fn",
        "fn_name",
        "injected",
        "is_async",
        "known",
        "maps",
        "mode",
        "owned",
        "portable",
        "pure",
        "qualname",
        "symbol",
        "version",
    )

    def __init__(self, fn: Callable[..., Any], *, name: str | None, version: str, pure: bool, mode: str = "inline") -> None:
        self.fn = fn
        self.mode = mode
        self.version = version
        self.pure = pure
        self.is_async = inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(type(fn), "__call__", None))  # noqa: B004 (of the instance)
        own = getattr(fn, "__qualname__", None) or f"{type(fn).__qualname__}"
        self.qualname = name or own
        self.symbol = f"{_module_of(fn)}:{self.qualname}"
        # Only what a module defines at its top (or in a class body) can be found again by importing that module.
        self.fn_name = own
        self.portable = "<" not in own and hasattr(fn, "__qualname__") and hasattr(fn, "__code__")
        self.entries: tuple[Entry | Ref[Entry], ...] = ()
        self.known: dict[str, list[Entry | Ref[Entry]]] = {}
        self.owned: list[Entry] = []  # compiled graphs in which this task, which may not live long, is a dependency
        self.injected = injected_defaults(fn)
        self.maps: dict[Any, MapKind] = {}  # the forms in which it is mapped
        self._signature: inspect.Signature | None = None
        self.ends: Ends | None = None  # what its annotations say, read when a graph with it is compiled

    @property
    def waits(self) -> bool:
        """Does its value come later, from the driver: is it async, or does it run in a thread or process?"""
        return self.is_async or self.mode != "inline"

    @property
    def label(self) -> str:
        return self.symbol.replace(":", ".")

    @property
    def signature(self) -> inspect.Signature | None:
        """The function's signature; None where Python cannot tell it (some builtins)."""
        if self._signature is None:
            try:
                self._signature = inspect.signature(self.fn)
            except (TypeError, ValueError):
                return None
        return self._signature

    @property
    def places(self) -> list[str]:
        """The parameters that positional arguments fill, in order; what ``*args`` takes has no name."""
        named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return [p.name for p in self.signature.parameters.values() if p.kind in named] if self.signature is not None else []

    @property
    def signature_text(self) -> str:
        """Parameters by name and kind, with ``=…`` where there is a default: ``(x, y=…, *, z)``.

        Values of defaults and annotations are left out: a call does not break when they change, and their text is not the
        same in every process.
        """
        signature = self.signature
        if signature is None:
            return "(…)"
        bare = [
            p.replace(annotation=inspect.Parameter.empty, default=p.empty if p.default is p.empty else _Elided())
            for p in signature.parameters.values()
        ]
        return str(inspect.Signature(bare))

    def __repr__(self) -> str:
        return f"<task {bounded(self.label)}>"


class _Elided:
    def __repr__(self) -> str:
        return "…"


def _module_of(fn: Callable[..., Any]) -> str:
    module = getattr(fn, "__module__", None) or type(fn).__module__
    if module == "__main__":  # `python -m package.module` knows its real name
        spec = getattr(sys.modules.get("__main__"), "__spec__", None)
        if spec is not None and spec.name:
            return str(spec.name.removesuffix(".__main__"))
    return str(module)


class _Decorator(Protocol):
    """``@task`` as type checkers see it. A function may return a value, or a LazyResult of it with which the graph goes on."""

    @overload
    def __call__(self, fn: Callable[P, LazyResult[R]], /) -> TaskFunction[P, R, LazyResult[R]]: ...
    @overload
    def __call__(
        self, fn: Callable[P, Coroutine[Any, Any, LazyResult[R]]], /
    ) -> TaskFunction[P, R, Coroutine[Any, Any, LazyResult[R]]]: ...
    @overload
    def __call__(
        self, fn: Callable[P, Coroutine[Any, Any, R | LazyResult[R]]], /
    ) -> TaskFunction[P, R, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, fn: Callable[P, R | LazyResult[R]], /) -> TaskFunction[P, R, R]: ...


@overload
def task(fn: Callable[P, LazyResult[R]], /) -> TaskFunction[P, R, LazyResult[R]]: ...
@overload
def task(fn: Callable[P, Coroutine[Any, Any, LazyResult[R]]], /) -> TaskFunction[P, R, Coroutine[Any, Any, LazyResult[R]]]: ...
@overload
def task(fn: Callable[P, Coroutine[Any, Any, R | LazyResult[R]]], /) -> TaskFunction[P, R, Coroutine[Any, Any, R]]: ...
@overload
def task(fn: Callable[P, R | LazyResult[R]], /) -> TaskFunction[P, R, R]: ...
@overload
def task(*, pure: bool = False, mode: str = "inline", version: str = "1", name: str | None = None) -> _Decorator: ...
def task(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    pure: bool = False,
    mode: str = "inline",
    version: str = "1",
    name: str | None = None,
) -> Any:
    """Make a task of a function: calling it no longer runs it but returns a ``LazyResult`` (S1).

    :param pure: the result depends on the arguments alone and the call does nothing else; equal calls may be merged, and a loop may
        keep the value from one turn to the next. So whoever takes it must not change it.
    :param mode: where it runs: "inline", or for a synchronous function "thread" or "process", where it overlaps other work.
    :param version: part of the identity of compiled code; change it when the meaning of the function changes.
    :param name: the name under which artifacts look the task up, instead of the function's qualified name.
    :raises TypeError: ``fn`` is no callable, is a task already, or is an async generator function.
    :raises ValueError: an unknown ``mode``.

    The task's ``fn`` attribute is the undecorated function.
    """
    if mode not in ("inline", "thread", "process"):
        raise ValueError(f"unknown mode {mode!r}: expected 'inline', 'thread' or 'process'")
    if fn is None:
        return lambda f: _make(f, pure, version, name, mode)
    return _make(fn, pure, version, name, mode)


def _make(fn: Any, pure: bool, version: str, name: str | None, mode: str) -> Any:
    if isinstance(getattr(fn, "task", None), Task):
        raise TypeError(f"{fn.task.label} is a task already; decorate the plain function (its .fn) if you want a second one")
    if isinstance(fn, (staticmethod, classmethod)):
        raise TypeError(f"@task goes below @{type(fn).__name__}, next to the function itself")
    if not callable(fn):
        raise TypeError(f"@task takes a function, not {type(fn).__name__}")
    inner = inspect.unwrap(fn)
    if inspect.iscoroutinefunction(inner) and not inspect.iscoroutinefunction(fn):
        raise TypeError(
            f"a decorator between @task and `async def {getattr(inner, '__qualname__', inner)}` hides that it is async, so its "
            f"coroutine would be passed on as a value: make the wrapper an `async def` that awaits, or put the decorator above @task"
        )
    if type(getattr(fn, "fn", None)) is types.FunctionType and hasattr(fn, "trace"):
        raise TypeError(f"{fn!r} is a workflow; call it inside a task or another workflow to go on with its graph")
    if inspect.isasyncgenfunction(fn) or inspect.isasyncgenfunction(getattr(type(fn), "__call__", None)):  # noqa: B004
        raise TypeError(
            f"{getattr(fn, '__qualname__', fn)} is an async generator function, which has no single result: "
            f"collect what it yields in an `async def` that returns"
        )
    for default in (*(getattr(fn, "__defaults__", None) or ()), *(getattr(fn, "__kwdefaults__", None) or {}).values()):
        if type(default) is LazyResult and not is_injected(default):
            raise TypeError(
                f"a default of {getattr(fn, '__qualname__', fn)} is {default!r}: nothing would run it. Pass it in the call"
            )
    if type(version) is not str:
        raise TypeError(f"version must be a str, not {type(version).__name__}")
    if name is not None and type(name) is not str:
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    made = Task(fn, name=name, version=version, pure=pure, mode=mode)
    if made.is_async and mode != "inline":
        raise TypeError(
            f"{made.qualname} is an `async def`, which runs in the event loop: mode={mode!r} is for synchronous functions. "
            f"Leave the mode out, or make it a plain `def`"
        )
    if made.portable:
        register(made)
    return _builder(made)


def _builder(task: Task) -> Any:
    # A closure, and not a class with __call__: calling it builds the node in a third of the time (bench/build.py).
    node = LazyResult

    def call(*args: Any, **kwargs: Any) -> LazyResult:
        caller = _getframe(1)
        return node(task, args, kwargs, None, caller.f_code, caller.f_lasti)

    update_wrapper(call, task.fn)
    call.__name__ = getattr(task.fn, "__name__", task.qualname)
    call.__qualname__ = getattr(task.fn, "__qualname__", task.qualname)
    call.fn = task.fn  # type: ignore[attr-defined]
    call.task = task  # type: ignore[attr-defined]
    call.map = partial(mapped, task)  # type: ignore[attr-defined]
    return call
