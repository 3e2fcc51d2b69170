#!/bin/sh
# What `make run` does after building: imports the demo comic into ./data and serves it in the foreground.
# Usage: tools/run-demo.sh DOZO_BINARY
set -eu
cd "$(dirname "$0")/.."
dozo=$1
"$dozo" import demo/kura
exec "$dozo" serve
