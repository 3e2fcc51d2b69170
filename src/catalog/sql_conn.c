/*
 * sql_conn: statements that a connection keeps, and calls that are one transaction.
 *
 * In: the tables of texts, declarations' texts. Out: prepared statements, readers, writers; a call
 * that the database gave up for another one is tried again here. Each database's own part stands
 * behind struct dz_sql_backend. A connection is used by the thread that has it.
 */
#include "catalog/sql_int.h"

#include <stdlib.h>
#include <time.h>

enum { TRIES = 10, PAUSE_NS = 2000000 };

/* ---- handles -----------------------------------------------------------------------------------
 */

void dz_sql_init(struct dz_sql *d, const struct dz_sql_backend *b, const char *name)
{
    d->b = b;
    d->name = dz_strdup(name);
    pthread_mutex_init(&d->poll_lock, NULL);
}

void dz_sql_done(struct dz_sql *d)
{
    pthread_mutex_destroy(&d->poll_lock);
    free(d->name);
}

void dz_sql_conn_forget(struct dz_sql_conn *c)
{
    for (size_t i = 0; i < DZ_LEN(c->statements); i++)
        if (c->statements[i])
            c->b->finalize(c->statements[i]);
    memset(c->statements, 0, sizeof(c->statements));
    for (size_t i = 0; i < DZ_LEN(c->made); i++) {
        if (c->made[i].st)
            c->b->finalize(c->made[i].st);
        free((void *)c->made[i].text.p);
        c->made[i] = (struct dz_sql_made){0};
    }
}

/* ---- statements --------------------------------------------------------------------------------
 */

enum dz_code dz_sql_get(struct dz_sql_conn *c, enum dz_sql_statement which,
                        struct dz_sql_stmt **ret_st, struct dz_err *err)
{
    struct dz_sql_stmt **st = &c->statements[which];
    if (!*st) {
        const struct dz_sql_text *t = &dz_sql_texts[which];
        bool other = c->b->dialect == DZ_SQL_POSTGRES && t->postgres;
        DZ_TRY(c->b->prepare(c, dz_str_of(other ? t->postgres : t->sqlite), st, err));
    }
    *ret_st = *st;
    return DZ_OK;
}

enum dz_code dz_sql_get_made(struct dz_sql_conn *c, const struct dz_buf *text,
                             struct dz_sql_stmt **ret_st, struct dz_err *err)
{
    struct dz_sql_made *oldest = &c->made[0];
    if (text->full)
        return dz_fail(err, DZ_TOO_LARGE, "a statement for a collection is too long");
    for (size_t i = 0; i < DZ_LEN(c->made); i++) {
        struct dz_sql_made *m = &c->made[i];
        if (m->st && dz_str_eq(m->text, dz_buf_str(text))) {
            m->used = ++c->made_used;
            *ret_st = m->st;
            return DZ_OK;
        }
        if (m->used < oldest->used)
            oldest = m;
    }
    struct dz_sql_made made = {{dz_str_dup(dz_buf_str(text)), text->n}, NULL, ++c->made_used};
    enum dz_code code = c->b->prepare(c, made.text, &made.st, err);
    if (code != DZ_OK) {
        free((void *)made.text.p);
        return code;
    }
    if (oldest->st)
        c->b->finalize(oldest->st);
    free((void *)oldest->text.p);
    *oldest = made;
    *ret_st = made.st;
    return DZ_OK;
}

enum dz_code dz_sql_run(struct dz_sql_conn *c, struct dz_sql_stmt *st, struct dz_err *err)
{
    bool row = false;
    enum dz_code code = dz_sql_row(c, st, &row, err);
    dz_sql_reset(&st);
    return code;
}

enum dz_code dz_sql_send(struct dz_sql_conn *c, struct dz_sql_stmt *st, struct dz_err *err)
{
    st->later = true;
    return dz_sql_run(c, st, err);
}

enum dz_code dz_sql_run_id(struct dz_sql_conn *c, struct dz_sql_stmt *st, bool *ret_row,
                           int64_t *ret_id, struct dz_err *err)
{
    bool row = false, more = false;
    int64_t id = 0;
    enum dz_code code = dz_sql_row(c, st, &row, err);
    if (code == DZ_OK && row) {
        id = dz_sql_int(st, 0);
        code = dz_sql_row(c, st, &more, err);
    }
    dz_sql_reset(&st);
    DZ_TRY(code);
    *ret_row = row;
    if (row)
        *ret_id = id;
    return DZ_OK;
}

enum dz_code dz_sql_one(struct dz_sql_conn *c, enum dz_sql_statement which, int64_t *ret_n,
                        struct dz_err *err)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(dz_sql_get(c, which, &st, err));
    DZ_TRY(dz_sql_row(c, st, &row, err));
    *ret_n = row ? dz_sql_int(st, 0) : 0;
    return DZ_OK;
}

enum dz_code dz_sql_script(struct dz_sql_conn *c, struct dz_buf *text, struct dz_err *err)
{
    if (text->full)
        return dz_fail(err, DZ_TOO_LARGE, "a statement for a collection is too long");
    return c->b->script(c, dz_buf_cstr(text), err);
}

/* ---- transactions ------------------------------------------------------------------------------
 */

enum dz_code dz_sql_reading_begin(struct dz_sql_reading *r, struct dz_sql *d, enum dz_sql_read kind,
                                  struct dz_err *err)
{
    return d->b->read_begin(d, kind, &r->c, err);
}

void dz_sql_reading_done(struct dz_sql_reading *r)
{
    if (r->c)
        r->c->b->end(r->c);
    r->c = NULL;
}

enum dz_code dz_sql_writing_begin(struct dz_sql_writing *w)
{
    DZ_AUTO(dz_sql_reset) struct dz_sql_stmt *st = NULL;
    bool row = false;
    DZ_TRY(w->d->b->write_begin(w->d, w->kind, &w->c, &w->err));
    if (!w->several || w->d->b->dialect == DZ_SQL_SQLITE)
        return DZ_OK;
    DZ_TRY(dz_sql_get(w->c, DZ_SQL_LOCK_SEVERAL, &st, &w->err));
    return dz_sql_row(w->c, st, &row, &w->err);
}

static enum dz_code finish(struct dz_sql_writing *w, enum dz_code code)
{
    if (code == DZ_OK && dz_fault("commit"))
        code = dz_fail(&w->err, DZ_IO, "%s: injected fault", w->d->name);
    if (code == DZ_OK)
        code = w->d->b->commit(w->c, &w->err);
    if (w->c)
        w->d->b->end(w->c);
    w->c = NULL;
    return code;
}

bool dz_sql_writing_again(struct dz_sql_writing *w, enum dz_code *code, struct dz_err *err)
{
    *code = finish(w, *code);
    if (*code == DZ_OK)
        return false;
    bool lost = w->d->b->is_retry && w->d->b->is_retry(&w->err);
    if ((lost || (w->races && *code == DZ_CONFLICT)) && ++w->tries < TRIES) {
        /* The other one goes on meanwhile. */
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS * (long)w->tries}, NULL);
        w->err = (struct dz_err){0};
        return true;
    }
    if (err)
        *err = w->err;
    return false;
}

enum dz_code dz_sql_notify(struct dz_sql_conn *c, enum dz_sql_news news, struct dz_err *err)
{
    return c->b->notify ? c->b->notify(c, news, err) : DZ_OK;
}
