"""What a docstring says of parameters: ``:param day: which day``. For those who are asked for the inputs of a workflow.

A program tells it beside its content, by ``input.day``: it changes no meaning. Where Python strips docstrings (``-OO``), nothing is told.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping

PREFIX = "input."
_LONGEST = 500  # characters of one description
_FIELD = re.compile(r"(?:^|(?<=\s)):(\w+)(?: ([^:\n]+))?:(?=\s|$)", re.MULTILINE)


def of_parameters(docstring: str | None, names: Collection[str]) -> dict[str, str]:
    """The descriptions of ``names``, of those that have one: on one line each, and cut where they are long.

    A description ends at the next field, or at an empty line.
    """
    text = inspect.cleandoc(docstring or "")
    fields = list(_FIELD.finditer(text))
    found: dict[str, str] = {}
    for at, field in enumerate(fields):
        words = (field[2] or "").split()
        if field[1] != "param" or not words or words[-1] not in names:
            continue
        end = fields[at + 1].start() if at + 1 < len(fields) else len(text)
        said = " ".join(re.split(r"\n\s*\n", text[field.end() : end])[0].split())
        said = said.encode("utf-8", "replace").decode()
        if len(said) > _LONGEST:
            said = said[: _LONGEST - 3] + "..."
        if said:
            found.setdefault(words[-1], said)
    return found


def stored(descriptions: Mapping[str, str]) -> dict[str, str]:
    """How a program tells them."""
    return {f"{PREFIX}{name}": text for name, text in sorted(descriptions.items())}


def told(provenance: Mapping[str, str]) -> dict[str, str]:
    """What ``stored`` was given, from what a program tells."""
    return {name.removeprefix(PREFIX): text for name, text in provenance.items() if name.startswith(PREFIX)}
