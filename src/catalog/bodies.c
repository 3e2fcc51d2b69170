/*
 * bodies: the texts of a shelf, made once per change: X-Metadata, X-Chapters and the list of
 * /v1/chapters.
 *
 * In: chapters newest first, as records or, when they did not change, as the older snapshot has
 * them, and the shelf's link templates. Out: texts byte for byte as contracts/komizip.md 2.3, 2.6
 * and 4 show them: key order, Python's separators in the list and none in headers, everything
 * outside ASCII as \uXXXX. Runs on whichever thread builds the snapshot. Odd: a chapter's `links`
 * are passed on as they are stored, and templates only add the names that it lacks. Odd as well:
 * the list is put together from the texts of its members, and what did not change is copied from
 * the older list, so that a change costs one chapter's JSON and one copy.
 */
#include "catalog/catalog_int.h"

#include <stdlib.h>

#define BODY_MAX (256 * DZ_MIB)

struct dz_bodies {
    const struct dz_series_rec *series;
    const struct dz_link_template *links;
    size_t links_n;
    struct dz_buf text;   /* a decoded or filled-in link */
    struct dz_buf source; /* {source_url} of the chapter at hand; empty: not known */
    bool seen[64];        /* templates that the chapter's own links make idle */

    const struct dz_snapshot *old; /* NULL: nothing is kept */
    struct dz_buf header;          /* X-Metadata of the chapter at hand */
    struct dz_buf fresh;           /* items of the chapters that are new, side by side */
    bool *kept;                    /* of each chapter: its item stands in the older list */
    size_t n, cap;
};

void dz_bodies_free(struct dz_bodies **pb)
{
    struct dz_bodies *b = dz_take(pb);
    if (!b)
        return;
    dz_buf_done(&b->text);
    dz_buf_done(&b->source);
    dz_buf_done(&b->header);
    dz_buf_done(&b->fresh);
    free(b->kept);
    free(b);
}

/* Every member of the stored object, in place; notes which templates are named and where the
 * chapter came from. */
static enum dz_code put_stored(struct dz_bodies *m, struct dz_json *j, dz_str object, bool links,
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
static bool fill(struct dz_bodies *m, dz_str template, dz_str chapter)
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

static enum dz_code put_links(struct dz_bodies *m, struct dz_json *j,
                              const struct dz_chapter_rec *c, struct dz_err *err)
{
    memset(m->seen, 0, sizeof(m->seen));
    dz_buf_clear(&m->source);
    dz_json_key(j, DZ_S("links"));
    dz_json_object(j);
    /* A crawl writes down where it found the chapter. A chapter that brought links but none to its
     * source has no known source: the series' address would be wrong. */
    if (dz_str_starts(c->origin, DZ_S("https://")) || dz_str_starts(c->origin, DZ_S("http://")))
        dz_buf_put(&m->source, c->origin);
    if (c->links.n > 0)
        DZ_TRY(put_stored(m, j, c->links, true, err));
    else if (m->source.n == 0)
        dz_buf_put(&m->source, m->series->url);
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
static enum dz_code put_chapter(struct dz_bodies *m, struct dz_json *j,
                                const struct dz_chapter_rec *c, struct dz_err *err)
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

enum dz_code dz_bodies_new(const struct dz_series_rec *series, const struct dz_link_template *links,
                           size_t links_n, const struct dz_snapshot *old, struct dz_bodies **ret_b,
                           struct dz_err *err)
{
    struct dz_bodies *b = dz_new(struct dz_bodies);
    if (links_n > DZ_LEN(b->seen)) {
        free(b);
        return dz_fail(err, DZ_TOO_LARGE, "%zu link templates, at most %zu", links_n,
                       DZ_LEN(b->seen));
    }
    b->series = series;
    b->links = links;
    b->links_n = links_n;
    b->old = old;
    dz_buf_init(&b->text, 4 * DZ_LONG_TEXT_MAX); /* a source, percent-encoded */
    dz_buf_init(&b->source, DZ_LONG_TEXT_MAX);
    dz_buf_init(&b->header, BODY_MAX);
    dz_buf_init(&b->fresh, BODY_MAX);
    *ret_b = b;
    return DZ_OK;
}

static void note(struct dz_bodies *b, bool kept)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 256;
        b->kept = dz_realloc(b->kept, b->cap * sizeof(*b->kept));
    }
    b->kept[b->n++] = kept;
}

