"""``python -m bench``: the suite, as a table on the terminal, as data, or as a page. See the package's docstring."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from time import perf_counter

from bench import results
from bench.case import wanted
from bench.environment import environment, versions
from bench.interleaved import measure
from bench.results import Measured, Recording
from bench.terminal import heading, rows
from bench.worker import MODULES

QUICK, FULL = (0.1, 3), (1.0, 5)  # seconds for each side of a case, and its rounds at least


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Cascade beside the same calls written by hand.")
    parser.add_argument("only", nargs="*", help=f"files to run: {', '.join((*MODULES, 'memory'))} (default: all)")
    parser.add_argument("--case", action="append", metavar="TEXT", help="only cases with TEXT in their name; may be repeated")
    parser.add_argument("--quick", action="store_true", help="a look, in about a minute: without other libraries and large sizes")
    parser.add_argument("--no-peers", action="store_true", help="without other libraries")
    parser.add_argument("--against", metavar="REV", help="compare the working tree with a commit, case by case")
    parser.add_argument("--subject", metavar="REV", help="with --against: a commit in place of the working tree")
    parser.add_argument("--json", metavar="FILE", help="write the data to FILE")
    parser.add_argument("--pyperf-json", metavar="FILE", help="write the timings to FILE, in pyperf's format")
    parser.add_argument("--report", metavar="PAGE", help="write the page, and its pictures into a folder beside it")
    parser.add_argument("--from", dest="recorded", metavar="FILE", help="with --report: from this data (--json), measuring nothing")
    parser.add_argument("--pyperf", action="store_true", help="run each file under pyperf instead, without interleaving (hours)")
    options = parser.parse_args(argv)
    unknown = set(options.only) - {*MODULES, "memory"}
    if unknown:
        parser.error(f"no such file: {', '.join(sorted(unknown))}")
    chosen = options.only or [*MODULES, "memory"]
    if options.pyperf:
        speed = ["--fast"] if options.quick else []
        return max(subprocess.call([sys.executable, "-m", f"bench.{name}", *speed]) for name in chosen if name != "memory")
    if options.subject and not options.against:
        parser.error("--subject goes with --against")
    if options.against:
        from bench.against import compare

        return compare(options.against, options.subject, chosen, options.case, options.quick)
    recording = results.load(options.recorded) if options.recorded else record(chosen, options)
    if options.json:
        results.save(recording, options.json)
    if options.pyperf_json:
        results.save_for_pyperf(recording, options.pyperf_json)
    if options.report:
        from bench.report import write

        write(recording, Path(options.report))
    faults = [f"{case.name}: {side.name}: {side.cannot}" for case in recording.cases for side in case.sides if side.fault]
    print("\n".join(["went wrong:", *faults]) if faults else "nothing went wrong")
    return 1 if faults else 0


def record(chosen: Sequence[str], options: argparse.Namespace) -> Recording:
    """Measure the files that are ``chosen``, and print each case as it comes."""
    budget, least = QUICK if options.quick else FULL
    start = perf_counter()
    found: list[Measured] = []
    print(heading())
    for name in chosen:
        if name == "memory":
            continue
        module = import_module(f"bench.{name}")
        cases = [case for case in module.cases() if wanted(case, options.quick, options.case)]
        if cases:
            print(f"--- {name}: {(module.__doc__ or '').splitlines()[0]}")
        for case in cases:
            found.append(measure(name, case, budget, least, not (options.quick or options.no_peers)))
            print("\n".join(rows(found[-1])), flush=True)
    memory = []
    if "memory" in chosen and not options.quick:
        from bench.memory import measure as measure_memory

        memory = measure_memory()
    command = "python -m bench" + "".join(f" {text}" for text in (*options.only, *(["--quick"] if options.quick else [])))
    return Recording(environment(), versions(), command, perf_counter() - start, found, memory)


if __name__ == "__main__":
    sys.exit(main())
