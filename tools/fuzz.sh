#!/bin/sh
# Runs every fuzz target under libFuzzer for SECONDS each; what crashes is kept in its corpus. Usage: tools/fuzz.sh SECONDS
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ -f build-fuzz/build.ninja ] || CC=clang meson setup build-fuzz -Dfuzz=libfuzzer -Dtests=false -Dbuildtype=debug \
    -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link
ninja -C build-fuzz
status=0
for target in build-fuzz/tests/fuzz/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    name=${target##*/fuzz_}
    work=build-fuzz/corpus-$name
    mkdir -p "$work"
    echo "== $name, $seconds s"
    if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="tests/fuzz/corpus/$name/crash-" "$work" "tests/fuzz/corpus/$name" >"build-fuzz/$name.log" 2>&1; then
        status=1
        tail -n 40 "build-fuzz/$name.log"
    fi
    grep -E 'stat::number_of_executed_units|DONE' "build-fuzz/$name.log" || true
done
exit $status
