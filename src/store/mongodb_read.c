/*
 * mongodb_read: one row: what its documents say, its bytes, its end.
 *
 * Documents may have been written by anybody, so nothing in them is trusted: a field that is
 * missing or of another type is said by name (DZ_CORRUPT), or, in our own index, counts as not
 * there, and is measured and written again. Bytes are unpacked piece by piece with a limit. Runs on
 * the thread that took the client.
 */
#include "store/mongodb_int.h"

#define SHOWN_NAME 80 /* of a name in an error */

dz_str mongo_part_name(dz_str name, uint32_t at, char dst[MONGO_PART_NAME_MAX + 1])
{
    dz_assert(name.n <= DZ_STORE_NAME_BYTES_MAX);
    memcpy(dst, name.p, name.n);
    int n = snprintf(dst + name.n, MONGO_PART_DIGITS + 2, ":%0*u", MONGO_PART_DIGITS, at);
    return (dz_str){dst, name.n + (size_t)n};
}

/* ---- index ------------------------------------------------------------------------------------
 */

void mongo_put_facts(bson_t *to, const struct dz_blob_stat *stat)
{
    bson_append_binary(to, "sha", 3, BSON_SUBTYPE_BINARY, stat->sha.b, sizeof stat->sha.b);
    BSON_APPEND_INT64(to, "bytes", (int64_t)stat->bytes);
    BSON_APPEND_INT64(to, "mtime_s", stat->mtime_s);
}

enum dz_code mongo_set_facts(struct mongo_use *u, dz_str name, const struct dz_blob_stat *stat,
                             struct dz_err *err)
{
    bson_t facts = BSON_INITIALIZER;
    mongo_put_facts(&facts, stat);
    enum dz_code code = mongo_set(u, MONGO_INDEX, name, &facts, true, err);
    bson_destroy(&facts);
    return code;
}

static bool whole_number(const bson_t *doc, const char *field, int64_t max, int64_t *ret_n)
{
    bson_iter_t at;
    if (!bson_iter_init_find(&at, doc, field) ||
        (!BSON_ITER_HOLDS_INT64(&at) && !BSON_ITER_HOLDS_INT32(&at)))
        return false;
    int64_t n = bson_iter_as_int64(&at);
    if (n < 0 || n > max)
        return false;
    *ret_n = n;
    return true;
}

static bool binary(const bson_iter_t *at, dz_str *ret_bytes)
{
    if (!BSON_ITER_HOLDS_BINARY(at))
        return false;
    bson_subtype_t kind;
    uint32_t n = 0;
    const uint8_t *p = NULL;
    bson_iter_binary(at, &kind, &n, &p);
    *ret_bytes = (dz_str){(const char *)p, n};
    return true;
}

bool mongo_read_facts(const bson_t *doc, struct dz_blob_stat *ret_stat)
{
    bson_iter_t at;
    dz_str sha;
    int64_t bytes, mtime_s;
    if (!bson_iter_init_find(&at, doc, "sha") || !binary(&at, &sha) ||
        sha.n != sizeof ret_stat->sha.b ||
        !whole_number(doc, "bytes", (int64_t)DZ_STORE_BLOB_MAX, &bytes) ||
        !whole_number(doc, "mtime_s", INT64_MAX, &mtime_s))
        return false;
    memcpy(ret_stat->sha.b, sha.p, sha.n);
    ret_stat->bytes = (uint64_t)bytes;
    ret_stat->mtime_s = mtime_s;
    return true;
}

enum dz_code mongo_facts(struct mongo_use *u, dz_str name, bool *ret_there,
                         struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    DZ_AUTO(mongo_found_done) struct mongo_found f = {NULL, NULL};
    DZ_TRY(mongo_find(u, MONGO_INDEX, name, NULL, &f, err));
    *ret_there = f.doc && mongo_read_facts(f.doc, ret_stat);
    return DZ_OK;
}

enum dz_code mongo_exists(struct mongo_use *u, enum mongo_collection where, dz_str name,
                          bool *ret_yes, struct dz_err *err)
{
    DZ_AUTO(mongo_found_done) struct mongo_found f = {NULL, NULL};
    DZ_TRY(mongo_find(u, where, name, "_id", &f, err));
    *ret_yes = f.doc != NULL;
    return DZ_OK;
}

/* ---- the row ----------------------------------------------------------------------------------
 */

