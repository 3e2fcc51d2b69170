/*
 * lab: temporary libraries, pictures and archives for the tests of this room.
 */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "lab.h"

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *lab_path(const struct lab *l, const char *name)
{
    static char paths[4][4096];
    static unsigned next;
    char *path = paths[next++ % DZ_LEN(paths)];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", l->dir, name);
    return path;
}

void lab_init(struct lab *l, const char *more)
{
    *l = (struct lab){.dir = "/tmp/dozo-lab-XXXXXX"};
    assert_non_null(mkdtemp(l->dir));
    dz_buf_init(&l->events, 64 * DZ_MIB);
    struct dz_buf yaml DZ_AUTO(dz_buf_done);
    dz_buf_init(&yaml, DZ_MIB);
    dz_buf_putf(&yaml, "data_dir: %s/data\n%s", l->dir, more ? more : "");
    must(dz_conf_parse(dz_buf_str(&yaml), "test.yaml", NULL, &l->conf, NULL, err));
    must(dz_library_open(l->conf, &l->lib, err));
}

void lab_done(struct lab *l)
{
    dz_library_close(&l->lib);
    dz_conf_unref(&l->conf);
    dz_buf_done(&l->events);
    remove_tree(l->dir);
}

void lab_reopen(struct lab *l)
{
    dz_library_close(&l->lib);
    must(dz_library_open(l->conf, &l->lib, err));
}

void lab_write(const struct lab *l, const char *name, dz_str bytes)
{
    DZ_AUTO(dz_freep) char *path = dz_strdup(lab_path(l, name));
    char *slash = strrchr(path, '/');
    *slash = '\0';
    must(dz_mkdirs(path, 0755, err));
    *slash = '/';
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    must(dz_write_all(fd, bytes, err));
    close(fd);
}

void lab_touch(const struct lab *l, const char *name, int64_t mtime_s)
{
    struct timespec times[2] = {{.tv_sec = mtime_s}, {.tv_sec = mtime_s}};
    assert_int_equal(utimensat(AT_FDCWD, lab_path(l, name), times, 0), 0);
}

void lab_remove(const struct lab *l, const char *name)
{
    remove_tree(lab_path(l, name));
}

static void put_u32(struct dz_buf *b, uint32_t n)
{
    char p[4] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
    dz_buf_put(b, (dz_str){p, 4});
}

static void put_chunk(struct dz_buf *b, const char *type, dz_str data)
{
    put_u32(b, (uint32_t)data.n);
    size_t from = b->n;
    dz_buf_put(b, dz_str_of(type));
    dz_buf_put(b, data);
    put_u32(b, (uint32_t)crc32(0, (const unsigned char *)b->p + from, (unsigned)(b->n - from)));
}

dz_str lab_picture(unsigned seed)
{
    static struct dz_buf b;
    enum { WIDE = 8, HIGH = 6 };
    unsigned char rows[HIGH * (WIDE + 1)] = {0}, packed[256];
    if (!b.max)
        dz_buf_init(&b, DZ_MIB);
    dz_buf_clear(&b);
    for (unsigned i = 0; i < sizeof(rows); i++)
        if (i % (WIDE + 1) != 0)
            rows[i] = (unsigned char)((seed >> (8 * (i % 4))) + i);
    uLongf packed_n = sizeof(packed);
    assert_int_equal(compress(packed, &packed_n, rows, sizeof(rows)), Z_OK);
    dz_buf_put(&b, (dz_str){"\x89PNG\r\n\x1a\n", 8});
    put_chunk(&b, "IHDR", (dz_str){"\0\0\0\x08\0\0\0\x06\x08\0\0\0\0", 13});
    put_chunk(&b, "IDAT", (dz_str){(char *)packed, packed_n});
    put_chunk(&b, "IEND", (dz_str){NULL, 0});
    return dz_buf_str(&b);
}

void lab_png(const struct lab *l, const char *name, unsigned seed)
{
    lab_write(l, name, lab_picture(seed));
}

