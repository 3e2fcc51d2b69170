/*
 * conf_int: what the files of conf share.
 *
 * table.c holds one row a setting; values.c, shapes.c, grammar.c, keys.c, limits.c and redis.c know
 * the syntax of values;
 * yaml.c turns text into a tree with line numbers; tree.c and env.c walk what was given; set.c,
 * shelves.c and sources.c check and store; dump.c and docs.c print the same rows. Values of a
 * source are texts in its list of options, all others lie at an offset in struct dz_conf or struct
 * dz_conf_shelf.
 */
#pragma once

#include "conf/conf.h"

#define CONF_FILE_BYTES_MAX DZ_MIB
#define CONF_DEPTH_MAX 16
#define CONF_NODES_MAX 100000
#define CONF_KEYS_MAX 1000   /* of one mapping */
#define CONF_ITEMS_MAX 10000 /* of one list */
#define CONF_SHELVES_MAX 1000
#define CONF_SOURCES_MAX 1000
#define CONF_TEXT_BYTES_MAX (64 * DZ_KIB) /* one value, one *_file, one variable */
#define CONF_FAULTS_MAX 100               /* told; reading stops there */
#define CONF_ARENA_BYTES_MAX (64 * DZ_MIB)
#define CONF_PATH_BYTES_MAX 512 /* of a full key such as shelves[0].api_hosts[2] */

/* ---- rows ------------------------------------------------------------------------------------ */

enum conf_type {
    CONF_BOOL,
    CONF_U32,      /* uint32_t */
    CONF_COUNT,    /* uint64_t */
    CONF_SIZE,     /* uint64_t, bytes */
    CONF_DURATION, /* int64_t, milliseconds */
    CONF_WORD,     /* enum, one of row.words */
    CONF_TEXT,     /* char * */
    CONF_LIST,     /* struct dz_strs */
    CONF_PAIRS,    /* struct dz_pairs */
    CONF_SHELVES,
};

enum conf_where {
    CONF_TOP,    /* in struct dz_conf */
    CONF_SHELF,  /* in struct dz_conf_shelf; the name begins with "shelves[]." */
    CONF_SOURCE, /* in struct dz_conf_source or a text among its options; "sources.ID." or
                    "sources.*." */
};

enum {
    CONF_RESTART = 1, /* a change counts only after a restart */
    CONF_SECRET = 2,  /* never shown */
    CONF_URI = 4,     /* may hold a password, which is never shown */
    CONF_INF = 8,     /* takes "inf" */
    CONF_EMPTY = 16,  /* takes an empty text or list */
    CONF_LATER = 32,  /* a common key of sources without a default: absent unless given */
    CONF_UNIQUE = 64, /* no item twice */
};

#define CONF_NO_OFFSET ((size_t)-1)

/* The syntax of one text, or of one item of a list or one value of pairs. check may fold case in
 * place; on failure the words of `why` go on from the quoted value ("has a port"). */
struct conf_shape {
    enum dz_code (*check)(char *text, struct dz_err *why);
    const char *words;   /* "a host name without port" */
    const char *example; /* "api.example.org" */
};

struct conf_word {
    const char *text;
    int value;
};

struct conf_row {
    const char *name; /* "http.max_header" */
    enum conf_type type;
    enum conf_where where;
    unsigned flags;
    size_t offset;
    const char *preset; /* default, as an environment variable would say it */
    uint64_t min, max;  /* of numbers, in the unit that is stored */
    const struct conf_word *words;
    const struct conf_shape *shape, *key_shape; /* key_shape: names of pairs */
    const char *older_env;                      /* a variable of a replaced service */
    const char *help;
};

extern const struct conf_row conf_rows[];
extern const size_t conf_rows_n;
extern const char *const conf_source_ids[]; /* shipped; NULL at the end */

const struct conf_row *conf_row_find(dz_str name); /* exact name of a row of struct dz_conf */
const struct conf_row *conf_row_shelf(dz_str key); /* "every" */
/* own keys of the id, then the common ones */
const struct conf_row *conf_row_source(const char *id, dz_str key);
dz_str conf_row_key(const struct conf_row *row);       /* last part: "max_header" */
dz_str conf_row_source_id(const struct conf_row *row); /* "viz.com", "*" */
bool conf_is_section(dz_str name);                   /* some row's name begins with it and a dot */
void conf_env_name(dz_str name, struct dz_buf *out); /* "DOZO_HTTP_MAX_HEADER" */
/* Children of a section ("" for the top): steps through their first parts, each once; *at starts at
 * 0. */
bool conf_child_next(dz_str section, size_t *at, dz_str *ret_child);

/* ---- values ---------------------------------------------------------------------------------- */

bool conf_parse_bool(dz_str s, bool *ret_b);
bool conf_parse_duration(dz_str s, int64_t *ret_ms);
bool conf_parse_size(dz_str s, uint64_t *ret_bytes);
void conf_put_duration(struct dz_buf *out, int64_t ms);
void conf_put_size(struct dz_buf *out, uint64_t bytes);
bool conf_is_https(const char *listener);
bool conf_is_loopback(const char *listener); /* a listener that only this machine reaches */

