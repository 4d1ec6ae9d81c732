"""What the verifier promises of code holds while it runs: drawn graphs, and damaged code that was accepted, on a machine that checks."""

from __future__ import annotations

import os
from typing import Any

import pytest
from drawn import TryAll

from cascade_compiler import cache
from cascade_compiler.testing import FOCUSES, Built, check_engine
from cascade_compiler.testing.checked_machine import arun_checked
from cascade_vm import verify

SHARE = 1.0 if "CASCADE_EXAMPLES" in os.environ else 0.8


@pytest.fixture(autouse=True)
def _verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is compiled here has been accepted."""
    link = cache.link_emitted

    def verified(emitted: Any) -> Any:
        verify(emitted.blueprint)
        return link(emitted)

    monkeypatch.setattr(cache, "link_emitted", verified)


async def checked(built: Built) -> Any:
    return await arun_checked(built.target, **built.options())


@pytest.mark.parametrize("focus", [None, *FOCUSES])
def test_drawn_graphs_run_as_promised(focus: str | None, try_all: TryAll) -> None:
    share = SHARE * (0.4 if focus is None else 0.6 / len(FOCUSES))
    try_all(lambda spec: check_engine(spec, checked, (None, 1), source="checked"), share, focus)
