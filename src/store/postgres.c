/*
 * postgres: blobs and named objects as rows of a table that imoog may have made and may go on with.
 *
 * In: settings, digests and names. Out: a driver; what it reads and writes is in postgres_read.c
 * and postgres_write.c. Here is what is left: making the tables or seeing that those there will do,
 * deletion, lists, the sweep. Lists are read a page at a time in the order of names and hold no
 * connection while they are told, so that the callback may use the store. Any thread; nothing
 * changes after open but the pool.
 */
#include "store/postgres_int.h"

#include <stdlib.h>

#define BESIDE "_dozo"
#define BESIDE_PART "_dozo_part"
#define TABLE_BYTES_MAX (63 - (sizeof(BESIDE_PART) - 1)) /* PostgreSQL cuts longer names */
#define PAGE_ROWS 1000
#define SWEEP_LIMIT_MS 600000
#define IS_BLOB "(m.name COLLATE \"C\") ~ '^[0-9a-f]{64}$'"
#define INDEX "i.sha, i.bytes, i.mtime_s"
#define OF_NAME "FROM {t} m LEFT JOIN {i} i ON i.name = $1 WHERE m.name = $1"
#define OF_ALL "FROM {t} m LEFT JOIN {i} i ON i.name = m.name WHERE "
#define SHORT_MIME "CASE WHEN octet_length(m.mime) <= 4096 THEN m.mime END"
#define SHORT_NAME "octet_length(m.name) <= 2000"
#define IN_ORDER " ORDER BY m.name LIMIT $1"
#define IS_GONE "NOT EXISTS (SELECT 1 FROM {t} m WHERE m.name = x.name)"

/* {t}: the table, {i} and {p}: its companions. Blobs are read with $2 as the most that is wanted;
 * a packed row that is far larger than that cannot be it. */
static const char *const texts[PG_TEXTS] = {
    [PG_FIND] = "SELECT " SHORT_MIME ", m.image IS NOT NULL, " INDEX " " OF_NAME,
    [PG_READ] = "SELECT " SHORT_MIME ", m.image IS NOT NULL, " INDEX ", "
                "CASE WHEN coalesce(i.bytes, 0) <= $2 AND octet_length(m.image) <= "
                "$2 + $2 / 64 + 4096 THEN m.image END " OF_NAME,
    [PG_FIND_SHA] = "SELECT i.name FROM {i} i WHERE i.sha = $1 AND EXISTS (SELECT 1 FROM {t} m "
                    "WHERE m.name = i.name) LIMIT 1",
    [PG_PART] = "SELECT image FROM {p} WHERE name = $1 AND at = $2",
    [PG_SLICE] = "SELECT substring(image FROM $2::bigint::integer FOR $3::bigint::integer) "
                 "FROM {t} WHERE name = $1",
    [PG_PART_SLICE] = "SELECT substring(image FROM $3::bigint::integer FOR $4::bigint::integer) "
                      "FROM {p} WHERE name = $1 AND at = $2",
    [PG_EXISTS] = "SELECT 1 FROM {t} WHERE name = $1",
    [PG_EXIST] =
        "SELECT name FROM {t} WHERE name IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
        "$12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, "
        "$28, $29, $30, $31, $32)",
    [PG_PRESENT] = "SELECT 1 FROM {t} m JOIN {i} i ON i.name = $1 WHERE m.name = $1 AND "
                   "i.bytes = $2",
    [PG_TOUCH] = "UPDATE {i} SET mtime_s = $2 WHERE name = $1",
    [PG_ADD] = "INSERT INTO {t} (name, image, mime) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    [PG_ADD_NEW] = "INSERT INTO {t} (name, image, mime) VALUES ($1, $2, $3)",
    [PG_INDEX] = "INSERT INTO {i} (name, sha, bytes, mtime_s) VALUES ($1, $2, $3, $4) ON CONFLICT "
                 "(name) DO UPDATE SET sha = excluded.sha, bytes = excluded.bytes, "
                 "mtime_s = excluded.mtime_s",
    [PG_MEASURED] =
        "INSERT INTO {i} (name, sha, bytes, mtime_s) SELECT $1::text, $2::bytea, $3, $4 FROM "
        "{t} WHERE name = $1 ON CONFLICT (name) DO UPDATE SET sha = excluded.sha, "
        "bytes = excluded.bytes, mtime_s = excluded.mtime_s",
    [PG_ADD_PART] = "INSERT INTO {p} (name, at, image) VALUES ($1, $2, $3)",
    [PG_DEL] =
        "WITH i AS (DELETE FROM {i} WHERE name = $1), p AS (DELETE FROM {p} WHERE name = $1) "
        "DELETE FROM {t} WHERE name = $1",
    [PG_DEL_PARTS] = "DELETE FROM {p} WHERE name = $1",
    [PG_BLOBS] = "SELECT m.name, NULL, " INDEX " " OF_ALL IS_BLOB IN_ORDER,
    [PG_BLOBS_ON] = "SELECT m.name, NULL, " INDEX " " OF_ALL IS_BLOB " AND m.name > $2" IN_ORDER,
    [PG_NAMED] = "SELECT m.name, " SHORT_MIME ", " INDEX " " OF_ALL "NOT " IS_BLOB
                 " AND " SHORT_NAME IN_ORDER,
    [PG_NAMED_ON] = "SELECT m.name, " SHORT_MIME ", " INDEX " " OF_ALL "NOT " IS_BLOB
                    " AND " SHORT_NAME " AND m.name > $2" IN_ORDER,
    [PG_SWEEP_INDEX] = "DELETE FROM {i} x WHERE x.mtime_s <= $1 AND " IS_GONE,
    [PG_SWEEP_PARTS] = "DELETE FROM {p} x WHERE " IS_GONE,
};

