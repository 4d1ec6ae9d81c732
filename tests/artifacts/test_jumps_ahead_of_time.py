"""Loops by jumps in programs: compiled here, run in another process, without a compiler at run time (S26)."""

from __future__ import annotations

import hashlib
import random
from functools import cache
from typing import Any

import jump_flows as flows
import msgspec
import pytest
from damage import EXPECTED, body_of, mutate, sealed
from test_ahead_of_time import python

from cascade_compiler import (
    CascadeError,
    CompileError,
    InputError,
    Param,
    RouteNotFound,
    bind,
    cache_info,
    compile,
    cycle_id,
    run,
    subscribe,
    task,
)
from cascade_vm import LinkError, LoadError, VerifyError, disassemble, loads, verify
from cascade_vm.program import Program


def loaded(target: Any) -> Program:
    return loads(compile(target).to_bytes(), allow=["jump_flows"])


@pytest.fixture(autouse=True)
def _nothing_yet():
    flows.tries.clear()
    flows.opened.clear()


PORTABLE = ("counted", "machine", "states", "small")


@cache
def bytes_under(seed):
    """Of each program, compiled in a process of its own, as hexadecimal digits. One for all of them: it costs a third of a second."""
    code = (
        "import jump_flows\nfrom cascade_compiler import compile\n"
        f"for name in {PORTABLE}: print(name, compile(getattr(jump_flows, name)).to_bytes().hex())"
    )
    return dict(line.split() for line in python(code, PYTHONHASHSEED=seed).splitlines())


class TestAnotherProcess:
    def test_saved_here_and_run_there_without_compiling(self, tmp_path):
        """The compiler has come along with the tasks, and is not used"""
        path = tmp_path / "counted.cbp"
        compile(flows.counted).save(path)
        code = (
            "import sys\nfrom cascade_vm import load\n"
            "program = load(sys.argv[1], allow=['jump_flows'])\n"
            "print(program.run(n=5, step='3'), program.run(n=0))\n"
            "from cascade_compiler import cache_info\nassert cache_info().compiles == 0\n"
        )
        assert python(code, str(path)) == "(15, 6) (0, 1)\n"

    def test_all_kinds_there(self, tmp_path):
        path = tmp_path / "machine.cbp"
        compile(flows.machine).save(path)
        code = "import sys\nfrom cascade_vm import load\nprint(load(sys.argv[1]).run(n=2, key='show'))"
        here = run(flows.machine, {"n": 2, "key": "show"})
        assert python(code, str(path)) == f"{here}\n"
        assert here == [((1, 2), {"named": 3}), ((4, 12, [6]), None, "c"), 4, "thread", 6, "seat", [0, 1, 0]]

    @pytest.mark.parametrize("name", PORTABLE)
    def test_the_same_bytes_everywhere(self, name):
        here = compile(getattr(flows, name)).to_bytes().hex()
        assert {bytes_under(seed)[name] for seed in ("0", "1")} == {here}

    def test_there_is_nothing_to_import_before_it_is_linked(self, tmp_path):
        path = tmp_path / "machine.cbp"
        compile(flows.machine).save(path)
        code = (
            "import sys\nfrom cascade_vm import load, verify, disassemble\n"
            "p = load(sys.argv[1]); verify(p); disassemble(p); p.symbols; repr(p.inputs)\n"
            "print([m for m in sys.modules if m.startswith(('cascade_compiler', 'jump_flows'))])"
        )
        assert python(code, str(path)) == "[]\n"

    def test_tasks_of_routes_alone_are_linked_with_the_rest(self):
        program = compile(flows.states)
        assert {symbol.name for symbol in program.symbols} >= {"jump_flows:fail", "jump_flows:same"}
        with pytest.raises(LinkError, match="jump_flows is not among those allowed"):
            loads(program.to_bytes(), allow=["somewhere"]).link()


