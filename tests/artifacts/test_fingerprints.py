"""Fingerprints of the source of tasks: what is a change and what is none, what is said of it, and the same bytes everywhere."""

from __future__ import annotations

import argparse
import ast
import builtins
import dataclasses
import functools
import hashlib
import io
import itertools
import linecache
import subprocess
import textwrap
import tokenize
import types
from pathlib import Path
from typing import Any

import artifact_flows as flows
import pytest
from elsewhere import HERE, ROOT, python

from cascade_compiler import CodeDriftWarning, LinkError, LoadError, Registry, compile, task
from cascade_compiler.cli import main
from cascade_vm import assemble, container, disassemble, loads
from cascade_vm.codec import to_bytes
from cascade_vm.fingerprint import SIZE, fingerprint, first_function
from cascade_vm.version import PRODUCER, VERSION

_NUMBERS = itertools.count()


def made(source: str, name: str = "f") -> Any:
    """The function that ``source`` defines, with its source at hand as that of a module."""
    path = f"<source {next(_NUMBERS)}>"
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    names: dict[str, Any] = {"deco": lambda *_, **__: lambda fn: fn}
    exec(builtins.compile(source, path, "exec"), names)
    return names[name]


BASE = '''
@deco("x")
def f(x, y=1):
    """What it does."""
    if x:
        return x + y  # the sum

    text = """
    a  # no comment

    b~~~
"""
    return [
        x,
        text,
    ]
'''.replace("~", " ")


def mark(source: str) -> bytes:
    found = fingerprint(made(source))
    assert found is not None
    return found


class TestWhatIsNoChange:
    @pytest.mark.parametrize(
        ("old", "new"),
        [("  # the sum", ""), ("  # the sum", "  # another"), ("    if x:", "    # why\n    if x:"), ("    if x:", "\n\n    if x:"),
         ("        return x + y", "# at the margin\n        return x + y"), ("x,\n", "x,   \n"), ("x,\n", "x,  # one\n\n"),
         ("\n@deco", "\n\nimport os\n\n@deco"), ("    ]\n", "    ]\n\n# after\n\ndef g():\n    pass\n"), ("    ]\n", "    ]"),
         ("    ]\n", "    ]\n    # the end\n")],
    )  # fmt: skip
    def test_comments_blank_lines_space_place(self, old, new):
        assert old in BASE
        assert mark(BASE.replace(old, new, 1)) == mark(BASE)

    def test_indentation_as_a_whole(self):
        flat = "\n@deco(1)\ndef f(x):\n    # why\n    return (x,\n        1)\n"
        deep = "if True:\n    if True:\n" + textwrap.indent(flat, " " * 8) + "\n    z = 1\n"
        assert mark(deep) == mark(flat)

    def test_line_ends(self):
        assert first_function(BASE.strip().replace("\n", "\r\n")) == first_function(BASE.strip())

    def test_length(self):
        """Longer than what is read at first"""
        lines = "".join(f"    x += {n}\n" for n in range(300))
        long = f"def f(x):\n{lines}    return x\n"
        assert mark(long) == mark(long + "\n\ny = 1\n") != mark(long.replace("+= 299", "+= 300"))


