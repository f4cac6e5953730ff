# Two commands for a newcomer: `make demo` and `make test`. Everything happens in .venv.
PYTHON ?= python3
# Processes that run the tests side by side; each takes up to 3 GiB.
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
export JAX_PLATFORMS ?= cpu

LOWEST := .venv-lowest
LOWEST_TESTS := test_cli.py test_kip.py test_learners.py test_networks.py test_report.py test_sources.py test_tables.py

.PHONY: demo test quick lowest lint docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   distil the handwritten digits to one image per class, print a table, write a report"
	@echo "make test   run all tests"
	@echo "make quick  run the tests that take less than 20 s each"
	@echo "make lowest run the tests of what users meet first with the lowest versions that pyproject.toml allows"
	@echo "make lint   style, types, import contract"
	@echo "make docs   build the documentation into site/"

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(BIN)/.developed: $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint,docs]'
	touch $@

demo: $(BIN)/.installed
	$(BIN)/datastill distill digits --ipc 1 --out runs/demo

test: $(BIN)/.developed
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

quick: $(BIN)/.developed
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile -m "not slow"

lowest: $(BIN)/.developed
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install --quiet --python $(LOWEST) --resolution lowest-direct '.[cluster,networks,test]'
	$(LOWEST)/bin/datastill distill --help > /dev/null
	cd tests && ../$(LOWEST)/bin/python -m pytest --numprocesses $(WORKERS) --dist loadfile -m "not slow" \
		-W ignore::DeprecationWarning $(LOWEST_TESTS)  # old releases have warnings of their own

lint: $(BIN)/.developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(BIN)/.developed
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) $(LOWEST) runs site
