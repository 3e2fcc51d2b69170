/*
 * limits: the grammar of rate limits (contracts/kvm48.md section 2), and the rules that the
 * settings of `rate_limit` make.
 *
 * "10/minute; 1 per 2 seconds": a count, "/" or "per", a multiple that may be missing, a unit in
 * any case with or without an s; several joined by , ; or |. Blanks may stand between all of them.
 * That is what the Python library `limits` takes, whose months and years of 30 and 360 days are
 * ours as well; a count or multiple of 0, which it also takes, is refused. Rules live in the arena
 * of the settings, the longest prefix first, so that the first that fits is the one that counts.
 */
#include "conf/conf_int.h"

#include <stdlib.h>

#define NUMBER_MAX 1000000000
#define WINDOW_MS_MAX (100 * 360 * 86400000LL)
#define ROUTE_BYTES_MAX 200
#define WHY(...) dz_fail(why, DZ_BAD_INPUT, __VA_ARGS__)

static const struct unit {
    const char *name;
    int64_t ms;
} units[] = {
    {"second", 1000},  {"minute", 60000},          {"hour", 3600000},
    {"day", 86400000}, {"month", 30 * 86400000LL}, {"year", 360 * 86400000LL},
};

/* ---- the grammar ----------------------------------------------------------------------------- */

static void skip_blanks(struct dz_cursor *c)
{
    for (;;) {
        int next = dz_cursor_peek(c);
        if (next != ' ' && (next < '\t' || next > '\r'))
            return;
        (void)dz_cursor_next(c);
    }
}

/* False: not there, and `none` says whether there were no digits at all. */
static bool take_number(struct dz_cursor *c, uint64_t *ret_n, bool *none)
{
    size_t from = c->at;
    while (dz_cursor_peek(c) >= '0' && dz_cursor_peek(c) <= '9')
        (void)dz_cursor_next(c);
    dz_str digits = dz_str_sub(c->s, from, c->at);
    *none = digits.n == 0;
    if (dz_str_u64(digits, NUMBER_MAX, ret_n, NULL) == DZ_OK && *ret_n > 0)
        return true;
    c->at = from;
    return false;
}

static bool take_word(struct dz_cursor *c, dz_str word)
{
    if (!dz_str_eq_nocase(dz_str_sub(c->s, c->at, c->at + word.n), word))
        return false;
    c->at += word.n;
    return true;
}

static const struct unit *take_unit(struct dz_cursor *c)
{
    for (size_t i = 0; i < DZ_LEN(units); i++) {
        if (!take_word(c, dz_str_of(units[i].name)))
            continue;
        (void)take_word(c, DZ_S("s"));
        return &units[i];
    }
    return NULL;
}

static enum dz_code parse_one(struct dz_cursor *c, struct dz_limit *ret_l, struct dz_err *why)
{
    uint64_t count = 0, multiple = 1;
    bool none;
    skip_blanks(c);
    if (!take_number(c, &count, &none))
        return WHY("at character %zu has no count from 1 to %d", c->at + 1, NUMBER_MAX);
    skip_blanks(c);
    if (!take_word(c, DZ_S("/")) && !take_word(c, DZ_S("per")))
        return WHY("at character %zu has neither \"/\" nor \"per\" behind the count", c->at + 1);
    skip_blanks(c);
    if (!take_number(c, &multiple, &none) && !none)
        return WHY("at character %zu has a multiple that is not from 1 to %d", c->at + 1,
                   NUMBER_MAX);
    skip_blanks(c);
    size_t at = c->at;
    const struct unit *unit = take_unit(c);
    if (!unit)
        return WHY("at character %zu has none of the units second, minute, hour, day, month and "
                   "year",
                   at + 1);
    int64_t per_ms;
    if (__builtin_mul_overflow((int64_t)multiple, unit->ms, &per_ms) || per_ms > WINDOW_MS_MAX)
        return WHY("at character %zu has a window of more than 100 years", at + 1);
    skip_blanks(c);
    ret_l->count = count;
    ret_l->per_ms = per_ms;
    snprintf(ret_l->text, sizeof(ret_l->text), "%u per %u %s", (unsigned)count, (unsigned)multiple,
             unit->name);
    return DZ_OK;
}

