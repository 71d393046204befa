# Everything runs in .venv/, made from pyproject.toml and constraints.txt, and made again only when
# one of them changes. A fresh machine needs Python >= 3.11 and make, nothing else.

# The first Python of 3.11 or newer; asked for only when the environment is made.
PYTHON = $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := .venv/bin
SERVING := .venv/.installed-to-serve
STAMP := .venv/.installed
# One more than there are cores: a good part of the tests waits, for time-outs and for servers.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
# Each worker gets neighbours, which share servers and browsers; who is done first helps the others.
SHARED = -n $(WORKERS) --dist worksteal

.PHONY: help run test check check-cluster format soak bench clean

help:
	@echo "make run     serve, with the chat at the printed address"
	@echo "make test    run every test that this machine can run"
	@echo "make check   format, lint, types, layers, tests with coverage (what CI runs)"
	@echo "make check-cluster  the contract's tests over two nodes, PostgreSQL and Redis"
	@echo "make format  rewrite the sources in the house format"
	@echo "make soak    the tests marked soak, with their full counts"
	@echo "make bench   the benchmarks, printed as a table"
	@echo "make clean   remove what these commands made, but never data/"

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--constraint constraints.txt --editable

$(SERVING): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (set PYTHON=…)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) .
	@touch $@

# What tests and checks need on top of what serving needs; [llm], so that the providers' tests run.
$(STAMP): $(SERVING)
	$(INSTALL) ".[dev,llm]"
	@touch $@

run: $(SERVING)
	$(BIN)/tower serve

test: $(STAMP) test-js
	$(BIN)/python -m pytest $(SHARED) -m "not soak"

.PHONY: test-js
test-js:
	@set -- $$(find tests/js -name '*.test.js' -o -name '*.test.mjs' 2>/dev/null); \
	if [ $$# -eq 0 ]; then :; \
	elif command -v node >/dev/null; then node --test "$$@"; \
	elif [ -n "$$TOWER_REQUIRE_ALL" ]; then echo "node is missing, and TOWER_REQUIRE_ALL forbids skipping"; exit 1; \
	else echo "node is missing: the tests of the pages' modules are skipped"; fi

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory test-js
	$(BIN)/python -m pytest $(SHARED) -m "not soak" --cov --cov-report=term
	$(MAKE) --no-print-directory check-cluster

# What one server promises, kept by two. Left out: what makes nodes of its own, or has no server.
# The limit is for starts: a server that is started again is four processes here.
CLUSTERED := tests/contract $(addprefix tests/integration/test_,$(addsuffix .py,\
	main_job rpc_methods wire_promises same_everywhere isolation))
NOT_CLUSTERED := $(addprefix --ignore=tests/contract/,store bus redis test_pages.py \
	test_rest_schemathesis.py)

check-cluster: $(STAMP)
	TOWER_TEST_TOPOLOGY=cluster $(BIN)/python -m pytest $(SHARED) -m "not soak" --timeout 180 \
		$(CLUSTERED) $(NOT_CLUSTERED)

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: $(STAMP)
	$(BIN)/python -m pytest -m soak --timeout 7200

# One after the other, about ten minutes in all; a peer that is not to be had is left out.
bench: $(STAMP)
	$(INSTALL) ".[bench]"
	@for file in tests/benchmarks/bench_*.py; do \
		name=$$(basename $$file .py); \
		printf '\n%s\n' "$$name"; \
		$(BIN)/python -m tests.benchmarks.$$name || exit 1; done

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .coverage .coverage.* htmlcov *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
