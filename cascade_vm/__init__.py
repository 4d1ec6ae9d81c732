"""Cascade's machine: load, verify, link and run compiled workflows. It knows nothing of the compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_vm.blueprint import Blueprint, Instruction, Strand, Symbol
from cascade_vm.codec import load, loads
from cascade_vm.continuation import Continuation
from cascade_vm.errors import (
    BadKey,
    CascadeError,
    CodeDriftWarning,
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
from cascade_vm.load_limits import LoadLimits
from cascade_vm.program import Program
from cascade_vm.registry import Registry
from cascade_vm.verify import verify

if TYPE_CHECKING:
    from cascade_vm.assembler import assemble
    from cascade_vm.keys import Ed25519PrivateKey, Ed25519PublicKey, HmacKey, read_keys, read_signing_key
    from cascade_vm.listing import disassemble
    from cascade_vm.signing import sign

__all__ = [
    "BadKey", "Blueprint", "CascadeError", "CodeDriftWarning", "CompileError", "Continuation", "Ed25519PrivateKey", "Ed25519PublicKey",
    "EventLoopRunning", "Executable", "HmacKey", "InputError", "Instruction", "InternalError", "LinkError", "LoadError", "LoadLimits",
    "Program", "Registry", "RouteNotFound", "Strand", "Symbol", "TargetSkipped", "VerifyError", "assemble", "disassemble", "load",
    "loads", "read_keys", "read_signing_key", "sign", "verify",
]  # fmt: skip

# Text is for people and tests, and keys are for those who sign: who only runs programs does not pay for them.
_LATER = {
    "assemble": "assembler", "disassemble": "listing", "sign": "signing", "read_keys": "keys", "read_signing_key": "keys",
    "HmacKey": "keys", "Ed25519PrivateKey": "keys", "Ed25519PublicKey": "keys",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LATER:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
