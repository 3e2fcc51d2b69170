/*
 * admin: POST /v1/admin/edit on the api hosts of a shelf, and under /shelf/NAME/
 * (contracts/komizip.md 2.7 with points 10, 13, 14 and 17 of its section 9).
 *
 * In: a JSON object with `pwd` and `data`. Out: JSON as the contract words it. The loop only looks
 * at the host and the label; parsing, the password's hash and the batch are a worker's. A 200 is
 * sent when every loop shows the change, so that the next request sees it wherever it lands. Who
 * tries passwords is slowed down: an address has so many failures a minute, and only so many calls
 * are under way at all. Memory that held a password is wiped.
 */
#include <crypt.h>
#include <jansson.h>

#include "api/api_int.h"

#include <stdlib.h>
#include <time.h>

#define JSON DZ_S("application/json")
#define BODY_MAX (4 * DZ_MIB)
#define SUMMARY_MAX (32 * DZ_MIB)
#define FAILURES_MAX 10u /* an address and window */
#define WINDOW_MS 60000
#define ADDRESSES_MAX 1024u
#define CALLS_MAX 8u /* under way; one more is told to come again */
#define SHOWN_WAIT_MS 5000

/* ---- who tries too often --------------------------------------------------------------------- */

struct tries {
    unsigned char who[16];
    int64_t until_ms; /* the end of the window; monotonic */
    unsigned n;
};

struct admin {
    pthread_mutex_t lock;
    unsigned calls;
    struct tries tries[ADDRESSES_MAX];
};

