/*
 * table: one row a setting. Loading, checking, variables, dump, docs/settings.md and the comparison
 * of two settings all walk these rows; a new setting is a member in conf.h and a row here.
 *
 * Presets are written as a variable would say them (lists with commas, pairs as YAML) and go
 * through the same checks as a user's values. Rows stand in the order of the documentation; rows of
 * one section stay together, as the dump opens and closes sections while it walks. "shelves[].X" is
 * a key of every shelf, "sources.ID.X" one of a shipped source, "sources.*.X" one of every source;
 * the latter two end in the source's list of options.
 */
#include "conf/conf_int.h"

/* clang-format off */
#define AT(member) CONF_TOP, .offset = offsetof(struct dz_conf, member)
#define IN_SHELF(member) CONF_SHELF, .offset = offsetof(struct dz_conf_shelf, member)
#define IN_SOURCE CONF_SOURCE, .offset = CONF_NO_OFFSET
#define FOREVER_MS (3650LL * 86400000)
#define MINUTE_MS 60000
#define HOUR_MS (60LL * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define BYTES_MAX (1024 * 1024 * DZ_GIB)

static const struct conf_word levels[] = {
    {"debug", DZ_DEBUG}, {"info", DZ_INFO}, {"warn", DZ_WARN}, {"error", DZ_ERROR}, {0}};
static const struct conf_word log_formats[] = {
    {"auto", DZ_LOG_AUTO}, {"text", DZ_LOG_TEXT}, {"logfmt", DZ_LOG_LOGFMT}, {"json", DZ_LOG_JSON}, {0}};
static const struct conf_word tls_versions[] = {{"1.2", DZ_TLS_1_2}, {"1.3", DZ_TLS_1_3}, {0}};
static const struct conf_word forwarded_fields[] = {
    {"auto", DZ_FORWARDED_AUTO}, {"x-forwarded", DZ_FORWARDED_X}, {"forwarded", DZ_FORWARDED_RFC}, {0}};
static const struct conf_word catalog_drivers[] = {
    {"sqlite", DZ_DRIVER_SQLITE}, {"postgres", DZ_DRIVER_POSTGRES}, {0}};
static const struct conf_word store_drivers[] = {
    {"files", DZ_DRIVER_FILES}, {"postgres", DZ_DRIVER_POSTGRES}, {"mongodb", DZ_DRIVER_MONGODB}, {0}};
static const struct conf_word zlib_levels[] = {
    {"auto", -1}, {"0", 0}, {"1", 1}, {"2", 2}, {"3", 3}, {"4", 4}, {"5", 5}, {"6", 6}, {"7", 7}, {"8", 8}, {"9", 9}, {0}};
static const struct conf_word cache_drivers[] = {
    {"memory", DZ_DRIVER_MEMORY}, {"redis", DZ_DRIVER_REDIS}, {0}};
static const struct conf_word limit_strategies[] = {
    {"fixed", DZ_LIMIT_FIXED}, {"moving", DZ_LIMIT_MOVING}, {0}};
static const struct conf_word download_methods[] = { /* kept as text */
    {"files", DZ_DOWNLOAD_FILES}, {"zip", DZ_DOWNLOAD_ZIP}, {"cbz", DZ_DOWNLOAD_CBZ},
    {"cbz+comicinfo", DZ_DOWNLOAD_COMICINFO}, {0}};
static const struct conf_word page_sizes[] = {{"low-res", 0}, {"hi-res", 1}, {0}};

