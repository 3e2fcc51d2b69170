/*
 * fetch: calls from start to end: cache, host's turn, wire, redirect, cache again, done.
 *
 * In: requests of any number of jobs. Out: done() of each, once, from the loop. A call waits in its
 * host's line until pace, pause and concurrency let it leave; one timer knows when the next host
 * has to be looked at. libcurl's sockets and its timer are watched on the same loop. Ended calls
 * are told from a posted message, so that no callback runs inside a call into this room or inside
 * libcurl.
 */
#include "fetch/fetch_int.h"

#include <pthread.h>
#include <stdlib.h>

#define WAIT_MAX_MS 60000
#define CACHE_BYTES_MAX (256 * DZ_MIB)
#define IDLE_CONNECTIONS_MAX 64L /* without it, libcurl closes most when few requests are out */

struct socket_watch {
    struct dz_watch watch;
    struct dz_fetch *fetch;
};

static void pump(struct dz_fetch *f);

/* ---- libcurl on the loop --------------------------------------------------------------------- */

static void read_ended(struct dz_fetch *f);

static void on_socket_event(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)l;
    struct dz_fetch *f = dz_container(w, struct socket_watch, watch)->fetch;
    int left, what = (events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
                     (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                     (events & EPOLLERR ? CURL_CSELECT_ERR : 0);
    (void)curl_multi_socket_action(f->multi, w->fd, what, &left);
    read_ended(f);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine)
{
    (void)easy;
    struct dz_fetch *f = arg;
    struct socket_watch *s = mine;
    if (what == CURL_POLL_REMOVE) {
        if (s) {
            dz_watch_del(f->loop, &s->watch);
            (void)curl_multi_assign(f->multi, fd, NULL);
            dz_freep(&s);
        }
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (s) {
        dz_watch_set(f->loop, &s->watch, events);
        return 0;
    }
    s = dz_new(struct socket_watch);
    s->fetch = f;
    if (dz_watch_add(f->loop, &s->watch, fd, events, on_socket_event, NULL) != DZ_OK) {
        dz_freep(&s);
        return -1;
    }
    (void)curl_multi_assign(f->multi, fd, s);
    return 0;
}

static void on_curl_timer(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct dz_fetch *f = dz_container(t, struct dz_fetch, curl_timer);
    int left;
    (void)curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &left);
    read_ended(f);
}

static int on_timeout(CURLM *multi, long ms, void *arg)
{
    (void)multi;
    struct dz_fetch *f = arg;
    if (ms < 0)
        dz_timer_stop(f->loop, &f->curl_timer);
    else
        dz_timer_set(f->loop, &f->curl_timer, ms, on_curl_timer);
    return 0;
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void tell(struct dz_fetch_call *c)
{
    struct dz_fetch *f = c->fetch;
    *(c->prev ? &c->prev->next : &f->calls) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    f->calls_n--;
    struct dz_fetch_res *res = &c->res;
    if (c->cancelled)
        dz_fetch_call_fail(c, DZ_FETCH_CANCELLED, "the request was cancelled");
    if (res->kind != DZ_FETCH_OK)
        dz_body_unref(&res->body);
    if (!res->url.p)
        res->url = c->url;
    c->req.done(c->req.arg, res);
    dz_fetch_call_free(&c);
}

/* On its way through the loop's queue, which the fetcher may not outlast. */
struct dz_fetch_note {
    struct dz_msg msg;
    struct dz_fetch *fetch; /* NULL: it is gone */
};

static void drop_note(struct dz_msg *m)
{
    struct dz_fetch_note *note = dz_container(m, struct dz_fetch_note, msg);
    if (note->fetch)
        note->fetch->note = NULL;
    dz_freep(&note);
}

static void tell_ended(struct dz_loop *l, struct dz_msg *m)
{
    (void)l;
    struct dz_fetch *f = dz_container(m, struct dz_fetch_note, msg)->fetch;
    drop_note(m);
    if (!f)
        return;
    struct dz_fetch_call *c = f->ended;
    f->ended = NULL;
    f->ended_last = &f->ended;
    while (c) {
        struct dz_fetch_call *next = c->ended_next;
        tell(c);
        c = next;
    }
    pump(f);
}

static void end(struct dz_fetch_call *c)
{
    struct dz_fetch *f = c->fetch;
    c->state = FETCH_ENDED;
    c->ended_next = NULL;
    *f->ended_last = c;
    f->ended_last = &c->ended_next;
    if (f->note || f->closing)
        return;
    f->note = dz_new(struct dz_fetch_note);
    f->note->fetch = f;
    f->note->msg = (struct dz_msg){.fn = tell_ended, .drop = drop_note};
    dz_loop_post(f->loop, &f->note->msg);
}

/* ---- cache ----------------------------------------------------------------------------------- */

/* Only what belongs to the call: the entry's own arena goes with the call. */
static void answer_from_entry(struct dz_fetch_call *c)
{
    const struct dz_fetch_entry *e = c->entry;
    struct dz_fetch_res *res = &c->res;
    res->kind = DZ_FETCH_OK;
    res->status = e->status;
    res->url = e->from;
    res->headers = e->headers;
    res->headers_n = e->headers_n;
    res->from_cache = true;
    res->retry_after_ms = -1;
    dz_body_unref(&res->body);
    res->body = dz_body_ref(e->body);
}

static bool has_validator(const struct dz_fetch_entry *e)
{
    return dz_fetch_find(e->headers, e->headers_n, DZ_S("etag")).n > 0 ||
           dz_fetch_find(e->headers, e->headers_n, DZ_S("last-modified")).n > 0;
}

/* Another source may have been led further than this one may go. */
static bool may_be_told(const struct dz_fetch_call *c)
{
    struct dz_url from;
    return dz_url_parse(c->entry->from, &from, NULL) == DZ_OK &&
           (dz_fetch_policy_allows(c->req.policy, from.host) ||
            dz_fetch_policy_opens(c->req.policy, &from));
}

/* True: the answer is at hand. Else c->entry is set when there is something to be validated. */
static bool look_into_cache(struct dz_fetch_call *c)
{
    struct dz_fetch *f = c->fetch;
    if (!c->may_cache)
        return false;
    c->entry = dz_fetch_disk_get(f->disk, c->key);
    if (!c->entry)
        return false;
    if (dz_fetch_is_special(&c->req, c->entry->headers, c->entry->headers_n) || !may_be_told(c)) {
        dz_fetch_entry_free(&c->entry);
        return false;
    }
    int64_t age_s = dz_loop_wall_s(f->loop) - c->entry->stored_s;
    int64_t fresh_s = c->req.fresh_ms > 0 ? c->req.fresh_ms / 1000 : c->entry->fresh_s;
    int64_t ttl_s = f->o.cache_ttl_ms / 1000;
    if (age_s < 0 || (age_s >= ttl_s && !has_validator(c->entry))) {
        dz_fetch_entry_free(&c->entry);
        return false;
    }
    if (c->req.cache != DZ_FETCH_FRESH || age_s >= fresh_s)
        return false;
    answer_from_entry(c);
    return true;
}

static void keep_answer(struct dz_fetch_call *c)
{
    struct dz_fetch_res *res = &c->res;
    int64_t wall_s = dz_loop_wall_s(c->fetch->loop), fresh_s;
    bool safe = dz_str_eq(c->req.method, DZ_S("GET")) || dz_str_eq(c->req.method, DZ_S("HEAD"));
    if (c->fetch->disk && !safe && res->status < 400) /* RFC 9111 4.4 */
        dz_fetch_disk_forget(c->fetch->disk, c->key);
    if (!c->may_cache || !dz_fetch_may_store(&c->req, res, wall_s, &fresh_s))
        return;
    struct dz_fetch_entry e = {.url = c->key,
                               .from = res->url,
                               .status = res->status,
                               .stored_s = wall_s,
                               .fresh_s = c->moved_softly ? 0 : fresh_s,
                               .headers = res->headers,
                               .headers_n = res->headers_n,
                               .body = res->body};
    dz_fetch_disk_put(c->fetch->disk, &e);
}

/* RFC 9111 4.3.4: the stored answer, with what the 304 says anew of its age. */
static void renew_entry(struct dz_fetch_call *c)
{
    struct dz_fetch_res fresh = c->res;
    int64_t fresh_s = c->entry->fresh_s, wall_s = dz_loop_wall_s(c->fetch->loop);
    fresh.status = 200;
    if (dz_fetch_may_store(&c->req, &fresh, wall_s, &fresh_s) &&
        dz_fetch_find(fresh.headers, fresh.headers_n, DZ_S("cache-control")).n > 0 &&
        !c->moved_softly)
        c->entry->fresh_s = fresh_s;
    c->entry->stored_s = wall_s;
    dz_fetch_disk_put(c->fetch->disk, c->entry);
    answer_from_entry(c);
    c->res.revalidated = true;
    c->host->stats.revalidated++;
}

/* ---- hosts ----------------------------------------------------------------------------------- */

static void free_host(struct dz_fetch_host **h)
{
    dz_fetch_host_done(*h);
    dz_freep(&(*h)->name);
    dz_freep(h);
}

/* The one that was asked longest ago, but none that anybody waits for or that wants to be left
 * alone: some sites give every request another name. */
static void forget_host(struct dz_fetch *f)
{
    struct dz_fetch_host **old = NULL;
    int64_t now_ms = dz_loop_now_ms(f->loop);
    for (struct dz_fetch_host **at = &f->host_list; *at; at = &(*at)->next)
        if ((*at)->stats.running == 0 && (*at)->stats.waiting == 0 &&
            (*at)->paused_until_ms <= now_ms && (!old || (*at)->used_ms < (*old)->used_ms))
            old = at;
    if (!old)
        return;
    struct dz_fetch_host *gone = *old;
    *old = gone->next;
    (void)dz_map_del(&f->hosts, dz_str_of(gone->name));
    free_host(&gone);
}

static struct dz_fetch_host *host_of(struct dz_fetch *f, const struct dz_url *u)
{
    char name[300];
    bool secure = u->scheme.n == 5;
    int n = snprintf(name, sizeof(name), "%.*s:%.*s", (int)(u->host.n < 256 ? u->host.n : 256),
                     u->host.p,
                     u->port.n > 0 ? (int)u->port.n
                     : secure      ? 3
                                   : 2,
                     u->port.n > 0 ? u->port.p
                     : secure      ? "443"
                                   : "80");
    for (int i = 0; i < n; i++)
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] = (char)(name[i] | 0x20);
    struct dz_fetch_host *h = dz_map_get(&f->hosts, (dz_str){name, (size_t)n});
    if (h) {
        h->used_ms = dz_loop_now_ms(f->loop);
        return h;
    }
    if (f->hosts.count >= DZ_FETCH_HOSTS_MAX)
        forget_host(f);
    h = dz_new(struct dz_fetch_host);
    h->used_ms = dz_loop_now_ms(f->loop);
    h->name = dz_strdup(name);
    h->last = &h->first;
    h->next = f->host_list;
    f->host_list = h;
    (void)dz_map_set(&f->hosts, dz_str_of(h->name), h);
    return h;
}

static void leave_line(struct dz_fetch_call *c)
{
    struct dz_fetch_host *h = c->host;
    for (struct dz_fetch_call **at = &h->first; *at; at = &(*at)->host_next)
        if (*at == c) {
            *at = c->host_next;
            break;
        }
    h->last = &h->first;
    while (*h->last)
        h->last = &(*h->last)->host_next;
    h->stats.waiting--;
}

/* The address at hand, judged and put into its host's line; false: it failed. */
static bool enqueue(struct dz_fetch_call *c)
{
    struct dz_err err = {0};
    const struct dz_fetch_policy *p = c->req.policy;
    if (dz_url_parse(c->url, &c->parts, &err) != DZ_OK) {
        dz_fetch_call_fail(c, DZ_FETCH_BAD_URL, "%s", err.text);
        return false;
    }
    if (!dz_fetch_policy_allows(p, c->parts.host) && !dz_fetch_policy_opens(p, &c->parts)) {
        dz_fetch_call_fail(c, DZ_FETCH_FORBIDDEN,
                           "host %.*s is not among those that %.*s may reach (see `hosts` of the "
                           "source)",
                           (int)(c->parts.host.n < 80 ? c->parts.host.n : 80), c->parts.host.p,
                           (int)(p->source.n < 60 ? p->source.n : 60), p->source.p);
        return false;
    }
    c->host = host_of(c->fetch, &c->parts);
    c->state = FETCH_WAITING;
    c->host_next = NULL;
    *c->host->last = c;
    c->host->last = &c->host_next;
    c->host->stats.waiting++;
    c->queued_ms = dz_loop_now_ms(c->fetch->loop);
    return true;
}

static void refuse_to_wait(struct dz_fetch_call *c, int64_t left_ms)
{
    dz_fetch_call_fail(c, DZ_FETCH_PAUSED, "%s wants to be left alone for %lld s more",
                       c->host->name, (long long)((left_ms + 999) / 1000));
    c->res.retry_after_ms = left_ms;
    leave_line(c);
    end(c);
}

/* Begins what may leave; returns how long until the host is to be looked at again, -1: never. */
static int64_t pump_host(struct dz_fetch *f, struct dz_fetch_host *h, int64_t now_ms)
{
    int64_t again_ms = -1;
    bool full = false;
    for (struct dz_fetch_call *c = h->first, *next; c; c = next) {
        next = c->host_next;
        int64_t paused_ms = h->paused_until_ms - now_ms;
        int64_t wait_max_ms = c->req.wait_max_ms > 0 ? c->req.wait_max_ms : WAIT_MAX_MS;
        if (paused_ms > wait_max_ms) {
            refuse_to_wait(c, paused_ms);
            continue;
        }
        int64_t ms = full ? -1 : dz_fetch_host_wait(h, c->req.policy, now_ms);
        full |= ms < 0; /* nobody overtakes one that may have fewer at a time: it would never go */
        if (ms == 0 && c->not_before_ms > now_ms)
            ms = c->not_before_ms - now_ms;
        if (ms == 0)
            ms = dz_fetch_host_ask(&f->o, h, c->req.policy, now_ms);
        if (ms != 0) {
            again_ms = ms > 0 && (again_ms < 0 || ms < again_ms) ? ms : again_ms;
            continue;
        }
        leave_line(c);
        h->stats.waited_ms += now_ms - c->queued_ms;
        dz_fetch_host_left(h, c->req.policy, now_ms);
        c->state = FETCH_RUNNING;
        c->left_ms = now_ms;
        if (!dz_fetch_call_begin(c)) {
            h->stats.running--;
            end(c);
        }
    }
    return again_ms;
}

static void on_pump(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    pump(dz_container(t, struct dz_fetch, pump_timer));
}

static void pump(struct dz_fetch *f)
{
    int64_t now_ms = dz_loop_now_ms(f->loop), again_ms = -1;
    for (struct dz_fetch_host *h = f->host_list; h; h = h->next) {
        int64_t ms = h->first ? pump_host(f, h, now_ms) : -1;
        if (ms > 0 && (again_ms < 0 || ms < again_ms))
            again_ms = ms;
    }
    if (again_ms > 0)
        dz_timer_set(f->loop, &f->pump_timer, again_ms, on_pump);
    else
        dz_timer_stop(f->loop, &f->pump_timer);
}

void dz_fetch_slot(struct dz_fetch *f, dz_str source, dz_str host, int64_t wait_ms)
{
    struct dz_fetch_host *h = dz_map_get(&f->hosts, host);
    if (!h) /* forgotten meanwhile: nobody waits there */
        return;
    dz_fetch_host_slot(h, source, dz_loop_now_ms(f->loop) + wait_ms);
    dz_timer_set(f->loop, &f->pump_timer, 0, on_pump);
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* RFC 9110 15.4: 303, and what browsers do with a POST on 301 and 302. */
static void change_method(struct dz_fetch_call *c, int status)
{
    bool post = dz_str_eq(c->req.method, DZ_S("POST"));
    if (!(status == 303 && !dz_str_eq(c->req.method, DZ_S("HEAD"))) &&
        !((status == 301 || status == 302) && post))
        return;
    c->req.method = DZ_S("GET");
    c->req.body = (dz_str){0};
}

/* True: the call goes on with another address. */
static bool follow(struct dz_fetch_call *c)
{
    struct dz_fetch_res *res = &c->res;
    struct dz_err err = {0};
    dz_str to = dz_fetch_find(res->headers, res->headers_n, DZ_S("location")), normal;
    if (c->req.no_redirects || !is_redirect(res->status))
        return false;
    if (to.n == 0) {
        dz_fetch_call_fail(c, DZ_FETCH_REDIRECTS, "%s redirects and does not say where",
                           c->host->name);
        return false;
    }
    if (dz_url_join(c->url, to, c->arena, &to, &err) != DZ_OK ||
        dz_url_normal(to, c->arena, &normal, &err) != DZ_OK) {
        dz_fetch_call_fail(c, DZ_FETCH_REDIRECTS, "%s redirects to a bad address: %s",
                           c->host->name, err.text);
        return false;
    }
    change_method(c, res->status);
    c->moved_softly |= res->status != 301 && res->status != 308;
    for (size_t i = 0; i < c->visited_n; i++)
        if (dz_str_eq(c->visited[i], normal) && !c->req.session) {
            dz_fetch_call_fail(c, DZ_FETCH_REDIRECTS, "%s redirects in a circle", c->host->name);
            return false;
        }
    if (c->visited_n > DZ_FETCH_REDIRECTS_MAX) {
        dz_fetch_call_fail(c, DZ_FETCH_REDIRECTS, "%s redirects more than %d times", c->host->name,
                           DZ_FETCH_REDIRECTS_MAX);
        return false;
    }
    c->visited[c->visited_n++] = normal;
    c->url = to;
    return enqueue(c);
}

static void heard(struct dz_fetch_call *c, CURLcode curl)
{
    struct dz_fetch *f = c->fetch;
    int64_t now_ms = dz_loop_now_ms(f->loop);
    c->host->stats.running--;
    dz_fetch_call_heard(c, curl);
    c->res.took_ms += now_ms - c->left_ms;
    dz_fetch_host_heard(c->host, &c->res, now_ms, dz_loop_wall_s(f->loop),
                        f->o.strike_ms > 0 ? f->o.strike_ms : FETCH_STRIKE_MS);
    if (c->res.kind == DZ_FETCH_OK && follow(c))
        return;
    if (c->res.kind == DZ_FETCH_OK && c->res.status == 304 && c->validating)
        renew_entry(c);
    else if (c->res.kind == DZ_FETCH_OK)
        keep_answer(c);
    end(c);
}

static void read_ended(struct dz_fetch *f)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(f->multi, &left))) {
        char *call = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result; /* m dies with the handle */
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
        heard((struct dz_fetch_call *)(void *)call, code);
    }
    pump(f);
}

