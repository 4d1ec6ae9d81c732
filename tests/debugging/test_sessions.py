"""Recorded sessions of ``cascade debug``: of a workflow, and the same of the artifact made from it."""

from __future__ import annotations

import signal
from pathlib import Path

import debug_flows
import pytest
from sessions import NAMES, commands, debug, recorded

from cascade_compiler import compile
from cascade_compiler.cli import main


@pytest.fixture(autouse=True)
def _as_if_nothing_had_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    debug_flows.reset()


@pytest.mark.parametrize("name", NAMES)
def test_a_session_of_a_workflow(name: str) -> None:
    code, printed = debug(f"debug_flows:{name}", commands(recorded(name)))
    assert printed == recorded(name)
    assert code == (1 if name in ("failing", "failing_item", "skipped") else 0)


@pytest.mark.parametrize("name", NAMES)
def test_the_artifact_gives_the_same_session(name: str, tmp_path: Path) -> None:
    path = tmp_path / "it.cbp"
    compile(getattr(debug_flows, name)).save(path)
    _, printed = debug(str(path), commands(recorded(name)))
    assert printed == recorded(name)


def test_a_graph_is_a_target_and_inputs_are_given_as_for_run() -> None:
    assert debug("debug_flows:graph", "r\nc\n")[1].endswith("the run returned 42\n")
    assert debug("debug_flows:straight", "i\nc\n", "-p", "n=5")[1].endswith("(cascade) i\n  n = 5\n(cascade) c\nthe run returned 21\n")


def test_the_end_of_the_commands_gives_the_run_up() -> None:
    code, printed = debug("debug_flows:with_resource", "s\ns\ns\n")
    assert (code, printed.rpartition(") ")[2]) == (0, "\nthe run was given up\n")
    assert debug_flows.TRACE == ["set up", "line set up", "line torn down", "torn down"]


def test_an_empty_line_does_the_last_command_again_and_comments_do_nothing() -> None:
    once = debug("debug_flows:straight", "s\ns\ns\n")[1]
    again = debug("debug_flows:straight", "s\n# on\n\n\n")[1]
    assert [line for line in again.splitlines() if not line.startswith("(cascade)")] == [
        line for line in once.splitlines() if not line.startswith("(cascade)")
    ]


def test_what_cannot_be_done_is_said_and_nothing_goes_on() -> None:
    lines = "stop\nx\nx R9\nd 1\nb 99\nt 1\nt x\ns 2\na\nc\n"
    said = [line for line in debug("debug_flows:straight", lines)[1].splitlines() if not line.startswith("(cascade)")][3:]
    assert said == [
        "no command 'stop'; did you mean step? (h for help)",
        "x takes something after it (h for help)",
        "R9 holds nothing here; values are in R0, R1",
        "no breakpoint 1 (b shows them)",
        "there is no instruction 99: this shape has 0 to 2",
        "this frame is in turn 1 already",
        "t takes the number of a turn",
        "step takes nothing after it (h for help)",
        "no exception here",
        "the run returned 13",
    ]


def test_help_names_every_command() -> None:
    from cascade_compiler.cli.debug_session import _COMMANDS, _SHORT, HELP

    words = {line[7:].split()[0].rstrip(";") for line in HELP.splitlines() if len(line) > 7}
    assert {_SHORT.get(word, word) for word in words} >= {*_COMMANDS} - {"delete"}
    assert "d N:" in HELP


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["debug", "debug_flows:straight", "--commands", "/no/such/file"], "--commands /no/such/file: cannot be read"),
        (["debug", "debug_flows:straight", "-p", "m=1", "--commands", "/dev/null"], "usage: [-p n=<int>]"),
        (["debug", "debug_flows:strait", "--commands", "/dev/null"], "did you mean straight?"),
    ],
)
def test_bad_usage(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_commands_come_from_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("until add\nr\nc\n"))
    assert main(["debug", "debug_flows:straight"]) == 0
    assert "  R1 = 12   ; %2 call debug_flows:double(R1)\n(cascade) c\nthe run returned 13\n" in capsys.readouterr().out


def test_large_values_are_shown_short() -> None:
    _, printed = debug("debug_flows:large", "s\nr\nx R0\nc\n")
    assert len(printed) < 5_000
    assert max(map(len, printed.splitlines())) < 280


def test_at_a_terminal_an_end_and_an_interruption_are_no_crash(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from cascade_compiler.cli import debug_session

    typed: list[str | type[BaseException]] = [KeyboardInterrupt, "s", EOFError]

    def typing(prompt: str) -> str:
        assert prompt == "(cascade) "
        one = typed.pop(0)
        if isinstance(one, str):
            return one
        raise one

    monkeypatch.setattr("builtins.input", typing)
    read = debug_session.from_terminal()
    assert [read(), read()] == ["s", None]
    assert capsys.readouterr().out == "\nq gives the run up\n\n"


def test_ctrl_c_at_a_terminal_stops_at_the_next_instruction(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A signal comes while a task runs (``debug_flows.signalled`` raises it), and the handler is as it was afterwards."""
    from cascade_compiler.cli import debug_session

    typed = ["c", "r", "c"]
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(debug_session, "is_terminal", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: typed.pop(0))
    assert main(["debug", "debug_flows:signalled"]) == 0
    printed, said = capsys.readouterr()
    assert said == "stops at the next instruction (Ctrl-C again ends the run)\n"
    assert printed.endswith("  R0 = 7   ; %1 call debug_flows:interrupt(R0)\nthe run returned 14\n")
    assert signal.getsignal(signal.SIGINT) is before
