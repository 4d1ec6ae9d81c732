"""Registries: tasks and resources, each under its exact symbol. Linking looks symbols up in one, and nowhere else.

An attribute walk from a module (``getattr`` on a dotted path) can reach whatever that module imported, ``os.system`` among it; a registry
can only answer with what was put into it. The one of the process is filled by decorators, as modules are imported. A server that runs
programs of others fills one of its own, and then no program makes it import anything: ``program.link(registry=Registry([double]))``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast


class Linkable(Protocol):
    """What the linker must know of a task."""

    symbol: str  # "module:qualname"
    fn: Callable[..., Any]
    is_async: bool
    mode: str
    version: str

    @property
    def signature_text(self) -> str: ...


class Provider(Protocol):
    """What the linker must know of a resource."""

    symbol: str
    fn: Callable[..., Any]
    scope: str
    is_async: bool


class Registry:
    """Tasks, resources and exception classes by their symbols, ``module:qualname``.

    ``Registry([double, report, database], errors=[Unavailable])`` holds what ``@task`` and ``@resource`` gave, and the classes that
    retries may name beside the builtin ones. It may be filled on with ``add``; who links sees what is in it then.

    :raises TypeError, ValueError: as ``add``.
    """

    __slots__ = ("_errors", "_resources", "_tasks")

    def __init__(self, things: Iterable[Any] = (), *, errors: Iterable[type[Exception]] = ()) -> None:
        self._tasks: dict[str, Linkable] = {}
        self._resources: dict[str, Provider] = {}
        self._errors: dict[str, type[Exception]] = {}
        self.add(*things, errors=errors)

    def add(self, *things: Any, errors: Iterable[type[Exception]] = ()) -> None:
        """Put tasks and resources into it, and exception classes.

        :raises TypeError: something is none of these. :raises ValueError: another one is in it under that symbol. Then none is added.
        """
        tasks, resources, classes = dict(self._tasks), dict(self._resources), dict(self._errors)
        for thing in things:
            task = _task(thing)
            if task is not None:
                _enter(tasks, task.symbol, task)
            elif _is_resource(thing):
                _enter(resources, thing.symbol, thing)
            else:
                raise TypeError(f"a registry takes what @task and @resource give, not {_what(thing)}")
        for one in errors:
            if not (isinstance(one, type) and issubclass(one, Exception)):
                raise TypeError(f"a registry takes exception classes as errors, not {_what(one)}")
            _enter(classes, f"{one.__module__}:{one.__qualname__}", one)
        self._tasks, self._resources, self._errors = tasks, resources, classes

    def register(self, task: Linkable) -> None:
        """Enter ``task``; a later definition of the same name replaces an earlier one, as in Python."""
        self._tasks[task.symbol] = task

    def register_resource(self, resource: Provider) -> None:
        """``register`` for a resource."""
        self._resources[resource.symbol] = resource

    def lookup(self, symbol: str) -> Linkable | None:
        """The task under ``module:qualname``, or None."""
        return self._tasks.get(symbol)

    def lookup_resource(self, symbol: str) -> Provider | None:
        """The resource under ``module:qualname``, or None."""
        return self._resources.get(symbol)

    def lookup_error(self, symbol: str) -> type[Exception] | None:
        """The exception class under ``module:qualname``, or None. The builtin ones are in no registry."""
        return self._errors.get(symbol)

    def symbols(self) -> list[str]:
        """The symbols of all tasks, sorted."""
        return sorted(self._tasks)

    def resource_symbols(self) -> list[str]:
        """The symbols of all resources, sorted."""
        return sorted(self._resources)

    def error_symbols(self) -> list[str]:
        """The symbols of all exception classes, sorted."""
        return sorted(self._errors)

    def __repr__(self) -> str:
        return f"<Registry: {len(self._tasks)} tasks, {len(self._resources)} resources, {len(self._errors)} errors>"


PROCESS = Registry()  # what was decorated in this process

register = PROCESS.register
lookup = PROCESS.lookup
register_resource = PROCESS.register_resource
lookup_resource = PROCESS.lookup_resource
symbols = PROCESS.symbols


def _task(thing: Any) -> Linkable | None:
    """The task that ``@task`` made, from what it gave, or as it is."""
    found = thing.task if hasattr(thing, "task") and hasattr(thing, "fn") else thing
    is_one = isinstance(getattr(found, "symbol", None), str) and hasattr(type(found), "signature_text")
    return cast("Linkable", found) if is_one else None


def _is_resource(thing: Any) -> bool:
    return isinstance(getattr(thing, "symbol", None), str) and hasattr(thing, "scope")


def _enter(table: dict[str, Any], symbol: str, thing: Any) -> None:
    if table.setdefault(symbol, thing) is not thing:
        raise ValueError(f"there is another {symbol.replace(':', '.')} in the registry already: each name can stand for one thing alone")


def _what(thing: Any) -> str:
    if isinstance(thing, type):
        return f"the class {thing.__qualname__}: give exception classes as errors=[...]" if issubclass(thing, Exception) else "a class"
    if hasattr(thing, "task"):
        return "a call of a task: give the task itself"
    if hasattr(thing, "trace"):
        return "a workflow: give the tasks that it calls"
    name = getattr(thing, "__qualname__", None)
    return f"the function {name}: decorate it" if callable(thing) and isinstance(name, str) else f"an object of type {type(thing).__name__}"
