"""What comes of a mutant: refused by an error of Cascade's own, or run in bounded steps (P13). All else is a finding."""

from __future__ import annotations

import random
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from fuzz_corpus import BUDGET, Exhausted, Inline, Sample, forget, harmless
from msgspec.structs import astuple

from cascade_compiler.testing.virtual_run import capture_virtual
from cascade_compiler.testing.virtual_time import OutOfBudget, VirtualTimeError
from cascade_vm import (
    Blueprint,
    CascadeError,
    InternalError,
    LinkError,
    LoadError,
    Program,
    VerifyError,
    assemble,
    disassemble,
    loads,
    verify,
)
from cascade_vm.about import about
from cascade_vm.container import unpack
from cascade_vm.content_form import FIELDS

SECONDS = 30  # of real time, for one mutant: no more than a wall behind the bounds in steps
ITERATIONS = 300  # of the event loop; a run that never waits goes through it, too, whenever its time slice is over
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_REFUSED = (LoadError, VerifyError, LinkError)
_REGISTRY = harmless()
_CAPACITY = {"slots": 2, "weight": 1, "gpu": 1}


class Finding(AssertionError):
    """Something came of a mutant that must not."""


class Hangs(BaseException):
    """The wall has been reached."""


def outcome(sample: Sample, made: bytes | str, rng: random.Random) -> str:
    """In one word what came of a mutant of ``sample``.

    :raises Finding: it is nothing that may come of one.
    """
    try:
        with _wall():
            return _outcome(sample, made, rng)
    except Finding:
        raise
    except Hangs:
        raise Finding(f"it goes on for more than {SECONDS} seconds:\n{traceback.format_exc()}") from None
    except BaseException as other:  # whatever it is, it must not come out
        if isinstance(other, KeyboardInterrupt):
            raise
        raise Finding("".join(traceback.format_exception(other, limit=-12))) from other


def _outcome(sample: Sample, made: bytes | str, rng: random.Random) -> str:
    try:
        if isinstance(made, str):
            program = assemble(made)
            verify(program)
            if isinstance(program, Blueprint):
                return "a blueprint"
            program = loads(program.to_bytes())
        else:
            program = loads(made)
            _is_canonical(made, program)
    except _REFUSED as refused:
        return _told(refused)
    _round_trip(program)
    repr((program, program.inputs, program.symbols, program.entry, program.provenance))
    try:
        executable = program.link(
            engine=rng.choice(("interpreter", "codegen")), capacity=_CAPACITY, registry=_REGISTRY, drift="ignore", jit=rng.random() < 0.8,
            pools={"thread": Inline(), "process": Inline()}, time_slice=1e-9,
        )  # fmt: skip
    except CascadeError as refused:
        return _told(refused)
    forget()
    inputs = rng.choice(sample.inputs)
    run = capture_virtual(lambda: executable.arun(**inputs), budget=ITERATIONS)
    if run.error is None:
        return "ran"
    return _failed(run.error)


def _failed(error: BaseException) -> str:
    if isinstance(error, Exhausted | OutOfBudget) or BUDGET.left < 0:
        return "Exhausted"
    if isinstance(error, VirtualTimeError | InternalError):
        raise error
    if isinstance(error, CascadeError):
        return _told(error)
    # A step failed on the values that it got, and says which: a task, an item, a container.
    if not any(note.startswith("in ") for note in getattr(error, "__notes__", [])):
        raise error
    return "a step failed"


def _told(error: CascadeError) -> str:
    if isinstance(error, InternalError) or not error.code or not str(error):
        raise Finding(f"{type(error).__name__} without a code or text")
    return f"{type(error).__name__} {error.code}"


def _is_canonical(made: bytes, program: Program) -> None:
    """What was accepted is what would be written."""
    parts = unpack(made)
    if _ENCODER.encode(astuple(program.data)[: FIELDS[parts.version]]) != parts.content:
        raise Finding("accepted, and not in canonical form")
    if parts.version >= 3 and _ENCODER.encode(about(program.source_maps, program.fingerprints, program.provenance)) != parts.about:
        raise Finding("accepted, and what is told about it is not in canonical form")


def _round_trip(program: Program) -> None:
    """Its listing says all of its content."""
    text = disassemble(program)
    if assemble(text).data != program.data:
        raise Finding("its listing is that of another program")


@contextmanager
def _wall() -> Iterator[None]:
    """Raise Hangs in what takes too long; in the main thread alone, since only that gets signals."""
    try:
        before: Any = signal.signal(signal.SIGALRM, _reached)
    except ValueError:
        yield
        return
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _reached(*_: Any) -> None:
    raise Hangs
