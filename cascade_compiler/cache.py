"""The blueprint cache: which graphs have been compiled, and how a new one is recognised.

A new graph is first matched against the few shapes last seen for its root (matcher.py: neither sorted nor hashed), then looked up by
its full digest, then compiled, or found on disk (disk_cache.py). What is cached belongs to the task at the root, and dies with it; one
list of weak references bounds the number of all.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from cascade_compiler import edge_types
from cascade_compiler.capture import capture, same_declaration
from cascade_compiler.disk_cache import lowered
from cascade_compiler.emit import Emitted
from cascade_compiler.hoisting import unchanging
from cascade_compiler.inputs import InputKind
from cascade_compiler.ir import Graph, Kept
from cascade_compiler.lazy import LazyResult
from cascade_compiler.loop_guard import LoopGuard
from cascade_compiler.lowering import link_emitted
from cascade_compiler.matcher import Matcher, generate
from cascade_compiler.node_kinds import TARGETS, Literal, NodeKind
from cascade_compiler.shape import digest, identities
from cascade_compiler.shape_fit import fitted
from cascade_compiler.task import Task
from cascade_vm.blueprint import Blueprint
from cascade_vm.inputs import bind
from cascade_vm.link import Activation, Code
from cascade_vm.shapes import Shapes, not_compiled

_MATCHED_FIRST = 8  # shapes of one root that have a matcher tried before the digest
_LOOP_LIMIT = 500  # operations of a graph whose matcher is part of a generated loop
_MATCHER_LIMIT = 5_000  # operations: above, making a matcher takes as long as ten digests,
_WORTH_IT = 10  # and is left until so many graphs of the shape have come


class CacheInfo(NamedTuple):
    """Counts since the start, or since ``cache_clear()``."""

    hits: int
    misses: int
    compiles: int
    size: int
    maxsize: int
    last_miss: str | None  # what differed from the nearest known shape
    from_disk: int = 0  # misses that the disk cache had an entry for


class Entry:
    """One compiled shape. Holds no value of any graph: ``graph`` is kept without its literals, for the matcher to be made from."""

    __slots__ = ("__weakref__", "code", "graph", "identities", "inputs", "kept_hits", "matcher", "waits")

    def __init__(self, graph: Graph, code: Code) -> None:
        self.code = code
        # Classes weakly: one that was made on the fly is not kept alive by the shape of a container.
        self.identities = tuple(weakref.ref(one) if isinstance(one, type) else one for one in identities(graph))
        self.inputs = tuple(graph.inputs)
        may_match = len(graph.ops) <= _MATCHER_LIMIT
        self.graph = Kept(graph) if may_match else None
        self.matcher: Matcher | None = None if may_match else _matches_nothing
        self.waits = not may_match  # for more graphs of its shape, before its matcher is made
        self.kept_hits = 0  # hits when the cache last thought of evicting this entry

    @property
    def hits(self) -> int:
        return self.code.hits

    def prepare(self) -> Matcher:
        """Make the matcher: not when a shape is first seen, but when a second graph comes that may have it."""
        kept = self.graph
        if kept is None:  # another thread was faster
            assert self.matcher is not None
            return self.matcher
        graph = kept.graph()
        if len(graph.ops) <= _LOOP_LIMIT:
            self.code.loop_guard = LoopGuard(kept)
            self.code.hoists = self.code.single and unchanging(graph) is not None
        matcher = self.learn(graph)
        self.graph = None  # not before: another thread takes it for a sign that the matcher is there
        return matcher

    def learn(self, graph: Graph) -> Matcher:
        """Make the matcher from a graph of this shape."""
        self.waits = False
        made = generate(graph, self.code)
        self.matcher = made or _matches_nothing
        if made is not None and not self.inputs and self.code.single and not self.code.waits_for_io:
            self.code.guard = made
        return self.matcher

    def same_identities(self, graph: Graph) -> bool:
        """Are the things that the digest knows by name the same objects?"""
        others = identities(graph)
        return len(others) == len(self.identities) and all(map(_is_same, self.identities, others))


def _is_same(one: Any, other: Any) -> bool:
    if type(one) is InputKind:
        return type(other) is InputKind and same_declaration(one, other)
    return one is other or (isinstance(one, weakref.ref) and one() is other)


def _alive(held: Entry | weakref.ref[Entry]) -> Entry | None:
    return held if type(held) is Entry else held()  # type: ignore[operator]


def _matches_nothing(target: Any) -> None:
    return None


class _Cache:
    """The bound and the counts. Entries are held weakly, and oldest first; the tasks at their roots own them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.maxsize = 1024
        self.lasting: _Order = OrderedDict()
        self.passing: _Order = OrderedDict()  # whose root is a task made on the fly: these may not push out all others
        self.clear()

    def clear(self) -> None:
        self.past_hits = self.misses = self.compiles = self.from_disk = 0
        self.last_miss: tuple[Blueprint | None, Blueprint] | None = None
        for order in (self.lasting, self.passing):
            while order:
                self._forget(order, next(iter(order)))
        self.past_hits = 0

    def add(self, kind: NodeKind, cycle_id: str, entry: Entry) -> None:
        # A task made on the fly that is a dependency owns what it is part of: a root that lives on must not keep it alive.
        owner = next((one for one in entry.identities if type(one) is Task and not one.portable and one is not kind), None)
        held: Entry | weakref.ref[Entry] = entry
        if owner is not None:
            owner.owned.append(entry)
            held = weakref.ref(entry)
        kind.known.setdefault(cycle_id, []).append(held)
        kind.entries = (held, *kind.entries[: _MATCHED_FIRST - 1])
        is_passing = type(kind) is Task and not kind.portable
        (self.passing if is_passing else self.lasting)[weakref.ref(entry)] = weakref.ref(kind)
        if len(self.lasting) + len(self.passing) > self.maxsize:
            self._make_room(entry)

    def _make_room(self, newest: Entry) -> None:
        for order in (self.lasting, self.passing):
            for one in [one for one in order if one() is None]:
                del order[one]
        turns = len(self.lasting) + len(self.passing)
        while len(self.lasting) + len(self.passing) > self.maxsize:
            turns -= 1
            order = self.passing if len(self.passing) > self.maxsize // 8 or not self.lasting else self.lasting
            oldest = next(iter(order))
            entry = oldest()
            if entry is not None and turns > 0 and (entry.hits != entry.kept_hits or entry is newest):
                entry.kept_hits = entry.hits  # used since it was last looked at: a second chance
                order.move_to_end(oldest)
            else:
                self._forget(order, oldest)

    def _forget(self, order: _Order, one: weakref.ref[Entry]) -> None:
        entry, kind = one(), order.pop(one)()
        if entry is None:
            return
        self.past_hits += entry.hits
        for task in entry.identities:
            if type(task) is Task and entry in task.owned:
                task.owned.remove(entry)
        if kind is None:
            return
        cycle_id = entry.code.blueprint.cycle_id
        kind.entries = tuple(other for other in kind.entries if _alive(other) not in (entry, None))
        known = [other for other in kind.known.pop(cycle_id, ()) if _alive(other) not in (entry, None)]
        if known:
            kind.known[cycle_id] = known

    def info(self) -> CacheInfo:
        alive = [entry for order in (self.lasting, self.passing) for one in order if (entry := one()) is not None]
        hits = self.past_hits + sum(entry.hits for entry in alive)
        last_miss = difference(*self.last_miss) if self.last_miss is not None else None
        return CacheInfo(hits, self.misses, self.compiles, len(alive), self.maxsize, last_miss, self.from_disk)