struct admin *admin_new(void)
{
    struct admin *a = dz_new(struct admin);
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

void admin_free(struct admin **ap)
{
    struct admin *a = dz_take(ap);
    if (!a)
        return;
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* The row of the address in a window that runs, with the lock held. When all are taken the one
 * whose window ends first goes. */
static struct tries *row_of(struct admin *a, const unsigned char who[16], int64_t now_ms)
{
    struct tries *oldest = &a->tries[0];
    for (size_t i = 0; i < ADDRESSES_MAX; i++) {
        struct tries *t = &a->tries[i];
        if (t->n > 0 && t->until_ms > now_ms && memcmp(t->who, who, sizeof(t->who)) == 0)
            return t;
        if (t->until_ms < oldest->until_ms)
            oldest = t;
    }
    memcpy(oldest->who, who, sizeof(oldest->who));
    oldest->n = 0;
    oldest->until_ms = now_ms + WINDOW_MS;
    return oldest;
}

/* Counts a failure before it is one, so that many at once get no further than one by one. Seconds
 * to wait, or 0: go on. */
static unsigned try_begin(struct admin *a, const unsigned char who[16])
{
    int64_t now_ms = dz_mono_ns() / 1000000;
    unsigned wait_s = 0;
    pthread_mutex_lock(&a->lock);
    struct tries *t = row_of(a, who, now_ms);
    if (t->n >= FAILURES_MAX)
        wait_s = (unsigned)((t->until_ms - now_ms) / 1000) + 1;
    else
        t->n++;
    pthread_mutex_unlock(&a->lock);
    return wait_s;
}

static void try_was_right(struct admin *a, const unsigned char who[16])
{
    pthread_mutex_lock(&a->lock);
    struct tries *t = row_of(a, who, dz_mono_ns() / 1000000);
    t->n -= t->n > 0;
    pthread_mutex_unlock(&a->lock);
}

static bool call_begin(struct admin *a)
{
    pthread_mutex_lock(&a->lock);
    bool room = a->calls < CALLS_MAX;
    a->calls += room;
    pthread_mutex_unlock(&a->lock);
    return room;
}

static void call_end(struct admin *a)
{
    pthread_mutex_lock(&a->lock);
    a->calls--;
    pthread_mutex_unlock(&a->lock);
}

/* ---- one call -------------------------------------------------------------------------------- */

struct call {
    struct dz_work work;
    struct dz_msg msg;
    struct dz_api *api;
    struct api_loop *loop;
    struct dz_http_req *req;
    int64_t series_id;
    unsigned char who[16];
    char *hash, *body;
    size_t body_n;

    int status;
    unsigned retry_s;
    struct dz_buf answer; /* empty: error_body's */
    struct dz_err err;    /* status 0 */
};

static void call_free(struct call *c)
{
    call_end(c->api->admin);
    explicit_bzero(c->body, c->body_n);
    free(c->body);
    free(c->hash);
    dz_buf_done(&c->answer);
    free(c);
}

static void reply(struct dz_http_req *r, int status, unsigned retry_s, struct dz_buf *body)
{
    char seconds[16];
    int n = snprintf(seconds, sizeof(seconds), "%u", retry_s);
    const struct dz_http_header_line retry[] = {{DZ_S("Retry-After"), {seconds, (size_t)n}}};
    const struct dz_http_meta m = {.status = status,
                                   .content_type = JSON,
                                   .cache_control = NO_STORE,
                                   .last_modified_s = -1,
                                   .extra = retry,
                                   .extra_n = retry_s > 0};
    dz_http_reply_buf(r, &m, body);
}

static void reply_status(struct dz_http_req *r, int status, unsigned retry_s, const char *why)
{
    struct dz_buf body;
    dz_str type;
    dz_buf_init(&body, 4 * DZ_KIB);
    answer_error_body(status, why, &body, &type);
    reply(r, status, retry_s, &body);
    dz_buf_done(&body);
}

static void call_arrive(struct dz_loop *l, struct dz_msg *m)
{
    struct call *c = dz_container(m, struct call, msg);
    (void)l;
    if (c->status == 0)
        answer_error(c->req, c->err.code, &c->err);
    else if (c->answer.n == 0)
        reply_status(c->req, c->status, c->retry_s, NULL);
    else
        reply(c->req, c->status, c->retry_s, &c->answer);
    call_free(c);
}

static void call_drop(struct dz_msg *m)
{
    call_free(dz_container(m, struct call, msg));
}

/* ---- the worker's side: the body ------------------------------------------------------------- */

/* As text: strings as they are, the other types in Python's words where it has some. */
static bool text_of(const json_t *v, struct dz_buf *out)
{
    if (!v)
        return false;
    struct dz_json j;
    dz_json_init(&j, out, DZ_JSON_COMPACT, false);
    if (json_is_string(v))
        dz_buf_put(out, dz_json_text(v));
    else if (json_is_integer(v))
        dz_json_int(&j, json_integer_value(v));
    else if (json_is_real(v))
        dz_json_real(&j, json_real_value(v));
    else if (json_is_boolean(v))
        dz_buf_put(out, json_is_true(v) ? DZ_S("True") : DZ_S("False"));
    else if (json_is_null(v))
        dz_buf_put(out, DZ_S("None"));
    else
        return true; /* a list or an object holds neither a password nor a command */
    return true;
}

static void wipe_string(json_t *v)
{
    if (json_is_string(v))
        explicit_bzero((char *)(uintptr_t)json_string_value(v), json_string_length(v));
}

static bool read_body(const struct call *c, struct dz_buf *password, struct dz_buf *commands)
{
    json_t *root = json_loadb(c->body, c->body_n, JSON_ALLOW_NUL, NULL);
    bool both = json_is_object(root) && text_of(json_object_get(root, "pwd"), password) &&
                text_of(json_object_get(root, "data"), commands);
    wipe_string(json_object_get(root, "pwd"));
    json_decref(root);
    return both;
}

/* crypt(3) sees no byte behind a NUL: such a password is wrong. */
static bool is_right(struct dz_buf *password, const char *hash)
{
    if (dz_str_chr(dz_buf_str(password), '\0') != DZ_NPOS)
        return false;
    struct crypt_data *data = dz_new(struct crypt_data);
    const char *made = crypt_rn(dz_buf_cstr(password), hash, data, sizeof(*data));
    bool right = made && dz_equal_const_time(dz_str_of(made), dz_str_of(hash));
    explicit_bzero(data, sizeof(*data));
    free(data);
    return right;
}

/* ---- the worker's side: seen by all ---------------------------------------------------------- */

/* Loops that have not come by yet; freed by the last of them and the worker. */
struct meeting {
    pthread_mutex_t lock;
    pthread_cond_t all_here;
    unsigned missing, refs;
};

struct passer {
    struct dz_msg msg;
    struct meeting *at;
};

/* Called with the lock held, which it gives back. */
static void leave(struct meeting *m)
{
    bool last = --m->refs == 0;
    pthread_mutex_unlock(&m->lock);
    if (!last)
        return;
    pthread_cond_destroy(&m->all_here);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static void pass(struct dz_msg *msg)
{
    struct passer *p = dz_container(msg, struct passer, msg);
    struct meeting *m = p->at;
    free(p);
    pthread_mutex_lock(&m->lock);
    if (--m->missing == 0)
        pthread_cond_signal(&m->all_here);
    leave(m);
}

static void pass_by(struct dz_loop *l, struct dz_msg *msg)
{
    (void)l;
    pass(msg);
}

/* The view was posted to every loop; what is posted now comes after it. */
static void wait_for_loops(struct dz_api *a)
{
    struct meeting *m = dz_new(struct meeting);
    struct timespec until;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->all_here, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&m->lock, NULL);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += SHOWN_WAIT_MS / 1000;
    pthread_mutex_lock(&a->lock);
    pthread_mutex_lock(&m->lock);
    m->refs = 1;
    for (size_t i = 0; i < a->loops_n; i++) {
        if (!a->loops[i]->loop)
            continue;
        struct passer *p = dz_new(struct passer);
        p->msg.fn = pass_by;
        p->msg.drop = pass;
        p->at = m;
        m->missing++;
        m->refs++;
        dz_loop_post(a->loops[i]->loop, &p->msg);
    }
    pthread_mutex_unlock(&a->lock);
    while (m->missing > 0)
        if (pthread_cond_timedwait(&m->all_here, &m->lock, &until) != 0)
            break;
    leave(m);
}

/* ---- the worker's side: the edit ------------------------------------------------------------- */

static void answer_text(struct call *c, int status, bool error, const char *name, dz_str text)
{
    struct dz_json j;
    c->status = status;
    dz_json_init(&j, &c->answer, DZ_JSON_PYTHON, true);
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("error"));
    dz_json_bool(&j, error);
    dz_json_key(&j, dz_str_of(name));
    dz_json_str(&j, text);
    dz_json_end(&j);
}

static void edit(struct call *c, dz_str commands)
{
    static const struct dz_log_ctx ctx = {.room = "api", .what = "admin"};
    DZ_AUTO(dz_buf_done) struct dz_buf summary;
    uint64_t seq = 0;
    dz_buf_init(&summary, SUMMARY_MAX);
    enum dz_code code =
        dz_library_edit(c->api->library, c->series_id, commands, &summary, &seq, &c->err);
    if (code == DZ_BAD_INPUT || code == DZ_TOO_LARGE) {
        answer_text(c, 400, true, "description", dz_str_of(c->err.text));
    } else if (code == DZ_OK) {
        if (dz_library_wait(c->api->library, seq, SHOWN_WAIT_MS))
            wait_for_loops(c->api);
        else
            dz_log(&ctx, DZ_WARN, "an edit is stored, but readers do not see it yet");
        answer_text(c, 200, false, "edited", dz_buf_str(&summary));
        dz_log(&ctx, DZ_INFO, "series %lld was edited", (long long)c->series_id);
    }
}

static void decide(struct call *c)
{
    static const struct dz_log_ctx ctx = {.room = "api", .what = "admin"};
    static struct dz_log_gate gate;
    DZ_AUTO(dz_buf_done) struct dz_buf commands;
    struct dz_buf password;
    dz_buf_init(&commands, BODY_MAX);
    dz_buf_init(&password, BODY_MAX);
    dz_buf_reserve(&password, c->body_n + 64); /* never moved, so that no copy is left behind */
    if (!read_body(c, &password, &commands)) {
        c->status = 400;
    } else if ((c->retry_s = try_begin(c->api->admin, c->who)) > 0) {
        c->status = 429;
    } else if (!is_right(&password, c->hash)) {
        c->status = 401;
        if (dz_log_gate_pass(&gate, 1000))
            dz_log(&ctx, DZ_WARN, "a wrong password");
    } else {
        try_was_right(c->api->admin, c->who);
        edit(c, dz_buf_str(&commands));
    }
    explicit_bzero(password.p, password.n);
    dz_buf_done(&password);
}

static void call_run(struct dz_work *w)
{
    decide(dz_container(w, struct call, work));
}

/* Still on the worker, which has let go of w. */
static void call_done(struct dz_work *w)
{
    struct call *c = dz_container(w, struct call, work);
    if (!api_post(c->loop, &c->msg))
        call_free(c);
}

/* ---- the loop's side ------------------------------------------------------------------------- */

static void begin_edit(struct dz_http_req *r, const struct dz_snapshot *snap)
{
    struct dz_api *a = r->app;
    const char *hash = view_of(r)->conf->auth.admin_password_hash;
    if (!hash || !*hash) {
        reply_status(r, 503, 0, "auth.admin_password_hash is not set");
        return;
    }
    if (!says_json(r) || r->body.n > BODY_MAX) {
        reply_status(r, r->body.n > BODY_MAX ? 413 : 400, 0, NULL);
        return;
    }
    if (!call_begin(a->admin)) {
        reply_status(r, 503, 1, NULL);
        return;
    }
    struct call *c = dz_new(struct call);
    c->work.run = call_run;
    c->work.done = call_done;
    c->msg.fn = call_arrive;
    c->msg.drop = call_drop;
    c->api = a;
    c->loop = r->loop_app;
    c->req = r;
    c->series_id = snap->series.id;
    client_who(r->client_ip, c->who);
    c->hash = dz_strdup(hash);
    c->body = dz_str_dup(r->body);
    c->body_n = r->body.n;
    dz_buf_init(&c->answer, 2 * SUMMARY_MAX);
    if (dz_pool_submit(a->pool, &c->work, NULL) == DZ_OK) {
        dz_http_defer(r); /* the answer comes by message, so not before this */
        return;
    }
    call_free(c);
    reply_status(r, 503, 1, NULL);
}

void handle_admin_edit(struct dz_http_req *r)
{
    struct dz_view_host h = dz_view_host_of(view_of(r), r->host);
    if (h.kind != DZ_HOST_API || !h.shelf->snap)
        answer_not_found(r);
    else
        begin_edit(r, h.shelf->snap);
}

void handle_shelf_admin_edit(struct dz_http_req *r)
{
    const struct dz_view_shelf *shelf = dz_view_shelf_of(view_of(r), r->capture[0]);
    if (!shelf || !shelf->snap)
        answer_not_found(r);
    else
        begin_edit(r, shelf->snap);
}
