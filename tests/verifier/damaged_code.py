"""What damages code so that much of it is accepted all the same: registers, waits and choices that are exchanged for others there are.

Works on the nested lists that a ``ProgramData`` is in JSON.
"""

from __future__ import annotations

import copy
from random import Random
from typing import Any

# Places of the fields.
_REGISTERS, _INSTRUCTIONS, _STRANDS, _CHOICES, _REGIONS = 1, 5, 6, 9, 11
_OPCODE, _POSITION, _DST, _READS, _AUX, _DEAD, _AFTER, _SPEC, _TESTS = 0, 1, 2, 3, 4, 6, 7, 8, 9
_START, _STOP, _EAGER, _NEEDS, _AWAITS, _REGION = range(6)


def damaged(tree: list[Any], dice: Random) -> list[Any]:
    """A copy with one to four changes."""
    made = copy.deepcopy(tree)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        blueprint = dice.choice(made[1])
        changes = (_instruction, _instruction, _instruction, _strand, _strand, _choice, _order, _again, _literal)
        dice.choice(changes)(made, blueprint, dice)
    return made


def _instruction(program: list[Any], blueprint: list[Any], dice: Random) -> None:
    some = blueprint[_INSTRUCTIONS]
    one = dice.choice(some)
    register = dice.randrange(max(blueprint[_REGISTERS], 1))
    position = dice.choice(some)[_POSITION]
    reads = one[_READS]
    match dice.randrange(10):
        case 0 if reads:
            reads[dice.randrange(len(reads))] = register
        case 1:
            one[_DST] = dice.choice((-1, register, register))
        case 2:
            one[_DEAD] = dice.choice(([], [r for r in reads if dice.random() < 0.5], one[_DEAD][:-1], [*one[_DEAD], register]))
        case 3:
            one[_TESTS] = dice.choice(([], [register], one[_TESTS][:-1], [*one[_TESTS], register]))
        case 4:
            one[_AFTER] = dice.choice(([], [position], [*one[_AFTER], position]))
        case 5:
            one[_OPCODE] = dice.randrange(1, 15)
        case 6:
            one[_AUX] = max(0, one[_AUX] + dice.choice((-1, 1)))
        case 7:
            one[_POSITION] = position + dice.choice((0, 100))
        case 8:
            one[_SPEC] = dice.choice((-1, 0, 1))
        case _:
            one[_READS] = reads[:-1] if dice.random() < 0.5 else [*reads, register]


def _strand(program: list[Any], blueprint: list[Any], dice: Random) -> None:
    strands = blueprint[_STRANDS]
    number = dice.randrange(len(strands))
    one = strands[number]
    match dice.randrange(6):
        case 0 | 1:
            field = dice.choice((_NEEDS, _AWAITS))
            among = len(strands) if field == _NEEDS else len(blueprint[_INSTRUCTIONS])
            one[field] = sorted({*one[field]} ^ {dice.randrange(among)}) if dice.random() < 0.7 else one[field][:-1]
        case 2:
            one[_EAGER] = not one[_EAGER]
        case 3:
            one[_REGION] = dice.randrange(len(blueprint[_REGIONS]))
        case 4 if number + 1 < len(strands):  # this one and the next become one
            other = strands.pop(number + 1)
            one[_STOP] = other[_STOP]
            one[_NEEDS] = sorted({*one[_NEEDS], *other[_NEEDS]} - {number})
            one[_AWAITS] = sorted({*one[_AWAITS], *(pc for pc in other[_AWAITS] if pc < one[_START])})
            for each in strands:
                each[_NEEDS] = sorted({needed - (needed > number) for needed in each[_NEEDS]})
        case 5 if one[_STOP] - one[_START] > 1:  # it becomes two
            middle = dice.randrange(one[_START] + 1, one[_STOP])
            for each in strands:
                both = {number + 1} if number in each[_NEEDS] else set()
                each[_NEEDS] = sorted({needed + (needed > number) for needed in each[_NEEDS]} | both)
            strands.insert(number + 1, [middle, one[_STOP], one[_EAGER], [number], [], one[_REGION]])
            one[_STOP] = middle


def _choice(program: list[Any], blueprint: list[Any], dice: Random) -> None:
    regions = blueprint[_REGIONS]
    if len(regions) > 1 and dice.random() < 0.3:
        number = dice.randrange(1, len(regions))
        regions[number] = sorted({*regions[number]} ^ {dice.randrange(len(regions))})
    elif blueprint[_CHOICES]:
        opened, sources, _ = one = dice.choice(blueprint[_CHOICES])
        route = dice.randrange(len(opened))
        match dice.randrange(5):
            case 0 | 1:
                opened[route] = dice.randrange(len(regions))
            case 4:
                one[2] = not one[2]
            case _:
                sources[route] = dice.choice((-1, -2, -3, dice.choice(blueprint[_INSTRUCTIONS])[_POSITION]))


def _order(program: list[Any], blueprint: list[Any], dice: Random) -> None:
    some = blueprint[_INSTRUCTIONS]
    at = dice.randrange(len(some))
    some[at : at + 2] = reversed(some[at : at + 2])


def _again(program: list[Any], blueprint: list[Any], dice: Random) -> None:
    """An instruction comes twice."""
    some = blueprint[_INSTRUCTIONS]
    at = dice.randrange(len(some))
    some.insert(at, copy.deepcopy(some[at]))
    some[at][_POSITION] = max(one[_POSITION] for one in some) + 1
    for strand in blueprint[_STRANDS]:
        strand[_START] += strand[_START] > at
        strand[_STOP] += strand[_STOP] > at
        strand[_AWAITS] = [pc + (pc >= at) for pc in strand[_AWAITS]]
    blueprint[_REGISTERS] += 1
    some[at][_DST] = dice.choice((some[at][_DST], blueprint[_REGISTERS] - 1))


def _literal(program: list[Any], blueprint: list[Any], dice: Random) -> None:
    literals = dice.choice([program[3], *(part[1] for part in program[5])])
    if literals:
        literals[dice.randrange(len(literals))] = dice.choice((-1, -2, dice.randrange(max(len(program[2]), 1))))