_Order = OrderedDict["weakref.ref[Entry]", "weakref.ref[NodeKind]"]
_CACHE = _Cache()


def cache_info() -> CacheInfo:
    """Hits, misses, compiles, size and bound of the blueprint cache, and what the last miss differed in."""
    with _CACHE.lock:
        return _CACHE.info()


def cache_clear() -> None:
    """Forget every compiled shape, and start the counts anew. Running frames keep their code."""
    with _CACHE.lock:
        _CACHE.clear()


def cache_resize(maxsize: int) -> None:
    """Bound the number of compiled shapes; the surplus is forgotten when the next one comes."""
    if type(maxsize) is not int or maxsize < 1:
        raise ValueError(f"maxsize must be an int of at least 1, not {maxsize!r}")
    with _CACHE.lock:
        _CACHE.maxsize = maxsize


def activate(
    target: Any, params: dict[str, Any], root: bool = False, declared: Sequence[InputKind] = (), known: Shapes | None = None
) -> Activation:
    """What a frame needs to run ``target``; compiles only a shape that is not known.

    :param params: the inputs of the run, by name, as given.
    :param root: the target of a run, whose inputs must all be known; not a graph met in the middle of one.
    :param declared: inputs that exist whether the graph uses them or not (a workflow's parameters).
    :param known: shapes that the running program brought along, and whether others may be compiled.
    :raises CompileError, InputError: the graph has no meaning, or its inputs are not as declared.
    :raises NotCompiled: the shape is not known, and may not be compiled.
    """
    kind = target.task if type(target) is LazyResult else TARGETS
    if not declared and not (known is not None and known.recording):
        for held in kind.entries:
            entry = held if type(held) is Entry else held()  # type: ignore[operator]
            if entry is None:
                continue
            found = (entry.matcher or entry.prepare())(target)
            if found is not None:
                entry.code.hits += 1
                if known is not None:
                    known.check(entry.code.blueprint.cycle_id, target)
                if entry.inputs:
                    return _with_inputs(entry.code, entry.inputs, found[1], found[2], params, root)
                if root and params:
                    bind((), params)  # raises: there are no inputs
                return found  # type: ignore[no-any-return]
    graph = capture(target, declared)
    # The inputs are those of this graph: equal declarations may have defaults that are other objects.
    entry = entry_of(kind, graph, root=root) if known is None else _entry_among(kind, graph, known, target, root)
    return _with_inputs(entry.code, graph.inputs, graph.literals, graph.sites(), params, root)


