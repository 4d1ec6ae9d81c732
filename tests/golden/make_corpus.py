"""Adds to the golden corpus what the present version writes: an artifact, and a JSON of what it tells and gives, for each flow.

    PYTHONPATH=. python tests/golden/make_corpus.py

A flow whose newest artifact has the same content gets no other. What is there already is never written again: an artifact that somebody may
have must stay readable. Look at the difference of what was added, say in the CHANGELOG what changed, and commit both.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import corpus
import golden_flows

from cascade_compiler import compile
from cascade_vm import loads
from cascade_vm.container import CONTAINER_VERSION, unpack


def add(name: str, flow: Any) -> Path | None:
    """Write the artifact of one flow, and its JSON; None where the corpus has it."""
    artifact = compile(flow).to_bytes()
    known = corpus.of_flow(name, CONTAINER_VERSION)
    if known and unpack(known[-1].read_bytes()).content == unpack(artifact).content:
        return None
    number = f"-{len(known) + 1}" if known else ""
    path = corpus.ARTIFACTS / f"{name}.v{CONTAINER_VERSION}{number}.cbp"
    os.environ.update(golden_flows.ENVIRONMENT)
    program = loads(artifact)
    document = {"told": corpus.told(artifact, program), "runs": corpus.runs(program, golden_flows.RUNS[name], "interpreter")}
    with open(path, "xb") as file:
        file.write(artifact)
    with open(path.with_suffix(".json"), "x", encoding="ascii") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    return path


def main() -> None:
    """Add what is missing, and say what."""
    corpus.ARTIFACTS.mkdir(exist_ok=True)
    added = [path for name, flow in golden_flows.FLOWS.items() if (path := add(name, flow)) is not None]
    for path in added:
        print(f"added {path.name}")
    print(f"{len(added)} artifacts added" if added else "the corpus has all that this version writes", file=sys.stderr)


if __name__ == "__main__":
    main()
