"""``explain``: what the compiler makes of a target, what is known of its shape, and which tier runs it.

Nothing is run, and nothing is put into the cache: to explain a shape does not make it known.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from cascade_compiler.cache import _CACHE, Entry, _alive, _known, difference
from cascade_compiler.capture import capture
from cascade_compiler.ir import Graph, render
from cascade_compiler.lazy import LazyResult
from cascade_compiler.lowering import link_emitted, lower
from cascade_compiler.node_kinds import TARGETS, Literal
from cascade_compiler.passes import DEFAULT_PASSES, Pass, run_passes
from cascade_compiler.scan import is_container
from cascade_compiler.shape import digest
from cascade_compiler.workflow import Workflow
from cascade_vm import isa
from cascade_vm.bounded import shown
from cascade_vm.codegen import can_await, can_generate
from cascade_vm.executable import Executable
from cascade_vm.link import Code
from cascade_vm.program import Program
from cascade_vm.tiers import HOT


class PassEffect(msgspec.Struct, frozen=True):
    """What a pass of the compiler did: operations of the graph before and after, and whether it is another graph now."""

    name: str
    before: int
    after: int
    changed: bool

    __repr__ = shown

    def __str__(self) -> str:
        return f"{self.name}: " + (f"{self.before:,} operations became {self.after:,}" if self.changed else "changed nothing")


class StrandTier(msgspec.Struct, frozen=True):
    """How a strand runs. ``why_not`` says why Python cannot be generated of it; empty where it can."""

    strand: int
    instructions: int
    generated: bool
    why_not: str

    __repr__ = shown


class Explanation(msgspec.Struct, frozen=True):
    """What is known of a target. ``str()`` of it is for people."""

    target: str
    cycle_id: str
    state: str  # "in the cache", "not in the cache", "program"
    hits: int  # graphs that were recognised as of this shape
    recognised_by: str  # "matcher": by its form alone; "digest": captured first; "": it is not known, or of a program
    miss: str  # what differs from the nearest known shape of the same root; empty where the shape is known
    disk: str  # what the cache on disk has to do with it, if one is used
    inputs: tuple[str, ...]
    instructions: int
    registers: int
    strands: tuple[StrandTier, ...]
    passes: tuple[PassEffect, ...]
    tier: str

    __repr__ = shown

    def __str__(self) -> str:
        lines = [f"{self.target}: shape {self.cycle_id}"]
        if self.state == "in the cache":
            by = {"matcher": "recognised by its form alone", "digest": "recognised by its digest, once captured"}[self.recognised_by]
            lines.append(f"  in the cache: compiled once, then {by} {self.hits:,} time{'s' * (self.hits != 1)}")
        elif self.state == "not in the cache":
            lines.append(f"  not in the cache: {self.miss}")
        else:
            lines.append("  compiled ahead of time: nothing is looked for")
        if self.disk:
            lines.append(f"  on disk: {self.disk}")
        amount = f"{self.instructions:,} instructions in {len(self.strands):,} strand{'s' * (len(self.strands) != 1)}"
        given = f", inputs {', '.join(self.inputs)}" if self.inputs else ""
        lines.append(f"  code: {amount}, {self.registers:,} registers{given}")
        lines += [f"  pass {one}" for one in self.passes]
        lines.append(f"  tier: {self.tier}")
        reasons: dict[str, list[int]] = {}
        for strand in self.strands:
            if strand.why_not:
                reasons.setdefault(strand.why_not, []).append(strand.strand)
        for why_not, numbers in reasons.items():
            lines.append(f"  strand{'s' * (len(numbers) > 1)} {_some(numbers)} cannot be generated, {why_not}")
        return "\n".join(lines)


def explain(target: Any) -> Explanation:
    """Say what the compiler makes of ``target``, and what it knows of its shape.

    :param target: what ``run`` takes: a LazyResult, a workflow, or a container of LazyResults; or a program, or what that was linked to.
    :raises CompileError: the graph has no meaning. :raises TypeError: it is nothing that runs.
    """
    if isinstance(target, Executable):
        return _of_program(target.program, target)
    if isinstance(target, Program):
        return _of_program(target, None)
    declared: Any = ()
    if isinstance(target, Workflow):
        target, declared = target.trace()
    elif not (type(target) in (LazyResult, Literal) or is_container(type(target))):
        raise TypeError(f"explain takes a LazyResult, a workflow, a program or an executable, not {type(target).__name__!r}")
    kind = target.task if type(target) is LazyResult else TARGETS
    graph = capture(target, declared)
    cycle_id = digest(graph)
    with _CACHE.lock:
        known = _known(kind, cycle_id, graph)
        nearest = next((alive for held in kind.entries if (alive := _alive(held)) is not None), None)
    effects = _effects(graph, DEFAULT_PASSES)
    if known is not None:
        return _explanation(cycle_id, known.code, "in the cache", effects, "", _recognised_by(known))
    emitted = lower(graph, cycle_id)
    miss = difference(nearest.code.blueprint if nearest is not None else None, emitted.blueprint)
    folder = os.environ.get("CASCADE_CACHE_DIR")
    disk = f"looked for in {folder} before it is compiled, if it is large enough to be worth it" if folder else ""
    return _explanation(cycle_id, link_emitted(emitted), "not in the cache", effects, miss, disk=disk)


def _of_program(program: Program, linked: Executable | None) -> Explanation:
    if linked is None:
        blueprint = program.entry
        code = Code(blueprint, [_not_linked] * len(blueprint.symbols))
        return _explanation(program.cycle_id, code, "program", (), tier="not linked, so no code is there to run")
    tier = "generated as one function, for this very program" if linked._whole is not None else ""
    return _explanation(program.cycle_id, linked._code, "program", (), tier=tier)


def _not_linked(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("code that was made to be looked at has been run")


def _recognised_by(entry: Entry) -> str:
    return "digest" if entry.waits else "matcher"


def _explanation(
    cycle_id: str, code: Code, state: str, effects: tuple[PassEffect, ...], miss: str = "", recognised_by: str = "", disk: str = "",
    tier: str = "",
) -> Explanation:  # fmt: skip
    from cascade_vm.probe import target_label

    blueprint = code.blueprint
    as_one = can_await(code)
    strands = tuple(
        StrandTier(at, one.stop - one.start, at in code.generated, "" if as_one or can_generate(code, at) else why_not_generated(code, at))
        for at, one in enumerate(blueprint.strands)
    )
    return Explanation(
        target_label(code), cycle_id, state, code.hits, recognised_by, miss, disk, blueprint.inputs,
        len(blueprint.instructions), blueprint.registers, strands, effects, tier or _tier(code),
    )  # fmt: skip


def _tier(code: Code) -> str:
    if code.chain is not None:
        return "generated as one coroutine function"
    if code.generated:
        whole = len(code.generated) == len(code.blueprint.strands)
        loop = ", as a loop" if any(one.loops for one in code.generated.values()) else ""
        return ("generated" if whole else f"strands {_some(sorted(code.generated))} generated, the others interpreted") + loop
    possible = can_await(code) or any(can_generate(code, at) for at in range(len(code.blueprint.strands)))
    if not possible:
        return "interpreted, always"
    if code.hot is not None:
        return "interpreted: it is too large to be generated unless engine='codegen' asks for it"
    return f"interpreted; generated from the {HOT:,}th graph of the shape on ({code.hits:,} so far)"


def why_not_generated(code: Code, strand: int) -> str:
    """Why Python cannot be generated of a strand, as the end of a sentence."""
    whole = code.blueprint.strands[strand]
    instructions = code.blueprint.instructions[whole.start : whole.stop]
    if code.has_steps:
        return "since resources end with each turn"
    waiting = [isa.BY_CODE[i.opcode].name for i in instructions if isa.BY_CODE[i.opcode].waits]
    if waiting:
        return f"since the machine is to do {', '.join(dict.fromkeys(waiting))}"
    return "since something in it may be skipped" if any(i.tests for i in instructions) else "since only the machine does what is in it"


def _effects(graph: Graph, passes: tuple[Pass, ...]) -> tuple[PassEffect, ...]:
    found: list[PassEffect] = []
    before = graph

    def between(one: Pass, result: Graph) -> None:
        nonlocal before
        changed = result is not before and render(result) != render(before)
        found.append(PassEffect(one.__name__, len(before.ops), len(result.ops), changed))
        before = result

    run_passes(graph, passes, between)
    return tuple(found)


def _some(numbers: list[int]) -> str:
    shown = ", ".join(str(one) for one in numbers[:8])
    return shown if len(numbers) <= 8 else f"{shown} and {len(numbers) - 8:,} more"
