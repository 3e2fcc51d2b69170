/*
 * check: the catalog against the store, both ways.
 *
 * In: all blob rows, then all blobs (in this order: an import that runs meanwhile puts before it
 * names), then all series, the parts of unfinished chapters and the uploads. Out: a line for each
 * thing that is wrong, saying where and what to do, and with `repair` a catalog that names nothing
 * it cannot serve. A repair only takes out: page rows and parts without good bytes, blobs that
 * nobody names. Only what was read and is wrong counts as damaged; a blob that cannot be read now
 * (a bad sector, no permission) is told, and nothing about it is changed. Damaged bytes are moved
 * to data_dir/damaged, for they may be the only copy. It holds the lock of blobs alone, because one
 * that nobody names yet may belong to a running import; where other machines share the database it
 * asks for the lock before each step, and spares what is younger than an hour. One thread; 64 bytes
 * a blob.
 */
#include "library/library_int.h"

#include <stdlib.h>

#define STALE_TEMPORARY_S 3600
#define YOUNG_S 3600
#define REASONS_MAX 1000u /* blobs that cannot be read whose reason is kept */

#define ALL_LOST_MIN 8u

enum state { MISSING, GOOD, WRONG_SIZE, DAMAGED, UNREADABLE };

struct row {
    struct dz_sha256 sha;
    uint64_t bytes, refs;
    enum state state;
    char *why; /* UNREADABLE; NULL: not kept */
};

struct lines { /* problems of the catalog itself */
    char **v;
    size_t n, cap;
};

struct check {
    struct dz_library *l;
    const struct dz_check_options *o;
    struct dz_check_result result;
    const char *data_dir;
    struct dz_catalog_lock *lock; /* of a repair */
    struct row *rows;             /* by digest */
    size_t n, cap;
    struct dz_sha256 *loose; /* blobs without a row */
    size_t loose_n, loose_cap;
    uint64_t seen, reasons;
    struct dz_err late; /* why a blob without a row of ours cannot be read */
};

static void rows_free(struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(rows[i].why);
    free(rows);
}

static void tell(struct check *k, bool repaired, const char *text)
{
    k->result.problems++;
    k->result.repaired += repaired;
    if (k->o->problem)
        k->o->problem(k->o->arg, repaired, text);
}

/* ---- the catalog itself ---------------------------------------------------------------------- */

static void keep_line(void *arg, const char *text)
{
    struct lines *l = arg;
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        l->v = dz_realloc(l->v, l->cap * sizeof(*l->v));
    }
    l->v[l->n++] = dz_strdup(text);
}

static void lines_done(struct lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
}

static bool has_line(const struct lines *l, const char *text)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i], text) == 0)
            return true;
    return false;
}

/* Looks, mends, looks again: what is still said then was not mended. */
static enum dz_code check_catalog(struct check *k, struct dz_err *err)
{
    DZ_AUTO(lines_done) struct lines first = {0};
    DZ_AUTO(lines_done) struct lines left = {0};
    struct dz_catalog *c = k->l->catalog;
    uint64_t n = 0;
    DZ_TRY(dz_catalog_verify(c, false, keep_line, &first, &n, err));
    bool mend = k->o->repair && first.n > 0;
    if (mend) {
        DZ_TRY(dz_catalog_verify(c, true, NULL, NULL, &n, err));
        DZ_TRY(dz_catalog_verify(c, false, keep_line, &left, &n, err));
    }
    for (size_t i = 0; i < first.n; i++)
        tell(k, mend && !has_line(&left, first.v[i]), first.v[i]);
    return DZ_OK;
}

/* ---- rows and blobs -------------------------------------------------------------------------- */

static enum dz_code add_row(void *arg, const struct dz_blob_rec *b, uint64_t refs,
                            struct dz_err *err)
{
    struct check *k = arg;
    (void)err;
    if (k->n == k->cap) {
        k->cap = k->cap ? k->cap * 2 : 1024;
        k->rows = dz_realloc(k->rows, k->cap * sizeof(*k->rows));
    }
    k->rows[k->n++] = (struct row){b->sha, b->bytes, refs, MISSING, NULL};
    return DZ_OK;
}