/* A missing type is none: imoog writes null. */
static enum dz_code read_mime(const bson_t *doc, struct dz_arena *arena, dz_str *ret_mime,
                              struct dz_err *err)
{
    bson_iter_t at;
    *ret_mime = (dz_str){NULL, 0};
    if (!bson_iter_init_find(&at, doc, "mime") || BSON_ITER_HOLDS_NULL(&at))
        return DZ_OK;
    if (!BSON_ITER_HOLDS_UTF8(&at))
        return dz_fail(err, DZ_CORRUPT, "mime is neither a string nor null");
    uint32_t n = 0;
    dz_str mime = {.p = bson_iter_utf8(&at, &n)};
    mime.n = n;
    if (mime.n > DZ_STORE_MIME_BYTES_MAX || dz_str_chr(mime, '\0') != DZ_NPOS ||
        !dz_str_is_utf8(mime))
        return dz_fail(err, DZ_CORRUPT, "mime is too long, or not a text");
    if (arena)
        *ret_mime = (dz_str){dz_arena_dup(arena, mime), mime.n};
    return DZ_OK;
}

/* The packed bytes of a row that lie beside it. They end where the packed format says so. */
static enum dz_code unpack_parts(struct mongo_use *u, dz_str name, struct rows_unpack *un,
                                 struct dz_err *err)
{
    char id[MONGO_PART_NAME_MAX + 1];
    for (uint32_t part = 0; !rows_unpack_ended(un); part++) {
        DZ_AUTO(mongo_found_done) struct mongo_found f = {NULL, NULL};
        DZ_TRY(mongo_find(u, MONGO_PARTS, mongo_part_name(name, part, id), NULL, &f, err));
        bson_iter_t at;
        dz_str piece;
        if (!f.doc)
            return dz_fail(err, DZ_CORRUPT, "%s", part > 0 ? "a part is missing" : "image is null");
        if (!bson_iter_init_find(&at, f.doc, "image") || !binary(&at, &piece))
            return dz_fail(err, DZ_CORRUPT, "image of a part is not binary");
        DZ_TRY(rows_unpack_add(un, piece, err));
    }
    return DZ_OK;
}

static enum dz_code unpack(struct mongo_use *u, dz_str name, const bson_t *doc,
                           struct rows_unpack *un, struct dz_err *err)
{
    bson_iter_t at;
    dz_str packed;
    if (!bson_iter_init_find(&at, doc, "image"))
        return dz_fail(err, DZ_CORRUPT, "there is no image");
    if (BSON_ITER_HOLDS_NULL(&at))
        return unpack_parts(u, name, un, err);
    if (!binary(&at, &packed))
        return dz_fail(err, DZ_CORRUPT, "image is not binary");
    return rows_unpack_add(un, packed, err);
}

/* Unpacks the row behind `doc`; `known` is what the index says (NULL: nothing), a blob is compared
 * with its name. ret_body may be NULL: only measured. */
static enum dz_code measure(struct mongo_use *u, dz_str name, const bson_t *doc, uint64_t bytes_max,
                            const struct dz_blob_stat *known, struct dz_blob_stat *ret_stat,
                            struct dz_body **ret_body, struct dz_err *err)
{
    /* The name of a blob is its digest, which whoever reads all of it compares. */
    struct dz_blob_stat stat = {.mtime_s = dz_now_ms() / 1000}, named;
    bool is_blob = rows_blob_sha(name, &named.sha), hash = !is_blob || !ret_body;
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    DZ_AUTO(rows_unpack_free)
    struct rows_unpack *un =
        rows_unpack_new(bytes_max, ret_body != NULL, known ? known->bytes : 0, hash);
    DZ_TRY(unpack(u, name, doc, un, err));
    DZ_TRY(rows_unpack_end(un, &stat, &body, err));
    if (!hash)
        stat.sha = named.sha;
    if (is_blob && memcmp(named.sha.b, stat.sha.b, sizeof named.sha.b) != 0)
        return dz_fail(err, DZ_CORRUPT, "its %llu bytes do not match their digest",
                       (unsigned long long)stat.bytes);
    *ret_stat = stat;
    if (ret_body)
        *ret_body = dz_take(&body);
    return DZ_OK;
}

static enum dz_code read_row(struct mongo_use *u, dz_str name, uint64_t bytes_max,
                             struct dz_arena *arena, struct dz_store_named *ret_named,
                             struct dz_body **ret_body, struct dz_err *err)
{
    /* To read a blob the index is not needed. */
    bool known = false, index = !ret_body || !store_is_digest(name);
    struct dz_store_named row = {.name = name, .measured = true};
    if (index)
        DZ_TRY(mongo_facts(u, name, &known, &row.stat, err));
    if (known && ret_body && row.stat.bytes > bytes_max)
        return dz_fail(err, DZ_TOO_LARGE, "it has %llu bytes, %llu are allowed",
                       (unsigned long long)row.stat.bytes, (unsigned long long)bytes_max);

