"""The house rules that a machine can check: layers, import cost, what may import asyncio, and a wheel that works."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("cascade_vm", "cascade_compiler")


def modules(package: str) -> dict[str, Path]:
    """Every module of a package, by dotted name."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


ALL_MODULES = {name for package in PACKAGES for name in modules(package)}


def imports(path: Path, top_only: bool) -> set[str]:
    """What a file imports: everywhere, or (``top_only``) when it is imported itself, which leaves out `if TYPE_CHECKING`."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                for alias in child.names:  # `from package import module` is an import of the module alone
                    name = f"{child.module}.{alias.name}"
                    found.add(name if child.module in PACKAGES or name in ALL_MODULES else child.module)
            elif top_only and _runs_later(child):
                continue
            else:
                visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def _runs_later(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))


def test_the_machine_never_imports_the_compiler():
    for name, path in modules("cascade_vm").items():
        assert not any(one.split(".")[0] == "cascade_compiler" for one in imports(path, top_only=False)), name


def test_one_file_of_the_machine_imports_asyncio():
    users = [name for name, path in modules("cascade_vm").items() if "asyncio" in imports(path, top_only=False)]
    assert users == ["cascade_vm.asyncio_driver"]


def test_graph_mode_shares_nothing_with_lowering_or_the_machine():
    forbidden = {
        "cascade_compiler." + one
        for one in ("capture", "ir", "strands", "registers", "emit", "matcher", "cache", "lowering", "shape", "passes")
    } | {
        "cascade_vm." + one
        for one in ("machine", "scheduler", "frame", "flow", "link", "executable", "asyncio_driver", "blocking_driver", "failure",
                    "capacity", "rate", "limits", "invocation", "mapping", "regions", "jobs", "pools",
                    "resources", "instrument")
    }  # fmt: skip
    for name in ("mode", "evaluation", "plan", "steps", "turns", "calls", "limits", "map", "pools", "resources", "events"):
        assert not imports(ROOT / "cascade_compiler" / f"graph_{name}.py", top_only=False) & forbidden


@pytest.mark.parametrize("package", PACKAGES)
def test_there_are_no_import_cycles(package):
    """Over what is imported at import time; a cycle hidden in a function is still a design to be explained, and is listed here."""
    files = modules(package)
    graph = {name: {one for one in imports(path, top_only=True) if one in files and one != name} for name, path in files.items()}
    done: set[str] = set()
    path: list[str] = []

    def visit(name: str) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        path.append(name)
        for other in sorted(graph[name]):
            visit(other)
        path.pop()
        done.add(name)

    for name in files:
        if name != package:  # the package's own __init__ imports all of its members, and none imports it
            visit(name)
    for name, path_of in files.items():
        if name != package:
            whole = {one for one in imports(path_of, top_only=True) if one.startswith(f"{package}.") and one.count(".") == 1}
            assert whole <= set(files), (
                f"{name} imports {sorted(whole - set(files))} from the package itself, not from its module"
            )


@pytest.mark.parametrize("statement", ["import cascade_vm", "import cascade_compiler"])
def test_imports_stay_light(statement):
    """Neither package brings asyncio, the command line or what tests need; the machine does not bring the compiler."""
    heavy = {"asyncio", "cyclopts", "rich", "hypothesis", "pyperf"}
    if statement.endswith("vm"):
        heavy |= {"cascade_compiler", "attrs"}
    code = f"import sys; {statement}; print(*sorted(set({sorted(heavy)!r}) & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout.split() == []


def test_files_are_small_enough_to_have_one_idea():
    for package in PACKAGES:
        for name, path in modules(package).items():
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= 400, f"{name} has {lines} lines: what is the second idea in it?"


@pytest.mark.slow
def test_the_wheel_holds_both_packages_and_nothing_else(tmp_path):
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    listing = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True, check=True
    ).stdout
    names = [line.split()[0] for line in listing.splitlines()[1:]]
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert "cascade_vm/py.typed" in names
