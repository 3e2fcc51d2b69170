/*
 * json: the writer through which all JSON leaves.
 *
 * In: values, one call each, in the order of the text. Out: bytes appended to the caller's dz_buf;
 * whether all of it fitted is the buffer's `full`. One owner thread, no memory of its own. Calls in
 * an order that is not JSON are our bug and assert. Numbers and separators follow Python's
 * json.dumps byte for byte, because existing clients compare whole answers; that is why 10.0 keeps
 * its ".0" and 1e16 is "1e+16". At the end, texts out of what jansson has read.
 */
#include "base/base_int.h"

#include <float.h>
#include <jansson.h>
#include <math.h>

void dz_json_init(struct dz_json *j, struct dz_buf *out, enum dz_json_style style, bool ascii)
{
    *j = (struct dz_json){.out = out, .style = style, .ascii = ascii};
}

static void new_line(struct dz_json *j)
{
    dz_buf_putc(j->out, '\n');
    for (unsigned i = 0; i < j->depth; i++)
        dz_buf_put(j->out, DZ_S("    "));
}

/* The comma and line break before the next member or item of the innermost container. */
static void separate(struct dz_json *j)
{
    bool first = !j->stack[j->depth - 1].has_items;
    j->stack[j->depth - 1].has_items = true;
    if (!first)
        dz_buf_put(j->out, j->style == DZ_JSON_PYTHON ? DZ_S(", ") : DZ_S(","));
    if (j->style == DZ_JSON_INDENT4)
        new_line(j);
}

static void before_value(struct dz_json *j)
{
    if (j->after_key) {
        j->after_key = false;
        return;
    }
    if (j->depth == 0)
        return;
    dz_assert(j->stack[j->depth - 1].is_array);
    separate(j);
}

static void open_container(struct dz_json *j, bool is_array)
{
    before_value(j);
    dz_assert(j->depth < DZ_LEN(j->stack));
    j->stack[j->depth].is_array = is_array;
    j->stack[j->depth].has_items = false;
    j->depth++;
    dz_buf_putc(j->out, is_array ? '[' : '{');
}

void dz_json_object(struct dz_json *j)
{
    open_container(j, false);
}

void dz_json_array(struct dz_json *j)
{
    open_container(j, true);
}

void dz_json_end(struct dz_json *j)
{
    dz_assert(j->depth > 0 && !j->after_key);
    j->depth--;
    if (j->style == DZ_JSON_INDENT4 && j->stack[j->depth].has_items)
        new_line(j);
    dz_buf_putc(j->out, j->stack[j->depth].is_array ? ']' : '}');
}

static void put_u16(struct dz_buf *out, uint32_t unit)
{
    static const char digits[] = "0123456789abcdef";
    char text[6] = {'\\',
                    'u',
                    digits[unit >> 12 & 15],
                    digits[unit >> 8 & 15],
                    digits[unit >> 4 & 15],
                    digits[unit & 15]};
    dz_buf_put(out, (dz_str){text, sizeof(text)});
}

static void put_escape(struct dz_buf *out, unsigned char c)
{
    switch (c) {
    case '"':
        dz_buf_put(out, DZ_S("\\\""));
        break;
    case '\\':
        dz_buf_put(out, DZ_S("\\\\"));
        break;
    case '\n':
        dz_buf_put(out, DZ_S("\\n"));
        break;
    case '\r':
        dz_buf_put(out, DZ_S("\\r"));
        break;
    case '\t':
        dz_buf_put(out, DZ_S("\\t"));
        break;
    case '\b':
        dz_buf_put(out, DZ_S("\\b"));
        break;
    case '\f':
        dz_buf_put(out, DZ_S("\\f"));
        break;
    default:
        put_u16(out, c);
    }
}

static void put_wide(struct dz_json *j, uint32_t cp)
{
    if (cp < 0x10000) {
        put_u16(j->out, cp);
        return;
    }
    put_u16(j->out, 0xd800 + ((cp - 0x10000) >> 10));
    put_u16(j->out, 0xdc00 + ((cp - 0x10000) & 0x3ff));
}

static void put_quoted(struct dz_json *j, dz_str s)
{
    dz_buf_putc(j->out, '"');
    size_t from = 0, at = 0; /* [from, at) can leave as it is */
    while (at < s.n) {
        unsigned char c = (unsigned char)s.p[at];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            at++;
            continue;
        }
        int32_t cp;
        size_t step = dz_utf8_step(dz_str_sub(s, at, s.n), &cp);
        if (cp >= 0x7f && !j->ascii) {
            at += step;
            continue;
        }
        dz_buf_put(j->out, dz_str_sub(s, from, at));
        if (c < 0x80)
            put_escape(j->out, c);
        else if (j->ascii)
            put_wide(j, cp < 0 ? 0xfffd : (uint32_t)cp);
        else
            dz_buf_put(j->out, DZ_S("\xef\xbf\xbd"));
        at += step;
        from = at;
    }
    dz_buf_put(j->out, dz_str_sub(s, from, s.n));
    dz_buf_putc(j->out, '"');
}

