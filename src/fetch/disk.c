/*
 * disk: answers kept between runs, a file each, named by the digest of their address.
 *
 * In: answers that may be kept. Out: the same, until they are too many, too large together, or too
 * old. A file is a line with version and lengths, a JSON object with what is known of the answer,
 * and the body. It is a cache: written without fsync, by rename, and whatever cannot be read is
 * removed and forgotten. The loop's thread only; files are small and local, so it reads and writes
 * them where it stands.
 */
#include "fetch/fetch_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_N 64 /* hex digits */
#define HEAD_LINE "dozo-http-cache 1 "
#define META_MAX (256 * DZ_KIB)
#define ENTRY_MAX (16 * META_MAX) /* in memory: two bytes of JSON are at most a field of 32 */

struct item {
    struct item *prev, *next; /* newest first */
    uint64_t bytes;
    char name[NAME_N + 1];
};

struct dz_fetch_disk {
    char *dir;
    uint64_t entries_max, bytes_max, entries, bytes;
    struct item *first, *last;
    struct dz_map by_name;
};

void dz_fetch_entry_free(struct dz_fetch_entry **e)
{
    struct dz_fetch_entry *gone = dz_take(e);
    if (!gone)
        return;
    struct dz_arena *arena = gone->arena; /* the entry itself lies in it */
    dz_body_unref(&gone->body);
    dz_arena_free(&arena);
}

/* ---- list ------------------------------------------------------------------------------------ */

static void unlink_item(struct dz_fetch_disk *d, struct item *i)
{
    *(i->prev ? &i->prev->next : &d->first) = i->next;
    *(i->next ? &i->next->prev : &d->last) = i->prev;
}

static void push_item(struct dz_fetch_disk *d, struct item *i)
{
    i->prev = NULL;
    i->next = d->first;
    *(d->first ? &d->first->prev : &d->last) = i;
    d->first = i;
}

static void path_of(const struct dz_fetch_disk *d, const char *name, char *to, size_t n)
{
    snprintf(to, n, "%s/%s", d->dir, name);
}

static void forget(struct dz_fetch_disk *d, struct item *i)
{
    char path[4096];
    path_of(d, i->name, path, sizeof(path));
    (void)unlink(path);
    (void)dz_map_del(&d->by_name, (dz_str){i->name, NAME_N});
    unlink_item(d, i);
    d->entries--;
    d->bytes -= i->bytes;
    dz_freep(&i);
}

static void make_room(struct dz_fetch_disk *d)
{
    while (d->last && (d->entries > d->entries_max || d->bytes > d->bytes_max))
        forget(d, d->last);
}

static struct item *add(struct dz_fetch_disk *d, const char *name, uint64_t bytes)
{
    struct item *i = dz_map_get(&d->by_name, (dz_str){name, NAME_N});
    if (i) {
        unlink_item(d, i);
        d->bytes -= i->bytes;
    } else {
        i = dz_new(struct item);
        memcpy(i->name, name, NAME_N);
        (void)dz_map_set(&d->by_name, (dz_str){i->name, NAME_N}, i);
        d->entries++;
    }
    i->bytes = bytes;
    d->bytes += bytes;
    push_item(d, i);
    return i;
}

static void name_of(dz_str url, char name[NAME_N + 1])
{
    struct dz_sha256 sha = dz_sha256_of(url);
    dz_hex(sha.b, sizeof(sha.b), name);
    name[NAME_N] = 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

struct found {
    struct timespec at;
    uint64_t bytes;
    char name[NAME_N + 1];
};

static int by_age(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->at.tv_sec != y->at.tv_sec)
        return x->at.tv_sec < y->at.tv_sec ? -1 : 1;
    return x->at.tv_nsec < y->at.tv_nsec ? -1 : x->at.tv_nsec > y->at.tv_nsec;
}