/* ---- starting -------------------------------------------------------------------------------- */

static void copy_request(struct dz_fetch_call *c, const struct dz_fetch_req *r)
{
    struct dz_arena *a = c->arena;
    c->req = *r;
    c->req.policy = dz_fetch_policy_ref(r->policy);
    if (r->session)
        r->session->refs++;
    c->req.method = r->method.n > 0 ? dz_arena_str(a, r->method) : DZ_S("GET");
    c->url = dz_arena_str(a, dz_str_trim(r->url));
    c->req.body = r->body.n > 0 ? dz_arena_str(a, r->body) : (dz_str){0};
    struct dz_fetch_header *headers = dz_arena_alloc(a, (r->headers_n + 1) * sizeof(*headers));
    for (size_t i = 0; i < r->headers_n; i++)
        headers[i] = (struct dz_fetch_header){dz_arena_str(a, r->headers[i].name),
                                              dz_arena_str(a, r->headers[i].value)};
    c->req.headers = headers;
}

/* Judged before anything is copied. */
static bool is_too_large(struct dz_fetch_call *c, const struct dz_fetch_req *r)
{
    size_t n = r->method.n;
    for (size_t i = 0; i < r->headers_n && n <= FETCH_TEXTS_MAX; i++)
        n += r->headers[i].name.n + r->headers[i].value.n + 32;
    if (n <= FETCH_TEXTS_MAX && r->url.n <= DZ_FETCH_URL_MAX && r->body.n <= DZ_FETCH_BODY_MAX)
        return false;
    dz_fetch_call_fail(c, DZ_FETCH_BAD_URL,
                       "the request is too large: at most %u bytes of address, %zu of headers, "
                       "%llu of content",
                       DZ_FETCH_URL_MAX, FETCH_TEXTS_MAX, (unsigned long long)DZ_FETCH_BODY_MAX);
    return true;
}

