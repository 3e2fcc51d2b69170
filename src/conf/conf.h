/*
 * conf: the settings. One table row a setting (name, type, default, bounds, help); load, check,
 * dump, `--help` and docs/settings.md come from the same rows. YAML (libyaml) first, then the
 * environment: DOZO_SECTION_KEY, and the variables that the four replaced services documented.
 * Names are those of the reference settings (dozo.yaml).
 *
 * A struct dz_conf is immutable after dz_conf_load and counted, so threads may keep one while a
 * newer is loaded. All texts inside belong to it. Unknown keys, wrong types, values out of bounds,
 * a key twice and an anchor bomb are DZ_BAD_INPUT with "FILE:LINE: shelves[0].evry: unknown key;
 * did you mean \"every\"?".
 */
#pragma once

#include "base/base.h"

struct dz_strs { /* a list of texts, NUL-terminated each; v[n] is NULL where it is a plain setting
                  */
    char **v;
    size_t n;
};

struct dz_pair { /* name → text, order kept */
    char *name, *text;
};
struct dz_pairs {
    struct dz_pair *v;
    size_t n;
};

enum dz_download_method {
    DZ_DOWNLOAD_FILES,
    DZ_DOWNLOAD_ZIP,
    DZ_DOWNLOAD_CBZ,
    DZ_DOWNLOAD_COMICINFO,
    DZ_DOWNLOAD_METHODS
};

enum dz_driver {
    DZ_DRIVER_SQLITE,
    DZ_DRIVER_POSTGRES,
    DZ_DRIVER_FILES,
    DZ_DRIVER_MONGODB,
    DZ_DRIVER_MEMORY,
    DZ_DRIVER_REDIS
};

enum dz_conf_tls_version { DZ_TLS_1_2, DZ_TLS_1_3 };
enum dz_conf_forwarded { DZ_FORWARDED_AUTO, DZ_FORWARDED_X, DZ_FORWARDED_RFC };

/* ---- rate limits ------------------------------------------------------------------------------
 */

#define DZ_LIMITS_MAX 8
#define DZ_LIMIT_RULES_MAX 64

struct dz_limit {
    uint64_t count;
    int64_t per_ms;
    char text[40]; /* "100 per 2 hour", as the service before this one shows it */
};
struct dz_limits {
    struct dz_limit v[DZ_LIMITS_MAX];
    size_t n; /* at least 1 */
};
/* "1/second; 100 per 2 hours|1000/day": contracts/kvm48.md section 2. DZ_BAD_INPUT: words that go
 * on from the text in quotes, with the place ("at character 7 has no count …"). */
DZ_MUST enum dz_code dz_limits_parse(dz_str text, struct dz_limits *ret_limits, struct dz_err *err);

enum dz_limit_strategy {
    DZ_LIMIT_FIXED, /* a window begins with the first request after the last one's end */
    DZ_LIMIT_MOVING
};

struct dz_limit_rule {
    const char *name; /* "graphql", or the route as the settings have it */
    size_t name_n;
    bool is_pattern; /* a row of the route table; else the beginning of a path */
    enum dz_limit_strategy strategy;
    uint64_t id; /* of all this, in this process: a changed rule is another one */
    struct dz_limits limits;
};

/* ---- where Redis is ---------------------------------------------------------------------------
 */

struct dz_redis_address {
    char host[256]; /* small letters, no brackets; empty: path */
    char path[108]; /* of a socket */
    char user[128], password[512];
    uint16_t port;
    uint32_t db;
};
/* redis://[user:password@]host[:port][/db] or redis+unix://[user:password@]/path[?db=N], user and
 * password percent-encoded. DZ_BAD_INPUT: words without any part of the text ("has no number of a
 * database …"). */
DZ_MUST enum dz_code dz_redis_parse(dz_str uri, struct dz_redis_address *ret_address,
                                    struct dz_err *err);

/* ---- settings ---------------------------------------------------------------------------------
 */

struct dz_conf_shelf {
    char *name;   /* [a-z0-9][a-z0-9_-]*, at most 63, unique */
    char *series; /* "source/id", or a series id of the library; empty: what was imported with
                     --shelf NAME */
    struct dz_strs api_hosts, cdn_hosts,
        image_hosts;       /* host names without port; a host belongs to one shelf */
    char *cdn_url;         /* no slash at the end; empty: made from the request */
    struct dz_pairs links; /* templates with {source_url}, {chapter} */
    int64_t every_ms;      /* 0: crawl.every */
};

struct dz_conf_source { /* one section of `sources` besides its plain keys; options stay text until
                           the source reads them */
    char *id;
    bool enabled;
    bool listed; /* the settings have a section of it, or variables set something in it */
    /* Every key but enabled, as text: numbers and booleans in one form ("yes" is "true", 90 is
     * "90s"), lists joined by
     * "\n", pairs as lines of "name: value". Common keys (rate, hosts …) only where they were
     * given. */
    struct dz_pairs options;
};