static void read_dir(struct dz_fetch_disk *d, DIR *dir)
{
    struct found *all = NULL;
    size_t n = 0, cap = 0;
    const struct dirent *e;
    while ((e = readdir(dir))) {
        struct stat st;
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        if (strlen(e->d_name) != NAME_N) { /* unfinished, of a run that was killed */
            if (strncmp(e->d_name, ".tmp-", 5) == 0)
                (void)unlinkat(dirfd(dir), e->d_name, 0);
            continue;
        }
        if (n == cap) {
            cap = cap ? cap * 2 : 64;
            all = dz_realloc(all, cap * sizeof(*all));
        }
        all[n] = (struct found){.at = st.st_mtim, .bytes = (uint64_t)st.st_size};
        memcpy(all[n++].name, e->d_name, NAME_N);
    }
    if (n > 0)
        qsort(all, n, sizeof(*all), by_age);
    for (size_t i = 0; i < n; i++)
        (void)add(d, all[i].name, all[i].bytes);
    dz_freep(&all);
}

enum dz_code dz_fetch_disk_open(const char *dir, uint64_t entries_max, uint64_t bytes_max,
                                struct dz_fetch_disk **ret_d, struct dz_err *err)
{
    DZ_TRY(dz_mkdirs(dir, 0700, err));
    DIR *open = opendir(dir);
    if (!open)
        return dz_fail_errno(err, DZ_IO, errno, "cannot read the cache folder %s", dir);
    struct dz_fetch_disk *d = dz_new(struct dz_fetch_disk);
    d->dir = dz_strdup(dir);
    d->entries_max = entries_max;
    d->bytes_max = bytes_max;
    dz_map_init(&d->by_name);
    read_dir(d, open);
    closedir(open);
    make_room(d);
    *ret_d = d;
    return DZ_OK;
}

void dz_fetch_disk_close(struct dz_fetch_disk **d)
{
    struct dz_fetch_disk *gone = dz_take(d);
    if (!gone)
        return;
    while (gone->first) {
        struct item *i = gone->first;
        gone->first = i->next;
        dz_freep(&i);
    }
    dz_map_done(&gone->by_name);
    dz_freep(&gone->dir);
    dz_freep(&gone);
}

/* ---- entries --------------------------------------------------------------------------------- */

static struct dz_fetch_entry *entry_of(const json_t *meta, dz_str body)
{
    struct dz_arena *a = dz_arena_new(ENTRY_MAX);
    struct dz_fetch_entry *e = dz_arena_alloc(a, sizeof(*e));
    *e = (struct dz_fetch_entry){.arena = a};
    e->url = dz_arena_str(a, dz_json_text_at(meta, "url"));
    e->from = dz_arena_str(a, dz_json_text_at(meta, "from"));
    e->status = (int)json_integer_value(json_object_get(meta, "status"));
    e->stored_s = json_integer_value(json_object_get(meta, "stored"));
    e->fresh_s = json_integer_value(json_object_get(meta, "fresh"));
    const json_t *headers = json_object_get(meta, "headers");
    size_t n = json_array_size(headers) / 2;
    struct dz_fetch_header *v = dz_arena_alloc(a, (n + 1) * sizeof(*v));
    for (size_t i = 0; i < n; i++) {
        const json_t *name = json_array_get(headers, 2 * i),
                     *value = json_array_get(headers, 2 * i + 1);
        v[i].name = dz_arena_str(a, dz_json_text(name));
        v[i].value = dz_arena_str(a, dz_json_text(value));
    }
    e->headers = v;
    e->headers_n = n;
    e->body = dz_body_new(body.n);
    if (body.n > 0)
        memcpy(e->body->p, body.p, body.n);
    return e;
}

/* NULL: not what was written. */
static struct dz_fetch_entry *parse(dz_str file)
{
    size_t line = dz_str_chr(file, '\n');
    if (line == DZ_NPOS || !dz_str_starts(file, DZ_S(HEAD_LINE)))
        return NULL;
    dz_str numbers = dz_str_sub(file, strlen(HEAD_LINE), line);
    size_t blank = dz_str_chr(numbers, ' ');
    uint64_t meta_n, body_n;
    if (blank == DZ_NPOS ||
        dz_str_u64(dz_str_sub(numbers, 0, blank), META_MAX, &meta_n, NULL) != DZ_OK ||
        dz_str_u64(dz_str_sub(numbers, blank + 1, numbers.n), DZ_FETCH_BODY_MAX, &body_n, NULL) !=
            DZ_OK ||
        file.n != line + 1 + meta_n + body_n)
        return NULL;
    json_t *meta = json_loadb(file.p + line + 1, (size_t)meta_n, JSON_ALLOW_NUL, NULL);
    struct dz_fetch_entry *e =
        json_is_object(meta) ? entry_of(meta, dz_str_sub(file, line + 1 + (size_t)meta_n, file.n))
                             : NULL;
    json_decref(meta);
    return e;
}

