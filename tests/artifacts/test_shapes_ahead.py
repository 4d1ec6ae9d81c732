"""Programs that bring along the shapes of the graphs that their tasks return: traced from source, or met in examples."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import shape_flows as flows

from cascade_compiler import CompileError, Param, cache_clear, cache_info, compile, cycle_id, gather, run, task
from cascade_compiler.tracing import returned_graphs
from cascade_vm import Program, VerifyError, assemble, disassemble, loads, verify
from cascade_vm.errors import NotCompiled
from cascade_vm.route_data import Shape

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
ENGINES = ["auto", "interpreter", "codegen"]


@pytest.fixture(autouse=True)
def nothing_compiled():
    cache_clear()
    yield
    cache_clear()


def elsewhere(program: Program) -> Program:
    """As another process would have it, which has compiled nothing."""
    cache_clear()
    return loads(program.to_bytes())


def ids(program: Program) -> set[str]:
    return {program.data.blueprints[shape.blueprint].cycle_id for shape in program.data.shapes}


class TestTraced:
    @pytest.mark.parametrize("engine", ENGINES)
    @pytest.mark.parametrize(("flow", "n"), [("parity", 7), ("crawling", 5), ("everything", 4)])
    def test_nothing_is_compiled_when_it_runs(self, flow, n, engine):
        """Mutual recursion; shared and conditional arguments; policies, containers, maps, other modules, step resources, map items"""
        target = getattr(flows, flow)
        expected = run(target, {"n": n}, capacity={"gpu": 1}, engine="graph")
        program = elsewhere(compile(target))
        assert program.link(jit=False, engine=engine, capacity={"gpu": 1}).run(n=n) == expected
        assert cache_info().compiles == 0
        assert cache_info().misses == len(program.data.shapes)

    def test_the_same_inside_a_loop_of_events(self):
        program = elsewhere(compile(flows.everything))
        found = asyncio.run(program.link(jit=False, capacity={"gpu": 1}).arun(n=2))
        assert found == run(flows.everything, {"n": 2}, capacity={"gpu": 1}, engine="graph")

    def test_what_is_seen(self):
        shapes = {
            flows.countdown: [flows.countdown(1, log=())],
            flows.crawl: [flows.crawl(1, flows.add(1, p := flows.inc(1), p)), flows.crawl(1, flows.add(1, flows.later(flows.inc(1))))],
            flows.told: [flows.told(flows.inc(0)).with_retry(max_attempts=3, delay=0).with_constraints(gpu=1)],
            flows.wide: [gather([flows.inc(1), {"b": flows.later(1)}])],
            flows.elsewhere: [flows.shape_helpers.double(flows.inc(1))],
            flows.unseen: [],
            flows.chosen: [],
            flows.fails: [],
            flows.inc: [],
        }
        for fn, expected in shapes.items():
            assert {cycle_id(one) for one in returned_graphs(fn.task)} == {cycle_id(one) for one in expected}

    def test_what_is_written_as_no_call(self):
        """Starred arguments, methods of something else, names that are assigned twice, functions inside: nothing is guessed"""

        @task
        def odd_ones(n, *rest, **more):
            def inner():
                return flows.inc(1)

            twice = flows.inc(n)
            if n > 1:
                twice = inner()
                return flows.add(*rest)
            if n > 2:
                return flows.add(**more)
            if n > 3:
                return n.inc(1)
            for _ in range(n):
                looped = flows.add(looped, 1)  # noqa: F821
                return looped
            return flows.add(twice)

        found = {cycle_id(one) for one in returned_graphs(odd_ones.task)}
        assert found == {cycle_id(flows.add(1)), cycle_id(flows.add(1, 1))}

    def test_ways_through_conditional_expressions_are_bounded(self):
        @task
        def many(a):
            return flows.add(
                *[],
                1,
            ) if a else flows.add(
                flows.inc(1) if a else 1, flows.inc(1) if a else 1, flows.inc(1) if a else 1, flows.inc(1) if a else 1,
                flows.inc(1) if a else 1, flows.inc(1) if a else 1, flows.inc(1) if a else 1, flows.inc(1) if a else 1,
            )  # fmt: skip

        assert 1 < len(list(returned_graphs(many.task))) <= 64

    def test_calls_that_the_language_refuses_are_no_shapes(self):
        @task
        def wrong(n):
            return flows.inc(1, 2, 3) if n else flows.inc.map([flows.inc(1)], no_such=1)

        assert compile(wrong(Param("n"))).data.shapes == ()

    def test_a_task_without_source(self):
        scope: dict[str, Any] = {"task": task, "__name__": "made"}
        exec("@task\ndef made(n):\n    return made(n - 1) if n else 0", scope)
        assert list(returned_graphs(scope["made"].task)) == []


class TestExamples:
    @pytest.mark.parametrize("engine", ENGINES)
    def test_shapes_that_only_a_run_shows(self, engine):
        program = elsewhere(compile(flows.unseen_flow, examples=[{"n": 2}, {"n": 4}]))
        assert len(program.data.shapes) == 2
        executable = program.link(jit=False, engine=engine)
        assert [executable.run(n=n) for n in (2, 4)] == [3, 10]
        assert cache_info().compiles == 0

    def test_what_an_example_leads_to_is_traced_too(self):
        program = compile(flows.chosen(Param("n", int)), examples=[{"n": 0}])
        assert cycle_id(flows.countdown(1, log=())) in ids(program)

    def test_routes_of_jumps(self):
        """A graph with routes comes from a task: the routes are its own, and the graphs that they lead to are shapes"""
        program = elsewhere(compile(flows.starts(Param("n", int)), examples=[{"n": 2}]))
        for engine in ENGINES:
            assert program.link(jit=False, engine=engine).run(n=5) == "over"
        assert cache_info().compiles == 0

    def test_the_entry_of_a_loop_has_the_shape_of_its_turns(self):
        """One blueprint serves both: an entry without inputs, which the loop goes round in"""
        for fold in (False, True):
            program = elsewhere(compile(flows.countdown(3, log=()), fold=fold))
            assert ids(program) == {program.cycle_id}
            assert len(program.data.blueprints) == 1
            assert program.link(jit=False).run() == (3, 2, 1)

    def test_an_example_that_fails(self):
        with pytest.raises(CompileError, match="example 1 failed with ValueError: no 5") as caught:
            compile(flows.chosen_or_fails(Param("n", int)), examples=[{"n": 0}, {"n": 5}])
        assert isinstance(caught.value.__cause__, ValueError)

    @pytest.mark.parametrize("example", [{}, {"n": "x"}, {"m": 1}])
    def test_inputs_that_do_not_fit(self, example):
        with pytest.raises(CompileError, match=r"example 0 cannot be run: .*n"):
            compile(flows.parity, examples=[example])

    @pytest.mark.parametrize("example", [None, [("n", 1)], 3])
    def test_what_is_no_example(self, example):
        with pytest.raises(TypeError, match="number 0 is a"):
            compile(flows.parity, examples=[example])

    def test_graphs_that_no_other_process_can_have(self, monkeypatch):
        """A local task is met again only in the process that made it: it is left out, and all else can be saved"""

        @task
        def local(x):
            return x

        monkeypatch.setattr(flows, "hook", local)
        program = compile(flows.uses_hook(Param("n", int)), examples=[{"n": 1}])
        assert program.data.shapes == ()
        assert loads(program.to_bytes()).run(n=4) == 4


class TestNothingElseIsCompiled:
    @pytest.mark.parametrize("engine", ENGINES)
    def test_an_unknown_shape_is_an_error_that_names_it(self, engine):
        executable = elsewhere(compile(flows.unseen_flow)).link(jit=False, engine=engine)
        with pytest.raises(NotCompiled, match=r"shape_flows\.add.*of the shape [0-9a-f]{12}.*examples=\[.*jit=True") as caught:
            executable.run(n=2)
        assert any("in task shape_flows.unseen" in note for note in caught.value.__notes__)
        assert cycle_id(flows.add(flows.inc(0), flows.inc(1)))[:12] in str(caught.value)

    @pytest.mark.parametrize("engine", ENGINES)
    def test_what_the_process_knows_does_not_count(self, engine):
        run(flows.unseen_flow, {"n": 2})
        executable = loads(compile(flows.unseen_flow).to_bytes()).link(jit=False, engine=engine)
        for _ in range(3):
            with pytest.raises(NotCompiled):
                executable.run(n=2)

    def test_it_is_compiled_where_that_is_allowed(self):
        program = elsewhere(compile(flows.unseen_flow))
        assert program.run(n=3) == 6
        assert cache_info().compiles == 1

    def test_a_loop_that_gets_hot(self):
        """Guards and generated loops go round in shapes of the program as in any other"""
        program = elsewhere(compile(flows.parity))
        executable = program.link(jit=False)
        assert executable.run(n=100_001) == "odd"
        assert cache_info().compiles == 0

    def test_programs_that_were_not_saved(self):
        program = compile(flows.everything)
        cache_clear()
        assert program.link(jit=False, capacity={"gpu": 1}).run(n=2)["log"] == (2, 1)


class TestBytes:
    def test_in_any_process(self):
        """Whatever the order of sets and of examples that overlap"""
        code = (
            "import shape_flows as f, hashlib\nfrom cascade_compiler import compile\n"
            "p = compile(f.everything)\nq = compile(f.unseen_flow, examples=[{'n': 3}, {'n': 2}])\n"
            "print(hashlib.sha256(p.to_bytes() + q.to_bytes()).hexdigest())"
        )
        found = set()
        for seed in ("0", "1", "77"):
            environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "PYTHONHASHSEED": seed}
            found.add(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout)
        assert len(found) == 1

    def test_listings(self):
        program = compile(flows.everything)
        text = disassemble(program)
        assert "  shape [1,[" in text
        again = assemble(text)
        assert isinstance(again, Program)
        assert again.data == program.data


class TestHostile:
    @pytest.mark.parametrize(
        ("shapes", "said"),
        [((Shape(9, ()),), "P9"), ((Shape(-1, ()),), "P9"), ((Shape(0, (0, 0)),), "P9"), ((Shape(0, (-2,)),), "P9"),
         ((Shape(0, (0,)), Shape(0, (0,))), "P9"), ((), "P6")],
    )  # fmt: skip
    def test_shapes_that_mean_nothing(self, shapes, said):
        program = compile(flows.parity)
        with pytest.raises(VerifyError, match=said):
            verify(Program(msgspec.structs.replace(program.data, shapes=shapes), {}))

    @pytest.mark.parametrize("change", ["literals", "symbol", "site", "policy"])
    @pytest.mark.parametrize("jit", [True, False])
    def test_a_blueprint_that_is_not_for_its_shape(self, change, jit):
        """It passes for that of a graph whose cycle_id it states: what does not fit the graph is not used"""
        plain = change == "site"  # without policies, which go by sites, too
        target = flows.countdown(Param("n", int)) if plain else flows.told(Param("n", int)).with_constraints(gpu=1)
        good = compile(target).data
        number = good.shapes[0].blueprint
        blueprint, sites = good.blueprints[number], good.shapes[0].sites
        if change == "literals":
            blueprint = msgspec.structs.replace(blueprint, literals=blueprint.literals + 1, registers=blueprint.registers + 1)
            moved = [
                msgspec.structs.replace(
                    i, reads=tuple(r + 1 for r in i.reads), dead=tuple(r + 1 for r in i.dead), dst=i.dst + (i.dst >= 0)
                )
                for i in blueprint.instructions
            ]
            blueprint = msgspec.structs.replace(blueprint, instructions=tuple(moved))
        elif change == "symbol":
            symbols = tuple(msgspec.structs.replace(one, name="os:system") for one in blueprint.symbols)
            blueprint = msgspec.structs.replace(blueprint, symbols=symbols)
        elif change == "site":
            sites = tuple(site + 50 for site in sites)
        else:
            policies = tuple(msgspec.structs.replace(one, constraints=()) for one in blueprint.policies)
            blueprint = msgspec.structs.replace(blueprint, policies=policies)
        blueprints = tuple(blueprint if at == number else one for at, one in enumerate(good.blueprints))
        changed = Program(msgspec.structs.replace(good, blueprints=blueprints, shapes=(Shape(number, sites),)), {})
        verify(changed)
        executable = elsewhere(changed).link(jit=jit, capacity={"gpu": 1})
        if jit:
            assert executable.run(n=3) == ((3, 2, 1) if plain else "told")
            assert cache_info().compiles == 1
        else:
            with pytest.raises(NotCompiled, match="does not fit it"):
                executable.run(n=3)
