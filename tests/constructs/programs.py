"""Targets as programs: compiled ahead of time, verified, written down and read again, as bytes and as text."""

from __future__ import annotations

from typing import Any

from cascade_compiler import arun, compile
from cascade_vm import Program, assemble, disassemble, verify
from cascade_vm.codec import loads, to_bytes

ENGINES = ["interpreter", "codegen", "graph", "program"]

PROGRAMS = {"program": "interpreter", "generated program": "codegen"}


def program_of(target: Any) -> Program:
    """The program of ``target`` after all that may happen to it on the way. Its tasks are those at hand: they need no names."""
    program = compile(target)
    verify(program)
    text = disassemble(program)
    again = assemble(text)
    assert isinstance(again, Program)
    assert again.data == program.data
    assert again.source_maps == program.source_maps
    assert disassemble(again) == text
    content = to_bytes(program.data, program.source_maps)
    if any(policy.cache for blueprint in program.data.blueprints for policy in blueprint.policies):
        return program  # that can be run here, and nowhere else
    loaded = loads(content)
    assert loaded.data == program.data
    return Program(loaded.data, loaded.source_maps, live=program._live)


def run_on(engine: str, target: Any, **options: Any) -> Any:
    """The coroutine of a run."""
    if engine in PROGRAMS:
        return program_of(target).link(engine=PROGRAMS[engine], **options).arun()
    return arun(target, engine=engine, **options)
