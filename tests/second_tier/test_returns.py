"""What is proven of a function's value holds for every value of the kinds that the proof was made for."""

from __future__ import annotations

import os
import random
import warnings

import pytest
from function_texts import SCOPE, VALUES, Drawing, some_task

from cascade_compiler import LazyResult
from cascade_vm.continuation import CONTINUATIONS
from cascade_vm.returns import ANY, SAFE, SCALAR, SCALARS, known_of, returned

FUNCTIONS = int(os.environ.get("CASCADE_EXAMPLES", "150")) * 20
_ATTEMPTS = 4  # calls of each function that something is claimed of


def made(text: str):
    scope = dict(SCOPE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # (1)[0], "x" is 1: drawn at random, after all
        exec(text, scope)
    return next(value for name, value in scope.items() if name not in SCOPE and name != "__builtins__")


@pytest.mark.parametrize("part", range(4))
def test_no_claim_is_wrong(part):
    proven = {SAFE: 0, SCALAR: 0}
    calls = 0
    for seed in range(part, FUNCTIONS, 4):
        text = Drawing(seed).function()
        fn = made(text)
        pick = random.Random(seed)
        count = pick.randint(max(1, fn.__code__.co_argcount - len(fn.__defaults__ or ())), fn.__code__.co_argcount)
        for kinds in ([SCALAR] * count, [pick.choice((ANY, SAFE, SCALAR)) for _ in range(count)]):
            claim = returned(fn, kinds)
            if claim == ANY:
                continue
            proven[claim] += 1
            for _ in range(_ATTEMPTS):
                args = [pick.choice(VALUES[kind]) for kind in kinds]
                try:
                    value = fn(*args)
                except Exception:
                    continue
                calls += 1
                assert type(value) not in CONTINUATIONS, (text, args, claim)
                if claim == SCALAR:
                    assert type(value) in SCALARS, (text, args, claim, value)
    assert proven[SCALAR] > FUNCTIONS / 60, proven  # it claims enough for this to say something
    assert proven[SAFE] > FUNCTIONS / 600, proven
    assert calls > FUNCTIONS / 40


def test_what_is_known_of_values():
    class Number(int):
        pass

    assert [known_of(one) for one in (1, 1.0, True, "x", b"x", None, 1j)] == [SCALAR] * 7
    assert [known_of(one) for one in (Number(1), [1], (), object(), some_task(1))] == [ANY] * 5
    assert LazyResult in CONTINUATIONS


@pytest.mark.parametrize(
    ("text", "kinds", "expected"),
    [
        ("def f(x): return x + 1", [SCALAR], SCALAR),
        ("def f(x): return x + 1", [SAFE], ANY),
        ("def f(x): return x + 1", [ANY], ANY),
        ("def f(a, b): return a + b", [SCALAR, SCALAR], SCALAR),
        ("def f(a, b): return a + b", [SCALAR, SAFE], ANY),
        ("def f(a, b): return a ** b << 2", [SCALAR, SCALAR], SCALAR),
        ("def f(x): return x", [SCALAR], SCALAR),
        ("def f(x): return x", [SAFE], SAFE),
        ("def f(x): return x", [ANY], ANY),
        ("def f(x): return None", [ANY], SCALAR),
        ("def f(x): pass", [ANY], SCALAR),
        ("def f(x): return (1, 2)", [ANY], SAFE),
        ("def f(x): return x if x > 0 else -x", [SCALAR], SCALAR),
        ("def f(x): return 1 if x else 'no'", [ANY], SCALAR),
        ("def f(a, b): return a and b", [SCALAR, SAFE], SAFE),
        ("def f(a, b): return a or b", [SAFE, ANY], ANY),
        ("def f(a, b): return a or b", [SAFE, SCALAR], SAFE),
        ("def f(a, b): return a or b", [ANY, SCALAR], ANY),
        ("def f(a, b): return a and b", [ANY, SCALAR], ANY),
        ("def f(a, b): return a is b", [ANY, ANY], SCALAR),
        ("def f(a, b): return a in b", [ANY, ANY], SCALAR),
        ("def f(x): return not x", [ANY], SCALAR),
        ("def f(a, b): return a < b", [SCALAR, SCALAR], SCALAR),
        ("def f(a, b): return a < b", [SAFE, SAFE], ANY),
        ("def f(x): return [x]", [ANY], SAFE),
        ("def f(x): return (x, x)", [ANY], SAFE),
        ("def f(x): return {'k': x, 'l': x}", [ANY], SAFE),
        ("def f(x): return f'{x}!'", [ANY], SCALAR),
        ("def f(x): return f'{x}'", [SCALAR], SCALAR),
        ("def f(x): return x[0]", [SCALAR], ANY),
        ("def f(x): return x.real", [SCALAR], ANY),
        ("def f(x): return x.upper() * 2", [SCALAR], ANY),
        ("def f(x):\n  x.upper()\n  return 1", [ANY], SCALAR),
        ("def f(x):\n  len(x)\n  return x", [SAFE], SAFE),
        ("def f(x):\n  print(x, sep=' ')\n  return x", [SCALAR], SCALAR),
        ("def f(n):\n  total = 0\n  while n > 0:\n    total += n\n    n -= 1\n  return total", [SCALAR], SCALAR),
        ("def f(n):\n  total = 0\n  while n:\n    total = n\n    n = helper(n)\n  return total", [SCALAR], ANY),
        ("def f(a, b):\n  if a < 0:\n    raise ValueError(a)\n  c = a * b\n  return c", [SCALAR, SCALAR], SCALAR),
        ("def f(x):\n  return helper(x)", [SCALAR], ANY),
        ("def f(x, y=1): return x + y", [SCALAR], ANY),  # the default may be replaced
        ("def f(x, y=1): return x", [SCALAR], SCALAR),
        ("def f(x, *rest): return x", [SCALAR], ANY),
        ("def f(x):\n  yield x", [SCALAR], ANY),
        ("async def f(x): return x", [SCALAR], ANY),
        ("def f(x):\n  try:\n    return x\n  except KeyError:\n    return 1", [SCALAR], ANY),
        ("def f(x): return (lambda: x)()", [SCALAR], ANY),
    ],
)  # fmt: skip
def test_what_it_proves(text, kinds, expected):
    assert returned(made(text), kinds) == expected


def test_keywords_find_their_parameters():
    fn = made("def f(a, b, *, c): return b")
    assert returned(fn, [ANY, SAFE, SCALAR], ("c", "b")) == SCALAR
    assert returned(fn, [ANY, SCALAR, SAFE], ("c", "b")) == SAFE
    assert returned(fn, [ANY, SCALAR, SAFE], ("b", "d")) == ANY  # the call fails


def test_only_plain_functions():
    class Callable_:
        def __call__(self, x):
            return 1

    assert returned(len, [SCALAR]) == returned(Callable_(), [ANY]) == returned(int, [ANY]) == ANY
    assert returned(lambda x: 1, [ANY]) == SCALAR


def test_a_free_variable_may_be_anything():
    hidden = some_task(1)
    assert returned(lambda x: hidden, [SCALAR]) == ANY
    assert returned(lambda x: x, [SCALAR]) == SCALAR


def test_a_long_function_is_given_up_or_proven():
    text = "def f(x):\n" + "  x = x + 1\n" * 600 + "  return x"
    assert returned(made(text), [SCALAR]) in (ANY, SCALAR)
    jumps = "def f(x):\n" + "".join(f"  if x > {n}:\n    x = x + {n}\n" for n in range(300)) + "  return x"  # EXTENDED_ARG
    assert returned(made(jumps), [SCALAR]) in (ANY, SCALAR)
