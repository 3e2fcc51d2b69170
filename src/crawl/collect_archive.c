/*
 * collect_archive: bytes that a crawl keeps as they came: data_dir/html/NAME.gz.
 *
 * In: bytes and a name that the source room has checked. Out: a gzip file under a temporary name,
 * synced, then renamed over what was there, so that nobody ever sees half of one. The same bytes
 * make the same file: its header has no time and no name. On the pool; answers on the loop.
 */
#include <stdlib.h>
#include <zlib.h>

#include "crawl/collect_int.h"

#define FILE_MODE 0644
#define FOLDER_MODE 0755
#define PATH_BYTES_MAX (64 * DZ_KIB)
#define LEVEL 6
#define PACKED_MAX (64 * DZ_MIB) /* what a source can hand over has half of it */

struct keeping {
    struct dz_work work;
    struct crawl_collect *c;
    struct dz_source_ask *ask;
    struct dz_buf path; /* made on the loop: the settings may be another's by then */
    enum dz_code code;
    struct dz_err err;
};

static void gzip_done(z_stream *z)
{
    deflateEnd(z);
}

static enum dz_code compress_all(const struct dz_body *bytes, struct dz_buf *out,
                                 struct dz_err *err)
{
    z_stream z DZ_AUTO(gzip_done) = {0};
    if (deflateInit2(&z, LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return dz_fail(err, DZ_FULL, "no memory to compress %zu bytes", bytes->n);
    size_t room = deflateBound(&z, bytes->n);
    if (!dz_buf_reserve(out, room))
        return dz_fail(err, DZ_FULL, "no memory to compress %zu bytes", bytes->n);
    z.next_in = (Bytef *)(uintptr_t)bytes->p;
    z.avail_in = (uInt)bytes->n;
    z.next_out = (Bytef *)out->p;
    z.avail_out = (uInt)room;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        return dz_fail(err, DZ_FULL, "%zu bytes were not compressed", bytes->n);
    out->n = z.total_out;
    return DZ_OK;
}

static enum dz_code keep(struct keeping *k, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf packed;
    dz_buf_init(&packed, PACKED_MAX);
    if (k->path.full)
        return dz_fail(err, DZ_TOO_LARGE, "the name of the file is too long");
    DZ_TRY(compress_all(k->ask->bytes, &packed, err));
    dz_str path = dz_buf_str(&k->path);
    dz_str parent = dz_str_sub(path, 0, dz_str_rchr(path, '/'));
    DZ_AUTO(dz_freep) char *folder = dz_str_dup(parent);
    DZ_TRY(dz_mkdirs(folder, FOLDER_MODE, err));
    return dz_file_write_atomic(dz_buf_cstr(&k->path), dz_buf_str(&packed), FILE_MODE, err);
}

static void run_keep(struct dz_work *w)
{
    struct keeping *k = dz_container(w, struct keeping, work);
    k->code = keep(k, &k->err);
    /* Too long a name is the source's fault; all else is the disk's. */
    if (k->code != DZ_OK && k->code != DZ_TOO_LARGE)
        k->code = DZ_IO;
}

static void on_kept(struct dz_work *w)
{
    struct keeping *k = dz_container(w, struct keeping, work);
    struct crawl_collect *c = k->c;
    dz_source_answer(k->ask, NULL, k->code, &k->err);
    dz_buf_done(&k->path);
    free(k);
    collect_came_back(c);
}

void collect_archive(struct crawl_collect *c, struct dz_source_ask *take_ask)
{
    struct keeping *k = dz_new(struct keeping);
    k->c = c;
    k->ask = take_ask;
    dz_buf_init(&k->path, PATH_BYTES_MAX);
    dz_buf_putf(&k->path, "%s/html/%.*s.gz", c->j->env->conf->data_dir, DZ_STR_FMT(take_ask->name));
    k->work = (struct dz_work){.run = run_keep, .home = c->j->env->loop, .done = on_kept};
    if (collect_submit(c, &k->work, &k->err))
        return;
    dz_source_answer(take_ask, NULL, DZ_FULL, &k->err);
    dz_buf_done(&k->path);
    free(k);
}
