"""Folded pictures: counts that add up, bounds that hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pictured import chain, fan, load, merge, mixed, read_dot, report, total

from cascade_compiler import pictures, task
from cascade_vm.pictures.drawing import Edge, Node, Picture
from cascade_vm.pictures.folding import fold


def nodes_of(picture: Picture) -> int:
    return sum(node.count for node in picture.nodes)


def edges_of(picture: Picture) -> int:
    return sum(node.inner for node in picture.nodes) + sum(edge.count for edge in picture.edges)


@st.composite
def drawn(draw):
    """Any picture: with loops, parallel edges, several results."""
    count = draw(st.integers(1, 40))
    titles = draw(st.lists(st.sampled_from("abc"), min_size=count, max_size=count))
    nodes = [Node("call", draw(st.sampled_from(["", "async"])), one, "()", "f.py:1", (), one) for one in titles]
    ends = st.integers(0, count - 1)
    kinds = st.sampled_from(["data", "order", "condition", "jump"])
    found = draw(st.lists(st.tuples(ends, ends, kinds, st.sampled_from(["", "x"]), st.integers(1, 3)), max_size=80))
    return Picture(nodes, [Edge(*one) for one in dict.fromkeys(found)], [])


@given(drawn(), st.integers(2, 12), st.booleans())
def test_counts_add_up_and_bounds_hold(picture, most, always):
    folded = fold(picture, most, always)
    assert nodes_of(folded) == nodes_of(picture)
    assert edges_of(folded) == edges_of(picture)
    assert len(folded.nodes) <= most
    assert all(0 <= edge.source < len(folded.nodes) and 0 <= edge.target < len(folded.nodes) for edge in folded.edges)
    assert fold(picture, most, always) == folded


@given(drawn())
def test_what_has_a_place_for_every_node_is_not_folded(picture):
    assert fold(picture, 500) == picture or len(picture.nodes) >= 40


def test_a_fan_becomes_one_box_with_a_count():
    picture = pictures.picture(fan(1000))
    assert [(node.title, node.count) for node in picture.nodes] == [("load", 1000), ("fetch", 1000), ("total", 1)]
    assert [(edge.count, picture.nodes[edge.target].title) for edge in picture.edges] == [(1000, "fetch"), (1000, "total")]
    assert "2,001 nodes shown as 3" in pictures.dot(fan(1000))


def test_a_run_of_equal_calls_becomes_one_box_with_a_count():
    picture = pictures.picture(chain(1000))
    assert [(node.title, node.count, node.inner, node.is_result) for node in picture.nodes] == [
        ("load", 1, 0, False), ("merge", 999, 998, False), ("merge", 1, 0, True),
    ]  # fmt: skip


def test_different_calls_are_not_put_together():
    values = [load(1) if at % 2 else load(1, "other") for at in range(30)]
    picture = pictures.picture(total(*values, merge(load(1), 2)), fold=True)
    assert sorted((node.title, node.count) for node in picture.nodes) == [("load", 1), ("load", 30), ("merge", 1), ("total", 1)]
    separate = total(*[load(1) for _ in range(10)], *[load(1).with_retry(2) for _ in range(20)])
    assert sorted(node.count for node in pictures.picture(separate, fold=True).nodes) == [1, 10, 20]


def test_folding_is_for_large_pictures_and_those_who_ask():
    graph = fan(15)
    assert len(pictures.picture(graph).nodes) == 31
    assert len(pictures.picture(graph, fold=True).nodes) == 3
    assert len(pictures.picture(fan(60)).nodes) == 3  # a crowd: so many side by side are taller than any page
    assert len(pictures.picture(fan(60), fold=False).nodes) == 121
    assert len(pictures.picture(mixed(9, 54)).nodes) > 300
    assert len(pictures.picture(mixed(9, 100), fold=False).nodes) > 500
    assert len(pictures.picture(mixed(9, 100)).nodes) <= 500


def test_every_text_is_bounded():
    for graph in (mixed(30, 30), chain(1000), fan(600)):
        assert len(read_dot(pictures.dot(graph)).nodes) <= 500
        assert len(pictures.dot(graph)) < 400_000
        mermaid = pictures.mermaid(graph)
        assert len(mermaid) < 50_000
        assert mermaid.count("-->") < 500


def test_where_every_call_is_of_another_task_the_rare_ones_become_one():
    def numbered(at):
        def one(*values):
            return values

        one.__name__ = one.__qualname__ = f"task_{at}"
        return task(one)

    values = [numbered(at)(at) for at in range(300)]
    picture = pictures.picture(total(*values), most=20)
    assert len(picture.nodes) <= 20
    assert nodes_of(picture) == 301
    assert "others" in [node.title for node in picture.nodes]


def test_boxes_of_folded_pictures_hold_something():
    from cascade_compiler import compile

    picture = pictures.picture(compile(report), fold=True)
    for at in range(len(picture.boxes)):
        assert any(node.box == at for node in picture.nodes) or any(box.parent == at for box in picture.boxes)
