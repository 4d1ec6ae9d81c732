"""What is in a picture: every node and every edge, once; and what tells them apart."""

from __future__ import annotations

from collections import Counter

import pictured
import pytest
from pictured import (
    chain,
    constructs,
    crawling,
    diamond,
    fan,
    fetch,
    jumping,
    load,
    merge,
    mixed,
    pair,
    read_dot,
    read_mermaid,
    report,
    total,
)

from cascade_compiler import Router, cache_clear, compile, literal, pictures, run
from cascade_vm import loads
from cascade_vm.pictures.drawing import Picture

CONSTRUCTS = list(constructs())


def named(picture: Picture) -> Counter:
    """Edges as (source, target, kind, label), by titles."""
    nodes = picture.nodes
    return Counter({(nodes[e.source].title, nodes[e.target].title, e.kind, e.label): e.count for e in picture.edges})


@pytest.mark.parametrize("name", CONSTRUCTS)
@pytest.mark.parametrize("compiled", [False, True])
def test_dot_and_mermaid_hold_every_node_and_every_edge_once(name, compiled):
    graph = constructs()[name]
    target = compile(graph) if compiled else graph
    picture = pictures.picture(target)
    for text, read in ((pictures.dot(target), read_dot), (pictures.mermaid(target), read_mermaid)):
        drawn = read(text)
        assert drawn.nodes
        assert set(drawn.nodes) == {f"n{at}" for at in range(len(picture.nodes))}
        assert [(source, target) for source, target, _ in drawn.edges] == [(f"n{e.source}", f"n{e.target}") for e in picture.edges]
        maps = sum(node.kind == "map" for node in picture.nodes)
        assert drawn.boxes == len(picture.boxes) + maps


def test_a_workflow_has_all_that_was_written():
    picture = pictures.picture(report)
    assert Counter(node.kind for node in picture.nodes) == {"call": 12, "map": 1, "input": 2, "router": 1, "resource": 1}
    assert named(picture) == {
        ("day", "load", "data", ""): 1, ("load", "parse", "data", ""): 1, ("load", "crunch", "data", ""): 1,
        ("parse", "crunch", "data", ""): 1, ("load", "pair", "data", ""): 1, ("pair", "total", "data", "[0]"): 1,
        ("pair", "total", "data", "[1]"): 1, ("crunch", "total", "data", ""): 1, ("fetch", "total", "data", ""): 1,
        ("limit", "total", "data", ""): 1, ("total", "is_big", "data", ""): 1, ("total", "load", "data", ""): 1,
        ("is_big", "load", "condition", "if"): 1, ("total", "kind", "data", ""): 1, ("total", "pay", "data", ""): 1,
        ("kind", "Router", "condition", "by"): 1, ("pay", "Router", "route", "'card'"): 1, ("pay", "Router", "route", "'cash'"): 1,
        ("load", "load", "order", ""): 1, ("load", "save", "data", ""): 1, ("Router", "save", "data", ""): 1,
        ("picture_store", "save", "data", ""): 1,
    }  # fmt: skip
    by_title = {node.title: node for node in picture.nodes}
    assert by_title["fetch"].over == "map × 3, at most 2 at once"
    assert by_title["fetch"].marks == ("retry 3×",)
    assert by_title["parse"].marks == ("timeout 5 s",)
    assert by_title["crunch"].marks == ("gpu=1",)
    assert by_title["total"].marks == ("pure", "cache")
    assert by_title["limit"].marks == ("int", "= 5")
    assert by_title["Router"].marks == ("(default): 0",)
    assert [node.marks for node in picture.nodes if node.where and "10/s shop" in node.marks] == [("10/s shop",)]
    assert {node.title: node.mode for node in picture.nodes if node.mode} == {"fetch": "async", "parse": "thread", "crunch": "process"}
    assert by_title["save"].arguments == "({'note': ·, 'paid': ·, 'last': ·}, store=·)"
    line = pictured.report.fn.__code__.co_firstlineno
    assert by_title["pair"].where.endswith(f"pictured.py:{line + 5}")
    assert [node.title for node in picture.nodes if node.is_result] == ["save"]


