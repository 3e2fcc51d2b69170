#!/usr/bin/env bash
# Makes src/api/static/graphiql from the npm packages that tools/graphiql/package-lock.json pins, so that a build needs no npm.
# Usage: tools/graphiql.sh [OUT]; with OUT the result goes there instead. Needs node and npm; npm keeps what it has fetched.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
out=${1:-$root/src/api/static/graphiql}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
cp tools/graphiql/package.json tools/graphiql/package-lock.json "$work"
cd "$work"
npm ci --prefer-offline --no-audit --no-fund --ignore-scripts
NODE_PATH="$work/node_modules" node "$root/tools/graphiql/build.js" "$root/tools/graphiql" "$out"