const struct conf_row conf_rows[] = {
    {"listen", CONF_LIST, AT(listen), .flags = CONF_RESTART | CONF_UNIQUE, .preset = "127.0.0.1:8080", .shape = &conf_listener,
     .help = "Where to answer: host:port, [v6]:port or unix:/path; https:// in front speaks TLS, see tls. systemd: is every socket that "
             "the service manager passed, systemd:NAME those of that name. Port 0 picks one, which is printed as \"listening on …\". "
             "Beyond loopback auth.token or auth.allow_anonymous is needed. Of the older variables NAGATO_API_HOST and "
             "NAGATO_API_PORT a missing host is 127.0.0.1, a missing port 8090."},
    {"data_dir", CONF_TEXT, AT(data_dir), .flags = CONF_RESTART, .preset = "./data", .shape = &conf_path,
     .help = "Folder of dozo.db, blobs/, cache/ and run/ (sockets, pid). A relative path counts from the working folder."},

    {"log.level", CONF_WORD, AT(log.level), .preset = "info", .words = levels, .help = "Least weight of a line that is written."},
    {"log.format", CONF_WORD, AT(log.format), .flags = CONF_RESTART, .preset = "auto", .words = log_formats,
     .help = "auto is text on a terminal and logfmt elsewhere."},

    {"http.threads", CONF_U32, AT(http.threads), .flags = CONF_RESTART, .preset = "0", .min = 0, .max = 256,
     .help = "Event loops; 0 is one a core."},
    {"http.max_connections", CONF_U32, AT(http.max_connections), .preset = "20000", .min = 1, .max = 10000000,
     .help = "Open connections; one more is answered 503 and closed, over https closed at once."},
    {"http.header_timeout", CONF_DURATION, AT(http.header_timeout_ms), .preset = "10s", .min = 1, .max = DAY_MS,
     .help = "Time for a whole request head."},
    {"http.body_timeout", CONF_DURATION, AT(http.body_timeout_ms), .preset = "30s", .min = 1, .max = DAY_MS,
     .help = "A body, or an answer that waits to leave, moves at least 256 bytes a second, counted over this time; slower is 408 or cut."},
    {"http.idle_timeout", CONF_DURATION, AT(http.idle_timeout_ms), .preset = "75s", .min = 1, .max = DAY_MS,
     .help = "How long a connection may wait for its next request."},
    {"http.graceful_timeout", CONF_DURATION, AT(http.graceful_timeout_ms), .preset = "3s", .min = 1, .max = DAY_MS,
     .help = "Time for running requests when the server stops."},
    {"http.max_header", CONF_SIZE, AT(http.max_header_bytes), .preset = "16KiB", .min = 256, .max = 16 * DZ_MIB,
     .help = "Largest request head; 431 above, 414 when the request line alone is larger."},
    {"http.max_body", CONF_SIZE, AT(http.max_body_bytes), .preset = "64MiB", .min = 1, .max = BYTES_MAX,
     .help = "Largest request body; 413 above. Uploads have uploads.max_bytes."},
    {"http.trusted_proxies", CONF_LIST, AT(http.trusted_proxies), .flags = CONF_EMPTY | CONF_RESTART, .preset = "127.0.0.0/8, ::1", .shape = &conf_cidr,
     .help = "Peers whose word about the client counts: its address and whether it came by https, see http.forwarded. "
             "Of a chain of them the right-most address that is none of these is the client; the nearest one's scheme counts. "
             "X-Forwarded-Host and the host= of Forwarded are ignored: a proxy hands on Host. "
             "Who connects to a UNIX socket counts as trusted, unless this list is empty."},
    {"http.forwarded", CONF_WORD, AT(http.forwarded), .flags = CONF_RESTART, .preset = "auto", .words = forwarded_fields,
     .help = "Which fields of a trusted proxy are read: x-forwarded (X-Forwarded-For, X-Forwarded-Proto), forwarded (RFC 7239), or auto: "
             "the former when one of them is there, else the latter. Set forwarded behind a proxy that sets nothing but Forwarded: "
             "it hands on the X-Forwarded-For that a client made up."},
    {"http.allowed_hosts", CONF_LIST, AT(http.allowed_hosts), .preset = "*", .shape = &conf_allowed_host,
     .help = "Host names that are answered; others get 400. Names, *.suffix for all below it, or * for any."},
    {"http.cors_origins", CONF_LIST, AT(http.cors_origins), .flags = CONF_EMPTY | CONF_RESTART, .preset = "", .shape = &conf_origin,
     .help = "Origins that get CORS headers; an empty list sends none, * is any."},
    {"http.force_https", CONF_BOOL, AT(http.force_https), .preset = "false", .help = "Send requests over http to https with 307."},
    {"http.access_log", CONF_TEXT, AT(http.access_log), .preset = "off", .shape = &conf_access_log,
     .help = "One line a request: off, on (standard output) or the path of a file."},

    {"tls.certificates", CONF_LIST, AT(tls.certificates), .flags = CONF_EMPTY, .preset = "", .shape = &conf_path,
     .help = "PEM files for https listeners, each with the server's certificate first and those between it and the root behind it. "
             "The first one that names the host a client asks for is used; the first of the list when none does. "
             "Files that changed are read again within half a minute, and on SIGHUP."},
    {"tls.keys", CONF_LIST, AT(tls.keys), .flags = CONF_EMPTY, .preset = "", .shape = &conf_path,
     .help = "PEM files with the private keys, without passphrase: one for each certificate, in the same order."},
    {"tls.min_version", CONF_WORD, AT(tls.min_version), .preset = "1.2", .words = tls_versions,
     .help = "Oldest version of TLS that is spoken; the newest is always 1.3."},
    {"tls.http2", CONF_BOOL, AT(tls.http2), .preset = "true", .help = "Offer HTTP/2 besides HTTP/1.1 on https listeners."},
    {"tls.kernel", CONF_BOOL, AT(tls.kernel), .preset = "true",
     .help = "Let the kernel encrypt where it can (Linux with its tls module, and a cipher that it knows); OpenSSL does it elsewhere."},

    {"catalog.driver", CONF_WORD, AT(catalog.driver), .flags = CONF_RESTART, .preset = "sqlite", .words = catalog_drivers,
     .help = "Where series, chapters and jobs are kept. sqlite is data_dir/dozo.db."},
    {"catalog.uri", CONF_TEXT, AT(catalog.uri), .flags = CONF_RESTART | CONF_URI | CONF_EMPTY, .preset = "", .shape = &conf_uri,
     .help = "For postgres: postgres://user@host/db."},

    {"store.driver", CONF_WORD, AT(store.driver), .flags = CONF_RESTART, .preset = "files", .words = store_drivers,
     .help = "Where the bytes of pages and uploads are kept. files is data_dir/blobs."},
    {"store.uri", CONF_TEXT, AT(store.uri), .flags = CONF_RESTART | CONF_URI | CONF_EMPTY, .preset = "", .shape = &conf_uri,
     .help = "For postgres: postgres://user@host/db; for mongodb: mongodb://host."},
    {"store.table", CONF_TEXT, AT(store.table), .flags = CONF_RESTART, .preset = "my_images", .shape = &conf_table,
     .help = "For postgres: the table."},
    {"store.database", CONF_TEXT, AT(store.database), .flags = CONF_RESTART, .preset = "imoog", .shape = &conf_database,
     .help = "For mongodb: the database."},
    {"store.collection", CONF_TEXT, AT(store.collection), .flags = CONF_RESTART, .preset = "images", .shape = &conf_collection,
     .help = "For mongodb: the collection."},
    {"store.pool_min", CONF_U32, AT(store.pool_min), .flags = CONF_RESTART, .preset = "1", .min = 0, .max = 1000,
     .help = "Connections to the database that are kept open."},
    {"store.pool_max", CONF_U32, AT(store.pool_max), .flags = CONF_RESTART, .preset = "10", .min = 1, .max = 1000,
     .help = "Connections to the database at most; not below pool_min."},
    {"store.compression_level", CONF_WORD, AT(store.compression_level), .flags = CONF_RESTART, .preset = "6", .words = zlib_levels,
     .help = "zlib level of rows and documents; 0 stores them as they are, auto does that with what is packed already (images, video, "
             "audio, archives) and takes 6 for the rest."},

    {"cache.driver", CONF_WORD, AT(cache.driver), .flags = CONF_RESTART, .preset = "memory", .words = cache_drivers,
     .help = "Where bytes that were asked for lately are kept: memory, or redis behind the memory of each process, for what comes from a store that is a database."},
    {"cache.uri", CONF_TEXT, AT(cache.uri), .flags = CONF_RESTART | CONF_URI | CONF_EMPTY, .preset = "", .shape = &conf_uri,
     .help = "For redis: redis://[user:password@]host[:port][/db]."},
    {"cache.max_bytes", CONF_SIZE, AT(cache.max_bytes), .flags = CONF_RESTART | CONF_INF, .preset = "256MiB", .min = 0, .max = BYTES_MAX,
     .help = "Budget of the cache in memory; 0 keeps nothing."},
    {"cache.max_entries", CONF_COUNT, AT(cache.max_entries), .flags = CONF_RESTART | CONF_INF, .preset = "inf", .min = 0, .max = 1000000000000,
     .help = "Entries at most."},
    {"cache.ttl", CONF_DURATION, AT(cache.ttl_ms), .flags = CONF_RESTART, .preset = "24h", .min = 1, .max = FOREVER_MS,
     .help = "How long an entry lives."},
    {"cache.disk_bytes", CONF_SIZE, AT(cache.disk_bytes), .flags = CONF_RESTART, .preset = "1GiB", .min = 64 * DZ_MIB, .max = BYTES_MAX,
     .help = "Large files of a store that is a database are fetched to data_dir/cache to be sent; this much at once, 503 above."},

    {"auth.token", CONF_TEXT, AT(auth.token), .flags = CONF_SECRET | CONF_EMPTY, .preset = "", .shape = &conf_token,
     .help = "For every changing endpoint of the library API, as \"Authorization: Bearer …\" or bare."},
    {"auth.allow_anonymous", CONF_BOOL, AT(auth.allow_anonymous), .preset = "false",
     .help = "Let the server listen beyond loopback without a token."},
    {"auth.admin_password_hash", CONF_TEXT, AT(auth.admin_password_hash), .flags = CONF_SECRET | CONF_EMPTY, .preset = "", .shape = &conf_crypt,
     .help = "crypt(3) text of the administrator's password (bcrypt, yescrypt …), made by `dozo password`; "
             "admin_password_hash_file reads the pwd_hash of a komizip service as it is. Empty: no such logins."},

    {"rate_limit.storage", CONF_TEXT, AT(rate_limit.storage), .flags = CONF_RESTART | CONF_URI | CONF_EMPTY, .preset = "", .shape = &conf_storage,
     .older_env = "RATELIMIT_STORAGE_URL",
     .help = "Where requests are counted: memory:// (in this process), or Redis, which several servers can share. Empty: no limit."},
    {"rate_limit.timeout", CONF_DURATION, AT(rate_limit.timeout_ms), .flags = CONF_RESTART, .preset = "200ms", .min = 1, .max = MINUTE_MS,
     .help = "How long an answer of Redis is waited for. Without one in time it counts as lost: requests are counted in this process until it is back."},
    {"rate_limit.graphql", CONF_TEXT, AT(rate_limit.graphql), .preset = "1/second", .shape = &conf_limits, .older_env = "RATELIMIT",
     .help = "Requests to the GraphQL endpoint for each client address: \"1/second\", \"100 per 2 hours\", several joined by , ; or |."},
    {"rate_limit.graphql_get", CONF_BOOL, AT(rate_limit.graphql_get), .preset = "true",
     .help = "Count GraphQL queries by GET as well. false leaves them free, as the kvm48 service did."},
    {"rate_limit.strategy", CONF_WORD, AT(rate_limit.strategy), .preset = "fixed", .words = limit_strategies,
     .help = "fixed: a window begins with a request and ends after its time. moving: no stretch of that length has more, wherever it begins."},
    {"rate_limit.routes", CONF_PAIRS, AT(rate_limit.routes), .flags = CONF_EMPTY, .preset = "", .shape = &conf_limits, .key_shape = &conf_route,
     .help = "Limits of other routes, as {\"/api/\": 10/second, \"/series/{}\": 100/minute}: the beginning of a path, or a route's pattern; "
             "the longest that fits counts. See rate-limits.md. As a variable: YAML text."},

    {"graphql.home", CONF_TEXT, AT(graphql.home), .flags = CONF_EMPTY | CONF_URI, .preset = "", .shape = &conf_url,
     .help = "Where / sends people, as the kvm48 service did: https://github.com/SNH48Live/KVM48#readme. Empty: the reader is at /."},
    {"graphql.introspection", CONF_BOOL, AT(graphql.introspection), .preset = "true",
     .help = "Let clients ask /api/graphql for its schema. GraphiQL's documentation and completion need it."},
    {"graphql.persisted", CONF_BOOL, AT(graphql.persisted), .preset = "false",
     .help = "Keep documents that clients send with their SHA-256 (extension persistedQuery), so that the digest alone is enough next time."},
    {"graphql.timeout", CONF_DURATION, AT(graphql.timeout_ms), .preset = "30s", .min = 1, .max = HOUR_MS,
     .help = "Time for making one answer; 503 after it."},
    {"graphql.max_bytes", CONF_SIZE, AT(graphql.max_bytes), .preset = "128KiB", .min = 256, .max = 4 * DZ_MIB,
     .help = "Longest GraphQL document; a request with all its variables is at most 4 MiB. 400 above, as for the next four."},
    {"graphql.max_memory", CONF_SIZE, AT(graphql.max_memory), .preset = "256MiB", .min = DZ_MIB, .max = 1024 * 1024 * DZ_MIB,
     .help = "What large requests and answers may take in all, until they are sent; 503 above, to be tried again, but for one that goes on, so that for a moment it may be twice that. One answer is at most 64 MiB."},
    {"graphql.max_tokens", CONF_U32, AT(graphql.max_tokens), .preset = "8000", .min = 16, .max = 1000000,
     .help = "Words and signs of a document."},
    {"graphql.max_depth", CONF_U32, AT(graphql.max_depth), .preset = "32", .min = 1, .max = 200,
     .help = "Selections inside selections, with fragments followed."},
    {"graphql.max_nodes", CONF_U32, AT(graphql.max_nodes), .preset = "5000", .min = 1, .max = 1000000,
     .help = "Fields of a document, each as often as fragments bring it."},
    {"graphql.max_aliases", CONF_U32, AT(graphql.max_aliases), .preset = "500", .min = 0, .max = 1000000,
     .help = "Fields under another name."},

    {"shelves", CONF_SHELVES, AT(shelves), .flags = CONF_EMPTY, .preset = "",
     .help = "Series published under host names of their own, see below. As a variable: YAML text, [{name: komi, series: …}]."},
    {"shelves[].name", CONF_TEXT, IN_SHELF(name), .shape = &conf_shelf_name,
     .help = "The shelf answers at /shelf/NAME/ on every host. Needed, and no two the same."},
    {"shelves[].series", CONF_TEXT, IN_SHELF(series), .flags = CONF_EMPTY, .preset = "", .shape = &conf_series,
     .help = "What it shows: source/id, or the id of a series in the library. Empty: what was imported with --shelf NAME."},
    {"shelves[].api_hosts", CONF_LIST, IN_SHELF(api_hosts), .flags = CONF_EMPTY | CONF_UNIQUE, .preset = "", .shape = &conf_host,
     .help = "Host names of its API. A host belongs to one shelf."},
    {"shelves[].cdn_hosts", CONF_LIST, IN_SHELF(cdn_hosts), .flags = CONF_EMPTY | CONF_UNIQUE, .preset = "", .shape = &conf_host,
     .help = "Host names of its pages' bytes."},
    {"shelves[].image_hosts", CONF_LIST, IN_SHELF(image_hosts), .flags = CONF_EMPTY | CONF_UNIQUE, .preset = "", .shape = &conf_host,
     .help = "Host names of its short image links."},
    {"shelves[].cdn_url", CONF_TEXT, IN_SHELF(cdn_url), .flags = CONF_EMPTY, .preset = "", .shape = &conf_base_url,
     .help = "Base of redirects to pages. Empty: made from the request."},
    {"shelves[].links", CONF_PAIRS, IN_SHELF(links), .flags = CONF_EMPTY, .preset = "", .shape = &conf_link, .key_shape = &conf_link_name,
     .help = "Links of every chapter: name to URL, in which {source_url} and {chapter} may stand."},
    {"shelves[].every", CONF_DURATION, IN_SHELF(every_ms), .preset = "0s", .min = 0, .max = FOREVER_MS,
     .help = "How often its source is looked at; 0 is the time of the source, else crawl.every."},

    {"uploads.enabled", CONF_BOOL, AT(uploads.enabled), .flags = CONF_RESTART, .preset = "true", .help = "false answers 404 there."},
    {"uploads.secret_key", CONF_TEXT, AT(uploads.secret_key), .flags = CONF_SECRET | CONF_EMPTY, .preset = "", .shape = &conf_token,
     .help = "What the Authorization header of an upload must be; this key may do everything. With neither it nor uploads.keys uploads are refused with 503."},
    {"uploads.keys", CONF_TEXT, AT(uploads.keys), .flags = CONF_SECRET | CONF_EMPTY, .preset = "", .shape = &conf_keys,
     .help = "More keys, best in a file (keys_file), one a line: a name for the log, what it may do (upload, delete or upload,delete), and the key or sha256: and the SHA-256 of the key in hex. # begins a comment."},
    {"uploads.endpoint", CONF_TEXT, AT(uploads.endpoint), .flags = CONF_RESTART, .preset = "/image/", .shape = &conf_endpoint,
     .help = "Path in front of the name of an upload."},
    {"uploads.endpoint_methods", CONF_LIST, AT(uploads.endpoint_methods), .flags = CONF_RESTART | CONF_UNIQUE, .preset = "GET", .shape = &conf_method,
     .help = "Methods that fetch an upload; GET brings HEAD."},
    {"uploads.delete_methods", CONF_LIST, AT(uploads.delete_methods), .flags = CONF_RESTART | CONF_EMPTY | CONF_UNIQUE, .preset = "DELETE, POST, GET", .shape = &conf_method,
     .help = "Methods that delete an upload."},
    {"uploads.delete_requires_auth", CONF_BOOL, AT(uploads.delete_requires_auth), .preset = "true", .help = "Whether deleting needs a key."},
    {"uploads.name_length", CONF_U32, AT(uploads.name_length), .preset = "9", .min = 1, .max = 64, .help = "Characters of a new upload's name."},
    {"uploads.max_bytes", CONF_SIZE, AT(uploads.max_bytes), .preset = "64MiB", .min = 1, .max = BYTES_MAX, .help = "Largest upload; 413 above."},
    {"uploads.not_found_status", CONF_U32, AT(uploads.not_found_status), .preset = "404", .min = 200, .max = 599, .help = "Status for an unknown name."},
    {"uploads.deleted_status", CONF_U32, AT(uploads.deleted_status), .preset = "204", .min = 200, .max = 599, .help = "Status after deleting."},
    {"uploads.fallback_ext", CONF_TEXT, AT(uploads.fallback_ext), .preset = "png", .shape = &conf_ext,
     .help = "Extension of an upload that came without a type."},
    {"uploads.cache_control", CONF_TEXT, AT(uploads.cache_control), .flags = CONF_EMPTY, .preset = "public, max-age=86400", .shape = &conf_header_value,
     .help = "Cache-Control of uploads; empty sends none."},
    {"uploads.opengraph.enabled", CONF_BOOL, AT(uploads.opengraph.enabled), .preset = "false",
     .help = "Show uploads inside a page with OpenGraph tags."},
    {"uploads.opengraph.properties", CONF_PAIRS, AT(uploads.opengraph.properties), .flags = CONF_EMPTY,
     .preset = "{title: \"\", description: \"\", type: website, site_name: dozo}", .shape = &conf_any, .key_shape = &conf_property,
     .help = "og: tags in this order; those given replace all of the default. As a variable: YAML text."},
    {"uploads.opengraph.base_html", CONF_TEXT, AT(uploads.opengraph.base_html), .flags = CONF_EMPTY, .preset = "", .shape = &conf_base_html,
     .help = "The page around the tags: HTML in which {opengraph} stands exactly once. Empty: a page of ours."},

    {"downloads.destination", CONF_TEXT, AT(downloads.destination), .preset = "./downloads", .shape = &conf_path, .older_env = "NAGATO_DOWNLOAD_DIR",
     .help = "Folder of downloaded chapters."},
    {"downloads.format", CONF_TEXT, AT(downloads.format), .preset = "${manga} -.- C${chapter} ${title}", .shape = &conf_format, .older_env = "NAGATO_DOWNLOAD_FORMAT",
     .help = "Name of a chapter's file: $name, ${name} and $$ for a dollar sign, with id, title, manga_id, manga, volume, chapter, lang, team. "
             "${chapter:3} pads with zeros to three digits (chapter and volume), ${title|untitled} stands in for a missing title. "
             "A missing value without such a word is None."},
    {"downloads.method", CONF_TEXT, AT(downloads.method), .preset = "cbz", .words = download_methods, .older_env = "NAGATO_DOWNLOAD_METHOD",
     .help = "What a download becomes: a folder of pages, a ZIP file, the same as .cbz, or that with a ComicInfo.xml in it."},
    {"downloads.separate", CONF_BOOL, AT(downloads.separate), .preset = "true", .help = "A folder for each series."},
    {"downloads.page_delay", CONF_DURATION, AT(downloads.page_delay_ms), .preset = "0s", .min = 0, .max = HOUR_MS, .help = "Pause before every page."},
    {"downloads.concurrent", CONF_U32, AT(downloads.concurrent), .preset = "1", .min = 1, .max = 64, .help = "Chapters at the same time."},
    {"downloads.history", CONF_U32, AT(downloads.history), .preset = "10000", .min = 0, .max = 10000000, .help = "Finished downloads that are remembered."},
    {"downloads.comicinfo_sizes", CONF_BOOL, AT(downloads.comicinfo_sizes), .preset = "false", .help = "Pixel sizes of pages in ComicInfo.xml."},
    {"downloads.comicinfo_21", CONF_BOOL, AT(downloads.comicinfo_21), .preset = "false",
     .help = "Put into ComicInfo.xml what only the draft of version 2.1 has: Translator and Tags."},
    {"downloads.follow", CONF_BOOL, AT(downloads.follow), .preset = "false",
     .help = "Look at favourites as often as crawl.every says, and download new chapters by themselves."},

    {"crawl.every", CONF_DURATION, AT(crawl.every_ms), .preset = "15m", .min = 100, .max = FOREVER_MS,
     .help = "How often shelves and collections without their own time are looked at."},
    {"crawl.ping_url", CONF_TEXT, AT(crawl.ping_url), .flags = CONF_EMPTY | CONF_URI, .preset = "", .shape = &conf_url,
     .help = "Fetched after a good crawl, with /fail behind it after a bad one (healthchecks.io and the like)."},
    {"crawl.job_lease", CONF_DURATION, AT(crawl.job_lease_ms), .flags = CONF_RESTART, .preset = "60s", .min = 100, .max = DAY_MS,
     .help = "After this time without a sign of life another process takes a job over."},
    {"crawl.retries", CONF_U32, AT(crawl.retries), .preset = "5", .min = 0, .max = 1000,
     .help = "Of a job that failed for a temporary reason; waits grow, with jitter, up to retry_max."},
    {"crawl.retry_max", CONF_DURATION, AT(crawl.retry_max_ms), .preset = "1h", .min = 0, .max = FOREVER_MS, .help = "Longest wait before trying again."},

    {"sources.dir", CONF_LIST, AT(sources.dir), .flags = CONF_EMPTY | CONF_UNIQUE, .preset = "./sources", .shape = &conf_path,
     .help = "Folders of your own sources, searched after the built-in ones."},
    {"sources.allow_private", CONF_BOOL, AT(sources.allow_private), .preset = "false",
     .help = "Let sources reach loopback and private addresses (tests, home networks)."},
    {"sources.user_agent", CONF_TEXT, AT(sources.user_agent), .flags = CONF_EMPTY | CONF_RESTART, .preset = "", .shape = &conf_header_value,
     .help = "Empty: dozo/VERSION."},
    {"sources.http_cache.max_entries", CONF_COUNT, AT(sources.http_cache_max_entries), .flags = CONF_RESTART, .preset = "50", .min = 0, .max = 10000000,
     .older_env = "NAGATO_CACHE_SIZE", .help = "Answers of upstream sites that are kept; 0 is no cache (so is a negative NAGATO_CACHE_SIZE)."},
    {"sources.http_cache.ttl", CONF_DURATION, AT(sources.http_cache_ttl_ms), .flags = CONF_RESTART, .preset = "1h", .min = MINUTE_MS, .max = FOREVER_MS, .help = "How long they count."},
    {"sources.connect_timeout", CONF_DURATION, AT(sources.connect_timeout_ms), .flags = CONF_RESTART, .preset = "3.05s", .min = 1, .max = HOUR_MS, .help = "To reach a site."},
    {"sources.read_timeout", CONF_DURATION, AT(sources.read_timeout_ms), .flags = CONF_RESTART, .preset = "10s", .min = 1, .max = HOUR_MS, .help = "Longest silence of a site."},

    {"sources.*.enabled", CONF_BOOL, CONF_SOURCE, .offset = offsetof(struct dz_conf_source, enabled), .preset = "true", .help = "Whether it is used."},
    {"sources.*.rate", CONF_TEXT, IN_SOURCE, .flags = CONF_LATER, .shape = &conf_limit, .help = "Requests to each host: \"2/second\"."},
    {"sources.*.concurrency", CONF_U32, IN_SOURCE, .flags = CONF_LATER, .min = 1, .max = 256, .help = "Requests to each host at the same time."},
    {"sources.*.page_delay", CONF_DURATION, IN_SOURCE, .flags = CONF_LATER, .min = 0, .max = HOUR_MS, .help = "Pause before every page."},
    {"sources.*.hosts", CONF_LIST, IN_SOURCE, .flags = CONF_LATER | CONF_EMPTY | CONF_UNIQUE, .shape = &conf_source_host,
     .help = "Hosts allowed besides the source's own; the host of an overridden address is allowed by itself."},
    {"sources.*.user_agent", CONF_TEXT, IN_SOURCE, .flags = CONF_LATER | CONF_EMPTY, .shape = &conf_header_value, .help = "Instead of sources.user_agent."},
    {"sources.*.headers", CONF_PAIRS, IN_SOURCE, .flags = CONF_LATER | CONF_EMPTY, .shape = &conf_header_value, .key_shape = &conf_header_name,
     .help = "Sent with every request: name to value. As a variable: YAML text."},
    {"sources.*.proxy", CONF_TEXT, IN_SOURCE, .flags = CONF_LATER | CONF_EMPTY | CONF_URI, .shape = &conf_proxy, .help = "Go through this proxy."},
    {"sources.*.every", CONF_DURATION, IN_SOURCE, .flags = CONF_LATER, .min = 100, .max = FOREVER_MS, .help = "Instead of crawl.every."},

    {"sources.mangadex.org.base_url", CONF_TEXT, IN_SOURCE, .preset = "https://api.mangadex.org", .shape = &conf_base_url, .help = "The API."},
    {"sources.mangadex.org.uploads_url", CONF_TEXT, IN_SOURCE, .preset = "https://uploads.mangadex.org", .shape = &conf_base_url, .help = "Covers."},
    {"sources.mangadex.org.language", CONF_TEXT, IN_SOURCE, .preset = "en", .shape = &conf_language, .help = "Only chapters in this language."},

    {"sources.peppercarrot.com.base_url", CONF_TEXT, IN_SOURCE, .preset = "https://www.peppercarrot.com", .shape = &conf_base_url, .help = "The site."},
    {"sources.peppercarrot.com.language", CONF_TEXT, IN_SOURCE, .preset = "en", .shape = &conf_language, .help = "Language of the pages."},
    {"sources.peppercarrot.com.size", CONF_TEXT, IN_SOURCE, .preset = "low-res", .words = page_sizes, .help = "Which of the two sizes of pages."},

    {"sources.viz.com.base_url", CONF_TEXT, IN_SOURCE, .preset = "https://www.viz.com", .shape = &conf_base_url, .help = "The site."},
    {"sources.viz.com.wiki_url", CONF_TEXT, IN_SOURCE, .flags = CONF_EMPTY, .preset = "", .shape = &conf_base_url,
     .help = "Wiki with titles of chapters and volumes; empty: none."},
    {"sources.viz.com.covers_api_url", CONF_TEXT, IN_SOURCE, .flags = CONF_EMPTY, .preset = "https://api.mangadex.org", .shape = &conf_base_url, .help = "API that lists covers."},
    {"sources.viz.com.covers_url", CONF_TEXT, IN_SOURCE, .flags = CONF_EMPTY, .preset = "https://mangadex.org", .shape = &conf_base_url, .help = "Site of the covers."},
    {"sources.viz.com.covers_manga", CONF_TEXT, IN_SOURCE, .flags = CONF_EMPTY, .preset = "", .shape = &conf_manga_id, .help = "Whose covers, by id; empty: none."},

    {"sources.live.48.cn.base_url", CONF_TEXT, IN_SOURCE, .preset = "https://live.48.cn", .shape = &conf_base_url, .help = "The site."},
    {"sources.live.48.cn.every", CONF_DURATION, IN_SOURCE, .preset = "5m", .min = 100, .max = FOREVER_MS, .help = "How often it is crawled: only when the settings have a section of the source."},
    {"sources.live.48.cn.legacy", CONF_BOOL, IN_SOURCE, .preset = "false", .help = "Clubs 4 and 5 too."},

    {"sources.local.paths", CONF_LIST, IN_SOURCE, .flags = CONF_EMPTY | CONF_UNIQUE, .preset = "", .shape = &conf_path, .help = "Folders and archives on disk."},
};
/* clang-format on */
const size_t conf_rows_n = DZ_LEN(conf_rows);

