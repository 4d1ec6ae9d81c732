# The README's two commands are `make demo` and `make test`. Each sets itself up: a virtual environment in .venv, made once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types test-full fuzz fuzz-properties fuzz-coverage bench bench-quick docs site wheel clean

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(VENV)/.ready
	$(BIN)/python docs/examples/demo.py

test: $(VENV)/.ready
	$(BIN)/python -m pytest -q -m "not slow" -n auto

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m tests.typing.checkers
	$(BIN)/python -m cascade_vm.isa_page --check docs/instruction-set.md
	$(BIN)/python -m cascade_vm.errors_page --check docs/errors.md

# Everything, the slow tests too, and 1,000 examples of each property.
test-full: $(VENV)/.ready
	CASCADE_EXAMPLES=1000 $(BIN)/python -m pytest -q -n auto

# A million mutants of artifacts and listings: what is found is kept in fuzz-findings. An hour and more on two cores.
fuzz: $(VENV)/.ready
	$(BIN)/python -m tests.fuzz --mutants 1000000 --processes 2

# 50,000 examples of each property.
fuzz-properties: $(VENV)/.ready
	CASCADE_EXAMPLES=50000 $(BIN)/python -m pytest -q -n auto tests/properties

# The decoder, led by what its code covers, for ten minutes. There are wheels of atheris for Linux, up to Python 3.13.
fuzz-coverage: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	$(BIN)/python tests/fuzz/atheris_decoder.py fuzz-corpus -max_total_time=600 -max_len=12000

# What the benchmarks measure beside Cascade, and what draws their pictures.
$(VENV)/.peers: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable '.[peers]'
	touch $@

# The whole suite, in less than 15 minutes: it writes docs/benchmarks.md and its pictures.
bench: $(VENV)/.peers
	$(BIN)/python -m bench --report docs/benchmarks.md

# A look, in less than 90 seconds. AGAINST=REV compares the working tree with a commit instead.
bench-quick: $(VENV)/.ready
	$(BIN)/python -m bench --quick $(if $(AGAINST),--against $(AGAINST))

# The pages that are generated from code.
docs: $(VENV)/.ready
	$(BIN)/python -m cascade_vm.isa_page docs/instruction-set.md
	$(BIN)/python -m cascade_vm.errors_page docs/errors.md

# What builds the documentation as a site.
$(VENV)/.docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

# The site, in build/site; a warning is an error.
site: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --config-file .ci/mkdocs.yml

wheel: $(VENV)/.ready
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
