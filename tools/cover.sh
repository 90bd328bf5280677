#!/usr/bin/env bash
# Prints how much of the packages around the swap client their own unit tests
# reach, in statements, and fails below the bounds. Run it through `make cover`.
set -euo pipefail
cd "$(dirname "$0")/.."

module=github.com/looprecovery/looprecovery
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# covered NAME BOUND PACKAGE... prints the share of the packages' statements that
# their own tests reach, together, and remembers whether it is below the bound.
covered() {
	local name=$1 bound=$2
	shift 2
	local paths=("${@/#/$module/}")
	local over
	over=$(IFS=,; echo "${paths[*]}")
	go test -count=1 -coverpkg="$over" -coverprofile="$work/profile" \
		"${paths[@]}" >"$work/out" || { cat "$work/out"; exit 1; }
	local share
	share=$(go tool cover -func="$work/profile" |
		awk '/^total:/ { sub("%", "", $3); print $3 }')
	printf '%-46s %5s %%  (at least %s)\n' "$name" "$share" "$bound"
	if awk "BEGIN { exit !($share < $bound) }"; then
		failed=1
	fi
}

covered "gate" 95 internal/gate
covered "startdecision" 95 internal/startdecision
covered "gate keeper owner lndnode recoveryserver loopd" 70 \
	internal/gate internal/keeper internal/owner internal/lndnode \
	internal/recoveryserver loopd
exit $failed
