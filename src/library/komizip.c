/*
 * komizip: the data files of the service that is replaced, byte-true (contracts/komizip.md 2.3 and
 * 4).
 *
 * In: chapters.json and the image folder. Out: one series on the named shelf. chapters.json is read
 * and checked whole before anything is stored; members that are not known are kept as JSON text. A
 * file "{chapter}-{NN}.{ext}" of a stored chapter is a page; every other file is an asset under its
 * own name, so that any address that worked still does. Bytes are never judged: a file that is no
 * image is kept, and told. The type is the one of the extension, as clients know it. Nothing is
 * ever deleted: a page whose file is gone stays.
 */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "library/import_int.h"

#include <errno.h>
#include <stdlib.h>

#define KOMIZIP_VERSION 1
#define CHAPTERS_JSON_BYTES_MAX (64 * DZ_MIB)
#define ASSETS_PER_BATCH 256u
#define PIECE_BYTES (256 * DZ_KIB)

struct kfile {
    dz_str name; /* relative to the folder, bytes of the file system */
    char *path;
    uint64_t bytes;
    int64_t mtime_ns;
    size_t chapter; /* NONE: an asset */
    uint32_t number;
};

#define NONE SIZE_MAX

/* A chapter as chapters.json has it, with the files that are its pages. */
struct kchapter {
    struct dz_chapter_rec rec; /* without pages */
    bool counts_pages;         /* page_count was not said */
    struct kfile **pages;
    size_t pages_n;
    struct dz_chapter_rec *old; /* NULL: new */
    dz_str json;                /* the whole object, for the stamp */
};

struct komi {
    struct dz_library *l;
    const struct dz_import_options *o;
    struct dz_import_result result;
    struct import_teller teller;
    struct dz_arena *arena; /* of the run */
    struct dz_arena *piece; /* of one chapter or batch of assets */
    const char *json_path, *folder;
    char *root;     /* the folder, absolute and resolved */
    dev_t data_dev; /* data_dir, which is never entered */
    ino_t data_ino;
    struct kchapter *chapters;
    size_t chapters_n;
    struct dz_map by_key;
    struct kfile **files;
    size_t files_n, files_cap, entries;
    struct dz_series_rec series;
    struct dz_series_full stored;
    struct dz_catalog_lock *lock;
    struct dz_store_batch *batch;
    struct dz_buf bytes;
};

/* ---- chapters.json --------------------------------------------------------------------------- */

static enum dz_code bad(struct komi *k, struct dz_err *err, dz_str key, const char *words)
{
    return dz_fail(err, DZ_BAD_INPUT, "%s: chapter \"%.*s\": %s", k->json_path,
                   DZ_STR_FMT(dz_str_clip(key, 60)), words);
}

bool import_write_json(struct dz_json *j, const json_t *v, unsigned depth)
{
    if (depth > DZ_JSON_DEPTH_MAX)
        return false;
    switch (json_typeof(v)) {
    case JSON_OBJECT: {
        const char *name;
        json_t *member;
        dz_json_object(j);
        json_object_foreach((json_t *)v, name, member)
        {
            dz_json_key(j, dz_str_of(name));
            if (!import_write_json(j, member, depth + 1))
                return false;
        }
        dz_json_end(j);
        return true;
    }
    case JSON_ARRAY: {
        dz_json_array(j);
        for (size_t i = 0; i < json_array_size(v); i++)
            if (!import_write_json(j, json_array_get(v, i), depth + 1))
                return false;
        dz_json_end(j);
        return true;
    }
    case JSON_STRING:
        dz_json_str(j, dz_json_text(v));
        return true;
    case JSON_INTEGER:
        dz_json_int(j, json_integer_value(v));
        return true;
    case JSON_REAL:
        dz_json_real(j, json_real_value(v));
        return true;
    case JSON_NULL:
        dz_json_null(j);
        return true;
    default:
        dz_json_bool(j, json_is_true(v));
        return true;
    }
}

