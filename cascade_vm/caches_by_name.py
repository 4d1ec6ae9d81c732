"""Caches of a program: which object stands behind a name, where the program is linked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cascade_vm.caching import CachePolicy, cache_named, cache_names, is_cache_name
from cascade_vm.policies import LivePolicy

if TYPE_CHECKING:
    from cascade_vm.program import LiveGraph, Program


def check_caches(program: Program, caches: Mapping[str, Any] | None) -> None:
    """:raises TypeError, ValueError: ``caches`` is no dict of caches by names that the program has."""
    if caches is None:
        return
    if not isinstance(caches, Mapping):
        raise TypeError(f"caches takes a dict of caches by name, not {type(caches).__name__!r}")
    known = {one.cache for blueprint in program.data.blueprints for one in blueprint.policies if is_cache_name(one.cache)}
    for name, cache in caches.items():
        if name not in known:
            raise ValueError(f"caches: the program has no cache {name!r}; it has {', '.join(sorted(map(repr, known))) or 'none'}")
        if isinstance(cache, type) or not isinstance(cache, CachePolicy):
            raise TypeError(f"caches: {name!r} must be an object with get(key) and put(key, value), such as MemoryCache(); not {cache!r}")


def cache_of(name: str, caches: Mapping[str, Any]) -> Any:
    """The cache behind a name: that which was given, or one that there is in the process; None where there is none."""
    return caches[name] if name in caches else cache_named(name)


def no_cache(name: str) -> str:
    """What is wrong where there is none."""
    names = ", ".join(map(repr, cache_names()))
    there = f" (there are {names})" if names else ""
    return (
        f"cache {name!r}: there is no cache of that name in this process{there}. Make one in a module that the program imports, with "
        f"name={name!r}, or give one: link(caches={{{name!r}: ...}})"
    )


def with_caches(program: Program, part: int | None, graph: LiveGraph, caches: Mapping[str, Any]) -> LiveGraph:
    """A graph that was compiled in this process, with other caches under some names."""
    if not caches:
        return graph
    blueprint = program.entry if part is None else program.data.blueprints[program.data.parts[part].blueprint]
    pairs = zip(blueprint.policies, graph.policies, strict=True)
    others = [LivePolicy(live.errors, caches.get(one.cache or "", live.cache)) for one, live in pairs]
    return graph._replace(policies=tuple(others))
