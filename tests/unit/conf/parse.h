/*
 * parse: what the tests of conf share: settings from a text and the fault lines of a wrong one.
 */
#pragma once

#include "test.h"

#include "conf/conf.h"

#define PARSED_BYTES_MAX (4 * DZ_MIB)

static inline struct dz_conf *parse_env(const char *yaml, char *const *env)
{
    struct dz_conf *c = NULL;
    must(dz_conf_parse(dz_str_of(yaml), "dozo.yaml", env, &c, NULL, err));
    return c;
}

static inline struct dz_conf *parse(const char *yaml)
{
    return parse_env(yaml, NULL);
}

/* The report of settings that must be refused; the caller frees. Also checks that err tells its
 * first line. */
static inline char *faults_of(dz_str yaml, char *const *env)
{
    struct dz_conf *c = NULL;
    struct dz_err err = {0};
    DZ_AUTO(dz_buf_done) struct dz_buf report;
    dz_buf_init(&report, PARSED_BYTES_MAX);
    enum dz_code code = dz_conf_parse(yaml, "dozo.yaml", env, &c, &report, &err);
    if (code == DZ_OK)
        fail_msg("accepted: %.*s", DZ_STR_FMT(yaml));
    assert_int_equal(code, DZ_BAD_INPUT);
    assert_int_equal(err.code, DZ_BAD_INPUT);
    assert_null(c);
    dz_str all = dz_buf_str(&report);
    dz_str first = dz_str_sub(all, 0, dz_str_chr(all, '\n'));
    assert_true(dz_str_starts(first, dz_str_sub(dz_str_of(err.text), 0, 200)));
    return dz_buf_take(&report, NULL);
}

static inline char *dump_of(const struct dz_conf *c)
{
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, PARSED_BYTES_MAX);
    dz_conf_dump(c, &b);
    assert_false(b.full);
    return dz_buf_take(&b, NULL);
}

static inline const char *option_of(const struct dz_conf *c, const char *id, const char *name)
{
    for (size_t i = 0; i < c->sources.n; i++) {
        const struct dz_conf_source *s = &c->sources.v[i];
        for (size_t k = 0; strcmp(s->id, id) == 0 && k < s->options.n; k++)
            if (strcmp(s->options.v[k].name, name) == 0)
                return s->options.v[k].text;
    }
    return NULL;
}