static bool is_sane(struct dz_fetch_call *c)
{
    struct dz_err err = {0};
    if (c->fetch->calls_n > DZ_FETCH_CALLS_MAX) {
        dz_fetch_call_fail(c, DZ_FETCH_PAUSED, "more than %u requests at once", DZ_FETCH_CALLS_MAX);
        return false;
    }
    if (!dz_fetch_headers_ok(c->req.headers, c->req.headers_n) ||
        !dz_fetch_headers_ok(&(struct dz_fetch_header){c->req.method, {0}}, 1)) {
        dz_fetch_call_fail(c, DZ_FETCH_BAD_URL,
                           "a header or the method holds a character that it may not");
        return false;
    }
    const struct dz_fetch_header *own = dz_fetch_headers_own(c->req.headers, c->req.headers_n);
    if (own) {
        dz_fetch_call_fail(c, DZ_FETCH_BAD_URL, "the header %.*s is written by the requester alone",
                           DZ_STR_FMT(own->name));
        return false;
    }
    if (dz_url_normal(c->url, c->arena, &c->key, &err) == DZ_OK)
        return true;
    dz_fetch_call_fail(c, DZ_FETCH_BAD_URL, "%s", err.text);
    return false;
}

void dz_fetch_start(struct dz_fetch *f, const struct dz_fetch_req *r,
                    struct dz_fetch_call **ret_call)
{
    struct dz_fetch_call *c = dz_new(struct dz_fetch_call);
    c->fetch = f;
    c->arena = dz_arena_new((size_t)DZ_FETCH_BODY_MAX + 16 * DZ_MIB);
    c->res.retry_after_ms = -1;
    c->next = f->calls;
    if (c->next)
        c->next->prev = c;
    f->calls = c;
    f->calls_n++;
    if (ret_call)
        *ret_call = c;
    if (is_too_large(c, r)) {
        c->req.done = r->done;
        c->req.arg = r->arg;
        end(c);
        return;
    }
    copy_request(c, r);
    if (!is_sane(c)) {
        end(c);
        return;
    }
    c->visited[c->visited_n++] = c->key;
    c->not_before_ms = dz_loop_now_ms(f->loop) + c->req.delay_ms;
    c->may_cache = f->disk && c->req.cache != DZ_FETCH_NO_STORE && c->req.body.n == 0 &&
                   dz_str_eq(c->req.method, DZ_S("GET"));
    if (!enqueue(c)) { /* judged before the cache: what is not allowed is not told either */
        end(c);
        return;
    }
    /* The cache's key does not hold them: what is given for a name and a password, or for the
     * cookies of a session, is theirs. */
    c->may_cache = c->may_cache && !c->parts.userinfo.p && !c->req.session;
    if (look_into_cache(c)) {
        leave_line(c);
        c->host->stats.from_cache++;
        end(c);
        return;
    }
    dz_timer_set(f->loop, &f->pump_timer, 0, on_pump);
}