/* The object without the members named in `skip`; n = 0 when nothing is left and skip is given. */
static enum dz_code object_text(struct komi *k, dz_str key, const json_t *o,
                                const char *const *skip, dz_str *ret_text, struct dz_err *err)
{
    struct dz_buf text DZ_AUTO(dz_buf_done);
    struct dz_json j;
    const char *name;
    json_t *member;
    size_t count = 0;
    bool fits = true;
    dz_buf_init(&text, DZ_LONG_TEXT_MAX);
    dz_json_init(&j, &text, DZ_JSON_COMPACT, false);
    dz_json_object(&j);
    json_object_foreach((json_t *)o, name, member)
    {
        bool skipped = false;
        for (size_t i = 0; skip && skip[i]; i++)
            skipped |= strcmp(skip[i], name) == 0;
        if (skipped)
            continue;
        dz_json_key(&j, dz_str_of(name));
        fits = fits && import_write_json(&j, member, 2);
        if (!fits)
            return bad(k, err, key, "its members are nested too deep");
        count++;
    }
    dz_json_end(&j);
    if (text.full)
        return bad(k, err, key, "its members are larger than 256 KiB");
    *ret_text = count == 0 && skip ? (dz_str){NULL, 0} : dz_arena_str(k->arena, dz_buf_str(&text));
    return DZ_OK;
}

static enum dz_code read_text(struct komi *k, dz_str key, const json_t *metadata, const char *name,
                              dz_str *ret_text, struct dz_err *err)
{
    const json_t *v = json_object_get(metadata, name);
    *ret_text = (dz_str){NULL, 0};
    if (!v || json_is_null(v))
        return DZ_OK;
    if (!json_is_string(v)) {
        char words[64];
        (void)snprintf(words, sizeof(words), "metadata.%s is neither a text nor null", name);
        return bad(k, err, key, words);
    }
    *ret_text = dz_arena_str(k->arena, dz_json_text(v));
    return DZ_OK;
}

static enum dz_code read_metadata(struct komi *k, dz_str key, const json_t *m, struct kchapter *c,
                                  struct dz_err *err)
{
    static const char *const known[] = {"title", "page_count", "volume", "volume_cover", NULL};
    if (!json_is_object(m))
        return bad(k, err, key, "metadata is missing or no object");
    DZ_TRY(read_text(k, key, m, "title", &c->rec.title, err));
    DZ_TRY(read_text(k, key, m, "volume", &c->rec.volume, err));
    const json_t *count = json_object_get(m, "page_count");
    const json_t *cover = json_object_get(m, "volume_cover");
    if (count && (!json_is_integer(count) || json_integer_value(count) < 0 ||
                  json_integer_value(count) > UINT32_MAX))
        return bad(k, err, key, "metadata.page_count is no whole number from 0");
    if (cover && !json_is_boolean(cover))
        return bad(k, err, key, "metadata.volume_cover is neither true nor false");
    c->counts_pages = !count;
    c->rec.page_count = count ? (uint32_t)json_integer_value(count) : 0;
    c->rec.volume_cover = json_is_true(cover);
    return object_text(k, key, m, known, &c->rec.meta_extra, err);
}

static bool is_decimal(dz_str s)
{
    double x;
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < '0' || s.p[i] > '9') && (s.p[i] != '.' || i + 1 == s.n))
            return false;
    return s.n < 31 && dz_str_chr(s, '.') == dz_str_rchr(s, '.') && library_number(s, &x);
}

static enum dz_code check_key(struct komi *k, dz_str key, struct dz_err *err)
{
    if (key.n == 0)
        return bad(k, err, key, "the key is empty");
    if (key.n > DZ_TEXT_MAX)
        return bad(k, err, key, "the key is longer than 4096 bytes");
    for (size_t i = 0; i < key.n; i++)
        if ((unsigned char)key.p[i] < 0x20 || key.p[i] == 0x7f || key.p[i] == '/')
            return bad(k, err, key, "the key holds a '/' or a control character");
    return DZ_OK;
}

