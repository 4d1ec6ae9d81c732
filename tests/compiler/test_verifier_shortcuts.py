"""The verifier's quick answers, held against its careful ones: on compiled graphs, and on what is left of them when one field is wrong."""

from __future__ import annotations

import random
from array import array
from typing import Any

import pytest
from graphs import random_graph, work
from msgspec.structs import replace

from cascade_compiler.capture import capture
from cascade_compiler.lowering import lower
from cascade_vm import VerifyError, isa, verify
from cascade_vm.blueprint import Blueprint, Instruction, Map
from cascade_vm.fault_places import Fault
from cascade_vm.policies import CallPolicy
from cascade_vm.verify_arrays import Sparse
from cascade_vm.verify_before import Before, Steps
from cascade_vm.verify_demand import Uses, demand_faults
from cascade_vm.verify_instructions import _faults, instruction_faults, position_faults
from cascade_vm.verify_order import careful_faults
from cascade_vm.verify_regions import _Facts
from cascade_vm.verify_tables import Outline, Strands


def straight(seed: int) -> Blueprint:
    """Calls, items and containers of earlier ones, some read often: nothing waits."""
    dice = random.Random(seed)
    nodes: list[Any] = [work(1)]
    for _ in range(dice.randrange(2, 15)):
        parts = [dice.choice((*nodes[-4:], dice.randrange(9))) for _ in range(dice.randrange(4))]
        nodes.append(work(*parts, **({"key": dice.choice(nodes)} if dice.random() < 0.2 else {})))
        if dice.random() < 0.2:
            nodes.append(nodes[-1][dice.randrange(3)])
    return lower(capture(work([nodes[-1], *nodes[-3:]], nodes[0]))).blueprint


def spoiled(dice: random.Random, blueprint: Blueprint) -> Blueprint:
    """The blueprint with another value in one field of one instruction."""
    at = dice.randrange(len(blueprint.instructions))
    i = blueprint.instructions[at]
    register = dice.randrange(-2, blueprint.registers + 2)
    field = dice.choice(("opcode", "dst", "reads", "aux", "names", "dead", "after", "spec", "tests"))
    now: Any = getattr(i, field)
    if field in ("reads", "dead", "tests"):
        now = list(now)
        place = dice.randrange(len(now) + 1)
        now[place : place + dice.randrange(2)] = [] if dice.random() < 0.3 else [register]
        now = tuple(now)
    elif field == "names":
        now = ((), ("a",), ("a", "a"), ("1",), ("key",))[dice.randrange(5)]
    elif field == "after":
        now = (dice.choice(blueprint.instructions).position,)
    else:
        now = {"opcode": dice.randrange(len(isa.OPCODES) + 2), "dst": register}.get(field, dice.randrange(-2, 3))
    some = [*blueprint.instructions[:at], replace(i, **{field: now}), *blueprint.instructions[at + 1 :]]
    return replace(blueprint, instructions=tuple(some))


def one_by_one(blueprint: Blueprint) -> list[tuple[str, int, str]]:
    return [(rule, pc, what) for pc, i in enumerate(blueprint.instructions) for rule, what in _faults(blueprint, i)]


def all_at_once(blueprint: Blueprint) -> list[tuple[str, int, str]]:
    return [(fault.rule, fault.pc, fault.what) for fault in instruction_faults(blueprint)]


def tables(blueprint: Blueprint) -> Strands:
    """What the verifier notes of a blueprint before the rules of order, whether or not it is good by then."""
    outline = Outline(blueprint)
    outline.add(blueprint.instructions)
    strands = Strands(blueprint, outline)
    for strand in blueprint.strands:
        strands.add(strand)
    list(position_faults(blueprint, outline))
    return strands


def runs_straight(blueprint: Blueprint) -> bool:
    outline = Outline(blueprint)
    list(instruction_faults(blueprint, outline))
    return outline.is_straight


def order_faults(blueprint: Blueprint, uses: Uses, strands: Strands) -> list[Fault]:
    return list(careful_faults(blueprint, uses, strands, Steps(blueprint, strands)))