def test_a_program_has_the_same_calls_and_its_strands():
    live, compiled = pictures.picture(report), pictures.picture(compile(report))

    def calls(picture):
        return Counter((node.title, node.mode, node.where) for node in picture.nodes if node.kind in ("call", "map"))

    assert calls(compiled) == calls(live)
    strands = compile(report).entry.strands
    in_boxes = Counter(int(box.title.removeprefix("strand ")) for box in compiled.boxes if box.kind == "strand")
    marked = {int(mark.removeprefix("strand ")) for node in compiled.nodes for mark in node.marks if mark.startswith("strand ")}
    assert set(in_boxes).isdisjoint(marked)
    assert set(in_boxes) | marked <= set(range(len(strands)))
    for at, box in enumerate(compiled.boxes):
        assert sum(node.box == at for node in compiled.nodes) > 1, box
    choice = next(node for node in compiled.nodes if node.kind == "choice")
    assert choice.marks[0] == "false: None"


def test_an_artifact_is_drawn_as_the_program_was():
    program = compile(crawling)
    assert pictures.dot(loads(program.to_bytes())) == pictures.dot(program)
    assert pictures.dot(loads(program.to_bytes()).link()) == pictures.dot(program)


def test_edges_are_told_apart_by_style_and_colour():
    drawn = read_dot(pictures.dot(report) + "")
    looks = {}
    for _, _, rest in drawn.edges:
        style = tuple(part.split("=")[1] for part in rest.split(", ") if part.split("=")[0] in ("color", "style", "arrowhead", "penwidth"))
        looks.setdefault(rest.split(",")[0], set()).add(style)
    for _, _, rest in read_dot(pictures.dot(jumping)).edges:
        style = tuple(part.split("=")[1] for part in rest.split(", ") if part.split("=")[0] in ("color", "style", "arrowhead", "penwidth"))
        looks.setdefault(rest.split(",")[0], set()).add(style)
    assert set(looks) == {f"class={kind}" for kind in ("data", "condition", "order", "route", "jump")}
    assert all(len(found) == 1 for found in looks.values())
    every = [next(iter(found)) for found in looks.values()]
    assert len({colour for colour, *_ in every}) == 5
    assert len({tuple(rest) for _, *rest in every}) == 5  # in black and white, too


def test_the_legend_tells_what_there_is_and_nothing_else():
    def says(text, words):
        return [word for word in words if word in text]

    words = ["order only", "condition", "goes on with", "route, with", "map: one call", "strand: run", "async task", "folded"]
    assert says(pictures.dot(load(1)), words) == []
    assert says(pictures.dot(fetch(1).after(load(2))), words) == ["order only", "async task"]
    assert says(pictures.dot(jumping), words) == ["goes on with"]
    assert says(pictures.dot(compile(report)), words) == [one for one in words if one not in ("goes on with", "folded")]
    assert says(pictures.mermaid(fan(100), fold=True), words) == ["folded"]


def test_loops_are_seen():
    picture = pictures.picture(crawling)
    assert named(picture) == {
        ("urls", "crawl", "data", ""): 1, ("fetch", "merge", "data", ""): 1, ("crawl", "crawl", "jump", "returns"): 1,
        ("merge", "crawl", "jump", "next turn"): 1,
    }  # fmt: skip
    assert [box.title for box in picture.boxes] == ["returned by crawl"]
    assert {node.title for node in picture.nodes if node.box == 0} == {"fetch", "merge"}
    mutual = pictures.picture(constructs()["mutual"])
    assert named(mutual) == {("ping", "pong", "jump", "returns"): 1, ("pong", "ping", "jump", "returns"): 1}


def test_loops_of_a_program_are_seen():
    picture = pictures.picture(compile(crawling))
    assert named(picture) == {
        ("urls", "crawl", "data", ""): 1, ("fetch", "merge", "data", ""): 1, ("merge", "crawl", "data", ""): 1,
        ("crawl", "crawl", "jump", "returns"): 1,
    }  # fmt: skip
    jumps = [(edge.source, edge.target) for edge in picture.edges if edge.kind == "jump"]
    first, again = (at for at, node in enumerate(picture.nodes) if node.title == "crawl")
    assert jumps == [(first, again), (again, again)]
    assert [box.title for box in picture.boxes if box.kind == "section"] == ["returned by crawl"]
    mutual = pictures.picture(compile(constructs()["mutual"]))
    assert named(mutual) == {("ping", "pong", "jump", "returns"): 1, ("pong", "ping", "jump", "returns"): 1}
    assert [box.title for box in mutual.boxes if box.kind == "section"] == ["returned by ping"]  # what pong returns has the entry's shape
    forgetful = compile(crawling)
    told = loads(forgetful.to_bytes(provenance={name: "?" for name in forgetful.provenance if name.startswith("returns")}))
    picture = pictures.picture(told)
    assert [box.title for box in picture.boxes if box.kind == "section"] == ["returned by a task"]
    assert not [edge for edge in picture.edges if edge.kind == "jump"]