class TestMeaning:
    @pytest.mark.parametrize(
        ("key", "data"),
        [
            ("same", None), ("same", 7), ("same", {"b": 7}), ("same", {"c": 7, "a": 1}), ("same", {"c": [7]}), ("given", 7),
            ("given", {"a": 3}), ("given", {"b": None, "c": 0}), ("show", 9), ("show", {"named": 4, "other": 5}), ("show", {}),
            ("param", None), ("param", {"b": 1}), ("param", 3), ("end", None), ("end", {"a": [1]}),
        ],
    )  # fmt: skip
    def test_as_graph_mode(self, key, data):
        params = {"key": key} if data is None else {"key": key, "data": data}
        want = run(flows.states, params, engine="graph")
        assert repr(loaded(flows.states).run(**params)) == repr(want)
        assert repr(compile(flows.states).run(**params)) == repr(want)

    @pytest.mark.parametrize("n", [0, 1, 4])
    @pytest.mark.parametrize("key", ["same", "show", "end"])
    def test_all_kinds(self, key, n):
        """Also under policies, in threads, with resources, nested"""
        params = {"n": n, "key": key}
        want = run(flows.machine, params, engine="graph")
        flows.tries.clear()
        opened = list(flows.opened)
        flows.opened.clear()
        assert repr(loaded(flows.machine).run(**params)) == repr(want)
        assert flows.opened == opened

    def test_nothing_is_compiled_while_it_runs(self):
        """Overridden dependencies, keywords that were not given and several turns are all prepared for"""
        program = loaded(flows.states)
        executable = program.link()
        before = cache_info().compiles
        for data in (5, {"a": 1}, {"b": [1, 2]}, {"a": 0, "b": 1, "c": 2}):
            executable.run(key="same", data=data)
        executable.run(key="show", data={"x": 1, "y": 2})
        assert cache_info().compiles == before

    def test_the_cycle_id_is_that_of_the_graph(self):
        for target in (flows.counted, flows.machine, flows.states, flows.small):
            assert loaded(target).cycle_id == compile(target).cycle_id == cycle_id(target)

    def test_inputs_of_a_route(self):
        """N9: they take the inputs of the run, which the root must have declared; a default is used as it is"""
        routes = {"again": flows.same(Param("x", int), b=Param("y", str, "y")), "end": None}
        root = flows.same(bind(flows.pick("again"), routes), Param("x", int))
        assert loaded(root).run(x="5") == ((5, "y", "c"), 5, "c")
        alone = bind(flows.pick("again"), routes)
        with pytest.raises(InputError, match="unknown input 'x'"):
            loaded(alone).run(x=5)
        with pytest.raises(InputError, match="'x'") as caught:
            loaded(alone).run()
        assert caught.value.__notes__[0].startswith("in task jump_flows.pick, called at ")

    def test_constants_are_those_of_the_run(self):
        """N12: a list is one object in all turns of a run, and a new one in the next run"""
        rows = [0]
        loop = bind(flows.collect([], 2), {"more": flows.collect(rows, 5), "end": None})
        program = loaded(loop)
        assert [program.run() for _ in range(3)] == [[0, 1, 0]] * 3
        assert rows == [0]

    def test_runs_at_the_same_time(self):
        """Each has its own constants, though they share the code of routes"""
        import threading

        executable = loaded(bind(flows.collect([], 300), {"more": flows.collect([0], 5), "end": None})).link()
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(executable.run())) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert found == [[0, *range(299, -1, -1)]] * 4

    def test_long_loops(self):
        program = loaded(bind(flows.count(20_000), {"again": flows.count(0), "end": None}))
        assert program.run() == (200_010_000, 1)

    @pytest.mark.parametrize("engine", ["auto", "interpreter", "codegen"])
    def test_both_tiers(self, engine):
        executable = loaded(flows.counted).link(engine=engine)
        assert [executable.run(n=n) for n in (0, 1, 2, 2_000)] == [(0, 1), (1, 2), (3, 2), (2_001_000, 2)]
        executable = loaded(flows.small).link(engine=engine)
        assert [executable.run() for _ in range(300)] == [(6, 1)] * 300