extern const struct conf_shape conf_listener, conf_path, conf_cidr, conf_allowed_host, conf_origin,
    conf_access_log, conf_uri, conf_table, conf_database, conf_collection, conf_token, conf_crypt,
    conf_storage, conf_limits, conf_limit, conf_route, conf_shelf_name, conf_series, conf_host,
    conf_source_host, conf_base_url, conf_url, conf_proxy, conf_link_name, conf_link, conf_endpoint,
    conf_method, conf_ext, conf_header_value, conf_header_name, conf_property, conf_any,
    conf_format, conf_language, conf_manga_id, conf_keys, conf_base_html;

/* ---- tree ------------------------------------------------------------------------------------ */

enum conf_kind { CONF_SCALAR, CONF_SEQ, CONF_MAP };

struct conf_node {
    enum conf_kind kind;
    bool quoted;   /* a scalar in quotes or a block: never null */
    uint32_t line; /* from 1; of its key when it has one */
    dz_str key;    /* in a mapping */
    dz_str text;   /* of a scalar */
    struct conf_node *first, *next;
    uint32_t n; /* children */
};

/* All of it in `a`. *ret_root is NULL for an empty document. On failure err holds the words without
 * file and line, and *ret_line the line (0: unknown), which is written on failure too. */
DZ_MUST enum dz_code conf_tree_parse(struct dz_arena *a, dz_str yaml, struct conf_node **ret_root,
                                     uint32_t *ret_line, struct dz_err *err);
bool conf_node_is_null(const struct conf_node *n); /* nothing, ~ or null, not in quotes */

/* ---- loading --------------------------------------------------------------------------------- */

/* Where a value came from: a file and a line, or a variable and line 0. */
struct conf_at {
    const char *name;
    uint32_t line;
};

struct conf_load {
    struct dz_conf *c;
    struct dz_arena *a;   /* of the settings */
    struct dz_arena *tmp; /* of trees and messages */
    const char *dir;      /* *_file keys of the file are relative to it; NULL: the working folder */
    struct dz_buf *report;
    struct dz_err first;
    unsigned faults;
    struct conf_at *origins; /* one a row; name NULL: default */
    size_t sources_cap;
};

/* "AT: PATH: words"; PATH may be empty. */
void conf_fault(struct conf_load *l, struct conf_at at, const char *path, const char *fmt, ...)
    DZ_PRINTF(4, 5);
bool conf_full(const struct conf_load *l); /* so many faults that reading stops */
const char *conf_join(struct conf_load *l, const char *section, dz_str key); /* "section.key" */
struct conf_at conf_at_node(struct conf_at at, const struct conf_node *n);
/* The mapping's child of that name, or NULL. */
const struct conf_node *conf_node_get(const struct conf_node *map, dz_str key);

/* Checks the node and stores it; base is what row.offset counts from. Faults are told, nothing is
 * returned. */
void conf_set(struct conf_load *l, const struct conf_row *row, void *base,
              const struct conf_node *node, struct conf_at at, const char *path);
/* The same from one text: lists are split at commas, pairs and shelves are read as YAML. */
void conf_set_text(struct conf_load *l, const struct conf_row *row, void *base, dz_str text,
                   struct conf_at at, const char *path);
/* The value of a K_file key; dir as in struct conf_load. */
void conf_set_file(struct conf_load *l, const struct conf_row *row, dz_str file, struct conf_at at,
                   const char *path, const char *dir);
void conf_set_presets(struct conf_load *l);
void conf_set_shelves(struct conf_load *l, const struct conf_node *node, struct conf_at at);

/* sources.c: one section, one key of one source. */
void conf_set_source(struct conf_load *l, const struct conf_node *node, struct conf_at at);
void conf_set_option(struct conf_load *l, struct dz_conf_source *s, const struct conf_node *node,
                     struct conf_at at, const char *path);
void conf_put_option(struct conf_load *l, struct dz_conf_source *s, dz_str name, dz_str text);
void conf_sources_preset(struct conf_load *l);

void conf_read_tree(struct conf_load *l, const struct conf_node *root, const char *name);
void conf_read_env(struct conf_load *l, char *const *env);
void conf_check_all(struct conf_load *l); /* rules that span keys */
/* Where the first of them that was given came from; "defaults": neither was. */
struct conf_at conf_at_row(const struct conf_load *l, const char *name, const char *other);
void conf_make_rules(struct conf_load *l); /* limits.c: from what rate_limit says */
void conf_make_keys(struct conf_load *l);  /* keys.c: from what uploads.keys says */

/* The nearest of the candidates that were offered. */
struct conf_nearest {
    dz_str wanted, best;
    unsigned distance;
};
void conf_nearest_offer(struct conf_nearest *n, dz_str candidate);
bool conf_nearest_good(const struct conf_nearest *n);
const char *conf_show(struct conf_load *l, dz_str value); /* in quotes and clipped */

/* ---- printing -------------------------------------------------------------------------------- */

/* The text with the password of a URI replaced by "***". */
void conf_put_masked(struct dz_buf *out, dz_str text);
bool conf_hides(dz_str name); /* a header or option whose name says that it is a secret */