class TestWhatIsAChange:
    @pytest.mark.parametrize(
        ("old", "new"),
        [("x + y", "x - y"), ("y=1", "y=2"), ("What it does", "What it did"), ('@deco("x")', '@deco("y")'), ('@deco("x")\n', ""),
         ("a  # no comment", "a  # a comment"), ("a  # no comment", "a"), ("b   \n", "b\n"), ("comment\n\n", "comment\n"),
         ("    a", "   a"), ("x,\n        text", "x, text"), ("text,\n", "text\n"), ("def f", "async def f"), ("(x, y", "(x: int, y")],
    )  # fmt: skip
    def test_text(self, old, new):
        assert old in BASE
        assert mark(BASE.replace(old, new, 1)) != mark(BASE)

    def test_hash_signs_that_begin_no_comment(self):
        for one, other in (
            ("'#a'", "'#b'"), ("b'''#a'''", "b'''#b'''"), ("f'{x:#x}'", "f'{x:#o}'"),
            ("rf'''{x}\n#a{x!r:>{x}}'''", "rf'''{x}\n#b{x!r:>{x}}'''"),
            ("f'{{#a'", "f'{{#b'"), ("'\\'#a'", "'\\'#b'"), ("r'\\'#a'", "r'\\'#b'"), ('f\'{x["#a"]}\'', 'f\'{x["#b"]}\''),
            ("f'\\N{DASH}#a'", "f'\\N{DASH}#b'"), ("rf'\\{x}#a'", "rf'\\{x}#b'"), ("f'''{x[\n'#a']}'''", "f'''{x[\n'#b']}'''"),
        ):  # fmt: skip
            texts = [first_function(f"def f(x):\n    return {text}\n").text for text in (one, other)]
            assert texts[0] != texts[1], one
            assert texts[0].endswith(one)

    def test_the_same_quotes_inside_of_fields(self):
        """As Python has it since 3.12; text that no older version runs"""
        one = first_function("def f(x):\n    return f\"{x[\"#a\"]} {f\"{'#'}\" # why\n}\" # end\n")
        assert one.text == "def f(x):\n    return f\"{x[\"#a\"]} {f\"{'#'}\" # why\n}\""


class TestWithoutSource:
    def test_what_has_none(self):
        names: dict[str, Any] = {}
        exec("def f(x):\n    return x\n", names)
        ring = types.FunctionType(flows.double.fn.__code__, {})
        ring.__wrapped__ = ring  # type: ignore[attr-defined]
        for one in (names["f"], len, ring, object(), None, flows.Tools, lambda x: x):
            assert fingerprint(one) is None

    def test_a_file_that_is_not_what_was_imported(self):
        """Something else stands there now"""
        fn = made("def f(x):\n    return x\n")
        path = fn.__code__.co_filename
        linecache.cache[path] = (0, None, ["def g(x):\n", "    return x\n"], path)
        assert fingerprint(fn) is None
        fn = made("def f(x):\n    return x\n")
        linecache.cache[fn.__code__.co_filename] = (0, None, [], "")
        assert fingerprint(fn) is None

    def test_code_that_was_replaced_in_place(self):
        fn, other = made("def f(x):\n    return x\n"), made("def f(x):\n    return -x\n")
        before = fingerprint(fn)
        fn.__code__ = other.__code__
        assert fingerprint(fn) == fingerprint(other) != before

    def test_a_name_that_python_normalizes(self):
        assert fingerprint(made("def ﬁ(x):\n    return x\n", "fi")) is not None

    def test_what_was_wrapped(self):
        source = "import functools\ndef wrap(fn):\n    @functools.wraps(fn)\n    def inner(x): return fn(x)\n    return inner\n"
        one = made(source + "@wrap\ndef f(x):\n    return x\n")
        other = made(source + "@wrap\ndef f(x):\n    return -x\n")
        assert None is not fingerprint(one) != fingerprint(other)


def by_the_tokenizer(lines: list[str], start: int, end: int, tokens: list[tokenize.TokenInfo]) -> str:
    """The normal form of lines ``start`` to ``end`` (from 1, both included), made another way."""
    opening, closing = getattr(tokenize, "FSTRING_START", -1), getattr(tokenize, "FSTRING_END", -1)
    inside: set[int] = set()  # lines that begin in a string
    comments: dict[int, int] = {}
    open_at: list[int] = []
    for token in tokens:
        if token.type == opening:
            open_at.append(token.start[0])
        elif token.type == closing:
            inside.update(range(open_at.pop() + 1, token.end[0] + 1))
        elif token.type == tokenize.STRING and not open_at:
            inside.update(range(token.start[0] + 1, token.end[0] + 1))
        elif token.type == tokenize.COMMENT and not open_at:
            comments[token.start[0]] = token.start[1]
    indent = lines[start - 1][: len(lines[start - 1]) - len(lines[start - 1].lstrip(" "))]
    out = []
    for number in range(start, end + 1):
        line = lines[number - 1][: comments.get(number)]
        line = line if number in inside else line.removeprefix(indent)
        line = line if number + 1 in inside else line.rstrip()
        if line or number in inside:
            out.append(line)
    return "\n".join(out)


