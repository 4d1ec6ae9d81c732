"""Outcomes: how a wait ended, as data (after the idea of the `outcome` package: a failure crosses a boundary as a value)."""

from __future__ import annotations

from typing import Any

from cascade_vm.errors import InternalError
from cascade_vm.notes import add_note, other_failure_note


class Value:
    """It ended with ``value``."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Error:
    """It ended with the exception ``error``."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


Outcome = Value | Error

TAKEN = InternalError("this failure has been raised already")  # stands in place of an error whose holder must not keep it alive


def ended(outcome: Outcome, other: BaseException | None) -> Outcome:
    """``outcome`` of a run whose clean-up failed with ``other``: the first failure is the run's, the other becomes its note."""
    if other is None or (type(outcome) is Error and outcome.error is other):
        return outcome
    if type(outcome) is Error:
        add_note(outcome.error, other_failure_note(other))
        return outcome
    return Error(other)
