"""Values die when their last reader has run (P6), and code keeps none (S4): in generated code as on the machine."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref

import pytest
import watched_flows as flows
from ways import ways

from cascade_compiler import arun, compile, task
from cascade_compiler import run as run_any
from cascade_compiler.testing import run_virtual


@pytest.fixture(autouse=True)
def _no_collector():
    gc.collect()
    gc.disable()
    flows.ALIVE.clear()
    yield
    gc.enable()


def seen_by_all(build, portable=True):
    """What ``build()`` comes to, which must be the same by each way."""
    seen = {}
    for name, call in ways(build, portable).items():
        flows.ALIVE.clear()
        seen[name] = call()
        assert flows.alive() == [], name  # nothing of a run outlives it
    assert all(one == seen["interpreter"] for one in seen.values()), seen
    return seen["interpreter"]


def test_in_a_strand():
    assert seen_by_all(lambda: flows.both(flows.use(flows.make("a")), flows.look())) == (None, [])
    assert seen_by_all(lambda: flows.look().after(flows.make("a"))) == []  # nobody reads it
    thing = flows.make
    assert seen_by_all(lambda: flows.both(*_twice(thing("a")))) == (["a"], None, ["a"], None, [])


def _twice(thing):
    first = flows.look(flows.use(thing))
    second = flows.use(thing, first)
    return first, second, flows.look(second), flows.use(thing), flows.look()


def test_in_a_strand_among_others():
    def build():
        a, b = flows.make("a"), flows.make("b")
        used = flows.use(flows.later(1), a)
        return flows.both(used, flows.look(used), flows.use(b, flows.look(used)), flows.look(used))

    assert seen_by_all(build) == (None, ["b"], None, [])


def test_in_a_chain():
    def build():
        thing = flows.later(flows.make("a"))
        return flows.look(flows.later(flows.use(flows.use(thing), thing)), flows.later(1))

    assert seen_by_all(build) == []
    assert seen_by_all(lambda: flows.look(flows.later(flows.use(flows.later(flows.make("a")))))) == []


def test_where_a_call_gives_a_graph():
    assert seen_by_all(lambda: flows.both(flows.nested(flows.make("a")), flows.look())) == ([], [])
    assert seen_by_all(lambda: flows.both(flows.use(flows.make("a")), flows.look_deep(1), flows.look())) == (None, [], [])
    assert seen_by_all(lambda: flows.both(flows.nested_waits(flows.make("a")), flows.look())) == (None, [])


def test_while_that_graph_runs():
    """What is dead by then is dead in it, too: the code that has been left holds nothing"""
    assert seen_by_all(lambda: flows.both(flows.use(flows.make("a")), flows.look_inside(flows.make("b"), 1))) == (None, [])
    assert seen_by_all(lambda: flows.both(1, flows.look_inside(flows.make("b"), flows.make("c")))) == (1, [])


def test_while_a_graph_runs_that_an_await_gave():
    assert seen_by_all(lambda: flows.both(1, flows.look_inside_later(flows.make("a"), flows.make("b")))) == (1, [])
    assert seen_by_all(lambda: flows.both(1, flows.look_after_io(flows.make("a"), flows.make("b")))) == (1, [])
    assert seen_by_all(lambda: flows.both(1, flows.look_inside_later(flows.later(flows.make("a")), flows.make("b")))) == (1, [])
    assert seen_by_all(lambda: flows.both(1, flows.look_after_io(flows.later(flows.make("a")), flows.make("b")))) == (1, [])


def test_in_the_graph_of_a_tail_call():
    """Neither its operands nor the literals of the graph that it gave"""
    assert seen_by_all(lambda: flows.look_inside(flows.make("a"), flows.make("b"))) == []
    assert seen_by_all(lambda: flows.tail_with_literal(flows.make("a"))) == []
    assert seen_by_all(lambda: flows.tail_with_literal(flows.later(1))) == []
    assert seen_by_all(lambda: flows.look_inside_later(flows.later(1), flows.make("b"))) == []
    assert seen_by_all(lambda: flows.tail_with_literal_later(flows.later(1))) == []
    assert seen_by_all(lambda: flows.tails_with_literals(3)) == []


@pytest.mark.parametrize("loop", [flows.loop_of_literals, flows.loop_of_nodes, flows.loop_of_containers, flows.loop_with_more])
def test_nothing_of_a_turn_lives_into_the_next(loop):
    """Literals, results of calls, and nodes: only what this turn was given is there, and what the caller's graph holds"""
    assert seen_by_all(lambda: loop(6, flows.Thing("start"), []), portable=False) == [1, 2, 2, 2, 2, 2]


