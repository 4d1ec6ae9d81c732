"""Progress of runs on a terminal: a few lines on stderr that tell what runs, what waits and why, what is done and how fast.

Shown from a moment after the run has begun, some ten times a second by a thread of its own, and gone when it has ended but for one line.
What tasks print meanwhile is written above these lines, a whole line at a time.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter, deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from cascade_compiler.cli.tallies import Call, Tallies, Tally
from cascade_vm.events import Subscription, subscribe

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import TextIO

    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

_MOST_ROWS = 6  # tasks that have a line of their own
_FIRST, _EVERY = 0.3, 0.1  # seconds: until it is shown, and between two pictures of it
_BAR = 16  # characters
_WINDOW = 1.0  # seconds over which rates are taken


class Progress:
    """Shows what the runs that begin between ``begin`` and the end of its block do. Does not outlive its block, or ``end``."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = monotonic, first: float = _FIRST) -> None:
        """
        :param console: where to show it; None for stderr. :param clock: of seconds. :param first: seconds until it is shown.
        """
        from rich.console import Console

        self.tallies = Tallies()
        self.shown = False  # has there been anything to see?
        # The stream itself, and not what will stand in its place.
        self._console = console or Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
        self._clock = clock
        self._first = first
        self._begun = clock()
        self._history: deque[tuple[float, dict[str, int]]] = deque()  # how many of each task were done, and when
        self._subscription: Subscription | None = None
        self._live: Live | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()
        self._streams: list[tuple[str, _Above]] = []
        self._hook: Any = None

    # --- its life ---------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Progress:
        """From here on what is printed stays clear of what is shown."""
        names = ["stderr", "stdout"] if _same_terminal() else ["stderr"]
        for name in names:
            above = _Above(getattr(sys, name), self)
            self._streams.append((name, above))
            setattr(sys, name, above)
        self._hook, sys.breakpointhook = sys.breakpointhook, self._break
        return self

    def begin(self) -> None:
        """The run begins."""
        self._begun = self._clock()
        self._subscription = subscribe(self.tallies)
        self._thread = threading.Thread(target=self._keep_showing, name="cascade progress", daemon=True)
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None) -> None:
        was_shown = self.shown
        self.end()
        if was_shown and not isinstance(failure, KeyboardInterrupt):  # for an interruption, the error says what was running
            with suppress(OSError):
                self._console.print(self._fit(self.summary("done in" if failure is None else "failed after")), soft_wrap=True)

    def end(self) -> None:
        """Take away what is shown, and give the streams back. A second time, nothing happens."""
        if self._subscription is not None:
            self._subscription.close()
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            live, self._live = self._live, None
            if live is not None:
                with suppress(OSError):
                    live.stop()
            for name, above in self._streams:
                if getattr(sys, name) is above:
                    setattr(sys, name, above.stream)
                above.let_go()
            self._streams.clear()
        if sys.breakpointhook == self._break:
            sys.breakpointhook = self._hook

    def _keep_showing(self) -> None:
        wait = self._first
        with suppress(OSError):  # the terminal has gone: there is nobody to show anything to
            while not self._over.wait(wait):
                self.show()
                wait = _EVERY

    def show(self) -> None:
        """Draw it, as things are now."""
        from rich.live import Live

        with self._lock:
            if self._over.is_set():
                return
            if self._live is None:
                self._live = Live(
                    console=self._console, get_renderable=self.picture, auto_refresh=False, transient=True, redirect_stdout=False,
                    redirect_stderr=False, vertical_overflow="crop",
                )  # fmt: skip
                self.shown = True
                self._live.start()
            self._live.refresh()

    def _break(self, *args: Any, **kwargs: Any) -> Any:
        """A debugger is asked for: it needs the terminal for itself."""
        self.end()
        return self._hook(*args, **kwargs)

    def write_above(self, stream: TextIO, held: str, text: str) -> str:
        """Write ``text`` after ``held``; gives what is held back, which is the beginning of a line."""
        from rich.segment import Segment, Segments

        with self._lock:
            if self._live is None:
                stream.write(held + text)
                return ""
            lines, newline, rest = (held + text).rpartition("\n")
            if newline:
                self._console.print(Segments([Segment(lines + newline)]), end="", crop=False, soft_wrap=True)
            return rest

    def tell_stopped(self, stop: KeyboardInterrupt) -> None:
        """Tell on ``stop``, as a note, which calls it stopped."""
        if self.tallies.stopped:
            stop.add_note("\n".join(_lines_of(self.tallies.stopped)))

    # --- what is shown ----------------------------------------------------------------------------------------------------

    def picture(self) -> RenderableType:
        """What there is to see now: at most eight lines, however many tasks there are, and fewer where the terminal has fewer."""
        from rich.console import Group
        from rich.text import Text

        now = self._clock()
        tallies = self.tallies.by_task()
        rates = self._rates(now, tallies)
        chosen = self._chosen(tallies, rates, max(1, min(_MOST_ROWS, self._console.height - 3)))
        lines = [Text.assemble((_duration(now - self._begun), "bold"), "  ", _sum(tallies).facts()), *self._rows(chosen, rates)]
        if left := [one for one in tallies if one not in chosen]:
            lines.append(Text(f"  and {_tasks(len(left), 'more ')}: {_sum(left).facts().plain}", style="dim"))
        fitting = [self._fit(line) for line in lines]
        for line in fitting:
            line.no_wrap = True
            line.truncate(self._console.width - 1, overflow="ellipsis" if self._is_unicode() else "crop")
        return Group(*fitting)

    def _is_unicode(self) -> bool:
        return self._console.encoding.startswith("utf")

    def _fit(self, text: Text) -> Text:
        """``text`` with what the encoding of the terminal does not have as escapes; without its styles, if there is any such thing."""
        encoding = self._console.encoding
        shown = text.plain.encode(encoding, "backslashreplace").decode(encoding)
        return text if shown == text.plain else type(text)(shown)

    def _rows(self, chosen: list[Tally], rates: dict[str, float]) -> list[Text]:
        """A line for each task, in columns: its name, what is done, how fast, and where the others are."""
        from rich.text import Text

        full, empty = ("\u2501", "\u2500") if self._is_unicode() else ("#", "-")
        widest = max(16, self._console.width // 3)
        names = [one.task if len(one.task) <= widest else ".." + one.task[2 - widest :] for one in chosen]  # its end tells most
        done, bars = [], []
        for one in chosen:
            known = bool(one.items) and one.items_done <= (one.items or 0)
            at = one.items_done * _BAR // (one.items or 1) if known else 0
            done.append(f"{one.items_done:,}/{one.items:,}" if known else f"{one.done:,} done")
            bars.append((full * at, empty * (_BAR - at)) if known else ("", ""))
        rated = [f"{rates[one.task]:,.0f}/s" if rates.get(one.task, 0) >= 10 else "" for one in chosen]
        widths = [max(map(len, column), default=0) for column in (names, done, rated, map("".join, bars))]
        return [
            Text.assemble(
                (f"  {name:<{widths[0]}}", "bold" if one.running or rate else ""), f"  {what:>{widths[1]}}",
                "  " if widths[3] else "", (bar[0], "green"), (bar[1], "dim"), " " * (widths[3] - len("".join(bar))),
                (f"  {rate:>{widths[2]}}" if widths[2] else "", "cyan"), "  ", _facts(one),
            )
            for one, name, what, rate, bar in zip(chosen, names, done, rated, bars, strict=True)
        ]  # fmt: skip

    def summary(self, what: str) -> Text:
        """One line, for when it is over."""
        from rich.text import Text

        tallies = self.tallies.by_task()
        seconds = self._clock() - self._begun
        whole = _sum(tallies)
        text = f"{what} {_duration(seconds)}: {_tasks(len(tallies))}, {whole.facts('call' if whole.done == 1 else 'calls').plain}"
        return Text(text, style="dim")

    def _rates(self, now: float, tallies: list[Tally]) -> dict[str, float]:
        """Calls a second that ended, by task, over the last second or so. Of a loop these are its turns."""
        self._history.append((now, {one.task: one.done for one in tallies}))
        while len(self._history) > 2 and now - self._history[1][0] >= _WINDOW:
            self._history.popleft()
        then, before = self._history[0]
        if now <= then:
            return {}
        return {one.task: (one.done - before.get(one.task, 0)) / (now - then) for one in tallies}

    @staticmethod
    def _chosen(tallies: list[Tally], rates: dict[str, float], rows: int) -> list[Tally]:
        """The tasks that are shown: those with calls that run, wait or have just ended, then those seen last; in the order seen."""
        order = {one.task: at for at, one in enumerate(tallies)}
        busy = sorted(tallies, key=lambda one: (not (one.running or one.waits or rates.get(one.task)), -order[one.task]))
        return sorted(busy[:rows], key=lambda one: order[one.task])


class _sum(Tally):
    """Several tallies as one."""

    __slots__ = ()

    def __init__(self, tallies: list[Tally]) -> None:
        super().__init__("")
        for one in tallies:
            self.add(one)

    def facts(self, what: str = "done") -> Text:
        from rich.text import Text

        return Text(f"{self.done:,} {what}").append_text(_facts(self, ", ", why=False))


def _facts(one: Tally, lead: str = "", *, why: bool = True) -> Text:
    """What there is to say of a tally but for what is done."""
    from rich.text import Text

    found: list[tuple[str, str]] = []
    if one.running:
        found.append((f"{one.running:,} running", "green"))
    if why:
        found += [
            (f"{count:,} waiting for {_reason(reason)}", "yellow") for reason, count in sorted(one.waiting.items()) if count
        ]
    elif one.waits:
        found.append((f"{one.waits:,} waiting", "yellow"))
    found += [
        (f"{count:,} {name}", style)
        for count, name, style in (
            (one.retries, "retry" if one.retries == 1 else "retries", "yellow"), (one.hits, "from a cache", "dim"),
            (one.skipped, "skipped", "dim"), (one.failed, "failed", "bold red"), (one.cancelled, "cancelled", "red"),
        )
        if count
    ]  # fmt: skip
    text = Text()
    for at, (what, style) in enumerate(found):
        text.append(", " if at else lead).append(what, style)
    return text


def _lines_of(calls: list[Call]) -> list[str]:
    """Calls as a few lines, those of one task together."""
    found: dict[tuple[str, str], list[int]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for one in calls:
        counts[one.task, one.reason] += 1
        items = found.setdefault((one.task, one.reason), [])
        if one.item is not None:
            items.append(one.item)
    lines = []
    for (task, reason), items in found.items():
        count = counts[task, reason]
        which = f" ({count:,} calls)" if count > 1 else ""
        if items:
            more = f" and {len(items) - _MOST_ITEMS:,} more" if len(items) > _MOST_ITEMS else ""
            which = f" (map item{'s' * (len(items) > 1)} {', '.join(map(str, sorted(items)[:_MOST_ITEMS]))}{more})"
        lines.append(f"{f'waiting for {_reason(reason)}' if reason else 'running'}: {task}{which}")
    return lines[:_MOST_LINES] + ([f"and {len(lines) - _MOST_LINES:,} more tasks"] if len(lines) > _MOST_LINES else [])


_MOST_ITEMS, _MOST_LINES = 5, 8


def _reason(text: str) -> str:
    """ "capacity: gpu" as it stands after "waiting for"."""
    kind, colon, names = text.partition(": ")
    return f"{kind} {names}" if colon else text


def _tasks(count: int, more: str = "") -> str:
    return f"{count:,} {more}{'task' if count == 1 else 'tasks'}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(max(seconds, 0.0), 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}:{minutes:02}:{int(rest):02}"
    return f"{minutes}:{int(rest):02}" if minutes else f"{rest:.1f} s"


class _Above:
    """Stands in place of a stream while progress is shown on the same terminal. Whoever keeps it, such as a handler of logging, may go on
    with it later: it then writes to the stream."""

    def __init__(self, stream: TextIO, progress: Progress) -> None:
        self.stream = stream
        self._progress: Progress | None = progress
        self._held = ""

    def write(self, text: str) -> int:
        if self._progress is None:
            return self.stream.write(text)
        self._held = self._progress.write_above(self.stream, self._held, text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def let_go(self) -> None:
        """Write what has been held back, and from now on whatever comes."""
        held, self._held = self._held, ""
        self._progress = None
        if held:
            self.stream.write(held)
        self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _same_terminal() -> bool:
    """Do stdout and stderr go to one terminal?"""
    try:
        return sys.stdout.isatty() and os.ttyname(sys.stdout.fileno()) == os.ttyname(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):
        return False
