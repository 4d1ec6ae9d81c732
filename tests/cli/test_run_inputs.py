"""The inputs of ``cascade run``: from a file, by prompt, and what --help says of them; --events and --capacity."""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_run_progress import Terminal

from cascade_compiler import compile, descriptions, workflow
from cascade_compiler.cli import main, prompting
from cascade_vm import events, load, loads
from cascade_vm.container import content_hash

FLOWS = '''
from datetime import date
from cascade_compiler import Env, Param, task, workflow

@task
def show(**given):
    return given

@workflow
def report(day: date, names: list[str], limit: int = 2, note: str = "none"):
    """A report of one day.

    It is long.

    :param day: which day
        to report on
    :param int limit: how many rows,
        at most

        More about it.
    :param missing: is no input
    :param note:
    :returns: a dict
    """
    return show(day=day, names=names, limit=limit, note=note, home=Env("RUN_INPUTS_HOME", str, "home"))

@workflow
def plain(n: int = 1):
    return show(n=n)

@workflow
def none():
    return show()

param = show(n=Param("n", int, 3))
held = show().with_constraints(gpu=2)

@task
def fails():
    raise ValueError("no")

@workflow
def failing():
    return fails()
'''

_numbers = count()


class Project:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        self.module = f"inputs_of_test_{next(_numbers)}"
        (folder / f"{self.module}.py").write_text(FLOWS)

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = main([f"{self.module}:{word[1:]}" if word.startswith("@") else word for word in words])
        told = self.capsys.readouterr()
        return code, told.out, told.err

    def result(self, *words: str) -> Any:
        code, out, err = self("run", *words, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)["result"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    made = Project(tmp_path, capsys)
    yield made
    sys.modules.pop(made.module, None)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("in.json", '\ufeff{"day": "2026-01-31", "names": ["a"], "limit": 5}'),
        ("in.TOML", 'day = 2026-01-31\nnames = ["a"]\nlimit = "5"\n'),
    ],
)
def test_a_file_of_inputs(project: Project, name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")
    wanted = {"day": "2026-01-31", "names": ["a"], "limit": 5, "note": "none", "home": "home"}
    assert project.result("@report", "--params", name) == wanted
    assert project.result("@report", "--params", name, "-p", "limit=7") == wanted | {"limit": 7}  # -p goes before it
    assert project("compile", "@report", "-o", "r.cbp")[0] == 0
    assert project.result("r.cbp", "--params", name) == wanted


def test_faults_of_a_file_come_together_and_name_it(project: Project) -> None:
    Path("in.json").write_text('{"dya": 1, "limit": "x", "names": [1]}')
    code, out, err = project("run", "@report", "--params", "in.json")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "error[I01]: 4 faults in the inputs:",
        "  input 'day' (date) is missing",
        "  input 'names' is [1]: expected `str`, got `int` - at `$[0]`",
        "  input 'limit' is 'x': expected `int`, got `str`",
        "  unknown input 'dya'; did you mean 'day'?",
        "read from in.json: dya, limit, names",
        "usage: -p day=<date> -p names=<list[str]> [-p limit=<int>] [-p note=<str>]",
    ]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("in.yaml", b"{}", "must end in .json or .toml"),
        ("none.json", None, "none.json: cannot be read: No such file"),
        ("in.json", b'{"n": NaN}', "is no JSON: NaN is not JSON"),
        ("in.json", b'{"n": 1, "n": 2}', "is no JSON: the key 'n' comes twice"),
        ("in.json", b"[1]", "holds a list; it takes an object"),
        ("in.json", b"null", "holds a null"),
        ("in.json", b'{"n": 1', "is no JSON: Expecting"),
        ("in.json", b"[" * 200_000, "is nested too deep"),
        ("in.json", b'{"n": "\xff"}', "is no text in UTF-8 (byte 7)"),
        ("in.toml", b"n = 1\nn = 2", "is no TOML: Cannot overwrite a value"),
    ],
)
def test_what_is_no_file_of_inputs(project: Project, name: str, content: bytes | None, expected: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    code, out, err = project("run", "@plain", "--params", name)
    assert (code, out) == (2, "")
    assert err.startswith(f"error[U02]: --params {name}: ")
    assert expected in err
    assert err.count("\n") == 1


# --- prompts ----------------------------------------------------------------------------------------------------------


def test_missing_inputs_are_asked_for_until_they_are_right(project: Project) -> None:
    terminal = Terminal(project.folder, "run", f"{project.module}:report", "-p", "limit=4", "--no-progress")
    terminal.read_until("day  date: ")
    assert "which day to report on" in terminal.seen
    assert "note: str = 'none', unless -p gives another" in terminal.seen
    assert "limit:" not in terminal.seen
    terminal.type("31.1.\n")
    terminal.read_until("'31.1.': ")
    terminal.read_until("day  date: ")
    terminal.type("2026-01-31\n")
    terminal.read_until("names  list[str]: ")
    terminal.type("a, b\n")
    terminal.read_until("not JSON")
    terminal.type('["a", "b"]\n')
    assert terminal.read_to_the_end() == 0
    assert "'names': ['a', 'b']" in terminal.seen
    assert "datetime.date(2026, 1, 31)" in terminal.seen


def test_nobody_is_asked_while_something_else_is_wrong(project: Project) -> None:
    terminal = Terminal(project.folder, "run", f"{project.module}:report", "-p", "limit=x", "-p", "dya=2026-01-31")
    assert terminal.read_to_the_end() == 2
    assert "input 'limit' is 'x'" in terminal.seen
    assert "did you mean 'day'?" in terminal.seen
    assert "day  date: " not in terminal.seen


def test_ctrl_c_and_the_end_of_input_while_asking(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompting, "is_possible", lambda: True)

    def raises(failure: type[BaseException]) -> Any:
        def read(*args: Any, **kwargs: Any) -> str:
            raise failure

        return read

    monkeypatch.setattr("builtins.input", raises(EOFError))
    code, _, err = project("run", "@report")
    assert code == 2
    assert "input 'day' (date) is missing, and there is nothing more to read" in err
    monkeypatch.setattr("builtins.input", raises(KeyboardInterrupt))
    code, _, err = project("run", "@report")
    assert code == 130
    assert "interrupted" in err
    code, _, err = project("run", "@report", "--no-input")
    assert code == 2
    assert "input 'day' (date) is missing" in err


def test_nobody_is_asked_without_a_terminal(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*args: Any) -> str:
        raise AssertionError("asked")

    monkeypatch.setattr("builtins.input", asked)
    code, _, err = project("run", "@report")
    assert code == 2
    assert "input 'day' (date) is missing" in err


# --- descriptions and --help ------------------------------------------------------------------------------------------

INPUTS = """\
inputs
  day    date          which day to report on
  names  list[str]
  limit  int = 2       how many rows, at most
  note   str = 'none'

environment variables
  RUN_INPUTS_HOME  str = 'home'

What else can be said: cascade run --help
"""
USAGE = "-p day=<date> -p names=<list[str]> [-p limit=<int>] [-p note=<str>]"


def test_help_of_a_workflow_and_of_its_artifact(project: Project) -> None:
    assert project("run", "@report", "--help") == (
        0, f"usage: cascade run {project.module}:report {USAGE}\n\nA report of one day.\n\n{INPUTS}", "",
    )  # fmt: skip
    project("compile", "@report", "-o", "r.cbp")
    del sys.modules[project.module]
    (project.folder / f"{project.module}.py").unlink()  # nothing of an artifact is imported
    assert project("run", "r.cbp", "-p", "limit=1", "--help") == (0, f"usage: cascade run r.cbp {USAGE}\n\n{INPUTS}", "")


def test_help_of_what_has_no_descriptions(project: Project) -> None:
    assert "inputs\n  n  int = 3\n" in project("run", "@param", "--help")[1]
    assert "\n\nIt takes no inputs.\n" in project("run", "@none", "-h")[1]
    code, _, err = project("run", "nothing.cbp", "--help")
    assert code == 2
    assert "nothing.cbp" in err
    assert project("run", "--help")[1].startswith("Usage: cascade run [OPTIONS] TARGET")
    assert project("dis", "@none", "--help")[1].startswith("Usage: cascade dis")


def test_descriptions_change_no_content(project: Project) -> None:
    project("compile", "@report", "-o", "r.cbp")
    program = load("r.cbp")
    assert descriptions.told(program.provenance) == {"day": "which day to report on", "limit": "how many rows, at most"}
    source = project.folder / f"{project.module}.py"
    source.write_text(source.read_text().replace(":param", ":nothing"))
    del sys.modules[project.module]
    project("compile", "@report", "-o", "s.cbp")
    other = load("s.cbp")
    assert set(other.provenance) == {"producer"}
    assert content_hash(Path("r.cbp").read_bytes()) == content_hash(Path("s.cbp").read_bytes())
    assert loads(program.to_bytes()).provenance == program.provenance


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (None, {}),
        (":param a: one :param b: two :raises X: never", {"a": "one", "b": "two"}),
        (":param a: see http://x:80/ and `b: c`", {"a": "see http://x:80/ and `b: c`"}),
        (":param a: first\n:param a: again", {"a": "first"}),
        (":param list[int] b:\n    below", {"b": "below"}),
        (":param: nothing\n:param c: no input", {}),
        (":param a: \ud800", {"a": "?"}),
        (":param a: " + "x" * 600, {"a": "x" * 497 + "..."}),
    ],
)
def test_what_docstrings_say(docstring: str | None, expected: dict[str, str]) -> None:
    found = descriptions.of_parameters(docstring, ["a", "b"])
    assert found == expected
    assert descriptions.told(descriptions.stored(found)) == expected

    def flow(a: int = 1, b: int = 2) -> Any:
        return {"a": a}

    flow.__doc__ = docstring
    assert descriptions.told(loads(compile(workflow(flow)).to_bytes()).provenance) == expected


