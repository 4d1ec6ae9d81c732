"""Programs: compiled here, saved, loaded, linked and run elsewhere."""

from __future__ import annotations

import collections
import datetime
import decimal
import functools
import json
import operator
import os
import threading
import types
import uuid
from typing import Any

import artifact_flows as flows
import pytest
from elsewhere import python

from cascade_compiler import CompileError, InputError, Param, compile, cycle_id, run, task
from cascade_vm import CascadeError, LoadError, assemble, disassemble, load, loads, verify

DAY = datetime.date(2026, 1, 31)


@pytest.fixture(scope="module")
def small() -> bytes:
    return compile(flows.small).to_bytes()


@pytest.fixture(scope="module")
def rich() -> bytes:
    return compile(flows.rich).to_bytes()


# --- the way from here to there ---------------------------------------------------------------------------------------


class TestAnotherProcess:
    def test_saved_here_and_run_there(self, tmp_path):
        path = tmp_path / "small.cbp"
        compile(flows.small).save(path)
        code = "import sys\nfrom cascade_vm import load\nprint(load(sys.argv[1]).run(x='5'))"
        assert python(code, str(path)) == "((10, ['d', {'k': (5,)}]), {'k': 4})\n"

    def test_a_rich_program_there(self, tmp_path):
        """All kinds of steps, also a loop and a nested graph, whose shapes are compiled there"""
        path = tmp_path / "rich.cbp"
        compile(flows.rich).save(path)
        code = "import sys\nfrom cascade_vm import load\nr = load(sys.argv[1]).run(day='2026-01-31', tags=['t'])\n"
        code += "print(sorted(r), r['items'], r['nested'], r['loop'], r['shared'][0] is r['shared'][1])"
        out = python(code, str(path))
        assert "(datetime.date(2026, 1, 31), [6, ['t']]) ((3,), {}) end True" in out

    def test_the_machine_alone_runs_it(self, tmp_path):
        """cascade_vm knows nothing of the compiler until the module of the tasks imports it"""
        path = tmp_path / "small.cbp"
        compile(flows.small).save(path)
        code = (
            "import sys\nfrom cascade_vm import load, verify, disassemble\n"
            "p = load(sys.argv[1]); verify(p); disassemble(p); p.inputs\n"
            "print(sorted(m for m in sys.modules if m.startswith(('cascade_compiler', 'artifact'))), 'asyncio' in sys.modules)"
        )
        assert python(code, str(path)).startswith("[]")

    @pytest.mark.parametrize("name", ["small", "rich"])
    def test_the_same_bytes_each_time(self, name):
        assert len({compile(getattr(flows, name)).to_bytes() for _ in range(5)}) == 1

    def test_loading_imports_nothing_and_runs_nothing(self, tmp_path):
        """load, verify, disassemble and inputs; linking imports"""
        path, marker = tmp_path / "small.cbp", tmp_path / "marker"
        compile(flows.small).save(path)
        code = (
            "import sys\nfrom cascade_vm import load, verify, disassemble\n"
            "p = load(sys.argv[1]); verify(p); disassemble(p); p.symbols; repr(p.inputs)\n"
            "assert not hasattr(sys, 'artifact_flows_imported')\np.link()\nassert sys.artifact_flows_imported"
        )
        python(code, str(path), ARTIFACT_FLOWS_MARKER=str(marker))
        assert marker.read_text() == "imported\n"

    def test_a_note_says_where_the_call_was_written(self, tmp_path):
        """S15: also for loaded artifacts, by the source map"""
        program = loads(compile(flows.failing).to_bytes())
        with pytest.raises(ValueError, match="4") as caught:
            program.run(x=4)
        (note,) = caught.value.__notes__
        assert "artifact_flows.fail" in note
        assert "artifact_flows.py:" in note
        assert "x = 4" in note


