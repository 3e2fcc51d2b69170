/*
 * limit: whether a client may ask once more, from the counts of this process (counts.c) or of a
 * Redis (redis.c).
 *
 * In: a rule and a client. Out: a verdict, at once or when Redis has answered. Each loop has a
 * connection, a line of asks that wait on it in the order of their deadlines, and counters that
 * only it writes. An ask that has waited too long ends the connection: all that wait are then
 * counted here, as is everything until the connection works again. Before the first connection
 * stands, asks wait for it as for an answer.
 */
#include "cache/cache_int.h"

#include <pthread.h>
#include <stdlib.h>

#define LOOPS_MAX 256u
#define KEY_BYTES_MAX 320

struct dz_limiter {
    struct dz_limiter_options o;
    bool shared;
    struct dz_redis_address address;
    struct counts *counts;
    atomic_uint lost; /* loops that have lost their connection */
    _Atomic uint64_t losses;
    pthread_mutex_t lock; /* loops, ended */
    struct dz_limiter_loop *loops[LOOPS_MAX];
    size_t loops_n;
    struct dz_limiter_stats ended; /* what loops counted that are no more */
};

struct pending {
    struct pending *before, *after;
    struct dz_limiter_loop *ll;
    struct dz_limit_ask ask;
    dz_limit_fn *fn;
    void *arg;
    int64_t due_ms;
    bool sent;
};

struct dz_limiter_loop {
    struct dz_limiter *limiter;
    struct dz_loop *loop;
    struct redis_link *link; /* NULL: nothing is shared */
    struct pending *first, *last;
    struct dz_timer due;
    bool lost;
    _Atomic uint64_t allowed, refused, alone; /* written by the loop's thread */
};

/* KEYS: one for each limit. ARGV: "fixed" or "moving", then count, window and slot (milliseconds)
 * for each. Answers whether it is allowed (1 or 0), and of each limit how much is used and how many
 * milliseconds it takes until some of it comes back. What lies in the future or lives longer than
 * its window is from before the clock of Redis was set back, and does not count. */
static const char script[] =
    "local moving, ok, out, seen = ARGV[1] == 'moving', 1, {1}, {}\n"
    "local now = 0\n"
    "if moving then\n"
    "  local t = redis.call('TIME')\n"
    "  now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "end\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local count, window, slot = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), "
    "tonumber(ARGV[3 * i + 1])\n"
    "  local used, reset = 0, window\n"
    "  if moving then\n"
    "    local all, first = redis.call('HGETALL', key), nil\n"
    "    for k = 1, #all, 2 do\n"
    "      local at = tonumber(all[k])\n"
    "      local ends = at * slot + slot - 1 + window\n"
    "      if ends <= now or at * slot > now then\n"
    "        redis.call('HDEL', key, all[k])\n"
    "      else\n"
    "        used = used + tonumber(all[k + 1])\n"
    "        if not first or ends < first then first = ends end\n"
    "      end\n"
    "    end\n"
    "    if first then reset = first - now end\n"
    "  else\n"
    "    local left = redis.call('PTTL', key)\n"
    "    if left >= 0 and left <= window then\n"
    "      used = tonumber(redis.call('GET', key))\n"
    "      reset = left\n"
    "    end\n"
    "  end\n"
    "  if used >= count then ok = 0 end\n"
    "  seen[i] = {used, reset, window, slot}\n"
    "end\n"
    "out[1] = ok\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local used, reset, window, slot = unpack(seen[i])\n"
    "  if ok == 1 then\n"
    "    if moving then\n"
    "      redis.call('HINCRBY', key, string.format('%.0f', math.floor(now / slot)), 1)\n"
    "      redis.call('PEXPIRE', key, string.format('%.0f', window + slot))\n"
    "    elseif used == 0 then\n"
    "      redis.call('SET', key, 1, 'PX', string.format('%.0f', window))\n"
    "    else\n"
    "      redis.call('INCR', key)\n"
    "    end\n"
    "    used = used + 1\n"
    "  end\n"
    "  out[2 * i] = used\n"
    "  out[2 * i + 1] = reset\n"
    "end\n"
    "return out\n";

static const char *const trial[] = {"dozo:limit:trial", "fixed", "1000000000", "1000", "1"};

/* ---- open and close -------------------------------------------------------------------------- */

enum dz_code dz_limiter_open(const struct dz_limiter_options *o, struct dz_limiter **ret_l,
                             struct dz_err *err)
{
    struct dz_redis_address address = {0};
    bool shared = strcmp(o->uri, "memory://") != 0;
    if (shared) {
        enum dz_code code = dz_redis_parse(dz_str_of(o->uri), &address, err);
        if (code != DZ_OK)
            return dz_wrap(err, code, "rate_limit.storage");
    }
    struct dz_limiter *l = dz_new(struct dz_limiter);
    l->o = *o;
    l->o.uri = NULL;
    l->shared = shared;
    l->address = address;
    l->counts = counts_new(o->keys_max);
    pthread_mutex_init(&l->lock, NULL);
    *ret_l = l;
    return DZ_OK;
}

