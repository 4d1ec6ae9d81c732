"""Keys and members of large constants: what loading refuses is refused when the program is compiled, with its place and the remedy."""

from __future__ import annotations

import decimal
import math

import artifact_flows as flows
import jump_flows as jumps
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_compiler import CompileError, Param, Router, bind, compile, run, select_jump
from cascade_vm import LoadError, constant_check, constants, loads
from cascade_vm.constant_keys import encode_for_artifact
from cascade_vm.constants import NotEncodable

LONG = tuple(range(300, 23_000))  # 68,103 bytes
ALIKE = range(2**61 - 1, 1_002 * (2**61 - 1), 2**61 - 1)  # 1,001 of one hash


def refused(target) -> str:
    with pytest.raises(CompileError) as caught:
        compile(target)
    assert caught.value.code == "C10"
    return str(caught.value)


class TestRefused:
    def test_a_large_key(self):
        told = refused(flows.nest({"rows": [1, {LONG: 2}]}))
        assert told == (
            "artifact_flows.nest.args[0]['rows'][1] (the key (300, 301, 302, 303, 304, 305, ...)) is a key of more than 65,536 bytes, "
            "which cannot be stored in a program. Make it a Param, or build it inside a task"
        )

    def test_a_large_member(self):
        assert refused(flows.nest([0, {LONG}])).startswith(
            "artifact_flows.nest.args[0][1] (a member) is a member of more than 65,536 bytes, which cannot be stored in a program. Make it"
        )

    def test_large_numbers_as_keys(self):
        for key in (2**300_000, decimal.Decimal("1" * 70_000)):
            assert "is a key of more than 65,536 bytes" in refused(flows.nest(slice(0, {key: 1})))
        assert ".stop (the key" in refused(flows.nest(slice(0, {LONG: 1})))

    def test_many_keys_of_one_hash(self):
        assert refused(flows.nest([dict.fromkeys(ALIKE)])).startswith(
            "artifact_flows.nest.args[0][0] is a dict with 1,001 keys of one hash, of which there may be 1,000, which cannot be stored"
        )
        assert "is a set with 1,001 members of one hash" in refused(flows.nest(set(ALIKE)))

    def test_keys_of_routes(self):
        assert "among the keys of a router, a key of more than" in refused(Router(flows.nest(1), {frozenset({LONG}): flows.nest(2)}))

    def test_keys_of_jumps(self):
        for keys, what in ((dict.fromkeys([1, LONG]), "a key of more than 65,536 bytes"), (dict.fromkeys(ALIKE), "with 1,001 keys of one")):
            told = refused(bind(jumps.pick(1), select_jump(keys)))
            assert "among the keys of a jump table, a" in told
            assert what in told

    def test_a_default_of_an_input(self):
        """That program runs here"""
        program = compile(flows.nest(Param("x", dict[object, int], {LONG: 1})))
        assert program.run()[0][0] == {LONG: 1}
        with pytest.raises(CompileError, match=r"input 'x': its default \(the key .*\) is a key of more than 65,536 bytes") as caught:
            program.to_bytes()
        assert caught.value.code == "C11"

    def test_a_graph_that_is_only_run(self):
        assert run(flows.nest({LONG: 1}))[0][0] == {LONG: 1}


class TestAccepted:
    def test_long_texts_and_thousands_of_keys(self):
        many = {7: dict.fromkeys(range(3_000)), 8: dict.fromkeys(ALIKE[:1_000]), (1, LONG[:20_000]): 0}
        value = {"x" * 70_000: {b"y" * 70_000, 2**64}, **many}
        assert loads(compile(flows.nest(value)).to_bytes()).run()[0][0] == value

    def test_numbers_that_are_not_equal_to_themselves(self):
        """Their hash is that of an object"""
        some = [float("nan") for _ in range(1_500)]
        for value in ({*some}, {(1, one) for one in some}, {frozenset({one}): 1 for one in some}, {decimal.Decimal("NaN") for _ in some}):
            there = loads(compile(flows.nest(value)).to_bytes()).run()[0][0]
            assert (type(there), len(there)) == (type(value), 1_500)

    def test_infinity_twice_is_found(self):
        twice = constants.encode(["x" * 9_000, {(1, math.inf): 0, (1, -math.inf): 1}])
        twice = twice.replace(b"\xcb\xff\xf0", b"\xcb\x7f\xf0")
        with pytest.raises(ValueError, match="not in canonical form"):
            constant_check.check(twice)

    def test_keys_of_jumps_may_be_long(self):
        many = dict.fromkeys((LONG[:20_000], "x" * 70_000, *range(1, 40), *ALIKE[:1_000], *(-2 - one for one in range(40))))
        program = compile(bind(jumps.pick(LONG[:20_000], 5), select_jump(many)))
        assert loads(program.to_bytes()).run() == 5


# By number: Hypothesis would write out what it draws from.
LARGE = (LONG, LONG[:21_800], "x" * 70_000, 2**300_000, set(ALIKE), dict.fromkeys(ALIKE[:-1]))


def large(at: int) -> object:
    return LARGE[at]


ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=3), st.decimals(allow_nan=False),
    st.sampled_from((2**61 - 2, -(2**61))), st.integers(0, 3).map(large),
)  # fmt: skip
KEYS = st.one_of(ATOMS, st.tuples(ATOMS, ATOMS), st.frozensets(ATOMS, max_size=3), st.sampled_from(ALIKE))
VALUES = st.recursive(
    st.one_of(KEYS, st.sets(KEYS, max_size=4), st.integers(4, 5).map(large)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3), st.builds(slice, inner, inner)),
    max_leaves=5,
)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # what is drawn may be large, and Hypothesis writes it out
@settings(max_examples=150)
@given(VALUES)
def test_what_is_saved_can_be_loaded(value):
    """What encoding for artifacts accepts, the check of a constant accepts, and the other way round"""
    encoded = constants.encode(value)
    try:
        encode_for_artifact(value)
    except NotEncodable:
        with pytest.raises(ValueError, match="no constant"):
            constant_check.check(encoded)
    else:
        constant_check.check(encoded)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=40)
@given(VALUES)
def test_programs_that_are_saved_can_be_loaded(value):
    """But for limits, and then the error has their names"""
    told = None
    try:
        loads(compile(flows.nest(value)).to_bytes())
    except (CompileError, LoadError) as refused:
        told = refused
    if told is not None:
        assert told.code == "C10" or (told.code == "L06" and "the limit is 65,536 (integer)" in str(told))
