"""The page: tables and pictures from a recording. Every figure on it is measured; nothing is written by hand but the words around them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from bench.derived import Cost, curves, steps
from bench.results import Measured, Reached, Recording, Side
from bench.terminal import called, curve_called, factor, measured_text, one, quartiles, reach_text, seconds
from bench.worker import MODULES

_OURS = ("graph", "interpreter", "codegen")


def write(recording: Recording, page: Path) -> None:
    """Write ``page``, and its pictures (where matplotlib is installed) into the folder of the same name beside it."""
    drawn: dict[str, Path] = {}
    try:
        from bench.plots import write as draw
    except ImportError as missing:
        if (missing.name or "").partition(".")[0] != "matplotlib":
            raise
        print("matplotlib is not installed: the page has no pictures")
    else:
        drawn = draw(recording, page.with_suffix(""))
    pictures = {name: path.relative_to(page.parent).as_posix() for name, path in drawn.items()}
    page.write_text(text(recording, pictures), encoding="utf-8")


def text(recording: Recording, pictures: dict[str, str]) -> str:
    """The page. ``pictures`` are links, by name."""
    parts = [
        _intro(recording), _reaches(recording), _overview(recording, pictures), _details(recording),
        _growth(recording, pictures), _steps(recording, pictures), _memory(recording, pictures),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A Markdown table; all columns but the first ``left`` are aligned to the right."""
    lines = [head, [":--" if at < left else "--:" for at in range(len(head))], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _picture(pictures: dict[str, str], name: str, what: str) -> str:
    return f"![{what}]({pictures[name]})\n\n" if name in pictures else ""


def _intro(recording: Recording) -> str:
    machine = _table(["Machine", ""], [[name, value] for name, value in recording.environment.items()], left=2)
    found = _table(["Library", "Version"], [[name, version] for name, version in recording.versions.items()], left=2)
    return f"""# Benchmarks

*Written by `python -m bench --report docs/benchmarks.md` (`make bench`); do not edit. This one: `{recording.command}`,
{_minutes(recording.seconds)}.*

What the machinery costs, and nothing else: every task here does next to nothing, so that a figure is the price of a call,
not of the work in it. Tasks that take milliseconds make all of these ratios 1.

**How it is measured.** All ways of doing one piece of work take turns, round by round: what is written by hand and
Cascade's engines in one process, each other library in a process of its own that sleeps when it is not its turn. A
*ratio* is taken within each round, to what is written by hand; the table has the median of the rounds and, in brackets,
the quartiles. Machines are shared and clocks move: seconds from two runs cannot be compared, ratios within one run can.
Results are checked before anything is timed. The garbage collector is on, and starts each turn from a clean slate. Other
libraries are used as their documentation recommends, with what they offer for speed: graphs built once and reused,
tracking and checks off.

{machine}

{found}"""


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"


# --- what should be reached -----------------------------------------------------------------------------------------------


def _reaches(recording: Recording) -> str:
    rows = [[case.name, *_reach_row(reached)] for case in recording.cases for reached in case.reaches]
    for memory in recording.memory:
        if memory.reach is not None and memory.points:
            value = list(memory.points.values())[-1]
            met = "yes" if value <= memory.reach else "**no**"
            rows.append([f"memory: {memory.name}", f"{memory.side} &lt;= {memory.reach:,.0f} bytes a node", f"{value:,.0f} bytes", met])
    if not rows:
        return ""
    met = sum(row[-1] == "yes" for row in rows)
    return (
        f"## What should be reached\n\nBounds that the project has set itself, on generated code, which is what runs whatever\n"
        f"has run often, but for the kept graphs, which have one for the interpreter too. Met: {met} of {len(rows)}.\n\n"
        + _table(["Workload", "Bound", "Measured", "Met"], rows, left=2)
    )


def _reach_row(reached: Reached) -> list[str]:
    bound = reach_text(reached).replace("<", "&lt;").replace(">", "&gt;")
    if reached.value is None:
        return [bound, "not measured", ""]
    return [bound, measured_text(reached, reached.value), "yes" if reached.met else "**no**"]


# --- all workloads on one page --------------------------------------------------------------------------------------------


def _has_engines(case: Measured) -> bool:
    return any(side.name in _OURS for side in case.sides[1:])


def _overview(recording: Recording, pictures: dict[str, str]) -> str:
    cases = [case for case in recording.cases if case.module not in ("growth", "profile") and _has_engines(case)]
    if not cases:
        return ""
    engines = [name for name in _OURS if any(case.side(name) for case in cases)]
    rows = [[case.name, f"{_by_hand(case)} {one(case.unit)}", *[_ratio(case.side(name)) for name in engines]] for case in cases]
    ours = _table(["Workload", "By hand", *[called(name) for name in engines]], rows)
    peers = list(dict.fromkeys(side.name for case in cases for side in case.sides[1:] if _is_peer(side.name)))
    found = f"## Beside hand-written Python\n\nHow many times as long as by hand.\n\n{ours}"
    if peers:
        with_peers = [case for case in cases if any(_is_peer(side.name) for side in case.sides)]
        compared = [name for name in reversed(engines) if name != "graph"]
        head = ["", *[f"{case.name}, {one(case.unit)}" for case in with_peers]]
        rows = [[called(name), *[_seconds_of(case.side(name)) for case in with_peers]] for name in (*compared, *peers)]
        rows.insert(0, ["by hand", *[_by_hand(case) for case in with_peers]])
        found += f"\n\n## Beside other libraries\n\nWhat a unit costs.\n\n{_table(head, rows)}\n\n"
        found += "A dash: it has no way to do this; the tables below say why.\n\n"
        found += _picture(pictures, "peers", "What a unit of each workload costs, in Cascade and in other libraries")
    return found.rstrip()


def _is_peer(name: str) -> bool:
    from bench.peers import PEERS

    return name in PEERS


def _by_hand(case: Measured) -> str:
    return seconds(case.sides[0].seconds.middle) if case.sides[0].seconds else ""


def _ratio(side: Side | None) -> str:
    return factor(side.ratio.middle) if side and side.ratio else ""


def _seconds_of(side: Side | None) -> str:
    return seconds(side.seconds.middle) if side and side.seconds else "–"


# --- one by one -----------------------------------------------------------------------------------------------------------


def _details(recording: Recording) -> str:
    parts = []
    for module in MODULES:
        cases = list(recording.of(module)) if module not in ("growth", "profile") else []
        if not cases:
            continue
        title = (import_module(f"bench.{module}").__doc__ or module).splitlines()[0].replace("``", "`")
        parts.append(f"### {title.rstrip('.')}\n\n    python -m bench {module}")
        parts += [_detail(case) for case in cases]
    return "## One by one\n\n*Extra* is what comes on top of the reference.\n\n" + "\n\n".join(parts) if parts else ""


def _detail(case: Measured) -> str:
    rows = []
    cannot: dict[str, list[str]] = {}
    reference = case.sides[0].name
    for side in case.sides:
        if side.seconds is None:
            cannot.setdefault(side.cannot, []).append(called(side.name))
            continue
        ratio = f"{factor(side.ratio.middle)} ({quartiles(side.ratio)})" if side.ratio else "1"
        extra = seconds(side.extra.middle) if side.extra else ""
        name = called(side.name) + (f" ({side.note})" if side.note else "")
        rows.append([name, seconds(side.seconds.middle), f"{1 / side.seconds.middle:,.0f}", ratio, extra])
    head = [f"**{case.name}**", one(case.unit), "a second", f"ratio to {'by hand' if reference == 'by hand' else reference}", "extra"]
    words = " ".join(text for text in (f"The reference: {case.beside}." if case.beside else "", case.about) if text)
    reasons = [f"{' / '.join(names)}: {why}" for why, names in cannot.items()]
    missing = "\n\nNot there: " + "; ".join(reasons) + "." if reasons else ""
    return f"{words}\n\n{_table(head, rows)}{missing}"


# --- curves, steps, memory ------------------------------------------------------------------------------------------------


def _growth(recording: Recording, pictures: dict[str, str]) -> str:
    if not any(recording.of("growth")):
        return ""
    reasons: list[str] = []
    found = "## How cost grows\n\n    python -m bench growth\n\n"
    for prefix, picture, what, head in (
        ("nodes: ", "growth", "What a node costs, by the size of the graph", "A node (by hand: in loops), in a layered graph of"),
        ("awaits: ", "awaits", "What an await costs, by how many there are at once", "An await, of"),
    ):
        drawn = curves(recording, prefix)
        sizes = sorted({size for _, sides in drawn for size in sides})
        rows = [[curve_called(name), *[_seconds_of(sides.get(size)) for size in sizes]] for name, sides in drawn]
        reasons += [
            f"{curve_called(name)}, {size:,}: {side.cannot}" for name, sides in drawn for size, side in sides.items() if side.cannot
        ]
        if rows:
            found += _picture(pictures, picture, what) + _table([head, *[f"{size:,}" for size in sizes]], rows) + "\n\n"
    return found + ("A dash that is there for want of time: " + "; ".join(reasons) + "." if reasons else "").rstrip()


def _steps(recording: Recording, pictures: dict[str, str]) -> str:
    found = steps(recording)
    if not found:
        return ""
    engines = list(dict.fromkeys(engine for step in found for engine in step.engines))
    found.sort(key=lambda step: -step.own[engines[0]].middle if engines[0] in step.own else 0)
    rows = []
    for step in found:
        row = [step.name, seconds(step.by_hand.middle)]
        for engine in engines:
            cost, own = step.engines.get(engine), step.own.get(engine)
            if cost is not None and own is not None:
                row += [seconds(cost.middle), f"**{seconds(own.middle)}** ({seconds(own.low)} to {seconds(own.high)})"]
            else:
                row += ["", ""]
        rows.append(row)
    head = ["Step", "by hand", *[text for engine in engines for text in (called(engine), "on top of by hand")]]
    return f"""## Where the time goes

    python -m bench profile

What one step of a program takes: the difference between two programs, of which one has {_times(recording)} more of it, divided by
that; the same by hand; and the difference of the two, which is the engine's own. Quartiles are in brackets. A call's step
has the call of the Python function in it, on both sides.{_explained(recording, found)}

{_picture(pictures, "steps", "What one step takes, by hand and on top of that")}{_table(head, rows)}"""


def _explained(recording: Recording, found: list[Cost]) -> str:
    """What the steps of a chain of 20 calls add up to, beside what it was measured to take."""
    by_name = {step.name: step for step in found}
    run, call = by_name.get("start and end of a run with 1 call"), by_name.get("call in a chain")
    chain = recording.case("chain of 20 calls")
    if run is None or call is None or chain is None:
        return ""
    sums = [
        f"{seconds(cost.middle + 19 * call.engines[engine].middle)} with {called(engine)} (measured: {_seconds_of(chain.side(engine))})"
        for engine, cost in run.engines.items()
        if engine in call.engines
    ]
    return f" As a check: a run with 1 call and 19 more calls in a chain add up to {' and '.join(sums)}." if sums else ""


def _times(recording: Recording) -> str:
    found = sorted({int(case.unit.removeprefix("run (").removesuffix(" more)")) for case in recording.of("profile")})
    return f"{found[0]} to {found[-1]}" if found[0] != found[-1] else str(found[0])


def _memory(recording: Recording, pictures: dict[str, str]) -> str:
    loops = [memory for memory in recording.memory if memory.at == "iterations"]
    found = "## Memory\n\n    python -m bench memory\n\n" if recording.memory else ""
    if loops:
        ats = sorted({int(at) for loop in loops for at in loop.points})
        rows = [
            [called(loop.side), *[f"{loop.points[str(at)] / 2**20:.1f}" if str(at) in loop.points else "" for at in ats]]
            for loop in loops
        ]
        found += "A loop by tail call, and what the process has in memory after so many iterations, in MiB.\n\n"
        found += _picture(pictures, "memory", "Memory while a loop goes round") + _table(["", *[f"{at:,}" for at in ats]], rows) + "\n\n"
    for memory in recording.memory:
        if memory.at == "nodes":
            ((at, size),) = memory.points.items()
            found += f"Compiling a layered graph of {int(at):,} calls takes {size:,.0f} bytes of memory a node at its peak, "
            found += "on top of the graph itself: how much the process has grown."
    return found.rstrip()