static int cmp_rows(const void *a, const void *b)
{
    return memcmp(((const struct row *)a)->sha.b, ((const struct row *)b)->sha.b,
                  sizeof(struct dz_sha256));
}

static struct row *find_row(const struct check *k, const struct dz_sha256 *sha)
{
    struct row key = {.sha = *sha};
    return k->n ? bsearch(&key, k->rows, k->n, sizeof(key), cmp_rows) : NULL;
}

static enum dz_code read_rows(struct check *k, struct dz_err *err)
{
    k->n = 0;
    DZ_TRY(dz_catalog_blobs(k->l->catalog, add_row, k, err));
    if (k->n > 0)
        qsort(k->rows, k->n, sizeof(*k->rows), cmp_rows);
    return DZ_OK;
}

static void tell_progress(struct check *k, uint64_t done)
{
    if (k->o->progress && (done % 256 == 0 || done == k->n))
        k->o->progress(k->o->arg, done, k->n);
}

static enum dz_code see_blob(void *arg, const struct dz_blob_stat *b, struct dz_err *err)
{
    struct check *k = arg;
    struct row *row = find_row(k, &b->sha);
    (void)err;
    if (row) {
        row->state = row->bytes == b->bytes ? GOOD : WRONG_SIZE;
        if (!k->o->digests)
            tell_progress(k, ++k->seen);
        return DZ_OK;
    }
    if (k->loose_n == k->loose_cap) {
        k->loose_cap = k->loose_cap ? k->loose_cap * 2 : 256;
        k->loose = dz_realloc(k->loose, k->loose_cap * sizeof(*k->loose));
    }
    k->loose[k->loose_n++] = b->sha;
    return DZ_OK;
}

static void set_unreadable(struct check *k, struct row *row, const struct dz_err *why)
{
    row->state = UNREADABLE;
    if (k->reasons++ < REASONS_MAX)
        row->why = dz_strdup(why->text);
}

static void check_digest(struct check *k, struct row *row)
{
    struct dz_err why = {0};
    enum dz_code code = dz_store_verify(k->l->store, &row->sha, &why);
    if (code == DZ_NOT_FOUND)
        row->state = MISSING;
    else if (code == DZ_CORRUPT)
        row->state = DAMAGED;
    else if (code != DZ_OK)
        set_unreadable(k, row, &why);
}

static enum state state_by_stat(enum dz_code code, uint64_t bytes, uint64_t want)
{
    if (code == DZ_OK)
        return bytes == want ? GOOD : WRONG_SIZE;
    return code == DZ_NOT_FOUND ? MISSING : UNREADABLE;
}

/* What the list did not show: lost, or something that is no file in its place, or put since. */
static void check_unlisted(struct check *k, struct row *row)
{
    struct dz_blob_stat stat = {.bytes = 0};
    struct dz_err why = {0};
    enum dz_code code = dz_store_stat(k->l->store, &row->sha, &stat, &why);
    row->state = state_by_stat(code, stat.bytes, row->bytes);
    if (row->state == UNREADABLE)
        set_unreadable(k, row, &why);
}

static void check_rows(struct check *k)
{
    for (size_t i = 0; i < k->n; i++) {
        struct row *row = &k->rows[i];
        if (row->state == MISSING)
            check_unlisted(k, row);
        if (!k->o->digests)
            continue;
        tell_progress(k, i + 1);
        if (row->state == GOOD)
            check_digest(k, row);
    }
}

static enum dz_code check_blobs(struct check *k, struct dz_err *err)
{
    DZ_TRY(read_rows(k, err));
    DZ_TRY(dz_store_list(k->l->store, see_blob, k, err));
    check_rows(k);
    k->result.blobs = k->n;
    for (size_t i = 0; i < k->n; i++) {
        k->result.bytes += k->rows[i].bytes;
        k->result.leftovers += k->rows[i].refs == 0;
    }
    k->result.leftovers += k->loose_n;
    return DZ_OK;
}

/* ---- pages and assets ------------------------------------------------------------------------ */

static const char *words_of(enum state s)
{
    switch (s) {
    case MISSING:
        return "its bytes are not in the store";
    case WRONG_SIZE:
        return "its bytes in the store have another size";
    case DAMAGED:
        return "its bytes in the store are damaged";
    case UNREADABLE:
        return "its bytes cannot be read";
    case GOOD:
        break;
    }
    return "";
}