void dz_bodies_kept(struct dz_bodies *b)
{
    dz_assert(b->old && b->old->list);
    note(b, true);
}

enum dz_code dz_bodies_chapter(struct dz_bodies *b, const struct dz_chapter_rec *rec,
                               struct dz_snap_chapter *c, dz_str *ret_x_metadata,
                               struct dz_err *err)
{
    struct dz_json j;
    dz_buf_clear(&b->header);
    dz_json_init(&j, &b->header, DZ_JSON_COMPACT, true);
    enum dz_code code = put_chapter(b, &j, rec, err);
    if (code != DZ_OK)
        return broken_chapter(rec, err, code);
    size_t at = b->fresh.n;
    dz_json_init(&j, &b->fresh, DZ_JSON_PYTHON, true);
    dz_json_str(&j, rec->key);
    size_t key_n = b->fresh.n - at;
    dz_buf_put(&b->fresh, DZ_S(": "));
    dz_json_init(&j, &b->fresh, DZ_JSON_PYTHON, true);
    code = put_chapter(b, &j, rec, err);
    if (code != DZ_OK)
        return broken_chapter(rec, err, code);
    if (b->fresh.full || b->header.full)
        return too_large(err);
    c->item_at = (uint32_t)at; /* BODY_MAX fits */
    c->item_n = (uint32_t)(b->fresh.n - at);
    c->item_key_n = (uint32_t)key_n;
    struct dz_sha256 sha = dz_sha256_of((dz_str){b->fresh.p + at, c->item_n});
    memcpy(c->item_digest, sha.b, sizeof(c->item_digest));
    note(b, false);
    *ret_x_metadata = dz_buf_str(&b->header);
    return DZ_OK;
}

/* ---- putting together ------------------------------------------------------------------------ */

static const dz_str comma = {", ", 2}, between = {"}, \"order\": [", 13}, end = {"]}", 2};

/* contracts/komizip.md 2.6, up to the first chapter; what follows is put together from pieces that
 * the writer has made. */
static void put_head(const struct dz_bodies *b, struct dz_buf *out)
{
    struct dz_json j;
    dz_str new_release = b->series->new_release;
    dz_json_init(&j, out, DZ_JSON_PYTHON, true);
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("error"));
    dz_json_bool(&j, false);
    dz_json_key(&j, DZ_S("new_release"));
    dz_json_str(&j, new_release.n > 0 ? new_release : DZ_S("null"));
    dz_json_key(&j, DZ_S("chapters"));
    dz_json_object(&j);
}

static char *put(char *at, dz_str s)
{
    memcpy(at, s.p, s.n);
    return at + s.n;
}

static char *put_items(const struct dz_bodies *b, struct dz_snap_chapter *chapters, char *start,
                       char *at)
{
    const char *old =
        b->old && b->old->list ? dz_snap_list_body(b->old->list, DZ_SNAP_IDENTITY)->p : NULL;
    for (size_t i = 0; i < b->n;) {
        if (i > 0)
            at = put(at, comma);
        /* Items that stood in a row before are copied as one piece with what is between them. */
        bool kept = b->kept[i];
        size_t from = chapters[i].item_at, to = from + chapters[i].item_n;
        chapters[i++].item_at = (uint32_t)(at - start);
        while (kept && i < b->n && b->kept[i] && chapters[i].item_at == to + comma.n) {
            to += comma.n + chapters[i].item_n;
            chapters[i].item_at = (uint32_t)((size_t)(at - start) + chapters[i].item_at - from);
            i++;
        }
        at = put(at, (dz_str){(kept ? old : b->fresh.p) + from, to - from});
    }
    return at;
}

