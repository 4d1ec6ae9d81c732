"""The flows of the golden corpus, and what they are run with.

The artifacts beside this module name its tasks, and hold the lines in which calls were written. So nothing here is changed once an
artifact has been made of it: new flows go to the end, and have new tasks.
"""

from __future__ import annotations

import asyncio
import datetime
import decimal
import typing
import uuid
from typing import Any

from cascade_compiler import (
    Env,
    Jump,
    Param,
    Router,
    bind,
    common,
    gather,
    inject,
    literal,
    resource,
    select_jump,
    task,
    workflow,
)


@task
def inc(x: Any) -> Any:
    return x + 1


@task
def add(*values: Any, **more: Any) -> Any:
    return sum((*values, *more.values()))


@task
def same(x: Any) -> Any:
    return x


@task
def show(*args: Any, **named: Any) -> Any:
    return args, named


@task(version="7", name="renamed")
def versioned(x: Any) -> Any:
    return "versioned", x


@task(pure=True)
def pure(x: Any) -> Any:
    return ("pure", x)


@task
async def later(x: Any, *, by: int = 1) -> Any:
    await asyncio.sleep(0)
    return x + by


class Tools:
    @staticmethod
    @task
    def inner(x: Any, /, y: Any = 2, *, z: Any = 3) -> Any:
        return x, y, z


@workflow
def calls(x: int) -> Any:
    """Synchronous and awaited calls, arguments of every kind, values that several strands read, order beside data."""
    shared = inc(x)
    early = later(shared, by=5)
    return show(
        shared,
        add(shared, early, more=later(early)),
        later(add(shared, 1)),
        Tools.inner(shared, z=early),
        versioned(2).after(early),
        [pure(shared), pure(shared), pure(3)],
        gather(later(shared), inc(5))[0],
        key=same(None),
    )


@workflow
def containers(x: int) -> Any:
    """Every container that is built, one in the other, and items of them."""
    made = show([inc(x)], (inc(x), "t"), {"k": inc(x), inc(1): "v"}, {inc(x), "s"}, frozenset([inc(x), 0]), n={"a": [({"b": later(x)},)]})
    return [made, made[0][2]["k"], made[1]["n"]["a"][0][0]["b"], same({"i": [7, 8]})["i"][inc(0)]]


@workflow
def kinds_of_constants() -> Any:
    """Every type of constant, at its borders too."""
    minutes = datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))
    return show(
        [None, True, False, 0, -1, 2**63, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 10**60],
        [0.0, -0.0, 1.5, float("inf"), float("nan"), 1e300, "", "text", "ü€😀", b"", b"\x00\xff", bytearray(b"ba")],
        [(), (1, (2,)), [], {}, {"a": [1], 2: (3,), None: {}}, {1, "s", b"b"}, set(), frozenset({1, (2, 3)})],
        [complex(1, -2), range(3), range(2**70, 0, -3), slice(1, None, 2), ...],
        [decimal.Decimal("1.10"), decimal.Decimal("NaN"), uuid.UUID(int=5)],
        [datetime.date(2026, 1, 31), datetime.datetime(2026, 1, 31, 1, 2, 3, 4), datetime.datetime(2026, 1, 31, tzinfo=minutes, fold=1)],
        [datetime.time(1, 2, 3), datetime.time(1, 2, tzinfo=datetime.UTC, fold=1), datetime.timedelta(-1, 2, 3)],
        literal({"not scanned": [1, 2]}),
        "the same text", "the same text",
    )  # fmt: skip


_FIXED, _BYTES = uuid.UUID(int=7), bytearray(b"v")


@workflow
def types_of_inputs(
    a: int, b: str = "b", c: float = 0.5, d: bool = False, e: bytes = b"e", f: list[int] = [1],  # noqa: B006
    g: tuple[int, ...] = (1, 2), h: tuple[int, str] = (1, "h"), i: dict[str, list[float]] = {"i": [1.0]},  # noqa: B006
    j: set[int] = {3}, k: frozenset[str] = frozenset(["k"]), l: int | None = None, m: typing.Literal["x", 1, None] = "x",  # noqa: B006, E741
    n: datetime.date = datetime.date(2026, 1, 31), o: datetime.datetime | int = 0, p: decimal.Decimal = decimal.Decimal("1.5"),
    q: uuid.UUID = _FIXED, r: Any = ..., s: complex = 1j, t: datetime.timedelta = datetime.timedelta(1), u: object = None,
    v: bytearray = _BYTES, w: datetime.time = datetime.time(1),
) -> Any:  # fmt: skip
    """Inputs of every type, and their defaults."""
    return [show(a, b, c, d, e, f, g, h, i, j, k, l), show(m, n, o, p, q, r, s, t, u, v, w)]


environment = show(Env("GOLDEN_NUMBER", int), Env("GOLDEN_TEXT", str, "unset"), later(Param("x", int, 3)))

given = Param("x", int)