class TestLoadedPrograms:
    def test_all_that_was_known_is_known(self, small):
        ours, theirs = compile(flows.small), loads(small)
        assert theirs.cycle_id == ours.cycle_id
        assert list(theirs.blueprints) == list(ours.blueprints)
        assert theirs.blueprints == ours.blueprints
        assert [(i.name, i.type, i.default, i.required, i.source) for i in theirs.inputs.values()] == [
            (i.name, i.type, i.default, i.required, i.source) for i in ours.inputs.values()
        ]
        assert theirs.symbols == ours.symbols
        assert theirs.to_bytes() == small
        assert disassemble(theirs) == disassemble(ours)

    def test_the_listing_can_be_assembled(self, small, rich):
        """P12, in text"""
        for content in (small, rich):
            text = disassemble(loads(content))
            assert disassemble(assemble(text)) == text
            verify(assemble(text))

    def test_inputs_are_checked_there_too(self, rich):
        """S20: types and defaults survive"""
        program = loads(rich)
        with pytest.raises(InputError) as caught:
            program.run(rate="x", tags=[1], limit="y", other=1)
        assert len(caught.value.faults) == 5
        result = program.run(day="2026-01-31", rate="1.5")
        assert result["shared"][0][0] == (DAY, decimal.Decimal("1.5"))
        result = program.run(day=DAY)
        assert result["shared"][0][0] == (DAY, decimal.Decimal("0.5"))

    def test_it_gives_what_the_graph_gives(self, rich, monkeypatch):
        monkeypatch.setenv("ARTIFACT_FLOWS_ENV", "12")
        given = {"day": DAY, "tags": ["t"], "limit": 5}
        expected = run(flows.rich, given)
        assert loads(rich).run(**given) == expected
        assert compile(flows.rich).run(**given) == expected
        assert expected["env"] == 12
        assert expected["tools"] == [("inner", 1), 2]

    def test_mutable_constants_are_fresh_for_each_run(self, rich):
        """S4"""
        for program in (loads(rich), compile(flows.rich)):
            assert [program.run(day=DAY, limit=n)["held"] for n in (1, 2)] == [[1], [2]]

    def test_mutable_defaults_are_fresh_for_each_run(self):
        """S4, S20: what one run does to a default no other run sees"""
        content = compile(flows.append(Param("items", list, []), 1)).to_bytes()
        program = loads(content)
        assert [program.run() for _ in range(3)] == [[1]] * 3

    def test_a_mutable_constant_in_two_places_is_one_object(self):
        """S4: as in the graph"""
        held = [1]
        graph = flows.collect(held, [held, flows.double(1)], [1])
        for program in (compile(graph), loads(compile(graph).to_bytes())):
            (first, (second, _), third), _ = program.run()
            assert first is second
            assert third is not first

    def test_links_once_and_runs_often(self, small):
        program = loads(small)
        assert [program.run(x=n)[0][0] for n in range(5)] == [0, 2, 4, 6, 8]
        linked = program.link(engine="interpreter", time_slice=0)
        assert linked.run(x=1)[0][0] == 2

    def test_unknown_engines_and_slices(self, small):
        with pytest.raises(ValueError, match="engine"):
            loads(small).link(engine="warp")
        with pytest.raises(ValueError, match="time_slice"):
            loads(small).link(time_slice=-1)

    def test_names_of_inputs_are_free(self):
        """Keywords of run are inputs and nothing else"""
        names = ["engine", "capacity", "params", "time_slice", "inputs", "program", "self", "target"]
        graph = flows.collect(*(Param(name, int) for name in names))
        given = {name: n for n, name in enumerate(names)}
        for program in (compile(graph), loads(compile(graph).to_bytes())):
            assert program.run(**given)[0] == tuple(range(len(names)))

    def test_a_target_that_is_no_call(self):
        """A list, an input, a constant, an item"""
        for graph, expected in (
            ([1, flows.double(2)], [1, 4]), (Param("x", int, 3), 3), ({"k": Param("x", int, 3)}, {"k": 3}), ([1, 2], [1, 2]),
            (flows.collect(5)[0], (5,)),
        ):  # fmt: skip
            assert loads(compile(graph).to_bytes()).run() == expected


