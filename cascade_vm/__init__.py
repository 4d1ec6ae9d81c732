"""Cascade's machine: load, verify, link and run compiled workflows. It knows nothing of the compiler."""

from cascade_vm.assembler import assemble
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
from cascade_vm.listing import disassemble
from cascade_vm.program import Program
from cascade_vm.verify import verify

__all__ = [
    "Blueprint", "CascadeError", "CompileError", "Continuation", "EventLoopRunning", "Executable", "InputError", "Instruction",
    "InternalError", "LinkError", "LoadError", "Program", "RouteNotFound", "Strand", "Symbol", "TargetSkipped", "VerifyError",
    "assemble", "disassemble", "load", "loads", "verify",
]  # fmt: skip
