"""Rate limits: when the next start may be (S22)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_vm.policies import RateLimit
from cascade_vm.rate import Rates

quick = settings(max_examples=300, derandomize=True, database=None, deadline=None)


def test_a_burst_is_spaced_evenly():
    rates = Rates()
    limit = RateLimit("api", 2.0)
    assert [rates.wait(limit, 10.0) for _ in range(5)] == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_the_thousandth_start_is_where_it_belongs():
    rates = Rates()
    limit = RateLimit("api", 10.0)
    waits = [rates.wait(limit, 0.0) for _ in range(1_001)]
    assert waits[3] == 0.3
    assert waits[1_000] == 100.0  # adding up floats would give 99.9999999999986


def test_a_third_of_a_second_does_not_drift():
    rates = Rates()
    limit = RateLimit("api", 3.0)
    waits = [rates.wait(limit, 0.0) for _ in range(3_001)]
    assert waits[3_000] == 1_000.0


def test_what_was_not_used_is_not_saved_up():
    rates = Rates()
    limit = RateLimit("api", 1.0)
    assert rates.wait(limit, 0.0) == 0.0
    assert rates.wait(limit, 100.0) == 0.0
    assert rates.wait(limit, 100.0) == 1.0


def test_who_comes_when_the_place_is_free_does_not_wait():
    rates = Rates()
    limit = RateLimit("api", 10.0)
    now = 0.0
    for _ in range(100):
        assert rates.wait(limit, now) == 0.0
        now += 0.1  # which adds up to a little less than 10: less than a nanosecond is no wait


def test_names_do_not_wait_for_each_other():
    rates = Rates()
    assert rates.wait(RateLimit("a", 1.0), 0.0) == 0.0
    assert rates.wait(RateLimit("b", 1.0), 0.0) == 0.0
    assert rates.wait(RateLimit("a", 1), 0.0) == 1.0


def test_runs_do_not_wait_for_each_other():
    limit = RateLimit("a", 1.0)
    assert Rates().wait(limit, 0.0) == Rates().wait(limit, 0.0) == 0.0


def test_one_name_has_one_limit():
    rates = Rates()
    rates.wait(RateLimit("api", 5.0), 0.0)
    with pytest.raises(ValueError, match="'api'") as caught:
        rates.wait(RateLimit("api", 5.0, 60.0), 0.0)
    assert "5.0 calls in 1.0 seconds" in str(caught.value)
    assert "5.0 calls in 60.0 seconds" in str(caught.value)
    assert rates.wait(RateLimit("api", 5.0), 0.0) == 0.2, "the refused one has booked nothing"


@pytest.mark.parametrize(
    "limit",
    [
        RateLimit("x", 0),
        RateLimit("x", 1, 0),
        RateLimit("x", -1),
        RateLimit("x", float("nan")),
        RateLimit("x", 1, float("inf")),
        RateLimit("x", 1e-300, 1e300),
    ],
    ids=repr,
)
def test_a_limit_that_means_nothing_is_refused(limit):
    """A file that nobody checked may have it; the language refuses it when it is written."""
    with pytest.raises(ValueError, match="'x'"):
        Rates().wait(limit, 0.0)


MOMENTS = st.lists(st.floats(0, 5, allow_nan=False) | st.sampled_from([0.0, 0.0, 0.1, 0.5]), min_size=1, max_size=40)
NUMBERS = st.sampled_from([0.1, 0.3, 1.0, 2.0, 3.0, 7.0, 10.0, 60.0])


@quick
@given(gaps=MOMENTS, rate=NUMBERS, per=NUMBERS, first=st.floats(0, 1e6))
def test_starts_are_apart_and_no_later_than_they_must_be(gaps, rate, per, first):
    rates = Rates()
    limit = RateLimit("x", rate, per)
    step = Fraction(str(per)) / Fraction(str(rate))
    now, last = first, None
    for gap in gaps:
        wait = rates.wait(limit, now)
        earliest = Fraction(now) if last is None else max(Fraction(now), last + step)
        assert wait >= 0
        assert abs(Fraction(now) + Fraction(wait) - earliest) <= Fraction(1, 10**9) + earliest / 2**50
        last = earliest
        now += gap


@quick
@given(rate=NUMBERS, per=NUMBERS, first=st.floats(0, 1e6), count=st.integers(1, 200))
def test_the_kth_start_of_a_burst_is_exact(rate, per, first, count):
    rates = Rates()
    limit = RateLimit("x", rate, per)
    waits = [rates.wait(limit, first) for _ in range(count)]
    assert waits == [float(k * Fraction(str(per)) / Fraction(str(rate))) for k in range(count)]
