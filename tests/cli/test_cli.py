"""The command line: every command, every exit code, every kind of error, for people and as JSON."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cascade_compiler.cli import documents, failures, main, output, parameters
from cascade_vm import assemble, disassemble, load
from cascade_vm.blueprint import Blueprint
from cascade_vm.codec import to_bytes
from cascade_vm.errors import InternalError
from cascade_vm.program import ProgramData

ROOT = Path(__file__).parents[2]

FLOWS = '''
import asyncio
import signal
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from cascade_compiler import Env, Param, compile, literal, run, task, workflow

class OwnError(Exception):
    pass

@dataclass
class Row:
    name: str
    price: Decimal

@task
async def fetch(day, limit):
    await asyncio.sleep(0)
    return [Row(f"{day}/{at}", Decimal(at)) for at in range(limit)]

@task
def total(rows):
    return {"sum": sum(row.price for row in rows), "rows": rows}

@workflow
def report(day: date, limit: int = 2):
    """A report."""
    return total(fetch(day, limit))

@task
def show(**given):
    print("from a task")
    return dict(sorted(given.items()))

@workflow
def containers(
    a: list[int] = [], b: dict[str, float] | None = None, c: str | list[str] = "", d: set[int] = set(), e: Row | None = None,
    f: tuple[int, str] = (0, ""), g: Any = None, h: int | list[int] = 0,
):
    return show(a=a, b=b, c=c, d=d, e=e, f=f, g=g, h=h)

@task
def price(row):
    return float(row["price"])

@workflow
def broken(rows: int = 3):
    return price({"prize": rows})

@task
async def chained(row):
    try:
        return await asyncio.wait_for(later(row), None)
    except KeyError as fault:
        raise OwnError("no price") from fault

async def later(row):
    return row["price"]

@workflow
def broken_async():
    return chained({})

@workflow
def no_item():
    return total([])["nothing"]

@task(pure=True)
def area(side):
    return side * side

@task
def plot(a, b, c):
    return {"a": a, "b": b, "c": c}

@workflow
def twins(side: int):
    return plot(area(side), area(side), area(4))

@task
def a_list(n):
    return [n] * n

nested_list = a_list(Param("n", int, 2))

@workflow
def uses_the_value(n: int = 1):
    if price(n):
        return price(n)

@workflow
def fails_when_traced():
    return {}["key"]

@workflow
def hidden_call(n: int = 1):
    return price(n, n, n)

@workflow
def constant():
    return 5

@workflow
def text():
    return literal("two\\nlines")

@workflow
def with_env():
    return show(home=Env("CASCADE_TEST_HOME", str, "none"))

@task
def going_on(n):
    return price(n, n)

@workflow
def bad_graph_later():
    return going_on(1)

@task
def inner():
    return run(price(Param("row")))

inner_run = inner()

@task
def interrupts():
    raise KeyboardInterrupt

interrupted = interrupts()

@task
def loop(n):
    if n == 3:
        signal.raise_signal(signal.SIGINT)
    return loop(n + 1)

endless = loop(0)

@task
async def waits_for_ever():
    asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
    await asyncio.Event().wait()

waiting = waits_for_ever()

@task
def exits():
    raise SystemExit(0)

exiting = exits()

class Refusing(Exception):
    def __str__(self):
        raise RuntimeError("no text")

@task
def refuses():
    raise Refusing

refusing = refuses()

@task
def give(value):
    return value

class Unshowable:
    def __repr__(self):
        raise ZeroDivisionError

unshowable = give(literal(Unshowable()))
in_an_object = give(literal(object()))
pair = [give(1), give(2)]
local = None

def make():
    @task
    def one():
        return 1
    return one()

local = make()

class Group:
    @workflow
    def nested(n: int = 4):
        return give(n)

number = 7
def plain():
    pass
'''

_numbers = count()


class Project:
    """A folder with one module of workflows; the tests run in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.module = f"flows_of_test_{os.getpid()}_{next(_numbers)}"
        self.capsys = capsys
        (folder / f"{self.module}.py").write_text(FLOWS)

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """(exit code, stdout, stderr); ``@`` at the start of a word stands for the module."""
        code = main([f"{self.module}:{word[1:]}" if word.startswith("@") else word for word in words])
        told = self.capsys.readouterr()
        return code, told.out, told.err

    def json(self, *words: str) -> tuple[int, Any]:
        """(exit code, document): stdout is exactly one JSON document."""
        code, out, _ = self(*words, "--json")
        assert out.count("\n") == 1
        return code, json.loads(out)

    def artifact(self, workflow: str = "report") -> str:
        code, _, err = self("compile", f"@{workflow}")
        assert (code, err) == (0, "")
        return f"{workflow}.cbp"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    monkeypatch.delenv("CASCADE_FULL_TRACEBACK", raising=False)
    made = Project(tmp_path, capsys)
    yield made
    for name in [name for name in sys.modules if name.startswith(made.module)]:
        del sys.modules[name]


# --- compile ----------------------------------------------------------------------------------------------------------


