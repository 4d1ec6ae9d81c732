"""Other libraries for graphs of Python calls, doing the same work. One file each, with one function for each piece of work.

Each is used as its own documentation recommends, and is given what it offers to be fast: its graph is built once and reused, checks and
tracking that can be turned off are off. A function that a library has no way to do raises ``Cannot`` with the reason. They are installed
by the extra ``peers``; one that is missing is named in the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module, metadata
from typing import Any, NamedTuple

from bench.case import Cannot, Peers, Work


class Peer(NamedTuple):
    module: str
    distribution: str
    options: Mapping[str, Any]


PEERS: dict[str, Peer] = {
    "dask, synchronous": Peer("bench.peers.dask", "dask", {"scheduler": "synchronous"}),
    "dask, threads": Peer("bench.peers.dask", "dask", {"scheduler": "threads"}),
    "pipefunc": Peer("bench.peers.pipefunc", "pipefunc", {}),
    "Hamilton": Peer("bench.peers.hamilton", "apache-hamilton", {}),
    "Burr": Peer("bench.peers.burr", "apache-burr", {}),
    "pydantic-graph": Peer("bench.peers.pydantic_graph", "pydantic-graph", {}),
    "LangGraph": Peer("bench.peers.langgraph", "langgraph", {}),
}


def side(peer: str, asked: Peers) -> Work:
    """The side of ``peer`` for the work that is asked for.

    :raises Cannot: it is not installed, or has no way to do this.
    """
    module, distribution, options = PEERS[peer]
    try:
        found = import_module(module)
    except ImportError as missing:
        raise Cannot(f"not installed ({missing.name or distribution})") from missing
    made: Work = getattr(found, asked.work)(**asked.given, **options)
    return made


def versions() -> dict[str, str]:
    """Of the peers that are installed, by distribution."""
    found = {}
    for peer in PEERS.values():
        try:
            found[peer.distribution] = metadata.version(peer.distribution)
        except metadata.PackageNotFoundError:
            continue
    return found