struct finding {
    enum state state;
    const char *why; /* UNREADABLE; NULL: not known */
};

/* A row that was added after ours were read is asked for in the store. */
static struct finding find(struct check *k, const struct dz_blob_rec *b)
{
    const struct row *row = find_row(k, &b->sha);
    if (row)
        return (struct finding){row->state, row->why};
    struct dz_blob_stat stat = {.bytes = 0};
    enum dz_code code = dz_store_stat(k->l->store, &b->sha, &stat, &k->late);
    return (struct finding){state_by_stat(code, stat.bytes, b->bytes), k->late.text};
}

static bool is_lost(enum state s)
{
    return s != GOOD && s != UNREADABLE;
}

static void put_text(struct dz_buf *b, dz_str s)
{
    dz_buf_put(b, dz_str_clip(s, 300));
}

static void put_finding(struct dz_buf *b, const struct finding *f)
{
    dz_buf_put(b, dz_str_of(words_of(f->state)));
    if (f->state == UNREADABLE && f->why) {
        dz_buf_put(b, DZ_S(": "));
        put_text(b, dz_str_of(f->why));
    }
}

static void tell_page(struct check *k, const struct dz_series_rec *s,
                      const struct dz_chapter_rec *c, const struct dz_page_rec *p,
                      const struct finding *f)
{
    bool mends = k->o->repair && is_lost(f->state);
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 4 * DZ_KIB);
    dz_buf_put(&b, DZ_S("series \""));
    put_text(&b, s->title);
    dz_buf_put(&b, DZ_S("\", chapter "));
    put_text(&b, c->key);
    dz_buf_put(&b, DZ_S(", page "));
    dz_buf_put_u64(&b, p->number);
    dz_buf_put(&b, DZ_S(" ("));
    put_text(&b, p->name);
    dz_buf_put(&b, DZ_S("): "));
    put_finding(&b, f);
    if (is_lost(f->state)) {
        dz_buf_put(&b, mends ? DZ_S("; taken out, ") : DZ_S("; "));
        dz_buf_put(&b, DZ_S("import or crawl the chapter again"));
    }
    if (is_lost(f->state) && c->origin.n > 0) {
        dz_buf_put(&b, DZ_S(" from "));
        put_text(&b, c->origin);
    }
    tell(k, mends, dz_buf_cstr(&b));
}

static void tell_asset(struct check *k, const struct dz_series_rec *s, const struct dz_asset_rec *a,
                       const struct finding *f)
{
    bool mends = k->o->repair && is_lost(f->state);
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 4 * DZ_KIB);
    dz_buf_put(&b, DZ_S("series \""));
    put_text(&b, s->title);
    dz_buf_put(&b, DZ_S("\", file "));
    put_text(&b, a->name);
    dz_buf_put(&b, DZ_S(": "));
    put_finding(&b, f);
    if (is_lost(f->state))
        dz_buf_put(&b, mends ? DZ_S("; taken out, import it again") : DZ_S("; import it again"));
    tell(k, mends, dz_buf_cstr(&b));
}

/* The chapter without its lost pages, marked for a new import by an empty stamp. */
static enum dz_code strip_chapter(struct check *k, const struct dz_series_rec *s,
                                  const struct dz_chapter_rec *c, const struct dz_page_rec *pages,
                                  size_t n, struct dz_err *err)
{
    struct dz_chapter_rec rec = *c;
    int64_t id = 0;
    bool changed = false;
    rec.pages = pages;
    rec.pages_n = n;
    rec.origin_stamp = (dz_str){NULL, 0};
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    DZ_TRY(dz_batch_begin(k->l->catalog, &b, err));
    DZ_TRY(dz_catalog_lock_check(k->lock, err));
    DZ_TRY(dz_batch_chapter(b, s->id, &rec, &id, &changed, err));
    return dz_batch_commit(&b, NULL, err);
}