def test_compile_writes_the_artifact_and_tells_what_it_wrote(project: Project) -> None:
    code, out, err = project("compile", "@report")
    program = load("report.cbp")
    size = Path("report.cbp").stat().st_size
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"wrote report.cbp: {size:,} bytes",
        "  instructions  2",
        f"  cycle_id      {program.cycle_id}",
        "  inputs        day: date",
        "                limit: int = 2",
    ]


def test_compile_to_a_named_file_and_as_json(project: Project) -> None:
    Path("build").mkdir()
    code, told = project.json("compile", "@report", "-o", "build/x.cbp")
    program = load("build/x.cbp")
    assert code == 0
    assert told == {
        "path": "build/x.cbp",
        "bytes": Path("build/x.cbp").stat().st_size,
        "cycle_id": program.cycle_id,
        "instructions": 2,
        "blueprints": 1,
        "tasks": [f"{project.module}:fetch", f"{project.module}:total"],
        "inputs": [
            {"name": "day", "source": "param", "type": "date", "required": True},
            {"name": "limit", "source": "param", "type": "int", "required": False, "default": 2},
        ],
    }


def test_compile_tells_of_env_inputs_and_of_none(project: Project) -> None:
    assert "env CASCADE_TEST_HOME: str = 'none'" in project("compile", "@with_env")[1]
    assert "inputs        none" in project("compile", "@constant")[1]


def test_the_default_name_is_the_last_part_of_the_workflow(project: Project) -> None:
    assert project("compile", "@Group.nested")[0] == 0
    assert project("run", "nested.cbp") == (0, "4\n", "")


def test_a_lazy_result_and_a_container_compile(project: Project) -> None:
    assert project("compile", "@nested_list")[0] == 0
    assert project("run", "nested_list.cbp", "-p", "n=3") == (0, "[3, 3, 3]\n", "")
    assert project("compile", "@pair")[0] == 0
    assert project("run", "pair.cbp") == (0, "[1, 2]\n", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["@local"], "cannot be saved"),
        (["@in_an_object"], "cannot be stored in a program"),
        (["@hidden_call"], "too many positional arguments"),
        (["@report", "-o", "none/x.cbp"], "none/x.cbp: cannot be written: No such file or directory"),
        (["@report", "-o", "."], "is a folder: name the file, such as report.cbp"),
        (["some.cbp"], "some.cbp is an artifact: compile takes module:workflow"),
        ([], "requires an argument"),
    ],
)
def test_compile_refuses(project: Project, words: list[str], expected: str) -> None:
    code, out, err = project("compile", *words)
    assert (code, out) == (2, "")
    assert re.match(r"error(\[\w+(-\w+)?\])?: ", err)
    assert expected in err
    assert "Traceback" not in err
    assert not list(project.folder.glob("*.cbp*"))


def test_compile_errors_as_json_name_each_fault(project: Project) -> None:
    code, told = project.json("compile", "@local")
    assert code == 2
    assert told["error"]["type"] == "CompileError"
    assert told["error"]["exit_code"] == 2
    assert len(told["error"]["faults"]) == 1
    assert told["error"]["faults"][0] in told["error"]["message"]


# --- run --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["auto", "interpreter", "graph"])
def test_run_a_workflow_with_each_engine(project: Project, engine: str) -> None:
    code, out, err = project("run", "@report", "-p", "day=2026-01-31", "-p", "limit=1", "--engine", engine)
    row = "Row(name='2026-01-31/0', price=Decimal('0'))"
    assert (code, out, err) == (0, f"{{'sum': Decimal('0'), 'rows': [{row}]}}\n", "")


@pytest.mark.parametrize("options", [[], ["--engine", "interpreter"], ["--time-slice", "0"]])
def test_run_an_artifact(project: Project, options: list[str]) -> None:
    code, told = project.json("run", project.artifact(), "-p", "day=2026-01-31", *options)
    rows = [{"name": "2026-01-31/0", "price": "0"}, {"name": "2026-01-31/1", "price": "1"}]
    assert (code, told) == (0, {"result": {"sum": "1", "rows": rows}})


def test_an_artifact_runs_from_where_its_modules_are_found(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(Path(project.artifact("nested_list")).resolve())
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    del sys.modules[project.module]
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(project.folder)])
    code, _, err = project("run", path)
    assert code == 2
    assert f"No module named '{project.module}'" in err
    assert "the current folder" in err
    monkeypatch.syspath_prepend(project.folder)
    assert project("run", path) == (0, "[2, 2]\n", "")


