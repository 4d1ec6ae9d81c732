"""Error codes: each that can be raised is explained, each that is explained can be raised, and all travel with the error."""

from __future__ import annotations

import ast
import functools
import pickle
import re
from pathlib import Path

import pytest

import cascade_compiler
from cascade_compiler.cli import main
from cascade_compiler.cli.failures import document, text
from cascade_vm import CascadeError, errors_page
from cascade_vm.explanations import EXPLANATIONS, codes, explain, rules

ROOT = Path(__file__).parents[2]
SOURCES = [path for package in ("cascade_vm", "cascade_compiler") for path in sorted((ROOT / package).rglob("*.py"))]


@functools.cache
def written_codes() -> dict[str, str]:
    """Every code in the source, and a place where it stands: as ``code="..."`` of a call, or as ``code = "..."`` of a class."""
    found: dict[str, str] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            pairs = []
            if isinstance(node, ast.Call):
                pairs = [(one.arg, one.value) for one in node.keywords]
            elif isinstance(node, ast.ClassDef):
                assigned = [one for one in node.body if isinstance(one, ast.Assign)]
                pairs = [(one.targets[0].id, one.value) for one in assigned if isinstance(one.targets[0], ast.Name)]
            for name, value in pairs:
                if name == "code" and isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
                    found[value.value] = f"{path.name}:{node.lineno}"
    return found


def test_all_that_are_raised_are_explained():
    assert {code: place for code, place in written_codes().items() if explain(code) is None and code != "V"} == {}


def test_all_that_are_explained_are_raised():
    assert set(EXPLANATIONS) <= set(written_codes())


def subclasses(kind: type) -> set[type]:
    return {kind}.union(*(subclasses(one) for one in kind.__subclasses__()))


def test_every_class_of_errors_has_codes():
    """Either one of its own, or one for each place that raises it"""
    for kind in subclasses(CascadeError):
        if not kind.__module__.startswith("cascade_") or kind is CascadeError or ".testing" in kind.__module__:
            continue
        coded = any("code" in vars(base) for base in kind.__mro__ if base is not CascadeError and issubclass(base, CascadeError))
        assert coded or kind.__init__ is not Exception.__init__, kind


@pytest.mark.parametrize("code", codes())
def test_explanations(code):
    found = explain(code.lower())
    assert found is not None
    assert found.title[0].isupper()
    assert not found.title.endswith(".")
    assert found.meaning.endswith((".", ".)"))
    assert found.remedy.endswith(".")
    assert all(len(part) > 20 for part in (found.meaning, found.remedy))
    if found.example:
        ast.parse(found.example)


def test_the_rules_are_those_of_the_verifier():
    from cascade_vm.verify import verify

    text_of_module = __import__("sys").modules[verify.__module__].__doc__
    assert set(rules()) == set(re.findall(r"^ ([A-Z]\d+) ", text_of_module, re.MULTILINE))
    assert len(rules()) > 20
    assert explain("V-Z9") is None
    assert explain("Q1") is None


def test_the_page_is_fresh():
    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == errors_page.page()


def test_codes_travel():
    """Through pickle, which a task in a process uses"""
    for fault in (cascade_compiler.CompileError("x", code="C03"), cascade_compiler.LoadError("x", code="L05")):
        again = pickle.loads(pickle.dumps(fault))
        assert (type(again), str(again), again.code) == (type(fault), "x", fault.code)


def test_they_are_shown():
    fault = cascade_compiler.CompileError("no such thing", code="C03")
    assert text(fault) == "error[C03]: no such thing"
    assert document(fault, 2)["code"] == "C03"


class TestCommand:
    def test_one(self, capsys):
        assert main(["explain", "c01"]) == 0
        said = capsys.readouterr().out
        assert said.startswith("C01: The graph goes in a circle\n\n")
        assert "    parts.append(result)\n" in said
        assert all(len(line) <= 100 for line in said.splitlines())

    @pytest.mark.parametrize("written", ["V-O3", "v-o3", "VO3"])
    def test_a_rule(self, capsys, written):
        assert main(["explain", written]) == 0
        said = capsys.readouterr().out
        assert said.startswith("V-O3: ")
        assert "Every register read" in said

    def test_all(self, capsys):
        assert main(["explain"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == codes()

    def test_json(self, capsys):
        assert main(["explain", "L05", "--json"]) == 0
        assert '"code": "L05", "title": "The content is damaged"' in capsys.readouterr().out

    def test_none(self, capsys):
        assert main(["explain", "C99"]) == 2
        assert capsys.readouterr().err.startswith("error[U02]: there is no error code 'C99'; near it: C")
