/*
 * check: the catalog against the store, both ways.
 *
 * In: all blob rows, then all blobs (in this order: an import that runs meanwhile puts before it
 * names), then all series. Out: a line for each thing that is wrong, saying where and what to do,
 * and with `repair` a catalog that names nothing it cannot serve. A repair only takes out: page
 * rows without good bytes, blobs that nobody names. Bytes that are damaged are moved to
 * data_dir/damaged, for they may be the only copy. It holds the import lock alone, because a blob
 * that nobody names yet may belong to a running import. One thread; 64 bytes a blob.
 */
#include <fcntl.h>
#include <unistd.h>

#include "library/library_int.h"

#include <errno.h>
#include <stdlib.h>

#define STALE_TEMPORARY_S 3600
#define PIECE_BYTES DZ_MIB
#define DROPS_PER_BATCH 1000u

enum state { MISSING, GOOD, WRONG_SIZE, DAMAGED };

struct row {
    struct dz_sha256 sha;
    uint64_t bytes, refs;
    enum state state;
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
    struct row *rows; /* by digest */
    size_t n, cap;
    struct dz_sha256 *loose; /* blobs without a row */
    size_t loose_n, loose_cap;
    uint64_t seen;
};

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
    k->rows[k->n++] = (struct row){b->sha, b->bytes, refs, MISSING};
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

static enum dz_code check_digests(struct check *k, struct dz_err *err)
{
    for (size_t i = 0; i < k->n; i++) {
        struct row *row = &k->rows[i];
        tell_progress(k, i + 1);
        if (row->state != GOOD)
            continue;
        struct dz_err own = {0};
        enum dz_code code = dz_store_verify(k->l->store, &row->sha, &own);
        if (code == DZ_NOT_FOUND)
            row->state = MISSING;
        else if (code == DZ_CORRUPT || code == DZ_IO) /* a bad sector is damage as well */
            row->state = DAMAGED;
        else if (code != DZ_OK) {
            if (err)
                *err = own;
            return code;
        }
    }
    return DZ_OK;
}

static enum dz_code check_blobs(struct check *k, struct dz_err *err)
{
    DZ_TRY(read_rows(k, err));
    DZ_TRY(dz_store_list(k->l->store, see_blob, k, err));
    if (k->o->digests)
        DZ_TRY(check_digests(k, err));
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
    default:
        return "";
    }
}

/* A row that was added after ours were read is asked for in the store. */
static enum dz_code state_of(struct check *k, const struct dz_blob_rec *b, enum state *ret_state,
                             struct dz_err *err)
{
    const struct row *row = find_row(k, &b->sha);
    if (row) {
        *ret_state = row->state;
        return DZ_OK;
    }
    struct dz_blob_stat stat;
    enum dz_code code = dz_store_stat(k->l->store, &b->sha, &stat, err);
    if (code != DZ_OK && code != DZ_NOT_FOUND)
        return code;
    *ret_state = code == DZ_NOT_FOUND ? MISSING : stat.bytes == b->bytes ? GOOD : WRONG_SIZE;
    return DZ_OK;
}

static void put_text(struct dz_buf *b, dz_str s)
{
    dz_buf_put(b, library_clip(s, 300));
}

static void tell_page(struct check *k, const struct dz_series_rec *s,
                      const struct dz_chapter_rec *c, const struct dz_page_rec *p, enum state state)
{
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
    dz_buf_put(&b, dz_str_of(words_of(state)));
    dz_buf_put(&b, k->o->repair ? DZ_S("; taken out, ") : DZ_S("; "));
    dz_buf_put(&b, DZ_S("import or crawl the chapter again"));
    if (c->origin.n > 0) {
        dz_buf_put(&b, DZ_S(" from "));
        put_text(&b, c->origin);
    }
    tell(k, k->o->repair, dz_buf_cstr(&b));
}

static void tell_asset(struct check *k, const struct dz_series_rec *s, const struct dz_asset_rec *f,
                       enum state state)
{
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 4 * DZ_KIB);
    dz_buf_put(&b, DZ_S("series \""));
    put_text(&b, s->title);
    dz_buf_put(&b, DZ_S("\", file "));
    put_text(&b, f->name);
    dz_buf_put(&b, DZ_S(": "));
    dz_buf_put(&b, dz_str_of(words_of(state)));
    dz_buf_put(&b, k->o->repair ? DZ_S("; taken out, import it again") : DZ_S("; import it again"));
    tell(k, k->o->repair, dz_buf_cstr(&b));
}

