/*
 * fuzz_python: the settings file of imoog. Any text is read or refused, and what is read are plain
 * values.
 */
#include "library/imoog_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_plain(const json_t *v)
{
    const char *name;
    json_t *item;
    size_t i;
    if (json_is_string(v))
        dz_assert(dz_str_is_utf8(dz_json_text(v)));
    json_array_foreach((json_t *)v, i, item) check_plain(item);
    json_object_foreach((json_t *)v, name, item)
    {
        dz_assert(dz_str_is_utf8(dz_str_of(name)));
        check_plain(item);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    json_t *values = NULL, *others = NULL;
    struct dz_err err = {0};
    if (library_python_read((dz_str){(const char *)data, n}, &values, &others, &err) != DZ_OK) {
        dz_assert(!values && !others && dz_str_starts(dz_str_of(err.text), DZ_S("line ")));
        return 0;
    }
    check_plain(values);
    check_plain(others);
    json_decref(values);
    json_decref(others);
    return 0;
}
