"""Disassembly and assembly round-trip; and what is not understood is said with its line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "compiler"))
from graphs import random_graph, random_target

from cascade_compiler import compile, task
from cascade_compiler.lowering import lower
from cascade_vm import Blueprint, LoadError, Program, assemble, disassemble, isa
from cascade_vm.isa_page import page


@pytest.mark.parametrize("seed", range(100))
def test_blueprints_round_trip(seed):
    blueprint = lower(random_graph(seed, size=3 + seed % 30)).blueprint
    assert assemble(disassemble(blueprint)) == blueprint


@pytest.mark.parametrize("seed", range(40))
def test_programs_round_trip_to_the_same_bytes(seed):
    program = compile(random_target(seed))
    again = assemble(disassemble(program))
    assert isinstance(again, Program)
    assert again.data == program.data
    assert again.source_maps == program.source_maps


def test_names_that_look_like_syntax_survive():
    odd = task(lambda x: x, name='a "quoted", (odd); name = R1')
    twin = task(lambda x: x, name='a "quoted", (odd); name = R1', version="2; %3")
    blueprint = compile(twin(odd('R1; "x"'))).entry
    assert assemble(disassemble(blueprint)) == blueprint


def test_a_listing_says_what_a_reader_wants_to_know():
    text = disassemble(compile(random_target(3)))
    assert "graphs.py:" in text
    assert "; live R" in text
    assert "graphs:work" in text


def test_what_is_not_understood_is_shown_with_its_line():
    good = disassemble(lower(random_graph(1)).blueprint)
    lines = good.splitlines()
    at = next(n for n, line in enumerate(lines) if "%" in line)
    for bad in ("     0  %1  R1 = jump(R0)", "     0  %1  R1 = call nobody:knows(R0)", "     0  nonsense"):
        with pytest.raises(LoadError, match=f"line {at + 1} of the listing"):
            assemble("\n".join([*lines[:at], bad, *lines[at + 1 :]]))
    with pytest.raises(LoadError, match="ends too early"):
        assemble("blueprint 0123")
    with pytest.raises(LoadError, match="line 1 of the listing"):
        assemble("what is this?")
    with pytest.raises(LoadError, match="nothing more"):
        assemble(good + "\nstray")


def test_every_opcode_is_declared_linked_and_documented_once():
    codes = [op.code for op in isa.OPCODES]
    assert codes == sorted(set(codes))
    text = page()
    for op in isa.OPCODES:
        assert text.count(f"| `{op.name}` |") == 1
    assert isinstance(assemble(disassemble(lower(random_graph(0)).blueprint)), Blueprint)