@pytest.mark.parametrize("module", [argparse, textwrap, dataclasses, ast, functools], ids=lambda module: module.__name__)
def test_the_scanner_agrees_with_the_tokenizer(module):
    text = Path(module.__file__).read_text(encoding="utf-8")
    lines = text.split("\n")
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert len(functions) > 10
    for node in functions:
        start = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        found = first_function("\n".join(lines[start - 1 :]))
        assert found.name == node.name
        assert found.text == by_the_tokenizer(lines, start, node.end_lineno or 0, tokens), f"line {start}"


# --- in programs ------------------------------------------------------------------------------------------------------


class TestPrograms:
    def test_each_task_has_one(self):
        program = compile(flows.rich)
        assert "fingerprints" not in vars(program)  # not taken until they are asked for
        loaded = loads(program.to_bytes())
        assert loaded.fingerprints == program.fingerprints
        assert set(program.fingerprints) >= {symbol.name for symbol in program.symbols}
        assert list(program.fingerprints) == sorted(program.fingerprints)
        assert {len(one) for one in program.fingerprints.values()} == {SIZE}
        assert program.fingerprints["artifact_flows:renamed"] == fingerprint(flows.versioned.fn)
        assert loaded.to_bytes() == program.to_bytes()

    def test_tasks_of_graphs_that_tasks_return(self):
        """Of what is known to be returned: nest returns a call of collect"""
        program = compile(flows.nest(1))
        assert "artifact_flows:collect" not in {symbol.name for symbol in program.symbols}
        assert program.fingerprints["artifact_flows:collect"] == fingerprint(flows.collect.fn)

    def test_a_task_without_source_has_none(self):
        assert compile(task(eval("lambda x: x"))(1)).fingerprints == {}
        assert assemble(disassemble(compile(flows.small))).fingerprints == {}

    def test_one_of_another_size_is_no_artifact(self):
        program = compile(flows.small)
        for wrong in (b"", b"x" * 15, b"x" * 32):
            content = to_bytes(program.data, program.source_maps, {"artifact_flows:double": wrong}, {})
            with pytest.raises(LoadError, match=r"has \d+ bytes, not 16 .*fingerprints\['artifact_flows:double'\]") as caught:
                loads(content)
            assert caught.value.code == "L07"

    def test_they_are_outside_of_the_hash(self):
        program = compile(flows.small)
        bare = to_bytes(program.data, program.source_maps, {}, {})
        assert container.content_hash(bare) == container.content_hash(program.to_bytes())


def drifted(*names: str) -> Any:
    """A loaded program with other fingerprints of these tasks."""
    program = compile(flows.rich)
    marks = program.fingerprints | {f"artifact_flows:{name}": b"another source.." for name in names}
    return loads(to_bytes(program.data, program.source_maps, marks, {}))