static void put_text(struct dz_buf *out, const struct postgres *p, const char *form)
{
    dz_str quoted = dz_str_of(p->table), left = dz_str_of(form);
    dz_str open = dz_str_sub(quoted, 0, quoted.n - 1);
    for (size_t at = dz_str_chr(left, '{'); at != DZ_NPOS; at = dz_str_chr(left, '{')) {
        dz_buf_put(out, dz_str_sub(left, 0, at));
        dz_str word = dz_str_sub(left, at, at + 3);
        bool is_table = dz_str_eq(word, DZ_S("{t}")), is_index = dz_str_eq(word, DZ_S("{i}"));
        if (is_table || is_index || dz_str_eq(word, DZ_S("{p}"))) {
            dz_buf_put(out, is_table ? quoted : open);
            if (!is_table)
                dz_buf_put(out, is_index ? DZ_S(BESIDE "\"") : DZ_S(BESIDE_PART "\""));
        } else { /* of a pattern */
            dz_buf_put(out, word);
        }
        left = dz_str_sub(left, at + 3, left.n);
    }
    dz_buf_put(out, left);
}

static struct dz_pg_statement statement(const struct postgres *p, enum postgres_text what)
{
    bool reads = what <= PG_PRESENT || (what >= PG_BLOBS && what <= PG_NAMED_ON);
    return (struct dz_pg_statement){.text = p->texts[what], .repeats = reads};
}

enum dz_code postgres_run(struct postgres *p, struct dz_pg_conn *c, enum postgres_text what,
                          const struct dz_pg_param *v, size_t n, struct dz_pg_rows **ret_rows,
                          struct dz_err *err)
{
    struct dz_pg_statement st = statement(p, what);
    return dz_pg_run(c, &st, v, n, ret_rows, err);
}

enum dz_code postgres_later(struct postgres *p, struct dz_pg_conn *c, enum postgres_text what,
                            const struct dz_pg_param *v, size_t n, struct dz_err *err)
{
    struct dz_pg_statement st = statement(p, what);
    return dz_pg_later(c, &st, v, n, err);
}

