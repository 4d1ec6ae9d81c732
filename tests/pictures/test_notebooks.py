"""What notebooks show: the picture, or a text where there is none."""

from __future__ import annotations

import shutil

import pytest
from pictured import chain, fan, load, merge, report

from cascade_compiler import cache_clear, compile, run, workflow
from cascade_vm.pictures import layout

with_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


@pytest.fixture
def no_graphviz(monkeypatch):
    monkeypatch.setattr(layout.shutil, "which", lambda name: None)
    monkeypatch.setattr(layout, "find_spec", lambda name: None)


@with_dot
@pytest.mark.parametrize("target", [merge(load(1), 2), report, compile(report)], ids=["graph", "workflow", "program"])
def test_notebooks_get_the_picture(target):
    svg = target._repr_svg_()
    assert svg.startswith("<svg")
    assert target._repr_html_() == f'<div style="overflow: auto; max-height: 80vh; background: #ffffff">{svg}</div>'
    shown = target._repr_mimebundle_(include=None, exclude=None)
    assert shown == {"text/plain": repr(target), "image/svg+xml": svg, "text/html": target._repr_html_()}


@pytest.mark.parametrize("target", [merge(load(1), 2), report, compile(report)], ids=["graph", "workflow", "program"])
def test_without_graphviz_they_get_mermaid(no_graphviz, target):
    assert target._repr_svg_() is None
    assert target._repr_html_() is None
    shown = target._repr_mimebundle_()
    assert list(shown) == ["text/plain", "text/vnd.mermaid"]
    assert shown["text/vnd.mermaid"].startswith("flowchart")


def test_large_graphs_are_folded(no_graphviz):
    for graph in (fan(500), chain(200)):
        assert len(graph._repr_mimebundle_()["text/vnd.mermaid"]) < 10_000


@workflow
def nothing():
    return None


@pytest.mark.usefixtures("no_graphviz")
def test_what_has_no_meaning_is_shown_as_text():
    assert nothing._repr_mimebundle_() == {"text/plain": repr(nothing)}


@with_dot
def test_what_has_no_meaning_is_shown_as_text_with_graphviz_too():
    assert nothing._repr_mimebundle_() == {"text/plain": repr(nothing)}
    assert nothing._repr_svg_() is None


def test_a_graph_is_built_and_run_as_before():
    cache_clear()
    graph = merge(load(1), 2)
    assert run(graph) == [[1, "db"], 2]
    assert not hasattr(graph, "__dict__")
    with pytest.raises(AttributeError):
        graph._ipython_canary_method_should_not_exist_  # noqa: B018
