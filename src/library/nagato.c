/*
 * nagato: marks and favourites of the service that is replaced (contracts/nagato.md 9).
 *
 * In: its SQLite file, which is only read: locks of a running service are honoured, and no file is
 * left beside it unless its journal (-wal) has to be read. Out: marks and favourites of the
 * catalog. Rows are judged one by one; one that cannot be used is told with its number and left
 * out. Marks are stored a thousand at a time, each time all or none. Odd: what this catalog says
 * of a chapter already stays, so that a second run, also months later, undoes nothing.
 */
#include <stdlib.h>

#include "library/import_int.h"
#include "library/their_int.h"

#define ROWS_AT_ONCE 1000u

struct nagato {
    struct dz_library *l;
    struct their_db db;
    struct import_teller teller;
    struct dz_import_result told; /* where the teller counts */
    struct dz_nagato_result result;
    struct dz_arena *arena; /* of the rows at hand */
    struct dz_mark_rec marks[ROWS_AT_ONCE];
    size_t marks_n;
};

/* ---- rows ------------------------------------------------------------------------------------ */

static void tell_row(struct nagato *g, const char *table, int64_t row, const char *words)
{
    char entry[64];
    (void)snprintf(entry, sizeof(entry), "%s row %lld", table, (long long)row);
    import_tell(&g->teller, DZ_IMPORT_ERROR, g->db.path, entry, words);
}

/* A cell as an id that the catalog takes; else false, and *ret_words says why. */
static bool read_id(sqlite3_stmt *st, int at, const char *field, dz_str *ret_id, char ret_words[96])
{
    const char *why = NULL;
    bool is_text = sqlite3_column_type(st, at) == SQLITE_TEXT;
    const unsigned char *p = is_text ? sqlite3_column_text(st, at) : NULL;
    dz_str id = {(const char *)p, p ? (size_t)sqlite3_column_bytes(st, at) : 0};
    if (!is_text)
        why = "is no text";
    else if (id.n == 0)
        why = "is empty";
    else if (id.n > DZ_TEXT_MAX)
        why = "is longer than 4096 bytes";
    else if (!dz_str_is_utf8(id) || dz_str_chr(id, '\0') != DZ_NPOS)
        why = "is not UTF-8, or holds a zero byte";
    if (why)
        (void)snprintf(ret_words, 96, "%s %s: left out", field, why);
    *ret_id = id;
    return !why;
}

/* What is known of a chapter stays, also when it is something else. */
static enum dz_code store_marks(struct nagato *g, struct dz_err *err)
{
    if (g->marks_n == 0)
        return DZ_OK;
    struct dz_catalog *c = g->l->catalog;
    dz_str chapters[ROWS_AT_ONCE];
    struct dz_mark_rec *known;
    size_t known_n, new_n = 0;
    for (size_t i = 0; i < g->marks_n; i++)
        chapters[i] = g->marks[i].chapter;
    DZ_TRY(dz_catalog_marks_of(c, g->marks[0].source, chapters, g->marks_n, g->arena, &known,
                               &known_n, err));
    for (size_t i = 0, k = 0; i < g->marks_n; i++) {
        const struct dz_mark_rec *m = &g->marks[i];
        if (k == known_n || !dz_str_eq(known[k].chapter, m->chapter))
            g->marks[new_n++] = *m;
        else if (known[k++].mark == m->mark)
            g->result.marks_same++;
        else
            g->result.marks_kept++;
    }
    DZ_TRY(dz_catalog_marks_put(c, g->marks, new_n, err));
    g->result.marks_new += new_n;
    g->marks_n = 0;
    dz_arena_reset(g->arena);
    return import_stopped(&g->teller) ? dz_fail(err, DZ_CANCELLED, "stopped") : DZ_OK;
}