static enum dz_code check_chapter(struct check *k, const struct dz_series_rec *s,
                                  const struct dz_chapter_rec *c, struct dz_err *err)
{
    DZ_AUTO(dz_freep) struct dz_page_rec *kept = dz_alloc((c->pages_n + 1) * sizeof(*kept));
    size_t n = 0;
    for (size_t i = 0; i < c->pages_n; i++)
        if (!is_lost(find(k, &c->pages[i].blob).state))
            kept[n++] = c->pages[i];
    if (k->o->repair && n < c->pages_n) /* first done, then told as done */
        DZ_TRY(strip_chapter(k, s, c, kept, n, err));
    for (size_t i = 0; i < c->pages_n; i++) {
        struct finding f = find(k, &c->pages[i].blob);
        if (f.state != GOOD)
            tell_page(k, s, c, &c->pages[i], &f);
    }
    return DZ_OK;
}

static enum dz_code check_asset(struct check *k, const struct dz_series_rec *s,
                                const struct dz_asset_rec *a, struct dz_err *err)
{
    struct finding f = find(k, &a->blob);
    if (f.state == GOOD)
        return DZ_OK;
    if (k->o->repair && is_lost(f.state)) {
        DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
        DZ_TRY(dz_batch_begin(k->l->catalog, &b, err));
        DZ_TRY(dz_catalog_lock_check(k->lock, err));
        DZ_TRY(dz_batch_asset_del(b, s->id, a->name, err));
        DZ_TRY(dz_batch_commit(&b, NULL, err));
    }
    tell_asset(k, s, a, &f);
    return DZ_OK;
}

static enum dz_code check_series(struct check *k, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *lists = dz_arena_new(DZ_GIB);
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(16 * DZ_GIB);
    int64_t *ids = NULL;
    size_t n = 0;
    DZ_TRY(dz_catalog_series_ids(k->l->catalog, lists, &ids, &n, err));
    for (size_t i = 0; i < n; i++) {
        struct dz_series_full full;
        dz_arena_reset(a);
        enum dz_code code = dz_catalog_load(k->l->catalog, ids[i], a, &full, err);
        if (code == DZ_NOT_FOUND)
            continue;
        DZ_TRY(code);
        for (size_t c = 0; c < full.chapters_n; c++)
            DZ_TRY(check_chapter(k, &full.series, &full.chapters[c], err));
        for (size_t f = 0; f < full.assets_n; f++)
            DZ_TRY(check_asset(k, &full.series, &full.assets[f], err));
    }
    return DZ_OK;
}

/* ---- pages of unfinished chapters ------------------------------------------------------------ */

struct lost_part {
    char *source, *chapter;
    uint32_t at;
};

struct part_look {
    struct check *k;
    struct lost_part *lost;
    size_t n, cap;
};

static void part_look_done(struct part_look *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->lost[i].source);
        free(p->lost[i].chapter);
    }
    free(p->lost);
}

static enum dz_code look_at_part(void *arg, dz_str source, dz_str chapter,
                                 const struct dz_part_rec *rec, struct dz_err *err)
{
    struct part_look *p = arg;
    struct finding f = {GOOD, NULL};
    (void)err;
    if (rec->blob.bytes > 0 || rec->blob.mime.n > 0)
        f = find(p->k, &rec->blob);
    if (f.state == GOOD)
        return DZ_OK;
    bool mends = p->k->o->repair && is_lost(f.state);
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 4 * DZ_KIB);
    dz_buf_put(&b, DZ_S("source "));
    put_text(&b, source);
    dz_buf_put(&b, DZ_S(", unfinished chapter "));
    put_text(&b, chapter);
    dz_buf_putf(&b, ", place %u: ", rec->at);
    put_finding(&b, &f);
    if (is_lost(f.state))
        dz_buf_put(&b, DZ_S("; the next crawl fetches it again"));
    tell(p->k, mends, dz_buf_cstr(&b));
    if (!mends)
        return DZ_OK;
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 16;
        p->lost = dz_realloc(p->lost, p->cap * sizeof(*p->lost));
    }
    p->lost[p->n++] = (struct lost_part){dz_str_dup(source), dz_str_dup(chapter), rec->at};
    return DZ_OK;
}