void lab_archive(const struct lab *l, const char *name, const char *format,
                 const struct lab_entry *entries)
{
    lab_write(l, name, DZ_S(""));
    struct archive *a = archive_write_new();
    assert_int_equal(archive_write_set_format_by_name(a, format), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, lab_path(l, name)), ARCHIVE_OK);
    for (const struct lab_entry *e = entries; e->name; e++) {
        dz_str bytes = e->bytes.p ? e->bytes : lab_picture(e->seed);
        struct archive_entry *h = archive_entry_new();
        archive_entry_set_pathname(h, e->name);
        archive_entry_set_filetype(h, AE_IFREG);
        archive_entry_set_perm(h, 0644);
        archive_entry_set_size(h, (la_int64_t)bytes.n);
        assert_int_equal(archive_write_header(a, h), ARCHIVE_OK);
        assert_int_equal(archive_write_data(a, bytes.p, bytes.n), bytes.n);
        archive_entry_free(h);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

/* ---- importing ------------------------------------------------------------------------------- */

static dz_str without_dir(const struct lab *l, const char *path)
{
    dz_str s = dz_str_of(path), dir = dz_str_of(l->dir);
    return dz_str_starts(s, dir) ? dz_str_sub(s, dir.n + 1, s.n) : s;
}

static void on_event(void *arg, const struct dz_import_event *e)
{
    static const char *const names[] = {"plan", "chapter", "page", "skipped", "warning", "error"};
    struct lab *l = arg;
    assert_true(e->done <= e->total || e->total == 0);
    if (e->kind == DZ_IMPORT_PAGE || e->kind == DZ_IMPORT_PLAN)
        return;
    dz_buf_put(&l->events, dz_str_of(names[e->kind]));
    dz_buf_putc(&l->events, ' ');
    dz_buf_put(&l->events, without_dir(l, e->path));
    if (e->entry)
        dz_buf_put(&l->events, DZ_S(": "));
    dz_buf_put(&l->events, dz_str_of(e->entry));
    if (e->text)
        dz_buf_put(&l->events, DZ_S(": "));
    dz_buf_put(&l->events, dz_str_of(e->text));
    dz_buf_putc(&l->events, '\n');
}

enum dz_code lab_import_with(struct lab *l, const char *const *paths, size_t n,
                             const struct dz_import_options *o, struct dz_err *err)
{
    struct dz_import_options own = *o;
    own.event = on_event;
    own.arg = l;
    dz_buf_clear(&l->events);
    enum dz_code code = dz_library_import(l->lib, paths, n, &own, &l->result, err);
    (void)dz_buf_cstr(&l->events);
    return code;
}

void lab_import(struct lab *l, const char *path, const char *series)
{
    DZ_AUTO(dz_freep) char *whole = dz_strdup(lab_path(l, path));
    const char *const paths[] = {whole};
    struct dz_import_options o = {.series = series};
    must(lab_import_with(l, paths, 1, &o, err));
}

enum dz_code lab_komizip(struct lab *l, const char *json, const char *folder,
                         const struct dz_import_options *o, struct dz_err *err)
{
    struct dz_import_options own = *o;
    own.event = on_event;
    own.arg = l;
    dz_buf_clear(&l->events);
    enum dz_code code = dz_library_import_komizip(l->lib, lab_path(l, json), lab_path(l, folder),
                                                  &own, &l->result, err);
    (void)dz_buf_cstr(&l->events);
    return code;
}

uint64_t lab_seq(struct lab *l)
{
    struct dz_arena *a = dz_arena_new(DZ_GIB);
    int64_t *ids;
    size_t n;
    uint64_t seq = 0;
    must(dz_catalog_changes(dz_library_catalog(l->lib), 0, a, &ids, &n, &seq, err));
    dz_arena_free(&a);
    return seq;
}

/* ---- looking --------------------------------------------------------------------------------- */

static void put_chapter(struct dz_buf *b, const struct dz_series_full *f,
                        const struct dz_chapter_rec *c)
{
    const dz_str columns[] = {f->series.title, c->source_id, c->key,
                              c->volume,       c->number,    c->title};
    for (size_t i = 0; i < DZ_LEN(columns); i++) {
        dz_buf_put(b, columns[i].n ? columns[i] : DZ_S("."));
        dz_buf_put(b, DZ_S(" | "));
    }
    dz_buf_put_u64(b, c->pages_n);
    dz_buf_putc(b, '\n');
}

const char *lab_listing(struct lab *l)
{
    static struct dz_buf b;
    struct dz_catalog *c = dz_library_catalog(l->lib);
    struct dz_arena *lists = dz_arena_new(DZ_GIB), *a = dz_arena_new(DZ_GIB);
    int64_t *ids;
    size_t n;
    if (!b.max)
        dz_buf_init(&b, 64 * DZ_MIB);
    dz_buf_clear(&b);
    must(dz_catalog_series_ids(c, lists, &ids, &n, err));
    for (size_t i = 0; i < n; i++) {
        struct dz_series_full full;
        dz_arena_reset(a);
        must(dz_catalog_load(c, ids[i], a, &full, err));
        for (size_t k = full.chapters_n; k > 0; k--)
            put_chapter(&b, &full, &full.chapters[k - 1]);
    }
    dz_arena_free(&lists);
    dz_arena_free(&a);
    return dz_buf_cstr(&b);
}

void lab_series(struct lab *l, const char *title, struct dz_arena *a, struct dz_series_full *ret)
{
    struct dz_catalog *c = dz_library_catalog(l->lib);
    int64_t *ids;
    size_t n;
    must(dz_catalog_series_ids(c, a, &ids, &n, err));
    for (size_t i = 0; i < n; i++) {
        must(dz_catalog_load(c, ids[i], a, ret, err));
        if (dz_str_eq(ret->series.title, dz_str_of(title)))
            return;
    }
    fail_msg("no series %s", title);
}

static void assert_blob(struct lab *l, const struct dz_sha256 *sha, uint64_t bytes)
{
    struct dz_body *body = NULL;
    must(dz_store_get(dz_library_store(l->lib), sha, DZ_STORE_BLOB_MAX, &body, err));
    assert_int_equal(body->n, bytes);
    struct dz_sha256 now = dz_sha256_of((dz_str){body->p, body->n});
    assert_memory_equal(now.b, sha->b, sizeof(now.b));
    dz_body_unref(&body);
}

void lab_assert_whole(struct lab *l)
{
    struct dz_view *v = dz_library_view(l->lib);
    assert_non_null(v);
    for (size_t i = 0; i < v->series_n; i++) {
        const struct dz_snapshot *s = v->series[i];
        for (size_t c = 0; c < s->chapters_n; c++)
            for (size_t p = 0; p < s->chapters[c].pages_n; p++)
                assert_blob(l, &s->chapters[c].pages[p].sha, s->chapters[c].pages[p].bytes);
        for (size_t f = 0; f < s->assets_n; f++)
            assert_blob(l, &s->assets[f].file.sha, s->assets[f].file.bytes);
    }
    dz_view_unref(&v);
}