const char *const conf_source_ids[] = {
    "mangadex.org", "peppercarrot.com", "viz.com", "live.48.cn", "local", NULL};

/* ---- lookups --------------------------------------------------------------------------------- */

#define SHELF_PREFIX DZ_S("shelves[].")
#define SOURCE_PREFIX DZ_S("sources.")

dz_str conf_row_key(const struct conf_row *row)
{
    dz_str name = dz_str_of(row->name);
    size_t dot = dz_str_rchr(name, '.');
    return dot == DZ_NPOS ? name : dz_str_sub(name, dot + 1, name.n);
}

dz_str conf_row_source_id(const struct conf_row *row)
{
    dz_str name = dz_str_of(row->name);
    return dz_str_sub(name, SOURCE_PREFIX.n, dz_str_rchr(name, '.'));
}

const struct conf_row *conf_row_find(dz_str name)
{
    for (size_t i = 0; i < conf_rows_n; i++)
        if (conf_rows[i].where == CONF_TOP && dz_str_eq(dz_str_of(conf_rows[i].name), name))
            return &conf_rows[i];
    return NULL;
}

const struct conf_row *conf_row_shelf(dz_str key)
{
    for (size_t i = 0; i < conf_rows_n; i++)
        if (conf_rows[i].where == CONF_SHELF && dz_str_eq(conf_row_key(&conf_rows[i]), key))
            return &conf_rows[i];
    return NULL;
}