/* Rows come by site, and those of one site are stored together. */
static enum dz_code take_mark(struct nagato *g, sqlite3_stmt *st, struct dz_err *err)
{
    struct dz_mark_rec m;
    dz_str mark;
    char words[96];
    int64_t row = sqlite3_column_int64(st, 0);
    bool fits = read_id(st, 1, "site", &m.source, words) &&
                read_id(st, 2, "id", &m.chapter, words) &&
                read_id(st, 3, "manga", &m.series, words) && read_id(st, 4, "mark", &mark, words);
    if (fits && !dz_str_eq(mark, DZ_S("D")) && !dz_str_eq(mark, DZ_S("I"))) {
        (void)snprintf(words, sizeof(words), "mark \"%.*s\" is neither D nor I: left out",
                       DZ_STR_FMT(dz_str_clip(mark, 20)));
        fits = false;
    }
    if (!fits) {
        tell_row(g, "chapters", row, words);
        return DZ_OK;
    }
    m.mark = mark.p[0];
    if (g->marks_n == ROWS_AT_ONCE || (g->marks_n > 0 && !dz_str_eq(g->marks[0].source, m.source)))
        DZ_TRY(store_marks(g, err));
    m.source = dz_arena_str(g->arena, m.source);
    m.chapter = dz_arena_str(g->arena, m.chapter);
    m.series = dz_arena_str(g->arena, m.series);
    g->marks[g->marks_n++] = m;
    return DZ_OK;
}

static enum dz_code take_favourite(struct nagato *g, sqlite3_stmt *st, struct dz_err *err)
{
    dz_str site, id;
    char words[96];
    bool is_new;
    if (!read_id(st, 1, "site", &site, words) || !read_id(st, 2, "id", &id, words)) {
        tell_row(g, "mangas", sqlite3_column_int64(st, 0), words);
        return DZ_OK;
    }
    DZ_TRY(dz_catalog_favourite_put(g->l->catalog, site, id, dz_now_ms(), &is_new, err));
    g->result.favourites_new += is_new;
    g->result.favourites_same += !is_new;
    return import_stopped(&g->teller) ? dz_fail(err, DZ_CANCELLED, "stopped") : DZ_OK;
}

static enum dz_code each_row(struct nagato *g, const char *sql,
                             enum dz_code (*take)(struct nagato *g, sqlite3_stmt *st,
                                                  struct dz_err *err),
                             struct dz_err *err)
{
    DZ_AUTO(their_statement_done) sqlite3_stmt *st = NULL;
    DZ_TRY(their_statement(&g->db, sql, &st, err));
    for (;;) {
        bool row = false;
        DZ_TRY(their_row(&g->db, st, &row, err));
        if (!row)
            return DZ_OK;
        DZ_TRY(take(g, st, err));
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum dz_code run(struct nagato *g, struct dz_err *err)
{
    bool has_marks, has_favourites;
    DZ_TRY(their_open(&g->db, err));
    DZ_TRY(their_has_table(&g->db, "chapters", &has_marks, err));
    DZ_TRY(their_has_table(&g->db, "mangas", &has_favourites, err));
    if (!has_marks || !has_favourites)
        return dz_fail(err, DZ_BAD_INPUT, "%s: no table %s: this is no database of nagato",
                       g->db.path, has_marks ? "mangas" : "chapters");
    DZ_TRY(each_row(g, "SELECT rowid, site, id, manga, mark FROM chapters ORDER BY site, rowid",
                    take_mark, err));
    DZ_TRY(store_marks(g, err));
    return each_row(g, "SELECT rowid, site, id FROM mangas ORDER BY rowid", take_favourite, err);
}

enum dz_code dz_library_import_nagato(struct dz_library *l, const char *database,
                                      const struct dz_import_options *o,
                                      struct dz_nagato_result *ret_result, struct dz_err *err)
{
    struct nagato *g = dz_new(struct nagato);
    g->l = l;
    g->db.path = database;
    g->teller = (struct import_teller){.o = o, .result = &g->told};
    g->arena = dz_arena_new(2 * ROWS_AT_ONCE * 4 * DZ_TEXT_MAX);
    enum dz_code code = run(g, err);
    g->result.errors = g->told.errors;
    *ret_result = g->result;
    their_close(&g->db);
    dz_arena_free(&g->arena);
    free(g);
    return code;
}
