"""Cascade's machine: load, verify, link and run compiled workflows. It knows nothing of the compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_vm.blueprint import Blueprint, Instruction, Strand, Symbol
from cascade_vm.codec import load, loads
from cascade_vm.continuation import Continuation
from cascade_vm.errors import (
    CascadeError,
    CompileError,
    EventLoopRunning,
    InputError,
    InternalError,
    LinkError,
    LoadError,
    RouteNotFound,
    TargetSkipped,
    VerifyError,
)
from cascade_vm.executable import Executable
from cascade_vm.program import Program
from cascade_vm.verify import verify

if TYPE_CHECKING:
    from cascade_vm.assembler import assemble
    from cascade_vm.listing import disassemble

__all__ = [
    "Blueprint", "CascadeError", "CompileError", "Continuation", "EventLoopRunning", "Executable", "InputError", "Instruction",
    "InternalError", "LinkError", "LoadError", "Program", "RouteNotFound", "Strand", "Symbol", "TargetSkipped", "VerifyError",
    "assemble", "disassemble", "load", "loads", "verify",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # Text is for people and tests: who only runs programs does not pay for reading and writing it.
    if name == "assemble":
        from cascade_vm.assembler import assemble

        return assemble
    if name == "disassemble":
        from cascade_vm.listing import disassemble

        return disassemble
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