class TestErrors:
    def test_an_unknown_key(self):
        with pytest.raises(RouteNotFound) as caught:
            loaded(flows.states).run(key="?")
        with pytest.raises(RouteNotFound) as live:
            run(flows.states, {"key": "?"})
        assert str(caught.value) == str(live.value)
        assert caught.value.__notes__ == live.value.__notes__

    @pytest.mark.parametrize("data", [{"z": 1}, {1: 2}, {"a": 1, "z": 2}])
    def test_data_that_does_not_fit(self, data):
        with pytest.raises(TypeError) as caught:
            loaded(flows.states).run(key="same", data=data)
        with pytest.raises(TypeError) as live:
            run(flows.states, {"key": "same", "data": data})
        assert str(caught.value) == str(live.value)
        assert caught.value.__notes__ == live.value.__notes__

    @pytest.mark.parametrize(("key", "call"), [("fail", "fail(1)"), ("fail twice", "fail(2)")])
    def test_a_note_says_which_route_it_was(self, key, call):
        """Two routes of one shape share a blueprint, and were written in two lines"""
        with pytest.raises(KeyError) as caught:
            loaded(flows.states).run(key=key)
        with pytest.raises(KeyError) as live:
            run(flows.states, {"key": key})
        assert caught.value.__notes__ == live.value.__notes__
        with open(flows.__file__) as file:
            text = file.read()
        number = text[: text.rindex(call)].count("\n") + 1
        assert f"jump_flows.py:{number}\n" in caught.value.__notes__[0]

    def test_a_note_shows_what_was_given(self):
        """Keywords that were left open are none of its arguments"""

        @task
        def broken(a, b=2, *, c=3, **more):
            raise ValueError(a)

        for target in (bind(flows.pick("x", {"z": 5}), {"x": broken(1)}), bind(flows.pick("x", 4), {"x": broken(1).with_retry(2)})):
            notes = []
            for way in (run, lambda one: compile(one).run()):
                with pytest.raises(ValueError, match=r"1|4") as caught:
                    way(target)
                notes.append(caught.value.__notes__)
            assert notes[0] == notes[1]

    def test_events(self):
        told: list[list[Any]] = []
        for program in (None, loaded(flows.small)):
            told.append([])
            with subscribe(lambda event: told[-1].append((type(event).__name__, getattr(event, "task", None)))):
                assert (run(flows.small) if program is None else program.run()) == (6, 1)
        assert told[0] == told[1]
        assert len(told[0]) > 8

    def test_keys_and_constants_that_no_artifact_can_hold(self):
        with pytest.raises(CompileError, match="among the keys of a jump table, an instance of"):
            compile(bind(flows.pick(1), {object(): flows.same(1), "end": None}))
        with pytest.raises(CompileError, match=r"jump_flows\.same\.args\[0\]\['k'\] is an instance of object"):
            compile(bind(flows.pick(1), {1: flows.same({"k": object()})}))
        with pytest.raises(CompileError, match=r"jump_flows\.pick\.args\[1\] is an instance of object"):
            compile(bind(flows.pick(1, object()), {1: None}))

    def test_what_cannot_be_saved(self):
        @task
        def local(n):
            return n

        program = compile(bind(flows.pick("x", 3), {"x": local(0), "y": local(1)}))
        assert program.run() == 3
        with pytest.raises(CascadeError, match="local") as caught:
            program.to_bytes()
        assert str(caught.value).count("local") == 2  # said once: by its label, which has the name of the test's function, too

    def test_a_route_that_has_not_all_of_its_arguments(self):
        """A jump may bring them"""
        routes = {"x": flows.same(b=1), "end": None}
        assert loaded(bind(flows.pick("x", {"a": 2}), routes)).run() == run(bind(flows.pick("x", {"a": 2}), routes)) == (2, 1, "c")
        assert loaded(bind(flows.pick("x", 3), routes)).run() == (3, 1, "c")
        for error, given in ((CompileError, ["x"]), (TypeError, ["x", {"c": 2}]), (TypeError, ["x", {"z": 2}])):
            target = bind(flows.pick(*given), routes)
            told = []
            for way in (run, lambda one: loaded(one).run()):
                with pytest.raises(error, match=r"missing a required argument: 'a'|unexpected keyword") as caught:
                    way(target)
                told.append((str(caught.value), caught.value.__notes__))
            assert told[0] == told[1]

    def test_a_route_without_a_meaning(self):
        with pytest.raises(CompileError, match=r"jump_flows\.count\(n, step=…, total=…\) cannot be called like this"):
            compile(bind(flows.pick("x"), {"x": flows.count(1, 2, 3, 4)}))


