"""Where the time goes: the cost of one instruction, as the difference between two programs of which one has more of that instruction.

Each case has two programs and, beside them, the same two written by hand. ``_TIMES`` instructions are what they differ in; the four take
turns. The difference by hand is what Python itself takes for that step (the call, the list); the rest is the engine's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from bench.awaiting import in_loop, wide
from bench.case import Case, Work
from bench.engines import akept, compiled, kept
from bench.tasks import at_once, chain, f, increment, total
from cascade_compiler import Param, Router, run, task

TIMES = 60  # instructions more
FEWER, MORE = "fewer", "more"  # followed by ", " and who: by hand, or an engine
_RUNS = 100


@task
def none() -> int:
    return 0


@task
def two(x: int, y: int) -> int:
    return x


@task
def three(x: int, y: int, z: int) -> int:
    return x


@task
def pair(x: int) -> tuple[int, int]:
    return x, x


@task
def same(x: Any) -> Any:
    return x


@task
def returns_graph(x: int) -> Any:
    return increment(x)


def returns_value(x: int) -> int:
    return f(x)


@task
def turns(n: int) -> Any:
    return turns(n - 1) if n else 0


def _turns_by_hand(n: int) -> int:
    while n:
        n = step(n)
    return n


def step(n: int) -> int:
    return n - 1


def tried(function: Callable[[int], int], x: int) -> int:
    for attempt in range(2):
        try:
            return function(x)
        except Exception:
            if attempt:
                raise
    raise AssertionError


class Step(NamedTuple):
    """An instruction. ``more`` and ``fewer`` make one part of a graph from a number; the texts are the same by hand."""

    name: str
    more: Callable[[int], Any]
    fewer: Callable[[int], Any]
    more_by_hand: str
    fewer_by_hand: str


STEPS = [
    Step("call, no arguments", lambda at: none(), lambda at: 0, "none()", "0"),
    Step("call, 1 argument", lambda at: increment(at), lambda at: at, "f({at})", "{at}"),
    Step("call, 2 arguments", lambda at: two(at, 1), lambda at: at, "two({at}, 1)", "{at}"),
    Step("call, 3 arguments", lambda at: three(at, 1, 2), lambda at: at, "three({at}, 1, 2)", "{at}"),
    Step("call, 1 keyword", lambda at: increment(x=at), lambda at: at, "f(x={at})", "{at}"),
    Step("build a list of 1", lambda at: same([increment(at)]), lambda at: same(increment(at)), "same([f({at})])", "same(f({at}))"),
    Step(
        "build a list of 5", lambda at: same([increment(at), 1, 2, 3, 4]), lambda at: same(increment(at)),
        "same([f({at}), 1, 2, 3, 4])", "same(f({at}))",
    ),
    Step("build a tuple of 2", lambda at: same((increment(at), 1)), lambda at: same(increment(at)), "same((f({at}), 1))", "same(f({at}))"),
    Step(
        "build a dict of 1", lambda at: same({"a": increment(at)}), lambda at: same(increment(at)),
        "same({{'a': f({at})}})", "same(f({at}))",
    ),
    Step("item", lambda at: pair(at)[0], lambda at: pair(at), "pair({at})[0]", "pair({at})"),
    Step(
        "condition that is true", lambda at: increment(at).run_if(at + 1), lambda at: increment(at),
        "(f({at}) if {at} + 1 else 0)", "f({at})",
    ),
    Step(
        "router", lambda at: Router(increment(at), {at + 1: two(at, 1)}), lambda at: two(at, increment(at)),
        "(two({at}, 1) if f({at}) == {at} + 1 else 0)", "two({at}, f({at}))",
    ),
    Step("retry, first attempt good", lambda at: increment(at).with_retry(2), lambda at: increment(at), "tried(f, {at})", "f({at})"),
    Step("nested graph of 1 call", lambda at: returns_graph(at), lambda at: increment(at), "returns_value({at})", "f({at})"),
]  # fmt: skip


def _by_hand(expression: str, expect: Any, runs: int = _RUNS) -> Work:
    """``runs`` times ``expression``."""
    scope = {
        "f": f, "none": none.fn, "two": two.fn, "three": three.fn, "pair": pair.fn, "same": same.fn, "total": total.fn,
        "tried": tried, "returns_value": returns_value, "RUNS": range(runs),
    }  # fmt: skip
    exec(f"def call():\n for _ in RUNS:\n  value = {expression}\n return value\n", scope)
    return Work(scope["call"], runs, expect=expect)  # type: ignore[arg-type]


def _kept(target: Any, engine: str, expect: Any, **inputs: Any) -> Work:
    again = kept(target, engine)

    def call() -> Any:
        value = None
        for _ in range(_RUNS):
            value = again(**inputs)
        return value

    return Work(call, _RUNS, expect=expect)


def _sides(by_hand: Callable[[int], Work], by: Callable[[int, str], Work]) -> dict[str, Callable[[], Work]]:
    """``by_hand`` and ``by`` make a side, of the one that has fewer (0) or more (1)."""
    sides: dict[str, Callable[[], Work]] = {}
    for number, much in enumerate((FEWER, MORE)):
        sides[f"{much}, by hand"] = lambda number=number: by_hand(number)
        for engine in compiled():
            sides[f"{much}, {engine}"] = lambda number=number, engine=engine: by(number, engine)
    return sides


def _step(step: Step) -> Case:
    def by_hand(more: int) -> Work:
        text = step.more_by_hand if more else step.fewer_by_hand
        return _by_hand(f"total({', '.join(text.format(at=at) for at in range(TIMES))})", TIMES)

    def by(more: int, engine: str) -> Work:
        return _kept(total(*[(step.more if more else step.fewer)(at) for at in range(TIMES)]), engine, TIMES)

    return _case(step.name, TIMES, _sides(by_hand, by))


def _case(name: str, times: int, sides: dict[str, Callable[[], Work]]) -> Case:
    return Case(f"step: {name}", f"run ({times} more)", "the same by hand", sides, share=0.3, quick=False)


def _chains(more: int) -> tuple[int, str]:
    length = (20, 20 + TIMES)[more]
    return length, "f(" * length + "0" + ")" * length


def _others() -> Iterator[Case]:
    """Steps that are no part of a graph of 60."""
    yield _case("start and end of a run with 1 call", _RUNS, _sides(lambda more: _by_hand_once((1 + more) * _RUNS), _runs))
    yield _case(
        "input of type int", 8,
        _sides(
            lambda more: _by_hand(f"total({', '.join(f'a{at}={at}' for at in range(1 + 8 * more))})", 1 + 8 * more),
            lambda more, engine: _kept(
                total(**{f"a{at}": Param(f"a{at}", int) for at in range(1 + 8 * more)}), engine, 1 + 8 * more,
                **{f"a{at}": at for at in range(1 + 8 * more)},
            ),
        ),
    )  # fmt: skip
    yield _case(
        "call in a chain", TIMES,
        _sides(
            lambda more: _by_hand(_chains(more)[1], _chains(more)[0]),
            lambda more, engine: _kept(chain(_chains(more)[0], 0), engine, _chains(more)[0]),
        ),
    )  # fmt: skip
    yield _case(
        "call in a chain built afresh", 20,
        _sides(
            lambda more: _by_hand("f(" * 20 * (1 + more) + "0" + ")" * 20 * (1 + more), 20 * (1 + more)),
            lambda more, engine: Work(
                lambda: [run(chain(20 * (1 + more), 0), engine=engine) for _ in range(_RUNS)][-1], _RUNS, expect=20 * (1 + more)
            ),
        ),
    )  # fmt: skip
    yield _case(
        "turn of a loop", 1000,
        _sides(
            lambda more: Work(lambda: _turns_by_hand(1000 * (1 + more)), 1, expect=0),
            lambda more, engine: Work(lambda: run(turns(1000 * (1 + more)), engine=engine), 1, expect=0),
        ),
    )  # fmt: skip
    yield _case(
        "item of a map", 1000,
        _sides(
            lambda more: Work(lambda: len([f(x) for x in range(1000 * (1 + more))]), 1, expect=1000 * (1 + more)),
            lambda more, engine: Work(
                lambda: len(run(increment.map(x=range(1000 * (1 + more))), engine=engine)), 1, expect=1000 * (1 + more)
            ),
        ),
    )  # fmt: skip
    yield _case("overlapping coroutine", TIMES, _sides(_gathered, _spawned))


def _by_hand_once(times: int) -> Work:
    return Work(_by_hand("f(0)", 1, times).call, 1, expect=1)


def _runs(more: int, engine: str) -> Work:
    again, times = kept(increment(0), engine), (1 + more) * _RUNS

    def call() -> Any:
        value = None
        for _ in range(times):
            value = again()
        return value

    return Work(call, 1, expect=1)


def _gathered(more: int) -> Work:
    count = TIMES * (1 + more)

    async def by_hand() -> list[int]:
        return await asyncio.gather(*[at_once.fn(at) for at in range(count)])

    return in_loop(by_hand, 10, 1, list(range(1, count + 1)))


def _spawned(more: int, engine: str) -> Work:
    count = TIMES * (1 + more)
    return in_loop(akept(wide(at_once, count), engine), 10, 1, list(range(1, count + 1)))


def cases() -> Iterator[Case]:
    yield from _others()
    yield from map(_step, STEPS)


if __name__ == "__main__":
    from bench.with_pyperf import main

    main("bench.profile", cases())
