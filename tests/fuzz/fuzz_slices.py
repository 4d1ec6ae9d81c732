"""A piece of the work of fuzzing: what one process does at a time."""

from __future__ import annotations

import collections
import faulthandler
import random
from functools import cache
from pathlib import Path

from fuzz_corpus import samples
from fuzz_mutations import mutant
from fuzz_outcome import Finding, outcome

known_samples = cache(samples)  # once in each process


def slice_of(seed: int, first: int, count: int, folder: str | Path) -> tuple[collections.Counter[str], list[str]]:
    """The outcomes of ``count`` mutants from number ``first`` on, and the names of the files of findings."""
    faulthandler.enable()
    known = known_samples()
    found: collections.Counter[str] = collections.Counter()
    findings = []
    for number in range(first, first + count):
        rng = random.Random(f"{seed}/{number}")
        sample, made = mutant(known, rng)
        try:
            found[outcome(sample, made, rng)] += 1
        except Finding as finding:
            found["FINDING"] += 1
            Path(folder).mkdir(parents=True, exist_ok=True)
            path = Path(folder) / f"{sample.name.removesuffix('.cbp')}-{seed}-{number}{'.cbl' if isinstance(made, str) else '.cbp'}"
            path.write_bytes(made.encode("utf-8", "surrogatepass") if isinstance(made, str) else made)
            path.with_suffix(".txt").write_text(f"{finding}\n", encoding="utf-8")
            findings.append(str(path))
    return found, findings