# --- as bytes ---------------------------------------------------------------------------------------------------------------


def behaves(content: bytes) -> str:
    """Like that for programs without jumps. Whether a loop ends is for its tasks to say: this one does after 50 calls."""
    flows.tries.clear()
    try:
        program = loads(content)
        disassemble(program)
        executable = program.link()
        executable.run()
    except EXPECTED as error:
        return type(error).__name__
    except RouteNotFound:
        return "no route"
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        if not any(note.startswith("in ") for note in getattr(error, "__notes__", [])):
            raise
        return "a step failed"
    return "ran"


class TestBytes:
    def test_versions(self):
        """What is written as one version is no artifact of an older one"""
        for content in (compile(flows.small).to_bytes(), compile(flows.double(1)).to_bytes()):
            assert content[8:10] == b"\0\3"
            for other in (1, 2):
                with pytest.raises(LoadError):
                    loads(content[:8] + other.to_bytes(2, "big") + content[10:])

    def test_listings_say_where_jumps_lead(self):
        text = disassemble(compile(flows.states))
        assert "; 0: 'same' to part 0 (a, b, c), 'given' to part 2 (a, b, c), 'show' to part 4 (" in text
        assert "'end' ends" in text

    def test_equal_routes_share_a_blueprint(self):
        program = compile(flows.states)
        assert len({blueprint.cycle_id for blueprint in program.data.blueprints}) == len(program.data.blueprints)
        fails = [route for route in program.data.tables[0].routes if len(route.slots) == 1]
        assert len(fails) == 2
        first, second = (program.data.parts[route.plain] for route in fails)
        assert first.blueprint == second.blueprint

    @pytest.mark.parametrize("mask", [0x01, 0x02, 0x80, 0xFF])
    def test_every_byte_changed_and_sealed_again(self, mask):
        """P13"""
        content = compile(flows.bounded).to_bytes()
        assert behaves(content) == "ran"
        body = body_of(content)
        outcomes = set()
        for at in range(len(body)):
            damaged = bytearray(body)
            damaged[at] ^= mask
            outcomes.add(behaves(sealed(content, bytes(damaged))))
        assert {"LoadError", "VerifyError"} <= outcomes

    @pytest.mark.parametrize("seed", range(8))
    def test_changed_structure(self, seed):
        """P13: the parts and tables, above all"""
        content = compile(flows.bounded).to_bytes()
        rng = random.Random(seed)
        encoder = msgspec.msgpack.Encoder(order="deterministic")
        outcomes = set()
        for _ in range(400):
            tree = msgspec.msgpack.decode(body_of(content))
            for _ in range(rng.choice([1, 1, 2])):
                filled = [one for one in tree[3:] if type(one) is list and one]  # the literals of the entry, the parts, the tables
                mutate(rng.choice(filled) if filled and rng.random() < 0.7 else tree, rng)
            try:
                body = encoder.encode(tree)
            except (OverflowError, RecursionError, ValueError):
                continue
            outcomes.add(behaves(sealed(content, body)))
        assert "VerifyError" in outcomes

    def test_what_is_accepted_was_verified(self):
        program = loaded(flows.machine)
        verify(program)
        with pytest.raises(VerifyError, match="P7"):
            verify(Program(msgspec.structs.replace(program.data, parts=()), {}))

    def test_the_hash_covers_the_tables(self):
        content = compile(flows.small).to_bytes()
        assert content[24:56] == hashlib.blake2b(body_of(content), digest_size=32).digest()
        assert b"again" in body_of(content)
