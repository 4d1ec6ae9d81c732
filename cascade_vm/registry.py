"""The registry of tasks: functions that decorated themselves, each under its exact symbol.

Linking looks symbols up here and nowhere else. An attribute walk from a module (``getattr`` on a dotted path) can reach
whatever that module imported, ``os.system`` among it; a registry can only answer with what put itself there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Linkable(Protocol):
    """What the linker must know of a task."""

    symbol: str  # "module:qualname"
    fn: Callable[..., Any]
    is_async: bool
    mode: str
    version: str

    @property
    def signature_text(self) -> str: ...


_TASKS: dict[str, Linkable] = {}


def register(task: Linkable) -> None:
    """Enter ``task`` under its symbol; a later definition of the same name replaces an earlier one, as in Python."""
    _TASKS[task.symbol] = task


def lookup(symbol: str) -> Linkable | None:
    """The task registered as ``module:qualname``, or None."""
    return _TASKS.get(symbol)


class Provider(Protocol):
    """What the linker must know of a resource."""

    symbol: str
    fn: Callable[..., Any]
    scope: str
    is_async: bool


_RESOURCES: dict[str, Provider] = {}


def register_resource(resource: Provider) -> None:
    """``register`` for a resource."""
    _RESOURCES[resource.symbol] = resource


def lookup_resource(symbol: str) -> Provider | None:
    """The resource registered as ``module:qualname``, or None."""
    return _RESOURCES.get(symbol)


def symbols() -> list[str]:
    """All registered symbols, sorted."""
    return sorted(_TASKS)