# --- constants --------------------------------------------------------------------------------------------------------


CONSTANTS: list[Any] = [
    None, True, False, 0, 1, -1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**100, -(10**100), 0.0, -0.0, 1.5,
    float("inf"), float("-inf"), 5e-324, "", "text", "é\u0000\n", b"", b"\xff", (), (1,), (1, (2, [3])), [], [[]], [1, "a",
    None], {}, {"k": 1},
    {1: "int", "1": "text", True if False else 2.0: 3}, {(1, 2): [3]}, {None: None}, set(), {1, 2}, {"a", "b", "c"}, frozenset(),
    frozenset([frozenset([1]), frozenset([2])]), {(1, "a"), (2, "b")}, decimal.Decimal("1.10"), decimal.Decimal("NaN"),
    decimal.Decimal("-0"),
    decimal.Decimal("1E+5"), 1 + 2j, complex(-0.0, float("inf")), ..., range(3), range(0, 10, -3), slice(1, None, 2),
    bytearray(b"x"),
    datetime.date(2026, 1, 31), datetime.datetime(2026, 1, 31, 12, 30, 1, 5), datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC),
    datetime.datetime(2026, 10, 25, 2, 30, fold=1), datetime.time(12, 30), datetime.timedelta(days=-1, microseconds=3),
    datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(minutes=-90))), uuid.UUID(int=5), ["list"],
    ["tuple", 1], ("dict",),
    {"list": ["int", "5"]}, ["Decimal", "1"], datetime.datetime.max, datetime.date.min, 1e308, "\ud83d\ude00".encode("utf-16",
    "surrogatepass").decode("utf-16"),
]  # fmt: skip


def exactly(left: Any, right: Any) -> bool:
    """Equal with types, signs and order."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(exactly, left, right))
    if isinstance(left, dict):
        return exactly(list(left.items()), list(right.items()))
    if isinstance(left, (set, frozenset)):
        return left == right and sorted(map(repr, left)) == sorted(map(repr, right))
    return repr(left) == repr(right) and getattr(left, "fold", 0) == getattr(right, "fold", 0)


class TestConstants:
    @pytest.mark.parametrize("value", [*CONSTANTS, float("nan")], ids=lambda value: type(value).__name__)
    def test_round_trip_with_their_types(self, value):
        """P12: type-exact, also inside containers and as keys"""
        for graph in (
            flows.collect(value),
            flows.collect([value, flows.double(1)]),
            flows.collect(k=(value,)),
            flows.collect({"k": [value]}),
        ):
            expected = compile(graph).run()
            again = loads(compile(graph).to_bytes())
            assert exactly(again.run(), expected)
            assert exactly(again.run(), run(graph))
            assert again.to_bytes() == compile(graph).to_bytes()

    def test_equal_constants_of_different_types_stay_apart(self):
        """The pool merges what is identical in value and type, nothing else"""
        values = [
            1,
            True,
            1.0,
            1 + 0j,
            decimal.Decimal(1),
            "1",
            b"1",
            0,
            False,
            0.0,
            -0.0,
            (1,),
            [1],
            (True,),
            (1.0,),
            frozenset([1]),
            frozenset([True]),
        ]
        got = loads(compile(flows.collect(*values)).to_bytes()).run()[0]
        assert [exactly(*pair) for pair in zip(got, values, strict=True)] == [True] * len(values)

    @pytest.mark.parametrize(
        "value",
        [object(), lambda: 1, int, threading.Lock(), json, ValueError("x"), (object(),), [1, {"k": object()}],
         {1: {2: [print]}}, flows.Tools(),
         memoryview(b"x"), types.SimpleNamespace(), iter([]), type("Int", (int,), {})(1), type("Text", (str,), {})("x"), float,
         "\ud800",
         datetime.datetime(2026, 1, 1, tzinfo=type("Z", (datetime.tzinfo,), {"utcoffset": lambda *_: None})())],
        ids=lambda value: type(value).__name__,
    )  # fmt: skip
    def test_what_cannot_be_stored_is_refused_with_its_path(self, value):
        """A compile error that names the argument's path and says to make it a Param"""
        with pytest.raises(CompileError, match=r"artifact_flows\.collect\.args\[1\].*[Pp]aram"):
            compile(flows.collect(1, value))
        with pytest.raises(CompileError, match=r"artifact_flows\.collect\.kwargs\['k'\].*[Pp]aram"):
            compile(flows.collect(1, k=value))

    def test_paths_lead_into_containers(self):
        thing = object()
        for graph, path in (
            (flows.collect({"rows": [0, 1, thing]}), r"collect.args[0]['rows'][2]"),
            (flows.collect({"rows": [0, flows.double(1), thing]}), r"collect.args[0]['rows'][2]"),
            (flows.collect(k=[flows.double(1), (0, {"x": thing})]), r"collect.kwargs['k'][1][1]['x']"),
            (flows.double(flows.collect(1, thing)), r"collect.args[1]"),
        ):
            with pytest.raises(CompileError) as caught:
                compile(graph)
            assert path in str(caught.value)

    def test_containers_that_contain_themselves(self):
        ring: list[Any] = []
        ring.append(ring)
        with pytest.raises(CompileError, match=r"args\[0\]"):
            compile(flows.collect(ring))

    def test_deep_constants(self):
        deep: Any = 1
        for _ in range(10_000):
            deep = [deep]
        with pytest.raises(CompileError, match=r"args\[0\]"):
            compile(flows.collect(deep))

    def test_a_namedtuple_is_named(self):
        """An error says what the user wrote: the class, not 'a type'"""
        point = collections.namedtuple("Point", "x y")
        with pytest.raises(CompileError, match="Point"):
            compile(flows.collect(point(1, 2)))
        with pytest.raises(CompileError, match="Point"):
            compile(flows.collect(point(1, flows.double(2))))


