# make run   an environment, then the main experiment to its report
# make test  an environment with the development extras, then lint, types and tests
# make long  tests of commands that train several models, which make test leaves out
# make faults  every failure that a dataset's writers can meet, up to an hour
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test long validate bench faults clean

run: .venv/core
	$(BIN)/python -m experiments.train experiment=line_failure

test: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -n 2 --dist loadfile

long: .venv/dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m long

validate: .venv/core
	$(BIN)/python -m experiments.validate world=line

faults: .venv/dev
	$(BIN)/python -m tests.faults --seconds 3600

bench: .venv/dev
	$(BIN)/python -m experiments.bench

.venv/core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

.venv/dev: .venv/core
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