def test_values_are_read_as_their_types_ask(project: Project) -> None:
    given = [
        "a=[1, 2]", 'b={"x": 1}', "c=plain text", "d=[3, 3]", 'e={"name": "n", "price": "1.5"}', 'f=[1, "one"]', "g=[1]", "h=5",
    ]  # fmt: skip
    words = [word for one in given for word in ("-p", one)]
    _, told = project.json("run", "@containers", *words)
    assert told["result"] == {
        "a": [1, 2], "b": {"x": 1.0}, "c": "plain text", "d": [3], "e": {"name": "n", "price": "1.5"}, "f": [1, "one"], "g": "[1]", "h": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"), [('c=["a"]', ["a"]), ("c=5", "5"), ("c=a=b", "a=b"), ("c=", ""), ("c=[1", "[1"), ("c=null", "null")]
)
def test_text_stays_text_where_a_union_takes_it(project: Project, given: str, expected: Any) -> None:
    assert project.json("run", "@containers", "-p", given)[1]["result"]["c"] == expected


def test_null_is_none_for_an_optional_container(project: Project) -> None:
    assert project.json("run", "@containers", "-p", "b=null")[1]["result"]["b"] is None


def test_bad_json_is_a_fault_beside_the_others(project: Project) -> None:
    code, told = project.json("run", "@containers", "-p", "a=1,2", "-p", "b={", "-p", "d=[true]", "-p", "nope=1")
    faults = told["error"]["faults"]
    assert (code, told["error"]["type"], len(faults)) == (2, "InputError", 4)
    assert faults[0].startswith("input 'a' (list[int]) is '1,2': not JSON (")
    assert "written as JSON: '[" in faults[0]
    assert faults[1].startswith("input 'b' (")
    assert """'{"a": 1}'""" in faults[1]
    assert faults[2].startswith("input 'd' is [True]: expected `int`")
    assert faults[3].startswith("unknown input 'nope'")


@pytest.mark.parametrize("target", ["@report", "report.cbp"])
def test_faults_of_inputs_come_together_with_the_usage(project: Project, target: str) -> None:
    project.artifact()
    code, out, err = project("run", target, "-p", "limit=x", "-p", "dya=1")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "error[I01]: 3 faults in the inputs:",
        "  input 'day' (date) is missing",
        "  input 'limit' is 'x': expected `int`, got `str`",
        "  unknown input 'dya'; did you mean 'day'?",
        "usage: -p day=<date> [-p limit=<int>]",
    ]


def test_inputs_for_what_takes_none(project: Project) -> None:
    code, _, err = project("run", "@constant", "-p", "x=1")
    assert code == 2
    assert err.endswith("it takes no inputs\n")


def test_malformed_parameters(project: Project) -> None:
    code, out, err = project("run", "@report", "-p", "day", "-p", "=3", "-p", "limit=1", "--param", "limit=2")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "error[U02]: 3 faults in the parameters:",
        "  -p day: expected name=value",
        "  -p =3: expected name=value",
        "  -p limit=2: 'limit' is given already, as '1'",
    ]
    assert project.json("run", "@report", "-p", "day")[1]["error"] == {
        "type": "UsageError", "message": "-p day: expected name=value", "faults": ["-p day: expected name=value"],
        "exit_code": 2, "code": "U02",
    }  # fmt: skip


def test_graph_mode_is_not_for_artifacts(project: Project) -> None:
    code, out, err = project("run", project.artifact(), "--engine", "graph", "-p", "day=2026-01-31")
    assert (code, out) == (2, "")
    assert "no graph to walk" in err
    assert "cascade run module:workflow --engine graph" in err


def test_allow(project: Project) -> None:
    path = project.artifact("nested_list")
    assert project("run", path, "--allow", "other", "--allow", project.module) == (0, "[2, 2]\n", "")
    code, out, err = project("run", path, "--allow", "other")
    assert (code, out) == (2, "")
    assert f"{project.module} is not among those allowed (other)" in err
    assert "what an artifact may import" in project("run", "@nested_list", "--allow", "other")[2]


def test_results_that_are_text_or_none_or_no_graph(project: Project) -> None:
    assert project("run", "@text") == (0, "two\nlines\n", "")
    assert project("run", "@constant") == (0, "5\n", "")
    assert project("run", "@constant", "--engine", "graph") == (0, "5\n", "")
    assert project.json("run", "@text") == (0, {"result": "two\nlines"})


def test_what_tasks_print_is_theirs_and_stays_out_of_json(project: Project) -> None:
    code, out, err = project("run", "@with_env")
    assert (code, out, err) == (0, "from a task\n{'home': 'none'}\n", "")
    code, out, err = project("run", "@with_env", "--json")
    assert (code, json.loads(out), err) == (0, {"result": {"home": "none"}}, "from a task\n")


def test_a_result_that_cannot_be_shown_is_said_to_be_so(project: Project) -> None:
    assert project("run", "@unshowable") == (0, "<a Unshowable; its repr raises ZeroDivisionError>\n", "")
    assert project.json("run", "@unshowable") == (0, {"result": "<Unshowable>"})


def test_a_bad_time_slice(project: Project) -> None:
    for given in ("nan", "-1", "abc"):
        code, _, err = project("run", "@constant", "--time-slice", given)
        assert code == 2
        assert "--time-slice" in err


# --- run: what fails ----------------------------------------------------------------------------------------------------


def test_a_task_that_raises_shows_the_users_own_frames(project: Project) -> None:
    project.artifact("broken")
    for target, options in (("@broken", ["--engine", "graph"]), ("@broken", []), ("broken.cbp", [])):
        code, out, err = project("run", target, *options)
        lines = err.splitlines()
        assert (code, out) == (1, "")
        assert lines[0] == "Traceback (most recent call last):"
        assert err.count("  File ") == 1
        assert 'return float(row["price"])' in err
        assert "KeyError: 'price'" in lines
        assert lines[-2].startswith(f"in task {project.module}.price, called at {project.module}.py:")
        assert lines[-1] == "  row = {'prize': 3}"


def test_frames_are_trimmed_through_causes_and_kept_between_the_users_own(project: Project) -> None:
    code, _, err = project("run", "@broken_async")
    assert code == 1
    assert "was the direct cause" in err
    assert "cascade_vm" not in err
    assert "cascade_compiler" not in err
    files = [line for line in err.splitlines() if line.startswith("  File ")]
    assert files[0].endswith("in chained")  # not the event loop's
    assert any("asyncio" in line and line.endswith("in wait_for") for line in files)  # the user's call into it
    assert f"{project.module}.OwnError: no price" in err


def test_a_run_within_a_task_shows_no_engine_either(project: Project) -> None:
    code, _, err = project("run", "@inner_run")
    assert code == 1  # an InputError, and yet a task raised it
    assert err.startswith("Traceback")
    assert "cascade_compiler/" not in err
    assert "InputError: 1 fault in the inputs" in err


def test_all_frames_on_demand(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASCADE_FULL_TRACEBACK", "1")
    code, _, err = project("run", "@broken")
    assert code == 1
    assert "cascade_vm" in err
    code, _, err = project("run", "nope.cbp")
    assert code == 2
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("error[L09]: nope.cbp")


def test_a_failing_step_without_frames_of_the_user(project: Project) -> None:
    code, _, err = project("run", "@no_item")
    assert code == 1
    assert err.splitlines()[0] == "KeyError: 'nothing'"
    assert err.splitlines()[1].startswith("in item ['nothing'], written at ")


def test_a_failed_task_as_json(project: Project) -> None:
    code, told = project.json("run", "@broken")
    error = told["error"]
    assert code == 1
    assert (error["type"], error["message"], error["faults"], error["exit_code"]) == ("KeyError", "'price'", [], 1)
    assert error["notes"][0].startswith("in task ")
    assert project.json("run", "@broken_async")[1]["error"]["type"] == f"{project.module}.OwnError"
    assert project.json("run", "@refusing")[1]["error"]["message"] == "<Refusing>"


def test_a_graph_that_goes_wrong_in_the_middle_of_a_run_is_a_failed_run(project: Project) -> None:
    code, _, err = project("run", "@bad_graph_later")
    assert "too many positional arguments" in err
    assert code == 1
    assert re.match(r"error(\[\w+(-\w+)?\])?: ", err)
    assert f"in task {project.module}.going_on, called at" in err


def test_interruptions_and_exits(project: Project) -> None:
    line = 1 + FLOWS.splitlines().index("interrupted = interrupts()")
    place = f"in task {project.module}.interrupts, called at {project.module}.py:{line}"
    assert project("run", "@interrupted") == (130, "", f"interrupted\n{place}\n")
    code, told = project.json("run", "@interrupted")
    assert (code, told["error"]["type"], told["error"]["exit_code"]) == (130, "KeyboardInterrupt", 130)
    code, out, err = project("run", "@exiting")
    assert (code, out) == (1, "")
    assert "SystemExit: 0" in err


def test_a_failure_while_the_graph_is_built_is_bad_input_with_the_users_traceback(project: Project) -> None:
    code, out, err = project("run", "@fails_when_traced")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {project.module}:fails_when_traced failed while its graph was built\nTraceback")
    assert err.count("  File ") == 1
    assert err.endswith("KeyError: 'key'\n")
    assert project.json("run", "@fails_when_traced")[1]["error"]["type"] == "KeyError"


def test_the_use_of_a_value_that_is_not_there_names_the_line(project: Project) -> None:
    code, _, err = project("run", "@uses_the_value")
    line = next(at for at, text in enumerate(FLOWS.splitlines(), 1) if text == "    if price(n):")
    assert code == 2
    assert "Traceback" not in err
    assert err.endswith(f"  used at {project.module}.py:{line}, in uses_the_value\n")


# --- targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("@reprot", "has no 'reprot'; did you mean report?"),
        ("@zzz", "has no 'zzz'"),
        ("@report.x", "has no 'report.x'"),
        ("@number", "is an object of type int: expected a workflow"),
        ("@plain", "put @workflow on the function"),
        ("@price", "is a task, not a workflow"),
        ("@", "neither an artifact"),
        ("no_such_module_at_all:x", "there is no module no_such_module_at_all"),
        ("collections.abd:x", "there is no module collections.abd; did you mean collections.abc?"),
        ("json.tool.deeper:x", "there is no module json.tool.deeper"),
        ("./flows.py:report", "modules are named with dots, not as paths: flows:report"),
        ("some words", "neither an artifact (there is no such file)"),
        ("flows", "perhaps flows:NAME"),
        ("", "neither an artifact"),
        ("nope.cbp", "nope.cbp: cannot be read: No such file or directory"),
    ],
)
@pytest.mark.parametrize("command", ["run", "dis"])
def test_targets_that_are_none(project: Project, command: str, target: str, expected: str) -> None:
    code, out, err = project(command, target)
    assert (code, out) == (2, "")
    assert expected in err
    assert "Traceback" not in err


