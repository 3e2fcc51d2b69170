/*
 * Templates of file names and what becomes of their values: the first line is a template, the rest
 * the value of every placeholder. Whatever a template and a title hold, the name is one entry of a
 * folder.
 */
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static dz_str value_of(void *arg, const char *name)
{
    const dz_str *value = arg;
    return strcmp(name, "team") == 0 ? (dz_str){NULL, 0} : *value;
}

static void check_name(dz_str name, dz_str ext)
{
    dz_assert(name.n > 0 && name.n <= 255 && dz_str_ends(name, ext) && dz_str_is_utf8(name));
    dz_assert(dz_str_chr(name, '/') == DZ_NPOS && !dz_str_starts(name, DZ_S(".dozo-")));
    dz_assert(!dz_str_eq(name, DZ_S(".")) && !dz_str_eq(name, DZ_S("..")));
    for (size_t i = 0; i < name.n; i++)
        dz_assert((unsigned char)name.p[i] >= 0x20 && name.p[i] != 0x7F);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    dz_str all = {(const char *)data, n};
    size_t line = dz_str_chr(all, '\n');
    dz_str value = dz_str_after(all, line), ext = n % 2 ? DZ_S(" (2).cbz") : DZ_S("");
    DZ_AUTO(dz_template_free) struct dz_template *t = NULL;
    DZ_AUTO(dz_buf_done) struct dz_buf written, name;
    struct dz_err err;
    dz_buf_init(&written, 16 * DZ_MIB);
    dz_buf_init(&name, 255);
    if (dz_template_parse(dz_str_sub(all, 0, line), dz_download_names, &t, &err) == DZ_OK)
        dz_template_write(t, value_of, &value, &written);
    else
        dz_assert(err.code == DZ_BAD_INPUT && err.text[0] != '\0');
    dz_file_name_put(dz_buf_str(&written), ext, &name);
    dz_assert(!name.full);
    check_name(dz_buf_str(&name), ext);
    dz_buf_clear(&name);
    dz_file_name_put(value, ext, &name);
    dz_assert(!name.full);
    check_name(dz_buf_str(&name), ext);
    return 0;
}
