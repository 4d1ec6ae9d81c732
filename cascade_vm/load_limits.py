"""How much an artifact may hold before it is refused: checked on its bytes, before any of it is decoded."""

from __future__ import annotations

import msgspec

from cascade_vm.errors import LoadError


class LoadLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What ``load`` and ``loads`` accept. Whoever has to read more gives other numbers: ``load(path, limits=LoadLimits(bytes=1 << 28))``.

    Counts are those of the whole artifact: of all its blueprints together.

    :raises ValueError: a limit is not an integer of 0 or more, or ``depth`` is more than 64, the most that the format allows.
    """

    bytes: int = 16 * 1024 * 1024
    """The size of the file, or of the bytes."""

    depth: int = 64
    """How deep a constant may nest. Everything else has the depth of its form."""

    instructions: int = 1_000_000

    strands: int = 1_000_000

    constants: int = 1_000_000

    blueprints: int = 100_000

    inputs: int = 100_000
    """Declared inputs, and their names in blueprints."""

    entries: int = 100_000
    """Of each other list of structures: symbols, policies, maps, choices, resources, regions, parts, routes, shapes and so on."""

    values: int = 1_000_000
    """Members of lists, dicts and the like, in all constants."""

    operands: int = 4_000_000
    """Integers in lists of more than 16: registers that an instruction reads, what a strand waits for, literals and so on. Also how many
    literals a blueprint may claim to have."""

    text: int = 65_536
    """Bytes of one name, signature, type or path. Text in a constant is limited by the size of the file alone."""

    integer: int = 65_536
    """Bits of an integer in a constant."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ValueError(f"the limit {name} is {value!r}; it takes an integer of 0 or more")
        if self.depth > 64:
            raise ValueError(f"the limit depth is {self.depth}; no constant may nest more than 64 deep")


DEFAULT = LoadLimits()


def over(name: str, what: str, value: int, limit: int) -> LoadError:
    """The error for what is over a limit.

    :param name: the field of LoadLimits. :param what: a noun for what ``value`` is of the artifact.
    """
    remedy = f"If you trust where it is from: load(..., limits=LoadLimits({name}={value}))"
    if name == "depth" and value > 64:
        remedy = "No constant may be deeper than 64: compile the program again"
    return LoadError(f"the artifact's {what} is {value:,}, and the limit is {limit:,} ({name}). {remedy}", code="L06")