def test_what_is_near_is_named(project: Project) -> None:
    project.artifact()
    assert "did you mean report.cbp?" in project("run", "repotr")[2]
    Path("my_own_module.py").write_text("")
    assert "did you mean my_own_module?" in project("run", "my_own_modul:x")[2]
    assert project("run", "my_own_module:x")[2] == "error[U02]: my_own_module:x: my_own_module has no 'x'\n"
    del sys.modules["my_own_module"]
    Path("one.py").write_text("from cascade_compiler import workflow\n@workflow\ndef only(): return 1\n")
    assert "has no 'x'; in it: only" in project("run", "one:x")[2]
    del sys.modules["one"]


def test_source_and_folders_are_no_artifacts(project: Project) -> None:
    Path("folder").mkdir()
    code, _, err = project("run", "folder")
    assert code == 2
    assert "folder: cannot be read: Is a directory" in err
    code, _, err = project("run", f"{project.module}.py")
    assert code == 2
    assert f"as {project.module}:NAME" in err


@pytest.mark.parametrize(
    ("source", "kind"), [("1 / 0", "ZeroDivisionError"), ("import no_such_thing", "ModuleNotFoundError"), ("def", "SyntaxError"),
                         ("raise SystemExit(0)", "SystemExit")],
)  # fmt: skip
def test_a_module_that_cannot_be_imported_shows_its_own_failure(project: Project, source: str, kind: str) -> None:
    Path("wrecked.py").write_text(source)
    code, told = project.json("run", "wrecked:x")
    assert (code, told["error"]["type"]) == (2, kind)
    _, _, err = project("run", "wrecked:x")
    assert err.startswith("error: the module wrecked cannot be imported\n")
    assert "wrecked.py" in err
    assert "importlib" not in err


def test_a_module_of_an_artifact_that_cannot_be_imported(project: Project) -> None:
    path = project.artifact("nested_list")
    del sys.modules[project.module]
    (project.folder / f"{project.module}.py").write_text("x = 1 / 0\n")
    code, _, err = project("run", path)
    assert code == 2
    assert err.startswith("error[K01]: 1 task of the program cannot be linked:\n")
    assert err.splitlines()[1].endswith("its module cannot be imported: ZeroDivisionError: division by zero")
    assert err.endswith("\nFor K01: install the package of the module, put its folder on the import path, or mend it\n")


def test_a_task_that_is_gone_is_a_link_error(project: Project) -> None:
    path = project.artifact("nested_list")
    assemble(disassemble(load(path)).replace(":a_list", ":b_list")).save("changed.cbp")
    code, told = project.json("run", "changed.cbp")
    assert (code, told["error"]["type"]) == (2, "LinkError")
    assert len(told["error"]["faults"]) == 1
    assert "no @task of that name" in told["error"]["faults"][0]


# --- dis and verify -----------------------------------------------------------------------------------------------------


def test_dis_lists_what_can_be_assembled_again(project: Project) -> None:
    path = project.artifact()
    code, out, err = project("dis", path)
    assert (code, err) == (0, "")
    assert out == disassemble(load(path))
    assert assemble(out).to_bytes()[:56] == Path(path).read_bytes()[:56]
    assert project("dis", "@report")[1] == out


def test_dis_as_json(project: Project) -> None:
    code, told = project.json("dis", project.artifact())
    blueprint = told["blueprints"][0]
    instructions = [one for strand in blueprint["strands"] for one in strand["instructions"]]
    assert code == 0
    assert [one["opcode"] for one in instructions] == ["spawn", "tail_call"]
    assert [one["pc"] for one in instructions] == [0, 1]
    assert blueprint["symbols"][0]["name"] == f"{project.module}:fetch"
    assert instructions[0]["at"].startswith(f"{project.module}.py:")
    assert instructions[0]["text"] in project("dis", "report.cbp")[1]
    assert project.json("dis", "@report")[1] == told
    constants = project.json("dis", "@pair")[1]["constants"]
    assert constants == [{"hex": "01", "repr": "1"}, {"hex": "02", "repr": "2"}]


def test_dis_shows_the_python_that_is_generated(project: Project) -> None:
    for target in (project.artifact(), "@report"):
        code, out, err = project("dis", target, "--generated")
        assert (code, err) == (0, "")
        first, second, whole = out.split("# blueprint ")[1:]
        assert first.endswith(", strand 0: interpreted, since the machine is to do spawn\n\n")
        assert ", strand 1\ndef strand(registers):\n" in second
        assert "total(r" in second
        assert ", all of it\nasync def chain(registers" in whole
        assert "await fetch(r" in whole
        compile(out, "<generated>", "exec")
    told = project.json("dis", "@report", "--generated")[1]
    assert [one["strand"] for one in told["generated"]] == [0, 1, None]
    assert told["generated"][2]["source"] in out
    assert told["blueprints"] == project.json("dis", "@report")[1]["blueprints"]


