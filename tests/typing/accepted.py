"""Programs that are right, so no type checker may find a fault in them; and each of them runs, which ``test_types.py`` sees to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypedDict, assert_type

from cascade_compiler import (
    Env,
    Jump,
    LazyResult,
    Param,
    Router,
    TaskFunction,
    Workflow,
    arun,
    bind,
    common,
    compile,
    cycle_id,
    gather,
    inject,
    literal,
    pipeline,
    resource,
    run,
    select_jump,
    sequence,
    task,
    workflow,
)  # fmt: skip
from cascade_vm import Program, loads
from cascade_vm.memory_cache import MemoryCache


@task
def price(name: str, amount: int = 1, *, currency: str = "EUR") -> float:
    return len(name) * amount


@task(pure=True, mode="inline", version="2", name="sum_of_prices")
def total(prices: list[float]) -> float:
    return sum(prices)


@task
def total_of(prices: Sequence[float]) -> float:
    return sum(prices)


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@task(version="3")
async def decode(raw: bytes) -> str:
    return raw.decode()


# --- calls: names, values, and LazyResults wherever values are taken ------------------------------------------------------

assert_type(price("tea"), LazyResult[float])
assert_type(price("tea", 2, currency="USD"), LazyResult[float])
assert_type(price(name="tea", amount=2), LazyResult[float])
assert_type(fetch("a"), LazyResult[bytes])
assert_type(decode(fetch("a")), LazyResult[str])
assert_type(decode(raw=fetch(url=decode(b"x"))), LazyResult[str])
assert_type(total([price("tea"), 3.5, price("cake")]), LazyResult[float])
assert_type(total([price(name) for name in ("tea", "cake")]), LazyResult[float])
assert_type(total(prices=gather(price("tea"), price("cake"))), LazyResult[float])
priced = [price(name) for name in ("tea", "cake")]
assert_type(priced, list[LazyResult[float]])
assert_type(total_of(priced), LazyResult[float])
assert_type(total(gather(*priced)), LazyResult[float])
stated: list[float] = [price("tea"), 2.0]  # a list whose items may be LazyResults, for a parameter that takes a list
assert_type(total(stated), LazyResult[float])


@task
def anything(value: object, *rest: int, **named: str) -> None:
    return None


assert_type(anything(price("tea"), 1, total([]), a="x", b=decode(b"")), LazyResult[None])


@task
def maybe(value: int | None, by: Mapping[str, list[int]]) -> int | None:
    return value


@task
def size(of: bytes) -> int:
    return len(of)


maybe(size(fetch("a")), {"a": [size(b""), 1]})
maybe(maybe(None, {}), by={"a": [1]})
maybe(None, {"a": [1]})


class Sized(Protocol):
    def __len__(self) -> int: ...


@task
def measured(of: Sized) -> int:
    return len(of)


measured([1])
measured(fetch("a"))
measured(priced)

# --- tasks that go on with a graph ----------------------------------------------------------------------------------------


@task
def countdown(n: int) -> int:
    return n if n == 0 else countdown(n - 1)  # as if the value were there


@task
def countdown_told(n: int) -> int | LazyResult[int]:
    return n if n == 0 else countdown_told(n - 1)


@task
async def countdown_async(n: int) -> int | LazyResult[int]:
    return n if n == 0 else countdown_async(n - 1)


@task
def always(n: int) -> LazyResult[int]:
    return countdown(n)


@task
async def always_async(n: int) -> LazyResult[int]:
    return countdown(n)


assert_type(countdown(3), LazyResult[int])
assert_type(countdown_told(3), LazyResult[int])
assert_type(countdown_async(3), LazyResult[int])
assert_type(always(3), LazyResult[int])
assert_type(always_async(3), LazyResult[int])


@task
def step(n: int) -> int | Jump:
    return n if n == 3 else Jump("again", n + 1)


assert_type(bind(step(0), select_jump({"again": step(0)})), LazyResult[Any])
assert run(bind(step(0), {"again": step(0)})) + 1 == 4

# --- the function itself, and tasks as values ------------------------------------------------------------------------------

length: Callable[[bytes], int] = size.fn
assert_type(size.fn(b"abc"), int)
coroutine: Callable[[str], Coroutine[Any, Any, bytes]] = fetch.fn
sizing: TaskFunction[[bytes], int] = size


def twice(of: TaskFunction[[bytes], int]) -> tuple[LazyResult[int], LazyResult[int]]:
    return of(b"a"), of(fetch("b"))


assert_type(run(twice(size)), tuple[int, int])
lambdas = task(lambda: 3)
three: int = run(lambdas())


class Shop:
    def __init__(self, tax: float) -> None:
        self.tax = tax

    @task
    def taxed(self, net: float) -> float:
        return net * self.tax


assert_type(Shop(2.0).taxed(price("tea")), LazyResult[float])
assert_type(Shop.taxed(Shop(2.0), 3.0), LazyResult[float])

# --- what one does to a LazyResult -----------------------------------------------------------------------------------------

assert_type(price("tea").after(total([])), LazyResult[float])
assert_type(fetch("a").with_retry(3, delay=0.0).with_timeout(3.0), LazyResult[bytes])
assert_type(price("tea").with_constraints(gpu=1).with_rate_limit("api", 5), LazyResult[float])
assert_type(price("tea").with_cache(MemoryCache()), LazyResult[float])
assert_type(price("tea").run_if(size(b"x")), LazyResult[float])
assert_type(price("tea").run_if(True, otherwise="none"), LazyResult[float | str])
assert_type(price("tea").run_if(size(b"x"), otherwise=total([])), LazyResult[float])


class Row(TypedDict):
    name: str


@task
def several() -> tuple[int, str, bytes]:
    return 1, "a", b""


@task
def table() -> dict[str, list[int]]:
    return {"a": [1, 2]}


@task
def row() -> Row:
    return {"name": "tea"}


@task
def loose() -> Any:
    return {"a": 1}


assert_type(several()[0], LazyResult[int])
assert_type(several()[1], LazyResult[str])
assert_type(several()[2], LazyResult[bytes])
assert_type(table()["a"], LazyResult[list[int]])
assert_type(table()["a"][0], LazyResult[int])
assert_type(table()["a"][size(b"")], LazyResult[int])
assert_type(table()["a"][:1], LazyResult[list[int]])
assert run(row()["name"]).upper() == "TEA"
assert run(loose()["a"]) + 1 == 2
price(row()["name"], loose()["a"])
price(several()[1], several()[0])

# --- maps -------------------------------------------------------------------------------------------------------------------

assert_type(price.map(["tea", "cake"]), LazyResult[list[float]])
assert_type(price.map(name=["tea"], max_concurrency=2, **common(currency="USD")), LazyResult[list[float]])
assert_type(price.map(decode.map([b"tea"]), [1]), LazyResult[list[float]])
assert_type(fetch.map(("a", "b")), LazyResult[list[bytes]])
assert_type(run(total(price.map(["tea"]))), float)
assert_type(price.map(["tea"]).with_retry(2)[0], LazyResult[float])

# --- what is made of several ------------------------------------------------------------------------------------------------

assert_type(gather(price("tea"), 3.0), LazyResult[list[Any]])
assert_type(gather(*priced), LazyResult[list[float]])
routed: LazyResult[float] = Router(decode(b"a"), {"a": price("tea"), "b": 3.0})
assert_type(Router(decode(b"a"), {"a": price("tea")}, default=0.0), LazyResult[float])
assert_type(Router(decode(b"a"), [("a", size(b"x")), ("b", countdown(3))], default=size(b"")), LazyResult[int])
assert_type(sequence((price("tea"), decode(b"x"), size(b"xyz"))), LazyResult[int])
assert run(sequence([price("tea"), size(b"xyz")])) + 1 == 4
piped: LazyResult[str] = pipeline("tea", (fetch, decode))
piped_again: LazyResult[float] = pipeline(decode(b"tea"), (fetch, decode, price))
assert run(pipeline("tea", [fetch, decode, price])) + 1 == 4
assert_type(literal([1, 2]), list[int])
assert_type(total(literal([1.0])), LazyResult[float])

# --- inputs -----------------------------------------------------------------------------------------------------------------

assert_type(Param("n", int), LazyResult[int])
assert_type(Param("n", int, default=3), LazyResult[int])
assert_type(Param("names", list[str]), LazyResult[list[str]])
assert_type(Env("HOME"), LazyResult[str])
assert_type(Env("PORT", int, default=80), LazyResult[int])
price(Param("name", str), Param("amount", int | None), currency=Env("CURRENCY", default="EUR"))
price(Param("name"), amount=Param("amount", int, default=1))

# --- resources --------------------------------------------------------------------------------------------------------------


class Database:
    def get(self, key: str) -> int:
        return len(key)


@resource
def database() -> Iterator[Database]:
    yield Database()


@resource(scope="step")
async def session(db: Database = inject("database")) -> AsyncIterator[str]:
    yield "s"


@task
def query(key: str, db: Database = inject("database")) -> int:
    return db.get(key)


@task
def typed_query(key: str, db: Database = inject(database)) -> int:
    return db.get(key)


assert_type(inject(database), LazyResult[Database])
assert_type(inject(session), LazyResult[str])
assert_type(query("abc"), LazyResult[int])
assert run([query("abc"), typed_query("a", db=inject(database)), query(inject(session))]) == [3, 1, 1]

# --- workflows --------------------------------------------------------------------------------------------------------------


@workflow
def shopping(name: str, amount: int = 1) -> LazyResult[float]:
    return price(name, amount)


@workflow
def shopping_by_value(name: str) -> float:
    return total([price(name), shopping(name, size(b"a"))])


@workflow
def both(name: str) -> tuple[LazyResult[float], LazyResult[bytes]]:
    return price(name), fetch(name)


@workflow
def many(name: str) -> list[LazyResult[float]]:
    return [price(name), shopping(name)]


@workflow
def named(name: str) -> dict[str, LazyResult[float]]:
    return {"a": price(name)}


assert_type(shopping("tea"), LazyResult[float])
assert_type(shopping(decode(b"tea"), amount=size(b"a")), LazyResult[float])
assert_type(shopping_by_value("tea"), LazyResult[float])
assert_type(both("tea"), tuple[LazyResult[float], LazyResult[bytes]])
assert_type(many("tea"), list[LazyResult[float]])
assert_type(run(shopping, {"name": "tea"}), float)
assert_type(run(shopping_by_value, params={"name": "tea"}), float)
assert_type(run(both, {"name": "tea"}), tuple[float, bytes])
assert_type(run(many, {"name": "tea"}), list[float])
assert_type(run(named, {"name": "tea"}), dict[str, float])
unspecific: Workflow = shopping
assert run(unspecific, {"name": "tea"}) + 1 == 4
assert compile(shopping).run(name="tea") + 1 == 4
assert_type(compile(shopping), Program[float])
assert_type(compile(shopping).run(name="tea"), float)
assert_type(compile(price("tea"), fold=True, examples=[{}]).run(), float)
assert_type(compile([price("tea")]).run(), list[float])
assert_type(compile((price("tea"), fetch("a"))).run(), tuple[float, bytes])
assert_type(compile({"a": price("tea")}).run(), dict[str, float])
anyones: Program = compile(shopping)
numbers: Program[object] = compile(shopping)


def loaded(raw: bytes) -> None:
    assert_type(loads(raw).run(), Any)


assert len(cycle_id(shopping)) == 40

# --- runs -------------------------------------------------------------------------------------------------------------------

assert_type(run(price("tea")), float)
assert_type(run(fetch("a"), engine="graph", capacity=None, time_slice=0.0), bytes)
assert_type(run(countdown(3)), int)
assert_type(run(maybe(None, {})), int | None)
assert_type(run(anything(1)), None)
assert_type(run([price("tea"), price("cake")]), list[float])
assert_type(run(priced), list[float])
assert_type(run((price("tea"), fetch("a"))), tuple[float, bytes])
assert_type(run((price("tea"), fetch("a"), size(b"a"))), tuple[float, bytes, int])
assert_type(run({"a": price("tea")}), dict[str, float])
assert_type(run({price("tea")}), set[float])
mixed: Any = [price("tea"), [fetch("a")], {"b": 3}]
assert run(mixed)[2]["b"] == 3  # of other forms the type is not known
assert run(loose())["a"] == 1


async def inside() -> None:
    assert_type(await arun(price("tea")), float)
    assert_type(await arun([price("tea")], None, engine="interpreter"), list[float])
    assert_type(await arun(both, {"name": "tea"}), tuple[float, bytes])
