"""OpenTelemetry: the spans and metrics that an SDK gets of runs, with its in-memory exporters."""

from __future__ import annotations

import asyncio
import sys
from threading import Barrier, Thread

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from cascade_compiler import arun, run, task
from cascade_compiler.testing import VirtualPool, capture_virtual, run_virtual
from cascade_vm.caching import MemoryCache
from cascade_vm.events import SUBSCRIBERS
from cascade_vm.telemetry import instrument


class Collected:
    """An SDK of its own, with what it got."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.tracer = self.tracers.get_tracer("the application")

    def instrument(self):
        return instrument(tracer_provider=self.tracers, meter_provider=self.meters)

    @property
    def spans(self):
        """By their names, without the module."""
        found = {}
        for one in self.exporter.get_finished_spans():
            found.setdefault(one.name.rpartition(".")[2] if one.name != "cascade.run" else one.name, []).append(one)
        return found

    def metric(self, name):
        """(attributes as sorted pairs, value or (count, sum)) of each point."""
        data = self.reader.get_metrics_data()
        points = [
            point
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]
        return {
            tuple(str(value).rpartition(".")[2] for _, value in sorted(point.attributes.items())): (
                point.value if hasattr(point, "value") else (point.count, point.sum)
            )
            for point in points
        }


@pytest.fixture
def collected():
    found = Collected()
    yield found
    found.tracers.shutdown()
    found.meters.shutdown()


def seconds(span):
    return round((span.end_time - span.start_time) / 1e9, 6)


def is_child(one, of):
    return one.parent is not None and one.parent.span_id == of.context.span_id and one.context.trace_id == of.context.trace_id


@task
async def fetch(n):
    await asyncio.sleep(n)
    return n


@task
def add(*values):
    return sum(values)


@task
async def fail(n):
    await asyncio.sleep(n)
    raise ValueError("no luck")


def go(collected, target, **options):
    async def main():
        with collected.instrument():
            return await arun(target, **options)

    return capture_virtual(main)


class TestSpans:
    def test_the_tree(self, collected):
        assert go(collected, add(fetch(2), fetch(3))).value == 5
        (of_run,) = collected.spans["cascade.run"]
        assert of_run.parent is None
        assert of_run.attributes["cascade.run.status"] == "returned"
        assert all(is_child(one, of_run) for name in ("fetch", "add") for one in collected.spans[name])
        (last,) = collected.spans["add"]
        assert last.name == f"{__name__}.add"
        assert dict(last.attributes) == {"cascade.task": last.name, "cascade.task.attempt": 1, "cascade.task.outcome": "finished"}
        assert last.status.status_code is StatusCode.UNSET

    def test_times_are_those_of_the_events(self, collected):
        go(collected, add(fetch(2), fetch(3)))
        (of_run,) = collected.spans["cascade.run"]
        assert seconds(of_run) == 3
        assert sorted(map(seconds, collected.spans["fetch"])) == [2, 3]
        assert {one.start_time for one in collected.spans["fetch"]} == {of_run.start_time}

    def test_it_joins_the_span_that_is_current(self, collected):
        async def main():
            with collected.instrument(), collected.tracer.start_as_current_span("request"):
                await arun(add(fetch(1)))

        run_virtual(main)
        (request,) = collected.exporter.get_finished_spans()[-1:]
        assert request.name == "request"
        assert is_child(collected.spans["cascade.run"][0], request)

    def test_each_of_several_runs_in_a_loop_has_its_own(self, collected):
        async def request(name):
            with collected.tracer.start_as_current_span(name):
                await arun(add(fetch(1), fetch(2)))

        async def main():
            with collected.instrument():
                await asyncio.gather(request("one"), request("two"))

        run_virtual(main)
        for name in ("one", "two"):
            (request_span,) = collected.spans[name]
            (of_run,) = [one for one in collected.spans["cascade.run"] if is_child(one, request_span)]
            assert sum(is_child(one, of_run) for one in collected.spans["fetch"]) == 2

    def test_each_of_several_runs_in_threads_has_its_own(self, collected):
        barrier = Barrier(4)

        def request(at):
            barrier.wait()
            for _ in range(10):
                with collected.tracer.start_as_current_span(f"request {at}"):
                    run(add(add(1), add(2)))

        with collected.instrument():
            threads = [Thread(target=request, args=(at,)) for at in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        runs = {one.context.span_id: one for one in collected.spans["cascade.run"]}
        assert len({one.parent.span_id for one in runs.values()}) == 40
        calls = collected.spans["add"]
        assert len(calls) == 120
        assert all(one.context.trace_id == runs[one.parent.span_id].context.trace_id for one in calls)

    def test_a_failure(self, collected):
        failed = go(collected, add(fail(1), fetch(9)))
        assert isinstance(failed.error, ValueError)
        (one,) = collected.spans["fail"]
        assert one.status.status_code is StatusCode.ERROR
        assert one.attributes["cascade.task.outcome"] == "failed"
        (event,) = one.events
        assert event.name == "exception"
        assert dict(event.attributes) == {"exception.type": "ValueError", "exception.message": "'no luck'"}
        assert event.timestamp == one.end_time
        (of_run,) = collected.spans["cascade.run"]
        assert of_run.status.status_code is StatusCode.ERROR
        (cancelled,) = collected.spans["fetch"]
        assert cancelled.attributes["cascade.task.outcome"] == "cancelled"
        assert cancelled.status.status_code is StatusCode.UNSET
        assert seconds(cancelled) == 1

    def test_a_cancelled_run(self, collected):
        async def main():
            with collected.instrument():
                running = asyncio.create_task(arun(add(fetch(5))))
                await asyncio.sleep(2)
                running.cancel()
                await asyncio.wait([running])

        run_virtual(main)
        (of_run,) = collected.spans["cascade.run"]
        assert of_run.attributes["cascade.run.status"] == "cancelled"
        assert of_run.status.status_code is StatusCode.UNSET
        assert seconds(of_run) == seconds(collected.spans["fetch"][0]) == 2

    def test_each_attempt_is_a_span(self, collected):
        tries = []

        @task
        async def unsteady():
            tries.append(1)
            await asyncio.sleep(1)
            if len(tries) < 3:
                raise ConnectionError("not yet")

        go(collected, unsteady().with_retry(5, delay=2))
        found = sorted(collected.spans["unsteady"], key=lambda one: one.start_time)
        assert [one.attributes["cascade.task.attempt"] for one in found] == [1, 2, 3]
        assert [one.attributes["cascade.task.outcome"] for one in found] == ["retried", "retried", "finished"]
        assert [one.status.status_code for one in found] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
        assert [event.name for event in found[0].events] == ["retry", "exception"]
        assert found[0].events[0].attributes["cascade.retry.wait"] == 2
        assert [seconds(one) for one in found] == [1, 1, 1]
        assert (found[1].start_time - found[0].end_time) / 1e9 == 2

    def test_a_cache_hit(self, collected):
        cache = MemoryCache()
        run(add(1).with_cache(cache))
        go(collected, add(1).with_cache(cache))
        (one,) = collected.spans["add"]
        assert one.attributes["cascade.cache_hit"] is True
        assert seconds(one) == 0

    def test_map_items_have_their_index(self, collected):
        go(collected, fetch.map([1, 2]))
        assert sorted((one.attributes["cascade.task.index"], seconds(one)) for one in collected.spans["fetch"]) == [(0, 1), (1, 2)]

    def test_what_is_blocked_says_for_how_long(self, collected):
        go(collected, add(*[fetch(2).with_constraints(gpu=1) for _ in range(2)]), capacity={"gpu": 1})
        first, second = sorted(collected.spans["fetch"], key=lambda one: one.start_time)
        assert "cascade.blocked.seconds" not in first.attributes
        assert second.attributes["cascade.blocked.seconds"] == 2
        assert second.attributes["cascade.blocked.reason"] == "capacity: gpu"

    def test_what_is_skipped_is_an_event_of_the_run(self, collected):
        go(collected, add(add(1).run_if(False, otherwise=2)))
        (event,) = collected.spans["cascade.run"][0].events
        assert (event.name, event.attributes["cascade.task"]) == ("skipped", f"{__name__}.add")

    def test_graph_mode(self, collected):
        go(collected, add(fetch(2), fetch(3)), engine="graph")
        (of_run,) = collected.spans["cascade.run"]
        assert sorted(map(seconds, collected.spans["fetch"])) == [2, 3]
        assert all(is_child(one, of_run) for one in collected.spans["fetch"])


class TestInside:
    """The span of a call is current while its function runs."""

    @pytest.mark.parametrize("policy", [False, True])
    @pytest.mark.parametrize("kind", ["inline", "async", "thread"])
    def test_spans_of_the_users_are_beneath(self, collected, kind, policy):
        def body(n):
            with collected.tracer.start_as_current_span(f"own {n}"):
                return n

        if kind == "async":

            @task
            async def one(n):
                with collected.tracer.start_as_current_span(f"own {n}"):
                    await asyncio.sleep(n)
                    with collected.tracer.start_as_current_span(f"inner {n}"):
                        return n
        else:
            one = task(mode=kind)(body)

        async def main():
            pools = {"thread": VirtualPool(asyncio.get_running_loop())}
            with collected.instrument(), collected.tracer.start_as_current_span("request"):
                calls = [one(n).with_retry(2) if policy else one(n) for n in (1, 2, 3)]
                await arun(add(*calls), pools=pools)
                assert trace.get_current_span().name == "request"

        run_virtual(main)
        for n in (1, 2, 3):
            (own,) = collected.spans[f"own {n}"]
            (above,) = [span for span in collected.exporter.get_finished_spans() if is_child(own, span)]
            assert above.attributes["cascade.task"].endswith(("one", "body"))
            if kind == "async":
                assert is_child(collected.spans[f"inner {n}"][0], own)
        assert len({span.parent.span_id for name, spans in collected.spans.items() if name.startswith("own") for span in spans}) == 3

    def test_map_items(self, collected):
        @task
        def one(n):
            with collected.tracer.start_as_current_span(f"own {n}"):
                return n

        go(collected, one.map([1, 2]))
        by_id = {span.context.span_id: span for span in collected.exporter.get_finished_spans()}
        assert [by_id[collected.spans[f"own {n}"][0].parent.span_id].attributes["cascade.task.index"] for n in (1, 2)] == [0, 1]


class TestMetrics:
    def test_runs_and_tasks(self, collected):
        cache = MemoryCache()
        go(collected, add(fetch(2), fetch(3), fetch(9).run_if(False, otherwise=0)))
        go(collected, add(fail(1), fetch(9)))
        run(add(1).with_cache(cache))
        go(collected, add(1).with_cache(cache))
        assert collected.metric("cascade.runs") == {("failed",): 1, ("returned",): 2}
        assert collected.metric("cascade.run.duration")["failed",] == (1, 1.0)
        tasks = collected.metric("cascade.tasks")
        assert tasks == {
            ("fetch", "finished"): 2, ("fetch", "skipped"): 1, ("fetch", "cancelled"): 1, ("add", "finished"): 1,
            ("fail", "failed"): 1, ("add", "cached"): 1,
        }  # fmt: skip
        assert collected.metric("cascade.task.duration")["fetch", "finished"] == (2, 5.0)
        assert collected.metric("cascade.cache.hits") == {("add",): 1}

    def test_retries(self, collected):
        go(collected, fail(1).with_retry(3, delay=1))
        assert collected.metric("cascade.task.retries") == {("fail",): 2}
        assert collected.metric("cascade.task.duration") == {("fail", "retried"): (2, 2.0), ("fail", "failed"): (1, 1.0)}


class TestWithout:
    def test_closing_ends_it(self, collected):
        with collected.instrument():
            pass
        run(add(1))
        assert collected.spans == {}
        assert SUBSCRIBERS == []

    def test_nothing_is_kept_of_runs_that_have_ended(self, collected):
        with collected.instrument() as subscription:
            run(add(add(1)))
            assert subscription.subscriber._runs == {}

    def test_without_the_api_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
        with pytest.raises(ImportError, match=r"pip install 'cascade-vm\[otel\]'"):
            instrument()
        assert SUBSCRIBERS == []

    def test_without_an_sdk_nothing_happens(self):
        """With the providers of the API, which do nothing."""
        with instrument(tracer_provider=trace.NoOpTracerProvider(), meter_provider=NoOpMeterProvider()):
            assert run(add(add(1), add(2))) == 3
