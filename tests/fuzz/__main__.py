"""Mutants by the number: ``python -m tests.fuzz --mutants 1000000 --processes 2``.

Mutant number n of a seed is always the same one. Each finding is kept as a file beside its traceback; ``--replay FILE`` tries one again.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import concurrent.futures.process
import multiprocessing
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_outcome import outcome
from fuzz_slices import known_samples, slice_of

_SLICE = 500  # mutants that a process takes at a time


def main() -> int:
    """:returns: the number of findings, at most 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first mutant")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--findings", default="fuzz-findings", help="the folder for what is found")
    parser.add_argument("--replay", type=Path, help="a file that was found: try it with every sample's inputs")
    given = parser.parse_args()
    if given.replay is not None:
        content = given.replay.read_bytes()
        for sample in known_samples():
            print(sample.name, outcome(sample, content.decode() if given.replay.suffix == ".cbl" else content, random.Random(0)))
        return 0
    started = time.monotonic()
    last = given.first + given.mutants
    slices = [(given.seed, at, min(_SLICE, last - at), given.findings) for at in range(given.first, last, _SLICE)]
    total: collections.Counter[str] = collections.Counter()
    files: list[str] = []
    with concurrent.futures.ProcessPoolExecutor(given.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(slice_of, *one): one for one in slices}
        for number, done in enumerate(concurrent.futures.as_completed(waiting), 1):
            try:
                found, findings = done.result()
            except concurrent.futures.process.BrokenProcessPool:
                lost = sorted(one[1] for future, one in waiting.items() if not future.done() or future.exception() is not None)
                print(f"a process died; the first slices that are lost: {lost[: 2 * given.processes]}")
                return 1
            total += found
            files += findings
            if number % 20 == 0 or findings:
                count = sum(total.values())
                print(f"{count:,} mutants, {count / (time.monotonic() - started):,.0f} a second, {len(files)} findings", flush=True)
                for name in findings:
                    told = Path(name).with_suffix(".txt").read_text(encoding="utf-8").strip().splitlines()
                    print(f"  {name}: {told[-1][:160]}", flush=True)
    for name, count in total.most_common():
        print(f"{count:10,}  {name}")
    return min(1, len(files))


if __name__ == "__main__":
    sys.exit(main())
