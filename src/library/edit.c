/*
 * edit: the administrator's commands for the chapters of one series (contracts/komizip.md 2.7).
 *
 * In: the text of all commands. Out: one batch that holds every change, or none at all, and a
 * summary for the person. Everything is parsed and checked against the stored chapters before
 * anything is written (section 9, rules 10 and 11). One thread, blocking. Odd: arguments are looked
 * for as the original's pattern does, so what is no argument between them is passed over in
 * silence, and within quotes only \" and \\ are escapes, of which the second stays as it is.
 */
#include "library/library_int.h"

#include <stdlib.h>

#define INSTRUCTIONS_MAX 10000u
#define CHANGES_MAX 200000u /* over all instructions */
#define SHOWN_BYTES 120u    /* of what an error repeats */

struct instruction {
    dz_str id;
    bool has_title, has_volume;
    dz_str title, volume;
    dz_str wrong; /* the first argument that is not allowed; n = 0: none */
};

struct edit {
    struct dz_arena *arena;
    struct dz_series_full full;
    struct instruction *v; /* each id once, where it was named first */
    size_t n, cap;
    struct dz_map by_id;    /* id → its index + 1 */
    struct dz_map chapters; /* key → struct dz_chapter_rec */
    struct dz_batch *batch;
    struct dz_buf summary;
    size_t changes;
};

/* ---- reading the commands -------------------------------------------------------------------- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The value at the front of s, quotes off; the bytes that it took, or 0: it is none. */
static size_t read_value(struct dz_arena *a, dz_str s, dz_str *ret_value)
{
    size_t n = 0;
    while (n < s.n && is_digit(s.p[n]))
        n++;
    if (n > 0) {
        *ret_value = dz_str_sub(s, 0, n);
        return n;
    }
    if (s.n == 0 || s.p[0] != '"')
        return 0;
    char *to = dz_arena_alloc(a, s.n);
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '"') {
            *ret_value = (dz_str){to, n};
            return i + 1;
        }
        if (s.p[i] == '\\') {
            if (i + 1 == s.n || (s.p[i + 1] != '"' && s.p[i + 1] != '\\'))
                return 0;
            if (s.p[++i] == '\\')
                to[n++] = '\\';
        }
        to[n++] = s.p[i];
    }
    return 0;
}

static void take_argument(struct instruction *in, dz_str name, dz_str value)
{
    if (dz_str_eq(name, DZ_S("title"))) {
        in->has_title = true;
        in->title = value;
    } else if (dz_str_eq(name, DZ_S("volume"))) {
        in->has_volume = true;
        in->volume = value;
    } else if (in->wrong.n == 0) {
        in->wrong = name;
    }
}

static void read_arguments(struct dz_arena *a, dz_str s, struct instruction *in)
{
    for (size_t i = 0; i < s.n;) {
        size_t end = i;
        while (end < s.n && is_letter(s.p[end]))
            end++;
        if (end == i || end == s.n || s.p[end] != '=') {
            i = end > i ? end : i + 1;
            continue;
        }
        dz_str value;
        size_t n = read_value(a, dz_str_sub(s, end + 1, s.n), &value);
        if (n > 0)
            take_argument(in, dz_str_sub(s, i, end), value);
        i = end + 1 + n;
    }
}

static dz_str without_cr(struct dz_arena *a, dz_str s)
{
    char *to = dz_arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '\r')
            to[n++] = s.p[i];
    return (dz_str){to, n};
}

static enum dz_code read_line(struct edit *e, dz_str line, struct dz_err *err)
{
    if (dz_str_chr(line, '=') == DZ_NPOS)
        return DZ_OK;
    size_t blank = dz_str_chr(line, ' ');
    struct instruction in = {.id = dz_str_sub(line, 0, blank)};
    read_arguments(e->arena, dz_str_after(line, blank), &in);
    size_t at = (size_t)(uintptr_t)dz_map_get(&e->by_id, in.id);
    if (at > 0) {
        e->v[at - 1] = in;
        return DZ_OK;
    }
    if (e->n == INSTRUCTIONS_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "more than %u instructions", INSTRUCTIONS_MAX);
    if (e->n == e->cap) {
        e->cap = e->cap ? e->cap * 2 : 64;
        e->v = dz_realloc(e->v, e->cap * sizeof(*e->v));
    }
    e->v[e->n++] = in;
    dz_map_set(&e->by_id, in.id, (void *)(uintptr_t)e->n);
    return DZ_OK;
}

