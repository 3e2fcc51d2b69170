/*
 * fuzz_json: the JSON writer, checked by another library's reader.
 *
 * In: bytes taken as a list of calls: the first chooses the style, then one byte a call and what it
 * needs. Calls that would be our own bug (a value without its key) are turned into right ones. The
 * text must be JSON to jansson, and a number or a good string must come back as it was.
 */
#include <jansson.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p;
    size_t n;
};

static uint8_t take_byte(struct input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->p++;
}

static void take_bytes(struct input *in, void *dst, size_t n)
{
    uint8_t *at = dst;
    for (size_t i = 0; i < n; i++)
        at[i] = take_byte(in);
}

static dz_str take_text(struct input *in)
{
    size_t n = take_byte(in) % 64;
    if (n > in->n)
        n = in->n;
    dz_str s = {(const char *)in->p, n};
    in->p += n;
    in->n -= n;
    return s;
}

/* The other library takes no NUL in a key. */
static dz_str take_key(struct input *in)
{
    dz_str s = take_text(in);
    size_t nul = dz_str_chr(s, '\0');
    return dz_str_sub(s, 0, nul);
}

static void one_call(struct dz_json *j, struct input *in)
{
    uint8_t call = take_byte(in) % 9;
    if (call == 2) {
        if (j->depth > 1)
            dz_json_end(j);
        return;
    }
    if (!j->stack[j->depth - 1].is_array)
        dz_json_key(j, take_key(in));
    int64_t whole = 0;
    double real = 0;
    switch (call) {
    case 0:
    case 1:
        if (j->depth == DZ_LEN(j->stack))
            dz_json_null(j);
        else if (call == 0)
            dz_json_object(j);
        else
            dz_json_array(j);
        break;
    case 3:
    case 4:
        dz_json_str(j, take_text(in));
        break;
    case 5:
        take_bytes(in, &whole, sizeof(whole));
        dz_json_int(j, whole);
        break;
    case 6:
        take_bytes(in, &real, sizeof(real));
        dz_json_real(j, real);
        break;
    case 7:
        dz_json_bool(j, take_byte(in) & 1);
        break;
    default:
        dz_json_null(j);
    }
}

static void check_document(enum dz_json_style style, bool ascii, struct input in)
{
    struct dz_buf out DZ_AUTO(dz_buf_done);
    struct dz_json j;
    dz_buf_init(&out, DZ_MIB);
    dz_json_init(&j, &out, style, ascii);
    dz_json_array(&j);
    while (in.n > 0)
        one_call(&j, &in);
    while (j.depth > 0)
        dz_json_end(&j);
    if (out.full)
        return;
    json_t *root = json_loadb(out.p, out.n, JSON_ALLOW_NUL, NULL);
    dz_assert(root);
    json_decref(root);
    for (size_t i = 0; ascii && i < out.n; i++)
        dz_assert((unsigned char)out.p[i] < 0x7f);
}

static void check_string(enum dz_json_style style, bool ascii, dz_str s)
{
    struct dz_buf out DZ_AUTO(dz_buf_done);
    struct dz_json j;
    dz_buf_init(&out, DZ_MIB);
    dz_json_init(&j, &out, style, ascii);
    dz_json_str(&j, s);
    json_t *root = json_loadb(out.p, out.n, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
    dz_assert(root);
    dz_str back = {json_string_value(root), json_string_length(root)};
    dz_assert(dz_str_is_utf8(s) == dz_str_eq(back, s));
    json_decref(root);
}

static void check_real(struct input in)
{
    double x, back;
    take_bytes(&in, &x, sizeof(x));
    struct dz_buf out DZ_AUTO(dz_buf_done);
    struct dz_json j;
    dz_buf_init(&out, DZ_MIB);
    dz_json_init(&j, &out, DZ_JSON_COMPACT, false);
    dz_json_real(&j, x);
    if (dz_str_eq(dz_buf_str(&out), DZ_S("null")))
        return;
    back = strtod(dz_buf_cstr(&out), NULL);
    dz_assert(memcmp(&back, &x, sizeof(x)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t choice = take_byte(&in);
    enum dz_json_style style = (enum dz_json_style)(choice % 3);
    bool ascii = choice & 0x80;
    check_document(style, ascii, in);
    check_string(style, ascii, (dz_str){(const char *)in.p, in.n});
    check_real(in);
    return 0;
}
