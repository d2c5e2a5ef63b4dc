# Everything a developer runs. `make demo` and `make test` work on a bare machine: they create .venv themselves.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Tests start hundreds of processes. Where Python is to leave no compiled modules in the tree they are kept beside the
# environment, so that not each of these compiles all of minispark again.
ifdef PYTHONDONTWRITEBYTECODE
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(abspath $(VENV))/pycache
endif

.PHONY: setup demo check quick test sim soak mutants fix bench parity docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml tools/make_venv.sh
	@sh tools/make_venv.sh "$(PYTHON)" "$(VENV)"
	@touch $@

demo: setup
	@$(BIN)/python examples/word_count.py

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_house.py

quick: setup
	$(BIN)/pytest -q -n 2 -m "not cluster"

test: check
	$(BIN)/pytest -q -n 2 --ignore=tests/test_house.py
	$(BIN)/python -m tools.parity --check

sim: setup
	@$(BIN)/python -m tests.sim.run $(or $(SEEDS),100) $(FIRST)

soak: setup
	MINISPARK_SOAK=1 $(BIN)/pytest -q -n 2 -o faulthandler_timeout=1800
	$(BIN)/python -m tools.mutants

mutants: setup
	@$(BIN)/python -m tools.mutants

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m benchmarks

parity: setup
	@$(BIN)/python -m tools.parity

docs: setup
	$(BIN)/python -m tools.configuration

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis
