"""``--params``: the values of inputs from a file, JSON or TOML, with an input a key.

What such a file can write, it gives as it is (a list, a date of TOML); the types of the inputs convert and check it like any value.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any, NoReturn

from cascade_compiler.cli.failures import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> dict[str, Any]:
    """The values by name.

    :raises UsageError: the file cannot be read, is neither, or holds something else than values by name.
    """
    suffix = path.suffix.lower()
    if suffix not in (".json", ".toml"):
        raise UsageError(f"--params {path}: the name says the form, and must end in .json or .toml")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as fault:
        raise UsageError(f"--params {path}: cannot be read: {fault.strerror or fault}") from None
    except UnicodeDecodeError as fault:
        raise UsageError(f"--params {path}: is no text in UTF-8 (byte {fault.start})") from None
    try:
        found = tomllib.loads(text) if suffix == ".toml" else json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except RecursionError:
        raise UsageError(f"--params {path}: is nested too deep") from None
    except ValueError as fault:  # both kinds of decoding error are
        raise UsageError(f"--params {path}: is no {suffix[1:].upper()}: {fault}") from None
    if not isinstance(found, dict):
        raise UsageError(f"--params {path}: holds a {_kind(found)}; it takes an object, with an input a key: " + """{"limit": 5}""")
    return found


def _kind(value: Any) -> str:
    return {list: "list", str: "text", type(None): "null", bool: "boolean"}.get(type(value), "number")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r} comes twice")
        found[name] = value
    return found
