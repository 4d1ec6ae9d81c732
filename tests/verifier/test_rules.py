"""The verifier, rule by rule: a listing that breaks the rule, and nothing else, is rejected; its twin is accepted, and runs."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from rule_cases import CASES, LISTINGS, Case

from cascade_compiler.testing.checked_machine import run_checked
from cascade_vm import Blueprint, LoadError, Program, VerifyError, assemble, disassemble, verify
from cascade_vm.blueprint import Instruction, Strand
from cascade_vm.explanations import rules
from cascade_vm.isa import CALL, TAIL_CALL

# What each listing comes to.
VALUES: dict[str, Any] = {
    "choices": ["f", ["f", 1], ["g", ["f", 1]], ["f", ["f", 1], "connection"], [["f", n, {"k": 1}] for n in (1, 2, 3)]],
    "ends": ["g", 1],
    "jumps": ["done", 3, None],
    "plain": ["f", "b", "a"],
    "shapes": 1,
    "skips": ["f", ["f", 1], ["f", ["f", 1]], ["g", 1]],
}


def program(text: str) -> Program:
    made = assemble(text)
    assert isinstance(made, Program)
    return made


def broken(code: Program | Blueprint) -> set[str]:
    with pytest.raises(VerifyError) as caught:
        verify(code)
    return {fault.partition(":")[0] for fault in caught.value.faults}


def test_every_rule_has_a_case():
    assert {case.rule for case in CASES} | {"O5"} == set(rules())


@pytest.mark.parametrize("name", LISTINGS)
@pytest.mark.parametrize("engine", ["interpreter", "codegen"])
def test_twins_are_accepted_and_run(name, engine):
    made = program(LISTINGS[name])
    verify(made)
    executable = made.link(engine=engine, capacity={"a": 3})
    assert executable.run() == VALUES[name]
    assert run_checked(executable, {}) == VALUES[name]
    assert program(disassemble(made)).data == made.data


@pytest.mark.parametrize("case", CASES, ids=[f"{case.rule}-{number}" for number, case in enumerate(CASES)])
def test_each_broken_rule_is_found_and_named(case: Case):
    assert LISTINGS[case.listing].count(case.good) >= 1
    assert broken(program(case.rejected)) == {case.rule, case.beside} - {""}


# --- what no listing can say --------------------------------------------------------------------------------------------------


def entry(name: str) -> Blueprint:
    return program(LISTINGS[name]).entry


@pytest.mark.parametrize("name", ["os.system", "m f:g", "1m:f", "m:", ":f", "m..n:f", "m:f:g"])
def test_symbols_must_name_a_module_and_a_name(name):
    good = entry("plain")
    assert broken(replace(good, symbols=(replace(good.symbols[0], name=name), *good.symbols[1:]))) == {"B2"}


def test_modes_are_known():
    good = entry("plain")
    symbols = tuple(replace(one, mode="fiber") if one.is_async else one for one in good.symbols)
    assert broken(replace(good, symbols=symbols)) == {"B2"}


def test_unknown_opcodes_are_found():
    good = entry("plain")
    assert broken(replace(good, instructions=(replace(good.instructions[0], opcode=99), *good.instructions[1:]))) == {"I1"}


def test_strands_must_cover_the_instructions():
    good = entry("plain")
    for strands in ((), good.strands[:-1], (replace(good.strands[0], stop=0), *good.strands[1:])):
        assert broken(replace(good, strands=strands)) == {"B3"}


def test_there_are_as_many_registers_as_there_may_be():
    """B1: what a blueprint claims to have, and nothing is made of it"""
    good = entry("shapes")
    most = 2**31 - 1
    verify(replace(good, registers=most, literals=most - good.registers + good.literals))
    assert broken(replace(good, registers=most + 1, literals=most + 1 - good.registers + good.literals)) == {"B1"}


def tangled(count: int) -> Blueprint:
    """Strands in a row; behind them as many that wait for the last one, and read what the others gave. Others, that wait for those first,
    keep the way from one to the other from being a plain one."""
    good = entry("shapes")
    some: list[Instruction] = []
    strands: list[Strand] = []

    def add(needs: tuple[int, ...], reads: tuple[int, ...]) -> int:
        at = len(some)
        some.append(Instruction(CALL, at, at + 1, reads))
        strands.append(Strand(at, at + 1, False, needs))
        return at

    row = [add((), (0,))]
    aside = []
    for _ in range(count):
        aside.append(add((row[-1],), (row[-1] + 1,)))
        row.append(add((row[-1],), (row[-1] + 1,)))
    behind = [add((row[-1],), (one + 1,)) for one in row]
    last = len(some)
    ends = (*aside, *behind)
    some.append(Instruction(TAIL_CALL, last, reads=tuple(at + 1 for at in ends)))
    strands.append(Strand(last, last + 1, False, ends))
    return replace(good, registers=last + 1, instructions=tuple(some), strands=tuple(strands))


def test_what_cannot_be_followed_in_a_bounded_number_of_steps():
    """O5: the same with fewer strands is accepted"""
    verify(tangled(200))
    assert broken(tangled(2_000)) == {"O5"}


def test_all_faults_are_collected():
    listing = LISTINGS["plain"].replace("item(R3, R2)", "item(R3)").replace("registers 4", "registers 2")
    assert broken(program(listing)) >= {"B1", "I1", "I2"}


def test_a_part_is_source_of_nothing_else():
    text = LISTINGS["jumps"].replace("  table", '  source [7,["a.py"],[[0,1]]]\n  table', 1)
    with pytest.raises(LoadError, match="the source of part 7"):
        assemble(text)