# --- saving -----------------------------------------------------------------------------------------------------------


def a_local_task():
    @task
    def local(x):
        return x

    return local


class TestSaving:
    def test_tasks_that_no_other_process_could_find(self):
        """They run here; saving refuses them by name"""
        anonymous = task(lambda x: x)
        for one, name in ((anonymous, "lambda"), (a_local_task(), "local")):
            program = compile([one(1), flows.double(one(2))])
            assert program.run() == [1, 4]
            with pytest.raises(CompileError, match=f"cannot be saved(.|\n)*{name}"):
                program.to_bytes()

    @pytest.mark.parametrize(("name", "shown"), [("spoken", "'two words'"), ("parted", "'a:b'")])
    def test_names_that_no_artifact_can_hold(self, name, shown):
        program = compile(getattr(flows, name)())
        assert program.run() == 1
        with pytest.raises(CompileError, match=f"has the name {shown}, which no artifact can hold"):
            program.to_bytes()

    def test_all_of_them_in_one_error(self, tmp_path):
        program = compile([task(lambda x: x)(1), a_local_task()(2), Param("p", flows.Tools, 1)])
        path = tmp_path / "x.cbp"
        with pytest.raises(CompileError) as caught:
            program.save(path)
        for part in ("lambda", "local", "'p'"):
            assert part in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    def test_defaults_that_cannot_be_stored(self):
        program = compile(flows.collect(Param("p", default=object)))
        assert program.run()[0] == (object,)
        with pytest.raises(CompileError, match="'p'"):
            program.to_bytes()

    def test_a_callable_of_a_module_that_is_no_function(self):
        """A partial or a builtin made into a task has no name of its own in a module"""
        for made in (task(functools.partial(max, 1)), task(operator.itemgetter(0)), task(len)):
            with pytest.raises(CompileError, match="cannot be saved"):
                compile(made([1])).to_bytes()

    def test_save_replaces_whole(self, tmp_path, small):
        path = tmp_path / "small.cbp"
        path.write_bytes(b"old")
        compile(flows.small).save(path)
        assert path.read_bytes() == small
        assert list(tmp_path.iterdir()) == [path]

    def test_a_failing_save_leaves_what_was_there(self, tmp_path, monkeypatch):
        """Atomic: a crash while writing, flushing or renaming"""
        path = tmp_path / "small.cbp"
        path.write_bytes(b"old")
        for name in ("fsync", "replace"):

            def crash(*_):
                raise OSError("disk on fire")

            with monkeypatch.context() as patch:
                patch.setattr(os, name, crash)
                with pytest.raises(OSError, match="disk on fire"):
                    compile(flows.small).save(path)
            assert path.read_bytes() == b"old"
            assert list(tmp_path.iterdir()) == [path]

    def test_two_writers(self, tmp_path, small):
        """Readers see the one or the other, whole"""
        path = tmp_path / "small.cbp"
        program, other = compile(flows.small), compile(flows.failing)
        allowed = {small, other.to_bytes()}
        path.write_bytes(small)
        failures: list[BaseException] = []

        def write(one):
            try:
                for _ in range(20):
                    one.save(path)
            except BaseException as error:
                failures.append(error)

        writers = [threading.Thread(target=write, args=(one,)) for one in (program, other, program, other)]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            assert path.read_bytes() in allowed
        assert failures == []
        assert list(tmp_path.iterdir()) == [path]

    def test_paths_as_text_and_as_path(self, tmp_path):
        program = compile(flows.small)
        program.save(str(tmp_path / "a.cbp"))
        program.save(tmp_path / "b.cbp")
        assert load(str(tmp_path / "a.cbp")).cycle_id == load(tmp_path / "b.cbp").cycle_id == cycle_id(flows.small)

    def test_saving_into_nowhere(self, tmp_path):
        with pytest.raises(OSError, match="nowhere"):
            compile(flows.small).save(tmp_path / "nowhere" / "x.cbp")


