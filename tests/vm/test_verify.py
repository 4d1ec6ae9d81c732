"""The verifier: for each rule a listing that breaks it, and its accepted twin."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cascade_vm import LoadError, Program, VerifyError, assemble, disassemble, verify
from cascade_vm.program import ProgramData
from cascade_vm.route_data import InputSpec

ID = "0123456789abcdef0123456789abcdef01234567"

GOOD = f"""
blueprint {ID}
  registers 4   literals 2   inputs "x"
  symbol "m:f" sync version "1" signature "(…)"
  symbol "m:g" async version "1" signature "(…)"
strand 0
     0  %3  R3 = call m:f(R0, key=R1)  dead R1
strand 1 needs 0
     1  %4  R1 = spawn m:g(R3)  dead R3
strand 2 eager awaits 1
     2  %5  R3 = build dict(R0, R1)  dead R0 R1
strand 3 needs 2
     3  %6  R3 = item(R3, R2)  after %4  dead R2
     4  %7  tail_call m:f(R3)  dead R3
"""

# (rule, text in the good listing, what replaces it)
BROKEN = [
    ("P1", ID, "0123"),
    ("B1", "registers 4", "registers 2"),
    ("I1", "item(R3, R2)", "item(R3)"),
    ("I1", "build dict(R0, R1)", "build dict(R0, R1, R1)"),
    ("I1", "build dict(R0, R1)  dead R0 R1", "build dict-like()"),
    ("I2", "R3 = call m:f(R0", "R3 = call m:f(R9"),
    ("I2", "R3 = item", "R7 = item"),
    ("I2", "%7  tail_call", "%7  R1 = tail_call"),
    ("I3", "key=R1", "1x=R1"),
    ("I3", "build dict(R0, R1)", "build dict(R0, key=R1)"),
    ("I4", "%5", "%3"),
    ("I4", "after %4", "after %44"),
    ("I5", "spawn m:g", "spawn m:f"),
    ("I5", "call m:f(R0", "call m:g(R0"),
    ("I6", "dead R1\nstrand 1", "dead R2\nstrand 1"),
    ("O1", "strand 1 needs 0", "strand 1 needs 3"),
    ("O1", "awaits 1", "awaits 0"),
    ("O1", "strand 3 needs 2", "strand 3 needs 2 2"),
    ("O2", "tail_call m:f(R3)  dead R3", "R1 = call m:f(R3)  dead R3"),
    ("O2", "R3 = item(R3, R2)  after %4  dead R2", "tail_call m:f(R3)"),
    ("O3", "strand 1 needs 0", "strand 1"),
    ("O3", "strand 2 eager awaits 1", "strand 2 eager"),
    ("O3", "strand 3 needs 2", "strand 3"),
    ("O3", "dead R1\nstrand 1", "dead R0 R1\nstrand 1"),
    ("O3", "spawn m:g(R3)  dead R3", "spawn m:g(R1)"),
]


def test_the_good_listing_is_accepted():
    verify(assemble(GOOD))


@pytest.mark.parametrize(("rule", "good", "bad"), BROKEN, ids=[f"{rule}-{n}" for n, (rule, _, _) in enumerate(BROKEN)])
def test_each_broken_rule_is_found_and_named(rule, good, bad):
    assert GOOD.count(good) >= 1
    with pytest.raises(VerifyError) as caught:
        verify(assemble(GOOD.replace(good, bad, 1)))
    assert any(fault.startswith(f"{rule}: ") for fault in caught.value.faults), caught.value.faults


CHOICES = f"""
blueprint {ID}
  registers 10   literals 7
  symbol "m:f" sync version "1" signature "(*a, **k)"
  symbol "m:g" async version "1" signature "(*a, **k)"
  policy [[2,0.0,1.0,null,0.0,null,["builtins:Exception"]],null,null,[["a",null]],null]
  map [[0],-1,null]
  choice [[3,0],[4,1],false]
  choice [[2,1],[11,15],true]
  resource ["m:r","run",false]
  regions [[],[],[],[]]