def test_what_needs_nothing_is_generated_as_a_whole(project: Project) -> None:
    out = project("dis", "@pair", "--generated")[1]
    assert "def run(**inputs):\n" in out
    assert "give(c0)" in out


def test_generating_imports_what_an_artifact_names_and_nothing_that_is_not_allowed(project: Project) -> None:
    path = project.artifact()
    code, out, err = project("dis", path, "--generated", "--allow", "other")
    assert (code, out) == (2, "")
    assert "is not among those allowed (other)" in err
    assert project("dis", path, "--generated", "--allow", project.module)[0] == 0
    assert "--allow is for --generated" in project("dis", path, "--allow", "other")[2]
    assert "--allow limits what an artifact may import" in project("dis", "@report", "--generated", "--allow", "other")[2]


def test_dis_shows_what_the_passes_do(project: Project) -> None:
    code, out, err = project("dis", "@twins", "--passes")
    assert (code, err) == (0, "")
    parts = dict(part.partition("\n")[::2] for part in out.rstrip("\n").split("\n\n"))
    assert list(parts) == [
        "graph as it was captured", "pass merge_twins", "pass forward_items changes nothing", "pass drop_dead changes nothing",
        "graph in the end",
    ]  # fmt: skip
    label = f"{project.module}.area"
    assert parts["graph as it was captured"].count(label) == 3
    assert f"  -%2 = call {label}(%0)" in parts["pass merge_twins"]
    assert parts["graph in the end"].count(label) == 2
    assert "   ; 4" in parts["graph in the end"]

    folded = project("dis", "@twins", "--passes", "--fold")[1]
    assert "pass fold\n" in folded
    assert label in folded
    assert "   ; 16" in folded.partition("graph in the end")[2]
    assert project("dis", "@report", "--passes")[1].count("changes nothing") == 3
    both = project("dis", "@twins", "--passes", "--generated")[1]
    assert both.startswith(out)
    assert "\n\n# blueprint " in both


def test_passes_as_json(project: Project) -> None:
    told = project.json("dis", "@twins", "--passes", "--fold")[1]
    assert [step["name"] for step in told["passes"]] == ["captured", "fold", "merge_twins", "forward_items", "drop_dead"]
    assert [bool(step["diff"]) for step in told["passes"]] == [False, True, True, False, True]
    assert told["constants"] == [{"hex": "10", "repr": "16"}]


@pytest.mark.parametrize("option", ["--passes", "--fold"])
def test_an_artifact_has_no_graph_for_the_passes(project: Project, option: str) -> None:
    code, out, err = project("dis", project.artifact(), option)
    assert (code, out) == (2, "")
    assert f"{option}: an artifact has no graph any more" in err
    assert f"cascade dis module:workflow {option}" in err


def test_compile_folds_where_it_is_told_to(project: Project) -> None:
    plain = project.json("compile", "@twins", "-o", "plain.cbp")[1]
    folded = project.json("compile", "@twins", "-o", "folded.cbp", "--fold")[1]
    assert (plain["instructions"], folded["instructions"]) == (3, 2)
    assert plain["cycle_id"] == folded["cycle_id"]
    for path in ("plain.cbp", "folded.cbp"):
        assert project("run", path, "-p", "side=3", "--engine", "codegen")[1] == "{'a': 9, 'b': 9, 'c': 16}\n"


def test_verify(project: Project) -> None:
    first, second = project.artifact(), project.artifact("constant")
    code, out, err = project("verify", first, second)
    assert (code, err) == (0, "")
    assert [line.split("   ")[0] for line in out.splitlines()] == ["report.cbp: ok", "constant.cbp: ok"]
    assert load(first).cycle_id[:12] in out


def test_looking_at_an_artifact_imports_nothing(project: Project) -> None:
    path = project.artifact()
    del sys.modules[project.module]
    assert project("verify", path)[0] == project("dis", path)[0] == 0
    assert project.module not in sys.modules


def damage(path: str) -> dict[str, str]:
    """Bad artifacts, and what is said of each."""
    good = Path(path).read_bytes()
    made = {
        "empty.cbp": (b"", "no Cascade artifact"),
        "cut.cbp": (good[:-60], "cut short"),
        "shorter.cbp": (good[:80], "cut short"),
        "start.cbp": (good[:20], "cut short"),
        "flipped.cbp": (good[:100] + bytes([good[100] ^ 1]) + good[101:], "damaged"),
        "text.cbp": (b"hello", "no Cascade artifact"),
        "newer.cbp": (good[:9] + b"\x63" + good[10:], "version 99 of the container format"),
    }
    for name, (content, _) in made.items():
        Path(name).write_bytes(content)
    return {name: said for name, (_, said) in made.items()}


def test_bad_artifacts_are_bad_input_everywhere(project: Project) -> None:
    for name, said in damage(project.artifact()).items():
        for command in ("run", "dis", "verify"):
            code, out, err = project(command, name)
            assert (code, out) == (2, "")
            assert re.match(rf"error\[L\d\d\]: {name}: ", err)
            assert said in err
            assert "Traceback" not in err