static enum dz_code read_chapter(struct komi *k, size_t at, const char *name, const json_t *v,
                                 struct dz_err *err)
{
    static const char *const known[] = {"metadata", "links", NULL};
    struct kchapter *c = &k->chapters[at];
    *c = (struct kchapter){.old = NULL};
    dz_str key = dz_arena_str(k->arena, dz_str_of(name));
    DZ_TRY(check_key(k, key, err));
    if (!json_is_object(v))
        return bad(k, err, key, "is no object");
    c->rec.key = c->rec.source_id = key;
    c->rec.sort = -1.0 - (double)at;
    if (is_decimal(key)) {
        (void)library_number(key, &c->rec.sort);
        c->rec.number = key;
    }
    DZ_TRY(read_metadata(k, key, json_object_get(v, "metadata"), c, err));
    const json_t *links = json_object_get(v, "links");
    if (links && !json_is_object(links))
        return bad(k, err, key, "links is no object");
    if (links)
        DZ_TRY(object_text(k, key, links, NULL, &c->rec.links, err));
    DZ_TRY(object_text(k, key, v, known, &c->rec.extra, err));
    DZ_TRY(object_text(k, key, v, NULL, &c->json, err));
    (void)dz_map_set(&k->by_key, key, c);
    return DZ_OK;
}

static enum dz_code read_chapters(struct komi *k, const json_t *root, struct dz_err *err)
{
    const char *name;
    json_t *v;
    if (!json_is_object(root))
        return dz_fail(err, DZ_BAD_INPUT, "%s: want one object of chapters", k->json_path);
    if (json_object_size(root) > DZ_SERIES_CHAPTERS_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "%s: %zu chapters, %u are allowed", k->json_path,
                       json_object_size(root), DZ_SERIES_CHAPTERS_MAX);
    k->chapters = dz_arena_alloc(k->arena, (json_object_size(root) + 1) * sizeof(*k->chapters));
    json_object_foreach((json_t *)root, name, v)
    {
        DZ_TRY(read_chapter(k, k->chapters_n, name, v, err));
        if (k->chapters[k->chapters_n++].rec.number.n == 0)
            import_tell(&k->teller, DZ_IMPORT_WARNING, k->json_path, name,
                        "no number: it stands behind all others");
    }
    return DZ_OK;
}

static enum dz_code load_json(struct komi *k, struct dz_err *err)
{
    struct dz_buf text DZ_AUTO(dz_buf_done);
    dz_buf_init(&text, CHAPTERS_JSON_BYTES_MAX);
    DZ_TRY(dz_file_read(k->json_path, &text, err));
    json_error_t where;
    json_t *root = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return dz_fail(err, DZ_PARSE, "%s:%d:%d: %s", k->json_path, where.line, where.column,
                       where.text);
    enum dz_code code = read_chapters(k, root, err);
    json_decref(root);
    return code;
}

/* ---- the folder ------------------------------------------------------------------------------ */

/* Folders from the root to the one at hand, against links that lead back. */
struct above {
    const struct above *up;
    dev_t dev;
    ino_t ino;
    unsigned depth;
};

static bool is_unfinished(dz_str name)
{
    return dz_str_starts(name, DZ_S(".")) || dz_str_ends(name, DZ_S(".tmp")) ||
           dz_str_ends(name, DZ_S(".part"));
}

static void add_kfile(struct komi *k, const char *path, const struct stat *st)
{
    struct kfile *f = dz_arena_alloc(k->arena, sizeof(*f));
    *f = (struct kfile){.path = dz_arena_dup(k->arena, dz_str_of(path)),
                        .bytes = (uint64_t)st->st_size,
                        .chapter = NONE};
    f->mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    f->name = dz_str_of(f->path + strlen(k->root) + 1);
    if (k->files_n == k->files_cap) {
        k->files_cap = k->files_cap ? k->files_cap * 2 : 1024;
        k->files = dz_realloc(k->files, k->files_cap * sizeof(struct kfile *));
    }
    k->files[k->files_n++] = f;
    k->teller.total += f->bytes;
}

static enum dz_code walk(struct komi *k, const char *path, const struct above *up,
                         struct dz_err *err);

