/*
 * bodies: the answers of a shelf, made once per change: X-Metadata, X-Chapters and the list of
 * /v1/chapters.
 *
 * In: a loaded series and the shelf's link templates. Out: texts in the snapshot's arena and list
 * bodies of their own, identity, gzip and br, byte for byte as contracts/komizip.md 2.3, 2.6 and 4
 * show them: key order, Python's separators in the list and none in headers, everything outside
 * ASCII as \uXXXX. Runs on whichever thread builds the snapshot. Odd: a chapter's `links` are
 * passed on as they are stored, and templates only add the names that it lacks.
 */
#include "catalog/catalog_int.h"

#include <brotli/encode.h>
#include <zlib.h>

#define BODY_MAX (256 * DZ_MIB)
#define ENCODE_MIN 500u /* contracts/komizip.md 2.4 */

struct maker {
    const struct dz_series_full *full;
    const struct dz_link_template *links;
    size_t links_n;
    struct dz_buf text;   /* a decoded or filled-in link */
    struct dz_buf source; /* {source_url} of the chapter at hand; empty: not known */
    bool seen[64];        /* templates that the chapter's own links make idle */
};

static void maker_done(struct maker *m)
{
    dz_buf_done(&m->text);
    dz_buf_done(&m->source);
}

/* Every member of the stored object, in place; notes which templates are named and where the
 * chapter came from. */
static enum dz_code put_stored(struct maker *m, struct dz_json *j, dz_str object, bool links,
                               struct dz_err *err)
{
    DZ_AUTO(dz_members_done) struct dz_members members;
    dz_members_init(&members, object);
    for (;;) {
        bool more = false;
        dz_str key, value;
        DZ_TRY(dz_members_next(&members, &more, &key, &value, err));
        if (!more)
            return DZ_OK;
        dz_json_key(j, key);
        for (size_t i = 0; links && i < m->links_n; i++)
            m->seen[i] = m->seen[i] || dz_str_eq(key, m->links[i].name);
        bool source = dz_str_eq(key, DZ_S("source"));
        if (links && (source || (m->source.n == 0 && dz_str_eq(key, DZ_S("viz")))) &&
            dz_members_string(value, &m->text)) {
            dz_buf_clear(&m->source);
            dz_buf_put(&m->source, dz_buf_str(&m->text));
        }
        DZ_TRY(dz_members_put(&members, j, value, err));
    }
}

/* The template with its names filled in, percent-encoded but for an address that stands at the
 * front. False: it wants an address and none is known. */
static bool fill(struct maker *m, dz_str template, dz_str chapter)
{
    static const dz_str want_chapter = {"{chapter}", 9}, want_source = {"{source_url}", 12};
    dz_buf_clear(&m->text);
    for (size_t at = 0; at < template.n;) {
        dz_str rest = dz_str_sub(template, at, template.n);
        if (dz_str_starts(rest, want_chapter)) {
            dz_buf_put_url(&m->text, chapter);
            at += want_chapter.n;
        } else if (dz_str_starts(rest, want_source)) {
            if (m->source.n == 0)
                return false;
            if (at == 0)
                dz_buf_put(&m->text, dz_buf_str(&m->source));
            else
                dz_buf_put_url(&m->text, dz_buf_str(&m->source));
            at += want_source.n;
        } else {
            dz_buf_putc(&m->text, template.p[at++]);
        }
    }
    return true;
}

static enum dz_code put_links(struct maker *m, struct dz_json *j, const struct dz_chapter_rec *c,
                              struct dz_err *err)
{
    memset(m->seen, 0, sizeof(m->seen));
    dz_buf_clear(&m->source);
    dz_json_key(j, DZ_S("links"));
    dz_json_object(j);
    /* A chapter that brought links but none to its source has no known source: the series' address
     * would be wrong. */
    if (c->links.n > 0)
        DZ_TRY(put_stored(m, j, c->links, true, err));
    else
        dz_buf_put(&m->source, m->full->series.url);
    for (size_t i = 0; i < m->links_n; i++) {
        if (m->seen[i] || !fill(m, m->links[i].text, c->key))
            continue;
        dz_json_key(j, m->links[i].name);
        dz_json_str(j, dz_buf_str(&m->text));
    }
    dz_json_end(j);
    return DZ_OK;
}

