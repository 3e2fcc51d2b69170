/*
 * members: members of the JSON objects that commands print.
 *
 * In: a writer inside an object, a key, a value. Out: the member; what is not known is null. Pure.
 */
#include "cli/cli_int.h"

void dz_member_text(struct dz_json *j, const char *key, dz_str text)
{
    dz_json_key(j, dz_str_of(key));
    if (text.n > 0)
        dz_json_str(j, text);
    else
        dz_json_null(j);
}

void dz_member_texts(struct dz_json *j, const char *key, const dz_str *v, size_t n)
{
    dz_json_key(j, dz_str_of(key));
    dz_json_array(j);
    for (size_t i = 0; i < n; i++)
        dz_json_str(j, v[i]);
    dz_json_end(j);
}

void dz_member_int(struct dz_json *j, const char *key, int64_t n)
{
    dz_json_key(j, dz_str_of(key));
    dz_json_int(j, n);
}

void dz_member_bool(struct dz_json *j, const char *key, bool b)
{
    dz_json_key(j, dz_str_of(key));
    dz_json_bool(j, b);
}

void dz_member_time(struct dz_json *j, const char *key, int64_t at_ms)
{
    char iso[21];
    dz_json_key(j, dz_str_of(key));
    if (at_ms <= 0) {
        dz_json_null(j);
        return;
    }
    dz_time_iso(at_ms / 1000, iso);
    dz_json_str(j, dz_str_of(iso));
}
