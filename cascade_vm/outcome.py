"""Outcomes: how a wait ended, as data (after the idea of the `outcome` package: a failure crosses a boundary as a value)."""

from __future__ import annotations

from typing import Any


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
