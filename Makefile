# Everything a person or a machine does with this tree. `make` alone says what
# there is. Go and make are enough for demo, test, bench and cross.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
GOBUILD  = CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
CROSS    = linux-arm64 linux-armv7 linux-armv6 linux-amd64
# On two cores the end-to-end tests need them for the program they drive.
TEST     = go test -p 2 -timeout 15m
# The whole program is not tested beside the faults of the spine: these starve it.
WHOLE    = dancer/(cmd/dancer|runtime/brain|runtime/web)

.PHONY: help demo build test test-kernel race fuzz lint check-tidy bench bench-spine bench-program bench-registry bench-arrival faults cross soak screenshot ci clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## three robots in a burning museum, with conductor and dashboard
	bin/dancer demo $(ARGS)

build: ## bin/dancer, one static binary for this machine
	$(GOBUILD) -o bin/dancer ./cmd/dancer

test: ## vet and every test (SHORT=1 leaves the slow ones out, VERBOSE=1 names each)
	go vet ./...
	go vet -tags interleave ./runtime/link
	$(TEST) -tags interleave -run 'TestOrders|TestMutants|TestSpine' $(if $(VERBOSE),-v) ./runtime/link
	$(TEST) $(if $(SHORT),-short) $(if $(VERBOSE),-v) $$(go list ./... | grep -vxE '$(WHOLE)')
	$(TEST) $(if $(SHORT),-short) $(if $(VERBOSE),-v) $$(go list ./... | grep -xE '$(WHOLE)')

test-kernel: ## the real arm64 dancer on a real kernel under QEMU (docs/testing.md; about eight minutes)
	DANCER_GUEST=1 go test -p 1 -count=1 -timeout 60m -v -run '^TestGuest' ./runtime/guest ./cmd/dancer

race: ## the same tests under the race detector, without the slow end-to-end ones
	CGO_ENABLED=1 $(TEST) -race -short ./...

fuzz: ## every fuzz target, one after another, an hour in all (FUZZTIME=30s: so long for each)
	tools/fuzz $(FUZZTIME)

lint: ## golangci-lint, pinned in tools/go.mod
	go build -C tools -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	bin/golangci-lint run
	cd tools/peers && ../../bin/golangci-lint run

check-tidy: ## every go.mod file names exactly what is used
	go mod tidy -diff
	go -C tools mod tidy -diff
	go -C tools/peers mod tidy -diff
	go -C tools/pi mod tidy -diff

bench: ## figures of docs/benchmarks.md that need one process, and the same rules in its peers
	go test -p 1 -run '^$$' -bench . -benchmem ./...
	go -C tools/peers test -p 1 -bench . -benchmem .
	DANCER_FIGURES=1 go test -p 1 -count=1 -v -run TestFigures ./mesh/datagram

bench-spine: ## the reflex beside the same loop in C, idle and busy (20 min, quiet machine, root, gcc, rt-tests)
	DANCER_FIGURES=$(or $(DANCER_FIGURES),1) go test -count=1 -timeout 90m -v -run TestFigures ./runtime/spine

bench-program: ## figures of docs/benchmarks.md that need the whole program (8 min, the same)
	DANCER_FIGURES=$(or $(DANCER_FIGURES),1) go test -count=1 -timeout 90m -v -run TestFigures ./cmd/dancer

bench-registry: ## single reads of 30,000 agents beside 6,000 heartbeats a second (a minute)
	DANCER_FIGURES=$(or $(DANCER_FIGURES),1) go test -count=1 -timeout 30m -v -run TestFiguresRegistry ./mesh/impedance

bench-arrival: ## estimators of arrival on a campaign of round trips (TRACE=file: another one, plain or gzip)
	@DANCER_FIGURES=1 DANCER_TRACE=$(if $(TRACE),$(abspath $(TRACE))) go test -count=1 -timeout 30m -v -run 'TestFiguresArrival$$' ./mesh/arrival

faults: ## each fault of docs/faults.md a hundred times, times judged (40 minutes, quiet machine, root; FAULTS=10: so often)
	DANCER_FAULTS=$(or $(FAULTS),100) go test -p 1 -count=1 -timeout 120m -v -run 'TestFaults$$' ./runtime/spine

cross: $(CROSS:%=dist/dancer-%) ## static binaries for the boards, in dist/

soak: faults ## the faults, a million cycles of the spine (root), the end-to-end tests and a recording at full length, fleets of 30,000 and a million (100 minutes)
	DANCER_SOAK=1 go test -count=1 -timeout 60m -v -run 'TestSoakCycles' ./runtime/spine
	DANCER_EVALUATIONS=10000000 go test -count=1 -timeout 30m -v -run 'ContainsPoints' ./reflex/program
	DANCER_SOAK=1 go test -count=1 -timeout 90m -v -run 'TestEndToEnd' ./cmd/dancer
	DANCER_SOAK=1 go test -count=1 -timeout 30m -v -run 'TestRecordingReplays' ./runtime/brain
	DANCER_SOAK=1 go test -count=1 -timeout 30m -v -tags interleave -run 'TestOrders' ./runtime/link
	DANCER_SOAK=1 go test -count=1 -timeout 30m -v -run 'TestHostileBrains' ./runtime/spine
	DANCER_SOAK=1 go test -count=1 -timeout 60m -v -run 'TestSchedules$$' ./mesh/fleet/run
	DANCER_SOAK=1 go test -count=1 -timeout 60m -v -run 'TestSoak' ./runtime/fleet
	DANCER_SOAK=1 go test -count=1 -timeout 30m -v -run 'TestFaultsOf|TestLiar' ./mesh/coordination

screenshot: ## docs/dashboard.png from the running program
	DANCER_SCREENSHOT=$(CURDIR)/docs/dashboard.png go test -count=1 -timeout 5m -v -run 'TestEndToEndDemoPage' ./cmd/dancer

ci: ## what the machine runs before a merge
	.ci/run

clean: ## remove bin/ and dist/
	rm -rf bin dist

dist/dancer-linux-armv%: FORCE
	GOOS=linux GOARCH=arm GOARM=$* $(GOBUILD) -o $@ ./cmd/dancer
dist/dancer-linux-%: FORCE
	GOOS=linux GOARCH=$* $(GOBUILD) -o $@ ./cmd/dancer
.PHONY: FORCE
FORCE:
