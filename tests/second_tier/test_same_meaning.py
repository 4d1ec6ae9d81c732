"""Whatever happens at an instruction, both tiers come to the same: values, failures, notes, and the lines that a user sees."""

from __future__ import annotations

import asyncio
import copy
import os
import subprocess
import sys
from collections import OrderedDict, defaultdict

import meaning_flows as flows
import pytest
from ways import agree, told, ways

from cascade_compiler import arun, compile, gather, literal, task
from cascade_compiler import run as run_any
from cascade_compiler.testing import run_virtual
from cascade_vm import loads

CALLS = [
    flows.same, flows.boom, flows.boom_later, flows.boom_deep, flows.wrong_arguments.fn and flows.nested, flows.nested_waits, flows.later,
    flows.at_once, flows.later_nested, flows.later_nested_waits, flows.nested_boom, flows.nested_boom_later, flows.later_nested_boom,
    flows.nested_item,
]  # fmt: skip
PLACES = {
    "alone": lambda t: t(5),
    "first": lambda t: flows.both(t(5), flows.same(6)),
    "in the middle": lambda t: flows.both(flows.same(4), t(flows.same(5)), flows.same(6)),
    "by keyword": lambda t: flows.both(t(x=flows.add(5)), k=t(x=4)),
    "at the end": lambda t: t(flows.add(4, 1)),
    "twice": lambda t: t(flows.add(t(4), 1)),
    "in itself": lambda t: t(t(t(5))),
    "in containers": lambda t: flows.both([t(1), {t(2): [t(3)]}], (t(4),), {t(5)}, frozenset({t(6)})),
    "for its effect": lambda t: flows.both(flows.same(1).after(t(2))),
    "in a chain, at an await": lambda t: flows.later(flows.add(t(flows.later(flows.add(1, 2))), 1)),
    "in a chain, last": lambda t: t(flows.add(flows.later(flows.add(1, 2)), 1)),
    "in a chain, before a call": lambda t: flows.add(flows.later(t(flows.add(flows.at_once(1), 2))), 1),
    "among other strands": lambda t: flows.both(flows.later(1), t(flows.later(2)), t(flows.same(3)), flows.same(flows.later(3)), t(5)),
    "between strands": lambda t: flows.both(flows.later(1), flows.add(t(flows.later(2)), t(flows.same(3))), flows.add(flows.later(3), 2)),
    "in a gathering": lambda t: gather(t(1), [t(2)], flows.same(3)),
    "with an item": lambda t: flows.same([t(5), 6])[flows.same(0)],
    "whose item is taken": lambda t: flows.both(flows.same([t(5)])[0], 1),
    "in a nested call": lambda t: flows.both(flows.same(flows.both(t(1))), 1),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_each_call_in_each_place(place):
    for call in CALLS:
        agree(lambda call=call: PLACES[place](call), portable=True)


@pytest.mark.parametrize("first", [flows.later, flows.later_nested, flows.later_nested_waits, flows.nested, flows.nested_waits])
def test_two_calls_of_a_chain(first):
    for second in CALLS:
        agree(lambda second=second: flows.later(flows.add(second(flows.add(first(flows.add(1)))), 1)))
        agree(lambda second=second: second(flows.add(flows.later(flows.add(first(flows.add(1)))), 2)))


@pytest.mark.parametrize("call", [flows.held, flows.part, flows.length, flows.shown, flows.anonymous])
@pytest.mark.parametrize("place", ["alone", "first", "in the middle", "at the end", "in a chain, before a call"])
def test_callables_that_are_no_plain_functions(place, call):
    texts = {"alone": lambda t: t("101"), "first": lambda t: flows.both(t("11"), t(flows.shown(1)))}
    agree(lambda: texts.get(place, PLACES[place])(call))


def test_a_call_that_python_refuses():
    @task
    def takes_two(a, b):
        return a

    assert agree(lambda: flows.both(flows.part("2"), 1))[0] is ValueError
    assert agree(lambda: flows.both(1, flows.length(flows.same(5))))[0] is TypeError
    assert agree(lambda: flows.shown(flows.same("x"), flows.same("utf-8")))[0] is TypeError
    assert agree(lambda: flows.add(flows.same("x"), flows.same(1)))[0] is TypeError


@pytest.mark.parametrize("wrong", [flows.no_graph, flows.no_graph_later])
def test_a_graph_that_cannot_be_run(wrong):
    """Where it stands is told alike; what the call was given need not be known any more"""
    for place, build in PLACES.items():
        seen = {}
        for name, call in ways(lambda build=build: build(wrong)).items():
            kind, args, notes, _ = told(call)
            seen.setdefault((kind, args, tuple(note.split("\n")[0] for note in notes)), set()).add(name)
            shown = [line for note in notes for line in note.split("\n")[1:]]
            assert not any("LazyResult" in line or "None" in line for line in shown), (place, shown)
        assert len(seen) == 1, (place, seen)


LOOPS = {
    "count": lambda: flows.countdown(9),
    "with a literal": lambda: flows.countdown(9, [1]),
    "mutual": lambda: flows.ping(9),
    "changing": lambda: flows.changing(20, 1),
    "growing": lambda: flows.grows(7),
    "ends in another": lambda: flows.to_others(6, 1),
    "ends in one that waits": lambda: flows.to_later(6),
    "waits in each turn": lambda: flows.through_later(6),
    "of a coroutine": lambda: flows.chain_loop(6),
    "mixed": lambda: flows.mixed(23, 1),
    "nests": lambda: flows.nests_in_turn(9, 1),
    "types": lambda: flows.types_in_turn(9, 0),
    "ends in no graph": lambda: flows.no_graph_in_turn(6),
    "nested": lambda: flows.both(flows.countdown(5), flows.add(flows.same(1)), flows.ping(3)),
    "in a chain": lambda: flows.later(flows.countdown(flows.later(flows.add(4)))),
    "among strands": lambda: flows.both(flows.later(1), flows.countdown(flows.later(4)), flows.countdown(3)),
}


@pytest.mark.parametrize("loop", LOOPS)
def test_loops(loop):
    for _ in range(2):
        agree(LOOPS[loop], portable=True)


def test_a_task_whose_name_means_something_else_by_then():
    def build(n):
        flows.renamed = flows.RENAMED
        return flows.renamed(n)

    try:
        for n in (3, 4, 9, 6):
            assert agree(lambda n=n: build(n))[1] == ("end" if n < 5 else ("another", 4))
    finally:
        flows.renamed = flows.RENAMED


@pytest.mark.parametrize("loop", [lambda: flows.fails_in_turn(7), lambda: flows.fails_itself(9, "x"), lambda: flows.no_graph_in_turn(5)])
def test_a_failure_in_a_later_turn_names_the_line_that_called_it(loop):
    """The site of the turn that failed, not that of the first one"""
    _, _, (note, *_), _ = agree(loop, portable=True)
    line = int(note.split("\n")[0].rpartition(":")[2])
    with open(flows.__file__) as file:
        text = file.readlines()[line - 1 : line + 1]
    assert any(word in "".join(text) for word in ("boom(n)", "fails_itself(", "no_graph_in_turn(n - 1)")), text


@task
def types(a, b):
    return type(a), type(b)


@task
def arithmetic(a, b):
    return a + b


@task
def half(a):
    return a * 0.5


class Lazy_:
    """Its sum is a graph."""

    def __add__(self, other):
        return types(self, other)

    def __mul__(self, other):
        return types(self, other)

    def __eq__(self, other):
        return type(other) is Lazy_

    __hash__ = None


class Text(str):
    def __add__(self, other):
        return types(1, 2)


def test_literals_of_other_types_than_those_that_code_was_made_for():
    def build(a, b):
        return half(arithmetic(arithmetic(arithmetic(a, b), b), b))

    for _ in range(3):
        assert agree(lambda: build(1, 2))[1] == 3.5
    for odd in (Lazy_(), Text("x"), [1], (1,), "text", None, 2.5, True, Lazy_()) * 3:  # more than it bears
        agree(lambda odd=odd: build(odd, odd))
        assert agree(lambda: build(1, 2))[1] == 3.5


def test_literals_of_other_types_in_a_loop():
    @task
    def loop(n, x, y):
        return (x, y) if n == 0 else loop(n - 1, arithmetic(arithmetic(y, 1), 1), kinds[n % len(kinds)])

    kinds = []
    for drawn in ([1], [1, 2.5], [1, Lazy_()], [Lazy_()], ["x"], [1, Lazy_(), 2, 3, Lazy_()]):
        kinds[:] = drawn
        agree(lambda: loop(11, 1, 1))


def test_containers_of_all_kinds():
    class Rows(list):
        pass

    class Pair(tuple):
        pass

    for make in (
        lambda: [[], (), {}, set(), frozenset()],
        lambda: [[flows.same(1)], (flows.same(2),), {"k": flows.same(3)}, {flows.same(4)}, frozenset({flows.same(5)})],
        lambda: [Rows([flows.same(1)]), Pair((flows.same(2), 1)), OrderedDict(a=flows.same(1)), defaultdict(list, {1: flows.same(2)})],
        lambda: [{flows.same(1): 1, flows.same(1): 2, 1: 3}, {flows.same(True), flows.same(1), 1.0}],
    ):
        value = agree(lambda make=make: flows.both(*make(), all=make()))[1]
        again = run_any(flows.both(*make(), all=make()), engine="codegen")
        assert [type(one) for one in again[0]] == [type(one) for one in value[0]]
        assert repr(again) == repr(value)
    many = [flows.add(n) for n in range(600)]
    assert agree(lambda: flows.both(many, dict(enumerate(many)), set(many)))[1][0][0] == list(range(1, 601))
    assert agree(lambda: flows.both({flows.same([]): 1}))[0] is TypeError
    assert agree(lambda: flows.both({flows.same([])}))[0] is TypeError


def test_items():
    class Sly:
        def __getitem__(self, key):
            return flows.add(key, 1)

    assert agree(lambda: flows.both(flows.same(Sly())[1], flows.same([1, 2])[flows.same(1)]))[1] == ((2, 2), {})
    assert agree(lambda: flows.same(Sly())[1])[1] == 2
    assert agree(lambda: flows.same("text")[flows.same(1)])[1] == "e"
    assert agree(lambda: flows.both(flows.same([1])[7]))[0] is IndexError
    assert agree(lambda: flows.same([1])["x"])[0] is TypeError
    assert agree(lambda: flows.same(flows.later({"k": flows.same(3)}))["k"])[1] == 3


def test_literals_that_are_graphs():
    lazy = flows.same(1)
    for _ in range(3):
        for engine in ("interpreter", "codegen"):
            assert run_any(literal(lazy), engine=engine) is lazy
            assert run_any(flows.both(literal(lazy), 1), engine=engine)[0][0] is lazy


def test_an_exception_is_the_one_that_was_raised():
    raised = []

    @task
    def raising(x):
        raised.append(flows.Refused(x))
        raise raised[-1]

    for engine in ("interpreter", "codegen", "codegen"):
        with pytest.raises(flows.Refused) as caught:
            run_any(flows.both(raising(flows.same(1))), engine=engine)
        assert caught.value is raised[-1]
        assert len(caught.value.__notes__) == 1
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None


def test_an_exception_that_is_raised_again_and_again():
    """Its traceback grows at its far end; where this run raised it is told right all the same"""
    one = flows.Refused("one")

    @task
    def raising(x):
        raise one

    for n in range(1, 5):
        with pytest.raises(flows.Refused):
            run_any(flows.both(flows.same(1), raising(flows.add(n))), engine="codegen")
        assert one.__notes__[-1].endswith(f"  x = {n + 1}")


def test_a_run_within_a_run_of_the_same_code():
    @task
    def outer(n):
        if n == 0:
            raise flows.Refused(n)
        return run_any(flows.both(flows.same(n), outer(n - 1)), engine="codegen")

    for _ in range(2):
        with pytest.raises(flows.Refused) as caught:
            run_any(flows.both(flows.same(3), outer(2)), engine="codegen")
        assert [note.rpartition("n = ")[2] for note in caught.value.__notes__] == ["0", "1", "2"]


@pytest.mark.parametrize("first", [lambda lazy: run_any(lazy, engine="codegen"), lambda lazy: asyncio.run(arun(lazy, engine="codegen"))])
def test_code_that_is_generated_anew_while_it_runs(first):
    """The failure is told by the lines of the function that ran"""

    @task
    def same(x):
        return x

    @task
    def loop(n, how):
        if how == "outer":
            run_any(loop(same(30), "inner"), engine="codegen")
            raise flows.Refused(n)
        return n if n == 0 else loop(same(n - 1), how)

    for _ in range(3):
        with pytest.raises(flows.Refused) as caught:
            first(loop(same(5), "outer"))
        assert "loop, called at" in caught.value.__notes__[0]
        assert "n = 5" in caught.value.__notes__[0]


def test_loaded_artifacts():
    for build in (lambda: flows.fails_in_turn(7), lambda: flows.both(flows.same(1), flows.nested(2)), lambda: flows.boom(flows.same(1))):
        program = loads(compile(build()).to_bytes())
        seen = [told(program.link(engine=engine).run) for engine in ("interpreter", "codegen")]
        again = program.link(engine="codegen")
        seen += [told(again.run), told(again.run)]
        assert all(one == seen[0] for one in seen), seen


def test_a_program_gets_generated_when_it_is_hot():
    program = compile(flows.both(flows.same(1), flows.boom_deep(flows.add(1)))).link()
    seen = {repr(told(program.run)) for _ in range(300)}
    assert len(seen) == 1
    assert "run" in vars(program)
    assert copy.copy(flows.Refused("x")).args == ("x",)


def test_the_whole_traceback_can_be_seen():
    text = (
        "import meaning_flows as flows, traceback\nfrom cascade_compiler import run\n"
        "for _ in range(2):\n"
        "    try: run(flows.both(flows.same(1), flows.boom(2)), engine='codegen')\n"
        "    except flows.Refused as e: print(traceback.format_exc())\n"
    )
    here = os.path.dirname(flows.__file__)
    for full, expected in (("0", False), ("1", True)):
        env = {**os.environ, "CASCADE_FULL_TRACEBACK": full, "PYTHONPATH": os.pathsep.join([here, *sys.path])}
        shown = subprocess.run([sys.executable, "-c", text], env=env, capture_output=True, text=True, check=True).stdout
        assert ("cascade-generated/" in shown) is expected
        assert shown.count("raise Refused(x)") == 2


def test_coroutines_in_chains_run_in_virtual_time():
    @task
    async def wait(seconds):
        await asyncio.sleep(seconds)
        return seconds

    for engine in ("interpreter", "codegen", "codegen"):
        run = run_virtual(lambda engine=engine: arun(flows.add(wait(flows.add(wait(2), 1)), wait(1)), engine=engine))
        assert (run.value, run.elapsed) == (4, 5)
        run = run_virtual(lambda engine=engine: arun(flows.add(wait(flows.add(wait(2), 1)), 1), engine=engine))
        assert (run.value, run.elapsed) == (4, 5)
