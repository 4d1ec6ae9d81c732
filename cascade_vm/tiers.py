"""When code goes from the first tier to the second, and how the machine comes back from there.

Cold code is interpreted. Code that has run ``HOT`` times is generated, strand by strand, and used from the next time on; a loop that
began cold goes over at its back edge. docs/decisions/0017-second-tier.md has the measurements behind the number.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import inf
from types import TracebackType
from typing import Any

from cascade_vm.codegen import Generated, can_await, can_generate, generate, generate_chain
from cascade_vm.forms import STRAND, Linked
from cascade_vm.frame import Frame
from cascade_vm.fusing import WARM
from cascade_vm.leaving import BEGIN, Left
from cascade_vm.link import Code

HOT = 200  # runs
_LARGEST = 50_000  # instructions of code that is generated without being asked for
_MOST_MISSES = 8

# From how many runs on the code of a run is generated, by engine.
THRESHOLDS: dict[str, float] = {"interpreter": inf, "auto": HOT, "codegen": 0}


def warm(code: Code, threshold: float) -> None:
    """Have ``code`` fused if it has run often, or at once where an engine has been asked for."""
    if code.hits >= WARM or threshold != HOT:
        code.warm_up()


def promote(code: Code, observed: Sequence[Any], threshold: float) -> list[list[Linked]]:
    """Generate ``code``; its strands in the second tier. Those that cannot be generated stay as they are.

    :param observed: the registers of a frame that begins.
    """
    if threshold and len(code.blueprint.instructions) > _LARGEST:
        code.hot = code.fused
        return code.fused
    hot = list(code.fused)
    guard = code.loop_guard if code.loops else None
    for number in range(len(hot)):
        if can_generate(code, number):
            made = generate(code, number, observed=observed if code.single and code.assumes else None, guard=guard)
            code.generated[number] = made
            if code.single:
                code.whole = made
            hot[number] = [(STRAND, number, made.function, made.loops, made, None, (), 0)]
    if can_await(code):
        code.chain = generate_chain(code)
    code.hot = hot
    return hot


def restore(frame: Frame, names: dict[str, Any], made: Generated | None) -> None:
    """Put local variables of a generated strand into the registers of its frame, as the interpreter would have them. Where the strand was
    interpreted, that is where they are."""
    if made is None:
        return
    registers = frame.registers
    if not registers:  # the function took all of them; who still holds that list shall not hold them
        registers = frame.registers = [None] * (frame.code.blueprint.registers + 1)
    for name, value in names.items():
        if name[0] == "r" and name[1:].isdigit():
            registers[int(name[1:])] = value
    if made.sites and made.sites[0][0] in names:
        frame.sites = tuple([names[one] for site in made.sites for one in site])


def not_as_assumed(code: Code, left: Left) -> None:
    """Literals were of other types than generated code took them to be, or a function has other code; too often, and it is made anew."""
    if left.at == BEGIN:
        code.misses += 1
        if code.misses >= _MOST_MISSES:
            code.misses, code.assumes = 0, False
            code.hot = code.whole = code.chain = None


class _NotKnown:
    """An argument that a call never got, because the call itself could not be made."""

    def __repr__(self) -> str:
        return "<not known>"


_NOT_KNOWN = _NotKnown()


def where_raised(code: Code, made: Generated, traceback: TracebackType | None) -> tuple[int, dict[str, Any]]:
    """The instruction at which a generated strand raised, and its local variables then."""
    function = made.function
    while traceback is not None and traceback.tb_frame.f_code is not function.__code__:
        traceback = traceback.tb_next
    if traceback is None:  # it was not reached: Ctrl-C before its first line
        return -1, {}
    pc = made.pcs[traceback.tb_lineno - 1]
    constants = {name.replace("c", "r", 1): value for name, value in function.__globals__.items() if name[0] == "c" and name[1:].isdigit()}
    frame = traceback.tb_frame
    names = {**constants, **frame.f_locals}
    if pc in made.nested:
        given = traceback.tb_next.tb_frame.f_locals if traceback.tb_next is not None else {}
        reads = code.blueprint.instructions[pc].reads
        names.update({f"r{register}": given.get(name, _NOT_KNOWN) for register, name in zip(reads, made.nested[pc], strict=False)})
    with suppress(RuntimeError):  # the frame of an executable's run is still there, and clears itself
        frame.clear()  # who keeps the exception shall not keep the values of the run,
    _ = frame.f_locals  # nor the copy of them that CPython before 3.13 makes: it is brought up to date when it is asked for
    return pc, names
