"""Text of values for comparison: equal texts mean equal values of equal types, NaN included.

``==`` would take True for 1, 0.0 for -0.0 and 1 for 1.0, and NaN for different from itself. The text of a long value ends in
a digest, and a value that occurs often is looked at once: the text of a diamond of depth forty is short and comes at once.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

_LONGEST = 160
_WRITTEN = re.compile(r" \(called at [^()]*:\d+\)")


def show(value: Any) -> str:
    """The text of a value. Sets are sorted by the texts of their members; dicts and lists show their order."""
    return _Shower().show(value)


def show_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The text of a call's arguments: ``(1, x='a')``."""
    shower = _Shower()
    parts = [shower.show(arg) for arg in args] + [f"{name}={shower.show(arg)}" for name, arg in kwargs.items()]
    return _bounded(f"({', '.join(parts)})")


def show_failure(failure: BaseException) -> str:
    """The text of an exception, without the lines at which graphs were written: of those, only the builder knows."""
    texts = [_WRITTEN.sub("", arg) if type(arg) is str else arg for arg in failure.args]
    return type(failure).__name__ + show(tuple(texts)) if texts != list(failure.args) else show(failure)


class _Shower:
    def __init__(self) -> None:
        self._seen: dict[int, tuple[str, Any]] = {}  # the value is kept, so that its id stays its own

    def show(self, value: Any) -> str:
        kind = type(value)
        if kind in (list, tuple, dict, set, frozenset):
            known = self._seen.get(id(value))
            if known is None:
                self._seen[id(value)] = ("<itself>", value)
                known = self._seen[id(value)] = (_bounded(self._container(value)), value)
            return known[0]
        if kind in (int, float, bool, str, bytes, complex, type(None)):
            return _bounded(repr(value))
        if isinstance(value, BaseException):
            return f"{kind.__name__}{self.show(value.args)}"
        return f"<{kind.__module__}.{kind.__qualname__}>"  # no repr: it might hold an address

    def _container(self, value: Any) -> str:
        match value:
            case list():
                return f"[{', '.join(map(self.show, value))}]"
            case tuple():
                return f"({', '.join(map(self.show, value))}{',' if len(value) == 1 else ''})"
            case dict():
                return "{" + ", ".join(f"{self.show(k)}: {self.show(v)}" for k, v in value.items()) + "}"
            case _:
                return f"{type(value).__name__}({', '.join(sorted(map(self.show, value)))})"


def _bounded(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 30]}...#{blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"