enum dz_code postgres_ask(struct postgres *p, enum postgres_text what, const struct dz_pg_param *v,
                          size_t n, struct dz_pg_rows **ret_rows, struct dz_err *err)
{
    DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
    DZ_TRY(dz_pg_take(p->pg, &c, err));
    return postgres_run(p, c, what, v, n, ret_rows, err);
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* What is there under the name of the table, in one row: kind, types of the three columns, whether
 * the name alone is unique, other columns that want a value, the collation of the name. */
static const char shape_text[] =
    "SELECT c.relkind::text, "
    "(SELECT a.atttypid::regtype::text FROM pg_attribute a WHERE a.attrelid = c.oid AND "
    "a.attname = 'name' AND NOT a.attisdropped), "
    "(SELECT a.atttypid::regtype::text FROM pg_attribute a WHERE a.attrelid = c.oid AND "
    "a.attname = 'image' AND NOT a.attisdropped), "
    "(SELECT a.atttypid::regtype::text FROM pg_attribute a WHERE a.attrelid = c.oid AND "
    "a.attname = 'mime' AND NOT a.attisdropped), "
    "EXISTS (SELECT 1 FROM pg_index x JOIN pg_attribute a ON a.attrelid = c.oid AND "
    "a.attnum = x.indkey[0] WHERE x.indrelid = c.oid AND x.indisunique AND x.indisvalid AND "
    "x.indpred IS NULL AND x.indnkeyatts = 1 AND a.attname = 'name'), "
    "(SELECT min(a.attname::text) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 "
    "AND NOT a.attisdropped AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND "
    "a.attname NOT IN ('name')), "
    "(SELECT quote_ident(n.nspname) || '.' || quote_ident(k.collname) FROM pg_attribute a JOIN "
    "pg_collation k ON k.oid = a.attcollation JOIN pg_namespace n ON n.oid = k.collnamespace "
    "WHERE a.attrelid = c.oid AND a.attname = 'name' AND k.collname <> 'default') "
    "FROM pg_class c WHERE c.oid = to_regclass($1)";

static enum dz_code other_shape(const struct postgres *p, struct dz_err *err, const char *what,
                                dz_str detail)
{
    return dz_fail(err, DZ_BAD_INPUT,
                   "the table %s is not one that imoog or dozo made: %s%.*s; store.table names "
                   "another one",
                   p->table, what, DZ_STR_FMT(dz_str_sub(detail, 0, 60)));
}

static enum dz_code check_type(const struct postgres *p, const struct dz_pg_rows *rows,
                               size_t column, const char *name, bool is_text, struct dz_err *err)
{
    dz_str type = dz_pg_bytes(rows, 0, column);
    char words[48];
    if (!type.p) {
        (void)snprintf(words, sizeof(words), "it has no column %s", name);
        return other_shape(p, err, words, DZ_S(""));
    }
    if (is_text ? dz_str_eq(type, DZ_S("text")) || dz_str_eq(type, DZ_S("character varying"))
                : dz_str_eq(type, DZ_S("bytea")))
        return DZ_OK;
    (void)snprintf(words, sizeof(words), "column %s is not %s but ", name,
                   is_text ? "text" : "bytea");
    return other_shape(p, err, words, type);
}

static enum dz_code check_shape(const struct postgres *p, const struct dz_pg_rows *rows,
                                struct dz_err *err)
{
    dz_str kind = dz_pg_bytes(rows, 0, 0), other = dz_pg_bytes(rows, 0, 5);
    if (!dz_str_eq(kind, DZ_S("r")) && !dz_str_eq(kind, DZ_S("p")))
        return other_shape(p, err, "it is no table", DZ_S(""));
    DZ_TRY(check_type(p, rows, 1, "name", true, err));
    DZ_TRY(check_type(p, rows, 2, "image", false, err));
    DZ_TRY(check_type(p, rows, 3, "mime", true, err));
    if (!dz_pg_int(rows, 0, 4))
        return other_shape(p, err, "its name is not unique", DZ_S(""));
    if (other.p)
        return other_shape(p, err, "nothing can be added, for it wants a value in column ", other);
    return DZ_OK;
}

static enum dz_code script(struct postgres *p, struct dz_pg_conn *c, const char *form,
                           struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 16 * DZ_KIB);
    put_text(&text, p, form);
    return dz_pg_script(c, dz_buf_cstr(&text), err);
}

static enum dz_code look(struct postgres *p, struct dz_pg_conn *c, const char *form,
                         struct dz_pg_rows **ret_rows, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf name;
    dz_buf_init(&name, 1024);
    put_text(&name, p, form);
    struct dz_pg_param v = dz_pg_p_str(dz_buf_str(&name));
    struct dz_pg_statement st = {.text = shape_text, .once = true};
    return dz_pg_run(c, &st, &v, 1, ret_rows, err);
}

