/*
 * rig: see rig.h. One process, one loop, no network.
 */
#include "rig.h"

#include <stdlib.h>

struct rig rig;

static void put_log(void *arg, enum dz_level level, dz_str text)
{
    (void)arg;
    if (level == DZ_DEBUG)
        return;
    size_t n = strlen(rig.log);
    snprintf(rig.log + n, sizeof(rig.log) - n, "%d:%.*s\n", (int)level, DZ_STR_FMT(text));
}

static bool kv_get(void *arg, dz_str source, dz_str key, struct dz_buf *out)
{
    (void)arg;
    assert_true(dz_str_eq(source, DZ_S("test")));
    if (!rig.kept[0] || !dz_str_eq(key, dz_str_of(rig.key)))
        return false;
    dz_buf_put(out, dz_str_of(rig.kept));
    return true;
}

static void kv_set(void *arg, dz_str source, dz_str key, dz_str json, int64_t expires_s)
{
    (void)arg;
    (void)source;
    snprintf(rig.key, sizeof(rig.key), "%.*s", DZ_STR_FMT(key));
    snprintf(rig.kept, sizeof(rig.kept), "%.*s", (int)json.n, json.p ? json.p : "");
    rig.kept_until = expires_s;
}

int rig_open(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    must(dz_loop_new(&rig.loop, err));
    rig.env = (struct dz_source_env){
        .loop = rig.loop, .kv_get = kv_get, .kv_set = kv_set, .log = put_log};
    return 0;
}

int rig_close(void **state)
{
    (void)state;
    dz_loop_free(&rig.loop);
    return 0;
}

struct dz_source *rig_load(const char *text)
{
    struct dz_source *s;
    must(dz_source_load(NULL, dz_str_of(text), "source.lua", &s, err));
    return s;
}

static void done(void *arg, const struct dz_source_result *res)
{
    struct call *c = arg;
    assert_false(c->done);
    c->done = true;
    if (res->fail) {
        c->kind = res->fail->kind;
        c->retry_after_ms = res->fail->retry_after_ms;
        memcpy(c->text, res->fail->text, sizeof(c->text));
    }
    if (res->value)
        c->json = json_dumps(res->value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (res->body) {
        c->bytes_n = res->body->n;
        memcpy(c->bytes, res->body->p, c->bytes_n < 64 ? c->bytes_n : 64);
    }
}

void rig_again(struct call *c, enum dz_source_fn fn, const char *args)
{
    c->done = false;
    free(c->json);
    c->json = NULL;
    c->kind = DZ_SOURCE_OK;
    c->text[0] = 0;
    json_t *v = json_loads(args, 0, NULL);
    assert_non_null(v);
    must(dz_source_run_call(c->run, fn, v, done, c, err));
    json_decref(v);
    assert_false(c->done);
}

void rig_start(struct call *c, const char *text, enum dz_source_fn fn, const char *args,
               const struct dz_source_budget *budget)
{
    memset(c, 0, sizeof(*c));
    c->source = rig_load(text);
    must(dz_source_run_new(c->source, &rig.env, budget, &c->run, err));
    rig_again(c, fn, args);
}

void rig_wait(struct call *c)
{
    while (!c->done)
        dz_loop_turn(rig.loop, -1);
}

void rig_end(struct call *c)
{
    dz_source_run_free(&c->run);
    dz_source_unref(&c->source);
    free(c->json);
    c->json = NULL;
    for (int i = 0; i < 3; i++)
        dz_loop_turn(rig.loop, 0);
}

void rig_gives(const char *text, enum dz_source_fn fn, const char *args, const char *json)
{
    struct call c;
    rig_start(&c, text, fn, args, NULL);
    rig_wait(&c);
    if (c.kind != DZ_SOURCE_OK)
        fail_msg("%s\n%s", text, c.text);
    assert_string_equal(c.json, json);
    rig_end(&c);
}

void rig_fails(const char *text, enum dz_source_fn fn, const char *args, enum dz_source_kind kind,
               const char *words)
{
    struct call c;
    rig_start(&c, text, fn, args, NULL);
    rig_wait(&c);
    if (c.kind != kind || !strstr(c.text, words))
        fail_msg("%s\n    gave %s: %s\n    not  %s: %s", text, dz_source_kind_of(c.kind)->name,
                 c.kind ? c.text : c.json, dz_source_kind_of(kind)->name, words);
    rig_end(&c);
}
