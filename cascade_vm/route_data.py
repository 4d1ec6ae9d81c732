"""Routes of jumps as data: the part of a program that says what the keys of jumps mean.

A ``Table`` stands for what ``select_jump`` was given. Each route of it is compiled twice, to two graphs with open places in them.
``plain`` takes arguments that were literals, and keywords that were not given, straight from the jump, and is what nearly all jumps use.
``full`` can do without what the route computes for an argument: each argument there is chosen by two flags. It takes whatever else
a jump may bring: values for computed arguments, and values that are graphs.
"""

from __future__ import annotations

import msgspec

from cascade_vm.bounded import shown

NOTHING = -1  # in the place of a constant: a jump may put a value there; till then nobody reads it, or it says that nothing was given


class InputSpec(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A declared input. ``type`` is text (see ``cascade_vm.types``); ``default`` a constant's bytes, or None where there is none."""

    name: str
    source: str  # "param" or "env"
    type: str
    default: bytes | None

    __repr__ = shown


class Part(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A graph that a jump begins: a blueprint, and what goes into its first registers.

    Of each literal register: a constant's number, or NOTHING, or ``-2 - t`` for table t.
    """

    blueprint: int
    literals: tuple[int, ...]
    inputs: tuple[InputSpec, ...]

    __repr__ = shown


class Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The compiled form of a graph that a task may return: a blueprint, and for each of its instructions which call of the graph it is
    (by number, in the order in which the graph is captured), or -1: there it was written."""

    blueprint: int
    sites: tuple[int, ...]

    __repr__ = shown


class Slot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Where an argument of a route can be put. ``plain`` is its register in the plain part, -1 where that computes it.

    In the full part ``box`` holds a tuple of the value, which is taken where the register ``alone`` is true. Where ``joint`` is true, the
    value is taken from a list that has one for each slot; a tuple of that is in the route's own register ``joint``.
    """

    name: str  # of the parameter; empty where none can be given
    plain: int
    alone: int
    box: int
    joint: int

    __repr__ = shown


class Route(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What one key means. Without parts (-1) the loop ends there.

    ``call`` is the instruction of the plain part that the arguments are for. ``first`` is the slot of the first parameter, ``more`` that of
    keywords which no parameter has by name; -1: there is none. ``required`` are the slots that a jump must fill. ``joint`` is a register
    of the full part.
    """

    key: bytes  # a constant
    plain: int = -1
    full: int = -1
    call: int = -1
    slots: tuple[Slot, ...] = ()
    first: int = -1
    more: int = -1
    joint: int = -1
    required: tuple[int, ...] = ()

    __repr__ = shown


class Table(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The routes of one ``select_jump``, in its order."""

    routes: tuple[Route, ...]

    __repr__ = shown