# --- events and capacity ----------------------------------------------------------------------------------------------

KINDS = events.RunStarted | events.RunFinished | events.TaskStarted | events.TaskFinished | events.TaskFailed


@pytest.mark.parametrize("flow", ["plain", "failing"])
def test_events_go_to_a_file(project: Project, flow: str) -> None:
    code, _, _ = project("run", f"@{flow}", "--events", "run.jsonl", "--progress")
    assert code == (1 if flow == "failing" else 0)
    lines = [msgspec.json.decode(line, type=KINDS) for line in Path("run.jsonl").read_bytes().splitlines()]
    last = events.TaskFailed if flow == "failing" else events.TaskFinished
    assert [type(one) for one in lines] == [events.RunStarted, events.TaskStarted, last, events.RunFinished]
    assert lines[-1].status == ("failed" if flow == "failing" else "returned")


def test_events_that_cannot_be_written(project: Project) -> None:
    code, out, err = project("run", "@plain", "--events", "none/run.jsonl")
    assert (code, out) == (2, "")
    assert err == "error[U02]: --events none/run.jsonl: cannot be written: No such file or directory\n"
    if Path("/dev/full").exists():
        code, out, err = project("run", "@plain", "--events", "/dev/full")
        assert (code, out) == (1, "{'n': 1}\n")  # the value is not lost
        assert err == "error: --events /dev/full: it is not complete: No space left on device\n"


def test_capacity(project: Project) -> None:
    assert project("run", "@held", "--capacity", "gpu=2") == (0, "{}\n", "")
    project("compile", "@held", "-o", "h.cbp")
    assert project("run", "h.cbp", "--capacity", "gpu=2.5", "--capacity", "other=1") == (0, "{}\n", "")
    code, _, err = project("run", "h.cbp", "--capacity", "gpu=1")
    assert code != 0
    assert "gpu" in err
    for words, expected in (
        (["gpu=x"], "--capacity gpu=x: expected name=number"),
        (["gpu"], "--capacity gpu: expected name=value"),
        (["a=1", "--capacity", "a=2"], "--capacity a=2: 'a' is given already, as '1'"),
    ):
        assert project("run", "@held", "--capacity", *words) == (2, "", f"error[U02]: {expected}\n")