class TestFiles:
    def test_a_missing_file(self, tmp_path):
        with pytest.raises(LoadError, match=r"nothing\.cbp"):
            load(tmp_path / "nothing.cbp")

    def test_a_directory(self, tmp_path):
        with pytest.raises(LoadError, match=str(tmp_path.name)):
            load(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
    def test_a_fifo(self, tmp_path):
        """Not waited for"""
        path = tmp_path / "pipe.cbp"
        os.mkfifo(path)
        with pytest.raises(LoadError, match="not a regular file"):
            load(path)

    @pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no devices here")
    def test_a_device(self):
        for device in ("/dev/zero", "/dev/null"):
            with pytest.raises(LoadError, match="not a regular file"):
                load(device)

    def test_a_name_with_a_null(self):
        with pytest.raises(LoadError):
            load("a\0b")

    def test_an_empty_file_and_a_text(self, tmp_path):
        for content in ("", "hello", "{}"):
            path = tmp_path / "x.cbp"
            path.write_text(content)
            with pytest.raises(LoadError, match=r"x\.cbp"):
                load(path)

    def test_a_file_that_was_transferred_as_text(self, tmp_path, small):
        path = tmp_path / "x.cbp"
        for content in (small.replace(b"\r\n", b"\n"), small.replace(b"\n", b"\r\n")):
            path.write_bytes(content)
            with pytest.raises(LoadError, match=r"line ends|binary"):
                load(path)

    def test_a_link_to_a_file(self, tmp_path, small):
        (tmp_path / "real.cbp").write_bytes(small)
        (tmp_path / "link.cbp").symlink_to(tmp_path / "real.cbp")
        assert load(tmp_path / "link.cbp").run(x=1)[0][0] == 2

    def test_a_file_that_is_too_large(self, tmp_path):
        path = tmp_path / "x.cbp"
        with open(path, "wb") as file:
            file.truncate(17 * 1024 * 1024)
        with pytest.raises(LoadError, match="limit"):
            load(path)

    def test_errors_are_cascade_errors(self, tmp_path):
        with pytest.raises(CascadeError):
            load(tmp_path / "nothing.cbp")
