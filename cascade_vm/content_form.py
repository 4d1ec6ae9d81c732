"""The form that the parts of an artifact must have before they are decoded, and within which limits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from cascade_vm.about import About
from cascade_vm.fingerprint import SIZE
from cascade_vm.load_limits import LoadLimits, over
from cascade_vm.program import ProgramData
from cascade_vm.wellformed import Form, check, form_of
from cascade_vm.wellformed_tokens import Data, Fault, Tally, array_header, integer

# How many fields of ProgramData a version of the container has.
FIELDS = {1: 5, 2: 7, 3: 8}

OldSourceMaps = dict[str, tuple[tuple[str, ...], tuple[tuple[int, int], ...]]]

# Which limit is for which array of structures; all others are for ``entries``. Binary that is named here is a constant.
_LIMITS = {
    ("ProgramData", "blueprints"): "blueprints",
    ("ProgramData", "constants"): "constants",
    ("ProgramData", "inputs"): "inputs",
    ("Part", "inputs"): "inputs",
    ("Blueprint", "inputs"): "inputs",
    ("Blueprint", "instructions"): "instructions",
    ("Blueprint", "strands"): "strands",
    ("InputSpec", "default"): "constants",
    ("Route", "key"): "constants",
}

# Where no negative integer means anything.
_NATURAL = {
    *(("Instruction", field) for field in ("opcode", "reads", "aux", "dead", "after", "tests")),
    *(("Strand", field) for field in ("start", "stop", "needs", "awaits", "region")),
    ("Blueprint", "regions"), ("Choice", "regions"), ("Map", "iterated"), ("Route", "required"),
    ("Part", "blueprint"), ("Shape", "blueprint"),
}  # fmt: skip

_APART = {("ProgramData", "blueprints")}


def check_content(content: Data, version: int, limits: LoadLimits) -> Tally:
    """:returns: where the parts of it are.
    :raises LoadError: the content is malformed (L07), not canonical (L08), or over a limit (L06); nothing of it is decoded.
    """
    tally = Tally(limits)
    check(content, _content_form(version), tally, "content")
    return tally


def check_about(about: Data, version: int, limits: LoadLimits) -> None:
    """``check_content`` of what is told about the content."""
    check(about, _about_form(version), _SourceTally(limits), "part about its content" if version >= 3 else "source map")


class _SourceTally(Tally):
    """Old source maps have an entry for each instruction."""

    def add(self, limit: str, kind: str, count: int) -> None:
        super().add("instructions" if kind == "" else limit, kind or "places in source maps", count)


@cache
def _content_form(version: int) -> Form:
    return form_of(ProgramData, _LIMITS, natural=_NATURAL, agree={"Blueprint": _blueprint_agrees}, apart=_APART, fields=FIELDS[version])


@cache
def _about_form(version: int) -> Form:
    kind: Any = About if version >= 3 else OldSourceMaps
    return form_of(kind, {}, sizes={("About", "fingerprints"): SIZE}, in_order=version >= 3)


def _blueprint_agrees(data: Data, starts: Mapping[str, int], tally: Tally) -> None:
    """Everything is there for an instruction: what no instruction can name is nothing but a way to take memory."""
    literals = integer(data, starts["literals"])
    if literals > tally.limits.operands:
        raise over("operands", "number of literals of a blueprint", literals, tally.limits.operands)
    count = {field: array_header(data, starts[field])[0] for field in _COUNTED}
    instructions = count["instructions"]
    for field in _COUNTED:
        most = instructions
        if field == "policies":
            most += count["maps"]
        elif field == "regions":  # each but the first is that of a route, which has a region and a source, of a byte or more each
            most = 1 + (starts["resources"] - starts["choices"]) // 2
        if count[field] > most:
            raise Fault(starts[field], f"has {count[field]:,} {field} in a blueprint that can use {most:,}")


_COUNTED = ("instructions", "symbols", "strands", "policies", "maps", "choices", "resources", "regions")
