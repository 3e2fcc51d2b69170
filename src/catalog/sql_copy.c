/*
 * sql_copy: a whole catalog into another database.
 *
 * In: two open catalogs of the same schema. Out: every row of every table, with its id, in one
 * transaction of the target; then a digest of each table on both sides. Rows are read in the order
 * of their keys, which both databases sort by bytes, so equal tables have equal digests. Inserts
 * are not waited for one by one, because a database may be a round trip away. The command's thread.
 */
#include "catalog/collection_int.h"
#include "catalog/sql_int.h"

#define SQL_MAX (1024u * 1024)
#define TABLES_MAX 1024u
#define TELL_ROWS 1000u

struct table {
    const char *name;    /* as it stands in a statement */
    const char *columns; /* separated by ", " */
    const char *kinds;   /* a letter each: Integer, Real, Text, Bytes */
    const char *order;
    const char *id; /* the column whose numbers the database gives; NULL: none */
};

/* In the order in which rows may refer to each other. */
static const struct table plain[] = {
    {"series",
     "id, source, source_id, title, description, authors, lang, status, url, new_release, "
     "right_to_left, chapters_n, created_s, updated_s",
     "ITTTTTTTTTIIII", "id", "id"},
    {"chapter",
     "id, series_id, source_id, key, sort, number, volume, title, volume_cover, page_count, links, "
     "meta_extra, extra, origin, origin_stamp, created_s, updated_s, rev",
     "IITTRTTTIITTTTTIII", "id", "id"},
    {"blob", "id, sha, bytes, mime, width, height, refs, crc32", "IBITIIII", "id", "id"},
    {"page", "chapter_id, number, blob_id, mtime_s, name", "IIIIT", "chapter_id, number", NULL},
    {"asset", "series_id, name, blob_id, mtime_s", "ITII", "series_id, name", NULL},
    {"shelf", "name, series_id", "TI", "name", NULL},
    {"change", "series_id, seq", "II", "series_id", NULL},
    {"job",
     "id, kind, source, target, args, state, priority, attempts, cancel_asked, created_ms, "
     "run_after_ms, lease_until_ms, started_ms, ended_ms, owner, done, total, fail_kind, "
     "fail_text, result, bytes, phase",
     "ITTTTIIIIIIIIITIITTTIT", "id", "id"},
    {"crawl_state", "source, name, value, updated_ms, expires_ms", "TTTII", "source, name", NULL},
    {"part", "source, chapter, at, url, mtime_s, blob_id, put_ms", "TTITIII", "source, chapter, at",
     NULL},
    {"mark", "source, chapter, series, mark", "TTTT", "source, chapter", NULL},
    {"favourite", "id, source, series, created_ms", "ITTI", "id", "id"},
    {"upload", "id, blob_id, mime, sniffed, created_ms", "TITTI", "id", NULL},
    {"upload_gone", "seq, id", "IT", "seq", "seq"},
};

void dz_sql_put_table_names(struct dz_buf *out)
{
    for (size_t i = 0; i < DZ_LEN(plain); i++)
        dz_buf_putf(out, "'%s', ", plain[i].name);
    dz_buf_put(out, DZ_S("'collection'"));
}

struct state {
    uint64_t rows;
    struct dz_sha256 digest;
};

struct copy {
    struct dz_sql *from, *to;
    struct dz_arena *arena; /* of all tables */
    struct table *tables;
    size_t tables_n;
    struct state *read; /* of each table, when it was copied */
    dz_catalog_copy_fn *progress;
    void *arg;
    uint64_t told;
};

/* ---- tables ------------------------------------------------------------------------------------
 */

static const char *keep(struct dz_arena *a, const struct dz_buf *b)
{
    return dz_arena_dup(a, dz_buf_str(b));
}

