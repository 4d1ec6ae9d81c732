"""Every error that Cascade itself raises, in two families.

*Yours to mend*: the classes below say what, where, why, and how to mend it. *Ours*: ``InternalError``, which asks
for a report. What a task raises is in neither family: it reaches the caller as it is, with one note added.
"""

from __future__ import annotations

from typing import Any


class CascadeError(Exception):
    """Base of every error that Cascade raises on its own account.

    ``code`` says which it is, the same in every version: docs/errors.md has a paragraph for each.
    """

    code = ""


class _Coded(CascadeError):
    """An error of a class that has several codes."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), *self.args, self.code)


class CompileError(_Coded):
    """A graph cannot be compiled: a cycle, wrong call arguments, a constant that cannot be stored."""


class LazyUseError(CascadeError, TypeError):
    """A LazyResult was used as if its value were there already (``if lazy``, ``lazy + 1``, ``for x in lazy``)."""

    code = "U01"


class LoadError(_Coded):
    """The bytes are not an artifact that this version can read, or may read."""


class BadKey(CascadeError, ValueError):
    """A key for signatures cannot be read or made, or cannot do what it is asked for. Its text never has a secret in it."""

    code = "S01"


class VerifyError(CascadeError):
    """A blueprint breaks a rule of the instruction set.

    ``faults`` holds every fault found, as text that begins with the rule, in the order of the rules. The first rule is the ``code``.
    """

    def __init__(self, message: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults
        self.code = f"V-{faults[0].partition(':')[0]}" if faults else "V"


class LinkError(CascadeError):
    """What a program names is not in this process, or is not what it was compiled with.

    ``faults`` holds every fault found, as text that begins with its code (K01 to K07), in the order in which they were found. The first
    of these is the ``code``.
    """

    def __init__(self, message: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults
        self.code = faults[0].partition(" ")[0] if faults else "K"


class CodeDriftWarning(UserWarning):
    """The source of tasks has changed since a program was compiled. ``symbols`` are those of the tasks, ``module:qualname``."""

    def __init__(self, message: str, symbols: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.symbols = symbols


class NotCompiled(CascadeError):
    """A task returned a graph that would have to be compiled, in a program that may compile nothing (``jit=False``)."""

    code = "R10"


class InputError(CascadeError):
    """Inputs are missing, unknown or ill-typed.

    ``faults`` holds all of them, one text each, in the order in which the inputs are declared.
    """

    code = "I01"

    def __init__(self, message: str, faults: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class TargetSkipped(CascadeError):
    """The target of a run was skipped by a condition."""

    code = "R01"


class RouteNotFound(CascadeError):
    """A router's selector gave a key for which there is no route."""

    code = "R02"


class ResourceError(CascadeError, RuntimeError):
    """A resource did not yield its value exactly once."""

    code = "R03"


class CapacityError(CascadeError, ValueError):
    """A call needs more of something than the whole run has, or something that the run has none of."""

    code = "R04"


class NotSendable(CascadeError, TypeError):
    """An argument or a result of a task in mode "process" cannot be pickled, and so cannot get from one process to the other."""

    code = "R06"


class RemoteError(CascadeError, RuntimeError):
    """A task failed in another process with an exception that cannot be carried from there: the text has its type and its text."""

    code = "R07"


class EventLoopRunning(CascadeError, RuntimeError):
    """``run`` was called inside a running event loop for a program that must wait: use ``await arun(...)``."""

    code = "R05"


class InternalError(CascadeError):
    """A bug in Cascade. Please report it, together with the text of this error."""

    code = "X01"


def _again(kind: type[_Coded], message: str, code: str) -> _Coded:
    return kind(message, code=code)