@pytest.mark.parametrize("compiled", [False, True])
def test_jumps_lead_to_routes_and_back(compiled):
    found = named(pictures.picture(compile(jumping) if compiled else jumping))
    assert found == {
        ("n", "step", "data", ""): 1, ("merge", "step", "data", ""): 1, ("step", "jump", "jump", ""): 1,
        ("jump", "step", "jump", "'again'"): 1,
        ("jump", "end", "jump", "'done'"): 1,
    }  # fmt: skip
    nodes = pictures.picture(jumping).nodes
    assert sum(node.title == "step" for node in nodes) == 2  # the first call, and the route


def test_what_is_shared_is_one_node():
    picture = pictures.picture(diamond(40))
    assert len(picture.nodes) == 41
    assert all(edge.count == 2 for edge in picture.edges)
    assert len(pictures.picture(constructs()["shared list"]).nodes) == 6  # the list is a node, since two calls take it
    assert len(pictures.picture(constructs()["list"]).nodes) == 3  # and here it is not


def test_values_and_containers_are_targets_too():
    assert [node.kind for node in pictures.picture(literal("x")).nodes] == ["literal"]
    assert [node.kind for node in pictures.picture([1, 2]).nodes] == ["literal"]
    assert [node.kind for node in pictures.picture(compile(literal(3))).nodes] == ["literal"]
    picture = pictures.picture([load(1), {"b": load(2)}])
    assert [(node.kind, node.arguments) for node in picture.nodes if node.is_result] == [("container", "[·, {'b': ·}]")]


def test_the_same_graph_gives_the_same_text():
    for make in (lambda: report, lambda: mixed(6, 5), lambda: constructs()["set"]):
        assert pictures.dot(make()) == pictures.dot(make())
        assert pictures.mermaid(make()) == pictures.mermaid(make())


def test_nothing_is_run_and_nothing_is_put_into_the_cache():
    cache_clear()
    before = pictures.dot(constructs()["run_if"])
    assert run(total(1)) == 1
    assert pictures.dot(constructs()["run_if"]) == before


def test_the_form_of_a_picture():
    assert "rankdir=TB" in pictures.dot(chain(30))
    assert "rankdir=LR" in pictures.dot(fan(20))
    assert "rankdir=LR" in pictures.dot(chain(30), direction="LR")
    assert pictures.mermaid(fan(20), direction="TB").startswith("flowchart TB")
    assert "<B>my title</B>" in pictures.dot(load(1), title="my title")
    with pytest.raises(ValueError, match="direction must be"):
        pictures.dot(load(1), direction="up")
    with pytest.raises(TypeError, match="there is no picture of 'int'"):
        pictures.dot(3)
    with pytest.raises(ValueError, match="at least 2"):
        pictures.dot(load(1), most=1)


def test_a_graph_in_a_circle_is_drawn():
    box = [1]
    first = merge(box, 2)
    box.append(first)
    assert len(pictures.picture(first).edges) >= 1


def test_a_long_chain_takes_no_stack():
    assert sum(node.count for node in pictures.picture(chain(5_000)).nodes) == 5_001


def test_items_are_told_at_the_edge():
    picture = pictures.picture(merge(pair(load(1))[0], 2))
    assert named(picture)["pair", "merge", "data", "[0]"] == 1
    several = pair(load(1))[0]
    assert named(pictures.picture(merge(several, total(several))))["pair", "[0]", "data", ""] == 1  # two take it: it is a node


def test_keys_of_routes_are_told():
    picture = pictures.picture(Router(load(1), {"a": load(2), ("b", 1): load(3)}, default=load(4)))
    assert {edge.label for edge in picture.edges if edge.kind == "route"} == {"'a'", "('b', 1)", "(default)"}
    compiled = pictures.picture(compile(Router(load(1), {"a": load(2), ("b", 1): load(3)}, default=load(4))))
    assert {edge.label for edge in compiled.edges if edge.kind == "route"} == {"'a'", "('b', 1)", "(default)"}
