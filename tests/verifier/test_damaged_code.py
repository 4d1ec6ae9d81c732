"""What the verifier accepts of damaged code runs as promised, and on both engines alike (P13)."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import code_flows
import msgspec
import pytest
from damaged_code import damaged
from rule_cases import LISTINGS

from cascade_compiler import compile
from cascade_compiler.testing.checked_machine import BrokenPromise, CheckedMachine, run_checked
from cascade_vm import CascadeError, InternalError, Program, VerifyError, assemble, verify
from cascade_vm.program import ProgramData

EACH = int(os.environ.get("CASCADE_EXAMPLES", "240")) // 3
PROGRAMS = [compile(target) for target in code_flows.targets()]


def outcome(call: Callable[[], Any]) -> tuple[str, str]:
    """What a run comes to. It may fail, since its values are not what they were: but at a step of the program, and saying at which."""
    code_flows.calls.clear()
    try:
        return "value", re.sub(r"0x[0-9a-f]+", "", repr(call()))
    except (BrokenPromise, InternalError):
        raise
    except CascadeError as failure:
        return "failure", type(failure).__name__
    except Exception as failure:
        if not any(note.startswith("in ") for note in getattr(failure, "__notes__", [])):
            raise
        return "failure", type(failure).__name__


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_damaged_code(number):
    program, dice = PROGRAMS[number], Random(number)
    tree = msgspec.json.decode(msgspec.json.encode(program.data))
    outcomes: Counter[str] = Counter()
    for _ in range(EACH):
        try:
            data = msgspec.json.decode(msgspec.json.encode(damaged(tree, dice)), type=ProgramData)
        except msgspec.ValidationError:
            continue
        changed = Program(data, {}, live=program._live)
        try:
            verify(changed)
        except VerifyError:
            outcomes["refused"] += 1
            continue
        checked = outcome(partial(run_checked, changed.link(engine="interpreter", capacity={"gpu": 1}), {}))
        assert outcome(changed.link(engine="codegen", capacity={"gpu": 1}).run) == checked
        outcomes["accepted"] += 1
    assert outcomes["refused"] > EACH / 3
    assert outcomes["accepted"] > EACH / 20


def planted(name: str, *changes: tuple[str, str]) -> Program:
    """A good listing made bad, which no verifier sees."""
    text = LISTINGS[name]
    for good, bad in changes:
        assert good in text
        text = text.replace(good, bad, 1)
    made = assemble(text)
    assert isinstance(made, Program)
    with pytest.raises(VerifyError):
        verify(made)
    return made


PLANTED = [
    ("a value is ended too early", r"R0 is read by instruction 2, and its value has been ended",
     "plain", ("f(R0, key=R1)", "f(R0, key=R1)  dead R0")),
    ("one is dropped before all have read it", r"R3 is read by instruction 5, and its value has been ended",
     "skips", ("strand 6 needs 4 5", "strand 6 needs 4")),
    ("there is none", r"R3 is read by instruction 0, and has no value", "plain", ("f(R0, key=R1)", "f(R3, key=R1)")),
    ("a strand does not wait", r"instruction 2 runs before instruction 1 is over", "plain", ("eager awaits 1", "eager")),
    ("the register is that of another value", r"instruction 5 reads R6 for the value of 4, and it has that of",
     "skips", ("R5 = spawn rule_tasks:g(R2)", "R6 = spawn rule_tasks:g(R2)"), ("f(R3, R6, R5)", "f(R3, R6, R6)")),
    ("a register is written over", r"writes R2, which instruction 3 has still to read",
     "skips", ("strand 3 eager\n     3  %7 ", "strand 3\n     3  %19"), ("R6 = call rule_tasks:f(R3)", "R2 = call rule_tasks:f(R3)"),
     ("f(R3, R6, R5)  tests R3 R6", "f(R3, R2, R5)  tests R2 R3")),
    ("nobody waits for what is in progress", r"instruction 6 ends the frame, and instruction 3 is not over",
     "skips", ("f(R3, R6, R5)", "f(R3, R6)"), ("awaits 2 3\n", "awaits 2\n")),
    ("what is skipped is not tested for", r"instruction 4 reads R3, which is of something skipped",
     "skips", ("constant 01", "constant 00"), ("f(R3)  tests R3", "f(R3)")),
    ("a region is waited for that is closed", r"InternalError",
     "skips", ("strand 5 needs 4", "strand 5 needs 1 4"), ("constant 01", "constant 00")),
    ("the frame ends while it has something to do", r"instruction 8 ends the frame, and instruction 7 is not over",
     "ends", ("return(R5)", "return(R4)"), ("strand 7 awaits 7", "strand 7")),
]  # fmt: skip


@pytest.mark.parametrize("planted_bug", PLANTED, ids=lambda one: one[0])
def test_planted_bugs_of_code_are_found(planted_bug):
    _, said, name, *changes = planted_bug
    linked = planted(name, *changes).link(engine="interpreter")
    with pytest.raises((BrokenPromise, InternalError)) as caught:
        run_checked(linked, {})
    assert re.search(said, f"{type(caught.value).__name__}: {caught.value}")


# What an engine might do wrong, by the method of the machine that is replaced.


def twice_ready(machine: CheckedMachine, frame: Any, number: int) -> None:
    for _ in range(2):
        super(CheckedMachine, machine).make_ready(frame, number)


def early(machine: CheckedMachine, frame: Any, numbers: Any) -> None:
    for number in numbers:
        frame.waits[number] = 1
    super(CheckedMachine, machine)._count_down(frame, numbers)


def all_open(machine: CheckedMachine, frame: Any, number: int) -> None:
    super(CheckedMachine, machine).make_ready(frame, number)
    for other in frame.code.in_region[1] if frame.opened and not frame.ended[1] else ():
        super(CheckedMachine, machine).make_ready(frame, other)


@pytest.mark.parametrize(
    ("method", "wrong", "name", "said"),
    [("make_ready", twice_ready, "plain", "strand 0 runs a second time"),
     ("_count_down", early, "skips", r"strand 5 runs before the values of \[3\] have come"),
     ("make_ready", all_open, "skips", "strand 1 runs, and its region is closed")],
)  # fmt: skip
def test_planted_bugs_of_the_engine_are_found(monkeypatch, method, wrong, name, said):
    text = LISTINGS[name].replace("constant 01", "constant 00") if wrong is all_open else LISTINGS[name]
    made = assemble(text)
    assert isinstance(made, Program)
    verify(made)
    monkeypatch.setattr(CheckedMachine, method, wrong, raising=False)
    with pytest.raises(BrokenPromise, match=said):
        run_checked(made.link(engine="interpreter"), {})
