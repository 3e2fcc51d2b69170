/*
 * manga: what sites say of series and chapters: /api/manga/info, cover and chapters,
 * /api/chapter/info (contracts/nagato.md 4 and 4.1).
 *
 * The back's answers are the contract's objects already; marks and favourites are added here from
 * the catalog, to values that belong to this request alone.
 */
#include <openssl/evp.h>

#include "api/nagato_int.h"

/* ---- a series -------------------------------------------------------------------------------- */

static void reply_info(struct ask *a)
{
    struct dz_json j;
    ask_json(a, &j);
    put_json(&j, json_object_get(a->value, "info"));
    ask_reply(a, 200);
}

/* What the back was told stands in its answer, also when it was an address. */
static struct ask_ref place_of(const struct ask *a)
{
    return (struct ask_ref){dz_json_text_at(a->value, "site"), dz_json_text_at(a->value, "id")};
}

static void add_member(struct ask *a, const char *name, json_t *take_v)
{
    (void)json_object_set_new(json_object_get(a->value, "info"), name, take_v);
}

static enum dz_code add_favourite(struct ask *a, struct dz_err *err)
{
    bool is = false;
    DZ_TRY(is_favourite(a, place_of(a), &is, err));
    add_member(a, "favourite", json_boolean(is));
    return DZ_OK;
}

static void got_series(struct ask *a)
{
    if (ask_flag(a, DZ_S("includeFav")))
        ask_work(a, add_favourite, reply_info);
    else
        reply_info(a);
}

static void begin(struct dz_http_req *r, const char *call, ask_next_fn *next)
{
    struct ask *a = ask_new(r);
    json_t *args = a ? ask_ref_args(a) : NULL;
    if (args)
        ask_call(a, call, args, next);
}

void handle_api_manga_info(struct dz_http_req *r)
{
    begin(r, "series", got_series);
}

/* ---- a chapter ------------------------------------------------------------------------------- */

static json_t *json_mark(char mark)
{
    const char *name = mark_name(mark);
    return name ? json_string(name) : json_null();
}

static enum dz_code add_mark(struct ask *a, struct dz_err *err)
{
    struct ask_ref ref = place_of(a);
    char mark = 0;
    DZ_TRY(marks_of_refs(a, &ref, 1, &mark, err));
    add_member(a, "mark", json_mark(mark));
    return DZ_OK;
}

static void got_chapter(struct ask *a)
{
    if (ask_flag(a, DZ_S("includeMark")))
        ask_work(a, add_mark, reply_info);
    else
        reply_info(a);
}

void handle_api_chapter_info(struct dz_http_req *r)
{
    begin(r, "chapter", got_chapter);
}

/* ---- chapters -------------------------------------------------------------------------------- */

/* Marks of all chapters of the answer, in its order. */
static enum dz_code marks_of_list(struct ask *a, const json_t *chapters, char **ret_marks,
                                  struct dz_err *err)
{
    size_t n = json_array_size(chapters);
    struct ask_ref *refs = dz_arena_alloc(a->arena, (n + 1) * sizeof(*refs));
    char *marks = dz_arena_alloc(a->arena, n + 1);
    dz_str site = place_of(a).site;
    for (size_t i = 0; i < n; i++)
        refs[i] = (struct ask_ref){site, dz_json_text_at(json_array_get(chapters, i), "id")};
    DZ_TRY(marks_of_refs(a, refs, n, marks, err));
    *ret_marks = marks;
    return DZ_OK;
}

/* A list may be long: written by a worker. */
static enum dz_code write_chapters(struct ask *a, struct dz_err *err)
{
    json_t *chapters = json_object_get(a->value, "chapters"), *one;
    char *marks = NULL;
    size_t i;
    struct dz_json j;
    if (ask_flag(a, DZ_S("includeMarks")))
        DZ_TRY(marks_of_list(a, chapters, &marks, err));
    ask_json(a, &j);
    dz_json_object(&j);
    json_array_foreach(chapters, i, one)
    {
        dz_json_key(&j, dz_json_text_at(one, "id"));
        json_object_del(one, "id");
        json_object_del(one, "manga");
        if (marks)
            json_object_set_new(one, "mark", json_mark(marks[i]));
        put_json(&j, one);
    }
    dz_json_end(&j);
    return DZ_OK;
}

static void got_chapters(struct ask *a)
{
    ask_work(a, write_chapters, ask_reply_written);
}

void handle_api_manga_chapters(struct dz_http_req *r)
{
    begin(r, "chapters", got_chapters);
}

/* ---- the cover ------------------------------------------------------------------------------- */

/* contracts/nagato.md 4.2: the first that fits, and of what is unknown nobody guesses. */
static dz_str type_of(dz_str bytes)
{
    static const struct {
        const char *magic;
        size_t n;
        const char *type;
    } known[] = {
        {"\x89PNG\r\n\x1a\n", 8, "image/png"},
        {"\xff\xd8\xff", 3, "image/jpeg"},
        {"GIF89a", 6, "image/gif"},
        {"GIF87a", 6, "image/gif"},
        {"RIFF", 4, "image/webp"},
        {"II*\0", 4, "image/tiff"},
        {"MM\0*", 4, "image/tiff"},
        {"BM", 2, "image/bmp"},
    };
    for (size_t i = 0; i < DZ_LEN(known); i++)
        if (dz_str_starts(bytes, (dz_str){known[i].magic, known[i].n}))
            return dz_str_of(known[i].type);
    return DZ_S("application/octet-stream");
}

/* Standard base64 with padding into `to`, which is large enough; false: it is none. */
static bool unbase64(dz_str text, char *to, size_t *ret_n)
{
    int n = text.n % 4 == 0 && text.n <= INT32_MAX
                ? EVP_DecodeBlock((unsigned char *)to, (const unsigned char *)text.p, (int)text.n)
                : -1;
    if (n < 0)
        return false;
    size_t padding = 0;
    while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=')
        padding++;
    *ret_n = (size_t)n - padding;
    return true;
}

struct cover {
    dz_str type;
    bool as_text;
};

static enum dz_code read_cover(struct ask *a, struct dz_err *err)
{
    struct cover *c = a->own;
    dz_str text = dz_json_text_at(a->value, "base64"), bytes = {NULL, 0};
    dz_buf_clear(&a->out);
    if (!dz_buf_reserve(&a->out, text.n + 3) || !unbase64(text, a->out.p, &bytes.n))
        return dz_fail(err, DZ_INTERNAL, "a cover of %zu characters", text.n);
    bytes.p = a->out.p;
    c->type = type_of(bytes);
    if (c->as_text)
        dz_buf_put(&a->out, text);
    else
        a->out.n = bytes.n;
    return DZ_OK;
}

static void reply_cover(struct ask *a)
{
    const struct cover *c = a->own;
    const struct dz_http_header_line original[] = {{DZ_S("Original-Content-Type"), c->type}};
    if (c->as_text)
        ask_reply_as(a, 200, DZ_S("text/plain"), original, 1);
    else
        ask_reply_as(a, 200, c->type, NULL, 0);
}

static void got_cover(struct ask *a)
{
    struct cover *c = a->own = dz_arena_alloc(a->arena, sizeof(*c));
    *c = (struct cover){.as_text = ask_flag(a, DZ_S("base64"))};
    ask_work(a, read_cover, reply_cover);
}

void handle_api_manga_cover(struct dz_http_req *r)
{
    begin(r, "cover", got_cover);
}
