"""Faults are shown where they are: the listing around the first ones, whatever the code is like; and bounded, however large it is."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from msgspec.structs import replace
from rule_cases import CASES, LISTINGS, Case

from cascade_vm import Program, VerifyError, assemble, verify
from cascade_vm.blueprint import Blueprint, Instruction, Strand, Symbol
from cascade_vm.fault_places import MOST_FAULTS, around
from cascade_vm.isa import CALL, TAIL_CALL


def program(text: str) -> Program:
    made = assemble(text)
    assert isinstance(made, Program)
    return made


def refusal(code: Program | Blueprint) -> VerifyError:
    with pytest.raises(VerifyError) as caught:
        verify(code)
    return caught.value


def test_the_lines_around():
    made = program(LISTINGS["plain"].replace("strand 3 needs 2 awaits 1", "strand 3 needs 2 2 awaits 1"))
    assert str(refusal(made)) == (
        "1 fault in the code:\n"
        "  O1: strand 3: waits for one thing twice (blueprint 0123456789ab)\n"
        "      strand 1 needs 0\n"
        "         1  %4    R3 = spawn rule_tasks:g(R3)  dead R3\n"
        "      strand 2 eager awaits 1\n"
        "         2  %5    R3 = build dict(R2, R1, R0, R3)  dead R1\n"
        "      strand 3 needs 2 2 awaits 1\n"
        "    >    3  %6    R3 = item(R3, R2)  after %4  dead R2\n"
        "         4  %7    tail_call rule_tasks:f(R3, R0)  dead R0 R3\n"
        "Compile it again. If Cascade wrote it as it is, please report that"
    )
    assert str(refusal(made.entry)).startswith("1 fault in the code:\n  O1: strand 3: waits for one thing twice\n")


def test_at_the_edges():
    good = program(LISTINGS["plain"]).entry
    assert [line[:6] for line in around(good, 0)] == ["  stra", ">    0", "  stra", "     1", "  stra", "     2"]
    assert [line[:6] for line in around(good, 4)][-1] == ">    4"
    assert list(around(good, 5)) == list(around(good, -1)) == []


@pytest.mark.parametrize("case", CASES, ids=[f"{case.rule}-{number}" for number, case in enumerate(CASES)])
def test_each_fault_has_its_place(case: Case):
    """What is of an instruction or of a strand is shown in the listing; all else is named"""
    found = refusal(program(case.rejected))
    text = str(found)
    for fault in found.faults[:5]:
        rule, where, what = fault.split(": ", 2)
        assert rule.isalnum()
        assert what
        assert f"  {fault}\n" in f"{text}\n"
        kind, _, number = where.partition(" ")
        if kind in ("instruction", "strand"):
            assert "\n    > " in text
        if kind == "instruction":
            assert f"\n    > {number:>4}  %" in text


def test_many_faults():
    good = program(LISTINGS["shapes"]).entry
    some = tuple([Instruction(CALL, at, 5_000_000, (0,)) for at in range(5_000)])
    found = refusal(replace(good, instructions=some, strands=(Strand(0, 5_000),)))
    assert len(found.faults) == MOST_FAULTS
    lines = str(found).splitlines()
    assert lines[0] == "more than 1,000 faults in the code:"
    assert lines[-1] == "  ... and at least 980 more"
    assert sum(line.startswith("    > ") for line in lines) == 5
    assert sum(line.startswith("  I2: ") for line in lines) == 20


HUGE = 200_000


@pytest.mark.parametrize(
    ("field", "value"),
    [("reads", (0,) * HUGE), ("names", ("n",) * HUGE), ("names", ("1" * HUGE,)), ("names", ("\n\x1b[31m",)), ("dead", tuple(range(HUGE))),
     ("tests", (9,) * HUGE), ("after", tuple(range(HUGE))), ("position", -(2**62)), ("dst", 2**62), ("aux", 2**62), ("opcode", 2**62),
     ("spec", 2**62)],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
@pytest.mark.parametrize("opcode", range(20))
def test_instructions_that_cannot_be_read(field, value, opcode):
    good = program(LISTINGS["plain"]).entry
    bad = replace(replace(good.instructions[1], opcode=opcode), **{field: value})
    text = str(refusal(replace(good, instructions=(good.instructions[0], bad, *good.instructions[2:]))))
    assert len(text) < 6_000
    assert max(map(len, text.splitlines())) < 600
    assert "\n    >    1  %" in text
    assert "\x1b" not in text


def test_names_that_cannot_be_read():
    good = program(LISTINGS["plain"]).entry
    symbol = Symbol("\x1b[2J\n" * HUGE, "1", False, "()", "x" * HUGE)
    bad = replace(good, cycle_id="\n" * HUGE, symbols=(symbol,) * 3)
    text = str(refusal(bad))
    assert len(text) < 6_000
    assert "\x1b" not in text


@pytest.mark.parametrize("seed", range(60))
def test_code_that_is_all_wrong(seed):
    """Numbers at random, in every field: a refusal, and nothing else"""
    dice = random.Random(seed)

    def number() -> int:
        return dice.choice([-1, -2, 0, 1, 2, 3, 7, 2**31, -(2**63), 2**64 - 1])

    def numbers() -> tuple[int, ...]:
        return tuple([number() for _ in range(dice.randrange(4))])

    made = program(LISTINGS[dice.choice(["choices", "ends", "skips", "plain"])])
    good = made.entry
    def instruction() -> Instruction:
        names = ("a", "b")[: dice.randrange(3)]
        return Instruction(
            dice.randrange(17), number(), number(), numbers(), number(), names, numbers(), numbers(), number(), numbers()
        )

    some = [instruction() for _ in range(dice.randrange(6))]
    strands = tuple([Strand(number(), number(), False, numbers(), numbers(), number()) for _ in range(dice.randrange(4))])
    bad = replace(good, instructions=tuple(some), strands=dice.choice([strands, (Strand(0, len(some)),)]))
    data = replace(made.data, blueprints=(bad,))
    assert refusal(Program(data, {})).faults == refusal(Program(data, {})).faults
    assert refusal(bad).code.startswith("V-")


def test_a_refusal_takes_little_memory():
    """Not much more than what is refused: faults that are many, operands that are many, literals that there are not"""
    good = program(LISTINGS["shapes"]).entry
    wide = replace(good, instructions=(Instruction(TAIL_CALL, 0, reads=(0,) * 100_000, dead=(0, 0)),))
    claimed = replace(good, literals=900_000, registers=900_000, instructions=(Instruction(TAIL_CALL, 0, reads=(0,), after=(7,)),))
    faulty = tuple([Instruction(CALL, at, 9, (0,)) for at in range(20_000)])
    many = replace(good, instructions=faulty, strands=(Strand(0, 20_000),))
    for bad, most in ((wide, 2_000_000), (claimed, 500_000), (many, 2_000_000)):
        tracemalloc.start()
        try:
            refusal(bad)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < most