struct dz_fetch_entry *dz_fetch_disk_get(struct dz_fetch_disk *d, dz_str url)
{
    char name[NAME_N + 1], path[4096];
    name_of(url, name);
    struct item *i = dz_map_get(&d->by_name, (dz_str){name, NAME_N});
    if (!i)
        return NULL;
    DZ_AUTO(dz_buf_done) struct dz_buf file;
    dz_buf_init(&file, (size_t)DZ_FETCH_BODY_MAX + META_MAX + 4096);
    path_of(d, name, path, sizeof(path));
    struct dz_fetch_entry *e =
        dz_file_read(path, &file, NULL) == DZ_OK ? parse(dz_buf_str(&file)) : NULL;
    if (e && !dz_str_eq(e->url, url))
        dz_fetch_entry_free(&e);
    if (!e) {
        forget(d, i);
        return NULL;
    }
    unlink_item(d, i);
    push_item(d, i);
    return e;
}

void dz_fetch_disk_forget(struct dz_fetch_disk *d, dz_str url)
{
    char name[NAME_N + 1];
    name_of(url, name);
    struct item *i = dz_map_get(&d->by_name, (dz_str){name, NAME_N});
    if (i)
        forget(d, i);
}

static void put_meta(struct dz_buf *b, const struct dz_fetch_entry *e)
{
    struct dz_json j;
    dz_json_init(&j, b, DZ_JSON_COMPACT, false);
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("url"));
    dz_json_str(&j, e->url);
    dz_json_key(&j, DZ_S("from"));
    dz_json_str(&j, e->from);
    dz_json_key(&j, DZ_S("status"));
    dz_json_int(&j, e->status);
    dz_json_key(&j, DZ_S("stored"));
    dz_json_int(&j, e->stored_s);
    dz_json_key(&j, DZ_S("fresh"));
    dz_json_int(&j, e->fresh_s);
    dz_json_key(&j, DZ_S("headers"));
    dz_json_array(&j);
    for (size_t i = 0; i < e->headers_n; i++) {
        dz_json_str(&j, e->headers[i].name);
        dz_json_str(&j, e->headers[i].value);
    }
    dz_json_end(&j);
    dz_json_end(&j);
}

void dz_fetch_disk_put(struct dz_fetch_disk *d, const struct dz_fetch_entry *e)
{
    char name[NAME_N + 1], path[4096], part[4096];
    DZ_AUTO(dz_buf_done) struct dz_buf meta, head;
    dz_buf_init(&meta, META_MAX);
    dz_buf_init(&head, META_MAX + 4096);
    put_meta(&meta, e);
    if (meta.full || d->entries_max == 0 || e->body->n > d->bytes_max / 4)
        return;
    dz_buf_putf(&head, HEAD_LINE "%zu %zu\n", meta.n, e->body->n);
    dz_buf_put(&head, dz_buf_str(&meta));
    name_of(e->url, name);
    path_of(d, name, path, sizeof(path));
    snprintf(part, sizeof(part), "%s/.tmp-%.16s-%ld", d->dir, name, (long)getpid());
    DZ_AUTO(dz_closep) int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && dz_write_all(fd, dz_buf_str(&head), NULL) == DZ_OK &&
                dz_write_all(fd, (dz_str){e->body->p, e->body->n}, NULL) == DZ_OK &&
                rename(part, path) == 0;
    if (!good) {
        (void)unlink(part);
        return;
    }
    (void)add(d, name, head.n + e->body->n);
    make_room(d);
}

/* ---- rules ----------------------------------------------------------------------------------- */

