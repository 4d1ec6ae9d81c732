"""What was measured, as data: a file of JSON for the report, or of pyperf's own format for pyperf's tools."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

import msgspec


class Range(msgspec.Struct, frozen=True):
    """A median with its quartiles."""

    low: float
    middle: float
    high: float

    @staticmethod
    def of(values: list[float]) -> Range | None:
        if not values:
            return None
        if len(values) == 1:
            return Range(values[0], values[0], values[0])
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return Range(low, middle, high)


class Side(msgspec.Struct):
    """One way of doing the work. ``seconds`` and ``extra`` (above the reference) are for one unit, ``values`` by round."""

    name: str
    count: int = 0
    prepared: float = 0.0  # seconds to get ready: to build and compile
    seconds: Range | None = None
    ratio: Range | None = None
    extra: Range | None = None
    cannot: str = ""
    fault: bool = False  # ``cannot`` is not a reason but something that went wrong
    note: str = ""
    values: dict[str, float] = {}


class Reached(msgspec.Struct):
    """A reach (bench.case.Reach), and what was measured for it."""

    side: str
    measure: str
    most: float | None
    least: float | None
    value: float | None

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)


class Measured(msgspec.Struct):
    """A case; the first side is the reference."""

    module: str
    name: str
    unit: str
    beside: str
    sides: list[Side]
    reaches: list[Reached] = []
    about: str = ""
    took: float = 0.0  # seconds to measure it

    def side(self, name: str) -> Side | None:
        return next((side for side in self.sides if side.name == name), None)


class Memory(msgspec.Struct):
    """Bytes, by what they were measured at (iterations of a loop, nodes of a graph), in a process of their own."""

    name: str
    side: str
    at: str
    points: dict[str, float]
    reach: float | None = None  # bytes at most, at the last point


class Recording(msgspec.Struct):
    """All of one run of the suite."""

    environment: dict[str, str]
    versions: dict[str, str]
    command: str
    seconds: float
    cases: list[Measured]
    memory: list[Memory] = []

    def case(self, name: str) -> Measured | None:
        return next((case for case in self.cases if case.name == name), None)

    def of(self, module: str) -> Iterable[Measured]:
        return (case for case in self.cases if case.module == module)


def save(recording: Recording, path: str | Path) -> None:
    Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(recording), indent=1) + b"\n")


def load(path: str | Path) -> Recording:
    return msgspec.json.decode(Path(path).read_bytes(), type=Recording)


def save_for_pyperf(recording: Recording, path: str | Path) -> None:
    """Each side as a pyperf benchmark whose values are its rounds: for ``python -m pyperf stats``, ``hist`` and ``check``."""
    import pyperf

    def metadata(case: Measured, side: Side) -> dict[str, str]:
        return {"name": f"{case.name}: {side.name}", "unit": "second", "work": case.unit, "beside": case.beside, **recording.environment}

    benchmarks = [
        pyperf.Benchmark([pyperf.Run(list(side.values.values()), metadata=metadata(case, side), collect_metadata=False)])
        for case in recording.cases
        for side in case.sides
        if side.values
    ]
    pyperf.BenchmarkSuite(benchmarks).dump(str(path), replace=True)
