#!/usr/bin/env bash
# Checks the repository: formatting, go vet (for Windows and macOS too where it
# matters), staticcheck, that no test skips, and that generated code is what its
# generator writes today. Run it through `make lint`, which builds the tools first.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0

# step NAME COMMAND... runs one check and remembers whether it failed.
step() {
	local name=$1
	shift
	echo "lint: $name"
	if ! "$@"; then
		echo "lint: $name: FAILED" >&2
		failed=1
	fi
}

# formatted fails if gofmt would change a file of ours.
formatted() {
	local files
	files=$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l)
	[ -z "$files" ] || { printf 'not formatted:\n%s\n' "$files"; return 1; }
}

# narrow fails if a line of Go is wider than 80 columns, with a tab of 8: other
# than a tag of a structure, a name that is longer, or a text that is not Go.
# What chainscan and lndview have of them goes when they are rewritten.
narrow() {
	local text='^cmd/loop/manual_test.go:|^internal/contract/.*_test.go:'
	! git ls-files '*.go' | grep -vE '^(chainscan|lndview)/|\.pb\.' |
		while read -r file; do
			expand -t 8 "$file" | grep -nE '^.{81}' |
				sed "s|^|$file:|" || true
		done | grep -vE "$text"'|`(long|json):"|: +true,$'
}

# vetted runs go vet with and without the failpoint tag, here and in the tools.
vetted() {
	go vet ./... && go vet -tags failpoint ./... && go -C tools vet ./...
}

# analysed runs staticcheck over the same code.
analysed() {
	bin/tools/staticcheck ./... &&
		bin/tools/staticcheck -tags failpoint ./... &&
		(cd tools && ../bin/tools/staticcheck ./...)
}

# sums prints a digest of every file that git knows or would add.
sums() {
	git ls-files -co --exclude-standard | sort | while read -r file; do
		[ ! -f "$file" ] || sha256sum "$file"
	done
}

# generated fails if running every generator changes, adds or removes a file.
generated() {
	local before after
	before=$(sums)
	make --no-print-directory generate >/dev/null || return 1
	after=$(sums)
	if ! diff <(echo "$before") <(echo "$after"); then
		echo "run 'make generate' and commit what it writes"
		return 1
	fi
}

# produced fails if there is a reason code that no test produces.
produced() {
	go test -count=1 -run TestEveryReasonIsProduced ./states
}

# elsewhere vets, for the systems that no test runs on, both programs with all
# that they are made of, and the tests of what must hold there.
elsewhere() {
	local packages="./cmd/... ./states ./actions ./recoveryfsm ./recoverydb
		./recoveryrpc ./backup ./generation ./staticaddr ./internal/await
		./internal/durable ./internal/gate ./internal/startdecision"
	local system
	for system in windows darwin; do
		GOOS=$system CGO_ENABLED=0 go vet $packages || return 1
	done
}

# skipless fails if a test skips for any other reason than that it has a target
# of its own, or that the system cannot do what it needs.
skipless() {
	local allowed='takes minutes: make|needs root|no other system|proc file system'
	! git grep -nE '\.Skip(f|Now)?\(' -- '*_test.go' | grep -vE "$allowed"
}

step "gofmt" formatted
step "no skipped tests" skipless
step "80 columns" narrow
step "go vet" vetted
step "Windows and macOS" elsewhere
step "staticcheck" analysed
step "generated code" generated
step "reasons" produced

[ "$failed" = 0 ] || exit 1
echo "lint: ok"