/* The table of a collection as one of ours. */
static void describe(struct copy *p, const struct dz_collection *c, struct table *ret_table)
{
    DZ_AUTO(dz_buf_done) struct dz_buf name, columns, kinds, order;
    dz_buf_init(&name, 1024);
    dz_buf_init(&columns, DZ_COLLECTION_SQL_MAX);
    dz_buf_init(&kinds, 1024);
    dz_buf_init(&order, 1024);
    dz_buf_putf(&name, "\"%.*s\"", DZ_STR_FMT(c->table));
    for (size_t i = 0; i < c->columns_n; i++) {
        int stored = dz_collection_stored_as(&c->columns[i]);
        dz_buf_putf(&columns, "%s\"%.*s\"", i ? ", " : "", DZ_STR_FMT(c->columns[i].name));
        dz_buf_putc(&kinds, stored == DZ_VALUE_INT ? 'I' : stored == DZ_VALUE_REAL ? 'R' : 'T');
    }
    dz_buf_putf(&order, "\"%.*s\"", DZ_STR_FMT(c->columns[c->fields[c->key].column].name));
    *ret_table = (struct table){keep(p->arena, &name), keep(p->arena, &columns),
                                keep(p->arena, &kinds), keep(p->arena, &order), NULL};
}

/* Our own tables, and those of collections, which are made in the target. */
static enum dz_code list_tables(struct copy *p, struct dz_catalog *from, struct dz_catalog *to,
                                struct dz_err *err)
{
    struct dz_collection_rec *v = NULL;
    size_t n = 0;
    DZ_TRY(dz_catalog_collections(from, p->arena, &v, &n, err));
    if (n > TABLES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "%zu collections are more than %u", n, TABLES_MAX);
    p->tables = dz_arena_alloc(p->arena, (DZ_LEN(plain) + n) * sizeof(*p->tables));
    p->read = dz_arena_alloc(p->arena, (DZ_LEN(plain) + n) * sizeof(*p->read));
    memcpy(p->tables, plain, sizeof(plain));
    p->tables_n = DZ_LEN(plain);
    for (size_t i = 0; i < n; i++) {
        DZ_AUTO(dz_collection_unref) struct dz_collection *c = NULL;
        struct dz_collection_ensured made;
        DZ_TRY(dz_collection_parse(v[i].source, v[i].declaration, &c, err));
        DZ_TRY(dz_catalog_collection_ensure(to, c, &made, err));
        describe(p, c, &p->tables[p->tables_n++]);
    }
    return DZ_OK;
}

/* ---- reading a table ---------------------------------------------------------------------------
 */

static enum dz_code prepare(struct dz_sql_conn *c, const struct dz_buf *text,
                            struct dz_sql_stmt **ret_st, struct dz_err *err)
{
    if (text->full)
        return dz_fail(err, DZ_TOO_LARGE, "a statement of the copy is too long");
    return c->b->prepare(c, dz_buf_str(text), ret_st, err);
}

static void finalize(struct dz_sql_stmt **st)
{
    struct dz_sql_stmt *mine = dz_take(st);
    if (!mine)
        return;
    mine->b->reset(mine);
    mine->b->finalize(mine);
}

static void add_bytes(struct dz_sha256_ctx *h, char tag, const void *p, size_t n)
{
    uint64_t bytes = n;
    dz_sha256_add(h, (dz_str){&tag, 1});
    dz_sha256_add(h, (dz_str){(const char *)&bytes, sizeof(bytes)});
    dz_sha256_add(h, (dz_str){p, n});
}

static void add_value(struct dz_sha256_ctx *h, struct dz_sql_stmt *st, int at, char kind)
{
    if (dz_sql_is_null(st, at)) {
        add_bytes(h, '-', "", 0);
    } else if (kind == 'I') {
        int64_t n = dz_sql_int(st, at);
        add_bytes(h, kind, &n, sizeof(n));
    } else if (kind == 'R') {
        double x = dz_sql_real(st, at) + 0.0; /* SQLite has no -0 */
        add_bytes(h, kind, &x, sizeof(x));
    } else {
        dz_str s = kind == 'B' ? st->b->column_blob(st, at) : dz_sql_str(st, at);
        add_bytes(h, kind, s.p, s.n);
    }
}

static void tell(struct copy *p)
{
    if (++p->told % TELL_ROWS == 0 && p->progress)
        p->progress(p->arg, p->told);
}

typedef enum dz_code row_fn(void *arg, struct dz_sql_stmt *st, struct dz_err *err);

/* All rows in the order of the key; fn NULL: only counted and digested. */
static enum dz_code read_table(struct copy *p, struct dz_sql_conn *c, const struct table *t,
                               row_fn *fn, void *arg, struct state *ret_state, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    DZ_AUTO(finalize) struct dz_sql_stmt *st = NULL;
    DZ_AUTO(dz_sha256_free) struct dz_sha256_ctx *h = dz_sha256_new();
    uint64_t rows = 0;
    dz_buf_init(&text, SQL_MAX);
    dz_buf_putf(&text, "SELECT %s FROM %s ORDER BY %s", t->columns, t->name, t->order);
    DZ_TRY(prepare(c, &text, &st, err));
    st->many = true;
    for (;;) {
        bool row = false;
        DZ_TRY(dz_sql_row(c, st, &row, err));
        if (!row)
            break;
        for (int i = 0; t->kinds[i]; i++)
            add_value(h, st, i, t->kinds[i]);
        if (fn)
            DZ_TRY(fn(arg, st, err));
        rows++;
        tell(p);
    }
    *ret_state = (struct state){rows, dz_sha256_end(h)};
    return DZ_OK;
}

static bool same(const struct state *a, const struct state *b)
{
    return a->rows == b->rows && memcmp(a->digest.b, b->digest.b, sizeof(a->digest.b)) == 0;
}

/* ---- writing a table ---------------------------------------------------------------------------
 */

static enum dz_code prepare_insert(struct dz_sql_conn *c, const struct table *t,
                                   struct dz_buf *text, struct dz_sql_stmt **ret_st,
                                   struct dz_err *err)
{
    dz_buf_putf(text, "INSERT INTO %s (%s) VALUES ", t->name, t->columns);
    for (size_t i = 0; t->kinds[i]; i++)
        dz_buf_putf(text, "%s?%zu", i ? ", " : "(", i + 1);
    dz_buf_putc(text, ')');
    return prepare(c, text, ret_st, err);
}

struct writer {
    struct dz_sql_conn *c;
    struct dz_sql_stmt *st;
    const char *kinds;
};

/* Nobody waits for the row: what goes wrong is told by a later one, or by the commit. */
static enum dz_code write_row(void *arg, struct dz_sql_stmt *from, struct dz_err *err)
{
    struct writer *w = arg;
    w->st->later = true;
    for (int i = 0; w->kinds[i]; i++) {
        if (dz_sql_is_null(from, i))
            dz_sql_bind_null(w->st, i + 1);
        else if (w->kinds[i] == 'I')
            dz_sql_bind_int(w->st, i + 1, dz_sql_int(from, i));
        else if (w->kinds[i] == 'R')
            dz_sql_bind_real(w->st, i + 1, dz_sql_real(from, i));
        else if (w->kinds[i] == 'B')
            w->st->b->bind_blob(w->st, i + 1, from->b->column_blob(from, i));
        else
            dz_sql_bind_str(w->st, i + 1, dz_sql_str(from, i));
    }
    return dz_sql_run(w->c, w->st, err);
}

static enum dz_code copy_table(struct copy *p, struct dz_sql_conn *from, struct dz_sql_conn *to,
                               size_t i, struct dz_err *err)
{
    const struct table *t = &p->tables[i];
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    DZ_AUTO(finalize) struct dz_sql_stmt *st = NULL;
    dz_buf_init(&text, SQL_MAX);
    DZ_TRY(prepare_insert(to, t, &text, &st, err));
    struct writer w = {to, st, t->kinds};
    return read_table(p, from, t, write_row, &w, &p->read[i], err);
}

/* ---- numbers that the database gives -----------------------------------------------------------
 */

static enum dz_code ask(struct dz_sql_conn *c, const struct dz_buf *text, int64_t *ret_n,
                        struct dz_err *err)
{
    DZ_AUTO(finalize) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(prepare(c, text, &st, err));
    DZ_TRY(dz_sql_row(c, st, &row, err));
    *ret_n = row ? dz_sql_int(st, 0) : 0;
    return DZ_OK;
}

/* The highest number that was ever given. */
static enum dz_code last_given(struct dz_sql_conn *c, const struct table *t, int64_t *ret_n,
                               struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    int64_t given = 0, there = 0;
    dz_buf_init(&text, 1024);
    if (c->b->dialect == DZ_SQL_POSTGRES)
        dz_buf_putf(&text,
                    "SELECT pg_sequence_last_value(pg_get_serial_sequence('%s', '%s')::regclass)",
                    t->name, t->id);
    else
        dz_buf_putf(&text, "SELECT max(seq) FROM sqlite_sequence WHERE name = '%s'", t->name);
    DZ_TRY(ask(c, &text, &given, err));
    dz_buf_clear(&text);
    dz_buf_putf(&text, "SELECT max(%s) FROM %s", t->id, t->name);
    DZ_TRY(ask(c, &text, &there, err));
    *ret_n = given > there ? given : there;
    return DZ_OK;
}

static enum dz_code give_from(struct dz_sql_conn *c, const struct table *t, int64_t n,
                              struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    int64_t set;
    dz_buf_init(&text, 1024);
    if (n <= 0)
        return DZ_OK;
    if (c->b->dialect == DZ_SQL_POSTGRES) {
        dz_buf_putf(&text, "SELECT setval(pg_get_serial_sequence('%s', '%s'), %lld)", t->name,
                    t->id, (long long)n);
        return ask(c, &text, &set, err);
    }
    /* The table of blobs is not listed there: its numbers may be given again. */
    dz_buf_putf(&text,
                "UPDATE sqlite_sequence SET seq = %lld WHERE name = '%s';"
                "INSERT INTO sqlite_sequence (name, seq) SELECT '%s', %lld WHERE NOT EXISTS "
                "(SELECT 1 FROM sqlite_sequence WHERE name = '%s') AND EXISTS (SELECT 1 FROM "
                "sqlite_schema WHERE name = '%s' AND sql LIKE '%%AUTOINCREMENT%%')",
                (long long)n, t->name, t->name, (long long)n, t->name, t->name);
    return c->b->script(c, dz_buf_cstr(&text), err);
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static enum dz_code copy_rows(struct copy *p, struct dz_sql_conn *from, struct dz_sql_conn *to,
                              struct dz_err *err)
{
    for (size_t i = 0; i < p->tables_n; i++) {
        const struct table *t = &p->tables[i];
        int64_t n = 0;
        enum dz_code code = copy_table(p, from, to, i, err);
        if (code == DZ_OK && t->id)
            code = last_given(from, t, &n, err);
        if (code == DZ_OK && t->id)
            code = give_from(to, t, n, err);
        if (code != DZ_OK)
            return dz_wrap(err, code, "table %s", t->name);
    }
    DZ_TRY(dz_sql_notify(to, DZ_SQL_NEWS_CHANGE, err));
    DZ_TRY(dz_sql_notify(to, DZ_SQL_NEWS_JOBS, err));
    return to->b->commit(to, err);
}

static enum dz_code copy_all(struct copy *p, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    struct dz_sql_conn *to = NULL;
    DZ_TRY(dz_sql_reading_begin(&r, p->from, DZ_SQL_SNAPSHOT, err));
    DZ_TRY(p->to->b->write_begin(p->to, DZ_SQL_EXCLUSIVE, &to, err));
    enum dz_code code = copy_rows(p, r.c, to, err);
    to->b->end(to);
    return code;
}

/* The first table that is not as it was read; NULL: all are. */
static enum dz_code compare(struct copy *p, struct dz_sql *d, const struct table **ret_other,
                            struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_TRY(dz_sql_reading_begin(&r, d, DZ_SQL_SNAPSHOT, err));
    *ret_other = NULL;
    for (size_t i = 0; i < p->tables_n && !*ret_other; i++) {
        struct state s;
        DZ_TRY(read_table(p, r.c, &p->tables[i], NULL, NULL, &s, err));
        if (!same(&s, &p->read[i]))
            *ret_other = &p->tables[i];
    }
    return DZ_OK;
}

/* p->read as the source is now. */
static enum dz_code digest_source(struct copy *p, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_TRY(dz_sql_reading_begin(&r, p->from, DZ_SQL_SNAPSHOT, err));
    for (size_t i = 0; i < p->tables_n; i++)
        DZ_TRY(read_table(p, r.c, &p->tables[i], NULL, NULL, &p->read[i], err));
    return DZ_OK;
}

static enum dz_code is_empty(struct copy *p, bool *ret_empty, struct dz_err *err)
{
    DZ_AUTO(dz_sql_reading_done) struct dz_sql_reading r = {0};
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 1024);
    DZ_TRY(dz_sql_reading_begin(&r, p->to, DZ_SQL_SNAPSHOT, err));
    *ret_empty = true;
    for (size_t i = 0; i < p->tables_n && *ret_empty; i++) {
        int64_t n = 0;
        dz_buf_clear(&text);
        dz_buf_putf(&text, "SELECT count(*) FROM (SELECT 1 FROM %s LIMIT 1) one",
                    p->tables[i].name);
        DZ_TRY(ask(r.c, &text, &n, err));
        *ret_empty = n == 0;
    }
    return DZ_OK;
}