class TestDrift:
    def test_all_in_one_warning(self):
        program = drifted("double", "later", "nest")
        with pytest.warns(CodeDriftWarning) as caught:
            program.link()
        (one,) = caught
        assert one.message.symbols == ("artifact_flows:double", "artifact_flows:later", "artifact_flows:nest")
        assert str(one.message) == (
            "3 tasks have changed since the program was compiled (artifact_flows:double, artifact_flows:later, artifact_flows:nest): "
            "compile it again, or link with drift='ignore' if the changes do not matter"
        )
        assert issubclass(CodeDriftWarning, UserWarning)

    def test_the_warning_is_of_the_line_that_links(self):
        for link in (lambda: drifted("double").link(), lambda: drifted("double").run(day="2026-01-31")):
            with pytest.warns(CodeDriftWarning) as caught:
                link()
            assert caught[0].filename == __file__
            assert caught[0].lineno == link.__code__.co_firstlineno

    def test_all_in_one_error(self):
        with pytest.raises(LinkError) as caught:
            drifted("double", "later").link(drift="error")
        assert caught.value.code == "K05"
        assert [fault[:30] for fault in caught.value.faults] == ["K05 artifact_flows:double: its", "K05 artifact_flows:later: its "]
        assert "2 tasks of the program cannot be linked" in str(caught.value)

    def test_beside_other_faults(self):
        """They come first; who asked for warnings is not warned of a program that cannot be linked"""
        program = drifted("double", "later")
        registry = Registry([flows.double])
        with pytest.raises(LinkError) as caught:  # and no warning, which would be raised
            program.link(registry=registry, drift="warn")
        assert caught.value.code == "K03"
        assert not any(fault.startswith("K05") for fault in caught.value.faults)
        with pytest.raises(LinkError) as caught:
            program.link(registry=registry, drift="error")
        assert caught.value.code == "K03"
        assert [fault[:3] for fault in caught.value.faults if " artifact_flows:double: " in fault] == ["K05"]

    def test_ignored(self):
        assert drifted("double").link(drift="ignore").run(day="2026-01-31")["set"] == {6, "one", "two", 3}

    @pytest.mark.parametrize("drift", ["warning", None, "", True])
    def test_no_choice(self, drift):
        with pytest.raises(ValueError, match="'warn', 'error', 'ignore'"):
            compile(flows.small).link(drift=drift)

    def test_nothing_has_changed(self):
        for drift in ("warn", "error"):
            loads(compile(flows.rich).to_bytes()).link(drift=drift)

    def test_the_same_version_does_not_hide_it(self):
        with pytest.raises(LinkError) as caught:
            drifted("renamed").link(drift="error")
        assert caught.value.faults[0].startswith("K05 artifact_flows:renamed")

    def test_a_task_that_is_met_only_in_what_others_return(self):
        program = compile(flows.nest(1))
        content = to_bytes(program.data, program.source_maps, {"artifact_flows:collect": b"another source.."}, {})
        with pytest.warns(CodeDriftWarning, match="artifact_flows:collect"):
            loads(content).link()

    def test_marks_of_tasks_that_the_program_does_not_call(self):
        program = compile(flows.double(1))
        content = to_bytes(program.data, program.source_maps, {"artifact_flows:later": b"another source.."}, {})
        assert loads(content).link(drift="error").run() == 2

    def test_source_that_is_not_there(self):
        """Cannot be compared: a fault for who asked for errors"""
        names: dict[str, Any] = {"__name__": "artifact_flows_without_source"}
        exec("def without(x):\n    return x\n", names)
        bare = task(names["without"])
        program = compile(bare(1))
        content = to_bytes(program.data, program.source_maps, {bare.task.symbol: b"another source.."}, {})
        registry = Registry([bare])
        assert loads(content).link(registry=registry).run() == 1
        with pytest.raises(LinkError, match="its source is not here") as caught:
            loads(content).link(registry=registry, drift="error")
        assert caught.value.code == "K05"
        assert loads(program.to_bytes()).link(registry=registry, drift="error").run() == 1  # it had none, then

    def test_in_a_file_that_is_edited(self, tmp_path):
        path = tmp_path / "edited.py"
        path.write_text("from cascade_compiler import task\n@task\ndef one(x):\n    return x + 1\n")
        python(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport edited\nfrom cascade_compiler import compile\n"
               f"compile(edited.one(1)).save({str(tmp_path / 'x.cbp')!r})")  # fmt: skip
        run = (
            f"import sys, warnings; sys.path.insert(0, {str(tmp_path)!r})\nfrom cascade_vm import load\n"
            f"with warnings.catch_warnings(record=True) as told:\n    warnings.simplefilter('always')\n"
            f"    print(load({str(tmp_path / 'x.cbp')!r}).run(), [one.message.symbols for one in told])"
        )
        path.write_text("from cascade_compiler import task\n\n# moved\n@task\ndef one(x):  # by one\n\n    return x + 1\n")
        assert python(run) == "2 []\n"
        path.write_text("from cascade_compiler import task\n@task\ndef one(x):\n    return x + 10\n")
        assert python(run) == "11 [('edited:one',)]\n"