/* What makes the answer the asker's own: who asks, for which part, what is there already. */
static bool is_personal(dz_str name)
{
    static const char *const own[] = {"authorization",
                                      "cookie",
                                      "range",
                                      "if-match",
                                      "if-none-match",
                                      "if-range",
                                      "if-modified-since",
                                      "if-unmodified-since"};
    for (size_t i = 0; i < DZ_LEN(own); i++)
        if (dz_str_eq_nocase(name, dz_str_of(own[i])))
            return true;
    return false;
}

struct fields {
    const struct dz_fetch_header *v;
    size_t n;
};

/* A directive of a field, whichever of its lines it stands in (RFC 9110 5.3). */
static bool says(struct fields f, dz_str name, dz_str directive, dz_str *ret_value)
{
    for (size_t i = 0; i < f.n; i++)
        if (dz_str_eq_nocase(f.v[i].name, name) &&
            dz_fetch_directive(f.v[i].value, directive, ret_value))
            return true;
    return false;
}

static bool names_one(struct fields asked, struct fields answer)
{
    dz_str value;
    for (size_t i = 0; i < asked.n; i++)
        if (is_personal(asked.v[i].name) || says(answer, DZ_S("vary"), asked.v[i].name, &value))
            return true;
    return false;
}

bool dz_fetch_is_special(const struct dz_fetch_req *r, const struct dz_fetch_header *answer,
                         size_t answer_n)
{
    struct fields said = {answer, answer_n};
    dz_str value;
    return names_one((struct fields){r->headers, r->headers_n}, said) ||
           names_one((struct fields){r->policy->headers, r->policy->headers_n}, said) ||
           says(said, DZ_S("vary"), DZ_S("*"), &value);
}

static bool is_text(dz_str type)
{
    static const char *const others[] = {"image/",
                                         "video/",
                                         "audio/",
                                         "font/",
                                         "application/octet-stream",
                                         "application/zip",
                                         "application/pdf",
                                         "application/vnd.comicbook"};
    for (size_t i = 0; i < DZ_LEN(others); i++)
        if (dz_str_eq_nocase(dz_str_sub(type, 0, strlen(others[i])), dz_str_of(others[i])))
            return false;
    return true;
}

bool dz_fetch_may_store(const struct dz_fetch_req *r, const struct dz_fetch_res *res,
                        int64_t wall_s, int64_t *ret_fresh_s)
{
    const dz_str control = DZ_S("cache-control");
    struct fields said = {res->headers, res->headers_n};
    dz_str value;
    if (res->status != 200 || says(said, control, DZ_S("no-store"), &value) ||
        dz_fetch_is_special(r, res->headers, res->headers_n))
        return false;
    dz_str type = dz_fetch_find(res->headers, res->headers_n, DZ_S("content-type"));
    if (r->keep_text_only && !is_text(type))
        return false;
    *ret_fresh_s = 0;
    uint64_t n;
    int64_t expires_s, date_s = wall_s;
    dz_str expires = dz_fetch_find(res->headers, res->headers_n, DZ_S("expires"));
    if (says(said, control, DZ_S("no-cache"), &value))
        return true;
    if (says(said, control, DZ_S("max-age"), &value)) {
        if (dz_str_u64(value, INT32_MAX, &n, NULL) == DZ_OK)
            *ret_fresh_s = (int64_t)n;
    } else if (expires.n > 0 && dz_time_http_parse(expires, wall_s, &expires_s, NULL) == DZ_OK) {
        dz_str date = dz_fetch_find(res->headers, res->headers_n, DZ_S("date"));
        if (dz_time_http_parse(date, wall_s, &date_s, NULL) != DZ_OK)
            date_s = wall_s;
        *ret_fresh_s = expires_s > date_s ? expires_s - date_s : 0;
    }
    dz_str age = dz_fetch_find(res->headers, res->headers_n, DZ_S("age"));
    if (dz_str_u64(age, INT32_MAX, &n, NULL) == DZ_OK)
        *ret_fresh_s = *ret_fresh_s > (int64_t)n ? *ret_fresh_s - (int64_t)n : 0;
    return true;
}