static enum dz_code walk_entry(struct komi *k, const char *path, const struct above *up,
                               struct dz_err *err)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return DZ_OK; /* gone since */
    if (S_ISLNK(st.st_mode) &&
        (!plan_link_stays(k->root, path, path, &k->teller) || stat(path, &st) < 0))
        return DZ_OK;
    if (S_ISREG(st.st_mode)) {
        add_kfile(k, path, &st);
        return DZ_OK;
    }
    if (!S_ISDIR(st.st_mode) || (st.st_dev == k->data_dev && st.st_ino == k->data_ino))
        return DZ_OK;
    for (const struct above *a = up; a; a = a->up)
        if (a->dev == st.st_dev && a->ino == st.st_ino)
            return DZ_OK;
    struct above here = {up, st.st_dev, st.st_ino, up ? up->depth + 1 : 0};
    if (here.depth > PLAN_DEPTH_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "%s: more than %u folders deep", k->folder,
                       PLAN_DEPTH_MAX);
    return walk(k, path, &here, err);
}

static enum dz_code walk(struct komi *k, const char *path, const struct above *up,
                         struct dz_err *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return dz_fail_errno(err, errno == ENOENT || errno == ENOTDIR ? DZ_NOT_FOUND : DZ_IO, errno,
                             "open the folder %s", path);
    enum dz_code code = DZ_OK;
    struct dirent *e;
    for (errno = 0; code == DZ_OK && (e = readdir(dir)) != NULL; errno = 0) {
        if (is_unfinished(dz_str_of(e->d_name)))
            continue;
        if (++k->entries > PLAN_ENTRIES_MAX)
            code =
                dz_fail(err, DZ_TOO_LARGE, "%s: more than %u files", k->folder, PLAN_ENTRIES_MAX);
        struct dz_buf name DZ_AUTO(dz_buf_done);
        dz_buf_init(&name, 64 * DZ_KIB);
        dz_buf_put(&name, dz_str_of(path));
        if (path[1] != '\0')
            dz_buf_putc(&name, '/');
        dz_buf_put(&name, dz_str_of(e->d_name));
        if (code == DZ_OK)
            code = walk_entry(k, dz_buf_cstr(&name), up, err);
    }
    if (code == DZ_OK && errno != 0)
        code = dz_fail_errno(err, DZ_IO, errno, "read the folder %s", path);
    closedir(dir);
    return code;
}

/* The contract's page name: NN in two digits, no longer than needed; an extension that a page is
 * asked for with. */
static void read_page_name(struct komi *k, struct kfile *f)
{
    size_t dash = dz_str_chr(f->name, '-'), dot = dz_str_rchr(f->name, '.');
    if (dash == DZ_NPOS || dot == DZ_NPOS || dot < dash || dz_str_chr(f->name, '/') != DZ_NPOS)
        return;
    const struct kchapter *c = dz_map_get(&k->by_key, dz_str_sub(f->name, 0, dash));
    dz_str digits = dz_str_sub(f->name, dash + 1, dot),
           ext = dz_str_sub(f->name, dot + 1, f->name.n);
    uint64_t number = 0;
    if (!c || digits.n < 2 || (digits.n > 2 && digits.p[0] == '0') ||
        dz_str_u64(digits, DZ_CHAPTER_PAGES_MAX, &number, NULL) != DZ_OK || number == 0)
        return;
    const char *mime = dz_media_mime_of_name(f->name);
    bool is_own = false;
    for (int t = DZ_MEDIA_UNKNOWN + 1; mime && t < DZ_MEDIA_TYPE_COUNT; t++)
        is_own |= strcmp(dz_media_mime((enum dz_media_type)t), mime) == 0 &&
                  dz_str_eq(dz_str_of(dz_media_ext((enum dz_media_type)t)), ext);
    if (!is_own)
        return;
    f->chapter = (size_t)(c - k->chapters);
    f->number = (uint32_t)number;
}

static bool is_jpg(const struct kfile *f)
{
    return dz_str_ends(f->name, DZ_S(".jpg"));
}

