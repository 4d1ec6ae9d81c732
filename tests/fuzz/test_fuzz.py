"""A few thousand mutants: the fuzzer stays alive, and finds what it must. `make fuzz` has a million."""

from __future__ import annotations

import random
from pathlib import Path

import fuzz_outcome
import pytest
from fuzz_mutations import mutant
from fuzz_slices import known_samples, slice_of

from cascade_vm import LoadError


def test_mutants(tmp_path):
    """P13: refused, or run in bounded steps; of both kinds there are many"""
    outcomes, findings = slice_of(1, 0, 2_000, tmp_path)
    assert findings == []
    assert sum(outcomes.values()) == 2_000
    assert outcomes["ran"] > 100
    assert sum(count for word, count in outcomes.items() if word.startswith("VerifyError")) > 200
    assert {"LoadError L05", "LoadError L07", "LoadError L10", "VerifyError V-P2", "LinkError K04", "a step failed"} <= set(outcomes)


def test_a_mutant_is_that_of_its_number():
    samples = known_samples()
    for number in range(50):
        assert mutant(samples, random.Random(f"7/{number}")) == mutant(samples, random.Random(f"7/{number}"))


@pytest.mark.parametrize(
    "error", [KeyError("k"), RecursionError(), MemoryError(), UnicodeDecodeError("utf-8", b"", 0, 1, "w"), SystemExit()], ids=repr
)
def test_it_finds_what_load_lets_out(monkeypatch, tmp_path, error):
    """Any other error is a finding, kept as a file beside its traceback"""

    def broken(content, **_):
        raise error

    monkeypatch.setattr(fuzz_outcome, "loads", broken)
    outcomes, (path, *_) = slice_of(1, 0, 10, tmp_path)
    assert outcomes["FINDING"] > 3
    assert type(error).__name__ in Path(path).with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore")  # what runs then is broken in many ways
def test_it_finds_what_the_verifier_lets_through(monkeypatch, tmp_path):
    """Without a verifier, something comes out that must not"""
    monkeypatch.setattr("cascade_vm.codec.verify_data", lambda data: None)
    outcomes, findings = slice_of(1, 0, 300, tmp_path)
    assert outcomes["FINDING"] == len(findings) > 10


def test_it_finds_what_is_accepted_and_not_canonical(monkeypatch, tmp_path):
    monkeypatch.setattr("cascade_vm.codec.check_content", lambda content, version, limits: None)
    _, findings = slice_of(1, 0, 300, tmp_path)
    told = [Path(path).with_suffix(".txt").read_text(encoding="utf-8") for path in findings]
    assert any("not in canonical form" in one for one in told)


@pytest.mark.parametrize("error", [LoadError("", code="L07"), LoadError("x", code="")], ids=["no text", "no code"])
def test_it_finds_errors_that_say_nothing(monkeypatch, tmp_path, error):
    def refusing(content, **_):
        raise error

    monkeypatch.setattr(fuzz_outcome, "loads", refusing)
    outcomes, _ = slice_of(1, 0, 10, tmp_path)
    assert outcomes["FINDING"] > 3
