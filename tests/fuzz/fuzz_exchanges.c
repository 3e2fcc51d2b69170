/*
 * fuzz_exchanges: recorded exchanges of a source's tests, read; each one is asked for and answers
 * once, whatever the file says.
 */
#include "source/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void done(void *arg, struct dz_fetch_res *res)
{
    unsigned *calls = arg;
    ++*calls;
    dz_assert((res->kind == DZ_FETCH_OK) == (res->body != NULL));
    dz_assert(res->kind == DZ_FETCH_OK || res->err.code != DZ_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dz_loop *loop;
    static const dz_str hosts[] = {{"example.org", 11}, {"*.org", 5}};
    static const struct dz_source_info info = {.hosts = hosts, .hosts_n = DZ_LEN(hosts)};
    if (!loop && dz_loop_new(&loop, NULL) != DZ_OK)
        return 0;
    struct replay *r = replay_new(loop);
    struct dz_err err;
    if (replay_add(r, "a.http", "/nowhere/at/all", (dz_str){(const char *)data, size}, false,
                   &err) != DZ_OK)
        dz_assert(err.code == DZ_BAD_INPUT && strstr(err.text, "a.http:"));
    replay_begin(r, &info, NULL, 0);
    unsigned calls = 0, asked = 0;
    for (size_t i = 0; i < replay_count(r) && i < 32; i++, asked++) {
        const struct replay_exchange *x = replay_at(r, i);
        struct dz_fetch_req req = {.method = x->method,
                                   .url = x->shown_url,
                                   .headers = x->wants,
                                   .headers_n = x->wants_n,
                                   .body = x->sent_body,
                                   .no_redirects = i % 2,
                                   .done = done,
                                   .arg = &calls};
        dz_assert(replay_has(r, &req));
        replay_send(r, &req);
    }
    while (calls < asked / 2)
        dz_loop_turn(loop, -1);
    replay_free(&r);
    dz_assert(calls == asked);
    return 0;
}