/* Pages of a chapter together, by number, ".jpg" first; then the assets by name. */
static int cmp_kfiles(const void *a, const void *b)
{
    const struct kfile *x = *(struct kfile *const *)a, *y = *(struct kfile *const *)b;
    if (x->chapter != y->chapter)
        return x->chapter < y->chapter ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    if (x->chapter != NONE && is_jpg(x) != is_jpg(y))
        return is_jpg(x) ? -1 : 1;
    return library_path_cmp(x->name, y->name);
}

static void sort_files(struct komi *k)
{
    if (k->files_n > 0)
        qsort(k->files, k->files_n, sizeof(struct kfile *), cmp_kfiles);
}

static enum dz_code load_folder(struct komi *k, struct dz_err *err)
{
    char *real = realpath(k->folder, NULL);
    if (!real)
        return dz_fail_errno(err, DZ_NOT_FOUND, errno, "open the folder %s", k->folder);
    k->root = dz_arena_dup(k->arena, strcmp(real, "/") == 0 ? DZ_S("") : dz_str_of(real));
    free(real);
    const char *top = *k->root ? k->root : "/";
    struct stat st;
    if (stat(top, &st) < 0 || !S_ISDIR(st.st_mode))
        return dz_fail(err, DZ_BAD_INPUT, "%s is no folder; want the folder of images", k->folder);
    DZ_TRY(walk_entry(k, top, NULL, err));
    for (size_t i = 0; i < k->files_n; i++)
        read_page_name(k, k->files[i]);
    sort_files(k);
    /* One file a page: the others keep their names as assets. */
    const struct kfile *last = NULL;
    for (size_t i = 0; i < k->files_n; i++) {
        struct kfile *f = k->files[i];
        if (f->chapter != NONE && last && last->chapter == f->chapter && last->number == f->number)
            f->chapter = NONE;
        else
            last = f;
    }
    for (size_t i = 0; i < k->files_n; i++)
        if (k->files[i]->chapter == NONE)
            k->files[i]->number = 0;
    sort_files(k);
    for (size_t i = 0; i < k->files_n && k->files[i]->chapter != NONE; i++) {
        struct kchapter *c = &k->chapters[k->files[i]->chapter];
        if (c->pages_n++ == 0)
            c->pages = &k->files[i];
    }
    return DZ_OK;
}

/* ---- files into the store -------------------------------------------------------------------- */

struct pieces {
    int fd;
    const char *path;
    char *p;
};

static enum dz_code next_piece(void *arg, dz_str *ret_piece, struct dz_err *err)
{
    struct pieces *s = arg;
    for (;;) {
        ssize_t n = dz_fault("read") ? (errno = EIO, -1) : read(s->fd, s->p, PIECE_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dz_fail_errno(err, DZ_IO, errno, "read %s", s->path);
        *ret_piece = (dz_str){s->p, (size_t)n};
        return DZ_OK;
    }
}

static enum dz_code put_large(struct komi *k, const struct kfile *f, struct dz_blob_stat *ret_stat,
                              struct dz_err *err)
{
    struct pieces s = {.path = f->path};
    DZ_AUTO(dz_closep) int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "open %s", f->path);
    s.fd = fd;
    s.p = dz_alloc(PIECE_BYTES);
    enum dz_code code = dz_store_batch_put(k->batch, next_piece, &s, ret_stat, err);
    free(s.p);
    return code;
}

