"""Runs of interpreted code that need no machine as long as all goes as expected.

Code whose one strand only calls, and returns what came of it, needs neither frame nor scheduler before a call gives a continuation or
raises. Until then its instructions are run here, on registers alone; to make a machine would cost as much as some twenty of them. It is
left as generated code is (see leaving.py), and a machine takes over there.

Where the literals are known, as those of a program are, proofs (see returns.py) may show of whole runs of calls that their values need not
be asked whether they are continuations. They hold as long as the functions have the code that they had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from cascade_vm.continuation import CONTINUATIONS
from cascade_vm.errors import InternalError
from cascade_vm.forms import (
    BLOCK,
    BUILD,
    CALL_0,
    CALL_1,
    CALL_2,
    CALL_K,
    CALL_N,
    CHAIN,
    ITEM,
    ITEM_RETURN,
    RETURN,
    SURE_BLOCK,
    SURE_CHAIN,
    SURE_END,
    TAIL_0,
    TAIL_1,
    TAIL_2,
    TAIL_K,
    TAIL_N,
    Linked,
)  # fmt: skip
from cascade_vm.fusing import how_far
from cascade_vm.leaving import Going, Left, Raised
from cascade_vm.returns import ANY, SAFE, known_after, known_of

if TYPE_CHECKING:
    from cascade_vm.link import Code


def _with_names(registers: list[Any], fn: Any, a: Any, b: Any, names: Any) -> Any:
    return fn(*[registers[i] for i in a], **dict(zip(names, [registers[i] for i in b], strict=True)))


# The value of a rarer instruction.
_VALUES: dict[int, Callable[..., Any]] = {
    **dict.fromkeys((CALL_0, TAIL_0), lambda registers, fn, a, b, names: fn()),
    **dict.fromkeys((CALL_N, TAIL_N), lambda registers, fn, a, b, names: fn(*a(registers))),
    **dict.fromkeys((CALL_K, TAIL_K), _with_names),
    **dict.fromkeys((ITEM, ITEM_RETURN), lambda registers, fn, a, b, names: registers[a][registers[b]]),
    BUILD: lambda registers, fn, a, b, names: fn([registers[i] for i in a]),
}
FORMS = frozenset({BLOCK, CHAIN, CALL_1, CALL_2, TAIL_1, TAIL_2, RETURN, *_VALUES})
_LOOK = 3  # questions after values cost as much as to look at a function's code
_SURE = {BLOCK: SURE_BLOCK, CHAIN: SURE_CHAIN}
_NOTHING: Iterator[Any] = iter(())


def is_straight(strands: Sequence[Sequence[Linked]]) -> bool:
    """Is there one strand, which this file can run?"""
    return len(strands) == 1 and all(one[0] in FORMS for one in strands[0])


def run(strand: Sequence[Linked], registers: list[Any]) -> Any:
    """The value of a run, or why there is none."""
    continuations = CONTINUATIONS
    usual: type = type(None)
    links = _NOTHING
    form = at = a = 0
    fn: Any = None
    given: Any = None
    try:
        for form, dst, fn, a, b, names, dead, at in strand:
            if form == BLOCK:
                links = iter(fn)
                for call, a, b, dst, gone in links:
                    value = call(registers[a]) if b is None else call(registers[a], registers[b])
                    if type(value) is not usual:
                        if type(value) in continuations:
                            return Left(at + how_far(form, fn, links), value, {})
                        usual = type(value)
                    registers[dst] = value
                    if gone is not None:
                        registers[gone] = None
            elif form == SURE_BLOCK:
                links = iter(fn)
                for call, a, b, dst, gone in links:
                    registers[dst] = call(registers[a]) if b is None else call(registers[a], registers[b])
                    if gone is not None:
                        registers[gone] = None
            elif form == CHAIN:
                value = registers[a]
                registers[a] = None  # the input of the chain dies when its first call ends
                links = iter(fn)
                for link in links:
                    given = value
                    value = link(given)
                    if type(value) is not usual:
                        if type(value) in continuations:
                            registers[a] = given
                            return Left(at + how_far(form, fn, links), value, {})
                        usual = type(value)
                registers[dst] = value
                given = None
            elif form == SURE_CHAIN:
                given = registers[a]
                registers[a] = None
                links = iter(fn)
                for link in links:
                    given = link(given)
                registers[dst] = given
                given = None
            elif form >= TAIL_1:
                if form == SURE_END:
                    given = registers[a]
                    registers[a] = None
                    links = iter(fn)
                    for link in links:
                        given = link(given)
                    return given
                if form == RETURN:
                    return registers[a]
                if form == TAIL_1:
                    value = fn(registers[a])
                elif form == TAIL_2:
                    value = fn(registers[a], registers[b])
                else:
                    value = _VALUES[form](registers, fn, a, b, names)
                return value if type(value) not in continuations else Going(at, value, {})
            else:
                if form == CALL_1:
                    value = fn(registers[a])
                elif form == CALL_2:
                    value = fn(registers[a], registers[b])
                else:
                    value = _VALUES[form](registers, fn, a, b, names)
                if type(value) in continuations:
                    return Left(at, value, {})
                registers[dst] = value
                if dead:
                    value = None  # it may be among them: nobody reads it
                    for register in dead:
                        registers[register] = None
    except BaseException as raised:
        if given is not None:  # the argument of the call that was made
            registers[a] = given
        return Raised(at + how_far(form, fn, links), raised)
    raise InternalError("a strand that is alone has not ended with a value")


class Sure(NamedTuple):
    """A strand of which something has been proven: it holds as long as each function has the code beside it."""

    strand: list[Linked]
    relied: tuple[tuple[FunctionType, CodeType], ...]


def sure(code: Code, literals: Sequence[Any]) -> Sure:
    """The strand of straight ``code``, with what can be proven where the first registers have these values."""
    known = {register: known_of(value) for register, value in enumerate(literals)}
    proven = []
    for i, callee in zip(code.blueprint.instructions, code.callees, strict=True):
        what = known_after(i, callee, known)
        proven.append(what > ANY)
        if i.dst >= 0:
            known[i.dst] = max(what, SAFE)
    strand: list[Linked] = []
    relied: dict[FunctionType, CodeType] = {}
    saved = 0
    for one in code.entry:
        form, dst, fn, a, b, names, dead, at = one
        if form in _SURE and all(proven[at : at + len(fn)]):
            strand.append((_SURE[form], dst, fn, a, b, names, dead, at))
            relied.update({callee: callee.__code__ for callee in code.callees[at : at + len(fn)]})
            saved += len(fn)
        elif form == TAIL_1 and strand and strand[-1][0] == SURE_CHAIN and strand[-1][1] == a and proven[at]:
            _, dst, calls, a, *rest = strand.pop()
            strand.append((SURE_END, dst, (*calls, fn), a, *rest))
            relied[fn] = fn.__code__
            saved += 1
        else:
            strand.append(one)
    if saved < _LOOK * len(relied):
        return Sure(code.entry, ())
    return Sure(strand, tuple(relied.items()))