enum dz_code dz_limits_parse(dz_str text, struct dz_limits *ret_limits, struct dz_err *why)
{
    struct dz_limits limits = {0};
    struct dz_cursor c;
    dz_cursor_init(&c, text);
    for (;;) {
        if (limits.n == DZ_LIMITS_MAX)
            return WHY("at character %zu has a limit too many; %d is the most", c.at + 1,
                       DZ_LIMITS_MAX);
        DZ_TRY(parse_one(&c, &limits.v[limits.n], why));
        limits.n++;
        int next = dz_cursor_next(&c);
        if (next < 0)
            break;
        if (next != ',' && next != ';' && next != '|')
            return WHY("at character %zu has something other than , ; or | behind the unit", c.at);
    }
    *ret_limits = limits;
    return DZ_OK;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static enum dz_code check_limits(char *text, struct dz_err *why)
{
    struct dz_limits limits;
    return dz_limits_parse(dz_str_of(text), &limits, why);
}

static enum dz_code check_limit(char *text, struct dz_err *why)
{
    struct dz_limits limits;
    DZ_TRY(dz_limits_parse(dz_str_of(text), &limits, why));
    return limits.n == 1 ? DZ_OK : WHY("has %zu limits, where one can be", limits.n);
}

static enum dz_code check_route(char *text, struct dz_err *why)
{
    dz_str s = dz_str_of(text);
    if (s.n == 0 || s.p[0] != '/')
        return WHY("does not begin with a slash");
    if (s.n > ROUTE_BYTES_MAX)
        return WHY("is longer than %d bytes", ROUTE_BYTES_MAX);
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || s.p[i] == 0x7F || s.p[i] == '?' || s.p[i] == '#')
            return WHY("has a blank, \"?\" or \"#\" in it");
    return DZ_OK;
}

/* clang-format off */
#define LIMIT_WORDS "COUNT/UNIT or COUNT per N UNIT (second, minute, hour, day, month, year)"
const struct conf_shape
    conf_limit = {check_limit, LIMIT_WORDS, "2/second"},
    conf_limits = {check_limits, LIMIT_WORDS ", several joined by , ; or |", "1/second; 100 per 2 hours"},
    conf_route = {check_route, "the beginning of a path, or the pattern of a route", "/v1/chapters"};
/* clang-format on */

/* ---- rules ----------------------------------------------------------------------------------- */

static bool make_rule(struct conf_load *l, const char *name, const char *text,
                      struct dz_limit_rule *ret_rule)
{
    struct dz_limit_rule r = {.name = name};
    if (dz_limits_parse(dz_str_of(text), &r.limits, NULL) != DZ_OK)
        return false; /* told when it was set */
    r.strategy = l->c->rate_limit.strategy;
    r.is_pattern = strchr(name, '{') != NULL;
    r.name_n = strlen(name);
    r.id = dz_hash(dz_arena_printf(l->tmp, "%s\n%s\n%d", name, text, (int)r.strategy));
    *ret_rule = r;
    return true;
}

/* Patterns, then prefixes, the longest first. */
static int by_reach(const void *a, const void *b)
{
    const struct dz_limit_rule *x = a, *y = b;
    if (x->is_pattern != y->is_pattern)
        return x->is_pattern ? -1 : 1;
    return x->name_n < y->name_n ? 1 : x->name_n > y->name_n ? -1 : 0;
}

void conf_make_rules(struct conf_load *l)
{
    struct dz_conf *c = l->c;
    const struct dz_pairs *routes = &c->rate_limit.routes;
    struct conf_at at = conf_at_row(l, "rate_limit.routes", "rate_limit.storage");
    if (routes->n > DZ_LIMIT_RULES_MAX) {
        conf_fault(l, at, "rate_limit.routes", "%zu routes; %d is the most", routes->n,
                   DZ_LIMIT_RULES_MAX);
        return;
    }
    if (routes->n > 0 && !c->rate_limit.storage[0])
        conf_fault(l, at, "rate_limit.routes",
                   "nothing is counted while rate_limit.storage is empty; set it to memory:// or "
                   "redis://host:port/db");
    struct dz_limit_rule *v = dz_arena_alloc(l->a, (routes->n + 1) * sizeof(*v));
    size_t n = 0;
    for (size_t i = 0; i < routes->n; i++)
        n += make_rule(l, routes->v[i].name, routes->v[i].text, &v[n]);
    if (n > 1)
        qsort(v, n, sizeof(*v), by_reach);
    c->rate_limit.rules = v;
    c->rate_limit.rules_n = n;
    if (make_rule(l, "graphql", c->rate_limit.graphql, &v[n]))
        c->rate_limit.graphql_rule = &v[n];
}