void dz_fetch_cancel(struct dz_fetch_call *c)
{
    c->cancelled = true;
    if (c->state == FETCH_ENDED)
        return;
    if (c->state == FETCH_WAITING)
        leave_line(c);
    else
        c->host->stats.running--;
    dz_fetch_call_drop_wire(c);
    end(c);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void init_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum dz_code dz_fetch_new(struct dz_loop *l, const struct dz_fetch_options *o,
                          struct dz_fetch **ret_f, struct dz_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, init_curl);
    struct dz_fetch_disk *disk = NULL;
    if (o->cache_dir)
        DZ_TRY(dz_fetch_disk_open(o->cache_dir, o->cache_entries_max,
                                  o->cache_bytes_max ? o->cache_bytes_max : CACHE_BYTES_MAX, &disk,
                                  err));
    struct dz_fetch *f = dz_new(struct dz_fetch);
    f->loop = l;
    f->o = *o;
    f->disk = disk;
    f->ended_last = &f->ended;
    f->ca_file = o->ca_file ? dz_strdup(o->ca_file) : NULL;
    f->o.ca_file = f->ca_file;
    f->user_agent = dz_strdup(o->user_agent ? o->user_agent : "dozo/" DZ_VERSION);
    dz_map_init(&f->hosts);
    f->multi = curl_multi_init();
    dz_assert(f->multi);
    (void)curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS_MAX);
    (void)curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    (void)curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    (void)curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    *ret_f = f;
    return DZ_OK;
}

