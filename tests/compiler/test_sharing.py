"""A matcher takes a graph for one of its shape just where it is: what is one node and what are two is part of the shape (S27, P10).

Every graph of a few nodes against the matcher of every other.
"""

from __future__ import annotations

import itertools

import pytest

from cascade_compiler import task
from cascade_compiler.cache import Entry
from cascade_compiler.capture import capture
from cascade_compiler.lowering import link_emitted, lower
from cascade_compiler.shape import digest


@task
def leaf(n):
    return n


@task
def pair(x, y):
    return x, y


@task
def other(x, y):
    return y, x


def graphs(parts):
    """Each node is a leaf, or takes two of those before it; the last one is the root.

    :param parts: what a node may be, given those before it.
    """
    choices = [["leaf"]]
    for size in range(1, 5):
        pairs = list(itertools.product(range(size), repeat=2))
        choices.append(["leaf", *pairs] if size < 4 else pairs)
    for picked in itertools.product(*choices):
        nodes = []
        for one in picked:
            nodes.append(leaf(1) if one == "leaf" else parts(nodes, *one))
        yield nodes[-1]


def plain(nodes, one, other_):
    return pair(nodes[one], nodes[other_])


def ordered(nodes, one, after):
    """Of a node and what it comes after"""
    return pair(nodes[one], 1).after(nodes[after])


def chosen(nodes, test, otherwise):
    return pair(1, 1).run_if(nodes[test], otherwise=nodes[otherwise])


def contained(nodes, one, other_):
    """In lists: what is shared is what they hold, and not the list"""
    return other([nodes[one], nodes[other_]], nodes[one])


@pytest.mark.parametrize("parts", [plain, ordered, chosen, contained])
def test_every_graph_against_every_shape(parts):
    every = list(graphs(parts))
    shapes = {}
    for root in every:
        graph = capture(root)
        shapes.setdefault(digest(graph), []).append(root)
    assert len(shapes) > 15
    for known, roots in shapes.items():
        graph = capture(roots[0])
        entry = Entry(graph, link_emitted(lower(graph, known)))
        match = entry.prepare()
        for cycle_id, others in shapes.items():
            for root in others:
                assert (match(root) is not None) is (cycle_id == known)
