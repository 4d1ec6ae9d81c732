"""Which keys of dicts and members of sets a constant may have: what is refused of a large one, since its hash takes a copy of it, or many
have one. Loading asks that of bytes (``constant_check``), and saving of the value, so that nothing is saved that cannot be loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from cascade_vm.constants import NotEncodable, encode
from cascade_vm.notes import short

SMALL = 8_192  # bytes of a constant that may have any keys
LARGE_KEY = 65_536
ALIKE = 1_000  # keys of one hash: a dict that has more of them takes a time that grows with their square

_HOLDERS = frozenset((list, tuple, dict, set, frozenset, slice))
_PLAIN = frozenset((type(None), bool, str, bytes, float))  # as keys never a container, however long


def encode_for_artifact(value: Any) -> bytes:
    """The canonical bytes of a constant that loading accepts; its limits aside.

    :raises NotEncodable: as ``constants.encode``, or for its keys.
    """
    encoded = encode(value)
    if len(encoded) > SMALL:
        _check(value, "")
    return encoded


def holds_nan(value: Any) -> bool:
    """Is or holds it a number that is not equal to itself? The hash of that says nothing but which object it is."""
    if type(value) is tuple or type(value) is frozenset:
        return any(holds_nan(part) for part in value)
    return bool(value != value)


def _check(value: Any, path: str) -> None:
    # What holds nothing is passed without a call: constants are long more often than deep.
    kind = type(value)
    if kind is list or kind is tuple:
        for at, part in enumerate(value):
            if type(part) in _HOLDERS:
                _check(part, f"{path}[{at}]")
    elif kind is dict:
        check_keys(value, path)
        for key, part in value.items():
            if type(part) in _HOLDERS:
                _check(part, f"{path}[{short(key)}]")
    elif kind is slice:
        for name, part in (("start", value.start), ("stop", value.stop), ("step", value.step)):
            _check(part, f"{path}.{name}")
    elif kind is set or kind is frozenset:
        check_keys(value, path)


def check_keys(keys: Collection[Any], path: str) -> None:
    """The keys of a dict, or the members of a set, at ``path`` of a large constant.

    :raises NotEncodable: one of them is too large, or too many have one hash.
    """
    called = "key" if type(keys) is dict else "member"
    for key in keys:
        if type(key) not in _PLAIN and (type(key) is not int or key.bit_length() > 64) and len(encode(key)) > LARGE_KEY:
            where = f"{path} (the key {short(key)})" if called == "key" else f"{path} (a member)"
            raise NotEncodable(where, f"a {called} of more than {LARGE_KEY:,} bytes")
    if len(keys) > ALIKE:
        most = max(Counter([hash(key) for key in keys if not holds_nan(key)]).values(), default=0)
        if most > ALIKE:
            raise NotEncodable(path, f"a {type(keys).__name__} with {most:,} {called}s of one hash, of which there may be {ALIKE:,}")