strand 0
     0  %1    R0 = call m:f(R0)
     1  %2    R7 = call m:f()
     2  %3    R7 = branch choice 0(R7)
strand 1 eager region 3 needs 0
     3  %4    R8 = spawn m:g(R0)
strand 2 needs 0
     4  %5    R7 = select choice 0(R7)  dead R7
     5  %7    R1 = call m:f(R1)
     6  %9    R2 = branch choice 1(R1, R2)  dead R1
strand 3 region 2
     7  %10   R9 = enter resource 0()
strand 4 region 2 needs 0 awaits 7
     8  %11   R9 = call m:f(R0, R9)
strand 5 region 1
     9  %13   R3 = call m:f(R3)
strand 6 eager region 1 needs 5
    10  %15   R4 = perform m:g(R3, R4) policy 0  dead R3 R4
strand 7 needs 2
    11  %16   R2 = select choice 1(R2)  dead R2
    12  %19   R6 = map m:f(R5, k=R6) map 0  dead R5 R6
strand 8 needs 0 awaits 4 11 12
    13  %20   tail_call m:f(R0, R7, R2, R6)  tests R2  dead R2 R6 R7
"""

BROKEN_CHOICES = [
    ("B3", "eager region 3", "eager region 4"),
    ("B4", "policy [[2", "policy [[0"),
    ("B4", "policy [[2,0.0", "policy [[2,-1.0"),
    ("B4", "0.0,1.0,null,0.0", "0.0,1.0,null,1.5"),
    ("B4", '["builtins:Exception"]],null', '["builtins:Exception"]],-1.0'),
    ("B4", '["builtins:Exception"]],null', '["builtins:Exception"]],0.0'),
    ("B4", "map [[0],-1,null]", "map [[],-1,null]"),
    ("B4", "map [[0],-1,null]", "map [[0],1,null]"),
    ("B4", "map [[0],-1,null]", "map [[0],-1,0]"),
    ("B5", "choice [[3,0],[4,1],false]", "choice [[3],[4],false]"),
    ("B5", "choice [[3,0],[4,1],false]", "choice [[3,4],[4,1],false]"),
    ("B5", "choice [[3,0],[4,1],false]", "choice [[3,0],[4,99],false]"),
    ("B5", "choice [[3,0],[4,1],false]", "choice [[3,0],[4,-9],false]"),
    ("B5", "regions [[],[],[],[]]", "regions [[1],[],[],[]]"),
    ("B6", '"run"', '"loop"'),
    ("B6", "enter resource 0()", "enter resource 0(R0)"),
    ("I1", "branch choice 0(R7)", "branch choice 0(R7, R0)"),
    ("I2", "enter resource 0()", "enter resource 1()"),
    ("I2", "tests R2", "tests R12"),
    ("I6", "tests R2  dead R2 R6 R7", "dead R2 R6 R7 R8"),
    ("I7", "policy 0  dead", "policy 1  dead"),
    ("I7", "k=R6) map 0", "k=R6) map 1"),
    ("I7", "R4 = perform m:g(R3, R4)", "R4 = perform m:g()"),
    ("I7", "map [[0],-1,null]", "map [[2],-1,null]"),
    ("I7", "%16   R2 = select choice 1(R2)  dead R2", "%16   R2 = select choice 1(R0)"),
    ("I7", "%16   R2 = select choice 1(R2)", "%16   R2 = select choice 0(R2)"),
    ("I7", "%9    R2 = branch choice 1(R1, R2)  dead R1", "%9    branch choice 1(R1, R2)  dead R1"),
    ("O2", "     9  %13   R3 = call m:f(R3)\n", "     9  %13   tail_call m:f(R3)\n"),
    ("O3", "tail_call m:f(R0, R7, R2, R6)  tests R2  dead R2 R6 R7", "tail_call m:f(R0, R7, R2, R6)  tests R8  dead R2 R6 R7"),
    ("R1", "strand 8 needs 0 awaits 4 11 12", "strand 8 needs 0 4 awaits 4 11 12"),
    ("R1", "strand 8 needs 0 awaits 4 11 12", "strand 8 needs 0 awaits 3 4 11 12"),
    ("R1", "strand 4 region 2 needs 0 awaits 7", "strand 4 needs 0 awaits 7"),
    ("R2", "choice [[2,1],[11,15],true]", "choice [[0,1],[11,15],true]"),
    ("R2", "choice [[3,0],[4,1],false]", "choice [[3,0],[4,-3],false]"),
    ("R3", "choice [[3,0],[4,1],false]", "choice [[3,0],[4,5],false]"),
]


def test_the_good_listing_with_choices_is_accepted():
    verify(assemble(CHOICES))


@pytest.mark.parametrize(
    ("rule", "good", "bad"), BROKEN_CHOICES, ids=[f"{rule}-{n}" for n, (rule, _, _) in enumerate(BROKEN_CHOICES)]
)
def test_each_broken_rule_of_choices_is_found_and_named(rule, good, bad):
    assert CHOICES.count(good) >= 1
    with pytest.raises(VerifyError) as caught:
        verify(assemble(CHOICES.replace(good, bad, 1)))
    assert any(fault.startswith(f"{rule}: ") for fault in caught.value.faults), caught.value.faults


def test_a_register_may_not_pass_on_while_a_reader_in_another_strand_may_come():
    """O4: R0 is read by strand 1, which strand 2 does not wait for, and written again by strand 2."""
    listing = f"""
