#!/usr/bin/env bash
# Generates the Go code, the REST gateway and the swagger description of
# recovery.proto. The compiler and the plugins are built from the versions
# pinned in tools/go.mod; nothing needs to be installed.
#
#   gen.sh           writes the generated files
#   gen.sh --check   fails if the files in the repository are not up to date
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bin=$work/bin
out=$work/out
mkdir "$bin" "$out"

(cd ../tools && go build -o "$bin/" \
	./protoc \
	google.golang.org/protobuf/cmd/protoc-gen-go \
	google.golang.org/grpc/cmd/protoc-gen-go-grpc \
	github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway \
	github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2)

"$bin/protoc" -I. \
	--go_out="$out" --go_opt=paths=source_relative \
	--go-grpc_out="$out" --go-grpc_opt=paths=source_relative \
	--grpc-gateway_out="$out" --grpc-gateway_opt=paths=source_relative \
	--grpc-gateway_opt=grpc_api_configuration=recovery.yaml \
	--openapiv2_out="$out" \
	--openapiv2_opt=grpc_api_configuration=recovery.yaml \
	--openapiv2_opt=json_names_for_fields=false \
	recovery.proto

if [[ ${1:-} != --check ]]; then
	cp "$out"/* .
	exit
fi

for file in "$out"/*; do
	if ! diff -u "$(basename "$file")" "$file"; then
		echo "recoveryrpc is not up to date: run make proto" >&2
		exit 1
	fi
done