void dz_json_key(struct dz_json *j, dz_str key)
{
    dz_assert(j->depth > 0 && !j->stack[j->depth - 1].is_array && !j->after_key);
    separate(j);
    put_quoted(j, key);
    dz_buf_put(j->out, j->style == DZ_JSON_COMPACT ? DZ_S(":") : DZ_S(": "));
    j->after_key = true;
}

void dz_json_str(struct dz_json *j, dz_str s)
{
    before_value(j);
    put_quoted(j, s);
}

void dz_json_int(struct dz_json *j, int64_t n)
{
    before_value(j);
    if (n < 0)
        dz_buf_putc(j->out, '-');
    dz_buf_put_u64(j->out, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

/* Adds one to the last digit of text like "1.2345e+06". */
static void round_up(char *text)
{
    char *at = strchr(text, 'e') - 1;
    while (*at == '9' && at > text) {
        *at-- = '0';
        if (*at == '.')
            at--;
    }
    if (*at >= '0' && *at < '9')
        ++*at;
}

/* Fewest digits that read back as x, in text like "1.2345e+06". */
static void shortest(double x, char *text, size_t n)
{
    /* 15 digits always survive the way there and back, so for a normal number the shortest text of
     * up to 15 digits is found at once, with zeros behind it. The smallest numbers have fewer
     * digits in them and are searched. */
    int digits = fabs(x) >= DBL_MIN || x == 0 ? 15 : 1;
    for (; digits <= 17; digits++) {
        snprintf(text, n, "%.*e", digits - 1, x);
        if (strtod(text, NULL) == x)
            return;
        if (digits != 16)
            continue;
        /* Below a power of two numbers lie closer together than above it: the nearest text, just
         * below, may belong to another number when the one just above still belongs to x. */
        round_up(text);
        if (strtod(text, NULL) == x)
            return;
    }
}

size_t dz_real_repr(double x, char dst[32])
{
    char text[40];
    shortest(x, text, sizeof(text));
    char *at = dst, *p = text;
    if (*p == '-')
        *at++ = *p++;
    char digits[20];
    int count = 0;
    for (; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            digits[count++] = *p;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    int exponent = (int)strtol(p + 1, NULL, 10);

    if (exponent < -4 || exponent >= 16) {
        *at++ = digits[0];
        if (count > 1) {
            *at++ = '.';
            for (int i = 1; i < count; i++)
                *at++ = digits[i];
        }
        return (size_t)(at - dst) + (size_t)snprintf(at, 8, "e%+03d", exponent);
    }
    int point = exponent + 1; /* digits before the point */
    if (point <= 0)
        *at++ = '0';
    for (int i = 0; i < point; i++)
        *at++ = i < count ? digits[i] : '0';
    *at++ = '.';
    for (int i = point; i < 0; i++)
        *at++ = '0';
    for (int i = point < 0 ? 0 : point; i < count; i++)
        *at++ = digits[i];
    if (point >= count)
        *at++ = '0';
    return (size_t)(at - dst);
}

void dz_json_real(struct dz_json *j, double x)
{
    if (!isfinite(x)) {
        dz_json_null(j);
        return;
    }
    before_value(j);
    char text[32];
    size_t n = dz_real_repr(x, text);
    dz_buf_put(j->out, (dz_str){text, n});
}

void dz_json_bool(struct dz_json *j, bool b)
{
    before_value(j);
    dz_buf_put(j->out, b ? DZ_S("true") : DZ_S("false"));
}

void dz_json_null(struct dz_json *j)
{
    before_value(j);
    dz_buf_put(j->out, DZ_S("null"));
}

void dz_json_raw(struct dz_json *j, dz_str json)
{
    before_value(j);
    dz_buf_put(j->out, json);
}

/* ---- what was read --------------------------------------------------------------------------- */

dz_str dz_json_text(const json_t *v)
{
    return (dz_str){json_string_value(v), json_string_length(v)};
}

dz_str dz_json_text_at(const json_t *object, const char *name)
{
    return dz_json_text(json_object_get(object, name));
}

dz_str dz_json_scalar_text(struct dz_arena *a, const json_t *v)
{
    if (json_is_string(v))
        return dz_arena_str(a, dz_json_text(v));
    if (json_is_integer(v))
        return dz_arena_printf(a, "%lld", (long long)json_integer_value(v));
    if (!json_is_real(v))
        return (dz_str){NULL, 0};
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 64);
    struct dz_json j;
    dz_json_init(&j, &b, DZ_JSON_COMPACT, true);
    double x = json_real_value(v);
    if (fabs(x) < 1e15 && x == (double)(int64_t)x)
        dz_json_int(&j, (int64_t)x);
    else
        dz_json_real(&j, x);
    return dz_arena_str(a, dz_buf_str(&b));
}