static enum dz_code read_lines(struct edit *e, dz_str text, struct dz_err *err)
{
    for (;;) {
        size_t end = dz_str_chr(text, '\n');
        DZ_TRY(read_line(e, dz_str_sub(text, 0, end), err));
        if (end == DZ_NPOS)
            return DZ_OK;
        text = dz_str_after(text, end);
    }
}

/* ---- checking -------------------------------------------------------------------------------- */

static enum dz_code refuse(struct dz_err *err, const char *format, dz_str what)
{
    what = dz_str_clip(what, SHOWN_BYTES);
    return dz_fail(err, DZ_BAD_INPUT, format, (int)what.n, what.n ? what.p : "");
}

/* Digits, and between them at most one point. */
static bool decimal(dz_str s, double *ret_x)
{
    size_t points = 0;
    for (size_t i = 0; i < s.n; i++) {
        bool inner_point = s.p[i] == '.' && i > 0 && i + 1 < s.n && points++ == 0;
        if (!is_digit(s.p[i]) && !inner_point)
            return false;
    }
    return s.n > 0 && library_number(s, ret_x);
}

static enum dz_code check_arguments(const struct instruction *in, struct dz_err *err)
{
    if (in->wrong.n > 0)
        return refuse(err, "arg not allowed (%.*s)", in->wrong);
    for (size_t i = 0; i < in->volume.n; i++)
        if (!is_digit(in->volume.p[i]))
            return refuse(err, "volume arg not int (%.*s)", in->volume);
    if (in->has_volume && in->volume.n == 0)
        return refuse(err, "volume arg not int (%.*s)", in->volume);
    if (in->volume.n > DZ_TEXT_MAX || in->title.n > DZ_TEXT_MAX)
        return dz_fail(err, DZ_BAD_INPUT, "a text of more than %u bytes", DZ_TEXT_MAX);
    if (!dz_str_is_utf8(in->title) || dz_str_chr(in->title, '\0') != DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT, "title is not UTF-8, or holds a zero byte");
    return DZ_OK;
}

/* "low-high" of an id that is no chapter's key. */
static enum dz_code read_range(dz_str id, double *ret_low, double *ret_high, struct dz_err *err)
{
    size_t minus = dz_str_chr(id, '-');
    if (minus == DZ_NPOS)
        return refuse(err, "unknown chapter (%.*s)", id);
    if (!decimal(dz_str_sub(id, 0, minus), ret_low) || !decimal(dz_str_after(id, minus), ret_high))
        return refuse(err, "neither a chapter nor a range (%.*s)", id);
    if (*ret_low > *ret_high)
        return dz_fail(err, DZ_BAD_INPUT, "chapter1 > chapter2 (where \"chapter1-chapter2 ...\")");
    return DZ_OK;
}

static enum dz_code check_all(const struct edit *e, struct dz_err *err)
{
    for (size_t i = 0; i < e->n; i++) {
        double low, high;
        DZ_TRY(check_arguments(&e->v[i], err));
        if (!dz_map_get(&e->chapters, e->v[i].id))
            DZ_TRY(read_range(e->v[i].id, &low, &high, err));
    }
    return DZ_OK;
}

/* ---- applying -------------------------------------------------------------------------------- */

static bool has_cover(const struct edit *e, dz_str volume)
{
    for (size_t i = 0; i < e->full.assets_n; i++) {
        dz_str name = e->full.assets[i].name;
        if (name.n == volume.n + 7 && dz_str_starts(name, DZ_S("vol")) &&
            dz_str_ends(name, DZ_S(".jpg")) && dz_str_eq(dz_str_sub(name, 3, 3 + volume.n), volume))
            return true;
    }
    return false;
}

