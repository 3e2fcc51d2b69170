/*
 * host: pace, pauses and the record of one host; and the header fields that they come from.
 *
 * In: what left for a host and what came back. Out: when the next request may leave. Shared by all
 * jobs and sources that ask the host. No clock of its own: the caller says what time it is. The
 * loop's thread only.
 */
#include "fetch/fetch_int.h"

#define SLOT_LATE_MS 1000

dz_str dz_fetch_find(const struct dz_fetch_header *v, size_t n, dz_str name)
{
    for (size_t i = 0; i < n; i++)
        if (dz_str_eq_nocase(v[i].name, name))
            return v[i].value;
    return (dz_str){0};
}

bool dz_fetch_directive(dz_str field, dz_str name, dz_str *ret_value)
{
    while (field.n > 0) {
        size_t comma = dz_str_chr(field, ',');
        dz_str item = dz_str_trim(dz_str_sub(field, 0, comma));
        field = comma != DZ_NPOS ? dz_str_sub(field, comma + 1, field.n) : (dz_str){0};
        size_t equals = dz_str_chr(item, '=');
        if (!dz_str_eq_nocase(dz_str_trim(dz_str_sub(item, 0, equals)), name))
            continue;
        dz_str value =
            equals != DZ_NPOS ? dz_str_trim(dz_str_sub(item, equals + 1, item.n)) : (dz_str){0};
        if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
            value = dz_str_sub(value, 1, value.n - 1);
        *ret_value = value;
        return true;
    }
    return false;
}

static int64_t capped(int64_t ms)
{
    return ms < 0 ? 0 : ms > DZ_FETCH_PAUSE_MAX_MS ? DZ_FETCH_PAUSE_MAX_MS : ms;
}

int64_t dz_fetch_retry_after(const struct dz_fetch_header *v, size_t n, int64_t wall_s)
{
    dz_str text = dz_str_trim(dz_fetch_find(v, n, DZ_S("retry-after")));
    uint64_t number;
    int64_t date_s;
    if (text.n > 0 && dz_str_u64(text, UINT32_MAX, &number, NULL) == DZ_OK)
        return capped((int64_t)number * 1000);
    if (text.n > 0 && dz_time_http_parse(text, wall_s, &date_s, NULL) == DZ_OK)
        return capped((date_s - wall_s) * 1000);
    text = dz_str_trim(dz_fetch_find(v, n, DZ_S("x-ratelimit-retry-after")));
    if (text.n > 0 && dz_str_u64(text, INT64_MAX / 2000, &number, NULL) == DZ_OK)
        return capped(((int64_t)number - wall_s) * 1000);
    return -1;
}

/* What a source may ask a host in is its own; pauses and how many at a time are the host's. NULL:
 * nobody has to wait. */
static struct dz_fetch_pace *find_pace(const struct dz_fetch_host *h, dz_str source)
{
    struct dz_fetch_pace *at = h->paces;
    while (at && !dz_str_eq((dz_str){at->source, at->source_n}, source))
        at = at->next;
    return at;
}

static struct dz_fetch_pace *pace_of(struct dz_fetch_host *h, dz_str source, int64_t now_ms)
{
    struct dz_fetch_pace *pace = find_pace(h, source);
    if (pace)
        return pace;
    pace = dz_alloc(sizeof(*pace) + source.n);
    *pace = (struct dz_fetch_pace){.next = h->paces, .next_at_ms = now_ms, .source_n = source.n};
    if (source.n > 0)
        memcpy(pace->source, source.p, source.n);
    h->paces = pace;
    return pace;
}

int64_t dz_fetch_host_wait(const struct dz_fetch_host *h, const struct dz_fetch_policy *p,
                           int64_t now_ms)
{
    if (h->stats.running >= p->per_host)
        return -1;
    const struct dz_fetch_pace *pace = find_pace(h, p->source);
    int64_t at =
        pace && pace->next_at_ms > h->paused_until_ms ? pace->next_at_ms : h->paused_until_ms;
    return at > now_ms ? at - now_ms : 0;
}

static int64_t gap_of(const struct dz_fetch_policy *p)
{
    return (int64_t)(1000 / p->rate);
}