void dz_limiter_close(struct dz_limiter **lp)
{
    struct dz_limiter *l = dz_take(lp);
    if (!l)
        return;
    dz_assert(l->loops_n == 0);
    counts_free(&l->counts);
    pthread_mutex_destroy(&l->lock);
    explicit_bzero(&l->address, sizeof(l->address));
    free(l);
}

static void add_up(struct dz_limiter_stats *s, const struct dz_limiter_loop *ll)
{
    s->allowed += atomic_load_explicit(&ll->allowed, memory_order_relaxed);
    s->refused += atomic_load_explicit(&ll->refused, memory_order_relaxed);
    s->alone += atomic_load_explicit(&ll->alone, memory_order_relaxed);
}

void dz_limiter_stats(struct dz_limiter *l, struct dz_limiter_stats *ret_stats)
{
    pthread_mutex_lock(&l->lock);
    struct dz_limiter_stats s = l->ended;
    for (size_t i = 0; i < l->loops_n; i++)
        add_up(&s, l->loops[i]);
    pthread_mutex_unlock(&l->lock);
    s.shared = l->shared;
    s.lost = atomic_load(&l->lost) > 0;
    s.losses = atomic_load(&l->losses);
    *ret_stats = s;
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static void bump(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void note(struct dz_limiter_loop *ll, const struct dz_limit_verdict *v)
{
    bump(v->allowed ? &ll->allowed : &ll->refused);
}

static void count_here(struct dz_limiter_loop *ll, const struct dz_limit_ask *ask,
                       struct dz_limit_verdict *ret_verdict)
{
    counts_take(ll->limiter->counts, ask, dz_loop_now_ms(ll->loop), ret_verdict);
    note(ll, ret_verdict);
    if (ll->link)
        bump(&ll->alone);
}

static void unlink_pending(struct pending *p)
{
    struct dz_limiter_loop *ll = p->ll;
    *(p->before ? &p->before->after : &ll->first) = p->after;
    *(p->after ? &p->after->before : &ll->last) = p->before;
}

static void answer(struct pending *p, const struct dz_limit_verdict *v)
{
    unlink_pending(p);
    p->fn(p->arg, v);
    free(p);
}

static void answer_all_here(struct dz_limiter_loop *ll)
{
    while (ll->first) {
        struct dz_limit_verdict v;
        count_here(ll, &ll->first->ask, &v);
        answer(ll->first, &v);
    }
}

/* ---- asks on their way ----------------------------------------------------------------------- */

static void on_counted(void *arg, const int64_t *n, size_t numbers)
{
    struct pending *p = arg;
    const struct dz_limits *limits = &p->ask.rule->limits;
    struct limit_use uses[DZ_LIMITS_MAX];
    struct dz_limit_verdict v;
    if (numbers != 1 + 2 * limits->n) {
        redis_link_drop(p->ll->link, "the script's answer is not what it should be");
        return;
    }
    for (size_t i = 0; i < limits->n; i++) {
        int64_t reset_ms = n[2 + 2 * i]; /* 0: the key is in its last millisecond */
        uses[i] = (struct limit_use){(uint64_t)n[1 + 2 * i], reset_ms > 0 ? reset_ms : 1};
    }
    limit_decide(limits, uses, n[0] == 1, &v);
    note(p->ll, &v);
    answer(p, &v);
}

static void send_ask(struct pending *p)
{
    const struct dz_limit_rule *rule = p->ask.rule;
    bool moving = rule->strategy == DZ_LIMIT_MOVING;
    dz_str args[1 + 4 * DZ_LIMITS_MAX];
    size_t keys_n = rule->limits.n, n = 0;
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, DZ_LIMITS_MAX * (KEY_BYTES_MAX + 64));
    (void)dz_buf_reserve(&text, DZ_LIMITS_MAX * (KEY_BYTES_MAX + 64)); /* slices must stay */
    char who[32];
    dz_hex(p->ask.who, sizeof(p->ask.who), who);
    for (size_t i = 0; i < keys_n; i++) {
        const struct dz_limit *l = &rule->limits.v[i];
        size_t from = text.n;
        dz_buf_putf(&text, "dozo:limit:%.200s:%s:%llu/%llds:%.32s", rule->name,
                    moving ? "moving" : "fixed", (unsigned long long)l->count,
                    (long long)(l->per_ms / 1000), who);
        args[n++] = dz_str_sub(dz_buf_str(&text), from, text.n);
    }
    args[n++] = moving ? DZ_S("moving") : DZ_S("fixed");
    for (size_t i = 0; i < keys_n; i++) {
        const struct dz_limit *l = &rule->limits.v[i];
        uint64_t numbers[] = {l->count, (uint64_t)l->per_ms, (uint64_t)limit_slot_ms(l)};
        for (size_t k = 0; k < DZ_LEN(numbers); k++) {
            size_t from = text.n;
            dz_buf_put_u64(&text, numbers[k]);
            args[n++] = dz_str_sub(dz_buf_str(&text), from, text.n);
        }
    }
    p->sent = true;
    redis_link_call(p->ll->link, keys_n, args, n, on_counted, p);
}

static void on_due(struct dz_loop *l, struct dz_timer *t)
{
    struct dz_limiter_loop *ll = dz_container(t, struct dz_limiter_loop, due);
    if (!ll->first)
        return;
    int64_t left_ms = ll->first->due_ms - dz_loop_now_ms(l);
    if (left_ms > 0)
        dz_timer_set(l, t, left_ms, on_due);
    else if (redis_link_is_up(ll->link))
        redis_link_drop(ll->link, "no answer in time");
    else
        answer_all_here(ll); /* it is still being connected to */
}

static void on_up(void *arg)
{
    struct dz_limiter_loop *ll = arg;
    struct dz_limiter *l = ll->limiter;
    if (ll->lost) {
        ll->lost = false;
        if (atomic_fetch_sub(&l->lost, 1) == 1)
            l->o.say(l->o.arg, false, "");
    }
    for (struct pending *p = ll->first; p; p = p->after)
        if (!p->sent)
            send_ask(p);
}

static void on_down(void *arg, const char *why)
{
    struct dz_limiter_loop *ll = arg;
    struct dz_limiter *l = ll->limiter;
    if (!ll->lost) {
        ll->lost = true;
        if (atomic_fetch_add(&l->lost, 1) == 0) {
            atomic_fetch_add(&l->losses, 1);
            l->o.say(l->o.arg, true, why);
        }
    }
    answer_all_here(ll);
}

bool dz_limiter_take(struct dz_limiter_loop *ll, const struct dz_limit_ask *ask, dz_limit_fn *fn,
                     void *arg, struct dz_limit_verdict *ret_verdict)
{
    bool up = ll->link && redis_link_is_up(ll->link);
    if (!ll->link || (!up && ll->lost)) {
        count_here(ll, ask, ret_verdict);
        return true;
    }
    struct pending *p = dz_new(struct pending);
    *p = (struct pending){.ll = ll, .ask = *ask, .fn = fn, .arg = arg, .before = ll->last};
    p->due_ms = dz_loop_now_ms(ll->loop) + ll->limiter->o.timeout_ms;
    *(ll->last ? &ll->last->after : &ll->first) = p;
    ll->last = p;
    if (ll->due.at == 0)
        dz_timer_set(ll->loop, &ll->due, ll->limiter->o.timeout_ms, on_due);
    if (up)
        send_ask(p);
    return false;
}

/* ---- loops ----------------------------------------------------------------------------------- */

struct dz_limiter_loop *dz_limiter_begin(struct dz_limiter *l, struct dz_loop *loop)
{
    struct dz_limiter_loop *ll = dz_new(struct dz_limiter_loop);
    ll->limiter = l;
    ll->loop = loop;
    pthread_mutex_lock(&l->lock);
    dz_assert(l->loops_n < LOOPS_MAX);
    l->loops[l->loops_n++] = ll;
    pthread_mutex_unlock(&l->lock);
    if (l->shared) {
        struct redis_link_options o = {.address = &l->address,
                                       .pool = l->o.pool,
                                       .loop = loop,
                                       .script = script,
                                       .trial = trial,
                                       .trial_n = DZ_LEN(trial),
                                       .timeout_ms = l->o.timeout_ms,
                                       .up = on_up,
                                       .down = on_down,
                                       .arg = ll};
        ll->link = redis_link_new(&o);
    }
    return ll;
}

void dz_limiter_end(struct dz_limiter_loop **llp)
{
    struct dz_limiter_loop *ll = dz_take(llp);
    if (!ll)
        return;
    struct dz_limiter *l = ll->limiter;
    redis_link_free(&ll->link);
    answer_all_here(ll);
    dz_timer_stop(ll->loop, &ll->due);
    if (ll->lost)
        atomic_fetch_sub(&l->lost, 1);
    pthread_mutex_lock(&l->lock);
    add_up(&l->ended, ll);
    for (size_t i = 0; i < l->loops_n; i++)
        if (l->loops[i] == ll)
            l->loops[i--] = l->loops[--l->loops_n];
    pthread_mutex_unlock(&l->lock);
    free(ll);
}