static enum dz_code copy_into_empty(struct copy *p, struct dz_err *err)
{
    const struct table *other;
    DZ_TRY(copy_all(p, err));
    DZ_TRY(compare(p, p->to, &other, err));
    if (other)
        return dz_fail(err, DZ_CORRUPT, "%s: table %s is not what was written to it", p->to->name,
                       other->name);
    DZ_TRY(compare(p, p->from, &other, err));
    if (other)
        return dz_fail(err, DZ_UNAVAILABLE,
                       "%s was written to while it was copied (table %s): stop what uses it, "
                       "empty the target and start again",
                       p->from->name, other->name);
    return DZ_OK;
}

static enum dz_code copy_tables(struct copy *p, bool *ret_there, struct dz_err *err)
{
    bool empty;
    const struct table *other;
    DZ_TRY(is_empty(p, &empty, err));
    *ret_there = false;
    if (empty)
        return copy_into_empty(p, err);
    DZ_TRY(digest_source(p, err));
    DZ_TRY(compare(p, p->to, &other, err));
    *ret_there = !other;
    return other ? dz_fail(err, DZ_CONFLICT,
                           "%s is not empty, and holds something else (table %s); nothing was "
                           "written",
                           p->to->name, other->name)
                 : DZ_OK;
}

enum dz_code dz_catalog_copy(struct dz_catalog *from, struct dz_catalog *to,
                             dz_catalog_copy_fn *progress, void *arg,
                             struct dz_catalog_copied *ret_copied, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(256 * DZ_MIB);
    struct copy p = {
        .from = from->self, .to = to->self, .arena = a, .progress = progress, .arg = arg};
    bool there = false;
    DZ_TRY(list_tables(&p, from, to, err));
    DZ_TRY(copy_tables(&p, &there, err));
    *ret_copied = (struct dz_catalog_copied){.tables = p.tables_n, .there = there};
    for (size_t i = 0; i < p.tables_n; i++)
        ret_copied->rows += p.read[i].rows;
    return DZ_OK;
}
