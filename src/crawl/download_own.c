/*
 * download_own: files of a chapter that a source hands over itself, instead of naming pages.
 *
 * In: bytes, as the source adds them, which may not wait. Out: files in the folder of the work,
 * written on the pool, and in the end a list of them in the order they came. Loop thread, but for
 * run_own. Odd: nothing can be asked to come slower, so what has been added and is not on disk yet
 * has a limit.
 */
#include <stdlib.h>

#include "crawl/download_int.h"

#define WAITING_MAX (256 * DZ_MIB)
#define NAMES_MAX (16 * DZ_MIB)

struct own_file {
    struct download_own *all;
    struct dz_work work;
    struct dz_buf bytes;
    dz_str name; /* n = 0: it has none */
    struct crawl_kept kept;
    enum dz_code code;
    struct dz_err err;
};

struct download_own {
    const struct crawl_env *env;
    struct crawl_keeper *keeper;
    void (*kept)(void *arg, uint64_t bytes);
    void *arg;
    struct dz_arena *arena; /* names */
    struct own_file **v;
    size_t n, cap, out;
    uint64_t waiting; /* bytes */
};

struct download_own *download_own_new(const struct crawl_env *env, struct crawl_keeper *keeper,
                                      void (*kept)(void *arg, uint64_t bytes), void *arg)
{
    struct download_own *o = dz_new(struct download_own);
    o->env = env;
    o->keeper = keeper;
    o->kept = kept;
    o->arg = arg;
    o->arena = dz_arena_new(NAMES_MAX);
    return o;
}

static void run_own(struct dz_work *w)
{
    struct own_file *f = dz_container(w, struct own_file, work);
    dz_str bytes = dz_buf_str(&f->bytes);
    struct dz_media_info info;
    if (dz_media_inspect(bytes, &info, NULL) != DZ_OK) /* files need not be pictures */
        info = (struct dz_media_info){.type = dz_media_sniff(bytes)};
    f->kept.blob = (struct dz_blob_rec){.bytes = bytes.n,
                                        .width = info.width,
                                        .height = info.height,
                                        .mime = dz_str_of(dz_media_mime(info.type))};
    f->code = f->all->keeper->type->put(f->all->keeper, &f->kept, bytes, &f->err);
}

static void on_own(struct dz_work *w)
{
    struct own_file *f = dz_container(w, struct own_file, work);
    struct download_own *o = f->all;
    o->waiting -= f->bytes.n;
    dz_buf_done(&f->bytes);
    o->out--;
    o->kept(o->arg, f->kept.blob.bytes);
}

static void keep_file(struct download_own *o, struct own_file *f)
{
    if (o->n == o->cap) {
        o->cap = o->cap ? 2 * o->cap : 64;
        o->v = dz_realloc(o->v, o->cap * sizeof(struct own_file *));
    }
    o->v[o->n++] = f;
    o->out++;
    o->waiting += f->bytes.n;
}

enum dz_code download_own_add(struct download_own *o, dz_str name, dz_str bytes, struct dz_err *err)
{
    if (o->n >= DZ_CHAPTER_PAGES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "more than %u files", DZ_CHAPTER_PAGES_MAX);
    if (bytes.n == 0 || bytes.n > CRAWL_PAGE_BYTES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "a file has from 1 to %llu bytes, not %zu",
                       (unsigned long long)CRAWL_PAGE_BYTES_MAX, bytes.n);
    if (o->waiting + bytes.n > WAITING_MAX)
        return dz_fail(err, DZ_FULL, "the disk does not keep up with the source");
    struct own_file *f = dz_new(struct own_file);
    f->all = o;
    f->kept = (struct crawl_kept){.at = (uint32_t)o->n, .mtime_s = dz_now_ms() / 1000};
    dz_buf_init(&f->bytes, CRAWL_PAGE_BYTES_MAX);
    dz_buf_put(&f->bytes, bytes);
    if (name.n > 0) {
        DZ_AUTO(dz_buf_done) struct dz_buf safe;
        dz_buf_init(&safe, DZ_KIB);
        dz_file_name_put(name, DZ_S(""), &safe);
        f->name = dz_arena_str(o->arena, dz_buf_str(&safe));
    }
    f->work = (struct dz_work){.run = run_own, .home = o->env->loop, .done = on_own};
    enum dz_code code = dz_pool_submit(o->env->pool, &f->work, err);
    if (code == DZ_OK) {
        keep_file(o, f);
        return DZ_OK;
    }
    dz_buf_done(&f->bytes);
    free(f);
    return code;
}

bool download_own_waits(const struct download_own *o)
{
    return o && o->out > 0;
}

enum dz_code download_own_list(const struct download_own *o, struct dz_arena *a,
                               struct crawl_kept **ret_v, dz_str **ret_names, size_t *ret_n,
                               struct dz_err *err)
{
    struct crawl_kept *v = dz_arena_alloc(a, (o->n ? o->n : 1) * sizeof(*v));
    dz_str *names = dz_arena_alloc(a, (o->n ? o->n : 1) * sizeof(*names));
    for (size_t i = 0; i < o->n; i++) {
        const struct own_file *f = o->v[i];
        if (f->code != DZ_OK) {
            if (err)
                *err = f->err;
            return f->code;
        }
        v[i] = f->kept;
        names[i] = f->name;
    }
    if (o->n == 0)
        return dz_fail(err, DZ_PARSE, "the source hands over no files");
    *ret_v = v;
    *ret_names = names;
    *ret_n = o->n;
    return DZ_OK;
}

void download_own_free(struct download_own **oo)
{
    struct download_own *o = dz_take(oo);
    if (!o)
        return;
    dz_assert(o->out == 0);
    for (size_t i = 0; i < o->n; i++)
        free(o->v[i]);
    free(o->v);
    dz_arena_free(&o->arena);
    free(o);
}
