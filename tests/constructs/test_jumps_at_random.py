"""Loops by jumps, drawn at random: a program does what graph mode does (P1, P2, P3, P5)."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from cascade_compiler import Jump, Router, bind, gather, inject, resource, task
from cascade_compiler.testing import capture_virtual

from .programs import run_on

calls: list[Any] = []
script: list[Any] = []  # what each call of a step answers: a function that makes a Jump, or a value


@resource(scope="step")
def lent():
    calls.append("set up")
    yield "lent"
    calls.append("torn down")


def answer(name: str, *given: Any) -> Any:
    calls.append((name, repr(given)))
    return script.pop(0)() if script else "over"


@task
def note(x, *rest, wait=None):
    calls.append(("note", x))
    return x


@task
async def later(seconds, x=None):
    await asyncio.sleep(seconds)
    calls.append(("later", x))
    return x


@task
def one(a, b="b", *, c="c"):
    return answer("one", a, b, c)


@task
async def two(a, b=None, *rest, d="d", **more):
    await asyncio.sleep(1)
    return answer("two", a, b, rest, d, more)


@task
def three(a, /, b=1, of=inject(lent), **more):
    return answer("three", a, b, of, more)


@task(pure=True)
def four():
    return answer("four")


class Draw:
    """Graphs of one seed, the same each time they are made."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        # A program whose constants cannot be changed shares them between runs.
        self.constants: list[Any] = [0, 1, "x", None, (1, 2), 2.5] + [[3], {"k": 4}] * (seed % 2)
        self.nodes: list[Any] = []

    def value(self, depth: int = 2) -> Any:
        """An argument: a constant, a node (perhaps one that was drawn before), or a container of such."""
        pick = self.random.random()
        if pick < 0.45 or depth == 0:
            return self.random.choice(self.constants)
        if pick < 0.55 and self.nodes:
            return self.random.choice(self.nodes)
        if pick < 0.7:
            return [self.value(depth - 1), self.value(depth - 1)]
        if pick < 0.75:
            return {"key": self.value(depth - 1)}
        self.nodes.append(self.node(depth - 1))
        return self.nodes[-1]

    def node(self, depth: int) -> Any:
        number, bit = self.random.randrange(100), self.random.randrange(2)
        return self.random.choice(
            [
                lambda: note(number, self.value(depth)),
                lambda: later(self.random.choice([0, 1, 2]), number),
                lambda: note(number).after(note("before")),
                lambda: Router(note(bit), {0: self.value(depth), 1: note("one")}),
                lambda: note(number).run_if(note(bit), otherwise=self.value(depth)),
            ]
        )()

    def call(self) -> Any:
        which = self.random.choice([one, one, two, three, four])
        if which is four:
            return four()
        names = {one: ["b", "c"], two: ["b", "d", "y"], three: ["b", "of", "z"]}[which]
        args = [self.value() for _ in range(self.random.choice([1, 1, 2]))]
        rest = [name for name in names if name != "b" or len(args) == 1]
        made = which(*args, **{name: self.value() for name in rest if self.random.random() < 0.4})
        amount = self.random.choice([1, note(1)])
        for told in (
            lambda x: x.run_if(note(1)), lambda x: x.with_retry(2), lambda x: x.after(note("before")),
            lambda x: x.with_constraints(slot=amount),
        ):  # fmt: skip
            if self.random.random() < 0.15:
                made = told(made)
        return made

    def data(self) -> tuple[Any, ...]:
        pick = self.random.random()
        if pick < 0.15:
            return ()
        if pick < 0.35:
            return (self.value(),)
        names = self.random.sample(["a", "b", "c", "d", "of", "y", "nobody"], self.random.choice([0, 1, 1, 2, 3]))
        return ({name: self.value() for name in names},)

    def target(self) -> Any:
        keys = ["p", "q", "r"]
        routes: dict[str, Any] = {key: self.call() for key in keys}
        if self.random.random() < 0.4:
            inner = {"p": self.call(), "q": None, "r": routes["r"]}
            routes["q"] = bind(routes["q"], inner)
        routes["end"] = None
        loop = bind(self.call(), routes)
        seeds = [(self.random.choice([*keys, *keys, *keys, "end"]), self.random.random()) for _ in range(self.random.randrange(1, 6))]
        script[:] = [lambda key=key, at=at: Jump(key, *Draw(hash(at)).data()) for key, at in seeds]
        return loop if self.random.random() < 0.7 else gather(loop, note("beside"))


def seen(seed: int, engine: str) -> tuple[Any, ...]:
    calls.clear()
    target = Draw(seed).target()
    got = capture_virtual(lambda: run_on(engine, target, capacity={"slot": 1}))
    assert not got.leaks
    error = None if got.error is None else (type(got.error), str(got.error), getattr(got.error, "__notes__", None))
    return repr(got.value) if error is None else None, error, got.elapsed, sorted(map(str, calls))


@pytest.mark.parametrize("seed", range(150))
def test_a_program_does_what_graph_mode_does(seed):
    """The same value or failure, the same calls, in the same time"""
    assert seen(seed, "program") == seen(seed, "graph")


def test_the_draws_reach_everything():
    """Else the test above would say little"""
    outcomes = [seen(seed, "graph") for seed in range(150)]
    assert {error and error[0].__name__ for _, error, _, _ in outcomes} >= {None, "TypeError"}
    assert sum(len(told) > 15 for *_, told in outcomes) > 10
    told = {one for *_, all_ in outcomes for one in all_}
    assert {"set up", "torn down"} <= told
    assert len([error for _, error, _, _ in outcomes if error is None]) > 60
