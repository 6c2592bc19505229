# Start with "make run" and "make test". Both need Go and make only.

# How the function binaries are built, here and by "sam build": static, stripped, without Lambda's old RPC mode.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -tags=lambda.norpc -ldflags=-s
export SAM_CLI_TELEMETRY := 0

# Settings of the targets below. They reach the recipes as environment variables, so that neither make nor the shell
# evaluates what is in them: $(value) takes the text as it was given, and recipes quote it. ARGS is split at spaces.
ACCESS ?= open
STACK ?= fanfare
ARGS ?=
ID ?=
RUN ?=
FUZZTIME ?= 10s
override ACCESS := $(value ACCESS)
override STACK := $(value STACK)
override ARGS := $(value ARGS)
override ID := $(value ID)
override RUN := $(value RUN)
override FUZZTIME := $(value FUZZTIME)
run: export ACCESS := $(ACCESS)
run deploy: export STACK := $(STACK)
run report dead-letters redrive mutate: export ARGS := $(ARGS)
report: export ID := $(ID)
chaos fuzz: export RUN := $(RUN)
fuzz: export FUZZTIME := $(FUZZTIME)

FUNCTIONS := $(notdir $(wildcard functions/*))
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# Tests run under the race detector, which needs a C compiler on Linux. Without one they run without it and say so. "make
# lint" does the vetting. Two packages more than there are cores run at once, because many tests wait for timers.
CC_FOUND := $(shell command -v $${CC:-cc} 2>/dev/null || command -v gcc 2>/dev/null)
TEST := $(if $(CC_FOUND),CGO_ENABLED=1 GOFLAGS= go test -race,CGO_ENABLED=0 GOFLAGS= go test) -vet=off \
	-p $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 2)))

.DEFAULT_GOAL := help
.PHONY: help run test ci fmt lint cover fuzz bench chaos mutate conformance build tools security sam-build deploy \
	report dead-letters redrive clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: ## Run the whole stack on this machine until Ctrl-C. ACCESS=open, listen or jwt; ARGS="--port 3010".
	@set -euf; \
	case "$$ACCESS" in \
	open) echo "Access is open: anyone who reaches the port connects and publishes." ;; \
	listen) echo "Access is listen: anyone who reaches the port connects; only backends publish, on the queue." ;; \
	jwt) echo "Access is jwt: a token is needed to connect, and one with scope=publish to publish." ;; \
	*) echo "ACCESS is open, listen or jwt" >&2; exit 2 ;; \
	esac; \
	go build -o build/bin/local ./local; \
	set -- --stack-name "$$STACK" --parameter "Access=$$ACCESS"; \
	if [ "$$ACCESS" = jwt ]; then \
		go build -o build/bin/fanfare ./cmd/fanfare; \
		set -- "$$@" --ready 'build/bin/fanfare token --try "$$OUTPUT_WebSocketUrl"'; \
	fi; \
	exec build/bin/local "$$@" $$ARGS

test: ## Run all tests, about five minutes on two cores.
	$(if $(CC_FOUND),,@echo "There is no C compiler: the tests run without the race detector.")
	$(TEST) ./...

ci: ## Run what every change is judged by: lint, security, builds, conformance, all tests.
	@.ci/run

fmt: ## Format the Go files.
	gofmt -w $$(git ls-files '*.go')

lint: ## Check code, words and template: gofmt, go vet, golangci-lint, plain-words.sh, cfn-lint, sam.
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	test -z "$$unformatted" || { echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; }
	GOFLAGS= go vet ./...
	GOFLAGS= go run $(GOLANGCI_LINT) run
	.ci/plain-words.sh
	@if command -v cfn-lint >/dev/null; then cfn-lint template.yaml; \
	else echo "NOT RUN: cfn-lint is not installed (pip install cfn-lint)"; fi
	@if command -v sam >/dev/null; then sam validate --lint --template template.yaml --region us-east-1; \
	else echo "NOT RUN: sam is not installed"; fi

cover: ## Measure the coverage of pkg/ and publish/ by their own tests, into build/coverage.html.
	@mkdir -p build
	GOFLAGS= go test -coverprofile build/coverage.txt ./pkg/... ./publish/...
	GOFLAGS= go tool cover -html build/coverage.txt -o build/coverage.html
	GOFLAGS= go tool cover -func build/coverage.txt | tail -n 1

fuzz: ## Run every fuzz target for FUZZTIME=10s each; RUN= selects by name (regular expression).
	@GOFLAGS= .ci/fuzz

bench: ## Measure the CPU of posts and other hot paths, a few minutes (docs/performance.md).
	GOFLAGS= go test ./pkg/push -run '^$$' -bench Ratio -benchtime 1x -v
	GOFLAGS= go test -p 1 ./pkg/registry ./pkg/fanout ./pkg/broadcast -run '^$$' -bench . -benchtime 100x -count 6

chaos: ## Run the long fault tests, about 30 minutes; RUN= selects by name (docs/chaos.md).
	GOFLAGS= go test ./test/chaos -count=1 -v -timeout 60m -run "$$RUN" -long

mutate: ## Plant 300 faults, list those that no test finds; under an hour (ARGS="-n 30 pkg/token").
	@set -f; GOFLAGS= go run ./test/mutate $$ARGS

conformance: ## Compare local/ with DynamoDB Local, ElasticMQ, moto and aws-sam-translator.
	@test/e2e/emulator/conformance/run.sh

build: $(FUNCTIONS:%=build/functions/%/bootstrap) ## Build the function binaries for Lambda (arm64) into build/functions.

.PHONY: $(FUNCTIONS:%=build/functions/%/bootstrap)
$(FUNCTIONS:%=build/functions/%/bootstrap): build/functions/%/bootstrap:
	GOOS=linux GOARCH=arm64 go build -o $@ ./functions/$*

tools: ## Install Python and Node clients for tests into build/tools; tests that lack them say NOT RUN.
	python3 -m venv build/tools/venv
	build/tools/venv/bin/pip install --quiet --disable-pip-version-check \
		"pyjwt[crypto]==2.15.1" "boto3==1.44.5" "awscli==1.46.3" "websockets==17.4"
	npm install --silent --no-audit --no-fund --no-save --prefix build/tools \
		"jose@6.2.18" "@aws-sdk/client-sqs@3.1169.0" "ws@8.23.0"

security: ## Check dependencies with govulncheck, and the template with checkov if it is installed.
	GOFLAGS= go run $(GOVULNCHECK) ./...
	@if command -v checkov >/dev/null; then checkov --config-file .checkov.yaml; \
	else echo "NOT RUN: checkov is not installed (pip install checkov)"; fi

sam-build: ## Build what is deployed, with the SAM CLI, into .aws-sam.
	sam build --template template.yaml

deploy: sam-build ## Build and deploy to AWS with the SAM CLI, which asks for the parameters. STACK=fanfare.
	sam deploy --guided --stack-name "$$STACK" --capabilities CAPABILITY_IAM

report: ## Print the delivery report of broadcast ID= (ARGS=--local for that of make run).
	@set -f; GOFLAGS= go run ./cmd/fanfare report $$ARGS -- "$$ID"

dead-letters: ## List the dead letters with their reasons (ARGS=--local as above).
	@set -f; GOFLAGS= go run ./cmd/fanfare dead-letters $$ARGS

redrive: ## Send dead letters back to their queues, after the cause is fixed (ARGS=--local as above).
	@set -f; GOFLAGS= go run ./cmd/fanfare redrive $$ARGS

clean: ## Remove what was built.
	rm -rf build .aws-sam