# The machine asks the value itself how to go on. Set here, and not defined there, because the cache stands above the language; a
# function that imported it in each call would cost more than the match.
LazyResult.activate = activate  # type: ignore[method-assign,assignment]
Literal.activate = activate  # type: ignore[method-assign,assignment]


def _with_inputs(
    code: Code, inputs: Sequence[InputKind], literals: list[Any], sites: Any, params: dict[str, Any], root: bool
) -> Activation:
    return code, literals + bind(inputs, params, refuse_unknown=root) + code.padding, sites


def _entry_among(kind: NodeKind, graph: Graph, known: Shapes, target: Any, root: bool) -> Entry:
    """``entry_of`` in the run of a program that has shapes of its own."""
    cycle_id = digest(graph)
    if not root:
        known.check(cycle_id, target)
        known.meet(cycle_id, graph)
    brought = known.known.get(cycle_id)
    emitted = fitted(*brought, graph) if brought is not None else None
    if brought is not None and emitted is None and not known.jit:
        raise not_compiled(cycle_id, target, "what the program has for that shape does not fit it")
    return entry_of(kind, graph, emitted)


def entry_of(kind: NodeKind, graph: Graph, brought: Emitted | None = None, root: bool = False) -> Entry:
    """The compiled form of a captured graph whose root is a node of ``kind``: found by its digest, or made now (of ``brought``, if that
    is there: what a program has for it)."""
    cycle_id = digest(graph)
    with _CACHE.lock:
        known = _known(kind, cycle_id, graph)
        if known is not None:
            known.code.hits += 1
            if known.matcher is not _matches_nothing:
                _try_first(kind, known)
    if known is not None:
        if known.waits and known.code.hits >= _WORTH_IT:
            known.learn(graph)
        return known
    if root:
        edge_types.check(graph)  # a warning that is made an error comes before anything is run
    emitted, from_disk = lowered(graph, cycle_id) if brought is None else (brought, False)
    entry = Entry(graph, link_emitted(emitted))
    with _CACHE.lock:
        _CACHE.misses += 1
        _CACHE.compiles += brought is None and not from_disk
        _CACHE.from_disk += from_disk
        nearest = next((alive for held in kind.entries if (alive := _alive(held)) is not None), None)
        _CACHE.last_miss = (nearest.code.blueprint if nearest is not None else None, emitted.blueprint)
        raced = _known(kind, cycle_id, graph)  # another thread may have compiled it meanwhile
        if raced is not None:
            return raced
        _CACHE.add(kind, cycle_id, entry)
    return entry


def _known(kind: NodeKind, cycle_id: str, graph: Graph) -> Entry | None:
    for held in kind.known.get(cycle_id, ()):
        entry = _alive(held)
        if entry is not None and entry.same_identities(graph):
            return entry
    return None


def _try_first(kind: NodeKind, entry: Entry) -> None:
    """Put a shape among those that the next graph of this root is matched against."""
    entries = [held for held in kind.entries if _alive(held) is not None]
    if not any(_alive(held) is entry for held in entries):
        held = next(held for held in kind.known[entry.code.blueprint.cycle_id] if _alive(held) is entry)
        kind.entries = (held, *entries[: _MATCHED_FIRST - 1])


def difference(known: Blueprint | None, new: Blueprint) -> str:
    """In words, the first thing in which a blueprint differs from a known one of the same root."""
    if known is None:
        return "no shape of this root was known"
    for place, (was, now) in enumerate(zip(_steps(known), _steps(new), strict=False)):
        if was != now:
            return f"step {place} is `{now}`, and in the nearest known shape `{was}`"
    if known.inputs != new.inputs or len(known.instructions) != len(new.instructions):
        counts = [f"{len(one.instructions)} steps and inputs {list(one.inputs)}" for one in (new, known)]
        return f"{counts[0]}; the nearest known shape has {counts[1]}"
    return "the nearest known shape has tasks of the same names which are other objects (defined again?)"


def _steps(blueprint: Blueprint) -> list[str]:
    from cascade_vm.listing import instruction_text, symbol_names

    names = symbol_names(blueprint)
    return [instruction_text(blueprint, one, names) for one in sorted(blueprint.instructions, key=lambda one: one.position)]