static char *put_keys(const struct dz_bodies *b, const struct dz_snap_chapter *chapters,
                      const char *list, dz_str separator, char *at)
{
    for (size_t i = 0; i < b->n; i++) {
        if (i > 0)
            at = put(at, separator);
        at = put(at, (dz_str){list + chapters[i].item_at, chapters[i].item_key_n});
    }
    return at;
}

/* A digest of the digests, so that the text of what did not change need not be read again. */
static void make_etag(const struct dz_bodies *b, const struct dz_snap_chapter *chapters,
                      dz_str head, char etag[25])
{
    unsigned char piece[64 * sizeof(chapters->item_digest)];
    size_t n = 0;
    struct dz_sha256_ctx *c = dz_sha256_new();
    dz_sha256_add(c, head);
    for (size_t i = 0; i < b->n; i++) {
        memcpy(piece + n, chapters[i].item_digest, sizeof(chapters->item_digest));
        n += sizeof(chapters->item_digest);
        if (n == sizeof(piece) || i + 1 == b->n) {
            dz_sha256_add(c, (dz_str){(char *)piece, n});
            n = 0;
        }
    }
    struct dz_sha256 sha = dz_sha256_end(c);
    dz_sha256_free(&c);
    dz_hex(sha.b, 12, etag);
    etag[24] = '\0';
}

static enum dz_code make_list(struct dz_bodies *b, struct dz_snapshot *s,
                              struct dz_snap_chapter *chapters, size_t keys_n, struct dz_err *err)
{
    DZ_AUTO(dz_buf_done) struct dz_buf head;
    dz_buf_init(&head, DZ_LONG_TEXT_MAX);
    put_head(b, &head);
    size_t n = head.n + between.n + keys_n + end.n;
    for (size_t i = 0; i < b->n; i++)
        n += chapters[i].item_n + (i > 0 ? 2 * comma.n : 0);
    if (head.full || n > BODY_MAX)
        return too_large(err);
    struct dz_body *list = dz_body_new(n);
    char *at = put_items(b, chapters, list->p, put(list->p, dz_buf_str(&head)));
    at = put_keys(b, chapters, list->p, comma, put(at, between));
    at = put(at, end);
    dz_assert(at == list->p + n);
    char etag[25];
    make_etag(b, chapters, dz_buf_str(&head), etag);
    struct dz_snap_list *was = b->old ? b->old->list : NULL;
    if (was && strcmp(was->etag, etag) == 0) {
        dz_body_unref(&list);
        s->list = dz_snap_list_ref(was);
    } else {
        s->list = dz_snap_list_new(list, dz_str_of(etag));
    }
    return DZ_OK;
}

enum dz_code dz_bodies_finish(struct dz_bodies *b, struct dz_snapshot *s,
                              struct dz_snap_chapter *chapters, struct dz_err *err)
{
    dz_assert(b->n == s->chapters_n);
    size_t keys_n = 0;
    for (size_t i = 0; i < b->n; i++)
        keys_n += chapters[i].item_key_n;
    DZ_TRY(make_list(b, s, chapters, keys_n, err));

    void *p;
    DZ_TRY(dz_arena_try(s->arena, keys_n + b->n + 2, &p, err));
    char *start = p, *at = put(start, DZ_S("["));
    at = put_keys(b, chapters, dz_snap_list_body(s->list, DZ_SNAP_IDENTITY)->p, DZ_S(","), at);
    at = put(at, DZ_S("]"));
    s->x_chapters = (dz_str){start, (size_t)(at - start)};
    if (dz_snap_list_body(s->list, DZ_SNAP_IDENTITY)->n <= DZ_SNAP_ENCODE_LATE)
        return dz_snap_list_encode(s->list, NULL, NULL, err);
    return DZ_OK;
}
