# The project's commands. Each sets up what it needs, so each works in a clean clone.
#
#   make up                start everything and load the demo    make up FLAGS=--free-ports
#   make down              stop everything; data stays
#   make check             lint, format, types, imports, dependencies: under a minute
#   make test              every test                            make test ARGS=tests/streams WORKERS=0
#   make bench             every figure, as JSON lines

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup lock up down status check test bench java

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
FLAGS ?=
ARGS ?=
WORKERS ?= 2
BENCHES ?= fanout pipeline media freshness replay counters live feed-read trending recommend ranking search

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 (Debian 12: apt-get install python3.11 python3.11-venv) or name one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module: install it (Debian 12: apt-get install python3.11-venv)" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $(STAMP)

# Needed only where Kafka or Cassandra is not named by the environment.
java:
	@if [ -z "$${KAFKA_BOOTSTRAP:-}" ] || [ -z "$${CASSANDRA_HOSTS:-}" ]; then \
		[ -n "$${JAVA_HOME:-}" ] || command -v java >/dev/null || { echo "java is missing: install Java 17 (Debian 12: apt-get install openjdk-17-jre-headless), or name running services with KAFKA_BOOTSTRAP and CASSANDRA_HOSTS" >&2; exit 1; }; \
		command -v mvn >/dev/null || { echo "mvn is missing: install Maven (Debian 12: apt-get install maven), or name running services with KAFKA_BOOTSTRAP and CASSANDRA_HOSTS" >&2; exit 1; }; \
	fi

# uv is no part of the lock that it writes.
lock: $(STAMP)
	test -x $(VENV)/lock/bin/uv || { $(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/python -m pip install -q --disable-pip-version-check uv; }
	$(VENV)/lock/bin/uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 -q -o requirements.lock

up: $(STAMP) java
	@$(BIN)/shutterlog up $(FLAGS)

down: $(STAMP)
	@$(BIN)/shutterlog down $(FLAGS)

status: $(STAMP)
	@$(BIN)/shutterlog status $(FLAGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m jobs.dependencies

test: $(STAMP) java
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

bench: $(STAMP) java
	@$(BIN)/shutterlog up --services-only $(FLAGS) >&2
	@for name in $(BENCHES); do $(BIN)/shutterlog bench $$name --json; done