blueprint {ID}
  registers 3   literals 1
  symbol "m:f" sync version "1" signature "(…)"
  symbol "m:g" async version "1" signature "(…)"
strand 0
     0  %1  R1 = spawn m:g(R0)
     1  %2  R2 = spawn m:g(R0)
strand 1 awaits 0
     2  %3  R1 = call m:f(R1, R0)
strand 2 awaits 1 needs 0
     3  %4  R0 = call m:f(R2)  dead R2
strand 3 needs 1 2
     4  %5  tail_call m:f(R0, R1)  dead R0 R1
""".replace("awaits 1 needs 0", "needs 0 awaits 1")
    with pytest.raises(VerifyError, match=r"O4: instruction 3: writes R0, which instruction 2 may still have to read"):
        verify(assemble(listing))
    verify(assemble(listing.replace("strand 2 needs 0 awaits 1", "strand 2 needs 0 1 awaits 1")))


@pytest.mark.parametrize("name", ["os.system", "m f:g", "1m:f", "m:", ":f", "m..n:f", "m:f:g"])
def test_symbols_must_name_a_module_and_a_name(name):
    good = assemble(GOOD)
    with pytest.raises(VerifyError, match="B2: symbol 0"):
        verify(replace(good, symbols=(replace(good.symbols[0], name=name), *good.symbols[1:])))


def test_unknown_opcodes_are_found():
    good = assemble(GOOD)
    broken = replace(good, instructions=(replace(good.instructions[0], opcode=99), *good.instructions[1:]))
    with pytest.raises(VerifyError, match="I1: instruction 0: there is no opcode 99"):
        verify(broken)


def test_strands_must_cover_the_instructions():
    good = assemble(GOOD)
    for strands in ((), good.strands[:-1], (replace(good.strands[0], stop=0), *good.strands[1:])):
        with pytest.raises(VerifyError, match="B3"):
            verify(replace(good, strands=strands))


def test_all_faults_are_collected():
    with pytest.raises(VerifyError) as caught:
        verify(assemble(GOOD.replace("item(R3, R2)", "item(R3)").replace("registers 4", "registers 2")))
    assert {fault[:2] for fault in caught.value.faults} >= {"B1", "I1", "I2"}


def program(**changes: object) -> Program:
    blueprint = assemble(GOOD)
    fields: dict[str, object] = {
        "entry": ID, "blueprints": (blueprint,), "constants": (b"\x01", b"\xa1k"), "literals": (0, 1),
        "inputs": (InputSpec("x", "param", "int", None),),
    }  # fmt: skip
    return Program(ProgramData(**{**fields, **changes}), {})  # type: ignore[arg-type]


def test_programs():
    verify(program())
    for rule, changes in [
        ("P1", {"entry": ID[::-1]}),
        ("P1", {"blueprints": (assemble(GOOD), assemble(GOOD))}),
        ("P2", {"literals": (0,)}),
        ("P2", {"literals": (0, 2)}),
        ("P2", {"constants": (b"\x01", b"\x91\xa1k")}),
        ("P2", {"inputs": (InputSpec("x", "param", "int[", None),)}),
        ("P2", {"inputs": (InputSpec("x", "file", "int", None),)}),
        ("P3", {"inputs": (InputSpec("y", "param", "int", None),)}),
    ]:
        with pytest.raises(VerifyError) as caught:
            verify(program(**changes))
        assert any(fault.startswith(rule) for fault in caught.value.faults), (rule, caught.value.faults)


# Constants: 5, 'again', 'end', and a list. Part 0 is m:step(R1, n=R2), part 1 the same with a flag and a box for each of two arguments.
JUMPS = f"""
program {ID}
  constant 05
  constant a5616761696e
  constant a3656e64
  constant 91a46c697374
  literals -2 0
  part [1,[-2,0,-1,0],[]]
  part [2,[-1,0,-2,0,-1],[["x","param","int",null]]]
  table [[["pWFnYWlu",0,1,0,[["n",1,0,1,3],["",2,0,1,4]],0,1,0,[0]],["o2VuZA==",-1,-1,-1,[],-1,-1,-1,[]]]]
