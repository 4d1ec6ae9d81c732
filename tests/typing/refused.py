"""Programs that are wrong. Type checkers find a fault in each line that says so, and in no other; nothing of this is run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

from cascade_compiler import LazyResult, compile, inject, resource, run, task, workflow


@task
def price(name: str, amount: int = 1, *, currency: str = "EUR") -> float:
    return len(name) * amount


@task
def total(prices: list[float]) -> float:
    return sum(prices)


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@workflow
def shopping(name: str, amount: int = 1) -> LazyResult[float]:
    return price(name, amount)


@resource
def database() -> Iterator[int]:
    yield 3


# Names and number of arguments.
price()  # error
price("tea", 2, "EUR")  # error
price(nam="tea")  # error
price("tea", name="tea")  # error
price("tea", amuont=2)  # error
fetch()  # error
shopping()  # error
shopping("tea", 2, 3)  # error
shopping("tea", amuont=3)  # error

# Values.
price(3)  # error
price("tea", "two")  # error
price("tea", currency=3)  # error
total("tea")  # error
total([price("tea"), "cake"])  # error: mypy
fetch(b"x")  # error
shopping(name=3)  # error
price(None)  # error

# What comes out.
text: str = run(price("tea"))  # error
texts: list[str] = run([price("tea")])  # error: pyright
program_text: str = compile(price("tea")).run()  # error
run([price("tea"), [price("cake")]])[1][0]  # error: pyright
pair: tuple[float, str] = run((price("tea"), fetch("a")))  # error: pyright
run(shopping, {"name": "tea"}).upper()  # error
raw: str = run(fetch("a"))  # error
items: list[str] = run(price.map(["tea"]))  # error: pyright
assert_type(price("tea"), LazyResult[str])  # error
wrong: LazyResult[float] = 3.0  # error

# The function itself.
price.fn(3)  # error
price.fm  # error  # noqa: B018
price.map(3)  # error
price.map(["tea"], max_concurrency="2")  # error

# The constructs.
price("tea").with_retry("3")  # error
fetch("a").with_timeout("3")  # error
price("tea").after("cake")  # error
run(price("tea"), engin="graph")  # error
run(price("tea"), engine=3)  # error
run(price("tea"), params=3)  # error
inject(3)  # error
task(3)  # error
workflow(3)  # error


@task
def untold(n: int) -> str:
    return n  # error


@resource  # error
def no_generator() -> int:
    return 3


# What needs the value, which is not there yet.
lazy = price("tea")
if lazy:  # error: pyright
    pass
yes = not lazy  # error: pyright
for _ in lazy:  # error
    pass
first, second = lazy  # error
all_of_it = [*lazy]  # error: pyright
with lazy:  # error
    pass


async def inside() -> None:
    await lazy  # error: mypy


assert_type(lazy, LazyResult[str])  # error