static void put_text_or_null(struct dz_json *j, dz_str s, bool is_null)
{
    if (is_null)
        dz_json_null(j);
    else
        dz_json_str(j, s);
}

/* contracts/komizip.md section 4: the value of one chapter. */
static enum dz_code put_chapter(struct maker *m, struct dz_json *j, const struct dz_chapter_rec *c,
                                struct dz_err *err)
{
    dz_json_object(j);
    dz_json_key(j, DZ_S("metadata"));
    dz_json_object(j);
    dz_json_key(j, DZ_S("title"));
    put_text_or_null(j, c->title, c->title.p == NULL);
    dz_json_key(j, DZ_S("page_count"));
    dz_json_int(j, c->page_count);
    dz_json_key(j, DZ_S("volume"));
    put_text_or_null(j, c->volume, c->volume.n == 0);
    dz_json_key(j, DZ_S("volume_cover"));
    dz_json_bool(j, c->volume_cover);
    if (c->meta_extra.n > 0)
        DZ_TRY(put_stored(m, j, c->meta_extra, false, err));
    dz_json_end(j);
    DZ_TRY(put_links(m, j, c, err));
    if (c->extra.n > 0)
        DZ_TRY(put_stored(m, j, c->extra, false, err));
    dz_json_end(j);
    return DZ_OK;
}

static enum dz_code broken_chapter(const struct dz_chapter_rec *c, struct dz_err *err,
                                   enum dz_code code)
{
    code = code == DZ_BAD_INPUT ? DZ_CORRUPT : code;
    if (err)
        err->code = code;
    return dz_wrap(err, code, "chapter %.*s", (int)(c->key.n < 60 ? c->key.n : 60), c->key.p);
}

static enum dz_code too_large(struct dz_err *err)
{
    return dz_fail(err, DZ_TOO_LARGE, "the chapter list is larger than %llu MiB",
                   (unsigned long long)(BODY_MAX / DZ_MIB));
}

static enum dz_code make_headers(struct maker *m, struct dz_snapshot *s,
                                 struct dz_snap_chapter *chapters, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf json;
    dz_buf_init(&json, BODY_MAX);
    struct dz_text_pool pool = {.arena = s->arena};
    struct dz_json j;
    for (size_t i = 0; i < m->full->chapters_n; i++) {
        const struct dz_chapter_rec *c = &m->full->chapters[i];
        dz_buf_clear(&json);
        dz_json_init(&j, &json, DZ_JSON_COMPACT, true);
        enum dz_code code = put_chapter(m, &j, c, err);
        if (code != DZ_OK)
            return broken_chapter(c, err, code);
        DZ_TRY(dz_text_pool_str(&pool, dz_buf_str(&json), &chapters[i].x_metadata, err));
    }
    dz_buf_clear(&json);
    dz_json_init(&j, &json, DZ_JSON_COMPACT, true);
    dz_json_array(&j);
    for (size_t i = 0; i < m->full->chapters_n; i++)
        dz_json_str(&j, m->full->chapters[i].key);
    dz_json_end(&j);
    if (json.full)
        return too_large(err);
    return dz_text_pool_str(&pool, dz_buf_str(&json), &s->x_chapters, err);
}