def test_verify_checks_all_and_tells_each(project: Project) -> None:
    good = project.artifact()
    bad = damage(good)
    code, out, err = project("verify", *bad, good, "gone.cbp")
    assert code == 2
    assert out.startswith("report.cbp: ok")
    assert len(err.splitlines()) == len(bad) + 1
    code, told = project.json("verify", "cut.cbp", good)
    assert code == 2
    assert [(one["path"], one["ok"]) for one in told["artifacts"]] == [("cut.cbp", False), ("report.cbp", True)]
    assert told["artifacts"][0]["error"]["type"] == "LoadError"
    assert told["error"]["faults"] == [told["artifacts"][0]["error"]["message"]]
    assert told["error"]["exit_code"] == 2
    assert "error" not in project.json("verify", good)[1]


def test_code_that_breaks_a_rule_is_told_with_the_path(project: Project) -> None:
    data = load(project.artifact()).data
    fields = {name: getattr(data.blueprints[0], name) for name in data.blueprints[0].__struct_fields__}
    broken = Blueprint(**fields | {"registers": 0})
    Path("broken.cbp").write_bytes(to_bytes(ProgramData(data.entry, (broken,), data.constants, data.literals, data.inputs), {}))
    for command in ("verify", "dis", "run"):
        code, _, err = project(command, "broken.cbp")
        assert code == 2
        assert err.startswith("error[V-B1]: broken.cbp: 4 faults in the code:\n")
        assert "B1: " in err
    code, told = project.json("run", "broken.cbp")
    assert (code, told["error"]["type"]) == (2, "VerifyError")
    assert any(fault.startswith("B1: ") for fault in told["error"]["faults"])


# --- usage ------------------------------------------------------------------------------------------------------------


def test_help_tells_all(project: Project) -> None:
    code, out, err = project("--help")
    assert (code, err) == (0, "")
    for said in ("compile", "run", "dis", "verify", "--version", "Exit codes: 0 done"):
        assert said in out
    wanted = {
        "compile": ("--output", "-o", "--fold", "--json"),
        "run": ("--param", "-p", "--engine", "--time-slice", "--allow", "--json", "graph"),
        "dis": ("--json", "--generated", "--passes", "--fold", "--allow"), "verify": ("--json",),
    }  # fmt: skip
    for command, options in wanted.items():
        code, out, err = project(command, "--help")
        assert (code, err) == (0, "")
        assert "Examples:" in out
        assert all(option in out for option in options)
        assert max(map(len, out.splitlines())) <= 80
        assert set(re.findall(r"--(?:no|empty)-[\w-]+", out)) == ({"--no-progress", "--no-input"} if command == "run" else set())


def test_version(project: Project) -> None:
    code, out, err = project("--version")
    assert (code, err) == (0, "")
    assert out.startswith("cascade-vm ")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "a command is missing"),
        (["rnu"], 'unknown command "rnu". Did you mean "run"? There are compile, debug, '),
        (["run"], "requires an argument"),
        (["run", "x.cbp", "--jsn"], "--jsn"),
        (["run", "x.cbp", "--engine", "grph"], "--engine"),
        (["run", "x.cbp", "--engine", "generated"], "--engine"),
        (["dis", "x.cbp", "y.cbp"], "y.cbp"),
        (["verify"], "verify needs an artifact"),
    ],
)
def test_bad_usage(project: Project, words: list[str], expected: str) -> None:
    code, out, err = project(*words)
    assert (code, out) == (2, "")
    assert re.match(r"error(\[\w+(-\w+)?\])?: ", err)
    assert expected in err
    assert "--help" in err
    assert len(err.splitlines()) == 1
    if words:
        code, told = project.json(*words)
        assert (code, told["error"]["type"], told["error"]["exit_code"]) == (2, "UsageError", 2)