def test_a_literal_of_a_turn_dies_within_it():
    """Neither the graph nor what took it apart holds it any more"""
    assert seen_by_all(lambda: flows.loop_that_looks(6, None, None, []), portable=False) == [None, [], [], [], [], []]


def test_a_failure_keeps_no_values_of_other_tasks():
    for name, call in ways(lambda: flows.both(flows.make("a"), flows.fail(flows.use(flows.make("b")))), portable=True).items():
        flows.ALIVE.clear()
        with pytest.raises(flows.Wrong) as caught:
            call()
        failure = caught.value
        del caught
        assert flows.alive() == [], name
        assert "flows.fail" in failure.__notes__[0]
        del failure


@pytest.mark.parametrize("engine", ["interpreter", "codegen"])
def test_a_failure_in_a_loop_or_chain_keeps_none(engine):
    def looping():
        return flows.failing_loop(5, flows.Thing("start"))  # held by the caller's graph, and by the failing task's frame

    def waiting():
        return flows.fail(flows.later(flows.use(flows.later(flows.make("a")))))

    for build, held in ((looping, ["1", "start"]), (waiting, [])):
        for _ in range(3):
            flows.ALIVE.clear()
            with pytest.raises(flows.Wrong) as caught:
                asyncio.run(arun(build(), engine=engine))
            failure = caught.value
            del caught
            assert flows.alive() == held
            del failure


def test_compiled_code_keeps_no_literals():
    """S4"""
    for engine in ("interpreter", "codegen"):
        for build in (lambda: flows.both(flows.Thing("x"), flows.use(flows.Thing("y"))), lambda: flows.use(flows.later(flows.Thing("x")))):
            for _ in range(3):
                run_any(build(), engine=engine)
                asyncio.run(arun(build(), engine=engine))
                assert flows.alive() == []


def test_a_generated_program_can_be_collected():
    gc.enable()
    program = compile(flows.both(flows.use("text"), 1)).link(engine="codegen")
    assert program.run() == (None, 1)
    assert "run" in vars(program)
    gone = weakref.ref(program)
    del program
    gc.collect()
    assert gone() is None


def test_generated_code_dies_with_its_task():
    gc.enable()

    def define():
        @task
        def passing(x):
            return x if x == 0 else passing(x - 1)

        @task
        def outer(x):
            return passing(x)

        for _ in range(3):
            assert run_any(outer(passing(3)), engine="codegen") == 0
        return weakref.ref(passing.fn), weakref.ref(outer.fn)

    gone = define()
    gc.collect()
    assert [one() for one in gone] == [None, None]


@pytest.mark.parametrize("loop", [flows.count, flows.count_by_node, flows.count_in_list])
def test_memory_is_flat_over_many_turns(loop):
    turns = 100_000
    run_any(loop(300, {}), engine="codegen")
    blocks = {}
    run_any(loop(turns, blocks), engine="codegen")
    assert set(blocks) == {turns // 10, 10}
    assert blocks[10] - blocks[turns // 10] < 300, blocks


@pytest.mark.slow
def test_memory_is_flat_over_a_million_turns():
    for loop in (flows.count, flows.count_by_node, flows.count_in_list):
        blocks = {}
        run_any(loop(1_000_000, blocks), engine="codegen")
        assert blocks[10] - blocks[100_000] < 300, blocks


def test_memory_is_flat_where_loops_pause():
    blocks = {}
    run_virtual(lambda: arun(flows.count_by_node(3_000, blocks), engine="codegen", time_slice=0))
    assert blocks[10] - blocks[300] < 300, blocks
    assert sys.getallocatedblocks() > 0