def careful(blueprint: Blueprint) -> list[Fault]:
    strands = tables(blueprint)
    uses = Uses(blueprint, strands)
    return order_faults(blueprint, uses, strands) or list(demand_faults(blueprint, uses))


@pytest.mark.parametrize("block", range(10))
def test_instructions_of_a_known_form(block):
    dice = random.Random(block)
    faulty = 0
    for seed in range(block * 30, block * 30 + 30):
        for good in (straight(seed), lower(random_graph(seed, choices=True)).blueprint):
            assert all_at_once(good) == []
            for _ in range(8):
                bad = spoiled(dice, good)
                bad = replace(bad, instructions=bad.instructions * 2)  # a bad form comes twice, too
                expected = one_by_one(bad)
                assert all_at_once(bad) == expected
                faulty += bool(expected)
    assert 100 < faulty < 400


@pytest.mark.parametrize("block", range(10))
def test_one_strand_in_which_nothing_waits(block):
    """What runs straight has no fault; and where nothing but registers may be wrong, what has none runs straight."""
    dice = random.Random(block)
    outcomes = {True: 0, False: 0}
    for seed in range(block * 40, block * 40 + 40):
        good = straight(seed)
        assert runs_straight(good)
        for _ in range(8):
            bad = spoiled(dice, good)
            rules = told(bad)
            of_instructions = {rule for rule, _, _ in one_by_one(bad)}
            assert of_instructions <= rules
            assert not (of_instructions and runs_straight(bad))
            if rules <= {"O3", "O4", "D1"}:  # else the rules of order are not asked
                is_good = not careful(bad)
                assert is_good == (not rules)
                plain = not any(i.after or i.tests for i in bad.instructions)
                assert runs_straight(bad) == is_good if plain else is_good or not runs_straight(bad)
                outcomes[is_good] += 1
    assert min(outcomes.values()) > 20


def told(blueprint: Blueprint) -> set[str]:
    """The rules that it breaks, as the verifier says."""
    try:
        verify(blueprint)
    except VerifyError as fault:
        return {one[:2] for one in fault.faults}
    return set()


@pytest.mark.parametrize("width", [1, 2, 3, 8, 9, 12, 5_000])
def test_what_a_call_ends(width):
    """I6 is asked in several ways, by how much is read and ended: what is not read, and what is ended twice, is found in each"""
    dice = random.Random(width)
    good = straight(0)
    faulty = 0
    for _ in range(40 if width < 100 else 8):
        reads = list(range(width))
        dead = dice.choices([reads, reads[: dice.randrange(width + 1)], reads[-9:]])[0].copy()
        for _ in range(dice.randrange(3)):
            dead.insert(dice.randrange(len(dead) + 1), dice.choice((*reads[:12], width, width + 1)))
        dice.shuffle(dead)
        first = Instruction(isa.CALL, 0, width + 1, tuple(reads))  # the form is known from this one
        call = replace(first, position=1, dst=width + 2, dead=tuple(dead))
        end = Instruction(isa.TAIL_CALL, 2, reads=(width, width + 1, width + 2), dead=(width, width + 1, width + 2))
        whole = replace(good.strands[0], start=0, stop=3)
        blueprint = replace(
            good, instructions=(first, call, end), strands=(whole,), registers=width + 3, literals=width + 1, symbols=good.symbols[:1]
        )
        wrong = len(set(dead)) != len(dead) or not set(dead) <= set(reads)
        assert told(blueprint) == ({"I6"} if wrong else set())
        faulty += wrong
    assert faulty > 2


POLICIES = (
    CallPolicy(), CallPolicy(timeout=1.0), CallPolicy(constraints=(("gpu", None),)), CallPolicy(constraints=(("gpu", None),) * 2),
    CallPolicy(), CallPolicy(timeout=2.0),
)  # fmt: skip
MAPS = (Map((0,)), Map((1,)), Map((0,), 1), Map((2,)), Map((1,), 2), Map((0,), 9), Map((0,)))


