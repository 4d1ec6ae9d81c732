"""Every second worker of pytest collects a folder backwards, and puts the tests in order then.

Where no bytecode is there yet, it takes some ten seconds to make that of all tests, and each worker would do so. So each makes half of it,
and reads the other half.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator

import pytest


class Backwards:
    """A plugin: to be registered in the workers that collect backwards."""

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if isinstance(collector, pytest.Directory):
            report.result = report.result[::-1]
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The order is that of all workers again: they must agree."""
        files = [list(of_one) for _, of_one in itertools.groupby(items, lambda item: item.path)]
        items[:] = itertools.chain.from_iterable(reversed(files))