    DZ_AUTO(mongo_found_done) struct mongo_found f = {NULL, NULL};
    DZ_AUTO(dz_body_unref) struct dz_body *body = NULL;
    bool all = ret_body || !known;
    /* Without the type, the index of _id answers alone. */
    const char *field = all ? NULL : arena ? "mime" : "_id";
    DZ_TRY(mongo_find(u, MONGO_ROWS, name, field, &f, err));
    if (!f.doc)
        return DZ_NOT_FOUND;
    DZ_TRY(read_mime(f.doc, arena, &row.mime, err));
    if (all) {
        struct dz_blob_stat stat;
        DZ_TRY(measure(u, name, f.doc, ret_body ? bytes_max : DZ_STORE_BLOB_MAX,
                       known ? &row.stat : NULL, &stat, ret_body ? &body : NULL, err));
        /* imoog may have given the name to another object since. */
        known = known && stat.bytes == row.stat.bytes &&
                memcmp(stat.sha.b, row.stat.sha.b, sizeof stat.sha.b) == 0;
        if (!known)
            row.stat = stat;
    }
    /* When this fails, the row is measured again the next time. */
    if (index && !known)
        (void)mongo_set_facts(u, name, &row.stat, NULL);
    if (ret_body)
        *ret_body = dz_take(&body);
    *ret_named = row;
    return DZ_OK;
}

enum dz_code mongo_row(struct mongo_use *u, dz_str name, uint64_t bytes_max, struct dz_arena *arena,
                       struct dz_store_named *ret_named, struct dz_body **ret_body,
                       struct dz_err *err)
{
    enum dz_code code = read_row(u, name, bytes_max, arena, ret_named, ret_body, err);
    if (code != DZ_CORRUPT && code != DZ_TOO_LARGE)
        return code;
    dz_str shown = dz_str_sub(name, 0, SHOWN_NAME);
    return dz_wrap(err, code, "%s: document \"%.*s\"", u->m->place, DZ_STR_FMT(shown));
}

enum dz_code mongo_read(struct mongo_use *u, dz_str name, uint64_t bytes_max, dz_store_piece_fn *fn,
                        void *arg, struct dz_blob_stat *ret_stat, struct dz_err *err)
{
    DZ_AUTO(mongo_found_done) struct mongo_found f = {NULL, NULL};
    struct dz_blob_stat stat = {.mtime_s = dz_now_ms() / 1000};
    DZ_TRY(mongo_find(u, MONGO_ROWS, name, "image", &f, err));
    if (!f.doc)
        return DZ_NOT_FOUND;
    DZ_AUTO(rows_unpack_free)
    struct rows_unpack *un = rows_unpack_new(bytes_max, false, 0, true);
    rows_unpack_to(un, fn, arg);
    DZ_TRY(unpack(u, name, f.doc, un, err));
    DZ_TRY(rows_unpack_end(un, &stat, NULL, err));
    *ret_stat = stat;
    return DZ_OK;
}

/* ---- the end of a row -------------------------------------------------------------------------
 */

enum dz_code mongo_row_forget(struct mongo_use *u, dz_str name, struct dz_err *err)
{
    char id[MONGO_PART_NAME_MAX + 1];
    uint32_t parts = 0;
    bool there = true, was;
    while (there) {
        DZ_TRY(mongo_exists(u, MONGO_PARTS, mongo_part_name(name, parts, id), &there, err));
        parts += there;
    }
    /* From the last on, so that what is left after a failure is found from the first on. */
    while (parts > 0)
        DZ_TRY(mongo_delete(u, MONGO_PARTS, mongo_part_name(name, --parts, id), &was, err));
    return mongo_delete(u, MONGO_INDEX, name, &was, err);
}

enum dz_code mongo_row_delete(struct mongo_use *u, dz_str name, bool *ret_was, struct dz_err *err)
{
    bool was = false;
    DZ_TRY(mongo_delete(u, MONGO_ROWS, name, &was, err));
    /* The row is gone; what cannot be tidied up now is left to the sweep. */
    (void)mongo_row_forget(u, name, NULL);
    *ret_was = was;
    return DZ_OK;
}