static enum dz_code make_companions(struct postgres *p, struct dz_pg_conn *c, dz_str collation,
                                    struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf name, form;
    dz_buf_init(&name, 256);
    dz_buf_init(&form, 4096);
    dz_buf_put(&name, DZ_S("name TEXT"));
    if (collation.p) { /* the same as that of the table: names of both are compared */
        dz_buf_put(&name, DZ_S(" COLLATE "));
        dz_buf_put(&name, collation);
    }
    dz_buf_putf(&form,
                "CREATE TABLE {i} (%s PRIMARY KEY, sha BYTEA NOT NULL, bytes BIGINT NOT NULL, "
                "mtime_s BIGINT NOT NULL); CREATE INDEX ON {i} (sha);"
                "CREATE TABLE {p} (%s, at BIGINT, image BYTEA NOT NULL, PRIMARY KEY (name, at));"
                "ALTER TABLE {p} ALTER COLUMN image SET STORAGE EXTERNAL",
                dz_buf_cstr(&name), dz_buf_cstr(&name));
    return script(p, c, dz_buf_cstr(&form), err);
}

/* Two who open at once take turns by the lock; imoog, which knows no lock, may still come between:
 * then the second try finds its table. */
static enum dz_code make_tables(struct postgres *p, struct dz_err *err)
{
    static const struct dz_pg_statement lock = {
        .text = "SELECT pg_advisory_xact_lock(hashtext($1))", .once = true};
    DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
    DZ_TRY(dz_pg_take(p->pg, &c, err));
    DZ_TRY(dz_pg_begin(c, NULL, err));
    struct dz_pg_param name = dz_pg_p_str(dz_str_of(p->table));
    DZ_TRY(dz_pg_run(c, &lock, &name, 1, NULL, err));
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL, *beside = NULL;
    DZ_TRY(look(p, c, "{t}", &rows, err));
    if (dz_pg_n(rows) == 0) {
        DZ_TRY(script(p, c,
                      "CREATE TABLE IF NOT EXISTS {t} (name TEXT PRIMARY KEY, image BYTEA, "
                      "mime TEXT)",
                      err));
        dz_pg_rows_free(&rows);
        DZ_TRY(look(p, c, "{t}", &rows, err));
        if (dz_pg_n(rows) == 0)
            return dz_fail(err, DZ_CORRUPT, "the table %s is not there after it was made",
                           p->table);
    }
    DZ_TRY(check_shape(p, rows, err));
    DZ_TRY(look(p, c, "{i}", &beside, err));
    if (dz_pg_n(beside) == 0)
        DZ_TRY(make_companions(p, c, dz_pg_bytes(rows, 0, 6), err));
    return dz_pg_commit(c, err);
}

/* What the texts above do. */
static enum dz_code check_rights(struct postgres *p, struct dz_err *err)
{
    DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
    DZ_AUTO(dz_buf_done) struct dz_buf wanted;
    dz_buf_init(&wanted, 4096);
    put_text(&wanted, p,
             "VALUES ('{t}', 'SELECT,INSERT,DELETE'), ('{i}', 'SELECT,INSERT,UPDATE,DELETE'), "
             "('{p}', 'SELECT,INSERT,DELETE')");
    DZ_TRY(dz_pg_take(p->pg, &c, err));
    return dz_pg_check_rights(c, dz_buf_cstr(&wanted), err);
}

static enum dz_code open_tables(struct postgres *p, struct dz_err *err)
{
    struct dz_err first = {0};
    enum dz_code code = make_tables(p, &first);
    bool raced = code != DZ_OK && (dz_pg_is_state(&first, "23505") ||
                                   dz_pg_is_state(&first, "42P07") || dz_pg_is_retry(&first));
    if (raced)
        return make_tables(p, err);
    if (code != DZ_OK && err)
        *err = first;
    return code;
}

/* ---- open and close -------------------------------------------------------------------------- */

static void postgres_close(void *self)
{
    struct postgres *p = self;
    dz_pg_close(&p->pg);
    for (size_t i = 0; i < PG_TEXTS; i++)
        free(p->texts[i]);
    free(p->table);
    free(p->dir);
    free(p);
}