void dz_fetch_free(struct dz_fetch **f)
{
    struct dz_fetch *gone = dz_take(f);
    if (!gone)
        return;
    gone->closing = true;
    if (gone->note)
        gone->note->fetch = NULL;
    while (gone->calls) {
        struct dz_fetch_call *c = gone->calls;
        c->cancelled = true;
        dz_fetch_call_drop_wire(c);
        tell(c);
    }
    dz_timer_stop(gone->loop, &gone->curl_timer);
    dz_timer_stop(gone->loop, &gone->pump_timer);
    (void)curl_multi_cleanup(gone->multi);
    while (gone->host_list) {
        struct dz_fetch_host *h = gone->host_list;
        gone->host_list = h->next;
        free_host(&h);
    }
    dz_map_done(&gone->hosts);
    dz_fetch_disk_close(&gone->disk);
    dz_freep(&gone->user_agent);
    dz_freep(&gone->ca_file);
    dz_freep(&gone);
}

struct dz_fetch_session *dz_fetch_session_new(struct dz_fetch *f)
{
    (void)f;
    struct dz_fetch_session *s = dz_new(struct dz_fetch_session);
    s->refs = 1;
    s->share = curl_share_init();
    dz_assert(s->share);
    (void)curl_share_setopt(s->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
    return s;
}

void dz_fetch_session_unref(struct dz_fetch_session **s)
{
    struct dz_fetch_session *gone = dz_take(s);
    if (!gone || --gone->refs > 0)
        return;
    (void)curl_share_cleanup(gone->share);
    dz_freep(&gone);
}

/* ---- records --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct dz_fetch_host_stats *x = a, *y = b;
    return strcmp(x->host, y->host);
}

void dz_fetch_hosts(struct dz_fetch *f, struct dz_arena *a, struct dz_fetch_host_stats **ret_v,
                    size_t *ret_n)
{
    struct dz_fetch_host_stats *v = dz_arena_alloc(a, (f->hosts.count + 1) * sizeof(*v));
    size_t n = 0;
    int64_t now_ms = dz_loop_now_ms(f->loop);
    for (const struct dz_fetch_host *h = f->host_list; h; h = h->next) {
        v[n] = h->stats;
        v[n].host = dz_arena_dup(a, dz_str_of(h->name));
        v[n++].paused_ms = h->paused_until_ms > now_ms ? h->paused_until_ms - now_ms : 0;
    }
    qsort(v, n, sizeof(*v), by_name);
    *ret_v = v;
    *ret_n = n;
}

const char *dz_fetch_kind_name(enum dz_fetch_kind k)
{
    static const char *const names[] = {
        [DZ_FETCH_OK] = "ok",
        [DZ_FETCH_FORBIDDEN] = "forbidden",
        [DZ_FETCH_BAD_URL] = "bad_url",
        [DZ_FETCH_CONNECT] = "connect",
        [DZ_FETCH_TIMEOUT] = "timeout",
        [DZ_FETCH_BROKEN] = "broken",
        [DZ_FETCH_TOO_LARGE] = "too_large",
        [DZ_FETCH_REDIRECTS] = "redirects",
        [DZ_FETCH_PAUSED] = "paused",
        [DZ_FETCH_CANCELLED] = "cancelled",
    };
    return names[k];
}
