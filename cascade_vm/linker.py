"""Linking: from the symbols of a program to the tasks of this process.

The modules that the symbols name are imported, those and no others, and each symbol is looked up in the registry of tasks that decorated
themselves under exactly that name. Everything that does not fit is said in one error.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from cascade_vm import registry
from cascade_vm.blueprint import Blueprint, Resource, Symbol
from cascade_vm.caches_by_name import cache_of, check_caches, no_cache, with_caches
from cascade_vm.errors import LinkError
from cascade_vm.executable import Executable, Options, check_time_slice
from cascade_vm.link import Code
from cascade_vm.policies import CallPolicy, LivePolicy
from cascade_vm.pools import check_pools
from cascade_vm.program import LiveGraph, Program
from cascade_vm.routes import LinkedPart, Tables
from cascade_vm.tiers import THRESHOLDS


def link(
    program: Program, engine: str, allow: Sequence[str] | None, options: Options, caches: Mapping[str, Any] | None = None
) -> Executable:
    """Bind ``program`` to this process; see ``Program.link``."""
    if engine == "graph":
        raise ValueError("a program is compiled, and has no graph to walk: run the workflow itself with run(..., engine='graph')")
    if engine not in THRESHOLDS:
        raise ValueError(f"unknown engine {engine!r}: expected one of {', '.join(map(repr, THRESHOLDS))}")
    check_time_slice(options.time_slice)
    check_pools(options.pools)
    check_caches(program, caches)
    graph_of = _bound(program, allow, caches or {})
    entry = program.entry
    code = _code(program, entry, graph_of(None), entry.cycle_id)
    return Executable(program, code, options, _tables(program, graph_of))


def _bound(program: Program, allow: Sequence[str] | None, caches: Mapping[str, Any]) -> Callable[[int | None], LiveGraph]:
    """Gives what stands behind the symbols, policies and resources of each graph: of a part by its number, of the entry by None."""
    live = program._live
    if live is not None:  # compiled here: the tasks are at hand
        return lambda part: with_caches(program, part, live.entry if part is None else live.parts[part], caches)
    faults: list[str] = []
    bound: dict[Symbol, Any] = {}
    symbols = {symbol.name for symbol in program.symbols}
    for symbol in program.symbols:
        fault = _import(symbol.name.partition(':')[0], allow) or _bind(symbol, bound)
        if fault is not None:
            faults.append(f"{symbol.name}: {fault}")
    begun = [(at, program.data.blueprints[at]) for at in sorted(program.data.begun())]
    policies = {at: [live_policy(policy, allow, faults, caches) for policy in blueprint.policies] for at, blueprint in begun}
    resources = {at: [_provider(resource, allow, faults) for resource in blueprint.resources] for at, blueprint in begun}
    if faults:
        faults = list(dict.fromkeys(faults))  # several graphs may need the same
        what = "task" if all(fault.partition(": ")[0] in symbols for fault in faults) else "part"
        count = f"1 {what}" if len(faults) == 1 else f"{len(faults)} {what}s"
        raise LinkError(f"{count} of the program cannot be linked:\n" + "\n".join(f"  {fault}" for fault in faults))

    def graph_of(part: int | None) -> LiveGraph:
        at = program.data.blueprints.index(program.entry) if part is None else program.data.parts[part].blueprint
        functions = tuple([bound[symbol] for symbol in program.data.blueprints[at].symbols])
        return LiveGraph(functions, tuple(policies[at]), tuple(resources[at]), ())

    return graph_of


def _tables(program: Program, graph_of: Callable[[int | None], LiveGraph]) -> Tables | None:
    """The tables of the program; the parts that they lead to are linked when a jump first comes to them."""
    data = program.data
    if not data.tables:
        return None

    def link_part(number: int) -> Code:
        return _code(program, data.blueprints[data.parts[number].blueprint], graph_of(number), data.source_of(number))

    parts = [LinkedPart(part, program.inputs_of(number), partial(link_part, number)) for number, part in enumerate(data.parts)]
    return Tables(data.tables, parts)


def _code(program: Program, blueprint: Blueprint, graph: LiveGraph, source: str) -> Code:
    return Code(
        blueprint, graph.functions, lines=_lines(program, blueprint, source), live=graph.policies, resources=graph.resources
    )


def live_policy(policy: CallPolicy, allow: Sequence[str] | None, faults: list[str], caches: Mapping[str, Any]) -> LivePolicy:
    """The exception classes and the cache that a policy names; what cannot be found is added to ``faults``.

    A class is looked up among the attributes of the very module that defines it, and taken only if it is an exception class of that name.
    """
    errors: list[type[BaseException]] = []
    for name in policy.retry.on if policy.retry is not None else ():
        module, _, qualname = name.partition(":")
        fault = None if module == "builtins" else _import(module, allow)
        found = vars(sys.modules[module]).get(qualname) if fault is None else None
        if isinstance(found, type) and issubclass(found, Exception) and found.__module__ == module:
            errors.append(found)
        else:
            faults.append(f"{name}: {fault or 'no exception class of that name is defined there'}")
    cache = None if policy.cache is None else cache_of(policy.cache, caches)
    if policy.cache is not None and cache is None:
        faults.append(no_cache(policy.cache))
    return LivePolicy(tuple(errors), cache)


def _provider(resource: Resource, allow: Sequence[str] | None, faults: list[str]) -> Any:
    fault = _import(resource.name.partition(":")[0], allow)
    found = registry.lookup_resource(resource.name) if fault is None else None
    if found is None:
        faults.append(f"{resource.name}: {fault or 'no @resource of that name is defined there'}")
        return None
    if (found.scope, found.is_async) != (resource.scope, resource.is_async):
        faults.append(f"{resource.name}: its scope or kind is another than when the program was compiled: compile it again")
    return found.fn


def _import(module: str, allow: Sequence[str] | None) -> str | None:
    if allow is not None and not any(module == one or module.startswith(f"{one}.") for one in allow):
        return f"module {module} is not among those allowed ({', '.join(allow) or 'none'}); nothing was imported for it"
    try:
        importlib.import_module(module)
    except Exception as fault:  # a module's own code runs when it is imported, and may fail in any way
        return f"its module cannot be imported: {type(fault).__name__}: {fault}"
    return None


def _bind(symbol: Symbol, bound: dict[Symbol, Any]) -> str | None:
    task = registry.lookup(symbol.name)
    if task is None:
        from difflib import get_close_matches

        near = get_close_matches(symbol.name, registry.symbols(), n=3)
        return "no @task of that name is defined there" + (f"; near it: {', '.join(near)}" if near else "")
    if task.is_async is not symbol.is_async:
        return f"was {_kind(symbol.is_async)} when the program was compiled, and is {_kind(task.is_async)} now: compile it again"
    if task.mode != symbol.mode:
        return f"runs in mode {task.mode!r} now, and in {symbol.mode!r} when the program was compiled: compile it again"
    if task.version != symbol.version:
        return f"has version {task.version!r} now, and the program was compiled with {symbol.version!r}: compile it again"
    if task.signature_text != symbol.signature:
        return f"its signature is {task.signature_text} now, and was {symbol.signature} when the program was compiled: compile it again"
    bound[symbol] = task.fn
    return None


def _kind(is_async: bool) -> str:
    return "async" if is_async else "synchronous"


def _lines(program: Program, blueprint: Blueprint, source: str) -> list[str] | None:
    source_map = program.source_maps.get(source)
    return source_map.texts() if source_map is not None and len(source_map) == len(blueprint.instructions) else None
