/*
 * json_text: stored JSON objects, read member by member and written again in another style.
 *
 * In: texts of `links`, `meta_extra` and `extra`, from outside or from the database. Out: their
 * members in order, and each value through the JSON writer. Strings are decoded and written anew,
 * so that escapes and separators follow the writer; numbers are passed on as the bytes they were,
 * which no reader that turns them into a double could promise. RFC 8259, strictly: no lone
 * surrogates, no trailing text. Any thread; scratch memory belongs to the caller's struct.
 */
#include "catalog/catalog_int.h"

static enum dz_code bad(const struct dz_cursor *c, const char *what, struct dz_err *err)
{
    return dz_fail(err, DZ_BAD_INPUT, "JSON line %u, column %u: %s", c->line, c->column, what);
}

static void skip_blanks(struct dz_cursor *c)
{
    for (;;) {
        int b = dz_cursor_peek(c);
        if (b != ' ' && b != '\t' && b != '\n' && b != '\r')
            return;
        dz_cursor_next(c);
    }
}

static void put_utf8(struct dz_buf *out, uint32_t cp)
{
    char u[4];
    size_t n = 0;
    if (cp < 0x80) {
        u[n++] = (char)cp;
    } else if (cp < 0x800) {
        u[n++] = (char)(0xc0 | cp >> 6);
    } else if (cp < 0x10000) {
        u[n++] = (char)(0xe0 | cp >> 12);
        u[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
    } else {
        u[n++] = (char)(0xf0 | cp >> 18);
        u[n++] = (char)(0x80 | (cp >> 12 & 0x3f));
        u[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
    }
    if (cp >= 0x80)
        u[n++] = (char)(0x80 | (cp & 0x3f));
    dz_buf_put(out, (dz_str){u, n});
}

static enum dz_code unit(struct dz_cursor *c, uint32_t *ret_unit, struct dz_err *err)
{
    uint32_t u = 0;
    for (int i = 0; i < 4; i++) {
        int b = dz_cursor_peek(c);
        if (b >= '0' && b <= '9')
            u = u << 4 | (uint32_t)(b - '0');
        else if ((b >= 'a' && b <= 'f') || (b >= 'A' && b <= 'F'))
            u = u << 4 | (uint32_t)((b | 0x20) - 'a' + 10);
        else
            return bad(c, "four hexadecimal digits wanted", err);
        dz_cursor_next(c);
    }
    *ret_unit = u;
    return DZ_OK;
}

/* What stands behind a backslash. */
static enum dz_code escape(struct dz_cursor *c, struct dz_buf *out, struct dz_err *err)
{
    static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    int b = dz_cursor_peek(c);
    if (b != 'u') {
        const char *at = b > 0 ? strchr(names, b) : NULL;
        if (!at)
            return bad(c, "unknown escape", err);
        dz_cursor_next(c);
        dz_buf_putc(out, bytes[at - names]);
        return DZ_OK;
    }
    dz_cursor_next(c);
    uint32_t cp = 0, low = 0;
    DZ_TRY(unit(c, &cp, err));
    if (cp >= 0xd800 && cp < 0xdc00) {
        if (!dz_cursor_take(c, DZ_S("\\u")))
            return bad(c, "half a surrogate pair", err);
        DZ_TRY(unit(c, &low, err));
        if (low < 0xdc00 || low > 0xdfff)
            return bad(c, "half a surrogate pair", err);
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
    } else if (cp >= 0xdc00 && cp <= 0xdfff) {
        return bad(c, "half a surrogate pair", err);
    }
    put_utf8(out, cp);
    return DZ_OK;
}

/* The cursor stands on the opening quote; the decoded text replaces what out held. */
static enum dz_code string(struct dz_cursor *c, struct dz_buf *out, struct dz_err *err)
{
    dz_buf_clear(out);
    dz_cursor_next(c);
    for (;;) {
        int b = dz_cursor_peek(c);
        if (b < 0)
            return bad(c, "a string without its end", err);
        if (b < 0x20)
            return bad(c, "a control character in a string", err);
        dz_cursor_next(c);
        if (b == '"')
            break;
        if (b == '\\')
            DZ_TRY(escape(c, out, err));
        else
            dz_buf_putc(out, (char)b);
    }
    if (out->full)
        return dz_fail(err, DZ_TOO_LARGE, "JSON line %u: a string of more than %zu bytes", c->line,
                       out->max);
    if (!dz_str_is_utf8(dz_buf_str(out)))
        return bad(c, "a string that is not UTF-8", err);
    return DZ_OK;
}

static bool digits(struct dz_cursor *c)
{
    size_t before = c->at;
    while (dz_cursor_peek(c) >= '0' && dz_cursor_peek(c) <= '9')
        dz_cursor_next(c);
    return c->at > before;
}

static enum dz_code number(struct dz_cursor *c, struct dz_err *err)
{
    dz_cursor_take(c, DZ_S("-"));
    if (!dz_cursor_take(c, DZ_S("0")) && !digits(c))
        return bad(c, "a value wanted", err);
    if (dz_cursor_take(c, DZ_S(".")) && !digits(c))
        return bad(c, "a digit wanted", err);
    if (dz_cursor_take(c, DZ_S("e")) || dz_cursor_take(c, DZ_S("E"))) {
        if (!dz_cursor_take(c, DZ_S("+")))
            dz_cursor_take(c, DZ_S("-"));
        if (!digits(c))
            return bad(c, "a digit wanted", err);
    }
    return DZ_OK;
}

/* A member's name and its colon; the cursor then stands on the value. */
static enum dz_code name(struct dz_cursor *c, struct dz_buf *out, struct dz_err *err)
{
    if (dz_cursor_peek(c) != '"')
        return bad(c, "a name in quotes wanted", err);
    DZ_TRY(string(c, out, err));
    skip_blanks(c);
    if (!dz_cursor_take(c, DZ_S(":")))
        return bad(c, "':' wanted", err);
    skip_blanks(c);
    return DZ_OK;
}

static enum dz_code value(struct dz_cursor *c, struct dz_json *j, struct dz_buf *scratch,
                          unsigned depth, struct dz_err *err);

static enum dz_code container(struct dz_cursor *c, struct dz_json *j, struct dz_buf *scratch,
                              unsigned depth, struct dz_err *err)
{
    bool is_array = dz_cursor_next(c) == '[';
    int end = is_array ? ']' : '}';
    if (depth >= DZ_JSON_DEPTH_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "JSON line %u, column %u: more than %u levels deep",
                       c->line, c->column, DZ_JSON_DEPTH_MAX);
    if (j)
        is_array ? dz_json_array(j) : dz_json_object(j);
    skip_blanks(c);
    for (bool first = true; dz_cursor_peek(c) != end; first = false) {
        if (!first) {
            if (!dz_cursor_take(c, DZ_S(",")))
                return bad(c, is_array ? "',' or ']' wanted" : "',' or '}' wanted", err);
            skip_blanks(c);
        }
        if (!is_array) {
            DZ_TRY(name(c, scratch, err));
            if (j)
                dz_json_key(j, dz_buf_str(scratch));
        }
        DZ_TRY(value(c, j, scratch, depth + 1, err));
        skip_blanks(c);
    }
    dz_cursor_next(c);
    if (j)
        dz_json_end(j);
    return DZ_OK;
}

/* Checks one value and, when j is given, writes it. */
static enum dz_code value(struct dz_cursor *c, struct dz_json *j, struct dz_buf *scratch,
                          unsigned depth, struct dz_err *err)
{
    size_t from = c->at;
    switch (dz_cursor_peek(c)) {
    case '{':
    case '[':
        return container(c, j, scratch, depth, err);
    case '"':
        DZ_TRY(string(c, scratch, err));
        if (j)
            dz_json_str(j, dz_buf_str(scratch));
        return DZ_OK;
    default:
        if (!dz_cursor_take(c, DZ_S("true")) && !dz_cursor_take(c, DZ_S("false")) &&
            !dz_cursor_take(c, DZ_S("null")))
            DZ_TRY(number(c, err));
        if (j)
            dz_json_raw(j, dz_str_sub(c->s, from, c->at));
        return DZ_OK;
    }
}

void dz_members_init(struct dz_members *m, dz_str object)
{
    m->started = false;
    dz_cursor_init(&m->at, object);
    dz_buf_init(&m->key, DZ_LONG_TEXT_MAX);
    dz_buf_init(&m->scratch, DZ_LONG_TEXT_MAX);
}

void dz_members_done(struct dz_members *m)
{
    dz_buf_done(&m->key);
    dz_buf_done(&m->scratch);
}

enum dz_code dz_members_next(struct dz_members *m, bool *ret_more, dz_str *ret_key,
                             dz_str *ret_value, struct dz_err *err)
{
    struct dz_cursor *c = &m->at;
    skip_blanks(c);
    bool first = !m->started;
    if (first && !dz_cursor_take(c, DZ_S("{")))
        return bad(c, "an object wanted", err);
    m->started = true;
    skip_blanks(c);
    if (dz_cursor_take(c, DZ_S("}"))) {
        skip_blanks(c);
        if (!dz_cursor_end(c))
            return bad(c, "text behind the object", err);
        *ret_more = false;
        return DZ_OK;
    }
    if (!first) {
        if (!dz_cursor_take(c, DZ_S(",")))
            return bad(c, "',' or '}' wanted", err);
        skip_blanks(c);
    }
    DZ_TRY(name(c, &m->key, err));
    size_t from = c->at;
    DZ_TRY(value(c, NULL, &m->scratch, 1, err));
    *ret_key = dz_buf_str(&m->key);
    *ret_value = dz_str_sub(c->s, from, c->at);
    *ret_more = true;
    return DZ_OK;
}

enum dz_code dz_members_put(struct dz_members *m, struct dz_json *j, dz_str text,
                            struct dz_err *err)
{
    struct dz_cursor c;
    dz_cursor_init(&c, text);
    return value(&c, j, &m->scratch, 1, err);
}

bool dz_members_string(dz_str text, struct dz_buf *out)
{
    struct dz_cursor c;
    dz_cursor_init(&c, text);
    return dz_cursor_peek(&c) == '"' && string(&c, out, NULL) == DZ_OK;
}

enum dz_code dz_members_check(dz_str text, const dz_str *reserved, size_t n, struct dz_err *err)
{
    DZ_AUTO(dz_members_done) struct dz_members m;
    dz_members_init(&m, text);
    for (;;) {
        bool more = false;
        dz_str key, raw;
        DZ_TRY(dz_members_next(&m, &more, &key, &raw, err));
        if (!more)
            return DZ_OK;
        for (size_t i = 0; i < n; i++)
            if (dz_str_eq(key, reserved[i]))
                return dz_fail(err, DZ_BAD_INPUT, "the member \"%.*s\" has a field of its own",
                               DZ_STR_FMT(key));
    }
}
