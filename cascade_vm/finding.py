"""Finding what stands behind the names in a program: in the registry of the process, once their modules have been imported, or in one
that was given, and then nothing is imported.

Each fault has a code, the same in every version:

    K01  its module cannot be imported
    K02  its module is not among those allowed
    K03  there is no task of that name
    K04  the task is another than the program was compiled with: synchronous or async, its mode, its version, its signature
    K05  the source of the task has changed (see ``cascade_vm.drift``)
    K06  there is no such resource or exception class, or it is another kind of resource
    K07  there is no cache of that name
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from cascade_vm.blueprint import Resource, Symbol
from cascade_vm.errors import LinkError
from cascade_vm.registry import PROCESS, Linkable, Registry

_NEAR_NAMES = 20  # to look for those near to a name takes long; a program that fits not at all has as many faults as names
_NEAR_LENGTH = 200  # characters


class _Absent(NamedTuple):
    """Why a module is not there."""

    why: str
    code: str


class Finder:
    """Looks names up for one program, and collects what does not fit. ``registry`` None: that of the process."""

    def __init__(self, allow: Sequence[str] | None, registry: Registry | None) -> None:
        self.registry = PROCESS if registry is None else registry
        self.faults: dict[str, None] = {}  # in their order; several graphs may need the same
        self._allow = allow
        self._imports = registry is None
        self._modules: dict[str, Any] = {}  # what was imported, or why not
        self._hints = _NEAR_NAMES
        self._only_tasks = True

    def fault(self, name: str, why: str, *, code: str, of_a_task: bool = False) -> None:
        """Collect a fault: of what is called ``name``."""
        self.faults[f"{code} {name}: {why}"] = None
        self._only_tasks = self._only_tasks and of_a_task

    def check(self) -> None:
        """:raises LinkError: anything did not fit; with all of it."""
        if not self.faults:
            return
        faults = tuple(self.faults)
        count = f"{len(faults)} {'task' if self._only_tasks else 'part'}{'s' if len(faults) > 1 else ''}"
        remedies = [remedy for code, remedy in _REMEDIES.items() if any(fault.startswith(code) for fault in faults)]
        lines = [f"{count} of the program cannot be linked:", *(f"  {fault}" for fault in faults), *remedies]
        raise LinkError("\n".join(lines), faults)

    def task(self, symbol: Symbol) -> Linkable | None:
        """The task of a symbol, if it is what the program was compiled with."""
        if not self._import(symbol.name, of_a_task=True):
            return None
        task = self.registry.lookup(symbol.name)
        if task is None:
            why = f"no @task of that name is {self._where()}{self._near(symbol.name, self.registry.symbols)}"
            self.fault(symbol.name, why, code="K03", of_a_task=True)
        elif (other := _difference(symbol, task)) is not None:
            self.fault(symbol.name, f"{other}: compile it again", code="K04", of_a_task=True)
            return None
        return task

    def resource(self, resource: Resource) -> Any:
        """The generator function of a resource; None where there is none."""
        if not self._import(resource.name):
            return None
        found = self.registry.lookup_resource(resource.name)
        if found is None:
            near = self._near(resource.name, self.registry.resource_symbols)
            self.fault(resource.name, f"no @resource of that name is {self._where()}{near}", code="K06")
            return None
        if (found.scope, found.is_async) != (resource.scope, resource.is_async):
            why = "its scope or kind is another than when the program was compiled: compile it again"
            self.fault(resource.name, why, code="K06")
        return found.fn

    def error(self, name: str) -> type[Exception] | None:
        """An exception class: builtin, or given to the registry, or among the attributes of the very module that defines it."""
        module, _, qualname = name.partition(":")
        if module == "builtins":
            found = vars(builtins).get(qualname)
        elif not self._imports:
            found = self.registry.lookup_error(name)
        elif self._import(name):
            found = getattr(self._modules[module], "__dict__", {}).get(qualname)
        else:
            return None
        if isinstance(found, type) and issubclass(found, Exception) and found.__module__ == module:
            return found
        near = "" if self._imports else self._near(name, self.registry.error_symbols)
        give = "" if self._imports or module == "builtins" else ": give it, Registry(..., errors=[...])"
        self.fault(name, f"no exception class of that name is {self._where()}{give}{near}", code="K06")
        return None

    def _where(self) -> str:
        return "defined there" if self._imports else "in the registry"

    def _import(self, name: str, *, of_a_task: bool = False) -> bool:
        """Import the module of a name, once, if anything is to be imported; is it there?"""
        if not self._imports:
            return True
        module = name.partition(":")[0]
        if module not in self._modules:
            self._modules[module] = self._imported(module)
        found = self._modules[module]
        if isinstance(found, _Absent):
            self.fault(name, found.why, code=found.code, of_a_task=of_a_task)
        return not isinstance(found, _Absent)

    def _imported(self, module: str) -> Any:
        allow = self._allow
        if allow is not None and not any(module == one or module.startswith(f"{one}.") for one in allow):
            names = ", ".join(allow) or "none"
            return _Absent(f"module {module} is not among those allowed ({names}); nothing was imported for it", code="K02")
        try:
            return importlib.import_module(module)
        except Exception as fault:  # a module's own code runs when it is imported, and may fail in any way
            missing = isinstance(fault, ModuleNotFoundError) and f"{module}.".startswith(f"{fault.name}.")
            near = self._near(module, lambda: sorted(sys.modules)) if missing else ""
            return _Absent(f"its module cannot be imported: {type(fault).__name__}: {fault}{near}", code="K01")

    def _near(self, name: str, names: Callable[[], Iterable[str]]) -> str:
        if self._hints <= 0 or len(name) > _NEAR_LENGTH:
            return ""
        from difflib import get_close_matches

        self._hints -= 1
        near = get_close_matches(name, names(), n=3)
        return f"; near it: {', '.join(near)}" if near else ""


# Of those whose text does not end with what to do: said once, since one module that is missing can be that of many tasks.
_REMEDIES = {
    "K01": "For K01: install the package of the module, put its folder on the import path, or mend it",
    "K02": "For K02: if you trust the module, add it or its package to allow=",
    "K03": "For K03: give the task that name again, @task(name=...), or compile the program again",
    "K06": "For K06: define it there again, or compile the program again",
}


def _difference(symbol: Symbol, task: Linkable) -> str | None:
    if task.is_async is not symbol.is_async:
        return f"was {_kind(symbol.is_async)} when the program was compiled, and is {_kind(task.is_async)} now"
    if task.mode != symbol.mode:
        return f"runs in mode {task.mode!r} now, and in {symbol.mode!r} when the program was compiled"
    if task.version != symbol.version:
        return f"has version {task.version!r} now, and the program was compiled with {symbol.version!r}"
    if task.signature_text != symbol.signature:
        return f"its signature is {task.signature_text} now, and was {symbol.signature} when the program was compiled"
    return None


def _kind(is_async: bool) -> str:
    return "async" if is_async else "synchronous"
