#!/usr/bin/env bash
# Makes GraphiQL's bundle from the npm packages that tools/graphiql/package-lock.json pins. The build calls it (option graphiql).
# Usage: tools/graphiql.sh [OUT [auto|npm|bundled]]
#   npm      from the packages; needs node, npm, and the registry or what npm has kept of it (the default)
#   bundled  the bundle in the source tree, src/api/static/graphiql, as it is: the same bytes, which a test proves
#   auto     npm when the registry answers within seconds and all of it is done within a minute, else bundled
# Without OUT the bundle in the source tree is made anew.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
bundled=$root/src/api/static/graphiql
out=${1:-$bundled}
mode=${2:-npm}
mkdir -p "$out"

from_npm() (
    set -e
    cp "$root/tools/graphiql/package.json" "$root/tools/graphiql/package-lock.json" "$work"
    cd "$work"
    npm ci --prefer-offline --no-audit --no-fund --ignore-scripts "$@"
    mkdir "$work/made"
    NODE_PATH="$work/node_modules" node "$root/tools/graphiql/build.js" "$root/tools/graphiql" "$work/made"
)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
made=$work/made
if [ "$mode" = npm ]; then
    from_npm
elif [ "$mode" = auto ] && command -v node > /dev/null && command -v npm > /dev/null; then
    export -f from_npm
    export root work
    # A build must not wait for a registry that is far away or gone, and the bytes are the same either way.
    if ! { timeout 8 npm ping --fetch-retries=0 --fetch-timeout=3000 &&
        timeout 60 bash -c 'from_npm --fetch-retries=0 --fetch-timeout=5000'; } > "$work/log" 2>&1; then
        echo "GraphiQL: npm cannot make the bundle ($(grep -m1 -i error "$work/log" || tail -n 1 "$work/log")); the one in the source tree is used" >&2
        made=$bundled
    fi
else
    made=$bundled
fi
cp "$made"/* "$out"
