"""Caches in saved programs: an artifact has their names, and the process that runs it has the caches."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import cache_flows as flows
import pytest

from cascade_compiler import CompileError, LinkError, Param, compile, cycle_id, run
from cascade_vm import VerifyError, assemble, disassemble, loads, verify
from cascade_vm.caching import Hit, MemoryCache, SqliteCache, cache_named, register_cache

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def forgotten():
    flows.CACHE.clear()
    flows.MADE.clear()


class Own:
    """A cache of a person's own."""

    def __init__(self, name=None):
        self.name = name
        self.values = {}

    def get(self, key):
        return Hit(self.values[key]) if key in self.values else None

    def put(self, key, value):
        self.values[key] = value


class TestSaved:
    @pytest.mark.parametrize("engine", ["interpreter", "codegen"])
    def test_the_cache_of_that_name_is_taken(self, engine):
        executable = loads(compile(flows.target).to_bytes()).link(engine=engine)
        assert [executable.run(x=1), executable.run(x=2), executable.run(x=2)] == [[1, 1], [2, 1], [2, 1]]
        assert flows.MADE == [1, 2]
        assert flows.CACHE.info().size == 2

    def test_it_is_the_one_that_graphs_use(self):
        """A value that a run of the workflow has stored is a hit of the program, and the other way round"""
        run(flows.target, {"x": 1})
        assert loads(compile(flows.target).to_bytes()).run(x=1) == [1, 1]
        assert flows.MADE == [1]

    def test_maps_and_jumps(self):
        assert loads(compile(flows.mapped).to_bytes()).run() == [[1], [2], [1]]
        assert flows.MADE == [1, 2]
        assert loads(compile(flows.jumping).to_bytes()).run(x=3) == [7]
        assert flows.CACHE.info().size == 3

    def test_another_one_is_given(self):
        other = Own()
        program = loads(compile(flows.target).to_bytes())
        program.link(caches={"cache_flows.kept": other}).run(x=5)
        assert len(other.values) == 2
        assert flows.CACHE.info().size == 0

    def test_another_one_for_a_program_that_was_not_saved(self):
        other = MemoryCache()
        for target, count in ((flows.target, 2), (flows.jumping, 3)):
            compile(target).link(caches={"cache_flows.kept": other}).run(x=3)
            assert other.info().size == count
        assert flows.CACHE.info().size == 0

    def test_in_another_process_and_a_file(self, tmp_path):
        """The artifact names no path: whoever runs it says where its cache is"""
        compile(flows.target).save(tmp_path / "p.cbp")
        code = (
            "import sys\nfrom cascade_vm import load\nfrom cascade_vm.caching import SqliteCache\n"
            "with SqliteCache(sys.argv[2]) as cache:\n"
            "    print(load(sys.argv[1]).link(caches={'cache_flows.kept': cache}).run(x=4))\n"
            "import cache_flows; print(cache_flows.MADE)"
        )
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
        words = [sys.executable, "-c", code, str(tmp_path / "p.cbp"), str(tmp_path / "cache.db")]
        found = [subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout for _ in range(2)]
        assert found == ["[4, 1]\n[1, 4]\n", "[4, 1]\n[]\n"] or found == ["[4, 1]\n[4, 1]\n", "[4, 1]\n[]\n"]
        assert b"cache.db" not in (tmp_path / "p.cbp").read_bytes()

    def test_listings(self):
        program = compile(flows.target)
        again = assemble(disassemble(program))
        assert again.data == program.data
        assert loads(program.to_bytes()).data == program.data


class TestRefused:
    def test_without_a_name(self):
        with pytest.raises(CompileError, match=r"cache cascade_vm\.memory_cache\.MemoryCache .* no name .*name='results'"):
            compile(flows.unnamed).to_bytes()
        assert compile(flows.unnamed).run() == [1]

    def test_two_of_one_name(self):
        one, two = Own("same"), Own("same")
        both = flows.both(flows.make(1).with_cache(one), flows.make(1).with_cache(two))
        with pytest.raises(CompileError, match="two caches have the name 'same'"):
            compile(both).to_bytes()

    def test_none_of_that_name(self):
        content = compile(flows.make(1).with_cache(Own("nowhere"))).to_bytes()
        with pytest.raises(LinkError, match=r"cache 'nowhere'.*there are .*'cache_flows\.kept'.*link\(caches={'nowhere': \.\.\.}\)"):
            loads(content).run()
        assert loads(content).link(caches={"nowhere": Own()}).run() == [1]

    def test_what_is_given(self):
        program = loads(compile(flows.target).to_bytes())
        with pytest.raises(ValueError, match=r"no cache 'other'; it has 'cache_flows\.kept'"):
            program.link(caches={"other": Own()})
        with pytest.raises(TypeError, match=r"'cache_flows\.kept' must be an object with get"):
            program.link(caches={"cache_flows.kept": {}})
        with pytest.raises(TypeError, match="caches takes a dict"):
            program.link(caches=[Own()])

    @pytest.mark.parametrize("name", ["", "a:b", "a b", "x" * 101, "-a", "ä", "a\n"])
    def test_what_is_no_name(self, name, tmp_path):
        for make in (lambda: MemoryCache(name=name), lambda: SqliteCache(tmp_path / "c.db", name=name)):
            with pytest.raises(ValueError, match="a name has letters"):
                make()
        with pytest.raises(TypeError, match="must be a str"):
            MemoryCache(name=3)

    @pytest.mark.parametrize("name", ["", "a b", "<locals>:x", "x" * 200, "cascade_vm.memory_cache:MemoryCache"])
    def test_hostile_names(self, name):
        text = disassemble(compile(flows.target)).replace('"cache_flows.kept"', f'"{name}"')
        program = assemble(text)
        with pytest.raises(VerifyError, match=r"B4: policy|P4: program"):
            verify(program)


class TestNames:
    def test_they_are_part_of_the_shape(self):
        """And the object is: two caches of one name are two"""
        one, two, other = Own("a"), Own("a"), Own("b")
        ids = [cycle_id(flows.make(1).with_cache(cache)) for cache in (one, two, other)]
        assert ids[0] == ids[1] != ids[2]
        for cache in (one, two, other):
            run(flows.make(1).with_cache(cache))
            assert len(cache.values) == 1

    def test_they_are_kept_weakly(self):
        cache = MemoryCache(name="for-a-while")
        assert cache_named("for-a-while") is cache
        del cache
        gc.collect()
        assert cache_named("for-a-while") is None

    def test_the_last_one_is_meant(self):
        first = MemoryCache(name="again")
        second = MemoryCache(name="again")
        assert cache_named("again") is second
        assert first.name == second.name == "again"

    def test_caches_of_a_persons_own(self):
        own = Own("mine")
        assert cache_named("mine") is None
        register_cache(own, "mine")
        content = compile(flows.make(Param("x", int)).with_cache(own)).to_bytes()
        assert loads(content).run(x=2) == [2]
        assert len(own.values) == 1
