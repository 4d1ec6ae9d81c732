"""Capacity: checks, and a model that scans all who wait at each turn (S22)."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_vm.capacity import Capacity
from cascade_vm.errors import CapacityError, CascadeError, InternalError

quick = settings(max_examples=300, derandomize=True, database=None, deadline=None)


def test_a_request_that_fits_is_granted_at_once():
    capacity = Capacity({"gpu": 2, "disk": 1.5})
    assert capacity.request({"gpu": 1, "disk": 1.5}, "a") is True
    assert capacity.free == {"gpu": 1, "disk": 0}
    assert capacity.release({"gpu": 1, "disk": 1.5}) == []
    assert capacity.free == {"gpu": 2, "disk": 1.5}


def test_who_waits_is_let_go_in_order_of_coming():
    capacity = Capacity({"gpu": 2})
    assert capacity.request({"gpu": 2}, "a")
    assert not capacity.request({"gpu": 1}, "b")
    assert not capacity.request({"gpu": 1}, "c")
    assert not capacity.request({"gpu": 1}, "d")
    assert capacity.waiting == 3
    assert capacity.release({"gpu": 2}) == ["b", "c"]
    assert capacity.release({"gpu": 1}) == ["d"]
    assert capacity.waiting == 0


def test_a_small_request_does_not_overtake_a_large_one():
    capacity = Capacity({"gpu": 2})
    assert capacity.request({"gpu": 1}, "a")
    assert not capacity.request({"gpu": 2}, "large")
    assert not capacity.request({"gpu": 1}, "small"), "there is one, but the large one was first"
    assert capacity.release({"gpu": 1}) == ["large"]
    assert capacity.release({"gpu": 2}) == ["small"]


def test_one_name_in_common_is_enough_to_wait_behind():
    capacity = Capacity({"a": 1, "b": 1, "c": 1})
    assert capacity.request({"a": 1}, 1)
    assert not capacity.request({"a": 1, "b": 1}, 2)
    assert not capacity.request({"b": 1, "c": 1}, 3), "b is free, but 2 waits for it"
    assert not capacity.request({"c": 1}, 4), "c is free, but 3 waits for it"
    assert capacity.free == {"a": 0, "b": 1, "c": 1}, "who waits holds nothing"
    assert capacity.release({"a": 1}) == [2]
    assert capacity.release({"a": 1, "b": 1}) == [3]
    assert capacity.release({"b": 1, "c": 1}) == [4]


def test_being_first_for_one_name_is_not_enough():
    capacity = Capacity({"a": 1, "b": 2})
    assert capacity.request({"a": 1, "b": 1}, 1)
    assert not capacity.request({"b": 2}, 2)
    assert not capacity.request({"a": 1, "b": 1}, 3)
    assert capacity.release({"a": 1}) == [], "there is enough for 3, but 2 was first"
    assert capacity.release({"b": 1}) == [2]
    assert capacity.release({"b": 2}) == [3]


@pytest.mark.parametrize("names", ["abc", "cba", "bac"])
def test_whoever_is_let_go_at_once_is_in_order_of_coming(names):
    capacity = Capacity(dict.fromkeys(names, 1))
    assert capacity.request(dict.fromkeys(names, 1), "all")
    for name in "abc":
        assert not capacity.request({name: 1}, name)
    assert capacity.release(dict.fromkeys(names, 1)) == ["a", "b", "c"]


def test_requests_without_a_name_in_common_do_not_wait_for_each_other():
    capacity = Capacity({"a": 1, "b": 1})
    assert capacity.request({"a": 1}, 1)
    assert not capacity.request({"a": 1}, 2)
    assert capacity.request({"b": 1}, 3)


def test_who_gives_up_lets_go_those_behind():
    capacity = Capacity({"a": 2, "b": 1})
    assert capacity.request({"a": 1}, "holder")
    assert not capacity.request({"a": 2, "b": 1}, "large")
    assert not capacity.request({"b": 1}, "b")
    assert not capacity.request({"a": 1}, "a")
    assert not capacity.request({"a": 1}, "last")
    assert capacity.withdraw("last") == []
    assert capacity.withdraw("large") == ["b", "a"]
    assert capacity.waiting == 0


def test_tokens_are_told_apart_by_identity():
    capacity = Capacity({"a": 1})
    first, second = [0], [0]
    assert capacity.request({"a": 1}, None)
    assert not capacity.request({"a": 1}, first)
    assert not capacity.request({"a": 1}, second)
    assert capacity.withdraw(first) == []
    (granted,) = capacity.release({"a": 1})
    assert granted is second


def test_ten_tenths_are_one():
    capacity = Capacity({"share": 1.0})
    assert all(capacity.request({"share": 0.1}, i) for i in range(10))
    assert capacity.free == {"share": 0.0}
    assert not capacity.request({"share": 1e-12}, "more")
    assert capacity.release({"share": 0.1}) == ["more"]
    for _ in range(9):
        capacity.release({"share": 0.1})
    capacity.release({"share": 1e-12})
    assert capacity.free == {"share": 1.0}


def test_nothing_is_needed_of_a_name_whose_amount_is_0():
    capacity = Capacity({"gpu": 1})
    assert capacity.request({"gpu": 1}, 1)
    assert not capacity.request({"gpu": 1}, 2)
    assert capacity.request({"gpu": 0}, 3)
    assert capacity.request({}, 4)
    with pytest.raises(CapacityError):
        capacity.request({"gpus": 0}, 5)


@pytest.mark.parametrize(
    ("totals", "amounts", "text"),
    [
        ({}, {"gpu": 1}, "the run has no capacity 'gpu': give it with run(..., capacity={'gpu': ...})"),
        (
            {"gpu": 1, "disk": 1},
            {"gpus": 1},
            "the run has no capacity 'gpus': give it with run(..., capacity={'gpus': ...}); did you mean 'gpu'?",
        ),
        (
            {"disk": 1, "net": 1},
            {"gpu": 1},
            "the run has no capacity 'gpu': give it with run(..., capacity={'gpu': ...}); it has 'disk', 'net'",
        ),
        ({"gpu": 2}, {"gpu": 2.5}, "2.5 of 'gpu' is more than the whole run has, which is 2"),
        ({"gpu": 0}, {"gpu": 1}, "1 of 'gpu' is more than the whole run has, which is 0"),
        ({"gpu": 0.3}, {"gpu": 0.1 + 0.2}, "0.30000000000000004 of 'gpu' is more than the whole run has, which is 0.3"),
    ],
)
def test_what_can_never_be_had_is_an_error_at_once(totals, amounts, text):
    capacity = Capacity(totals)
    for ask in (capacity.check, lambda amounts: capacity.request(amounts, "x")):
        with pytest.raises(CapacityError) as caught:
            ask(amounts)
        assert str(caught.value) == text
        assert isinstance(caught.value, CascadeError)
        assert isinstance(caught.value, ValueError)
    assert capacity.waiting == 0


BAD_NUMBERS = [-1, -0.5, float("nan"), float("inf"), float("-inf"), True, "1", None, 1j, [1]]


@pytest.mark.parametrize("amount", BAD_NUMBERS, ids=repr)
def test_an_amount_must_be_a_number(amount):
    capacity = Capacity({"gpu": 10})
    with pytest.raises(ValueError, match=r"the amount of 'gpu' must be a (finite )?number, 0 or more, not") as caught:
        capacity.check({"gpu": amount})
    assert not isinstance(caught.value, CapacityError)
    assert repr(amount) in str(caught.value)


@pytest.mark.parametrize("total", BAD_NUMBERS, ids=repr)
def test_a_total_must_be_a_number(total):
    with pytest.raises(ValueError, match="the capacity 'gpu' must be a"):
        Capacity({"gpu": total})


@pytest.mark.parametrize("totals", [3, None, ["gpu"], {1: 2}], ids=repr)
def test_totals_are_a_mapping_by_name(totals):
    with pytest.raises(TypeError, match="capacity"):
        Capacity(totals)


def test_numbers_of_any_size():
    capacity = Capacity({"a": 10**400, "b": 1e300, "c": 5e-324})
    assert capacity.request({"a": 10**400, "b": 1e300, "c": 5e-324}, 1)
    assert not capacity.request({"a": 1}, 2)


def test_totals_are_copied():
    totals = {"gpu": 1}
    capacity = Capacity(totals)
    totals["gpu"] = 5
    with pytest.raises(CapacityError):
        capacity.check({"gpu": 2})


def test_uses_that_would_break_the_books_are_refused_and_change_nothing():
    capacity = Capacity({"a": 1, "b": 1})
    assert capacity.request({"a": 1}, 1)
    with pytest.raises(InternalError, match="more of the capacity 'b' was given back"):
        capacity.release({"a": 1, "b": 1})
    assert capacity.free == {"a": 0, "b": 1}
    assert not capacity.request({"a": 1}, 2)
    with pytest.raises(InternalError, match="twice"):
        capacity.request({"b": 1}, 2)
    with pytest.raises(InternalError, match="waits"):
        capacity.withdraw(1)


@pytest.mark.parametrize("leave", ["release", "withdraw"])
def test_many_who_wait_are_let_go_in_linear_time(leave):
    def seconds(count: int) -> float:
        tokens = [object() for _ in range(count)]
        best = float("inf")
        for _ in range(3):
            capacity = Capacity({"a": 1, "b": count})
            assert capacity.request({"a": 1}, None)
            began = time.perf_counter()
            for token in tokens:
                assert not capacity.request({"a": 1, "b": 1}, token)
            for token in tokens:
                if leave == "release":
                    amounts = {"a": 1} if token is tokens[0] else {"a": 1, "b": 1}
                    (granted,) = capacity.release(amounts)
                    assert granted is token
                else:
                    assert capacity.withdraw(token) == []
            best = min(best, time.perf_counter() - began)
        return best

    assert seconds(10_000) < 40 * seconds(1_000)


class Model:
    """The rules said plainly: all who wait are looked at, in order, after every change."""

    def __init__(self, totals):
        self.totals = {name: Fraction(str(total)) for name, total in totals.items()}
        self.held: list[tuple[object, dict]] = []
        self.queue: list[tuple[object, dict]] = []

    def free(self, name):
        return self.totals[name] - sum((needs.get(name, 0) for _, needs in self.held), Fraction(0))

    def turn(self):
        granted = []
        blocked: set[str] = set()
        for entry in list(self.queue):
            needs = entry[1]
            if not blocked & set(needs) and all(amount <= self.free(name) for name, amount in needs.items()):
                self.queue.remove(entry)
                self.held.append(entry)
                granted.append(entry[0])
            else:
                blocked |= set(needs)
        return granted

    def request(self, amounts, token):
        self.queue.append((token, {name: Fraction(str(amount)) for name, amount in amounts.items() if amount}))
        return token in self.turn()

    def release(self, token):
        self.held = [entry for entry in self.held if entry[0] != token]
        return self.turn()

    def withdraw(self, token):
        self.queue = [entry for entry in self.queue if entry[0] != token]
        return self.turn()


# Few names and large amounts, so that many wait for each other.
AMOUNTS = st.dictionaries(st.sampled_from("abc"), st.sampled_from([1, 0.5, 0.3, 0.7, 0]), min_size=1, max_size=3)
STEPS = st.lists(st.tuples(st.sampled_from("rrr-w"), AMOUNTS, st.integers(0, 30)), min_size=5, max_size=60)


@quick
@given(STEPS)
def test_it_does_what_the_model_does(steps):
    totals = {"a": 1, "b": 1.0, "c": 1.3}
    capacity, model = Capacity(totals), Model(totals)
    amounts_of: dict[int, dict] = {}
    waiting: list[int] = []
    holding: list[int] = []

    def let_go(tokens):
        assert tokens == sorted(tokens)
        for token in tokens:
            waiting.remove(token)
            holding.append(token)

    def balanced():
        for name in totals:
            assert 0 <= model.free(name) <= model.totals[name]
            assert capacity.free[name] == float(model.free(name))
        assert capacity.waiting == len(waiting) == len(model.queue)

    for at, (what, amounts, pick) in enumerate(steps):
        if what == "r":
            amounts_of[at] = amounts
            granted = capacity.request(amounts, at)
            assert granted == model.request(amounts, at)
            (holding if granted else waiting).append(at)
        elif what == "-" and holding:
            token = holding.pop(pick % len(holding))
            tokens = capacity.release(amounts_of[token])
            assert tokens == model.release(token)
            let_go(tokens)
        elif what == "w" and waiting:
            token = waiting.pop(pick % len(waiting))
            tokens = capacity.withdraw(token)
            assert tokens == model.withdraw(token)
            let_go(tokens)
        balanced()
    # Nobody starves, and everything comes back.
    while holding:
        let_go(capacity.release(amounts_of[holding.pop(0)]))
    assert waiting == []
    assert capacity.free == {name: float(total) for name, total in totals.items()}
