/*
 * cache: the one door to the cache drivers.
 *
 * Checks keys, finds the driver by its name in the settings, and passes on. Counting is the
 * drivers' own affair, for one counter shared by all threads would cost more than the lookup it
 * counts. Any thread.
 */
#include "cache/cache.h"

#include <stdlib.h>

struct dz_cache {
    const struct dz_cache_driver *driver;
    void *self;
    struct dz_cache_stats stats;
};

static const struct dz_cache_driver *const drivers[] = {
    &dz_cache_memory,
};

static enum dz_code fail_unknown(dz_str name, struct dz_err *err)
{
    struct dz_buf known DZ_AUTO(dz_buf_done);
    dz_buf_init(&known, 256);
    for (size_t i = 0; i < DZ_LEN(drivers); i++) {
        if (i > 0)
            dz_buf_put(&known, DZ_S(", "));
        dz_buf_put(&known, dz_str_of(drivers[i]->name));
    }
    dz_str shown = dz_str_sub(name, 0, 40);
    return dz_fail(err, DZ_BAD_INPUT, "no cache driver \"%.*s\"; this program has: %s",
                   DZ_STR_FMT(shown), dz_buf_cstr(&known));
}

enum dz_code dz_cache_open(const char *driver, const char *uri, const struct dz_cache_options *o,
                           struct dz_cache **ret_c, struct dz_err *err)
{
    const struct dz_cache_driver *d = NULL;
    for (size_t i = 0; i < DZ_LEN(drivers); i++)
        if (strcmp(drivers[i]->name, driver) == 0)
            d = drivers[i];
    if (!d)
        return fail_unknown(dz_str_of(driver), err);
    if (o->ttl_ms < 0)
        return dz_fail(err, DZ_BAD_INPUT, "cache ttl is negative");
    void *self = NULL;
    enum dz_code code = d->open(uri ? uri : "", o, &self, err);
    if (code != DZ_OK)
        return dz_wrap(err, code, "cache (%s)", d->name);
    struct dz_cache *c = dz_new(struct dz_cache);
    c->driver = d;
    c->self = self;
    *ret_c = c;
    return DZ_OK;
}

void dz_cache_close(struct dz_cache **c)
{
    if (!*c)
        return;
    (*c)->driver->close((*c)->self);
    dz_freep(c);
}

static void check_key(dz_str key)
{
    dz_assert(key.n > 0 && key.n <= DZ_CACHE_KEY_MAX);
}

bool dz_cache_get(struct dz_cache *c, dz_str key, struct dz_body **ret_body)
{
    check_key(key);
    return c->driver->get(c->self, key, ret_body);
}

void dz_cache_put(struct dz_cache *c, dz_str key, struct dz_body *body)
{
    check_key(key);
    c->driver->put(c->self, key, body);
}

void dz_cache_del(struct dz_cache *c, dz_str key)
{
    check_key(key);
    c->driver->del(c->self, key);
}

struct dz_cache_stats *dz_cache_stats(struct dz_cache *c)
{
    c->driver->stats(c->self, &c->stats);
    return &c->stats;
}
