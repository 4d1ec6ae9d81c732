"""Pictures of graphs of every kind: as many calls and maps as the compiler has, and nothing that leads nowhere."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings

from cascade_compiler import compile, pictures
from cascade_compiler.capture import capture
from cascade_compiler.ir import Kind
from cascade_compiler.testing import Log, build, graph_specs
from cascade_vm import isa
from cascade_vm.errors import CompileError
from cascade_vm.pictures.drawing import Picture
from cascade_vm.pictures.plan import named

_CALLS = [one.code for one in isa.OPCODES if one.aux == "symbol"]


def calls_of(picture: Picture) -> Counter:
    """By kind and name, without those that a run may go on with."""
    sections = {at for at, box in enumerate(picture.boxes) if box.kind == "section"}
    inside = sections | {at for at, box in enumerate(picture.boxes) if box.parent in sections}
    return Counter((node.kind, node.title) for node in picture.nodes if node.kind in ("call", "map") and node.box not in inside)


def check_all_lead_somewhere(picture: Picture) -> None:
    """From each node but the results, inputs that are declared only, and ends, an edge leads on."""
    sources = {edge.source for edge in picture.edges}
    sections = {at for at, box in enumerate(picture.boxes) if box.kind == "section"}
    for at, node in enumerate(picture.nodes):
        if not (node.is_result or node.kind in ("input", "end") or node.box in sections):
            assert at in sources, node


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph_specs())
def test_a_picture_has_the_calls_that_the_compiler_has(spec):
    target = build(spec, Log()).target
    try:
        graph, program = capture(target), compile(target)
    except CompileError:
        return
    live, compiled = pictures.picture(target, fold=False), pictures.picture(program, fold=False)
    assert pictures.dot(target).count(" -> ") == len(pictures.picture(target).edges)
    if not any(op.bound for op in graph.ops):
        kinds = {Kind.CALL: "call", Kind.MAP: "map"}
        assert calls_of(live) == Counter((kinds[op.kind], named(op.task.symbol)) for op in graph.ops if op.kind in kinds)
        check_all_lead_somewhere(live)
    if not program.data.parts:
        code = program.entry
        assert calls_of(compiled) == Counter(
            ("map" if i.opcode == isa.MAP else "call", named(code.symbols[i.aux].name)) for i in code.instructions if i.opcode in _CALLS
        )
        check_all_lead_somewhere(compiled)
