# Fanfare. Two of these are enough to begin with: make run, make test. They need Go and make, nothing else.

# How the function binaries are built, here and by "sam build": small, static, without Lambda's old RPC mode.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -tags=lambda.norpc -ldflags=-s
export SAM_CLI_TELEMETRY := 0

STACK ?= fanfare
ARGS ?=
ACCESS ?= open
ACCESS_open = anyone who reaches it connects and publishes.
ACCESS_listen = anyone who reaches it connects; only backends publish, on the queue.
ACCESS_jwt = a token connects; publishing needs a claim of it.
FUNCTIONS := $(notdir $(wildcard functions/*))
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Tests run under the race detector, which needs a C compiler on Linux. Without one they run all the same, and say so. Vetting
# is make lint's. More packages than cores run at once, as many tests wait for a time that AWS's or a client's clock sets.
CC_FOUND := $(shell command -v $${CC:-cc} 2>/dev/null || command -v gcc 2>/dev/null)
TEST := $(if $(CC_FOUND),CGO_ENABLED=1 GOFLAGS= go test -race,CGO_ENABLED=0 GOFLAGS= go test) -vet=off \
	-p $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 2)))

.DEFAULT_GOAL := help
.PHONY: help run test chaos build lint tools security sam-build deploy report dead-letters redrive clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Run everything on this machine until Ctrl-C; ACCESS=listen or jwt to shut the door; ARGS="--port 3010" and the like are handed on.
	@echo "Access is $(ACCESS): $(ACCESS_$(ACCESS))"
	@go build -o build/bin/local ./local && $(if $(filter jwt,$(ACCESS)),go build -o build/bin/fanfare ./cmd/fanfare &&) \
	exec build/bin/local --stack-name $(STACK) --parameter Access=$(ACCESS) \
	$(if $(filter jwt,$(ACCESS)),--ready 'build/bin/fanfare token --try "$$OUTPUT_WebSocketUrl"') $(ARGS)

test: ## Run all tests.
	$(if $(CC_FOUND),,@echo "No C compiler is here: the tests run without the race detector.")
	$(TEST) ./...

chaos: ## The long tests with real processes under faults, about half an hour; RUN= chooses among them (docs/chaos.md).
	GOFLAGS= go test ./test/chaos -count=1 -v -timeout 60m -run '$(RUN)' -long

build: $(FUNCTIONS:%=build/functions/%/bootstrap) ## Build the function binaries for Lambda (arm64) into build/functions.

.PHONY: $(FUNCTIONS:%=build/functions/%/bootstrap)
$(FUNCTIONS:%=build/functions/%/bootstrap): build/functions/%/bootstrap:
	GOOS=linux GOARCH=arm64 go build -o $@ ./functions/$*

.PHONY: conformance
conformance: ## Hold local/ against DynamoDB Local, ElasticMQ, moto and aws-sam-translator, which it installs outside the repository.
	@test/e2e/emulator/conformance/run.sh

lint: ## Check code and template: gofmt, vet, staticcheck; cfn-lint and sam validate where they are installed.
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "Not gofmt-ed:"; echo "$$unformatted"; exit 1; }
	GOFLAGS= go vet ./...
	GOFLAGS= go run $(STATICCHECK) ./...
	@if command -v cfn-lint >/dev/null; then cfn-lint template.yaml; else echo "cfn-lint is not installed (pip install cfn-lint): the template is not checked"; fi
	@if command -v sam >/dev/null; then sam validate --lint --template template.yaml --region us-east-1; else echo "sam is not installed: the template is not validated"; fi

tools: ## Install into build/tools what tests of other languages need (PyJWT, boto3, the AWS CLI, websockets; jose, the AWS SDK, ws); without it they say NOT RUN.
	python3 -m venv build/tools/venv
	build/tools/venv/bin/pip install --quiet --disable-pip-version-check "pyjwt[crypto]==2.15.1" "boto3==1.44.5" "awscli==1.46.3" "websockets==17.4"
	npm install --silent --no-audit --no-fund --no-save --prefix build/tools "jose@6.2.18" "@aws-sdk/client-sqs@3.1169.0" "ws@8.23.0"

security: ## Check dependencies against the vulnerability database, and the template with checkov where it is installed.
	GOFLAGS= go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...
	@if command -v checkov >/dev/null; then checkov --config-file .checkov.yaml; else echo "checkov is not installed (pip install checkov): the template is not checked"; fi

sam-build: ## Build what is deployed, with the SAM CLI, into .aws-sam.
	sam build --template template.yaml

deploy: sam-build ## Build and deploy to AWS with the SAM CLI; asks what it has to know.
	sam deploy --guided --stack-name $(STACK) --capabilities CAPABILITY_IAM

report: ## Print what became of a broadcast: make report ID=... (ARGS=--local for the one that make run has started).
	@GOFLAGS= go run ./cmd/fanfare $(ARGS) report $(ID)

dead-letters: ## List what could not be processed, with the reasons.
	@GOFLAGS= go run ./cmd/fanfare $(ARGS) dead-letters

redrive: ## Send dead letters back, once what stopped them is mended.
	@GOFLAGS= go run ./cmd/fanfare $(ARGS) redrive

clean: ## Remove what was built.
	rm -rf build .aws-sam