# --- provenance -------------------------------------------------------------------------------------------------------


class TestProvenance:
    def test_the_producer_and_nothing_else(self):
        assert compile(flows.small).provenance == loads(compile(flows.small).to_bytes()).provenance == {"producer": PRODUCER}

    def test_the_version_is_that_of_the_project(self):
        assert f'\nversion = "{VERSION}"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    def test_what_is_told_stands_beside_it(self, tmp_path):
        program = compile(flows.small)
        program.save(tmp_path / "x.cbp", provenance={"revision": "abc", "who": "é"})
        content = (tmp_path / "x.cbp").read_bytes()
        loaded = loads(content)
        assert loaded.provenance == {"producer": PRODUCER, "revision": "abc", "who": "é"}
        assert content == program.to_bytes(provenance={"who": "é", "revision": "abc"})
        assert container.content_hash(content) == container.content_hash(program.to_bytes())
        assert loaded.to_bytes() == content  # what is loaded is kept
        assert loads(loaded.to_bytes(provenance={"who": "x"})).provenance["who"] == "x"
        assert program.provenance == {"producer": PRODUCER}

    @pytest.mark.parametrize(
        ("given", "error"),
        [({"n": 1}, TypeError), ({1: "n"}, TypeError), ({"n": None}, TypeError), ({"n": b"x"}, TypeError), (["n"], TypeError),
         ("text", TypeError), ({"n": "\ud800"}, ValueError), ({"\ud800": "n"}, ValueError), ({"n": "x" * 65_537}, ValueError)],
    )  # fmt: skip
    def test_texts_only(self, given, error):
        with pytest.raises(error, match="provenance"):
            compile(flows.small).to_bytes(provenance=given)

    def test_the_longest_text(self):
        assert len(loads(compile(flows.small).to_bytes(provenance={"n": "x" * 65_536})).provenance["n"]) == 65_536


class TestCommands:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        for name in ("AUTHOR", "COMMITTER"):
            monkeypatch.setenv(f"GIT_{name}_NAME", "someone")
            monkeypatch.setenv(f"GIT_{name}_EMAIL", "someone@example.org")
        return tmp_path

    def stamped(self, folder: Path) -> dict[str, str]:
        assert main(["compile", "artifact_flows:small", "-o", "x.cbp", "--stamp"]) == 0
        return loads((folder / "x.cbp").read_bytes()).provenance

    def test_no_stamp(self, folder):
        assert main(["compile", "artifact_flows:small", "-o", "x.cbp"]) == 0
        assert (folder / "x.cbp").read_bytes() == compile(flows.small).to_bytes()

    def test_time_and_revision(self, folder, monkeypatch):
        told = self.stamped(folder)
        assert set(told) == {"producer", "time"}
        assert told["time"].endswith("+00:00")
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
        assert self.stamped(folder)["time"] == "1970-01-02T00:00:00+00:00"
        (folder / "a.txt").write_text("a")
        for words in (["init", "-q"], ["add", "a.txt"], ["commit", "-q", "-m", "one"]):
            subprocess.run(["git", *words], check=True, cwd=folder)
        head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, cwd=folder, capture_output=True, text=True).stdout.strip()
        assert self.stamped(folder) == {"producer": PRODUCER, "time": "1970-01-02T00:00:00+00:00", "revision": head}
        (folder / "a.txt").write_text("b")
        assert self.stamped(folder)["revision"] == f"{head}-dirty"
        monkeypatch.setenv("PATH", "")
        assert "revision" not in self.stamped(folder)

    @pytest.mark.parametrize("given", ["soon", "1.5", "9" * 30])
    def test_no_time(self, folder, monkeypatch, capsys, given):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", given)
        assert main(["compile", "artifact_flows:small", "--stamp"]) == 2
        assert "SOURCE_DATE_EPOCH" in capsys.readouterr().err
        assert list(folder.iterdir()) == []

    def test_drift(self, folder, capsys):
        program = drifted("double", "later")
        (folder / "x.cbp").write_bytes(program.to_bytes())
        words = ["run", "x.cbp", "-p", "day=2026-01-31"]
        assert main(words) == 0
        said = capsys.readouterr()
        assert "'items'" in said.out
        assert said.err == (
            "warning: 2 tasks have changed since x.cbp was compiled (artifact_flows:double, artifact_flows:later): "
            "compile it again, or say --drift ignore if the changes do not matter\n"
        )
        assert main([*words, "--drift", "ignore"]) == 0
        assert capsys.readouterr().err == ""
        assert main([*words, "--drift", "error"]) == 2
        assert capsys.readouterr().err.startswith("error[K05]: 2 tasks of the program cannot be linked:\n")
        assert main([*words, "--drift", "maybe"]) == 2


