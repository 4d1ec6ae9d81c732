"""Linking: from the symbols of a program to the tasks of this process.

The modules that the symbols name are imported, those and no others, and each symbol is looked up in the registry of tasks that decorated
themselves under exactly that name; or in a registry that is given, and nothing is imported. Everything that does not fit is said in one
error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from cascade_vm.about import SourceMap
from cascade_vm.blueprint import Blueprint
from cascade_vm.caches_by_name import cache_of, check_caches, no_cache, with_caches
from cascade_vm.drift import check_choice, check_drift, warn_of
from cascade_vm.executable import Executable, Options, check_time_slice
from cascade_vm.finding import Finder
from cascade_vm.link import Code
from cascade_vm.policies import CallPolicy, LivePolicy
from cascade_vm.pools import check_pools
from cascade_vm.program import Live, LiveGraph, Program
from cascade_vm.registry import Registry
from cascade_vm.routes import LinkedPart, Tables
from cascade_vm.tiers import THRESHOLDS


def link(
    program: Program, engine: str, allow: Sequence[str] | None, options: Options, caches: Mapping[str, Any] | None = None,
    registry: Registry | None = None, drift: str = "warn",
) -> Executable:  # fmt: skip
    """Bind ``program`` to this process; see ``Program.link``."""
    if engine == "graph":
        raise ValueError("a program is compiled, and has no graph to walk: run the workflow itself with run(..., engine='graph')")
    if engine not in THRESHOLDS:
        raise ValueError(f"unknown engine {engine!r}: expected one of {', '.join(map(repr, THRESHOLDS))}")
    check_time_slice(options.time_slice)
    check_pools(options.pools)
    check_caches(program, caches)
    check_choice(drift)
    graph_of: Callable[[int | None], LiveGraph]
    if registry is None and program._live is not None:
        graph_of = partial(_at_hand, program, program._live, caches or {})
    else:
        graph_of = _bound(program, Finder(allow, registry), caches or {}, drift)
    entry = program.entry
    code = _code(program, entry, graph_of(None), entry.cycle_id)
    return Executable(program, code, options, _tables(program, graph_of))


def _at_hand(program: Program, live: Live, caches: Mapping[str, Any], part: int | None) -> LiveGraph:
    """What the process knows that compiled the program."""
    return with_caches(program, part, live.entry if part is None else live.parts[part], caches)


def _bound(program: Program, finder: Finder, caches: Mapping[str, Any], drift: str) -> Callable[[int | None], LiveGraph]:
    """Gives what stands behind the symbols, policies and resources of each graph: of a part by its number, of the entry by None."""
    blueprints, live = program.data.blueprints, program._live
    tasks = {symbol: finder.task(symbol) for symbol in program.symbols}
    begun = [(at, blueprints[at]) for at in sorted(program.data.begun())]
    policies = {at: [live_policy(one, finder, caches, at_hand=live is not None) for one in blueprint.policies] for at, blueprint in begun}
    resources = {at: [finder.resource(one) for one in blueprint.resources] for at, blueprint in begun}
    changed = [] if live is not None else check_drift(program, finder, drift)
    finder.check()
    warn_of(changed)
    bound = {symbol: task.fn for symbol, task in tasks.items() if task is not None}

    def graph_of(part: int | None) -> LiveGraph:
        at = blueprints.index(program.entry) if part is None else program.data.parts[part].blueprint
        functions = tuple([bound[symbol] for symbol in blueprints[at].symbols])
        found = policies[at]
        if live is not None:  # its caches are what they were made with
            own = _at_hand(program, live, caches, part).policies
            found = [LivePolicy(one.errors, mine.cache) for one, mine in zip(found, own, strict=True)]
        return LiveGraph(functions, tuple(found), tuple(resources[at]), ())

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


def live_policy(policy: CallPolicy, finder: Finder, caches: Mapping[str, Any], *, at_hand: bool) -> LivePolicy:
    """The exception classes and the cache that a policy names; what cannot be found is a fault of ``finder``. Is the cache at hand?"""
    errors = [finder.error(name) for name in (policy.retry.on if policy.retry is not None else ())]
    cache = None if policy.cache is None or at_hand else cache_of(policy.cache, caches)
    if policy.cache is not None and not at_hand and cache is None:
        finder.fault(*no_cache(policy.cache).split(": ", 1), code="K07")
    return LivePolicy(tuple([error for error in errors if error is not None]), cache)


def _lines(program: Program, blueprint: Blueprint, source: str) -> Sequence[str] | None:
    source_map = program.source_maps.get(source)
    return _Lines(source_map) if source_map is not None and len(source_map) == len(blueprint.instructions) else None


class _Lines(Sequence[str]):
    """ "path:line" of each instruction, or "": made when one is asked for, since most never are."""

    def __init__(self, source_map: SourceMap) -> None:
        self._source_map = source_map

    def __len__(self) -> int:
        return len(self._source_map)

    def __getitem__(self, pc: Any) -> Any:
        if type(pc) is slice:
            return self._source_map.texts()[pc]
        if not -len(self) <= pc < len(self):
            raise IndexError(pc)
        place = self._source_map.place(pc % len(self))
        return "" if place is None else f"{place[0]}:{place[1]}"