/* The file's bytes as they are, and what is known of them. */
static enum dz_code put_file(struct komi *k, const struct kfile *f, struct dz_blob_rec *ret_blob,
                             struct dz_err *err)
{
    struct dz_blob_stat stat;
    struct dz_media_info info = {.type = DZ_MEDIA_UNKNOWN};
    struct dz_err own = {0};
    if (import_stopped(&k->teller))
        return dz_fail(err, DZ_CANCELLED, "stopped");
    if (f->bytes > IMPORT_PAGE_BYTES_MAX) {
        DZ_TRY(put_large(k, f, &stat, err));
    } else {
        dz_buf_clear(&k->bytes);
        DZ_TRY(dz_file_read(f->path, &k->bytes, err));
        dz_str bytes = dz_buf_str(&k->bytes);
        enum dz_code code = dz_media_inspect(bytes, &info, &own);
        if (code != DZ_OK && dz_media_name_is_image(f->name))
            import_tell(&k->teller, DZ_IMPORT_WARNING, k->folder, f->name.p, own.text);
        if (code != DZ_OK)
            info = (struct dz_media_info){.type = dz_media_sniff(bytes)};
        DZ_TRY(dz_store_batch_put_bytes(k->batch, bytes, &stat, err));
    }
    const char *mime = dz_media_mime_of_name(f->name);
    *ret_blob = (struct dz_blob_rec){stat.sha, stat.bytes, info.width, info.height,
                                     dz_str_of(mime ? mime : dz_media_mime(info.type))};
    k->teller.done += f->bytes;
    import_tell(&k->teller, DZ_IMPORT_PAGE, k->folder, f->name.p, NULL);
    return DZ_OK;
}

/* ---- chapters -------------------------------------------------------------------------------- */

static dz_str stamp_of(struct komi *k, const struct kchapter *c)
{
    DZ_AUTO(dz_sha256_free) struct dz_sha256_ctx *hash = dz_sha256_new();
    dz_sha256_add(hash, c->json);
    for (size_t i = 0; i < c->pages_n; i++) {
        char text[64];
        int n = snprintf(text, sizeof(text), "%llu %lld", (unsigned long long)c->pages[i]->bytes,
                         (long long)c->pages[i]->mtime_ns);
        dz_sha256_add(hash, (dz_str){c->pages[i]->name.p, c->pages[i]->name.n + 1});
        dz_sha256_add(hash, (dz_str){text, (size_t)n + 1});
    }
    struct dz_sha256 sha = dz_sha256_end(hash);
    char hex[32];
    dz_hex(sha.b, sizeof(hex) / 2, hex);
    return dz_arena_printf(k->arena, "k%d-%.*s", KOMIZIP_VERSION, (int)sizeof(hex), hex);
}

/* The folder's pages, and between them those stored earlier whose files are gone. */
static enum dz_code read_pages(struct komi *k, struct kchapter *c, struct dz_err *err)
{
    size_t old_n = c->old ? c->old->pages_n : 0, n = 0, o = 0;
    struct dz_page_rec *pages = dz_arena_alloc(k->piece, (c->pages_n + old_n + 1) * sizeof(*pages));
    for (size_t i = 0; i < c->pages_n; i++) {
        const struct kfile *f = c->pages[i];
        for (; o < old_n && c->old->pages[o].number <= f->number; o++)
            if (c->old->pages[o].number < f->number)
                pages[n++] = c->old->pages[o];
        struct dz_page_rec *p = &pages[n++];
        *p = (struct dz_page_rec){
            .number = f->number, .mtime_s = f->mtime_ns / 1000000000, .name = f->name};
        DZ_TRY(put_file(k, f, &p->blob, err));
    }
    for (; o < old_n; o++)
        pages[n++] = c->old->pages[o];
    c->rec.pages = pages;
    c->rec.pages_n = n;
    if (c->counts_pages)
        c->rec.page_count = (uint32_t)n;
    return DZ_OK;
}

static enum dz_code store_chapter(struct komi *k, struct kchapter *c, bool *ret_changed,
                                  struct dz_err *err)
{
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    int64_t id = 0;
    DZ_TRY(dz_store_batch_commit(k->batch, err));
    DZ_TRY(dz_batch_begin(k->l->catalog, &b, err));
    DZ_TRY(dz_catalog_lock_check(k->lock, err));
    enum dz_code code = dz_batch_chapter(b, k->series.id, &c->rec, &id, ret_changed, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "chapter \"%.*s\"", DZ_STR_FMT(dz_str_clip(c->rec.key, 60)));
    return dz_batch_commit(&b, NULL, err);
}

