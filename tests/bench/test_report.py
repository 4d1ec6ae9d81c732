"""The page is made from a recording: what was measured is on it, reached or not, and what could not be is on it with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import results
from bench.__main__ import main
from bench.case import Reach
from bench.derived import steps
from bench.interleaved import judge
from bench.results import Measured, Memory, Recording, Side


def _side(name: str, *values: float, count: int = 10) -> Side:
    return Side(name, count, values={str(number): value for number, value in enumerate(values)})


def _recording() -> Recording:
    chain = Measured("chains", "chain of 20 calls", "run", "calls in one expression", [
        _side("by hand", 1e-6, 1e-6, 2e-6), _side("graph", 1e-4, 1e-4, 2e-4), _side("interpreter", 2e-6, 3e-6, 4e-6),
        Side("pipefunc", cannot="it has no chains"),
    ])  # fmt: skip
    judge(chain, (Reach("interpreter", "ratio", most=2.2), Reach("graph", "extra", most=1e-6), Reach("codegen", "ratio", most=1.1)))
    growth = Measured("growth", "nodes: again", "node", "1,000 nodes", [_side("1,000", 7e-6), _side("10", 5e-6)])
    judge(growth, ())
    step = Measured("profile", "step: item", "run (60 more)", "by hand", [
        _side("fewer, by hand", 1e-6, 2e-6), _side("fewer, interpreter", 2e-6, 3e-6),
        _side("more, by hand", 4e-6, 5e-6), _side("more, interpreter", 14e-6, 15e-6),
    ])  # fmt: skip
    judge(step, ())
    memory = [
        Memory("a long loop", "interpreter", "iterations", {"1000": 3 * 2.0**20, "10000": 3 * 2.0**20}),
        Memory("compiling", "compile", "nodes", {"1000": 1600.0}, 1500.0),
    ]
    return Recording({"processor": "abacus"}, {"msgspec": "1"}, "python -m bench", 61.0, [chain, growth, step], memory)


def test_ratios_are_taken_round_by_round() -> None:
    chain = _recording().cases[0]
    interpreter = chain.side("interpreter")
    assert interpreter is not None
    assert interpreter.ratio is not None
    assert interpreter.extra is not None
    assert interpreter.ratio.middle == pytest.approx(2.0)  # of 2, 3 and 2
    assert interpreter.extra.middle == pytest.approx(2e-6)
    assert [(reached.side, reached.met) for reached in chain.reaches] == [("interpreter", True), ("graph", False)]


def test_a_step_is_the_difference_of_two_programs_less_that_by_hand() -> None:
    (step,) = steps(_recording())
    assert step.by_hand.middle == pytest.approx(3e-6 / 60)
    assert step.engines["interpreter"].middle == pytest.approx(12e-6 / 60)
    assert step.own["interpreter"].middle == pytest.approx(9e-6 / 60)


def test_a_page_from_a_small_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded, page = tmp_path / "small.json", tmp_path / "page.md"
    results.save(_recording(), recorded)
    assert results.load(recorded) == _recording()
    assert main(["--from", str(recorded), "--report", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    for expected in (
        "| processor | abacus |",
        "| chain of 20 calls | interpreter &lt;= 2.20x | 2.00x | yes |",
        "| chain of 20 calls | graph mode &lt;= 1 µs a unit above the reference | 99 µs | **no** |",
        "Met: 1 of 3",
        "pipefunc: it has no chains",
        "| again | 5 µs | 7 µs |",
        "| item | 50 ns | 200 ns | **150 ns** (150 ns to 150 ns) |",
        "| interpreter | 3.0 | 3.0 |",
        "1,600 bytes",
    ):
        assert expected in text, expected
    capsys.readouterr()


def test_the_pictures_are_small_and_their_text_is_text(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from bench.plots import write

    drawn = write(_recording(), tmp_path)
    assert set(drawn) == {"peers", "growth", "steps", "memory"}
    for path in drawn.values():
        svg = path.read_text(encoding="utf-8")
        assert "<text" in svg
        assert len(svg) < 60_000
    assert ">interpreter<" in drawn["peers"].read_text(encoding="utf-8")
    again = write(_recording(), tmp_path / "again")
    assert {name: path.read_bytes() for name, path in drawn.items()} == {name: path.read_bytes() for name, path in again.items()}


def test_pyperf_can_read_the_rounds(tmp_path: Path) -> None:
    pyperf = pytest.importorskip("pyperf")
    results.save_for_pyperf(_recording(), tmp_path / "rounds.json")
    suite = pyperf.BenchmarkSuite.load(str(tmp_path / "rounds.json"))
    assert suite.get_benchmark("chain of 20 calls: interpreter").get_values() == (2e-6, 3e-6, 4e-6)
