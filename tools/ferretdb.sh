#!/usr/bin/env bash
# Prints the path of a FerretDB binary: the server of the MongoDB protocol that tests start (Debian has no MongoDB).
# Usage: tools/ferretdb.sh. Built from source with Go at the first call, which takes minutes, and kept in
# ${XDG_CACHE_HOME:-~/.cache}/dozo. The version and the digest of its source are pinned here, those of its
# dependencies in its own go.sum. Exit status 3: no Go here, or the source cannot be had.
#
# How to start it, with an empty folder DIR, on a free PORT:
#   ferretdb-VERSION --handler=sqlite --sqlite-url=file:DIR/ --state-dir=DIR --listen-addr=127.0.0.1:PORT \
#       --debug-addr=- --telemetry=disable
# It is up when the port takes a connection, but not before: it says so on standard error ("Listening on TCP").
# SIGTERM ends it in order; SIGKILL leaves what SQLite's write-ahead log keeps.
set -eu

version=v1.24.0
digest=h1:7WJmezL48Bj9bYWnhT/bEJgX5gjT5s7LFdHTqkN25rA=
module=github.com/FerretDB/FerretDB

give_up() {
    echo "tools/ferretdb.sh: $*" >&2
    exit 3
}

# The network may fail for a moment; what has come is kept by Go.
again() {
    for pause_s in 2 10 30; do
        "$@" && return 0
        sleep "$pause_s"
    done
    "$@"
}

cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/dozo
binary=$cache/ferretdb-$version
if [ ! -x "$binary" ]; then
    go=$(PATH="$PATH:/usr/local/go/bin" command -v go) || give_up "no Go (1.22 or newer) to build FerretDB with"
    mkdir -p "$cache"
    # One builds, others wait for it and then find the binary.
    exec 9>"$cache/ferretdb.lock"
    flock 9
fi
if [ ! -x "$binary" ]; then
    work=$cache/ferretdb.build
    chmod -R u+w "$work" 2>/dev/null || true
    rm -rf "$work"
    mkdir "$work"
    trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
    cd "$work"

    echo "tools/ferretdb.sh: building FerretDB $version; this takes minutes, once" >&2
    fetch() { "$go" mod download -json "$module@$version" >module.json 2>download.log; }
    again fetch ||
        give_up "FerretDB $version cannot be fetched: $(tail -n 1 download.log; sed -n 's/.*"Error": //p' module.json)"
    grep -qF "\"Sum\": \"$digest\"" module.json || give_up "FerretDB $version is not the source that was pinned"
    cp -R "$(sed -n 's/.*"Dir": "\(.*\)".*/\1/p' module.json)" source
    chmod -R u+w source
    cd source
    # Without these two it refuses to start.
    echo "$version" >build/version/version.txt
    echo unknown >build/version/package.txt
    build() {
        CGO_ENABLED=0 GOFLAGS="-mod=readonly -buildvcs=false" nice "$go" build -trimpath -o "$work/ferretdb" ./cmd/ferretdb \
            >"$work/build.log" 2>&1
    }
    again build || give_up "FerretDB $version cannot be built: $(tail -n 1 "$work/build.log")"
    mv "$work/ferretdb" "$binary"
fi
echo "$binary"