/* The chapter without its bad pages, marked for a new import by an empty stamp. */
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
    DZ_TRY(dz_batch_chapter(b, s->id, &rec, &id, &changed, err));
    return dz_batch_commit(&b, NULL, err);
}

static enum dz_code check_chapter(struct check *k, const struct dz_series_rec *s,
                                  const struct dz_chapter_rec *c, struct dz_err *err)
{
    DZ_AUTO(dz_freep) struct dz_page_rec *good = dz_alloc((c->pages_n + 1) * sizeof(*good));
    size_t n = 0;
    for (size_t i = 0; i < c->pages_n; i++) {
        enum state state = GOOD;
        DZ_TRY(state_of(k, &c->pages[i].blob, &state, err));
        if (state == GOOD)
            good[n++] = c->pages[i];
    }
    if (n == c->pages_n)
        return DZ_OK;
    if (k->o->repair) /* first done, then told as done */
        DZ_TRY(strip_chapter(k, s, c, good, n, err));
    for (size_t i = 0; i < c->pages_n; i++) {
        enum state state = GOOD;
        DZ_TRY(state_of(k, &c->pages[i].blob, &state, err));
        if (state != GOOD)
            tell_page(k, s, c, &c->pages[i], state);
    }
    return DZ_OK;
}

static enum dz_code check_asset(struct check *k, const struct dz_series_rec *s,
                                const struct dz_asset_rec *f, struct dz_err *err)
{
    enum state state = GOOD;
    DZ_TRY(state_of(k, &f->blob, &state, err));
    if (state == GOOD)
        return DZ_OK;
    if (k->o->repair) {
        DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
        DZ_TRY(dz_batch_begin(k->l->catalog, &b, err));
        DZ_TRY(dz_batch_asset_del(b, s->id, f->name, err));
        DZ_TRY(dz_batch_commit(&b, NULL, err));
    }
    tell_asset(k, s, f, state);
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

/* ---- taking out ------------------------------------------------------------------------------ */

static enum dz_code copy_out(int from, int to, struct dz_err *err)
{
    DZ_AUTO(dz_freep) char *piece = dz_alloc(PIECE_BYTES);
    for (off_t at = 0;;) {
        ssize_t n = pread(from, piece, PIECE_BYTES, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) /* what can be read is kept; the rest is lost on the disk itself */
            break;
        if (n == 0)
            break;
        DZ_TRY(dz_write_all(to, (dz_str){piece, (size_t)n}, err));
        at += n;
    }
    if (fsync(to) < 0)
        return dz_fail_errno(err, DZ_IO, errno, "fsync");
    return DZ_OK;
}

/* Damaged bytes to data_dir/damaged/DIGEST. *ret_moved false: the store does not give them out,
 * so they stay there. */
static enum dz_code put_aside(struct check *k, const struct dz_sha256 *sha, bool *ret_moved,
                              struct dz_err *err)
{
    DZ_AUTO(dz_closep) int from = -1;
    DZ_AUTO(dz_closep) int to = -1;
    uint64_t bytes = 0;
    *ret_moved = false;
    enum dz_code code = dz_store_open_file(k->l->store, sha, &from, &bytes, err);
    if (code == DZ_UNSUPPORTED || code == DZ_NOT_FOUND)
        return DZ_OK;
    DZ_TRY(code);
    struct dz_buf path DZ_AUTO(dz_buf_done);
    dz_buf_init(&path, 8 * DZ_KIB);
    dz_buf_put(&path, dz_str_of(k->data_dir));
    dz_buf_put(&path, DZ_S("/damaged"));
    DZ_TRY(dz_mkdirs(dz_buf_cstr(&path), 0755, err));
    DZ_AUTO(dz_freep) char *folder = dz_strdup(dz_buf_cstr(&path));
    char hex[2 * sizeof(sha->b)];
    dz_hex(sha->b, sizeof(sha->b), hex);
    dz_buf_putc(&path, '/');
    dz_buf_put(&path, (dz_str){hex, sizeof(hex)});
    to = open(dz_buf_cstr(&path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (to < 0)
        return dz_fail_errno(err, DZ_IO, errno, "create %s", dz_buf_cstr(&path));
    code = copy_out(from, to, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "%s", dz_buf_cstr(&path));
    DZ_TRY(dz_fsync_dir(folder, err));
    DZ_TRY(dz_store_del(k->l->store, sha, err));
    *ret_moved = true;
    return DZ_OK;
}

/* Rows that no page or asset names, a batch at a time. The caller then removes their blobs. */
static enum dz_code drop_rows(struct check *k, const struct dz_sha256 *shas, size_t n,
                              struct dz_err *err)
{
    for (size_t i = 0; i < n;) {
        DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
        DZ_TRY(dz_batch_begin(k->l->catalog, &b, err));
        for (size_t stop = i + DROPS_PER_BATCH; i < n && i < stop; i++) {
            enum dz_code code = dz_batch_blob_drop(b, &shas[i], err);
            if (code != DZ_OK && code != DZ_NOT_FOUND)
                return code;
        }
        DZ_TRY(dz_batch_commit(&b, NULL, err));
    }
    return DZ_OK;
}

/* After the bad pages are out: moves damaged bytes aside, then removes what nobody names, rows
 * before blobs. */
static enum dz_code clean_up(struct check *k, struct dz_err *err)
{
    DZ_AUTO(dz_freep) struct row *before = k->rows;
    size_t before_n = k->n, n = 0;
    k->rows = NULL;
    k->n = k->cap = 0;
    for (size_t i = 0; i < before_n; i++) {
        struct row *r = &before[i];
        bool moved = false;
        if (r->state == WRONG_SIZE || r->state == DAMAGED) {
            DZ_TRY(put_aside(k, &r->sha, &moved, err));
            r->state = moved ? MISSING : DAMAGED;
        }
    }
    DZ_TRY(read_rows(k, err));
    DZ_AUTO(dz_freep) struct dz_sha256 *gone = dz_alloc((k->n + 1) * sizeof(*gone));
    for (size_t i = 0; i < k->n; i++) {
        const struct row *was =
            before_n ? bsearch(&k->rows[i], before, before_n, sizeof(*before), cmp_rows) : NULL;
        if (k->rows[i].refs == 0 && !(was && was->state == DAMAGED))
            gone[n++] = k->rows[i].sha;
    }
    DZ_TRY(drop_rows(k, gone, n, err));
    for (size_t i = 0; i < n; i++)
        DZ_TRY(dz_store_del(k->l->store, &gone[i], err));
    for (size_t i = 0; i < k->loose_n; i++)
        if (!find_row(k, &k->loose[i]))
            DZ_TRY(dz_store_del(k->l->store, &k->loose[i], err));
    uint64_t swept = 0;
    DZ_TRY(dz_store_sweep(k->l->store, STALE_TEMPORARY_S, &swept, err));
    k->result.leftovers += swept;
    return DZ_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum dz_code run(struct check *k, struct dz_err *err)
{
    DZ_TRY(check_catalog(k, err));
    DZ_TRY(check_blobs(k, err));
    DZ_TRY(check_series(k, err));
    return k->o->repair ? clean_up(k, err) : DZ_OK;
}

enum dz_code dz_library_check(struct dz_library *l, const struct dz_check_options *o,
                              struct dz_check_result *ret_result, struct dz_err *err)
{
    struct check k = {.l = l, .o = o};
    *ret_result = k.result;
    DZ_AUTO(dz_closep) int lock = -1;
    pthread_mutex_lock(&l->lock);
    DZ_AUTO(dz_conf_unref) struct dz_conf *conf = dz_conf_ref(l->conf);
    pthread_mutex_unlock(&l->lock);
    k.data_dir = conf->data_dir;
    if (o->repair)
        DZ_TRY(library_lock(conf->data_dir, true, &lock, err));
    enum dz_code code = run(&k, err);
    *ret_result = k.result;
    free(k.rows);
    free(k.loose);
    return code;
}