# --- the same bytes everywhere ----------------------------------------------------------------------------------------

ALL = ("small", "rich", "failing")
HASHES = (
    "import hashlib, artifact_flows\nfrom cascade_compiler import compile\n"
    f"print(*[hashlib.sha256(compile(getattr(artifact_flows, name)).to_bytes()).hexdigest() for name in {ALL}])"
)


def test_the_same_bytes_in_every_process(tmp_path):
    """Whatever the hash seed, the locale, the time zone and the folder; source read as optimized bytecode, too"""
    contents = [compile(getattr(flows, name)).to_bytes() for name in ALL]
    assert not any(str(ROOT).encode() in content for content in contents)  # no path of this machine
    here = [hashlib.sha256(content).hexdigest() for content in contents]
    for number, env in enumerate((
        {"PYTHONHASHSEED": "0", "LC_ALL": "C", "TZ": "UTC"}, {"PYTHONHASHSEED": "1", "LC_ALL": "C.UTF-8", "TZ": "Asia/Kathmandu"},
        {"PYTHONHASHSEED": "4294967295", "LC_ALL": "POSIX", "TZ": "America/St_Johns", "PYTHONUTF8": "0", "PYTHONOPTIMIZE": "2",
         "PYTHONPYCACHEPREFIX": str(tmp_path / "optimized")},
    )):  # fmt: skip
        folder = tmp_path / str(number)
        folder.mkdir()
        code = f"import os\nos.chdir({str(folder)!r})\n{HASHES}"
        assert python(code, **env).split() == here


def test_the_same_bytes_of_a_copy_elsewhere(tmp_path):
    """The module lies in another folder, and reads its tasks from there"""
    (tmp_path / "artifact_flows.py").write_bytes((HERE / "artifact_flows.py").read_bytes())
    code = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport artifact_flows\n"
    code += f"assert artifact_flows.__file__.startswith({str(tmp_path)!r})\n"
    here = [compile(getattr(flows, name)).to_bytes().hex() for name in ALL]
    code += f"from cascade_compiler import compile\nprint(*[compile(getattr(artifact_flows, name)).to_bytes().hex() for name in {ALL}])"
    assert python(code).split() == here


def test_a_fingerprint_does_not_change_from_version_to_version():
    """Written down once; every Python must have it"""
    assert fingerprint(flows.double.fn) == bytes.fromhex("1d5c5f5ea94cd72683aed403b0136f92")
    assert mark(BASE).hex() == "9b61b5ffd86a7a92143f455375995ef2"