/* contracts/komizip.md 2.6. */
static enum dz_code write_list(struct maker *m, struct dz_buf *out, struct dz_err *err)
{
    struct dz_json j;
    dz_json_init(&j, out, DZ_JSON_PYTHON, true);
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("error"));
    dz_json_bool(&j, false);
    dz_json_key(&j, DZ_S("new_release"));
    dz_str new_release = m->full->series.new_release;
    dz_json_str(&j, new_release.n > 0 ? new_release : DZ_S("null"));
    dz_json_key(&j, DZ_S("chapters"));
    dz_json_object(&j);
    for (size_t i = 0; i < m->full->chapters_n; i++) {
        dz_json_key(&j, m->full->chapters[i].key);
        enum dz_code code = put_chapter(m, &j, &m->full->chapters[i], err);
        if (code != DZ_OK)
            return broken_chapter(&m->full->chapters[i], err, code);
    }
    dz_json_end(&j);
    dz_json_key(&j, DZ_S("order"));
    dz_json_array(&j);
    for (size_t i = 0; i < m->full->chapters_n; i++)
        dz_json_str(&j, m->full->chapters[i].key);
    dz_json_end(&j);
    dz_json_end(&j);
    return out->full ? too_large(err) : DZ_OK;
}

/* Level 6 and no time stamp: equal lists are equal bytes. NULL: memory for it could not be had. */
static struct dz_body *gzip(dz_str s)
{
    z_stream z = {0};
    if (deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    uLong bound = deflateBound(&z, s.n);
    DZ_AUTO(dz_freep) void *room = dz_alloc(bound);
    z.next_in = (Bytef *)(uintptr_t)s.p;
    z.avail_in = (uInt)s.n; /* BODY_MAX fits */
    z.next_out = room;
    z.avail_out = (uInt)bound;
    int end = deflate(&z, Z_FINISH);
    size_t n = z.total_out;
    deflateEnd(&z);
    if (end != Z_STREAM_END)
        return NULL;
    struct dz_body *b = dz_body_new(n);
    memcpy(b->p, room, n);
    return b;
}

/* Quality by size: a rebuild must not keep readers of the change waiting. */
static struct dz_body *brotli(dz_str s)
{
    int quality = s.n <= 4 * DZ_KIB ? 11 : s.n <= 256 * DZ_KIB ? 9 : 5;
    size_t n = BrotliEncoderMaxCompressedSize(s.n);
    DZ_AUTO(dz_freep) void *room = dz_alloc(n);
    if (!BrotliEncoderCompress(quality, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_TEXT, s.n,
                               (const uint8_t *)s.p, &n, room))
        return NULL;
    struct dz_body *b = dz_body_new(n);
    memcpy(b->p, room, n);
    return b;
}

static enum dz_code make_list(struct maker *m, struct dz_snapshot *s, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf list;
    dz_buf_init(&list, BODY_MAX);
    DZ_TRY(write_list(m, &list, err));
    dz_str text = dz_buf_str(&list);
    s->list[DZ_SNAP_IDENTITY] = dz_body_new(text.n);
    memcpy(s->list[DZ_SNAP_IDENTITY]->p, text.p, text.n);
    struct dz_sha256 sha = dz_sha256_of(text);
    dz_hex(sha.b, sizeof(s->list_etag) / 2 - 1, s->list_etag);
    if (text.n >= ENCODE_MIN) {
        s->list[DZ_SNAP_GZIP] = gzip(text);
        s->list[DZ_SNAP_BR] = brotli(text);
    }
    return DZ_OK;
}

enum dz_code dz_bodies_make(const struct dz_series_full *full, const struct dz_link_template *links,
                            size_t links_n, struct dz_snapshot *s, struct dz_snap_chapter *chapters,
                            struct dz_err *err)
{
    DZ_AUTO(maker_done) struct maker m = {.full = full, .links = links, .links_n = links_n};
    if (links_n > DZ_LEN(m.seen))
        return dz_fail(err, DZ_TOO_LARGE, "%zu link templates, at most %zu", links_n,
                       DZ_LEN(m.seen));
    dz_buf_init(&m.text, 4 * DZ_LONG_TEXT_MAX); /* a source, percent-encoded */
    dz_buf_init(&m.source, DZ_LONG_TEXT_MAX);
    DZ_TRY(make_headers(&m, s, chapters, err));
    return make_list(&m, s, err);
}