/* imoog puts the name into its SQL without quotes, where capitals are small letters. */
static enum dz_code set_table(struct postgres *p, dz_str name, struct dz_err *err)
{
    dz_str last = dz_str_after(name, dz_str_chr(name, '.'));
    if (!dz_pg_is_name(name) || (last.p ? last.n : name.n) > TABLE_BYTES_MAX)
        return dz_fail(err, DZ_BAD_INPUT,
                       "store.table: \"%.*s\" is not the name of a table of letters, digits and "
                       "_, of %d at most, with or without a schema in front",
                       DZ_STR_FMT(dz_str_sub(name, 0, 80)), (int)TABLE_BYTES_MAX);
    DZ_AUTO(dz_buf_done) struct dz_buf quoted;
    dz_buf_init(&quoted, 256);
    dz_pg_put_name(&quoted, name);
    for (size_t i = 0; i < quoted.n; i++)
        if (quoted.p[i] >= 'A' && quoted.p[i] <= 'Z')
            quoted.p[i] = (char)(quoted.p[i] - 'A' + 'a');
    (void)dz_buf_cstr(&quoted);
    p->table = dz_buf_take(&quoted, NULL);
    for (size_t i = 0; i < PG_TEXTS; i++) {
        struct dz_buf text;
        dz_buf_init(&text, 4096);
        put_text(&text, p, texts[i]);
        p->texts[i] = dz_buf_take(&text, NULL);
    }
    return DZ_OK;
}

static enum dz_code postgres_open(const struct dz_store_options *o, void **ret_self,
                                  struct dz_err *err)
{
    struct dz_pg_options pool = {
        .uri = o->uri, .name = "dozo store", .pool_min = o->pool_min, .pool_max = o->pool_max};
    struct postgres *p = dz_new(struct postgres);
    p->dir = dz_strdup(o->data_dir);
    p->level = o->level;
    enum dz_code code = set_table(p, dz_str_of(*o->table ? o->table : "my_images"), err);
    if (code == DZ_OK)
        code = dz_pg_open(&pool, &p->pg, err);
    if (code == DZ_OK)
        code = open_tables(p, err);
    if (code == DZ_OK && o->for_writing)
        code = check_rights(p, err);
    if (code == DZ_OK)
        *ret_self = p;
    else
        postgres_close(p);
    return code;
}

/* ---- deletion -------------------------------------------------------------------------------- */

/* Row, index and parts together; what is sent up to the answer is one transaction. */
static enum dz_code delete_row(struct postgres *p, dz_str name, bool *ret_was, struct dz_err *err)
{
    DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
    struct dz_pg_param v = dz_pg_p_str(name);
    DZ_TRY(dz_pg_take(p->pg, &c, err));
    DZ_TRY(postgres_run(p, c, PG_DEL, &v, 1, &rows, err));
    *ret_was = dz_pg_affected(rows) > 0;
    return DZ_OK;
}

static enum dz_code postgres_del(void *self, const struct dz_sha256 *sha, struct dz_err *err)
{
    char name[64];
    bool was;
    rows_blob_name(sha, name);
    return delete_row(self, (dz_str){name, sizeof(name)}, &was, err);
}

static enum dz_code postgres_named_del(void *self, dz_str name, bool *ret_was, struct dz_err *err)
{
    return delete_row(self, name, ret_was, err);
}

static enum dz_code postgres_sweep(void *self, int64_t older_than_s, uint64_t *ret_removed,
                                   struct dz_err *err)
{
    struct postgres *p = self;
    DZ_AUTO(dz_pg_give) struct dz_pg_conn *c = NULL;
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *index = NULL, *parts = NULL;
    struct dz_pg_param before = dz_pg_p_int(dz_now_ms() / 1000 - older_than_s);
    DZ_TRY(dz_pg_take(p->pg, &c, err));
    DZ_TRY(dz_pg_statement_limit(c, SWEEP_LIMIT_MS, err));
    DZ_TRY(postgres_run(p, c, PG_SWEEP_INDEX, &before, 1, &index, err));
    DZ_TRY(postgres_run(p, c, PG_SWEEP_PARTS, NULL, 0, &parts, err));
    *ret_removed = dz_pg_affected(index) + dz_pg_affected(parts);
    return DZ_OK;
}

