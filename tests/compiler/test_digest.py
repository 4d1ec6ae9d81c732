"""The digest of a shape does not depend on how many entries are encoded at once, and does not change from one version to the next."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from graphs import random_graph, work

from cascade_compiler.capture import capture
from cascade_compiler.ir import Graph
from cascade_compiler.shape import _entries, digest


def chain(length: int) -> Any:
    node: Any = 1
    for _ in range(length):
        node = work(node)
    return node


def one_by_one(graph: Graph) -> str:
    encoded = [msgspec.msgpack.encode(entry) for entry in _entries(graph)]
    return hashlib.blake2b(b"".join(encoded), digest_size=20).hexdigest()


@pytest.mark.parametrize("lengths", [range(1, 40), range(990, 1012), range(1990, 2012)], ids=str)
def test_each_entry_counts_as_if_alone(lengths):
    assert len({digest(capture(chain(length))) for length in lengths}) == len(lengths)
    for length in lengths:
        graph = capture(chain(length))
        assert digest(graph) == one_by_one(graph)


def test_of_every_kind():
    for seed in range(100):
        graph = random_graph(seed, choices=True)
        assert digest(graph) == one_by_one(graph)


def test_one_that_was_written_down():
    """Artifacts and other processes know shapes by these: a new digest of an old shape would be a new format."""
    assert digest(capture(chain(2500))) == "f3fd94ad49cc24428f511b00e43fc5547d90c27b"