@pytest.mark.parametrize("opcode", [isa.PERFORM, isa.MAP])
def test_calls_that_differ_in_what_they_are_told(opcode):
    """I7: many policies and maps are taken for alike, and those of which another rule holds are not"""
    good = straight(0)
    some = MAPS if opcode == isa.MAP else POLICIES
    faulty = 0
    for count in (1, 2):
        for first in range(len(some)):
            for second in range(len(some)):
                reads = tuple(range(count))
                calls = tuple([Instruction(opcode, at, count + at, reads, spec=spec) for at, spec in enumerate((first, second, first))])
                blueprint = replace(good, instructions=calls, registers=count + 3, policies=POLICIES, maps=MAPS)
                expected = one_by_one(blueprint)
                assert all_at_once(blueprint) == expected
                faulty += bool(expected)
    assert 20 < faulty < 2 * len(some) ** 2 - 10


def test_registers_that_few_name():
    """Of what nobody has written to it is known what there is of all at first"""
    few = Sparse(array("i", (3, 7)), -1)
    few[3], few[7] = 5, 6
    assert [few[at] for at in (0, 3, 4, 7, 8, 2**31)] == [-1, 5, -1, 6, -1, -1]


def test_what_waits_does_not_run_straight():
    faulty = 0
    for seed in range(50):
        good = straight(seed)
        first, *rest = good.instructions
        bad = replace(good, instructions=(replace(first, opcode=isa.SPAWN), *rest))
        assert not runs_straight(bad)
        faulty += bool(careful(bad))
    assert faulty > 25  # whoever reads the value does not wait for it


def test_a_value_that_is_ended_again_and_again_is_looked_at_once_each_time(monkeypatch):
    """Readers that have been asked for once stand behind the one that ended the value: a bad program costs no more than a good one."""
    calls = 0
    asked = Before.has_run

    def counted(self, pc, at):
        nonlocal calls
        calls += 1
        return asked(self, pc, at)

    monkeypatch.setattr(Before, "has_run", counted)
    good = straight(0)
    count = 300
    some = [Instruction(isa.CALL, at, reads=(0,), dead=(0,)) for at in range(count)]
    some.append(Instruction(isa.TAIL_CALL, count, reads=(0,)))
    blueprint = replace(good, instructions=tuple(some), strands=(replace(good.strands[0], start=0, stop=count + 1),))
    strands = tables(blueprint)
    faults = order_faults(blueprint, Uses(blueprint, strands), strands)
    assert [fault.rule for fault in faults] == ["O3"] * count
    assert calls <= 2 * count


def test_selects_that_take_what_is_before_them_do_not_wait_for_themselves():
    """R3 without a graph of all waits: where that says nothing, the graph is asked"""
    dice = random.Random(4)
    compiled, forward = {True: 0, False: 0}, {True: 0, False: 0}
    cycles = 0
    for seed in range(120):
        good = lower(random_graph(seed, choices=True)).blueprint
        if not good.choices:
            continue
        compiled[region_facts(good).goes_forward()] += 1
        positions = [i.position for i in good.instructions if i.dst != isa.NONE]
        for _ in range(6):
            at = dice.randrange(len(good.choices))
            sources = list(good.choices[at].sources)
            sources[dice.randrange(len(sources))] = dice.choice(positions)
            choices = (*good.choices[:at], replace(good.choices[at], sources=tuple(sources)), *good.choices[at + 1 :])
            facts = region_facts(replace(good, choices=choices))
            is_forward, has_cycle = facts.goes_forward(), facts.has_cycle()
            assert not (is_forward and has_cycle)
            forward[is_forward] += 1
            cycles += has_cycle
    assert min(compiled.values()) > 10
    assert min(forward.values()) > 50
    assert cycles > 50


def region_facts(blueprint: Blueprint) -> _Facts:
    strands = tables(blueprint)
    return _Facts(blueprint, strands, Steps(blueprint, strands))
