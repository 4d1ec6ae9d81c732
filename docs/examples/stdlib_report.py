"""A survey of the Python standard library on this machine: some 1,500 files, read in overlap, parsed, summed up.

The workflow does not know the files: an artifact made of it holds no path of any machine. ``find`` looks for them when it
runs, and ``survey`` then returns a graph of its own, one ``read`` and one ``parse`` for each file. Its value takes the place
of the call: ``summarize`` gets the list of records and cannot tell that a graph was in between.

    from cascade_compiler import run
    from stdlib_report import report

    run(report(limit=5))["longest"]

``demo.py`` compiles it ahead of time, runs the artifact in a new process, and shows the result.
"""

from __future__ import annotations

import ast
import asyncio
import os
import sysconfig
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cascade_compiler import LazyResult, gather, task, workflow

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALLED = {"site-packages", "dist-packages"}  # what others added to the library's folder
TESTS = {"test", "tests", "idle_test"}


class Source(NamedTuple):
    """One file: its name below the library's folder, and its bytes, or why it has none."""

    name: str
    text: bytes
    fault: str = ""


@workflow
def report(limit: int = 10, root: str = "", tests: bool = True) -> Any:
    """What is in the standard library: sums, and the ``limit`` first of each ranking.

    :param limit: how many entries a ranking has.
    :param root: the folder to look through; the empty text is the standard library of the Python that runs this.
    :param tests: count the library's own tests too.
    """
    library = locate(root)
    return summarize(survey(library, find(library, tests), limit), limit)


@task
def locate(root: str) -> str:
    """``root``, or the folder of the standard library."""
    return root or sysconfig.get_paths()["stdlib"]


@task
def find(root: str, tests: bool) -> list[str]:
    """The Python files below ``root``, relative to it, sorted."""
    left_out = INSTALLED if tests else INSTALLED | TESTS
    names = []
    for folder, folders, files in os.walk(root):
        folders[:] = [inner for inner in folders if inner not in left_out]
        names += [Path(folder, file).relative_to(root).as_posix() for file in files if file.endswith(".py")]
    if not names:
        raise FileNotFoundError(f"no Python files below {root}")
    return sorted(names)


@task
def survey(root: str, names: list[str], limit: int) -> LazyResult:
    """The graph of the whole survey, now that the files are known: a record for each of them."""
    return gather(*[parse(read(root, name), limit) for name in names])


@task
async def read(root: str, name: str) -> Source:
    """A file's bytes. The threads of the event loop do the reading, while the files that are there are being parsed."""
    try:
        return Source(name, await asyncio.to_thread(Path(root, name).read_bytes))
    except OSError as problem:
        return Source(name, b"", f"{type(problem).__name__}: {problem.strerror}")


@task
def parse(source: Source, limit: int) -> dict[str, Any]:
    """What one file defines and imports, with its ``limit`` longest functions; or its fault, where it has one."""
    if source.fault:
        return {"file": source.name, "fault": source.fault}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes and the like: old files have them
            tree = ast.parse(source.text, source.name)
    except SyntaxError as problem:  # the encoding is wrong or unknown, or it is Python 2
        where = f" (line {problem.lineno})" if problem.lineno else ""
        return {"file": source.name, "fault": f"{type(problem).__name__}: {problem.msg}{where}"}
    except (ValueError, RecursionError, MemoryError) as problem:  # null bytes; too deep for the parser
        return {"file": source.name, "fault": f"{type(problem).__name__}: {problem}"}

    classes = 0
    functions: list[dict[str, Any]] = []
    imports: set[str] = set()
    for scope, node in statements(tree):
        match node:
            case ast.ClassDef():
                classes += 1
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                functions.append({"function": scope + node.name, "file": source.name, "line": node.lineno, "lines": lines})
            case ast.Import():
                imports.update(alias.name.partition(".")[0] for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):  # relative imports stay within their package
                imports.add(module.partition(".")[0])
    return {
        "file": source.name,
        "fault": "",
        "lines": len(source.text.splitlines()),
        "classes": classes,
        "functions": len(functions),
        "longest": sorted(functions, key=longest_first)[:limit],
        "imports": sorted(imports),
    }


@task
def summarize(records: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """The report, as plain data. Rankings are by number, largest first, and then by name."""
    parsed = [record for record in records if not record["fault"]]
    packages: dict[str, Counter[str]] = {}
    for record in parsed:
        package = record["file"].partition("/")[0].removesuffix(".py")
        sums = {"files": 1, **{what: record[what] for what in ("lines", "classes", "functions")}}
        packages.setdefault(package, Counter()).update(sums)
    imported = Counter(module for record in parsed for module in record["imports"])
    longest = [function for record in parsed for function in record["longest"]]
    return {
        "files": len(records),
        "parsed": len(parsed),
        "lines": sum(record["lines"] for record in parsed),
        "classes": sum(record["classes"] for record in parsed),
        "functions": sum(record["functions"] for record in parsed),
        "packages": [
            {"package": name, **sums} for name, sums in sorted(packages.items(), key=lambda of: (-of[1]["lines"], of[0]))[:limit]
        ],
        "imported": [
            {"module": name, "files": files} for name, files in sorted(imported.items(), key=lambda of: (-of[1], of[0]))[:limit]
        ],
        "longest": sorted(longest, key=longest_first)[:limit],
        "faults": [{"file": record["file"], "fault": record["fault"]} for record in records if record["fault"]],
    }


def longest_first(function: dict[str, Any]) -> tuple[int, str, int]:
    """The order of functions: by length, then by where they are."""
    return (-function["lines"], function["file"], function["line"])


def statements(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Each statement with the dotted prefix of what it is in, in no order that matters.

    Only blocks are entered, never expressions: they define and import nothing, and are most of a tree. Nothing recurses.
    """
    open_: list[tuple[str, ast.AST]] = [("", tree)]
    while open_:
        scope, node = open_.pop()
        yield scope, node
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            scope = f"{scope}{node.name}."
        for block in ("body", "orelse", "handlers", "finalbody", "cases"):
            open_ += [(scope, child) for child in getattr(node, block, ())]