blueprint {ID}
  registers 2   literals 2
  symbol "m:step" bound sync version "1" signature "(n)"
strand 0
     0  %2  tail_call m:step(R0, R1)  dead R0 R1
blueprint {ID[1:] + "8"}
  registers 4   literals 4
  symbol "m:step" bound sync version "1" signature "(n)"
  policy [[2,0.0,1.0,null,0.0,null,["builtins:Exception"]],null,null,[["a",null]],null]
strand 0
     0  %4  R3 = perform m:step(R3, R0, R1) policy 0
strand 1 awaits 0
     1  %5  tail_call m:step(R0, R1, n=R2)  dead R0 R1 R2
blueprint {ID[2:] + "89"}
  registers 6   literals 5   inputs "x"
  symbol "m:step" bound sync version "1" signature "(n)"
  symbol "m:g" async version "1" signature "(n)"
strand 0
     0  %6  R0 = build tuple(R0, R1)
     1  %7  tail_call m:step(R2, R0, n=R5)  dead R0 R2
"""

BROKEN_JUMPS = [
    ("P4", '],null,null,[["a",null]],null]', '],null,"m:Cache",[["a",null]],null]'),
    ("P6", '[2,[-1,0,-2,0,-1],[["x","param","int",null]]]', "[1,[-1,0,-2,0],[]]"),
    ("P1", "blueprint 123456789abcdef0123456789abcdef012345678", "blueprint 23456789abcdef0123456789abcdef0123456789"),
    ("P2", "literals -2 0", "literals -3 0"),
    ("P2", "literals -2 0", "literals -1 0"),
    ("P2", "literals -2 0", "literals -2 4"),
    ("P2", '["x","param","int",null]', '["x","param","float int",null]'),
    ("P3", '[["x","param","int",null]]', "[]"),
    ("P5", "literals -2 0", "literals 0 -2"),
    ("P5", "tail_call m:step(R0, R1)  dead R0 R1", "tail_call m:step(R1, R0)  dead R0 R1"),
    ("P5", "tail_call m:step(R0, R1)  dead R0 R1", "tail_call m:step(n=R0)  dead R0"),
    ("P5", "tail_call m:step(R0, R1)  dead R0 R1", "tail_call m:step()"),
    ("P5", "perform m:step(R3, R0, R1) policy 0", "perform m:step(R0, R3, R1) policy 0"),
    ("P5", "tail_call m:step(R2, R0, n=R5)  dead R0 R2", "tail_call m:step(R0, R2, n=R5)  dead R0 R2"),
    ("P5", "     0  %6  R0 = build tuple(R0, R1)", "     0  %6  R2 = build tuple(R0, R1)"),
    ("P6", "part [1,[-2,0,-1,0],[]]", "part [3,[-2,0,-1,0],[]]"),
    ("P6", "part [1,[-2,0,-1,0],[]]", "part [1,[-2,0,-1],[]]"),
    ("P6", "part [1,[-2,0,-1,0],[]]", "part [1,[-2,0,-1,4],[]]"),
    ("P6", "part [1,[-2,0,-1,0],[]]", "part [1,[-2,0,-3,0],[]]"),
    ("P6", "part [2,[-1,0,-2,0,-1],", "part [1,[-1,0,-2,0,-1],"),
    ("P7", '"pWFnYWlu"', '"o2VuZA=="'),
    ("P7", '"pWFnYWlu"', '"kaRsaXN0"'),
    ("P7", '"pWFnYWlu"', '"kQ=="'),
    ("P7", '"pWFnYWlu",0,1', '"pWFnYWlu",0,2'),
    ("P7", '"pWFnYWlu",0,1', '"pWFnYWlu",0,-1'),
    ("P7", '"o2VuZA==",-1,-1,-1', '"o2VuZA==",-1,-1,0'),
    ("P7", "table [[[", "table [[]]\n  table [[["),
    ("P8", '"pWFnYWlu",0,1,0', '"pWFnYWlu",0,1,2'),
    ("P8", '["",2,0,1,4]],0,1,0', '["",2,0,1,4]],2,1,0'),
    ("P8", '["",2,0,1,4]],0,1,0', '["",2,0,1,4]],0,-2,0'),
    ("P8", '["",2,0,1,4]],0,1,0', '["",2,0,1,4]],0,1,2'),
    ("P8", '["",2,0,1,4]],0,1,0,[0]', '["",2,0,1,4]],0,1,0,[2]'),
    ("P8", '["",2,0,1,4]', '["n",2,0,1,4]'),
    ("P8", '["n",1,0,1,3]', '["n",0,0,1,3]'),
    ("P8", '["n",1,0,1,3]', '["n",4,0,1,3]'),
    ("P8", '["n",1,0,1,3]', '["n",1,2,1,3]'),
    ("P8", '["n",1,0,1,3]', '["n",1,0,5,3]'),
    ("P8", '["n",1,0,1,3]', '["n",1,0,1,-1]'),
]


def test_the_listing_with_jumps_is_accepted():
    program = assemble(JUMPS)
    verify(program)
    assert assemble(disassemble(program)).data == program.data


@pytest.mark.parametrize(("rule", "good", "bad"), BROKEN_JUMPS, ids=[f"{rule}-{n}" for n, (rule, _, _) in enumerate(BROKEN_JUMPS)])
def test_each_broken_rule_of_jumps_is_found_and_named(rule, good, bad):
    assert JUMPS.count(good) >= 1
    with pytest.raises(VerifyError) as caught:
        verify(assemble(JUMPS.replace(good, bad, 1)))
    assert any(fault.startswith(f"{rule}: ") for fault in caught.value.faults), caught.value.faults


def test_a_part_is_source_of_nothing_else():
    text = JUMPS.replace("  table", '  source [7,["a.py"],[[0,1]]]\n  table', 1)
    with pytest.raises(LoadError, match="the source of part 7"):
        assemble(text)
