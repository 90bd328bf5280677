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

# elsewhere checks what handles files, which each system does in its own way, for
# the systems that no test runs on.
elsewhere() {
	local packages="./backup ./generation ./internal/durable"
	GOOS=windows CGO_ENABLED=0 go vet $packages &&
		GOOS=darwin CGO_ENABLED=0 go build $packages
}

# skipless fails if a test skips for any other reason than that it has a target
# of its own, or that the system cannot do what it needs.
skipless() {
	local allowed='takes minutes: make|needs root|no other system|proc file system'
	! git grep -nE '\.Skip(f|Now)?\(' -- '*_test.go' | grep -vE "$allowed"
}

step "gofmt" formatted
step "no skipped tests" skipless
step "go vet" vetted
step "Windows and macOS" elsewhere
step "staticcheck" analysed
step "generated code" generated
step "reasons" produced

[ "$failed" = 0 ] || exit 1
echo "lint: ok"
