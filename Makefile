# One door: `make help` says what is behind it. Everything is installed into .venv, once for each
# state of pyproject.toml.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  && { echo $$p; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Programs that tests start thousands of times are compiled once, whatever the caller's habit.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-long lint format bench-startup bench-probe bench-load bench-backup \
  bench-failover ready servers clean
.DEFAULT_GOAL := help

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' \
	  | awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: .venv/.installed-all ## a shop, its probes, a load gate and a fault, on this machine (ARGS=…)
	@$(BIN)/sre demo $(ARGS)

test: .venv/.installed-test servers ## everything but the minutes-long tests (ARGS=…)
	@PYTEST=$(BIN)/pytest tests/in-parts.sh "not long" $(ARGS)

test-long: .venv/.installed-test servers ## the minutes-long tests as well (ARGS=…)
	@PYTEST=$(BIN)/pytest tests/in-parts.sh "" $(ARGS)

lint: .venv/.installed-lint ## style, format, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed-lint ## put the code into its format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench-startup: .venv/.installed-all ## CPU of `sre --help` beside `import click`
	$(BIN)/python benchmarks/bench_startup.py

bench-probe: .venv/.installed-all ## CPU and truth of HTTP probes beside blackbox_exporter
	@tests/ensure-servers.sh prometheus-blackbox-exporter nginx-light openssl wrk gcc
	$(BIN)/python benchmarks/bench_probe.py

bench-load: .venv/.installed-all ## CPU and truth of our load generator beside Locust and autocannon
	@tests/ensure-servers.sh nodejs npm gcc
	$(BIN)/python benchmarks/bench_load.py

bench-backup: .venv/.installed-all ## CPU, time and bytes of backups beside pgBackRest
	@tests/ensure-servers.sh postgresql pgbackrest openssl
	PYTHONPATH=. $(BIN)/python benchmarks/bench_backup.py

bench-failover: .venv/.installed-all ## write gap of switchovers beside Patroni's, of lost nodes, by hand (ARGS=PART…)
	@tests/ensure-servers.sh postgresql patroni etcd-server haproxy pgbouncer redis-server \
	  mariadb-server
	PYTHONPATH=. $(BIN)/python benchmarks/bench_failover.py $(ARGS)

ready: .venv/.installed-dev servers ## all that `make test` and `make lint` need (-j2: at once)

servers: ## the real servers and programs that tests start
	@tests/ensure-servers.sh

clean: ## remove what was made here
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .sre-demo
	rm -rf build dist *.egg-info
	find sre tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed; install it" >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "make: no venv module; install the package python3-venv" >&2; exit 2; }

.venv/.pip: | .venv/bin/python
	@$(PIP) --upgrade 'pip>=25.1'
	@touch $@

.venv/.installed-all: pyproject.toml | .venv/.pip
	$(PIP) --editable '.[all]'
	@touch $@

.venv/.installed-test: pyproject.toml | .venv/.pip
	$(PIP) --editable '.[all]' --group test
	@touch $@ .venv/.installed-all

.venv/.installed-dev: pyproject.toml | .venv/.pip
	$(PIP) --editable '.[all]' --group test --group lint
	@touch $@ .venv/.installed-all .venv/.installed-test .venv/.installed-lint

.venv/.installed-lint: pyproject.toml | .venv/.pip
	$(PIP) --editable '.[all]' --group lint
	@touch $@ .venv/.installed-all