static enum dz_code import_chapter(struct komi *k, struct kchapter *c, struct dz_err *err)
{
    bool changed = false;
    uint64_t bytes = 0;
    DZ_AUTO(dz_freep) char *key = dz_str_dup(c->rec.key);
    for (size_t i = 0; i < c->pages_n; i++)
        bytes += c->pages[i]->bytes;
    c->rec.origin = library_text(k->arena, dz_str_of(k->json_path));
    c->rec.origin_stamp = stamp_of(k, c);
    if (c->old) {
        c->rec.id = c->old->id;
        c->rec.source_id = c->old->source_id;
    }
    if (c->old && dz_str_eq(c->old->origin_stamp, c->rec.origin_stamp)) {
        k->teller.done += bytes;
        k->result.chapters_same++;
        import_tell(&k->teller, DZ_IMPORT_SKIPPED, k->json_path, key, NULL);
        return DZ_OK;
    }
    dz_arena_reset(k->piece);
    DZ_TRY(read_pages(k, c, err));
    DZ_TRY(store_chapter(k, c, &changed, err));
    k->result.chapters_new += !c->old;
    k->result.chapters_changed += c->old && changed;
    k->result.chapters_same += c->old && !changed;
    if (!c->old || changed) {
        k->result.pages += c->pages_n;
        k->result.bytes += bytes;
    }
    import_tell(&k->teller, c->old && !changed ? DZ_IMPORT_SKIPPED : DZ_IMPORT_CHAPTER,
                k->json_path, key, NULL);
    return DZ_OK;
}

/* ---- assets ---------------------------------------------------------------------------------- */

static enum dz_code import_assets(struct komi *k, struct kfile *const *files, size_t n,
                                  struct dz_err *err)
{
    dz_arena_reset(k->piece);
    struct dz_asset_rec *recs = dz_arena_alloc(k->piece, (n + 1) * sizeof(*recs));
    for (size_t i = 0; i < n; i++) {
        recs[i] = (struct dz_asset_rec){.name = files[i]->name,
                                        .mtime_s = files[i]->mtime_ns / 1000000000};
        DZ_TRY(put_file(k, files[i], &recs[i].blob, err));
    }
    DZ_TRY(dz_store_batch_commit(k->batch, err));
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    DZ_TRY(dz_batch_begin(k->l->catalog, &b, err));
    DZ_TRY(dz_catalog_lock_check(k->lock, err));
    struct dz_import_result r = {0};
    for (size_t i = 0; i < n; i++) {
        bool changed = false;
        enum dz_code code = dz_batch_asset(b, k->series.id, &recs[i], &changed, err);
        if (code != DZ_OK)
            return dz_wrap(err, code, "%s: file \"%.*s\"", k->folder,
                           DZ_STR_FMT(dz_str_clip(recs[i].name, 60)));
        r.assets += changed;
        r.bytes += changed ? recs[i].blob.bytes : 0;
    }
    DZ_TRY(dz_batch_commit(&b, NULL, err));
    k->result.assets += r.assets;
    k->result.bytes += r.bytes;
    return DZ_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static const struct dz_conf_shelf *shelf_of(const struct dz_conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->shelves_n; i++)
        if (strcmp(conf->shelves[i].name, name) == 0)
            return &conf->shelves[i];
    return NULL;
}

/* Which series: as the settings say for the shelf, else one of our own. */
static enum dz_code find_series(struct komi *k, const struct dz_conf *conf, struct dz_err *err)
{
    const struct dz_conf_shelf *c = shelf_of(conf, k->o->shelf);
    dz_str series = c && c->series ? dz_str_of(c->series) : (dz_str){NULL, 0};
    size_t slash = dz_str_chr(series, '/');
    uint64_t id = 0;
    k->series =
        (struct dz_series_rec){.source = DZ_S("komizip"),
                               .source_id = dz_str_of(k->o->shelf),
                               .title = dz_str_of(k->o->series ? k->o->series : k->o->shelf)};
    if (slash != DZ_NPOS) {
        k->series.source = dz_str_sub(series, 0, slash);
        k->series.source_id = dz_str_sub(series, slash + 1, series.n);
    } else if (series.n > 0) {
        DZ_TRY(dz_str_u64(series, INT64_MAX, &id, err));
        k->series.id = (int64_t)id;
    }
    int64_t found = k->series.id;
    enum dz_code code = DZ_OK;
    if (found == 0)
        code = dz_catalog_series_find(k->l->catalog, k->series.source, k->series.source_id, &found,
                                      err);
    if (code == DZ_NOT_FOUND)
        return DZ_OK;
    DZ_TRY(code);
    code = dz_catalog_load(k->l->catalog, found, k->arena, &k->stored, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "the series of shelf %s", k->o->shelf);
    dz_str title = k->series.title;
    k->series = k->stored.series;
    if (k->o->series)
        k->series.title = title;
    for (size_t i = 0; i < k->stored.chapters_n; i++) {
        struct kchapter *own = dz_map_get(&k->by_key, k->stored.chapters[i].key);
        if (own)
            own->old = &k->stored.chapters[i];
    }
    return DZ_OK;
}

