"""The drawn graphs that the tests of the harness share."""

from __future__ import annotations

import pytest
from pools import Pools


@pytest.fixture(scope="session")
def pools(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Pools:
    base = tmp_path_factory.getbasetemp()
    directory = (base if worker_id == "master" else base.parent) / "pools"  # one for all workers of a run
    directory.mkdir(exist_ok=True)
    return Pools(directory)
