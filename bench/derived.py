"""What is worked out from several sides: the cost of one instruction (profile.py), and curves by size (growth.py, compiling.py)."""

from __future__ import annotations

from typing import NamedTuple

from bench.results import Measured, Range, Recording, Side


class Cost(NamedTuple):
    """One step: seconds by hand, seconds of each engine, and what each engine adds, all as medians over the rounds."""

    name: str
    by_hand: Range
    engines: dict[str, Range]
    own: dict[str, Range]


def steps(recording: Recording) -> list[Cost]:
    """Every step that was measured, by hand and by an engine."""
    return [cost for case in recording.of("profile") if (cost := _cost(case)) is not None]


def _cost(case: Measured) -> Cost | None:
    times = int(case.unit.removeprefix("run (").removesuffix(" more)"))
    by_hand = _difference(case, "by hand", times)
    engines, own = {}, {}
    for side in case.sides:
        engine = side.name.removeprefix("more, ")
        if engine in (side.name, "by hand"):
            continue
        found = _difference(case, engine, times)
        cost = Range.of(list(found.values()))
        added = Range.of([value - by_hand[number] for number, value in found.items() if number in by_hand])
        if cost is not None and added is not None:
            engines[engine], own[engine] = cost, added
    hand = Range.of(list(by_hand.values()))
    return Cost(case.name.removeprefix("step: "), hand, engines, own) if hand is not None and engines else None


def _difference(case: Measured, who: str, times: int) -> dict[str, float]:
    """Seconds for one, by round."""
    fewer, more = case.side(f"fewer, {who}"), case.side(f"more, {who}")
    if fewer is None or more is None:
        return {}
    return {number: (value - fewer.values[number]) / times for number, value in more.values.items() if number in fewer.values}


def curves(recording: Recording, prefix: str) -> list[tuple[str, dict[int, Side]]]:
    """What was measured at several sizes: each curve's name, and its sides by size. ``prefix`` says of what: "nodes: " or "awaits: "."""
    found = [(case.name.removeprefix(prefix), case) for case in recording.of("growth") if case.name.startswith(prefix)]
    compiled = recording.case("compile a layered graph")
    if prefix == "nodes: " and compiled is not None:
        found.append(("compile", compiled))
    return [(name, {int(side.name.removesuffix(" nodes").replace(",", "")): side for side in case.sides}) for name, case in found]