#define DZ_CONF_UNLIMITED UINT64_MAX /* "inf" */

#define DZ_OPENGRAPH_SLOT "{opengraph}"

/* What one key of uploads.keys may do. */
#define DZ_CONF_KEYS_MAX 1000
enum { DZ_UPLOADS_SEND = 1, DZ_UPLOADS_DELETE = 2 };
struct dz_conf_key {
    char name[64]; /* for the log */
    size_t name_n;
    unsigned scopes;
    struct dz_sha256 sha; /* of the key */
};

struct dz_conf {
    atomic_uint refs;
    char *file; /* where it was read; NULL: none */
    /* Files of secrets that others on this machine may read: "uploads.keys_file: upload.keys". */
    struct dz_strs exposed;

    struct dz_strs listen;
    char *data_dir; /* made absolute, from the working folder; no slash at the end */
    struct {
        enum dz_level level;
        enum dz_log_format format;
    } log;
    struct {
        uint32_t threads, max_connections;
        int64_t header_timeout_ms, body_timeout_ms, idle_timeout_ms, graceful_timeout_ms;
        uint64_t max_header_bytes, max_body_bytes;
        struct dz_strs trusted_proxies; /* CIDR, checked */
        enum dz_conf_forwarded forwarded;
        struct dz_strs allowed_hosts, cors_origins;
        bool force_https;
        char *access_log; /* "off", "on" or a path */
    } http;
    struct {
        struct dz_strs certificates, keys; /* paths of PEM files; as many of one as of the other */
        enum dz_conf_tls_version min_version;
        bool http2, kernel;
    } tls;
    struct {
        enum dz_driver driver;
        char *uri;
    } catalog;
    struct {
        enum dz_driver driver;
        char *uri, *table, *database, *collection;
        uint32_t pool_min, pool_max;
        int compression_level; /* of zlib; -1: auto */
    } store;
    struct {
        enum dz_driver driver;
        char *uri;
        uint64_t max_bytes, max_entries, disk_bytes;
        int64_t ttl_ms;
    } cache;
    struct {
        char *token; /* secret */
        bool allow_anonymous;
        char *admin_password_hash; /* secret */
    } auth;
    struct {
        char *storage, *graphql; /* storage empty: no limits */
        int64_t timeout_ms;
        bool graphql_get; /* queries by GET count, too */
        enum dz_limit_strategy strategy;
        struct dz_pairs routes; /* path or pattern → limits */
        /* What they mean. Of `rules` the first that fits a request counts: patterns, then prefixes,
         * the longest first. */
        const struct dz_limit_rule *rules, *graphql_rule;
        size_t rules_n;
    } rate_limit;
    struct {
        char *home; /* a URL; empty: none */
        uint64_t max_bytes, max_memory;
        uint32_t max_depth, max_tokens, max_nodes, max_aliases;
        int64_t timeout_ms;
        bool introspection, persisted;
    } graphql;
    struct dz_conf_shelf *shelves;
    size_t shelves_n;
    struct {
        bool enabled;
        char *secret_key;                 /* secret; may do everything */
        char *keys;                       /* secret */
        const struct dz_conf_key *keys_v; /* what they mean */
        size_t keys_n;
        char *endpoint;
        struct dz_strs endpoint_methods, delete_methods;
        bool delete_requires_auth;
        uint32_t name_length;
        uint64_t max_bytes;
        uint32_t not_found_status, deleted_status;
        char *fallback_ext, *cache_control;
        struct {
            bool enabled;
            struct dz_pairs properties; /* order kept */
            char *base_html; /* DZ_OPENGRAPH_SLOT stands in it once; empty: a page of ours */
        } opengraph;
    } uploads;
    struct {
        char *destination, *format, *method;
        bool separate;
        int64_t page_delay_ms;
        uint32_t concurrent, history;
        bool comicinfo_sizes, comicinfo_21, follow;
    } downloads;
    struct {
        int64_t every_ms;
        char *ping_url;
        int64_t job_lease_ms;
        uint32_t retries;
        int64_t retry_max_ms;
    } crawl;
    struct {
        struct dz_strs dir;
        bool allow_private;
        char *user_agent;
        uint64_t http_cache_max_entries;
        int64_t http_cache_ttl_ms, connect_timeout_ms, read_timeout_ms;
        struct dz_conf_source
            *v; /* the shipped ones always present with their defaults, then those of the file */
        size_t n;
    } sources;
};

