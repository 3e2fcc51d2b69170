#!/bin/sh
# Installs what is missing of Debian's packages. Usage: tools/deps.sh build|test|bench|dev
# Says what and why before it does anything; needs root, and asks sudo for it when it is not.
set -eu

build='
gcc|the C compiler
libc6-dev|the C library
make|this Makefile
meson|the build system
ninja-build|runs what Meson plans
pkg-config|finds the libraries
libnghttp2-dev|HTTP/2
libssl-dev|SHA-256
libyaml-dev|settings
libsqlite3-dev|the catalog
libjansson-dev|reads JSON
libarchive-dev|reads CBZ, CBR, CB7 and CBT
libcurl4-openssl-dev|asks upstream sites
liblua5.4-dev|runs sources
libpcre2-dev|str.match_all of sources
libxml2-dev|reads ComicInfo.xml and pages
libjpeg62-turbo-dev|decodes and writes JPEG pages
libexif-dev|reads the keys of shuffled pages
zlib1g-dev|gzip answers
libbrotli-dev|br answers
libzstd-dev|zstd answers
libcrypt-dev|password hashes
libhiredis-dev|rate limits that several servers share
libpq-dev|PostgreSQL: the catalog, the store
libmongoc-dev|MongoDB: the store
'
test="$build
libcmocka-dev|unit tests
clang-format|the format check
clang|a second opinion on warnings
git|lists the files to check
python3|end-to-end tests
python3-pytest|end-to-end tests
python3-jsonschema|checks answers against /api/openapi.json
python3-pymongo|reads and writes documents as imoog does
python3-redis|reads and writes cached files as imoog does
python3-requests|sends files to the upload CDN as the clients of imoog do
zip|archives as users make them
unzip|archives as users make them
p7zip-full|archives as users make them
libarchive-tools|archives as users make them (bsdtar)
sqlite3|looks into catalogs from outside
mandoc|checks the manual page
curl|a client that nobody here wrote
nghttp2-client|clients of HTTP/2: nghttp, h2load
python3-h2|a client of HTTP/2 that checks the rules
brotli|decodes answers
zstd|decodes answers
openssl|makes the certificate of an https listener
redis-server|a server that tests start themselves
postgresql|a server that tests start themselves
nginx-light|a server that tests start themselves
varnish|a server that tests start themselves
python3-yaml|reads what docker compose would
python3-aiohttp|sends files as imoog's README does
nodejs|runs graphql-js, which our GraphQL answers are compared with, and the audit of GraphQL over HTTP
npm|installs both at their pinned versions, and makes the bundle of GraphiQL
chromium|opens GraphiQL as people do
systemd|hands over sockets and checks the example units (systemd-socket-activate, systemd-analyze)
"
bench="$build
nginx-light|a peer to measure against
h2o|a peer to measure against
varnish|a peer to measure against
lighttpd|a peer to measure against
lighttpd-mod-openssl|TLS for it
caddy|a peer to measure against
apache2|a peer to measure against
wrk|makes the load
nghttp2-client|makes the load over HTTP/2 (h2load)
curl|fetches the same chapter as a crawl
strace|counts the system calls of a crawl
openssl|the certificate of the measurement
python3|runs the measurement
postgresql|a peer to measure against
python3-uvicorn|the way of imoog, to measure against
python3-starlette|the same
python3-multipart|the same
python3-asyncpg|the same
python3-httptools|the same
python3-uvloop|the same
util-linux|taskset: a core for the server, one for the load
"
dev="$test
$bench
clang-tidy|make check-full
cppcheck|make check-full
libclang-rt-14-dev|libFuzzer
llvm|what the fuzz targets do not reach (tools/fuzz.py --uncovered)
valgrind|instruction counts
"

case "${1:-build}" in
build) list=$build ;;
test) list=$test ;;
bench) list=$bench ;;
dev) list=$dev ;;
*)
    echo "usage: tools/deps.sh build|test|bench|dev" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "tools/deps.sh: this is not Debian; these packages, or your system's names for them, are needed:" >&2
    echo "$list" | sed -n 's/|/  - /p' >&2
    exit 0
fi

missing=$(echo "$list" | sort -u | while IFS='|' read -r package why; do
    [ -n "$package" ] || continue
    # Node from other sources brings its own npm, and Debian's would replace it.
    [ "$package" = npm ] && command -v npm >/dev/null 2>&1 && continue
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || echo "$package|$why"
done)
[ -n "$missing" ] || exit 0

echo "Missing Debian packages:"
echo "$missing" | while IFS='|' read -r package why; do printf '  %-20s %s\n' "$package" "$why"; done

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "tools/deps.sh: root is needed to install them and there is no sudo; as root, run:" >&2
        echo "  apt-get install -y $(echo "$missing" | cut -d'|' -f1 | tr '\n' ' ')" >&2
        exit 1
    fi
    as_root=sudo
    echo "Installing them needs root; sudo may ask for your password."
fi
# Debian starts servers when it installs them, some on every address. The ones that are only measured, or that
# tests start themselves, shall not.
policy=/usr/sbin/policy-rc.d
servers=$(echo "$missing" | sed -n 's/|a peer to measure against$//p; s/|a server that tests start themselves$//p')
if [ -n "$servers" ] && [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi
$as_root apt-get update
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(echo "$missing" | cut -d'|' -f1)
if [ -n "$servers" ] && [ -d /run/systemd/system ]; then
    for server in $servers; do $as_root systemctl disable --now "${server%-light}" >/dev/null 2>&1 || true; done
fi
