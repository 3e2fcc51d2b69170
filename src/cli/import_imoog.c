/*
 * import_imoog: what the command import does for files of imoog.
 *
 * In: its settings file or the URI of its database, and options. Out: the place that the library
 * copies from or to, lines for dozo.yaml when there was a settings file, and the outcome in words.
 * The URI may hold a password: it gets into no message.
 */
#include "cli/cli_int.h"
#include "cli/import_int.h"

static const char *or_preset(const char *given, const char *preset)
{
    return given ? given : preset;
}

static enum dz_code place_of_uri(const struct dz_imoog_use *u, struct dz_imoog_place *ret_place,
                                 struct dz_err *err)
{
    dz_str uri = dz_str_of(u->where);
    struct dz_imoog_place p = {
        .driver = "mongodb", .uri = u->where, .table = "", .database = "", .collection = ""};
    if (dz_str_starts(uri, DZ_S("postgres://")) || dz_str_starts(uri, DZ_S("postgresql://")))
        p.driver = "postgres";
    else if (!dz_str_starts(uri, DZ_S("mongodb://")) && !dz_str_starts(uri, DZ_S("mongodb+srv://")))
        return dz_fail(err, DZ_BAD_INPUT,
                       "imoog keeps its files in postgres://… or mongodb://…, not in %.*s://",
                       (int)dz_str_find(uri, DZ_S("://")), uri.p);
    *ret_place = p;
    return DZ_OK;
}

enum dz_code dz_imoog_place_of(const struct dz_imoog_use *u, struct dz_arena *a,
                               struct dz_imoog_place *ret_place, struct dz_buf *ret_yaml,
                               struct dz_err *err)
{
    struct dz_imoog_place p;
    if (strstr(u->where, "://"))
        DZ_TRY(place_of_uri(u, &p, err));
    else
        DZ_TRY(dz_library_imoog_settings(u->where, a, &p, ret_yaml, err));
    bool is_postgres = strcmp(p.driver, "postgres") == 0;
    if (is_postgres ? u->database || u->collection : u->table != NULL)
        return dz_fail(err, DZ_BAD_INPUT, "%s is for the other database; this one takes %s",
                       is_postgres ? "--database or --collection" : "--table",
                       is_postgres ? "--table" : "--database and --collection");
    if (is_postgres)
        p.table = or_preset(u->table, p.table[0] ? p.table : "my_images");
    else
        p.database = or_preset(u->database, p.database[0] ? p.database : "imoog");
    if (!is_postgres)
        p.collection = or_preset(u->collection, p.collection[0] ? p.collection : "images");
    *ret_place = p;
    return DZ_OK;
}

void dz_imoog_put(struct dz_buf *b, const struct dz_imoog_use *u, const struct dz_imoog_result *res)
{
    if (u->dry_run)
        dz_buf_put(b, DZ_S("nothing was written; it would be: "));
    if (res->is_same) {
        dz_buf_put(b, DZ_S("nothing to copy: the store of the settings is this database; "));
        if (u->is_export)
            return;
    }
    dz_count_put(b, res->uploads_new + res->uploads_same + res->uploads_kept, "upload", "uploads");
    dz_buf_putf(b, " (%llu new, %llu there already, %llu with other bytes there, %llu known anew)",
                (unsigned long long)res->uploads_new, (unsigned long long)res->uploads_same,
                (unsigned long long)res->uploads_kept, (unsigned long long)res->adopted);
    if (res->bytes > 0) {
        dz_buf_put(b, DZ_S(", "));
        dz_buf_put_size(b, res->bytes);
    }
}