/* A moment that passed without a request, which was called off, is no longer ours. */
int64_t dz_fetch_host_ask(const struct dz_fetch_options *o, struct dz_fetch_host *h,
                          const struct dz_fetch_policy *p, int64_t now_ms)
{
    if (!o->ask_slot || p->rate <= 0 || gap_of(p) == 0)
        return 0;
    struct dz_fetch_pace *pace = pace_of(h, p->source, now_ms);
    if (pace->has_slot && now_ms > pace->slot_at_ms + gap_of(p) + SLOT_LATE_MS)
        pace->has_slot = false;
    if (pace->has_slot)
        return pace->slot_at_ms > now_ms ? pace->slot_at_ms - now_ms : 0;
    if (!pace->asked) {
        pace->asked = true;
        o->ask_slot(o->slot_arg, p->source, dz_str_of(h->name), gap_of(p));
    }
    return -1;
}

void dz_fetch_host_slot(struct dz_fetch_host *h, dz_str source, int64_t at_ms)
{
    struct dz_fetch_pace *pace = find_pace(h, source);
    if (!pace)
        return;
    pace->asked = false;
    pace->has_slot = true;
    pace->slot_at_ms = at_ms;
}

/* Those that are over are forgotten, so that there are few. */
static void forget_paces(struct dz_fetch_host *h, int64_t now_ms)
{
    for (struct dz_fetch_pace **at = &h->paces; *at;) {
        struct dz_fetch_pace *pace = *at;
        if (pace->next_at_ms > now_ms || (now_ms < INT64_MAX && (pace->asked || pace->has_slot))) {
            at = &pace->next;
            continue;
        }
        *at = pace->next;
        dz_freep(&pace);
    }
}

void dz_fetch_host_done(struct dz_fetch_host *h)
{
    forget_paces(h, INT64_MAX);
}

void dz_fetch_host_left(struct dz_fetch_host *h, const struct dz_fetch_policy *p, int64_t now_ms)
{
    h->stats.running++;
    h->stats.requests++;
    forget_paces(h, now_ms);
    if (p->rate <= 0)
        return;
    struct dz_fetch_pace *pace = pace_of(h, p->source, now_ms);
    if (pace->has_slot)
        pace->has_slot = false;
    else
        pace->next_at_ms += gap_of(p);
}

/* 1 s, 2 s, 4 s …, each between half and the whole of it, so that many crawlers do not come back
 * together. */
static int64_t strike(struct dz_fetch_host *h, int64_t ms)
{
    for (unsigned i = 0; i < h->strikes && ms < FETCH_STRIKE_MAX_MS; i++)
        ms *= 2;
    ms = ms < FETCH_STRIKE_MAX_MS ? ms : FETCH_STRIKE_MAX_MS;
    h->strikes++;
    return ms / 2 + (int64_t)(dz_random_u64() % (uint64_t)(ms / 2 + 1));
}

void dz_fetch_host_heard(struct dz_fetch_host *h, const struct dz_fetch_res *res, int64_t now_ms,
                         int64_t wall_s, int64_t strike_ms)
{
    struct dz_fetch_host_stats *s = &h->stats;
    bool answered = res->kind == DZ_FETCH_OK;
    bool stop = answered && (res->status == 429 || res->status == 503);
    bool silent = res->kind == DZ_FETCH_CONNECT || res->kind == DZ_FETCH_TIMEOUT;
    if (answered && res->status >= 100 && res->status < 600)
        s->by_status[res->status / 100]++;
    if (answered && res->status < 400) {
        s->last_ok_s = wall_s;
        h->strikes = 0;
    } else if (res->kind != DZ_FETCH_CANCELLED) {
        s->errors++;
        s->last_error_s = wall_s;
        s->last_kind = res->kind;
        s->last_status = answered ? res->status : 0;
        snprintf(s->last_text, sizeof(s->last_text), "%.*s", (int)sizeof(s->last_text) - 1,
                 answered ? "" : res->err.text);
    }
    if (!stop && !silent)
        return;
    /* "At once" is no answer of a host that has too much to do. Several answers of one storm are
     * one strike. */
    bool paused = h->paused_until_ms > now_ms;
    int64_t ms = stop && res->retry_after_ms > 0 ? res->retry_after_ms
                 : paused                        ? 0
                                                 : strike(h, strike_ms);
    if (now_ms + ms > h->paused_until_ms)
        h->paused_until_ms = now_ms + ms;
}
