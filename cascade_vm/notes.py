"""The one note that a failing task's exception gets: which call, where it was written, with which arguments (S15).

    in task shop.parse_price, called at shop/flows.py:45
      row = {'a': 1}

The exception itself stays as the task raised it. All engines format their notes here, so that they read alike.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_SHOWN_ARGUMENTS = 8


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 60
        self.maxlevel = 3

    def repr_instance(self, x: Any, level: int) -> str:
        # A hostile __repr__ must not hide the failure that is being described. KeyboardInterrupt passes.
        try:
            return super().repr_instance(x, level)
        except Exception:
            return f"<{type(x).__name__}>"


_SHORT = _Short()


def short(value: Any) -> str:
    """A bounded, single-line text of any value; never raises ``Exception``."""
    try:
        return _SHORT.repr(value).replace("\n", " ")
    except Exception:
        return f"<{type(value).__name__}>"


def task_note(
    label: str, where: str | None, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], attempt: str = ""
) -> str:
    """The note for a failed call of the task shown as ``label``, written at ``where`` ("path:line").

    ``attempt`` tells which of several calls of that line it was: "map item 3, attempt 2 of 2".
    """
    lines = [f"in task {label}" + (f", called at {where}" if where else "") + (f" ({attempt})" if attempt else "")]
    named = list(_named(fn, args, kwargs).items())
    lines += [f"  {name} = {short(value)}" for name, value in named[:_SHOWN_ARGUMENTS]]
    if len(named) > _SHOWN_ARGUMENTS:
        lines.append(f"  ... and {len(named) - _SHOWN_ARGUMENTS} more arguments")
    return "\n".join(lines)


def attempt_text(index: int | None, attempt: int, max_attempts: int) -> str:
    """Which call of a map or retry it was, for ``task_note``; nothing for the only one."""
    parts = ([] if index is None else [f"map item {index}"]) + ([] if max_attempts == 1 else [f"attempt {attempt} of {max_attempts}"])
    return ", ".join(parts)


def builtin_note(label: str, where: str | None) -> str:
    """The note for a failed step that is not a task: taking an item, building a container."""
    return f"in {label}" + (f", written at {where}" if where else "")


def other_failure_note(failure: BaseException) -> str:
    """The note that keeps a further failure of the same run from being lost."""
    try:
        text = short(str(failure))
    except Exception:  # a hostile __str__
        text = f"<{type(failure).__name__}>"
    notes = getattr(failure, "__notes__", ())
    where = next((one for one in notes if isinstance(one, str) and one.startswith("in resource ")), "") if isinstance(notes, list) else ""
    if where:  # a resource, which the user would look for among the tasks
        return f"{where.removeprefix('in ')}, failed too: {type(failure).__name__}: {text}"
    return f"another task of the run failed too: {type(failure).__name__}: {text}"


def add_note(failure: BaseException, note: str) -> None:
    """Add ``note``; an exception that refuses notes (no ``__dict__``, a hostile ``add_note``) stays without."""
    try:
        BaseException.add_note(failure, note)
    except Exception:
        return


def _named(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    import inspect  # only when something has failed: it costs a tenth of this package's import

    try:
        return dict(inspect.signature(fn).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):
        return {f"args[{i}]": value for i, value in enumerate(args)} | dict(kwargs)