static enum dz_code check_parts(struct check *k, struct dz_err *err)
{
    DZ_AUTO(part_look_done) struct part_look p = {.k = k};
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    DZ_TRY(dz_catalog_parts_all(k->l->catalog, look_at_part, &p, err));
    if (p.n == 0)
        return DZ_OK;
    DZ_TRY(dz_batch_begin(k->l->catalog, &b, err));
    DZ_TRY(dz_catalog_lock_check(k->lock, err));
    for (size_t i = 0; i < p.n; i++) {
        enum dz_code code = dz_batch_part_del(b, dz_str_of(p.lost[i].source),
                                              dz_str_of(p.lost[i].chapter), p.lost[i].at, err);
        if (code != DZ_OK && code != DZ_NOT_FOUND) /* its chapter was finished meanwhile */
            return code;
    }
    return dz_batch_commit(&b, NULL, err);
}

/* ---- uploads --------------------------------------------------------------------------------- */

struct upload_look {
    struct check *k;
    struct lines lost; /* ids */
};

static void upload_look_done(struct upload_look *p)
{
    lines_done(&p->lost);
}

static enum dz_code look_at_upload(void *arg, const struct dz_upload_rec *u, struct dz_err *err)
{
    struct upload_look *p = arg;
    struct finding f = find(p->k, &u->blob);
    (void)err;
    if (f.state == GOOD)
        return DZ_OK;
    bool mends = p->k->o->repair && is_lost(f.state);
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 8 * DZ_KIB);
    dz_buf_put(&b, DZ_S("upload "));
    put_text(&b, u->id);
    dz_buf_put(&b, DZ_S(": "));
    put_finding(&b, &f);
    if (is_lost(f.state))
        dz_buf_put(&b, mends ? DZ_S("; taken out, send it again") : DZ_S("; send it again"));
    tell(p->k, mends, dz_buf_cstr(&b));
    if (mends) {
        dz_buf_clear(&b);
        dz_buf_put(&b, u->id);
        keep_line(&p->lost, dz_buf_cstr(&b));
    }
    return DZ_OK;
}

static enum dz_code check_uploads(struct check *k, struct dz_err *err)
{
    DZ_AUTO(upload_look_done) struct upload_look p = {.k = k};
    DZ_TRY(dz_catalog_uploads_all(k->l->catalog, look_at_upload, &p, err));
    for (size_t i = 0; i < p.lost.n; i++) {
        dz_str id = dz_str_of(p.lost.v[i]);
        bool was;
        DZ_TRY(dz_catalog_lock_check(k->lock, err));
        DZ_TRY(dz_catalog_uploads_del(k->l->catalog, &id, 1, &was, err));
    }
    return DZ_OK;
}

/* ---- taking out ------------------------------------------------------------------------------ */

/* Damaged bytes to data_dir/damaged/DIGEST. A store that does not give them out keeps them, and so
 * does one where that fails, which is told. */
static enum dz_code put_aside(struct check *k, struct row *row, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    DZ_TRY(dz_catalog_lock_check(k->lock, err));
    dz_buf_init(&text, 8 * DZ_KIB);
    dz_buf_put(&text, dz_str_of(k->data_dir));
    dz_buf_put(&text, DZ_S("/damaged"));
    struct dz_err why = {0};
    enum dz_code code = dz_store_set_aside(k->l->store, &row->sha, dz_buf_cstr(&text), &why);
    row->state = code == DZ_OK || code == DZ_NOT_FOUND ? MISSING : DAMAGED;
    if (row->state == MISSING || code == DZ_UNSUPPORTED)
        return DZ_OK;
    dz_buf_clear(&text);
    dz_buf_put(&text, DZ_S("damaged bytes stay in the store: "));
    dz_buf_put(&text, dz_str_of(why.text));
    tell(k, false, dz_buf_cstr(&text));
    return DZ_OK;
}

/* Rows that nothing names now, without those whose bytes have to stay in the store. */
static size_t gather_gone(const struct check *k, const struct row *before, size_t before_n,
                          struct dz_sha256 *gone)
{
    size_t n = 0;
    for (size_t i = 0; i < k->n; i++) {
        const struct row *was =
            before_n ? bsearch(&k->rows[i], before, before_n, sizeof(*before), cmp_rows) : NULL;
        bool stays = was && (was->state == DAMAGED || was->state == UNREADABLE);
        if (k->rows[i].refs == 0 && !stays)
            gone[n++] = k->rows[i].sha;
    }
    return n;
}

