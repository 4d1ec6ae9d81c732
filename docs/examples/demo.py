"""The demonstration: compile a workflow ahead of time, run the artifact in a new process, hold the result against the graph.

    python docs/examples/demo.py [--limit N] [--root FOLDER] [--no-tests] [--directory FOLDER]

Compiles ``stdlib_report.report`` to an artifact, starts a Python that loads and runs it, prints what it found, and runs the
same workflow in graph mode. Ends with 1 and the difference where the two do not agree. Every number is measured in this run.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import stdlib_report
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cascade_compiler import compile, run

# All that a process needs to run an artifact. The name of a module says which code the artifact may call: no other is.
RUN_ARTIFACT = """
import json, sys, time
from cascade_vm import load

artifact, inputs = sys.argv[1], json.loads(sys.argv[2])
began = time.perf_counter()
program = load(artifact, allow=["stdlib_report"])
loaded = time.perf_counter()
report = program.run(**inputs)
json.dump({"report": report, "load": loaded - began, "run": time.perf_counter() - loaded}, sys.stdout)
"""


def main() -> int:
    """Run the demonstration; the exit code tells whether both engines agree."""
    parser = argparse.ArgumentParser(description="Compile a workflow, run the artifact in a new process, compare.")
    parser.add_argument("--limit", type=int, default=10, help="entries of a ranking (10)")
    parser.add_argument("--root", default="", help="the folder to look through (the standard library)")
    parser.add_argument("--no-tests", dest="tests", action="store_false", help="leave the library's own tests out")
    parser.add_argument("--directory", type=Path, help="where the artifact is put and stays (a temporary folder)")
    given = parser.parse_args()
    inputs = {"limit": given.limit, "root": given.root, "tests": given.tests}
    with tempfile.TemporaryDirectory() as temporary:
        directory = given.directory or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        return demonstrate(directory / "report.cbp", inputs, Console(highlight=False, width=None if sys.stdout.isatty() else 110))


def demonstrate(artifact: Path, inputs: dict[str, Any], console: Console) -> int:
    """Compile, run, show, compare: 0 when both reports are equal, 1 when not."""
    began = time.perf_counter()
    program = compile(stdlib_report.report)
    program.save(artifact)
    compiled = time.perf_counter()
    there = run_in_new_process(artifact, inputs)
    ended = time.perf_counter()
    show(there["report"], console)
    before_graph = time.perf_counter()
    here = run(stdlib_report.report(**inputs), engine="graph")
    after_graph = time.perf_counter()

    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    instructions = sum(len(blueprint.instructions) for blueprint in program.blueprints.values())
    table.add_row("artifact", f"{artifact.stat().st_size:,} bytes")
    table.add_row("instructions in it", f"{instructions:,}")
    table.add_row("calls in the graph that it made for the files", f"{2 * here['files']:,}")
    table.add_row("compile and save", f"{compiled - began:.3f} s")
    table.add_row("new process: load and verify", f"{there['load']:.3f} s")
    table.add_row("new process: link and run", f"{there['run']:.3f} s")
    table.add_row("new process: in all, with Python's start", f"{ended - compiled:.3f} s")
    table.add_row("graph mode, in this process", f"{after_graph - before_graph:.3f} s")
    console.print("[b]How it was made[/]", table)

    if there["report"] == here:
        console.print(f"[green]The artifact and graph mode agree[/] on all of the report ({here['files']:,} files).")
        return 0
    console.print("[red]The artifact and graph mode differ:[/]")
    artifact_lines, graph_lines = (json.dumps(report, indent=1).splitlines() for report in (there["report"], here))
    difference = difflib.unified_diff(artifact_lines, graph_lines, "artifact", "graph mode", lineterm="")
    console.print(*difference, sep="\n", markup=False, soft_wrap=True)
    return 1


def run_in_new_process(artifact: Path, inputs: dict[str, Any]) -> dict[str, Any]:
    """What the artifact gives in a Python of its own, which finds ``stdlib_report`` beside this file."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", RUN_ARTIFACT, str(artifact), json.dumps(inputs)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def show(report: dict[str, Any], console: Console) -> None:
    """Print a report as tables."""
    sums = "{parsed:,} files, {lines:,} lines, {classes:,} classes, {functions:,} functions"
    console.print(f"\n[b]{sums.format(**report)}[/]\n")
    ranking("The largest packages", report["packages"], console)
    ranking("The most imported modules", report["imported"], console)
    ranking("The longest functions", report["longest"], console)
    ranking("Not parsed", report["faults"], console)


def ranking(title: str, rows: list[dict[str, Any]], console: Console) -> None:
    """Print rows of one form as a table, numbers to the right; nothing where there are no rows."""
    if not rows:
        return
    table = Table(box=box.SIMPLE)
    for name, value in rows[0].items():
        table.add_column(name, justify="right" if type(value) is int else "left", overflow="fold")
    for row in rows:
        table.add_row(*[f"{value:,}" if type(value) is int else escape(value) for value in row.values()])
    console.print(f"[b]{title}[/]", table)


if __name__ == "__main__":
    sys.exit(main())
