"""Figures as text, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterator

from bench.results import Measured, Range, Reached


def heading() -> str:
    return f"{'':34} {'a unit':>9} {'units/s':>12}   {'ratio':>8} {'(quartiles)':^19} {'extra':>9}"


def rows(case: Measured) -> Iterator[str]:
    yield f"{case.name}, {one(case.unit)}; beside {case.beside} ({case.took:.0f} s)"
    for side in case.sides:
        if side.seconds is None:
            yield f"  {side.name:32} {side.cannot}"
            continue
        middle = side.seconds.middle
        ratio = f"{side.ratio.middle:8.2f} ({side.ratio.low:8.2f} -{side.ratio.high:8.2f})" if side.ratio else ""
        extra = seconds(side.extra.middle) if side.extra else ""
        yield f"  {side.name:32} {seconds(middle):>9} {1 / middle:12,.0f}   {ratio:28} {extra:>9}  {side.note}"
    for reached in case.reaches:
        yield f"  -> {reach_text(reached)}: {'not measured' if reached.value is None else 'yes' if reached.met else 'no'}"


def called(side: str) -> str:
    return {"graph": "graph mode", "codegen": "generated code"}.get(side, side)


def curve_called(name: str) -> str:
    """The name of a curve of growth.py, such as "first run, codegen", for people."""
    first, _, engine = name.rpartition(", ")
    return f"{first}, {called(engine)}" if first else called(name)


def one(unit: str) -> str:
    return f"{'an' if unit[0] in 'aeiou' else 'a'} {unit}"


def seconds(value: float) -> str:
    if value <= -1e-9:
        return f"-{seconds(-value)}"
    for size, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g} {name}"
    return f"{value * 1e9:.3g} ns" if value >= 1e-9 else "0 ns"


def factor(value: float) -> str:
    """A ratio, with as many digits as mean something."""
    return f"{value:.2f}x" if value < 9.995 else f"{value:.1f}x" if value < 99.95 else f"{value:,.0f}x"


def quartiles(found: Range) -> str:
    return f"{factor(found.low)[:-1]} to {factor(found.high)[:-1]}"


def measured_text(reached: Reached, value: float) -> str:
    """``value`` (of the reach, or what was measured) with its unit."""
    match reached.measure:
        case "ratio":
            return factor(value)
        case "rate":
            return f"{value:,.0f}/s"
    return seconds(value)


def reach_text(reached: Reached) -> str:
    limit = reached.most if reached.most is not None else reached.least
    assert limit is not None
    what = {"ratio": "", "extra": " a unit above the reference", "rate": "", "each": " a unit", "seconds": " in all"}[reached.measure]
    return f"{called(reached.side)} {'<=' if reached.most is not None else '>='} {measured_text(reached, limit)}{what}"
