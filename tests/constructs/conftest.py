"""Every blueprint that a test here compiles is verified, and written down and read again, whatever the test is about."""

from __future__ import annotations

from typing import Any

import pytest

from cascade_compiler import cache
from cascade_vm import assemble, disassemble, verify


@pytest.fixture(autouse=True)
def _checked(monkeypatch: pytest.MonkeyPatch) -> None:
    link = cache.link_emitted

    def checked(emitted: Any) -> Any:
        verify(emitted.blueprint)
        if len(emitted.blueprint.instructions) < 2_000:
            assert assemble(disassemble(emitted.blueprint)) == emitted.blueprint
        return link(emitted)

    monkeypatch.setattr(cache, "link_emitted", checked)

