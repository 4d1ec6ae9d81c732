"""SVG: what Graphviz makes of the DOT text, and what is said where there is no Graphviz."""

from __future__ import annotations

import shutil
import subprocess
from xml.etree import ElementTree

import pytest
from pictured import chain, constructs, fan, jumping, load, mixed, report
from test_labels import HOSTILE, graphs

from cascade_compiler import compile, pictures
from cascade_vm.pictures import layout

with_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
SVG = "{http://www.w3.org/2000/svg}"


def classes(svg: str, word: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(svg)
    return [one for one in root.iter(f"{SVG}g") if word in one.get("class", "").split()]


@with_dot
@pytest.mark.parametrize("name", list(constructs()))
@pytest.mark.parametrize("compiled", [False, True])
def test_every_construct_is_laid_out(name, compiled):
    graph = constructs()[name]
    target = compile(graph) if compiled else graph
    picture = pictures.picture(target)
    svg = pictures.svg(target)
    assert svg.startswith("<svg")
    assert len(classes(svg, "node")) == len(picture.nodes)
    assert len(classes(svg, "edge")) == len(picture.edges)
    assert len(classes(svg, "cluster")) == len(picture.boxes) + sum(node.kind == "map" for node in picture.nodes)


@with_dot
def test_dot_has_nothing_to_complain_about():
    for target in (report, compile(report), jumping, mixed(9, 30), fan(30), chain(100)):
        done = subprocess.run(["dot", "-Tsvg"], input=pictures.dot(target).encode(), capture_output=True, check=True)
        assert done.stderr == b""


@with_dot
def test_hostile_texts_are_laid_out():
    together = [graph for text in HOSTILE for graph in graphs(text)]
    svg = pictures.svg(together, title="".join(HOSTILE), fold=False, direction="LR")
    assert len(classes(svg, "node")) == len(pictures.picture(together, fold=False).nodes) > len(HOSTILE)


@with_dot
def test_large_graphs_are_laid_out_too():
    for graph in (mixed(9, 50), fan(1000), mixed(20, 60)):
        assert 1 < len(classes(pictures.svg(graph), "node")) <= 500


def test_without_graphviz_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(layout.shutil, "which", lambda name: None)
    monkeypatch.setattr(layout, "find_spec", lambda name: None)
    assert not pictures.can_lay_out()
    with pytest.raises(pictures.CannotLayOut, match=r"apt-get install graphviz") as caught:
        pictures.svg(load(1))
    assert caught.value.code == "U04"
    assert pictures.dot(load(1)).startswith("digraph")
    assert pictures.mermaid(load(1)).startswith("flowchart")


def test_pygraphviz_lays_out_where_there_is_no_dot(monkeypatch, tmp_path):
    (tmp_path / "pygraphviz.py").write_text(
        "class AGraph:\n"
        "    def __init__(self, string):\n"
        "        self.string = string\n"
        "    def draw(self, format, prog):\n"
        "        return f'<?xml?><svg>{format} {prog} {self.string}</svg>'.encode()\n"
    )
    monkeypatch.setattr(layout.shutil, "which", lambda name: None)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert pictures.can_lay_out()
    assert layout.to_svg("digraph { ä }") == "<svg>svg dot digraph { ä }</svg>"


def test_a_dot_that_fails_is_told_of(monkeypatch, tmp_path):
    monkeypatch.setattr(layout.shutil, "which", lambda name: str(tmp_path / "dot"))
    with pytest.raises(pictures.CannotLayOut, match="cannot be started"):
        pictures.svg(load(1))
    (tmp_path / "dot").write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    (tmp_path / "dot").chmod(0o755)
    with pytest.raises(pictures.CannotLayOut, match="exit code 3: no such luck"):
        pictures.svg(load(1))
    (tmp_path / "dot").write_text("#!/bin/sh\necho nothing\n")
    with pytest.raises(pictures.CannotLayOut, match="gave no SVG"):
        pictures.svg(load(1))


def test_one_that_takes_too_long_is_ended(monkeypatch):
    def late(*args, **options):
        raise subprocess.TimeoutExpired("dot", options["timeout"])

    monkeypatch.setattr(layout.shutil, "which", lambda name: "/usr/bin/dot")
    monkeypatch.setattr(layout.subprocess, "run", late)
    with pytest.raises(pictures.CannotLayOut, match="within 120 s"):
        pictures.svg(load(1))
