"""Two commits, case by case: both run the cases of this tree, each in processes of its own that take turns.

The older commit is checked out into a temporary folder by ``git worktree``. Each side's processes find ``cascade_vm`` and
``cascade_compiler`` in their own commit, and ``bench`` in this tree, so that both do the same work. Nothing is compared but what was
measured in turns: the ratio of one side here to the same side there, and, as a check of the comparison itself, of what is written by hand,
which is the same on both and should be near 1.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path

from bench.case import Case, wanted
from bench.interleaved import ROOT, Turns, Worker, start, take_turns
from bench.results import Range, Side
from bench.terminal import factor, quartiles, seconds

_QUICK, _FULL = (0.15, 5), (1.0, 9)  # seconds for each side of a case on each commit, and rounds at least


def compare(against: str, subject: str | None, chosen: Sequence[str], names: Sequence[str] | None, quick: bool) -> int:
    """Print a table of ratios: ``subject`` (a revision, None for the working tree) to ``against`` (a revision)."""
    with ExitStack() as stack:
        there = stack.enter_context(checkout(against))
        here = stack.enter_context(checkout(subject)) if subject else ROOT
        bench = stack.enter_context(_only_bench())
        print(f"{subject or 'the working tree'} against {against}: less than 1 is faster")
        print(f"{'':34} {'here':>9} {'there':>9}   {'ratio':>7}  (quartiles)")
        for module in chosen:
            if module == "memory":
                continue
            for case in import_module(f"bench.{module}").cases():
                if not wanted(case, quick, names):
                    continue
                print(case.name)
                for row in _rows(module, case, (bench, here), (bench, there), *(_QUICK if quick else _FULL)):
                    print(f"  {row}", flush=True)
    return 0


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """``revision`` in a temporary folder, which is taken away again.

    :raises SystemExit: there is no such revision.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        tree = Path(folder) / "tree"
        made = subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", str(tree), revision], cwd=ROOT, capture_output=True, text=True
        )
        if made.returncode:
            sys.exit(f"git cannot check out {revision!r}: {made.stderr.strip()}")
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)


@contextmanager
def _only_bench() -> Iterator[Path]:
    """A folder that has this package and nothing else, to stand before a commit's own on the path."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        (Path(folder) / "bench").symlink_to(ROOT / "bench", target_is_directory=True)
        yield Path(folder)


def _rows(module: str, case: Case, here: tuple[Path, ...], there: tuple[Path, ...], budget: float, least: int) -> Iterator[str]:
    with Worker(module, case.name, folders=here) as ours, Worker(module, case.name, folders=there) as theirs:
        both = []
        for worker, folders in ((ours, here), (theirs, there)):
            told = worker.ask("sides")
            if "tree" in told and Path(told["tree"]).resolve() != folders[-1].resolve():
                raise RuntimeError(f"a process that should measure {folders[-1]} measures {told['tree']}")
            both.append(told.get("sides", []))
        pairs: list[tuple[Side, Side]] = []
        turns: list[Turns] = []
        for name in dict.fromkeys([*both[0], *both[1]]):
            sides = Side(name), Side(name)
            pairs.append(sides)
            made = [
                start(side, worker, name, budget, least)
                for side, worker, known in zip(sides, (ours, theirs), both, strict=True)
                if name in known
            ]
            found = [one for one in made if one is not None]
            if len(found) == 2:
                found[0].repeats = found[1].repeats = max(one.repeats for one in found)
                found[0].rounds = found[1].rounds = min(one.rounds for one in found)
                turns += found
        take_turns(turns)
    for one, other in pairs:
        ratio = Range.of([value / other.values[number] for number, value in one.values.items() if number in other.values])
        if ratio is None:
            why = [f"{where}: {side.cannot or 'no such side'}" for side, where in ((one, "here"), (other, "there")) if not side.count]
            yield f"{one.name:32} {'; '.join(why)}"
            continue
        middle = [Range.of(list(side.values.values())) for side in (one, other)]
        times = [seconds(each.middle) if each else "" for each in middle]
        yield f"{one.name:32} {times[0]:>9} {times[1]:>9}   {factor(ratio.middle):>7}  ({quartiles(ratio)})"