def test_without_the_libraries(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cyclopts", None)
    code, out, err = project("verify", "x.cbp")
    assert (code, out) == (2, "")
    assert err == "cascade: the command line needs libraries that are not installed: pip install 'cascade-vm[cli]'\n"


def test_a_bug_of_ours_shows_everything() -> None:
    with pytest.raises(InternalError) as raised:
        raise InternalError("impossible; please report")
    assert failures.exit_code(raised.value) == 1
    assert failures.text(raised.value).startswith("Traceback")
    assert failures.text(raised.value).endswith("error[X01]: impossible; please report")


# --- units --------------------------------------------------------------------------------------------------------------


def test_values_that_json_cannot_hold() -> None:
    import dataclasses
    import datetime
    import enum

    class Color(enum.Enum):
        RED = "red"

    @dataclasses.dataclass
    class Point:
        x: float
        tags: set[str]

    odd = object()
    loop: list[Any] = []
    loop.append(loop)
    given = {
        "tuple": (1, None), "set": {"b", "a"}, "frozen": frozenset({2, 1}), "nan": float("nan"), "inf": float("-inf"), "big": 2**80,
        "date": datetime.date(2026, 1, 31), "bytes": b"ab", "enum": Color.RED, "point": Point(float("inf"), {"b", "a"}),
        "object": odd, "complex": 1j, 1: "int key", (1, 2): "tuple key", datetime.date(2026, 1, 1): "date key", None: "none key",
        "clash": {1: "a", "1": "b"}, "surrogate": "\ud800",
    }  # fmt: skip
    told = json.loads(json.dumps(documents.of_value(given), allow_nan=False))
    assert told == {
        "tuple": [1, None], "set": ["a", "b"], "frozen": [1, 2], "nan": "nan", "inf": "-inf", "big": 2**80,
        "date": "2026-01-31", "bytes": "YWI=", "enum": "red", "point": {"x": "inf", "tags": ["a", "b"]},
        "object": repr(odd), "complex": "1j", "1": "int key", "[1, 2]": "tuple key", "2026-01-01": "date key", "null": "none key",
        "clash": "{1: 'a', '1': 'b'}", "surrogate": "\ud800",
    }  # fmt: skip
    assert isinstance(documents.of_value(loop), str)


def test_usage_line() -> None:
    assert parameters.usage([]) == "it takes no inputs"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_values_listings_and_errors_are_coloured(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    project.artifact()
    for words in (["run", "@constant"], ["dis", "report.cbp"], ["verify", "report.cbp"], ["run", "nope.cbp"], ["run", "@broken"]):
        out, err = Terminal(), Terminal()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", out)
            patched.setattr(sys, "stderr", err)
            main([f"{project.module}:{word[1:]}" if word.startswith("@") else word for word in words])
        assert "\x1b[" in out.getvalue() + err.getvalue()
    out = Terminal()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", out)
        assert main(["verify", "report.cbp", "--json"]) == 0
    assert "\x1b[" not in out.getvalue()
    assert out.getvalue().count("\n") > 1  # indented, for the person there


def test_a_stream_that_cannot_encode_the_text_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    output.say("y=…")
    assert raw.getvalue() == b"y=\\u2026\n"
    monkeypatch.setattr(sys, "stdout", None)
    output.say("nobody listens")
    output.finish()


# --- processes ----------------------------------------------------------------------------------------------------------


def cascade(folder: Path, *words: str, module: str = "cascade_compiler", **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error", "-m", module, *words]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        **{"capture_output": True, "timeout": 60} | options,
    )


@pytest.mark.parametrize("module", ["cascade_compiler", "cascade_compiler.cli"])
def test_as_a_process(project: Project, module: str) -> None:
    name = project.module
    made = cascade(project.folder, "compile", f"{name}:report", module=module)
    assert (made.returncode, made.stderr) == (0, "")
    if module == "cascade_compiler.cli":  # it is the same from here on
        return
    ran = cascade(project.folder, "run", "report.cbp", "-p", "day=2026-01-31", "-p", "limit=0", module=module)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "{'sum': 0, 'rows': []}\n", "")
    failed = cascade(project.folder, "run", f"{name}:broken", module=module)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "cascade_compiler" not in failed.stderr
    assert cascade(project.folder, "run", "nope.cbp", module=module).returncode == 2


def test_the_same_artifact_from_every_process(project: Project) -> None:
    cascade(project.folder, "compile", f"{project.module}:report", "-o", "there.cbp")
    assert (project.folder / "there.cbp").read_bytes() == (project.folder / project.artifact()).read_bytes()


def test_a_reader_that_goes_away_is_no_failure(project: Project) -> None:
    project.artifact()
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = cascade(project.folder, "dis", "report.cbp", capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("flow", ["endless", "waiting"])
@pytest.mark.parametrize("engine", ["auto", "graph"])
def test_ctrl_c_ends_a_run_at_once(project: Project, flow: str, engine: str) -> None:
    ran = cascade(project.folder, "run", f"{project.module}:{flow}", "--engine", engine)
    lines = ran.stderr.splitlines()
    assert (ran.returncode, ran.stdout, lines[0]) == (130, "", "interrupted")
    if flow == "endless":
        assert lines[1].startswith(f"in task {project.module}.loop, called at ")
        assert lines[2:] == ["  n = 3"]
    elif engine == "auto":
        line = 1 + FLOWS.splitlines().index("waiting = waits_for_ever()")
        assert lines[1:] == [f"in {project.module}.waits_for_ever, called at {project.module}.py:{line}"]
    else:
        assert lines[1:] == []  # graph mode does not tell


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_output_that_cannot_be_written_is_a_failure(project: Project) -> None:
    project.artifact()
    with open("/dev/full", "w") as full:
        ran = cascade(project.folder, "dis", "report.cbp", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (ran.returncode, ran.stderr) == (1, "error[U03]: the output cannot be written: No space left on device\n")


def test_importing_cascade_imports_none_of_it() -> None:
    code = (
        "import sys, cascade_compiler, cascade_vm, cascade_compiler.cli;"
        "print([m for m in ('cyclopts', 'rich', 'cascade_compiler.cli.commands') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout == "[]\n"
