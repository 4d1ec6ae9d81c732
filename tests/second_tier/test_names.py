"""Names in generated code: of tasks, which may be those of its own variables, and of keyword arguments, which may be no identifiers."""

from __future__ import annotations

import asyncio

import pytest

from cascade_compiler import arun, compile, task
from cascade_compiler import run as run_any
from cascade_vm import generated_names, instruction_source

TAKEN = sorted(generated_names.TAKEN)
OTHERS = [
    "r0", "r1", "c0", "c1", "s1", "t1", "v0", "v1", "a1_0",
    "k2_1", "K0", "b0", "print", "set", "frozenset", "Left", "CONTINUATIONS", "SCALARS",
    "ENDED", "Paused", "monotonic", "CODE", "Given", "UNFINISHED", "None", "True", "class",
    "async", "match", "object", "NameError", "range", "BaseException", "build_list", "build_list_like", "build_set",
    "build_frozenset", "build_tuple", "build_dict_like", "__builtins__", "__name__", "__debug__", "__", "ﬁ", "größe",
    "名", "a b", "x.y", "", "9", "<lambda>", "é",
]  # fmt: skip


@task
def same(x):
    return x


@task
def both(*args, **kwargs):
    return args, kwargs


class Rows(list):
    pass


def named(name, fn):
    fn.__name__ = fn.__qualname__ = name
    return task(fn)


def tiers(build, waits=False):
    """The value of ``build()``, which must be the same in both tiers."""
    value = run_any(build(), engine="interpreter")
    for _ in range(2):
        assert run_any(build(), engine="codegen") == value
    if waits:
        assert asyncio.run(arun(build(), engine="codegen")) == value
    return value


@pytest.mark.parametrize("part", range(8))
def test_a_task_may_be_called_anything(part):
    names = (TAKEN + OTHERS)[part::8]
    shown = [named(name, lambda x, name=name: (name, x)) for name in names]

    def chain():
        value = 1
        for name, t in zip(names, shown, strict=True):
            value = awaited[name](t(value))
        return shown[0](value)

    def waiting(name):
        async def wait(x):
            await asyncio.sleep(0)
            return x

        return named(name, wait)

    awaited = {name: waiting(name) for name in names}
    got = tiers(
        lambda: both(
            *[both(t(1), [t(same(2))], {t(same(3))}, frozenset([t(same(4))]), Rows([t(5)]), (t(6),), {t(7): t(8)}) for t in shown]
        )
    )
    assert [one[0][0] for one in got[0]] == [(name, 1) for name in names]
    tiers(chain, waits=True)
    tiers(lambda: both(*[both([], frozenset(), t(1)) for t in shown]))
    for name in names:

        def failing(x):
            raise KeyError(x)

        failing = named(name, failing)
        with pytest.raises(KeyError) as caught:
            run_any(both(same(1), failing(same(2))), engine="codegen")
        assert caught.value.args == (2,)


@pytest.mark.parametrize("part", range(8))
def test_what_a_program_calls_often_may_be_called_anything(part):
    """Such tasks are in local variables, whose names must be no other's"""
    for name in (TAKEN + OTHERS)[part::8]:
        family = [named(one, lambda x, one=one: (one, x)) for one in (name, f"_{name}", f"__{name}", name, f"_{name}")]
        calls = [t(at) for at in range(5) for t in (*family, *reversed(family))]
        program = compile(both(*calls)).link(engine="codegen")
        assert program.run() == program.run() == run_any(both(*calls), engine="graph")


@pytest.mark.parametrize("part", range(8))
def test_a_loop_may_be_called_anything(part):
    for name in (TAKEN + OTHERS)[part::8]:
        _loops_called(name)


def _loops_called(name):
    def loop(n, found):
        return (name, found) if n == 0 else turn(n - 1, [n])

    def loop_with_more(n, found):
        return (name, found) if n == 0 else again(same(n - 1), found)

    turn, again = named(name, loop), named(name, loop_with_more)
    assert tiers(lambda: turn(5, None)) == (name, [1])
    assert tiers(lambda: again(5, None)) == (name, None)


@pytest.mark.parametrize(
    "name", ["class", "def", "a b", "", "1", "ﬁ", "é", "𝐱", "__debug__", "None", "match", "self", "r0", "print", "=", "'", "\n"]
)
def test_a_keyword_may_be_called_anything(name):
    assert tiers(lambda: both(1, **{name: 2, "plain": same(3)})) == ((1,), {name: 2, "plain": 3})
    assert tiers(lambda: both(both(**{name: same(1)}), 2)) == ((((), {name: 1}), 2), {})


def test_a_letter_that_python_would_write_otherwise_stays_what_it_is():
    assert list(tiers(lambda: both(**{"ﬁ": 1, "fi": 2}))[1].items()) == [("ﬁ", 1), ("fi", 2)]


def test_two_tasks_of_one_name():
    one, two = named("same_name", lambda x: x + 1), named("same_name", lambda x: x * 10)
    assert tiers(lambda: both(one(1), two(1), one(two(one(1))))) == ((2, 10, 21), {})


def test_names_of_builtins_that_the_text_uses_mean_the_builtins():
    """What the file calls by name must not be hidden by a task: so each such name is taken."""
    used = {"type", "locals", "tuple", "len", "id", "list", "dict", "ValueError", "BaseException"}
    assert used <= generated_names.TAKEN
    assert instruction_source.WRITERS
