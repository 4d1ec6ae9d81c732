"""Events as records of the standard library's logging."""

from __future__ import annotations

import asyncio
import logging

import pytest

from cascade_compiler import arun, run, task
from cascade_compiler.testing import capture_virtual
from cascade_vm.caching import MemoryCache
from cascade_vm.events import SUBSCRIBERS
from cascade_vm.logs import log_events


@task
async def fetch(n):
    await asyncio.sleep(n)
    return n


@task
def add(*values, **named):
    return sum(values)


@task
async def fail(n):
    await asyncio.sleep(n)
    raise ValueError("no luck")


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record):
        self.records.append(record)


@pytest.fixture
def records():
    """What the loggers of Cascade are given."""
    logger, kept = logging.getLogger("cascade"), Kept()
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    yield kept.records
    logger.removeHandler(kept)
    logger.setLevel(logging.NOTSET)


def go(target, *, level=logging.DEBUG, arguments=False, **options):
    async def main():
        with log_events(level, arguments=arguments):
            return await arun(target, **options)

    return capture_virtual(main)


def lines(records):
    return [(one.name.removeprefix("cascade."), one.levelname, one.getMessage().replace(f"{__name__}.", "")) for one in records]


class TestRecords:
    def test_one_line_for_each_event(self, records):
        go(add(fetch(2)))
        number = records[0].run
        assert lines(records) == [
            ("run", "DEBUG", f"run {number} begins"),
            ("task", "DEBUG", "fetch begins"),
            ("task", "DEBUG", "fetch finished after 2 s"),
            ("task", "DEBUG", "add begins"),
            ("task", "DEBUG", "add finished after 0 s"),
            ("run", "INFO", f"run {number} returned after 2 s"),
        ]

    def test_fields(self, records):
        go(add(fetch.map([2, 3])[1]))
        (one,) = [one for one in records if one.event == "TaskFinished" and one.index == 1]
        assert (one.task, one.attempt, one.seconds, one.run) == (f"{__name__}.fetch", 1, 3.0, records[0].run)
        assert one.getMessage() == f"{__name__}.fetch[1] finished after 3 s"
        begun = [other.call for other in records if other.event == "TaskStarted"]
        assert one.call in begun

    def test_a_failure(self, records):
        go(add(fail(1), fetch(5)))
        found = lines(records)
        assert ("task", "ERROR", "fail failed after 1 s: ValueError: 'no luck'") in found
        assert ("task", "DEBUG", "fetch was cancelled after 1 s") in found
        assert found[-1] == ("run", "ERROR", f"run {records[0].run} failed after 1 s: ValueError: 'no luck'")
        assert records[-1].error == "ValueError: 'no luck'"

    def test_retries_warn(self, records):
        go(fail(1).with_retry(2, delay=3))
        found = [one for one in lines(records) if one[1] == "WARNING"]
        assert found == [("task", "WARNING", "fail failed after 1 s, and is tried again in 3 s: ValueError: 'no luck'")]
        assert ("task", "DEBUG", "fail attempt 2 begins") in lines(records)

    def test_a_cancelled_run_warns(self, records):
        async def main():
            with log_events():
                running = asyncio.create_task(arun(add(fetch(5))))
                await asyncio.sleep(1)
                running.cancel()
                await asyncio.wait([running])

        capture_virtual(main)
        assert lines(records)[-1] == ("run", "WARNING", f"run {records[0].run} cancelled after 1 s: CancelledError: ''")

    def test_hits_skips_and_blocks(self, records):
        cache = MemoryCache()
        run(add(1).with_cache(cache))
        go(
            add(add(1).with_cache(cache), add(1).run_if(False, otherwise=2), *[fetch(1).with_constraints(gpu=1) for _ in range(2)]),
            capacity={"gpu": 1},
        )
        found = [text for _, _, text in lines(records)]
        assert "add has its value from a cache" in found
        assert any(text.startswith("add is skipped: ") for text in found)
        assert "fetch waits for capacity: gpu" in found

    def test_a_percent_sign_is_text(self, records):
        @task
        def odd():
            raise ValueError("100 %s")

        go(odd())
        assert "100 %s" in records[-1].getMessage()


class TestSwitches:
    def test_nothing_without_log_events(self, records):
        run(add(1))
        assert records == []
        assert SUBSCRIBERS == []

    def test_levels_of_the_loggers_hold(self, records):
        logging.getLogger("cascade").setLevel(logging.INFO)
        go(add(fetch(1)))
        assert [one[0] for one in lines(records)] == ["run"]

    @pytest.mark.parametrize("level", ["ERROR", logging.ERROR])
    def test_the_least_level_holds(self, records, level):
        go(add(fetch(1)), level=level)
        assert records == []
        go(fail(1), level=level)
        assert [one[0] for one in lines(records)] == ["task", "run"]

    @pytest.mark.parametrize(("level", "kind"), [("LOUD", ValueError), (1.5, TypeError), (True, TypeError), (None, TypeError)])
    def test_bad_levels(self, level, kind):
        with pytest.raises(kind, match=r"level"):
            log_events(level)
        assert SUBSCRIBERS == []


class TestArguments:
    def test_never_unless_asked_for(self, records):
        go(add(fetch(1), 987_654_321_012_345, token="s3cret"))
        assert not any("s3cret" in str(vars(one)) or "987654321012345" in str(vars(one)) for one in records)

    @pytest.mark.parametrize("policy", [False, True])
    def test_shown_short(self, records, policy):
        call = add(12345, named="x" * 10_000)
        go(call.with_retry(2) if policy else call, arguments=True)
        (one,) = [one for one in records if one.event == "Arguments"]
        assert one.levelname == "DEBUG"
        assert one.arguments[0] == "12345"
        assert len(one.getMessage()) < 300
        assert one.call == next(other.call for other in records if other.event == "TaskStarted")

    def test_of_coroutines_and_map_items(self, records):
        go(add(fetch(2), fetch.map([3, 4])[0]), arguments=True)
        assert sorted(one.arguments for one in records if one.event == "Arguments")[:3] == [["2"], ["2", "3"], ["3"]]

    def test_not_where_the_level_forbids_it(self, records):
        go(add(1), arguments=True, level="INFO")
        assert [one.event for one in records] == ["RunFinished"]