static enum dz_code put_all_aside(struct check *k, struct row *v, size_t n, struct dz_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].state == WRONG_SIZE || v[i].state == DAMAGED)
            DZ_TRY(put_aside(k, &v[i], err));
    return DZ_OK;
}

/* Rows that nothing names and blobs that have none. */
static enum dz_code end_unused(struct check *k, const struct dz_sha256 *gone, size_t n,
                               struct dz_err *err)
{
    int64_t since_s =
        dz_catalog_is_shared(k->l->catalog) ? dz_now_ms() / 1000 - YOUNG_S : INT64_MAX;
    uint64_t young = 0;
    DZ_TRY(library_end_blobs(k->l, k->lock, gone, n, since_s, &young, err));
    k->result.young = young;
    DZ_TRY(library_end_blobs(k->l, k->lock, k->loose, k->loose_n, since_s, &young, err));
    k->result.young += young;
    return DZ_OK;
}

/* After the lost pages are out: moves damaged bytes aside, then removes what nobody names. */
static enum dz_code clean_up(struct check *k, struct dz_err *err)
{
    struct row *before = k->rows;
    size_t before_n = k->n;
    k->rows = NULL;
    k->n = k->cap = 0;
    enum dz_code code = put_all_aside(k, before, before_n, err);
    if (code == DZ_OK)
        code = read_rows(k, err);
    DZ_AUTO(dz_freep) struct dz_sha256 *gone = dz_alloc((k->n + 1) * sizeof(*gone));
    size_t n = gather_gone(k, before, before_n, gone);
    rows_free(before, before_n);
    DZ_TRY(code);
    DZ_TRY(end_unused(k, gone, n, err));
    uint64_t swept = 0;
    DZ_TRY(dz_store_sweep(k->l->store, STALE_TEMPORARY_S, &swept, err));
    k->result.leftovers += swept;
    return DZ_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* A store without any of our blobs is far more often a disk that is not mounted than a loss, and a
 * repair would take every page out of the catalog. A handful may well be gone all at once. */
static enum dz_code refuse_empty_store(const struct check *k, struct dz_err *err)
{
    uint64_t wanted = 0, missing = 0;
    for (size_t i = 0; i < k->n; i++) {
        wanted += k->rows[i].refs > 0;
        missing += k->rows[i].refs > 0 && k->rows[i].state == MISSING;
    }
    if (wanted < ALL_LOST_MIN || missing < wanted)
        return DZ_OK;
    return dz_fail(err, DZ_UNAVAILABLE,
                   "all %llu blobs are missing from %s/blobs; is it mounted? Nothing is repaired "
                   "(if they are lost, remove dozo.db and import again)",
                   (unsigned long long)wanted, k->data_dir);
}

static enum dz_code run(struct check *k, struct dz_err *err)
{
    DZ_TRY(check_catalog(k, err));
    DZ_TRY(check_blobs(k, err));
    if (k->o->repair)
        DZ_TRY(refuse_empty_store(k, err));
    DZ_TRY(check_series(k, err));
    DZ_TRY(check_parts(k, err));
    DZ_TRY(check_uploads(k, err));
    return k->o->repair ? clean_up(k, err) : DZ_OK;
}

enum dz_code dz_library_check(struct dz_library *l, const struct dz_check_options *o,
                              struct dz_check_result *ret_result, struct dz_err *err)
{
    struct check k = {.l = l, .o = o};
    *ret_result = k.result;
    DZ_AUTO(dz_catalog_unlock) struct dz_catalog_lock *lock = NULL;
    pthread_mutex_lock(&l->lock);
    DZ_AUTO(dz_conf_unref) struct dz_conf *conf = dz_conf_ref(l->conf);
    pthread_mutex_unlock(&l->lock);
    k.data_dir = conf->data_dir;
    if (o->repair)
        DZ_TRY(library_lock(l->catalog, true, &lock, err));
    k.lock = lock;
    enum dz_code code = run(&k, err);
    *ret_result = k.result;
    rows_free(k.rows, k.n);
    free(k.loose);
    return code;
}