static enum dz_code apply_to(struct edit *e, const struct instruction *in, bool cover,
                             const struct dz_chapter_rec *c, struct dz_err *err)
{
    const struct dz_chapter_edit change = {
        .id = c->id,
        .has_title = in->has_title,
        .title = {in->title.p ? in->title.p : "", in->title.n},
        .has_volume = in->has_volume,
        .volume = in->volume,
        .has_cover = cover,
        .volume_cover = cover,
    };
    bool changed;
    if (++e->changes > CHANGES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "more than %u changes", CHANGES_MAX);
    DZ_TRY(dz_batch_chapter_edit(e->batch, &change, &changed, err));
    dz_buf_put(&e->summary, c->key);
    dz_buf_put(&e->summary, DZ_S(":"));
    dz_buf_put(&e->summary, in->has_title ? DZ_S(" title") : DZ_S(""));
    dz_buf_put(&e->summary, in->has_volume ? DZ_S(" volume") : DZ_S(""));
    dz_buf_put(&e->summary, cover ? DZ_S(" volume_cover") : DZ_S(""));
    dz_buf_put(&e->summary, DZ_S("<br>"));
    return DZ_OK;
}

static enum dz_code apply(struct edit *e, const struct instruction *in, struct dz_err *err)
{
    if (!in->has_title && !in->has_volume)
        return DZ_OK;
    bool cover = in->has_volume && has_cover(e, in->volume);
    const struct dz_chapter_rec *one = dz_map_get(&e->chapters, in->id);
    if (one)
        return apply_to(e, in, cover, one, err);
    double low, high, x;
    DZ_TRY(read_range(in->id, &low, &high, err));
    for (size_t i = 0; i < e->full.chapters_n; i++) { /* newest first */
        const struct dz_chapter_rec *c = &e->full.chapters[i];
        if (decimal(c->key, &x) && x >= low && x <= high)
            DZ_TRY(apply_to(e, in, cover, c, err));
    }
    return DZ_OK;
}

static enum dz_code edit(struct edit *e, struct dz_library *l, int64_t series_id, dz_str commands,
                         uint64_t *ret_seq, struct dz_err *err)
{
    DZ_TRY(read_lines(e, without_cr(e->arena, commands), err));
    DZ_TRY(dz_catalog_load(l->catalog, series_id, e->arena, &e->full, err));
    for (size_t i = 0; i < e->full.chapters_n; i++)
        dz_map_set(&e->chapters, e->full.chapters[i].key, &e->full.chapters[i]);
    DZ_TRY(check_all(e, err));
    DZ_TRY(dz_batch_begin(l->catalog, &e->batch, err));
    for (size_t i = 0; i < e->n; i++)
        DZ_TRY(apply(e, &e->v[i], err));
    if (e->summary.full)
        return dz_fail(err, DZ_TOO_LARGE, "more changes than a summary can hold");
    return dz_batch_commit(&e->batch, ret_seq, err);
}

enum dz_code dz_library_edit(struct dz_library *l, int64_t series_id, dz_str commands,
                             struct dz_buf *summary, uint64_t *ret_seq, struct dz_err *err)
{
    struct edit e = {.arena = dz_arena_new(DZ_GIB)};
    if (commands.n > DZ_EDIT_BYTES_MAX) {
        dz_arena_free(&e.arena);
        return dz_fail(err, DZ_TOO_LARGE, "%zu bytes of commands, at most %u are taken", commands.n,
                       DZ_EDIT_BYTES_MAX);
    }
    dz_map_init(&e.by_id);
    dz_map_init(&e.chapters);
    dz_buf_init(&e.summary, summary->max);
    enum dz_code code = edit(&e, l, series_id, commands, ret_seq, err);
    if (code == DZ_OK)
        dz_buf_put(summary, dz_buf_str(&e.summary));
    dz_batch_rollback(&e.batch);
    dz_buf_done(&e.summary);
    dz_map_done(&e.chapters);
    dz_map_done(&e.by_id);
    free(e.v);
    dz_arena_free(&e.arena);
    return code;
}
