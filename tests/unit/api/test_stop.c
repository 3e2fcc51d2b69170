/*
 * test_stop: a front that ends while workers are still busy with what its loops asked them for.
 * What they bring late must find the loops, whose threads are gone, and be dropped with them.
 */
#include <netdb.h>

#include "library/lab.h"

#include "api/api_int.h"

#include <sched.h>

static atomic_uint lookups, released;

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **ret_list);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **ret_list);

/* A name server that answers when the test wants it. */
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **ret_list)
{
    if (strcmp(host, "slow.example") != 0)
        return __real_getaddrinfo(host, port, hints, ret_list);
    atomic_fetch_add(&lookups, 1);
    while (!atomic_load(&released))
        sched_yield();
    return EAI_NONAME;
}

static void late_lookup(void **state)
{
    (void)state;
    struct lab lab;
    struct dz_cache *cache = NULL;
    struct dz_pool *pool = NULL;
    struct dz_api *api = NULL;
    struct dz_http_server *server = NULL;
    lab_init(&lab, "rate_limit: { storage: \"redis://slow.example\", graphql: 2/hour }");
    struct dz_cache_options c = {.max_bytes = DZ_MIB, .max_entries = UINT64_MAX};
    must(dz_cache_open("memory", "", &c, &cache, err));
    must(dz_pool_new(2, 16, &pool, err));
    struct dz_api_options a = {.conf = lab.conf, .library = lab.lib, .cache = cache, .pool = pool};
    must(dz_api_new(&a, &api, err));
    struct dz_http_options h = {0};
    dz_api_wire(api, &h);
    must(dz_http_server_new(&h, &server, err));
    dz_api_set_server(api, server);
    must(dz_http_start(server, 2, err)); /* each loop finds the host by itself */
    while (atomic_load(&lookups) < 2)
        sched_yield();

    dz_http_end(server);
    dz_http_end(server);
    atomic_store(&released, 1);
    dz_pool_close(&pool);
    dz_http_stop(&server);
    assert_null(server);
    dz_http_stop(&server);
    dz_api_free(&api);
    dz_cache_close(&cache);
    lab_done(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(late_lookup)};
    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