@workflow
def conditions(flag: bool, key: Any = "a") -> Any:
    """Conditions with and without another value, routers by table and with a default; a tail in routes."""
    deep = Router(key, {"a": later(1), 2: [inc(2)], (3, "c"): "constant", None: inc(inc(3))}, default=add(9, 9))
    chosen = Router(flag, {True: deep, False: inc(7).run_if(flag, otherwise=later(70))})
    return gather(
        deep,
        inc(1).run_if(flag, otherwise="no"),
        inc(2).run_if(flag, otherwise=later(20)),
        show(1).after(later(1)).run_if(same(flag), otherwise=None),
        chosen,
        chosen,
    )


@workflow
def routed(key: str) -> Any:
    """The frame ends in one of the routes."""
    return Router(key, {"call": show("call"), "await": later(1), "policy": later(2).with_retry(2), "input": key, "text": "text"})


skipped = add(1, later(2).run_if(Param("flag", bool)))


@workflow
def mapped(n: int) -> Any:
    """Maps: of lists, of what tasks give, of constants, with a bound and policies."""
    return gather(
        inc.map([1, 2, n]),
        later.map(x=same([1, 2, 3]), **common(by=n), max_concurrency=2),
        add.map([1, 2], [3, 4], **common(more=inc(n))).with_retry(2),
        later.map([inc(1), later(2)]).with_constraints(slots=1).with_timeout(60),
        same.map([]),
    )


class GoldenError(Exception):
    pass


_tries: dict[Any, int] = {}


@task
def flaky(name: str, times: int) -> Any:
    _tries[name] = _tries.get(name, 0) + 1
    if _tries[name] <= times:
        raise GoldenError(name)
    return name, _tries.pop(name)


@workflow
def policies(n: int) -> Any:
    """Retries of every form, timeouts, constraints with constant and computed amounts, a rate limit; several of a call."""
    return gather(
        flaky("plain", 1).with_retry(2),
        flaky("all", 2).with_retry(max_attempts=4, delay=0, backoff=2, max_delay=1, jitter=0.5, seed=3, on=(GoldenError, KeyError)),
        later(n).with_timeout(60),
        later(n).with_constraints(slots=1, weight=0.5),
        inc(n).with_constraints(slots=inc(0)),
        same(n).with_rate_limit("calls", rate=1_000_000),
        later(n, by=2).with_retry(3, on=ValueError).with_timeout(30.5).with_constraints(slots=2).with_rate_limit("r", rate=5000, per=0.5),
    )


tail_under_policy = later(Param("x", int)).with_retry(2).with_timeout(9)

fails = show(inc(1), flaky(Param("name", str), 5).with_retry(2))

_opened: list[str] = []


@resource
def golden_settings(prefix: str = "p") -> Any:
    _opened.append("settings")
    yield {"prefix": prefix}
    _opened.append("settings closed")


@resource
async def golden_database(config: Any = inject("golden_settings")) -> Any:
    await asyncio.sleep(0)
    _opened.append("database")
    yield f"{config['prefix']}-db"
    _opened.append("database closed")


@resource(scope="step")
def golden_seat() -> Any:
    _opened.append("seat")
    yield "seat"
    _opened.append("seat closed")


@task
def query(text: str, db: Any = inject("golden_database")) -> Any:
    return text, db


@task
def sit(n: int, at: Any = inject("golden_seat")) -> Any:
    return sit(n - 1) if n > 0 else ("sat", at)


@task
def log_so_far(*waited: Any) -> Any:
    found = list(_opened)
    _opened.clear()
    return found


@workflow
def resources(n: int) -> Any:
    """Resources of a run and of a step, one that needs another, as a default and as an argument."""
    sat = sit(n)
    first = query("select")
    return [first, same(inject("golden_settings")), sat, log_so_far(sat, first)]


@task(mode="thread")
def in_thread(x: Any) -> Any:
    return "thread", x


@task(mode="process")
def in_process(x: Any) -> Any:
    return "process", x


@workflow
def modes(x: int) -> Any:
    """Tasks in threads and processes, by themselves, under a policy, in a map."""
    return [in_thread(x), in_process(inc(x)), in_process(x).with_timeout(60), in_thread.map([x, inc(x)], max_concurrency=1)]


@task
def countdown(n: int, log: Any = ()) -> Any:
    return countdown(n - 1, log=(*log, n)) if n else log


@task
def even(n: int) -> Any:
    return odd(n - 1) if n else "even"


@task
def odd(n: int) -> Any:
    return even(n - 1) if n else "odd"


@task
async def later_countdown(n: int) -> Any:
    await asyncio.sleep(0)
    return later_countdown(n - 1) if n else "awaited"


@task
def changing(n: int) -> Any:
    return changing(inc(n - 2)) if n % 2 else (changing(add(n, -1)).after(later(0)) if n else "changed")


@task
def nested(n: int) -> Any:
    return gather(inc(n), {"deep": nested(n - 1)}) if n else []


