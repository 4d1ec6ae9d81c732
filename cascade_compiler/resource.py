"""``@resource``: a generator whose value tasks ask for with ``inject`` (S21)."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from sys import _getframe
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, overload

from cascade_compiler.lazy import LazyResult
from cascade_vm import registry
from cascade_vm.bounded import bounded
from cascade_vm.errors import CompileError

if TYPE_CHECKING:
    from weakref import ref as Ref

    from typing_extensions import TypeVar as DefaultingTypeVar

    from cascade_compiler.annotations import Ends
    from cascade_compiler.cache import Entry

    T_co = DefaultingTypeVar("T_co", covariant=True, default=Any)
else:
    T_co = TypeVar("T_co", covariant=True)

T = TypeVar("T")


class ResourceKind(Generic[T_co]):
    """All that is known of one resource; also the kind of the nodes that stand for its value."""

    is_input: ClassVar[bool] = False
    is_call: ClassVar[bool] = False
    __slots__ = ("__weakref__", "ends", "entries", "fn", "injected", "is_async", "known", "name", "portable", "scope", "symbol")

    def __init__(self, fn: Callable[..., Any], scope: str) -> None:
        self.fn = fn
        self.scope = scope
        self.is_async = inspect.isasyncgenfunction(fn)
        self.name = fn.__name__
        self.symbol = f"{fn.__module__}:{fn.__qualname__}"
        self.portable = "<" not in fn.__qualname__
        self.injected = injected_defaults(fn)
        self.ends: Ends | None = None
        self.entries: tuple[Entry | Ref[Entry], ...] = ()
        self.known: dict[str, list[Entry | Ref[Entry]]] = {}

    @property
    def label(self) -> str:
        return f"resource {self.symbol.replace(':', '.')}"

    def __repr__(self) -> str:
        return f"<{bounded(self.label)}>"


class Named:
    """The kind of a node that ``inject("name")`` gives: which resource it is, is known when the graph is compiled."""

    is_input: ClassVar[bool] = False
    is_call: ClassVar[bool] = False
    __slots__ = ("__weakref__", "entries", "known", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: tuple[Entry | Ref[Entry], ...] = ()
        self.known: dict[str, list[Entry | Ref[Entry]]] = {}

    @property
    def label(self) -> str:
        return f"inject {self.name}"

    def __repr__(self) -> str:
        return f"<{bounded(self.label)}>"

    def resolve(self) -> ResourceKind:
        """The one resource of this name.

        :raises CompileError: there is none, or several modules define one.
        """
        found = _RESOURCES.get(self.name, {})
        if len(found) == 1:
            return next(iter(found.values()))
        if not found:
            from difflib import get_close_matches

            near = get_close_matches(self.name, _RESOURCES, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(_RESOURCES)) or 'none'}."
            raise CompileError(
                f"inject({self.name!r}): no @resource of that name is defined; {hint} Import the module that defines it", code="C07"
            )
        raise CompileError(
            f"inject({self.name!r}) could mean {' or '.join(sorted(found))}: pass the resource itself, inject({self.name})",
            code="C07",
        )


_RESOURCES: dict[str, dict[str, ResourceKind]] = {}  # name -> symbol -> resource
GENERATION = [0]  # goes up with each definition: what was compiled before may mean something else now
_NAMED: dict[str, Named] = {}  # one kind of node for each name, so that graphs of one shape have the same kinds


class _Decorator(Protocol):
    """``@resource(...)`` as type checkers see it."""

    @overload
    def __call__(self, fn: Callable[..., Iterator[T]], /) -> ResourceKind[T]: ...
    @overload
    def __call__(self, fn: Callable[..., AsyncIterator[T]], /) -> ResourceKind[T]: ...


@overload
def resource(fn: Callable[..., Iterator[T]], /, *, scope: str = "run") -> ResourceKind[T]: ...
@overload
def resource(fn: Callable[..., AsyncIterator[T]], /, *, scope: str = "run") -> ResourceKind[T]: ...
@overload
def resource(*, scope: str = "run") -> _Decorator: ...
def resource(fn: Any = None, /, *, scope: str = "run") -> Any:
    """Make a resource of a generator function, sync or async, that yields its value once.

    What stands before the ``yield`` sets it up, what stands behind it tears it down: before its first use, and when its scope has ended, in
    reverse order, however that ended.

    :param scope: "run", or "step": one turn of a loop, or one graph that a task returned.
    :raises TypeError: ``fn`` is no generator function, or has parameters that are not injected. :raises ValueError: an unknown scope.
    """
    if scope not in ("run", "step"):
        raise ValueError(f"unknown scope {scope!r}: expected 'run' or 'step'")
    if fn is None:
        return lambda f: resource(f, scope=scope)
    if not (inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn)):
        raise TypeError(
            f"@resource takes a generator function, one that yields the value once; "
            f"{getattr(fn, '__qualname__', repr(fn))} has no yield"
        )
    kind = ResourceKind(fn, scope)
    for name, parameter in inspect.signature(fn).parameters.items():
        if name not in kind.injected and parameter.default is parameter.empty:
            raise TypeError(f"resource {kind.name}: nothing gives its parameter {name!r}; give it a default, such as inject('...')")
    GENERATION[0] += 1
    _RESOURCES.setdefault(kind.name, {})[kind.symbol] = kind
    if kind.portable:
        registry.register_resource(kind)
    return kind


@overload
def inject(which: ResourceKind[T], /) -> LazyResult[T]: ...
@overload
def inject(which: str, /) -> Any: ...
def inject(which: str | ResourceKind[Any], /) -> Any:
    """The value of a resource: as the default of a parameter of a task or resource, or as an argument of a call.

    :raises TypeError: neither the name of a resource nor one.
    """
    caller = _getframe(1)
    if type(which) is str and which:
        kind: Any = _NAMED.get(which) or _NAMED.setdefault(which, Named(which))
    elif type(which) is ResourceKind:
        kind = which
    else:
        raise TypeError(f"inject takes the name of a resource, or the resource itself, not {which!r}")
    return LazyResult(kind, (), {}, None, caller.f_code, caller.f_lasti)


def is_injected(value: Any) -> bool:
    return type(value) is LazyResult and type(value.task) in (Named, ResourceKind)


def injected_defaults(fn: Any) -> dict[str, LazyResult]:
    """The parameters of ``fn`` that have ``inject(...)`` as their default."""
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return {}
    return {name: parameter.default for name, parameter in parameters.items() if is_injected(parameter.default)}


def check_overrides(resources: Any) -> None:
    """:raises TypeError, ValueError: no dict of values by the names of resources."""
    if resources is None:
        return
    if not isinstance(resources, dict):
        raise TypeError(f"resources takes a dict of values by the names of resources, not {type(resources).__name__!r}")
    for name in resources:
        if name not in _RESOURCES:
            raise ValueError(f"resources: there is no resource {name!r}; there are {', '.join(sorted(_RESOURCES)) or 'none'}")


def provider(node: LazyResult) -> ResourceKind:
    """The resource that an injected node stands for.

    :raises CompileError: nothing provides it.
    """
    kind = node.task
    return kind if type(kind) is ResourceKind else kind.resolve()  # type: ignore[attr-defined]