const struct conf_row *conf_row_source(const char *id, dz_str key)
{
    const struct conf_row *common = NULL;
    for (size_t i = 0; i < conf_rows_n; i++) {
        const struct conf_row *row = &conf_rows[i];
        if (row->where != CONF_SOURCE || !dz_str_eq(conf_row_key(row), key))
            continue;
        if (dz_str_eq(conf_row_source_id(row), dz_str_of(id)))
            return row;
        if (dz_str_eq(conf_row_source_id(row), DZ_S("*")))
            common = row;
    }
    return common;
}

static bool is_under(dz_str name, dz_str section)
{
    return name.n > section.n && dz_str_starts(name, section) && name.p[section.n] == '.';
}

bool conf_is_section(dz_str name)
{
    for (size_t i = 0; i < conf_rows_n; i++)
        if (conf_rows[i].where == CONF_TOP && is_under(dz_str_of(conf_rows[i].name), name))
            return true;
    return false;
}

bool conf_child_next(dz_str section, size_t *at, dz_str *ret_child)
{
    dz_str last = {0};
    for (size_t i = 0; i < conf_rows_n; i++) {
        dz_str name = dz_str_of(conf_rows[i].name);
        if (conf_rows[i].where != CONF_TOP || (section.n && !is_under(name, section)))
            continue;
        dz_str rest = section.n ? dz_str_sub(name, section.n + 1, name.n) : name;
        dz_str child = dz_str_sub(rest, 0, dz_str_chr(rest, '.'));
        if (!dz_str_eq(child, last) && i >= *at) {
            *at = i + 1;
            *ret_child = child;
            return true;
        }
        last = child;
    }
    return false;
}

void conf_env_name(dz_str name, struct dz_buf *out)
{
    dz_buf_put(out, DZ_S("DOZO_"));
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (c >= 'a' && c <= 'z')
            c = (char)(c - ('a' - 'A'));
        bool word = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        dz_buf_putc(out, word ? c : '_');
    }
}

const char *dz_conf_driver_name(enum dz_driver driver)
{
    static const struct conf_word *const kinds[] = {catalog_drivers, store_drivers, cache_drivers};
    for (size_t i = 0; i < DZ_LEN(kinds); i++)
        for (const struct conf_word *w = kinds[i]; w->text; w++)
            if (w->value == (int)driver)
                return w->text;
    dz_panic(__FILE__, __LINE__, "driver %d has no name", (int)driver);
}

bool dz_conf_method_find(const char *name, enum dz_download_method *ret_method)
{
    for (const struct conf_word *w = download_methods; name && w->text; w++)
        if (strcmp(w->text, name) == 0) {
            *ret_method = (enum dz_download_method)w->value;
            return true;
        }
    return false;
}
