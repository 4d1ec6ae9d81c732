"""OpenTelemetry: runs and calls as spans, with metrics, for whoever collects those of the process.

    from cascade_vm.telemetry import instrument

    instrument()

It needs the API package alone (``pip install 'cascade-vm[otel]'``), which does nothing until the application sets up an SDK. A run is
a span beneath the span that is current where it begins; each attempt of a call is a span beneath that of its run, and is current while
the function of the task runs (not in another process). Times are those of the events, so spans are exact whatever telling them costs.

    cascade.run   cascade.run.number, cascade.run.status; an event "skipped" for each call that was skipped
    TASK          cascade.task, cascade.task.index, cascade.task.attempt, cascade.task.outcome, cascade.cache_hit,
                  cascade.blocked.seconds and .reason; an event "exception"; "retry" with the seconds until the next attempt

Metrics: cascade.runs, cascade.run.duration, cascade.tasks (by task and outcome), cascade.task.duration (seconds, of attempts),
cascade.task.retries, cascade.cache.hits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from cascade_vm.events import (
    CacheHit,
    Event,
    RunFinished,
    RunStarted,
    Subscription,
    TaskBlocked,
    TaskEvent,
    TaskFailed,
    TaskFinished,
    TaskRetrying,
    TaskSkipped,
    TaskStarted,
    Watcher,
    subscribe,
)

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

_CANCELLED = "CancelledError: "


def instrument(*, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None) -> Subscription:
    """Tell OpenTelemetry of the runs that begin from now on, until the subscription that is returned is closed.

    :param tracer_provider: where spans go. None: to the provider that is set for the process, also if that is set later.
    :param meter_provider: the same for metrics.
    :raises ImportError: the package ``opentelemetry-api`` is not installed.
    """
    try:
        import opentelemetry.trace  # noqa: F401
    except ImportError as missing:
        raise ImportError("telemetry needs the OpenTelemetry API: pip install 'cascade-vm[otel]'", name=missing.name) from missing
    return subscribe(Telemetry(tracer_provider, meter_provider))


class _Run:
    """A run that has begun."""

    __slots__ = ("attempts", "blocked", "context", "offset", "span", "started")

    def __init__(self, span: Any, context: Any, started: float, offset: int) -> None:
        self.span = span
        self.context = context  # in which its span is current
        self.started = started
        self.offset = offset  # nanoseconds from its clock to the time of day
        self.attempts: dict[int, tuple[Any, float]] = {}  # by call: the span, and when it began
        self.blocked: dict[int, tuple[float, str]] = {}

    def at(self, seconds: float) -> int:
        """A time of its clock, as OpenTelemetry has times: nanoseconds since 1970."""
        return self.offset + round(seconds * 1e9)


class Telemetry(Watcher):
    """A subscriber that makes spans and metrics of events. See ``instrument``."""

    def __init__(self, tracer_provider: Any = None, meter_provider: Any = None) -> None:
        from opentelemetry import context, metrics, trace

        self._trace = trace
        self._context = context
        self._tracer = trace.get_tracer("cascade_vm", tracer_provider=tracer_provider)
        meter = metrics.get_meter("cascade_vm", meter_provider=meter_provider)
        self._count_runs = meter.create_counter("cascade.runs", "{run}", "runs that have ended, by status")
        self._run_seconds = meter.create_histogram("cascade.run.duration", "s", "how long runs took")
        self._count_tasks = meter.create_counter("cascade.tasks", "{call}", "calls that have ended, by task and outcome")
        self._task_seconds = meter.create_histogram("cascade.task.duration", "s", "how long attempts of calls took")
        self._count_retries = meter.create_counter("cascade.task.retries", "{attempt}", "attempts that failed, and were tried again")
        self._count_hits = meter.create_counter("cascade.cache.hits", "{call}", "calls that had their value from a cache")
        self._runs: dict[int, _Run] = {}
        self._handlers: dict[type, Any] = {
            TaskStarted: self._started, TaskFinished: self._finished, TaskFailed: self._failed, TaskRetrying: self._retrying,
            TaskSkipped: self._skipped, TaskBlocked: self._blocked, CacheHit: self._hit,
        }  # fmt: skip

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._begin(event)
            return
        run = self._runs.get(event.run)
        if run is None:
            return
        if isinstance(event, RunFinished):
            self._end(run, event)
        elif (handler := self._handlers.get(type(event))) is not None:
            handler(run, event)

    def around(self, run: int, call: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AbstractContextManager[None]:
        """The span of the call is the current one in this block."""
        return self._current(run, call)

    @contextmanager
    def _current(self, run: int, call: int) -> Iterator[None]:
        found = self._runs.get(run)
        attempt = found.attempts.get(call) if found is not None else None
        if found is None or attempt is None:  # the run gave up before the thread came to it
            yield
            return
        token = self._context.attach(self._trace.set_span_in_context(attempt[0], found.context))
        try:
            yield
        except GeneratorExit:  # a coroutine that is closed, perhaps from somewhere else, where this context is not the current one
            raise
        except BaseException:
            self._context.detach(token)
            raise
        else:
            self._context.detach(token)

    # --- runs -------------------------------------------------------------------------------------------------------------

    def _begin(self, event: RunStarted) -> None:
        offset = time.time_ns() - round(event.time * 1e9)
        around = self._context.get_current()
        attributes = {"cascade.run.number": event.run}
        span = self._tracer.start_span("cascade.run", around, attributes=attributes, start_time=offset + round(event.time * 1e9))
        self._runs[event.run] = _Run(span, self._trace.set_span_in_context(span, around), event.time, offset)

    def _end(self, run: _Run, event: RunFinished) -> None:
        del self._runs[event.run]
        for span, _ in run.attempts.values():  # of calls whose end nobody told
            span.end(run.at(event.time))
        run.span.set_attribute("cascade.run.status", event.status)
        if event.status == "failed":
            self._fail(run.span, event.error or "", run.at(event.time))
        run.span.end(run.at(event.time))
        self._count_runs.add(1, {"cascade.run.status": event.status})
        self._run_seconds.record(event.time - run.started, {"cascade.run.status": event.status})

    # --- calls ------------------------------------------------------------------------------------------------------------

    def _span(self, run: _Run, event: TaskEvent, **more: Any) -> Any:
        attributes: dict[str, Any] = {"cascade.task": event.task, "cascade.task.attempt": event.attempt, **more}
        if event.index is not None:
            attributes["cascade.task.index"] = event.index
        return self._tracer.start_span(event.task, run.context, attributes=attributes, start_time=run.at(event.time))

    def _started(self, run: _Run, event: TaskStarted) -> None:
        blocked = run.blocked.pop(event.call, None)
        more: dict[str, Any] = {}
        if blocked is not None:
            more = {"cascade.blocked.seconds": event.time - blocked[0], "cascade.blocked.reason": blocked[1]}
        run.attempts[event.call] = self._span(run, event, **more), event.time

    def _close(self, run: _Run, event: TaskEvent, outcome: str, error: str | None = None) -> None:
        span, started = run.attempts.pop(event.call, (None, event.time))
        run.blocked.pop(event.call, None)
        if span is None:  # it never began: its cache failed, say
            span = self._span(run, event)
        else:
            about = {"cascade.task": event.task, "cascade.task.outcome": outcome}
            self._task_seconds.record(event.time - started, about)
        span.set_attribute("cascade.task.outcome", outcome)
        if isinstance(event, TaskRetrying):
            span.add_event("retry", {"cascade.retry.wait": float(event.wait)}, run.at(event.time))
        if error is not None:
            self._fail(span, error, run.at(event.time))
        span.end(run.at(event.time))

    def _fail(self, span: Any, error: str, at: int) -> None:
        kind, _, message = error.partition(": ")
        span.add_event("exception", {"exception.type": kind, "exception.message": message}, at)
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, error))

    def _over(self, event: TaskEvent, outcome: str) -> None:
        self._count_tasks.add(1, {"cascade.task": event.task, "cascade.task.outcome": outcome})

    def _finished(self, run: _Run, event: TaskFinished) -> None:
        self._close(run, event, "finished")
        self._over(event, "finished")

    def _failed(self, run: _Run, event: TaskFailed) -> None:
        cancelled = event.error.startswith(_CANCELLED)  # not its own failure
        self._close(run, event, "cancelled" if cancelled else "failed", None if cancelled else event.error)
        self._over(event, "cancelled" if cancelled else "failed")

    def _retrying(self, run: _Run, event: TaskRetrying) -> None:
        self._close(run, event, "retried", event.error)
        self._count_retries.add(1, {"cascade.task": event.task})

    def _blocked(self, run: _Run, event: TaskBlocked) -> None:
        run.blocked[event.call] = event.time, event.reason

    def _hit(self, run: _Run, event: CacheHit) -> None:
        more = {"cascade.cache_hit": True, "cascade.task.outcome": "cached"}
        self._span(run, event, **more).end(run.at(event.time))
        self._count_hits.add(1, {"cascade.task": event.task})
        self._over(event, "cached")

    def _skipped(self, run: _Run, event: TaskSkipped) -> None:
        run.span.add_event("skipped", {"cascade.task": event.task, "cascade.skipped.reason": event.reason}, run.at(event.time))
        self._over(event, "skipped")