/* ---- lists ----------------------------------------------------------------------------------- */

struct teller {
    struct postgres *p;
    dz_store_list_fn *blob; /* one of the two */
    dz_store_named_fn *named;
    void *arg;
};

static enum dz_code tell(const struct teller *t, const struct dz_pg_rows *rows, size_t row,
                         struct dz_err *err)
{
    struct dz_store_named n = {.name = dz_pg_bytes(rows, row, 0),
                               .mime = dz_pg_bytes(rows, row, 1)};
    n.measured = postgres_index(rows, row, 2, &n.stat);
    if (t->named)
        return t->named(t->arg, &n, err);
    /* The name of a blob is more to be trusted than its index. */
    if (!rows_blob_sha(n.name, &n.stat.sha))
        return DZ_OK;
    if (!n.measured) {
        struct dz_err why = {0};
        enum dz_code code = postgres_row(t->p, n.name, DZ_STORE_BLOB_MAX, NULL, &n, NULL, &why);
        if (code == DZ_NOT_FOUND)
            return DZ_OK;
        if (code != DZ_OK && code != DZ_CORRUPT) { /* what is corrupt is told by reading it */
            if (err)
                *err = why;
            return code;
        }
        (void)rows_blob_sha(dz_pg_bytes(rows, row, 0), &n.stat.sha);
    }
    return t->blob(t->arg, &n.stat, err);
}

static enum dz_code list(const struct teller *t, enum postgres_text first, enum postgres_text next,
                         struct dz_err *err)
{
    DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *rows = NULL;
    struct dz_pg_param v[] = {dz_pg_p_int(PAGE_ROWS), dz_pg_p_null()};
    DZ_TRY(postgres_ask(t->p, first, v, 1, &rows, err));
    while (dz_pg_n(rows) > 0) {
        size_t n = dz_pg_n(rows);
        for (size_t i = 0; i < n; i++)
            DZ_TRY(tell(t, rows, i, err));
        if (n < PAGE_ROWS)
            break;
        DZ_AUTO(dz_pg_rows_free) struct dz_pg_rows *page = dz_take(&rows);
        v[1] = dz_pg_p_str(dz_pg_bytes(page, n - 1, 0));
        DZ_TRY(postgres_ask(t->p, next, v, 2, &rows, err));
    }
    return DZ_OK;
}

static enum dz_code postgres_list(void *self, dz_store_list_fn *fn, void *arg, struct dz_err *err)
{
    struct teller t = {.p = self, .blob = fn, .arg = arg};
    return list(&t, PG_BLOBS, PG_BLOBS_ON, err);
}

static enum dz_code postgres_named_list(void *self, dz_store_named_fn *fn, void *arg,
                                        struct dz_err *err)
{
    struct teller t = {.p = self, .named = fn, .arg = arg};
    return list(&t, PG_NAMED, PG_NAMED_ON, err);
}

static enum dz_code postgres_named_get(void *self, dz_str name, uint64_t bytes_max,
                                       struct dz_arena *arena, struct dz_store_named *ret_named,
                                       struct dz_body **ret_body, struct dz_err *err)
{
    DZ_TRY(postgres_row(self, name, bytes_max, arena, ret_named, ret_body, err));
    ret_named->name = dz_arena_str(arena, name);
    return DZ_OK;
}

const struct dz_store_driver dz_store_postgres = {
    .name = "postgres",
    .open = postgres_open,
    .close = postgres_close,
    .put = postgres_put,
    .get = postgres_get,
    .read = postgres_read,
    .stat = postgres_stat,
    .del = postgres_del,
    .list = postgres_list,
    .sweep = postgres_sweep,
    .batch_begin = postgres_batch_begin,
    .batch_put = postgres_batch_put,
    .batch_commit = postgres_batch_commit,
    .batch_drop = postgres_batch_drop,
    .write_begin = postgres_write_begin,
    .write_add = rows_write_add,
    .write_declare = rows_write_declare,
    .batch_take = postgres_batch_take,
    .write_drop = rows_write_drop,
    .batch_expect = postgres_batch_expect,
    .batch_take_named = postgres_batch_take_named,
    .named_get = postgres_named_get,
    .named_del = postgres_named_del,
    .named_list = postgres_named_list,
};
