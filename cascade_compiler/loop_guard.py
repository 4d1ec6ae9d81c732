"""What a loop needs that has become hot: its guard as text, and code whose unchanging values stay from turn to turn."""

from __future__ import annotations

from typing import Any

from cascade_compiler.ir import Kept
from cascade_compiler.lowering import link_emitted, lower_loop
from cascade_compiler.matcher import SCOPE, Source, generate
from cascade_compiler.turning import TURN, Turning, turning
from cascade_vm.codegen import can_generate
from cascade_vm.errors import InternalError
from cascade_vm.link import Code


class LoopGuard:
    """The checks of a matcher as text for the middle of a generated loop (see ``cascade_vm.leaving.Guard``)."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self.root = f"v{kept.result}"
        self.names: dict[str, Any] = {}
        self.hoisted: frozenset[int] = frozenset()
        self.leaves: tuple[int, ...] = ()
        self.turning: Turning | None = None

    def looped(self, code: Code) -> Code:
        """``code``, compiled for going round: with registers of their own for the values that no turn changes."""
        self.turning = turning(code) if can_generate(code, 0) else None
        if self.turning is not None:
            return code
        graph = self._kept.graph()
        made = lower_loop(graph, code.blueprint.cycle_id) if can_generate(code, 0) else None
        if made is None:
            return code
        emitted, hoisted = made
        self.leaves = hoisted.leaves
        self.hoisted = frozenset(pc for pc, i in enumerate(emitted.blueprint.instructions) if i.position in hoisted.ops)
        looped = link_emitted(emitted)
        looped.guard = generate(graph, looped)
        looped.loop_guard = self
        return looped

    def write(self, miss: str) -> tuple[list[str], list[str], list[tuple[str, str]]]:
        source = Source(self._kept.graph(), miss, "l")
        if not source.write(is_lazy=True):
            raise InternalError("a graph that has a matcher has none for a loop")
        self.names = {**SCOPE, **source.constants}
        if self.turning is not None:
            self.names.update(TURN=TURN, BUILDER=self.turning.builder, SITES=self.turning.sites, build=self.turning.build)
        sites: list[tuple[str, str]] = []
        for at in source.site_owners():
            sites.append((f"s{at}", f"t{at}"))
            source.lines.append(f"s{at}, t{at} = v{at}.code, v{at}.lasti")
        return source.lines, list(source.held), sites
