/*
 * fuzz_json_text: stored JSON objects, compared with jansson.
 *
 * What our reader takes jansson takes too, and what we write of it is the same value. The other way
 * round jansson takes more: it knows no limit of depth at ours, and it is not asked about numbers
 * that it cannot hold.
 */
#include "catalog/catalog_int.h"

#include <jansson.h>

/* False: refused. */
static bool rewrite(dz_str text, struct dz_buf *out)
{
    DZ_AUTO(dz_members_done) struct dz_members m;
    struct dz_json j;
    dz_members_init(&m, text);
    dz_json_init(&j, out, DZ_JSON_PYTHON, true);
    dz_json_object(&j);
    for (;;) {
        bool more = false;
        dz_str key, value;
        if (dz_members_next(&m, &more, &key, &value, NULL) != DZ_OK)
            return false;
        if (!more)
            break;
        dz_json_key(&j, key);
        enum dz_code code = dz_members_put(&m, &j, value, NULL);
        dz_assert(code == DZ_OK);
    }
    dz_json_end(&j);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > DZ_LONG_TEXT_MAX)
        return 0;
    dz_str text = {(const char *)data, size};
    DZ_AUTO(dz_buf_done) struct dz_buf out, again;
    dz_buf_init(&out, 16 * DZ_MIB);
    dz_buf_init(&again, 16 * DZ_MIB);
    if (!rewrite(text, &out)) {
        dz_assert(dz_members_check(text, NULL, 0, NULL) != DZ_OK);
        return 0;
    }
    for (size_t i = 0; i < out.n; i++)
        dz_assert(out.p[i] >= ' ' && out.p[i] <= '~');
    bool taken = rewrite(dz_buf_str(&out), &again);
    dz_assert(taken && dz_str_eq(dz_buf_str(&out), dz_buf_str(&again)));

    json_t *ours = json_loadb(out.p, out.n, JSON_ALLOW_NUL, NULL);
    json_t *theirs = json_loadb(text.p, text.n, JSON_ALLOW_NUL, NULL);
    dz_assert((ours != NULL) == (theirs != NULL));
    dz_assert(!ours || json_equal(ours, theirs));
    json_decref(ours);
    json_decref(theirs);
    return 0;
}