@workflow
def loops(n: int) -> Any:
    """Tail calls and nested graphs: to itself, to each other, of changing shapes, awaited, with and without policies."""
    return gather(countdown(n), even(n), later_countdown(n), changing(n).with_retry(2), nested(n), countdown.map([1, n]))


tail = even(Param("n", int))

tail_awaited = later_countdown(inc(Param("n", int)))


@task
def count(n: int, step: Any = 1, total: int = 0) -> Any:
    return Jump("again", {"n": n - step, "total": total + n}) if n > 0 else Jump("end", (total, step))


@task
def pick(key: Any, data: Any = None) -> Any:
    return Jump(key) if data is None else Jump(key, data)


@task
def with_graph() -> Any:
    return Jump("same", {"x": inc(1), "more": [later(2)]})


@task
async def awaited_jump(n: int, waited: Any = None) -> Any:
    await asyncio.sleep(0)
    return Jump("again", n - 1) if n > 0 else Jump("end", waited)


@task
def keywords(x: Any, more: Any = None, **others: Any) -> Any:
    return x, more, others


@workflow
def jumps(n: int, key: str = "same") -> Any:
    """Loops by jumps: keys of all kinds, routes with computed arguments and inputs, data that is graphs, policies, conditions."""
    states = select_jump(
        {
            "same": keywords(inc(5), more=later(6)),
            "named": keywords(n, other=inc(n)),
            1: bind(count(2), {"again": count(0), "end": None}),
            (1, "two"): None,
            None: keywords(Param("limit", int, 9)),
            "end": None,
        }
    )
    return gather(
        bind(count(n, 1), select_jump({"again": count(0, inc(0)), "end": None})),
        bind(pick(key), states),
        keywords(bind(with_graph(), states)),
        bind(awaited_jump(n), {"again": awaited_jump(0, inc(n)), "end": None}),
        bind(sit_and_jump(n), {"again": sit_and_jump(0), "end": None}).run_if(n, otherwise="nobody"),
        bind(count(n).with_retry(2), {"again": count(0).with_retry(3, on=ValueError).with_constraints(slots=1), "end": None}),
    )


@task
def sit_and_jump(n: int, at: Any = inject("golden_seat")) -> Any:
    return Jump("again", n - 1) if n > 0 else Jump("end", at)


tail_jump = bind(pick(Param("key", Any), Param("data", Any, None)), {"more": keywords(1, more=inc(1)), 2: keywords(2, two=2), "end": None})

FLOWS: dict[str, Any] = {
    "calls": calls, "containers": containers, "kinds_of_constants": kinds_of_constants, "types_of_inputs": types_of_inputs,
    "environment": environment, "given": given, "conditions": conditions, "routed": routed, "skipped": skipped, "mapped": mapped,
    "policies": policies, "tail_under_policy": tail_under_policy, "fails": fails, "resources": resources, "modes": modes, "loops": loops,
    "tail": tail, "tail_awaited": tail_awaited, "jumps": jumps, "tail_jump": tail_jump,
}  # fmt: skip

# The inputs of each run.
RUNS: dict[str, list[dict[str, Any]]] = {
    "calls": [{"x": 1}, {"x": "41"}],
    "containers": [{"x": 6}],
    "kinds_of_constants": [{}],
    "types_of_inputs": [
        {"a": "1"},
        {"a": 2, "b": "B", "f": [1, "2"], "i": {"k": [2]}, "l": 4, "m": 1, "n": "2026-02-28", "o": "2026-02-28T01:02:03", "p": "2.50"},
        {"a": "none", "zz": 1, "n": "never", "m": 2},
    ],
    "environment": [{}, {"x": 5}],
    "given": [{"x": 4}, {}],
    "conditions": [{"flag": True}, {"flag": False, "key": 2}, {"flag": True, "key": (3, "c")}, {"flag": True, "key": "unknown"}],
    "routed": [{"key": key} for key in ("call", "await", "policy", "input", "text", "none")],
    "skipped": [{"flag": True}, {"flag": False}],
    "mapped": [{"n": 5}],
    "policies": [{"n": 3}],
    "tail_under_policy": [{"x": 1}],
    "fails": [{"name": "failing"}],
    "resources": [{"n": 2}],
    "modes": [{"x": 1}],
    "loops": [{"n": 5}, {"n": 0}],
    "tail": [{"n": 6}, {"n": 7}],
    "tail_awaited": [{"n": 2}],
    "jumps": [{"n": 3}, {"n": 0, "key": "named"}],
    "tail_jump": [{"key": "more", "data": {"x": [1]}}, {"key": 2}, {"key": "end", "data": "over"}, {"key": "unknown"}],
}

ENVIRONMENT = {"GOLDEN_NUMBER": "12"}
CAPACITY = {"slots": 2, "weight": 1}


def forget() -> list[str]:
    """Make what tasks remember between runs as it was at first; gives what has been done with resources."""
    found = list(_opened)
    _tries.clear()
    _opened.clear()
    return found
