/*
 * memory: small texts that outlive a run: a source's `store`, when things are due, health records.
 *
 * In: sets and gets on the loop's thread. Out: answers from RAM at once; rows of crawl_state,
 * written behind by one work at a time, so that later texts never land under earlier ones. What a
 * crash loses is the last moment of it, which costs one question more to a site. Read once at the
 * start, and those of a source again before each of its jobs where the catalog is shared: what
 * another back has found out in the course of the same job is not seen. A write that failed is made
 * again with the next one, or some seconds later. Odd: the last write is made by close, on the
 * calling thread.
 */
#include <stdlib.h>

#include "crawl/crawl_int.h"

#define NAMES_MAX 200000u /* texts held */
/* Of these at most, in all, what sources set themselves: one that sets without end must not take
 * the room of due times, nor all memory. */
#define KV_NAMES_MAX (NAMES_MAX / 2)
#define KV_BYTES_MAX (32 * DZ_MIB)
#define LOAD_BYTES_MAX (512 * DZ_MIB)
#define LATER_MS (60 * 1000)
#define AGAIN_MS (5 * 1000) /* after a write that failed */

struct entry {
    char *map_key; /* SOURCE '\0' NAME */
    size_t map_key_n, source_n;
    char *value; /* NULL: forgotten */
    size_t value_n;
    int64_t expires_ms;
    bool dirty, is_kv;
    struct entry *next_dirty;
};

struct crawl_memory {
    const struct crawl_env *env;
    struct dz_map map;
    struct entry *dirty; /* newest first */
    size_t kv_n, kv_bytes;
    struct dz_work work;
    uint64_t writes;
    bool writing;
    struct dz_arena *arena; /* of the records that are being written */
    struct dz_crawl_state_rec *v;
    size_t n;
    enum dz_code code;
    struct dz_err err;
    struct dz_log_gate complained, crowded;
    struct dz_timer later;
};

static const struct dz_log_ctx ctx = {.room = "crawl", .what = "memory"};

static void entry_free(struct crawl_memory *m, struct entry *e)
{
    if (e->is_kv) {
        m->kv_n--;
        m->kv_bytes -= e->value_n;
    }
    free(e->map_key);
    free(e->value);
    free(e);
}

/* Room for others: what has expired, which the catalog forgets by itself. */
static void drop_expired(struct crawl_memory *m)
{
    int64_t now_ms = dz_now_ms();
    struct entry **old = dz_alloc(m->map.count * sizeof(struct entry *));
    size_t n = 0, at = 0;
    void *v;
    while (dz_map_next(&m->map, &at, NULL, &v)) {
        struct entry *e = v;
        if (!e->dirty && e->expires_ms > 0 && e->expires_ms <= now_ms)
            old[n++] = e;
    }
    for (size_t i = 0; i < n; i++) {
        dz_map_del(&m->map, (dz_str){old[i]->map_key, old[i]->map_key_n});
        entry_free(m, old[i]);
    }
    free(old);
}

static struct entry *find(struct crawl_memory *m, dz_str source, dz_str name, bool make)
{
    char text[2048];
    size_t n = source.n + 1 + name.n;
    if (n > sizeof(text))
        return NULL;
    memcpy(text, source.p, source.n);
    text[source.n] = '\0';
    memcpy(text + source.n + 1, name.p, name.n);
    struct entry *e = dz_map_get(&m->map, (dz_str){text, n});
    if (e || !make)
        return e;
    bool is_kv = dz_str_starts(name, DZ_S("kv/"));
    if (m->map.count >= NAMES_MAX || (is_kv && m->kv_n >= KV_NAMES_MAX))
        drop_expired(m);
    if (m->map.count >= NAMES_MAX || (is_kv && m->kv_n >= KV_NAMES_MAX))
        return NULL;
    e = dz_new(struct entry);
    e->is_kv = is_kv;
    m->kv_n += is_kv;
    e->map_key = dz_str_dup((dz_str){text, n});
    e->map_key_n = n;
    e->source_n = source.n;
    dz_map_set(&m->map, (dz_str){e->map_key, n}, e);
    return e;
}