/* path NULL: ./dozo.yaml when it exists, else defaults. env: "NAME=text" entries, NULL-terminated
 * (pass environ), or NULL for none. On failure err names the first fault; when `report` is given,
 * every fault is appended to it, a line each ("FILE:LINE: key: words"). A key ending in _file reads
 * the named file (relative to the settings file, final newline trimmed, at most 64 KiB). Blocking
 * file reads; any thread. The caller unrefs. */
DZ_MUST enum dz_code dz_conf_load(const char *path, char *const *env, struct dz_conf **ret_conf,
                                  struct dz_buf *report, struct dz_err *err);
/* The same from memory; name stands for the file in messages. For tests and fuzzing. */
DZ_MUST enum dz_code dz_conf_parse(dz_str yaml, const char *name, char *const *env,
                                   struct dz_conf **ret_conf, struct dz_buf *report,
                                   struct dz_err *err);
struct dz_conf *dz_conf_ref(struct dz_conf *c);
void dz_conf_unref(struct dz_conf **c);

/* Rules that span keys and that only a server has: listening beyond loopback without auth.token
 * unless auth.allow_anonymous; the message names both settings. DZ_BAD_INPUT. */
DZ_MUST enum dz_code dz_conf_check_serve(const struct dz_conf *c, struct dz_err *err);
/* The same rule for one address that is really listened on: what a passed socket turns out to be.
 */
DZ_MUST enum dz_code dz_conf_check_address(const struct dz_conf *c, const char *address,
                                           struct dz_err *err);

/* Effective settings as YAML that loads back to the same; secrets, also passwords inside URIs, as
 * "***". */
void dz_conf_dump(const struct dz_conf *c, struct dz_buf *out);
/* A text in double quotes, with everything escaped that a reader of YAML could stumble over. */
void dz_conf_put_quoted(struct dz_buf *out, dz_str s);
void dz_conf_dump_json(const struct dz_conf *c, struct dz_buf *out);
/* docs/settings.md: every row with type, default, bounds, environment name and help. */
void dz_conf_docs(struct dz_buf *out);

/* ---- names of downloaded files ----------------------------------------------------------------
 */

/* contracts/nagato.md 7: Python's string.Template ($name, ${name}, $$) with two additions:
 * ${chapter:3} pads the digits before the dot with zeros (of "chapter" and "volume"; "10.5" is
 * "010.5", what is no number stays), ${title|untitled} stands in for what is missing or empty; both
 * together ${chapter:3|none}. Immutable; any thread. */
struct dz_template;
/* names: the placeholders that are allowed, NULL-terminated, static. DZ_BAD_INPUT: words that go on
 * from the template in quotes, with the place ("at character 7 has no name behind …"). */
DZ_MUST enum dz_code dz_template_parse(dz_str text, const char *const *names,
                                       struct dz_template **ret_t, struct dz_err *err);
void dz_template_free(struct dz_template **t);
/* value: what a placeholder (a text of `names`) is; p = NULL: null, which is the fall-back or else
 * "None". What it holds is taken as it is. The result is no name of a file yet. */
void dz_template_write(const struct dz_template *t, dz_str (*value)(void *arg, const char *name),
                       void *arg, struct dz_buf *out);
/* id title manga_id manga volume chapter lang team: the placeholders of downloads.format, which is
 * checked when settings are read. */
extern const char *const dz_download_names[];

/* contracts/nagato.md 7 and fault 15: any bytes as the name of one file or folder, with ext
 * (".cbz", " (2).cbz" or "", at most 64 bytes) behind it: at most 255 bytes of UTF-8, without '/'
 * (U+2215 stands for it) and control characters; ".." and "." become middle dots, nothing becomes
 * "_". A name that begins as the hidden work of downloads does (".dozo-") gets a middle dot in
 * front. A malformed byte is U+FFFD. */
void dz_file_name_put(dz_str name, dz_str ext, struct dz_buf *out);

/* The one rule for names of shelves, also of those that an import makes; and the same in words. */
bool dz_conf_is_shelf_name(dz_str s);
#define DZ_CONF_SHELF_NAME_WORDS                                                                   \
    "small letters, digits, _ and -, a letter or digit first, at most 63"

/* The word that the settings use, which is also the driver's own name: "sqlite". Static. */
const char *dz_conf_driver_name(enum dz_driver driver);

/* What a word of downloads.method means; false: it is none, or NULL. And all of them in words. */
bool dz_conf_method_find(const char *name, enum dz_download_method *ret_method);
#define DZ_CONF_METHOD_WORDS "files, zip, cbz or cbz+comicinfo"

/* Which settings differ between two, a name a line: all of them into ret_changed, those that need a
 * restart (listen, data_dir, http.threads, drivers …) into ret_needs_restart; both may be NULL.
 * Returns whether any needs a restart. For reload on SIGHUP. */
bool dz_conf_diff(const struct dz_conf *a, const struct dz_conf *b, struct dz_buf *ret_changed,
                  struct dz_buf *ret_needs_restart);
