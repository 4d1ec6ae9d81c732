"""Partition into strands: cut the graph at joins on what waits, and put what waits first.

A strand is a run of operations that need the same waits (the threads of the threaded abstract machine: Culler et al., "TAM: a compiler
controlled threaded abstract machine", 1993). Its place in time is then decided by counting alone: it runs when all that it needs has
ended. Within what has the same needs, an operation that waits is issued as soon as its operands are there, and the strand ends
behind it, so that the machine can hand it to the driver before more synchronous work is done (S7). Synchronous calls keep
their order (S6): a strand is cut wherever a call of another strand lies between two of its own. A strand lies in one region
(demand.py): it runs only where that is open.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import attrs

from cascade_compiler.ir import PRELOADED, Graph, Kind, Op

_ROOT = 0  # the label of what waits for nothing
_ANY, _NONE = -1, -2


@attrs.define(eq=False)
class Plan:
    """A strand before registers: operations by number, and what it waits for. An eager one only issues what waits."""

    ops: list[int]
    needs: list[int] = attrs.Factory(list)  # strands
    awaits: list[int] = attrs.Factory(list)  # operations that wait
    eager: bool = False
    region: int = 0


def partition(graph: Graph) -> list[Plan]:
    """The strands of ``graph``, each after all that it waits for. Linear in operations and operands, but for one sort."""
    ops = graph.ops
    work = [at for at, op in enumerate(ops) if op.kind not in PRELOADED]
    if not _any_waits(ops):
        return [Plan(work)]
    label = _labels(graph, work)
    strands = _cut(graph, work, label)
    return _in_order(graph, strands)


def _any_waits(ops: Sequence[Op]) -> bool:
    """Does any operation wait? Most are plain calls of few tasks: each task is asked once."""
    call = Kind.CALL
    asked: set[Any] = set()
    for op in ops:
        if op.kind is call and op.policy is None:
            if op.task not in asked:
                if op.waits:
                    return True
                asked.add(op.task)
        elif op.kind not in PRELOADED and op.waits:
            return True
    return False


def _labels(graph: Graph, work: list[int]) -> list[int]:
    """For each operation the label of what must be over before it can run: waits, and work of other regions.

    A label stands for a region and a set of other labels: those that must be over, less those that one of the others implies. What a wait
    leaves has a label of its own, which says "after this wait". A label that could have been seen to be implied and was not costs one more
    strand and nothing else. An operation never has the label of one that it needs through operations of other labels, since each label
    is made of earlier ones: so no two strands wait for each other.
    """
    ops = graph.ops
    label = [_ROOT] * len(ops)  # of running
    available = [_ROOT] * len(ops)  # of the value
    implied: list[frozenset[int]] = [frozenset()]
    home = [0]  # the region of each label
    known: dict[tuple[int, frozenset[int]], int] = {(0, frozenset()): _ROOT}

    def new(region: int, parts: frozenset[int]) -> int:
        implied.append(parts)
        home.append(region)
        return len(implied) - 1

    for at in work:
        op = ops[at]
        need = {available[x] for x in graph.operands(op)}
        need.discard(_ROOT if not op.region else -1)
        if len(need) > 1:
            need.difference_update(*[implied[one] for one in need])
        mine = next(iter(need)) if len(need) == 1 else -1
        if mine < 0 or home[mine] != op.region:
            key = (op.region, frozenset(need - {_ROOT}))
            if key not in known:
                known[key] = new(*key)
            mine = known[key]
        label[at] = mine
        available[at] = new(op.region, frozenset((mine,))) if op.waits else mine
    return label


def _feeds_flight(graph: Graph, work: list[int]) -> list[bool]:
    """Items, containers and choices that lead, through others at most, to what is handed to the driver: they do not wait for their turn."""
    ops = graph.ops
    feeds = [False] * len(ops)
    leads = [False] * len(graph.regions)  # regions with something to hand over, or with something that feeds it
    opened_by = _opened_by(graph)
    for at in reversed(work):
        op = ops[at]
        if op.kind is Kind.BRANCH and any(leads[region] for region in opened_by.get(at, ())):
            feeds[at] = True
        if op.flies or (feeds[at] and op.kind not in (Kind.CALL, Kind.MAP, Kind.RESOURCE)):
            leads[op.region] = True
            for x in (*graph.operands(op), *op.routes):
                if x >= 0:
                    feeds[x] = True
    return feeds


def _opened_by(graph: Graph) -> dict[int, set[int]]:
    """The regions that each branch may open, with those that open with them."""
    opened: dict[int, set[int]] = {}
    for op in graph.ops:
        if op.kind is Kind.SELECT:
            reached: set[int] = set()
            stack = [graph.ops[x].region for x in op.routes if x >= 0]
            while stack:
                region = stack.pop()
                if region not in reached:
                    reached.add(region)
                    stack += graph.regions[region]
            opened[op.args[0]] = reached - {0}
    return opened


def _cut(graph: Graph, work: list[int], label: list[int]) -> list[Plan]:
    ops = graph.ops
    feeds = _feeds_flight(graph, work)
    slot = [0] * len(ops)  # how many calls of its label come before an operation
    calls: dict[int, int] = {}
    turns = [0] * len(ops)  # how many synchronous calls, of any label, come before an operation
    count = 0
    keyed: dict[int, list[tuple[int, int, int]]] = {}
    for at in work:
        op = ops[at]
        mine = label[at]
        turns[at] = count
        count += op.takes_turn
        if _is_work(op):
            slot[at] = calls[mine] = calls.get(mine, 0) + 1
            turn = 0
        elif op.flies or (feeds[at] and not op.takes_turn):
            slot[at] = max((slot[x] for x in graph.operands(op) if label[x] == mine and not ops[x].waits), default=0)
            turn = 1
        else:
            slot[at] = calls.get(mine, 0)
            turn = 2
        keyed.setdefault(mine, []).append((slot[at], turn, at))
    strands: list[Plan] = []
    for group in keyed.values():
        group.sort()
        current: Plan | None = None
        issued = -1
        following = _ANY  # the turn of the call that may come next in this strand
        done = _ANY  # the first turn that is later than all calls of this strand
        for _, turn, at in group:
            if current is not None and (
                (turn != 1 and (issued >= 0 or current.eager))  # the driver gets what was issued before more work is done
                or (turn == 0 and following not in (_ANY, turns[at]))  # a call of another strand lies between
                # What needs a later call of another strand must not keep the calls that are here waiting for that.
                or (turn == 2 and done >= 0 and any(turns[x] >= done for x in graph.operands(ops[at]) if not ops[x].preloaded))
            ):
                current = None
            if current is None:
                current = Plan([], eager=turn == 1, region=ops[at].region)
                strands.append(current)
                issued = -1
                following = done = _ANY
            current.ops.append(at)
            if ops[at].takes_turn:
                done = turns[at] + 1
            if turn == 0:
                following = turns[at] + 1
            elif ops[at].takes_turn:
                following = _NONE  # it has asked for its turn, which comes when the strand has ended
            elif ops[at].kind in (Kind.BRANCH, Kind.SELECT) and following == _ANY:
                following = turns[at]  # what it lets run may have calls before the next one
            if turn == 1 and (ops[at].waits or ops[at].kind is Kind.BRANCH):
                issued = at
    return strands


def _is_work(op: Op) -> bool:
    return op.kind is Kind.CALL and not op.waits


def _in_order(graph: Graph, strands: list[Plan]) -> list[Plan]:
    """Fill in what each strand waits for, and sort: a strand after all that it waits for, else in the order of turns."""
    ops = graph.ops
    home = {at: number for number, strand in enumerate(strands) for at in strand.ops}
    before: list[set[int]] = []
    for number, strand in enumerate(strands):
        needs: set[int] = set()
        awaits: set[int] = set()
        for at in strand.ops:
            for x in graph.operands(ops[at]):
                if ops[x].waits:
                    awaits.add(x)
                elif not ops[x].preloaded and home[x] != number:
                    needs.add(home[x])
        strand.needs, strand.awaits = sorted(needs), sorted(awaits)
        before.append(needs | {home[x] for x in awaits})
    waiting = [len(b) for b in before]
    then: list[list[int]] = [[] for _ in strands]
    for number, some in enumerate(before):
        for other in some:
            then[other].append(number)
    turn = [(not strand.eager, strand.ops[0], number) for number, strand in enumerate(strands)]
    ready = [turn[number] for number, count in enumerate(waiting) if not count]
    heapq.heapify(ready)
    place: dict[int, int] = {}
    while ready:
        _, _, number = heapq.heappop(ready)
        place[number] = len(place)
        for other in then[number]:
            waiting[other] -= 1
            if not waiting[other]:
                heapq.heappush(ready, turn[other])
    for strand in strands:
        strand.needs = sorted(place[other] for other in strand.needs)
    return [strands[number] for number in place]
