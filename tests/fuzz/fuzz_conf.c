/*
 * fuzz_conf: a settings file as anybody could have written it. What loads must dump to text that
 * loads to the same text.
 *
 * Everything up to a line "%env" is the file; the lines behind it are variables.
 */
#include <stdlib.h>

#include "conf/conf.h"

#define VARIABLES_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void dump(const struct dz_conf *c, struct dz_buf *out)
{
    dz_buf_init(out, 64 * DZ_MIB);
    dz_conf_dump(c, out);
    dz_assert(!out->full);
}

static void check_dump(const struct dz_conf *c)
{
    DZ_AUTO(dz_conf_unref) struct dz_conf *again = NULL;
    DZ_AUTO(dz_buf_done) struct dz_buf first, second = {0}, json;
    dump(c, &first);
    dz_buf_init(&json, 64 * DZ_MIB);
    dz_conf_dump_json(c, &json);
    dz_assert(!json.full);
    /* A password that is masked may leave an address, a hash or a template that cannot be loaded.
     */
    if (dz_str_find(dz_buf_str(&first), DZ_S("***")) != DZ_NPOS || first.n > DZ_MIB)
        return;
    struct dz_err err;
    if (dz_conf_parse(dz_buf_str(&first), "dump", NULL, &again, NULL, &err) != DZ_OK)
        dz_panic(__FILE__, __LINE__, "a dump does not load: %s", err.text);
    dump(again, &second);
    dz_assert(dz_str_eq(dz_buf_str(&first), dz_buf_str(&second)));
    dz_assert(!dz_conf_diff(c, again, NULL, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dz_str text = {(const char *)data, size};
    if (dz_str_find(text, DZ_S("_file")) != DZ_NPOS || dz_str_find(text, DZ_S("_FILE")) != DZ_NPOS)
        return 0; /* would read whatever is on this machine */
    char *env[VARIABLES_MAX + 1] = {0};
    size_t mark = dz_str_find(text, DZ_S("%env\n"));
    dz_str rest = mark != DZ_NPOS ? dz_str_sub(text, mark + 5, text.n) : (dz_str){0};
    for (size_t i = 0; i < VARIABLES_MAX && rest.n; i++) {
        size_t end = dz_str_chr(rest, '\n');
        env[i] = dz_str_dup(dz_str_sub(rest, 0, end));
        rest = dz_str_after(rest, end);
    }
    DZ_AUTO(dz_conf_unref) struct dz_conf *c = NULL;
    DZ_AUTO(dz_buf_done) struct dz_buf report;
    dz_buf_init(&report, 4 * DZ_MIB);
    struct dz_err err = {0};
    enum dz_code code = dz_conf_parse(dz_str_sub(text, 0, mark), "fuzz", env, &c, &report, &err);
    if (code == DZ_OK) {
        dz_assert(report.n == 0);
        check_dump(c);
    } else {
        dz_assert(report.n > 0 && err.code == code && dz_str_is_utf8(dz_buf_str(&report)));
    }
    for (size_t i = 0; i < VARIABLES_MAX; i++)
        free(env[i]);
    return 0;
}
