"""The value of what did not run, because a condition was false: it passes through everything that would have taken it (S11)."""

from __future__ import annotations


class Skipped:
    """Stands for the value of a skipped call. ``call`` and ``condition`` are texts, for the error of a skipped target."""

    __slots__ = ("call", "condition")

    def __init__(self, call: str, condition: str) -> None:
        self.call = call
        self.condition = condition


def skipped_text(skipped: Skipped) -> str:
    """What a ``TargetSkipped`` says."""
    return f"the target was skipped: {skipped.call} runs only if {skipped.condition} is true, and it was false"