static void mark(struct crawl_memory *m, struct entry *e)
{
    if (e->dirty)
        return;
    e->dirty = true;
    e->next_dirty = m->dirty;
    m->dirty = e;
}

/* ---- writing behind -------------------------------------------------------------------------- */

/* Copies what is dirty, so that the loop may go on changing it. */
static bool collect(struct crawl_memory *m)
{
    size_t n = 0;
    for (struct entry *e = m->dirty; e; e = e->next_dirty)
        n++;
    if (n == 0)
        return false;
    m->arena = dz_arena_new(LOAD_BYTES_MAX);
    m->v = dz_arena_alloc(m->arena, n * sizeof(*m->v));
    m->n = 0;
    while (m->dirty) {
        struct entry *e = m->dirty;
        m->dirty = e->next_dirty;
        e->dirty = false;
        dz_str key = {e->map_key, e->map_key_n};
        m->v[m->n++] = (struct dz_crawl_state_rec){
            .source = dz_arena_str(m->arena, dz_str_sub(key, 0, e->source_n)),
            .name = dz_arena_str(m->arena, dz_str_sub(key, e->source_n + 1, key.n)),
            .value = dz_arena_str(m->arena, (dz_str){e->value, e->value_n}),
            .expires_ms = e->expires_ms,
        };
        if (!e->value) {
            dz_map_del(&m->map, key);
            entry_free(m, e);
        }
    }
    return true;
}

static void run_write(struct dz_work *w)
{
    struct crawl_memory *m = dz_container(w, struct crawl_memory, work);
    m->code = dz_catalog_state_put(m->env->catalog, m->v, m->n, dz_now_ms(), &m->err);
}

static void write_next(struct crawl_memory *m);

static void on_later(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    write_next(dz_container(t, struct crawl_memory, later));
}

/* What did not reach the catalog is dirty again, also what was to be forgotten there; later texts
 * of the same names stay. */
static void put_back(struct crawl_memory *m)
{
    for (size_t i = 0; i < m->n; i++) {
        struct entry *e = find(m, m->v[i].source, m->v[i].name, true);
        if (e)
            mark(m, e);
    }
    if (dz_log_gate_pass(&m->complained, 60 * 1000))
        dz_log_err(&ctx, DZ_WARN, &m->err, "what sources remember was not written down");
    dz_timer_set(m->env->loop, &m->later, AGAIN_MS, on_later);
}

static void on_written(struct dz_work *w)
{
    struct crawl_memory *m = dz_container(w, struct crawl_memory, work);
    m->writing = false;
    m->writes++;
    bool worked = m->code == DZ_OK;
    if (!worked)
        put_back(m);
    dz_arena_free(&m->arena);
    if (worked)
        write_next(m);
}

static void write_next(struct crawl_memory *m)
{
    if (m->writing || !collect(m))
        return;
    m->writing = true;
    m->writes++;
    m->work = (struct dz_work){.run = run_write, .home = m->env->loop, .done = on_written};
    if (dz_pool_submit(m->env->pool, &m->work, &m->err) == DZ_OK)
        return;
    m->writing = false;
    put_back(m);
    dz_arena_free(&m->arena);
}

/* What is in the catalog; what we have not written yet is newer. */
static void load(struct crawl_memory *m, const struct dz_crawl_state_rec *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct entry *e = find(m, v[i].source, v[i].name, true);
        if (!e || e->dirty)
            continue;
        m->kv_bytes += e->is_kv ? v[i].value.n - e->value_n : 0;
        free(e->value);
        e->value = dz_str_dup(v[i].value);
        e->value_n = v[i].value.n;
        e->expires_ms = v[i].expires_ms;
    }
}

/* ---- the outside ----------------------------------------------------------------------------- */

enum dz_code crawl_memory_open(const struct crawl_env *env, struct crawl_memory **ret_m,
                               struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(LOAD_BYTES_MAX);
    struct dz_crawl_state_rec *v;
    size_t n;
    DZ_TRY(dz_catalog_state_list(env->catalog, (dz_str){NULL, 0}, (dz_str){NULL, 0}, dz_now_ms(), a,
                                 &v, &n, err));
    struct crawl_memory *m = dz_new(struct crawl_memory);
    m->env = env;
    dz_map_init(&m->map);
    load(m, v, n);
    *ret_m = m;
    return DZ_OK;
}

void crawl_memory_close(struct crawl_memory **mm)
{
    struct crawl_memory *m = dz_take(mm);
    if (!m)
        return;
    dz_assert(!m->writing);
    dz_timer_stop(m->env->loop, &m->later);
    if (collect(m)) {
        if (dz_catalog_state_put(m->env->catalog, m->v, m->n, dz_now_ms(), &m->err) != DZ_OK)
            dz_log_err(&ctx, DZ_WARN, &m->err, "what sources remember was not written down");
        dz_arena_free(&m->arena);
    }
    size_t at = 0;
    void *e;
    while (dz_map_next(&m->map, &at, NULL, &e))
        entry_free(m, e);
    dz_map_done(&m->map);
    free(m);
}

uint64_t crawl_memory_writes(const struct crawl_memory *m)
{
    return m->writes;
}

void crawl_memory_read(struct dz_catalog *c, dz_str source, struct crawl_memory_news *news)
{
    news->arena = dz_arena_new(LOAD_BYTES_MAX);
    if (dz_catalog_state_list(c, source, (dz_str){NULL, 0}, dz_now_ms(), news->arena, &news->v,
                              &news->n, NULL) != DZ_OK)
        news->n = 0;
}

void crawl_memory_take(struct crawl_memory *m, struct crawl_memory_news *news)
{
    if (news->arena && !m->writing && m->writes == news->writes)
        load(m, news->v, news->n);
    dz_arena_free(&news->arena);
}

bool crawl_memory_is_busy(const struct crawl_memory *m)
{
    return m->writing;
}

void crawl_memory_rest(struct crawl_memory *m)
{
    dz_timer_stop(m->env->loop, &m->later);
}

bool crawl_memory_get(struct crawl_memory *m, dz_str source, dz_str name, struct dz_buf *out)
{
    const struct entry *e = find(m, source, name, false);
    if (!e || !e->value || (e->expires_ms > 0 && e->expires_ms <= dz_now_ms()))
        return false;
    dz_buf_put(out, (dz_str){e->value, e->value_n});
    return !out->full;
}

static bool set(struct crawl_memory *m, dz_str source, dz_str name, dz_str json, int64_t expires_ms)
{
    /* A name that the catalog refuses would keep all others from being written with it. */
    if (json.n > DZ_CRAWL_STATE_MAX || dz_str_chr(name, '\0') != DZ_NPOS || !dz_str_is_utf8(name))
        return false;
    struct entry *e = find(m, source, name, json.n > 0);
    if (!e)
        return false;
    dz_str was = {e->value, e->value_n};
    if (dz_str_eq(was, json) && expires_ms == e->expires_ms)
        return false;
    if (e->is_kv && json.n > was.n && m->kv_bytes + json.n - was.n > KV_BYTES_MAX) {
        if (dz_log_gate_pass(&m->crowded, 60 * 1000))
            dz_log(&ctx, DZ_WARN, "%.*s: the store of sources is full: not kept",
                   DZ_STR_FMT(source));
        return false;
    }
    m->kv_bytes += e->is_kv ? json.n - was.n : 0;
    free(e->value);
    e->value = json.n ? dz_str_dup(json) : NULL;
    e->value_n = json.n;
    e->expires_ms = expires_ms;
    mark(m, e);
    return true;
}

void crawl_memory_set(struct crawl_memory *m, dz_str source, dz_str name, dz_str json,
                      int64_t expires_ms)
{
    if (set(m, source, name, json, expires_ms))
        write_next(m);
}

void crawl_memory_set_later(struct crawl_memory *m, dz_str source, dz_str name, dz_str json)
{
    if (set(m, source, name, json, 0) && m->later.at == 0)
        dz_timer_set(m->env->loop, &m->later, LATER_MS, on_later);
}