static enum dz_code put_series(struct komi *k, struct dz_err *err)
{
    DZ_AUTO(dz_batch_rollback) struct dz_batch *b = NULL;
    DZ_TRY(dz_batch_begin(k->l->catalog, &b, err));
    DZ_TRY(dz_batch_series(b, &k->series, &k->series.id, err));
    DZ_TRY(dz_batch_commit(&b, NULL, err));
    return import_put_shelf(k->l->catalog, k->o->shelf, k->series.id, err);
}

static enum dz_code run(struct komi *k, const struct dz_conf *conf, struct dz_err *err)
{
    struct stat own;
    if (stat(conf->data_dir, &own) == 0) {
        k->data_dev = own.st_dev;
        k->data_ino = own.st_ino;
    }
    DZ_TRY(load_json(k, err));
    DZ_TRY(load_folder(k, err));
    DZ_TRY(find_series(k, conf, err));
    import_tell(&k->teller, DZ_IMPORT_PLAN, k->json_path, NULL, NULL);
    DZ_TRY(put_series(k, err));
    k->result.series = 1;
    DZ_TRY(dz_store_batch_begin(k->l->store, &k->batch, err));
    for (size_t i = 0; i < k->chapters_n; i++)
        DZ_TRY(import_chapter(k, &k->chapters[i], err));
    size_t first = 0;
    while (first < k->files_n && k->files[first]->chapter != NONE)
        first++;
    for (size_t at = first; at < k->files_n; at += ASSETS_PER_BATCH) {
        size_t left = k->files_n - at;
        DZ_TRY(import_assets(k, &k->files[at], left < ASSETS_PER_BATCH ? left : ASSETS_PER_BATCH,
                             err));
    }
    return DZ_OK;
}

enum dz_code dz_library_import_komizip(struct dz_library *l, const char *chapters_json,
                                       const char *cdn_folder, const struct dz_import_options *o,
                                       struct dz_import_result *ret_result, struct dz_err *err)
{
    struct komi k = {.l = l, .o = o, .json_path = chapters_json, .folder = cdn_folder};
    *ret_result = k.result;
    DZ_AUTO(dz_catalog_unlock) struct dz_catalog_lock *lock = NULL;
    pthread_mutex_lock(&l->lock);
    DZ_AUTO(dz_conf_unref) struct dz_conf *conf = dz_conf_ref(l->conf);
    pthread_mutex_unlock(&l->lock);
    DZ_TRY(import_check_shelf(o->shelf, err));
    DZ_TRY(library_lock(l->catalog, false, &lock, err));
    k.lock = lock;
    k.teller = (struct import_teller){.o = o, .result = &k.result};
    k.arena = dz_arena_new(PLAN_BYTES_MAX);
    k.piece = dz_arena_new(DZ_GIB);
    dz_map_init(&k.by_key);
    dz_buf_init(&k.bytes, IMPORT_PAGE_BYTES_MAX);
    enum dz_code code = run(&k, conf, err);
    *ret_result = k.result;
    dz_store_batch_free(&k.batch);
    dz_map_done(&k.by_key);
    dz_buf_done(&k.bytes);
    free(k.files);
    dz_arena_free(&k.piece);
    dz_arena_free(&k.arena);
    return code;
}
