"""What is verified piece by piece, before it is decoded, gets the same answer as what is decoded first."""

from __future__ import annotations

import random
from typing import Any

import artifact_flows as flows
import hostile
import hostile_programs
import jump_flows
import msgspec
import pytest
from damage import body_of, sealed

from cascade_compiler import compile
from cascade_vm import LoadError, VerifyError, codec, constant_check, constants, content_form, loads, wellformed
from cascade_vm.container import pack


def answer(artifact: bytes) -> Any:
    try:
        return loads(artifact).data
    except VerifyError as refused:
        return refused.faults
    except LoadError as refused:
        return str(refused)


@pytest.fixture
def in_pieces(monkeypatch):
    """Pieces of a few bytes, of everything"""

    def switch(piece: int = 40) -> None:
        monkeypatch.setattr(codec, "_SMALL", 0)
        monkeypatch.setattr(wellformed, "PIECE", piece)
        monkeypatch.setattr(content_form, "_content_form", content_form._content_form.__wrapped__)
        monkeypatch.setattr(constant_check, "_SMALL", 0)

    return switch


def damaged(artifact: bytes, dice: random.Random) -> bytes:
    """The artifact with another integer somewhere."""
    tree = msgspec.msgpack.decode(body_of(artifact))
    at: Any = tree
    while True:
        lists = [one for one in at if isinstance(one, list) and one]
        if lists and dice.random() < 0.9:
            at = dice.choice(lists)
        elif numbers := [number for number, one in enumerate(at) if type(one) is int]:
            at[dice.choice(numbers)] = dice.choice((0, 1, 2, 3, 7, 300, -1))
            return sealed(artifact, msgspec.msgpack.encode(tree))
        else:
            at = tree


def test_good_and_damaged_artifacts(in_pieces):
    dice = random.Random(1)
    good = [compile(flow).to_bytes() for flow in (flows.small, jump_flows.counted)]
    artifacts = good + [damaged(dice.choice(good), dice) for _ in range(80)]
    expected = [answer(one) for one in artifacts]
    in_pieces()
    assert [answer(one) for one in artifacts] == expected
    assert len({str(one)[:40] for one in expected}) > 10


def test_programs_of_every_form(in_pieces):
    artifacts = [pack(body, hostile.ABOUT) for _, body in hostile_programs.programs(120)]
    expected = [answer(one) for one in artifacts]
    in_pieces(200)
    assert [answer(one) for one in artifacts] == expected


def says(check: Any, constant: bytes) -> bool:
    try:
        check(constant)
    except ValueError:
        return False
    return True


def test_constants(monkeypatch):
    """Found out on the bytes of a constant: what its decoding would say"""
    monkeypatch.setattr(constant_check, "_SMALL", 0)
    dice = random.Random(2)
    leaves = (0, -33, 128, 2**64, 2.5, True, None, "", "x" * 40, "é", b"q" * 300, ..., 2j, range(3), (1, "a"), frozenset({1, (2,)}))
    wrong = 0
    for _ in range(300):
        some = [dice.choice(leaves) for _ in range(dice.randrange(6))]
        kind = dice.choice((list, tuple, set, frozenset, dict.fromkeys, lambda some: {1: [*some], "k": {2: tuple(some)}}))
        good = constants.encode(kind(some))
        assert says(constant_check.check, good)
        for _ in range(4):
            bad = bytearray(good)
            at = dice.randrange(len(bad))
            other = dice.choice((b"", b"\x00", b"\xcd", b"\xcc\x01", b"\x91", b"\xc1", b"\xa1\xff", bytes(bad[:3])))
            bad[at : at + dice.randrange(2)] = other
            assert says(constant_check.check, bytes(bad)) == says(constants.decode, bytes(bad))
            wrong += not says(constants.decode, bytes(bad))
    assert wrong > 300


@pytest.mark.parametrize(
    "tree",
    [
        ["set", 2, 1], ["frozenset", "b", "a"], ["set", 1, 1], ["dict", 1], ["dict", ["list"], 1], ["set", ["dict"]], ["slice", 1, 2],
        ["what"], [],
    ],
    ids=str,
)
def test_what_is_no_constant(monkeypatch, tree):
    monkeypatch.setattr(constant_check, "_SMALL", 0)
    for one in (tree, ["list", 1, tree], ["dict", 1, ["tuple", tree]]):
        for check in (constant_check.check, constants.decode):
            assert not says(check, msgspec.msgpack.encode(one))


def test_keys_that_are_equal_in_python(monkeypatch):
    monkeypatch.setattr(constant_check, "_SMALL", 0)
    for keys in ((1, True), (1, 1.0), ((1, 2), (1.0, 2))):
        twice = msgspec.msgpack.encode(["dict", *[one for key in keys for one in (constants._tree(key, "", 0), 0)]])
        with pytest.raises(ValueError, match="not in canonical form"):
            constant_check.check(twice)
    constant_check.check(constants.encode({-1: 0, -2: 0, 2**61 - 2: 0}))  # of one hash, and not equal


def test_keys_of_one_hash_take_no_time_that_grows_with_their_square():
    many = constants.encode(dict.fromkeys(range(2**61 - 1, 1_500 * (2**61 - 1), 2**61 - 1)))
    with pytest.raises(ValueError, match="more than 1,000 keys have one hash"):
        constant_check.check(many)
