/*
 * api: the route table (that of the library API is ops.c) and what ties it to loops and views.
 *
 * The current view is handed to each loop as a posted message and held there by reference, so that
 * a request needs no lock and no atomic operation to read it. The lock guards the list of loops and
 * the flights (fetch.c); it is never held while anything blocks.
 */
#include "api/api_int.h"

/* Which of them is allowed is the handler's to say. */
#define ANY_METHOD                                                                                 \
    (DZ_HTTP_GET | DZ_HTTP_HEAD | DZ_HTTP_POST | DZ_HTTP_PUT | DZ_HTTP_DELETE | DZ_HTTP_OPTIONS |  \
     DZ_HTTP_PATCH | DZ_HTTP_OTHER)

/* clang-format off */
static const struct dz_http_route routes[] = {
    /* name             methods       pattern                       handler */
    {"cdn",             DZ_HTTP_GET,  "/cdn/{*}",                   handle_cdn},
    {"chapters",        DZ_HTTP_GET,  "/v1/chapters",               handle_chapters},
    {"admin_edit",      DZ_HTTP_POST, "/v1/admin/edit",             handle_admin_edit},
    {"shelf_cdn",       DZ_HTTP_GET,  "/shelf/{}/cdn/{*}",          handle_shelf_cdn},
    {"shelf_chapters",  DZ_HTTP_GET,  "/shelf/{}/v1/chapters",      handle_shelf_chapters},
    {"shelf_admin_edit", DZ_HTTP_POST, "/shelf/{}/v1/admin/edit",   handle_shelf_admin_edit},
    {"shelf_redirect",  DZ_HTTP_GET,  "/shelf/{}/i/{*}",            handle_shelf_image_redirect},
    {"shelf",           DZ_HTTP_GET,  "/shelf/{}",                  handle_shelf_home},
    {"home",            DZ_HTTP_GET,  "/",                          handle_home},
    {"series",          DZ_HTTP_GET,  "/series/{}",                 handle_series},
    {"cbz",             DZ_HTTP_GET,  "/series/{}/chapter/{}",      handle_cbz},
    {"read",            DZ_HTTP_GET,  "/read/{}/{}",                handle_read},
    {"read_page",       DZ_HTTP_GET,  "/read/{}/{}/{}",             handle_read_page},
    {"page",            DZ_HTTP_GET,  "/page/{}/{}/{}",             handle_page},
    {"static",          DZ_HTTP_GET,  "/static/{}",                 handle_static},
    {"healthz",         DZ_HTTP_GET,  "/healthz",                   handle_healthz},
    {"metrics",         DZ_HTTP_GET,  "/metrics",                   handle_metrics},
    {"jobs",            DZ_HTTP_GET,  "/-/jobs",                    handle_jobs},
    {"downloads",       DZ_HTTP_GET,  "/-/downloads",               handle_downloads},
    {"downloads_retry", DZ_HTTP_POST, "/-/downloads/retry",         handle_downloads_retry},
    {"graphql",         ANY_METHOD,   "/api/graphql",               handle_graphql},
    {"graphql_slash",   ANY_METHOD,   "/api/graphql/",              handle_graphql_slash},
    {"graphql_below",   ANY_METHOD,   "/api/graphql/{*}",           handle_graphql_slash},
    {"api_root",        DZ_HTTP_GET,  "/api",                       handle_api_root},
    {"api_root_slash",  DZ_HTTP_GET,  "/api/",                      handle_api_root},
    {"api_unknown",     0,            "/api/{*}",                   NULL}, /* ops.c */
    {"redirect",        DZ_HTTP_GET,  "/{}/{*}",                    handle_image_redirect},
};
/* clang-format on */

/* To a loop: view NULL: take over the newest one; else let go of this one. */
struct view_msg {
    struct dz_msg msg;
    struct api_loop *to;
    struct dz_view *view;
};

static void view_msg_drop(struct dz_msg *m)
{
    struct view_msg *v = dz_container(m, struct view_msg, msg);
    dz_view_unref(&v->view);
    free(v);
}

struct view_drop {
    struct dz_work work;
    struct dz_view *view;
};

static void view_drop_run(struct dz_work *w)
{
    dz_view_unref(&dz_container(w, struct view_drop, work)->view);
}

static void view_drop_done(struct dz_work *w)
{
    free(dz_container(w, struct view_drop, work));
}

/* The last reference to a view may free the snapshots of a whole library: a worker's job, not a
 * loop's. */
static void drop_view(struct dz_api *a, struct dz_view *view)
{
    struct view_drop *d = dz_new(struct view_drop);
    d->work.run = view_drop_run;
    d->work.done = view_drop_done;
    d->view = view;
    if (dz_pool_submit(a->pool, &d->work, NULL) != DZ_OK) {
        view_drop_run(&d->work);
        view_drop_done(&d->work);
    }
}

static void view_msg_arrive(struct dz_loop *l, struct dz_msg *m)
{
    struct view_msg *v = dz_container(m, struct view_msg, msg);
    (void)l;
    if (v->view)
        drop_view(v->to->api, dz_take(&v->view));
    else
        api_take_newest_view(v->to);
    free(v);
}

static void post_view(struct api_loop *to, struct dz_view *take_view)
{
    struct view_msg *v = dz_new(struct view_msg);
    v->msg.fn = view_msg_arrive;
    v->msg.drop = view_msg_drop;
    v->to = to;
    v->view = take_view;
    dz_loop_post(to->loop, &v->msg);
}

void api_take_newest_view(struct api_loop *al)
{
    struct dz_api *a = al->api;
    if (DZ_LIKELY(atomic_load_explicit(&a->newest, memory_order_acquire) == al->view->serial))
        return;
    struct dz_view *old = al->view;
    pthread_mutex_lock(&a->lock);
    al->view = dz_view_ref(a->view);
    pthread_mutex_unlock(&a->lock);
    /* Whoever is at work below this call, in this turn of the loop, may still look into it. */
    post_view(al, old);
}

static void *loop_start(void *app, struct dz_loop *l)
{
    struct dz_api *a = app;
    struct api_loop *al = dz_new(struct api_loop);
    al->api = a;
    al->loop = l;
    pthread_mutex_lock(&a->lock);
    dz_assert(a->loops_n < DZ_LEN(a->loops));
    a->loops[a->loops_n++] = al;
    al->view = dz_view_ref(a->view);
    pthread_mutex_unlock(&a->lock);
    al->limiter = a->limiter ? dz_limiter_begin(a->limiter, l) : NULL;
    return al;
}

bool api_post(struct api_loop *to, struct dz_msg *m)
{
    pthread_mutex_lock(&to->api->lock);
    bool there = to->loop != NULL;
    if (there)
        dz_loop_post(to->loop, m);
    pthread_mutex_unlock(&to->api->lock);
    return there;
}

/* The loop's memory stays until dz_api_free: a message may still be on its way to it. */
static void loop_stop(void *app, void *loop_app)
{
    struct dz_api *a = app;
    struct api_loop *al = loop_app;
    dz_limiter_end(&al->limiter);
    pthread_mutex_lock(&a->lock);
    al->loop = NULL;
    dz_view_unref(&al->view);
    pthread_mutex_unlock(&a->lock);
}

static enum dz_code lay_routes(struct dz_api *a, struct dz_err *err)
{
    struct dz_http_route *all = NULL;
    size_t n = 0;
    DZ_TRY(uploads_routes(a->conf, a->arena, routes, DZ_LEN(routes), &all, &n, err));
    a->routes = api_routes_new(all, n, a->arena, &a->routes_n);
    a->ops_routes = a->routes + n;
    return dz_api_check(a, a->conf, err);
}

enum dz_code dz_api_check_start(const struct dz_conf *c, struct dz_err *err)
{
    DZ_AUTO(dz_arena_free) struct dz_arena *arena = dz_arena_new(DZ_MIB);
    struct dz_api a = {.conf = (struct dz_conf *)(uintptr_t)c, .arena = arena};
    return lay_routes(&a, err);
}

enum dz_code dz_api_new(const struct dz_api_options *o, struct dz_api **ret_a, struct dz_err *err)
{
    struct dz_view *view = dz_library_view(o->library);
    if (!view) {
        char text[256];
        dz_library_healthy(o->library, text);
        return dz_fail(err, DZ_UNAVAILABLE, "the catalog cannot be read: %s", text);
    }
    struct statics *statics = NULL;
    enum dz_code code = statics_new(&statics, err);
    if (code != DZ_OK) {
        dz_view_unref(&view);
        return code;
    }
    struct dz_api *a = dz_new(struct dz_api);
    a->statics = statics;
    a->conf = dz_conf_ref(o->conf);
    a->library = o->library;
    a->cache = o->cache;
    a->pool = o->pool;
    a->readers = o->readers ? o->readers : o->pool;
    a->back = o->back;
    a->back_arg = o->back_arg;
    a->started_ms = dz_now_ms();
    a->view = view;
    a->newest = view->serial;
    a->access = access_new();
    a->admin = admin_new();
    a->nagato = nagato_new();
    a->cbz = cbz_shelf_new();
    a->events = events_new(a);
    a->graphql = graphql_new(a);
    a->arena = dz_arena_new(DZ_MIB);
    pthread_mutex_init(&a->lock, NULL);
    dz_map_init(&a->flights);
    code = lay_routes(a, err);
    if (code == DZ_OK)
        code = limits_open(a, err);
    if (code != DZ_OK)
        dz_api_free(&a);
    else
        uploads_new(*ret_a = a);
    return code;
}

void dz_api_free(struct dz_api **ap)
{
    struct dz_api *a = dz_take(ap);
    if (!a)
        return;
    dz_assert(a->flights.count == 0);
    for (size_t i = 0; i < a->loops_n; i++) {
        dz_view_unref(&a->loops[i]->view);
        free(a->loops[i]);
    }
    access_free(&a->access);
    statics_free(&a->statics);
    admin_free(&a->admin);
    nagato_free(&a->nagato);
    cbz_shelf_free(&a->cbz);
    events_free(&a->events);
    graphql_free(&a->graphql);
    dz_limiter_close(&a->limiter);
    uploads_free(&a->uploads);
    dz_arena_free(&a->arena);
    dz_map_done(&a->flights);
    dz_view_unref(&a->view);
    dz_conf_unref(&a->conf);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* What an operation has changed is told to those who listen, when it has answered. */
static void answered(void *app, const struct dz_http_req *r, int status, uint64_t bytes, int64_t ns)
{
    const struct api_op *op = api_op_of(r);
    access_write(app, r, status, bytes, ns);
    if (op && op->changes && status < 400)
        events_dirty(app);
}

void dz_api_jobs_moved(struct dz_api *a)
{
    events_dirty(a);
}

void dz_api_wire(struct dz_api *a, struct dz_http_options *o)
{
    o->routes = a->routes;
    o->routes_n = a->routes_n;
    o->fallback = answer_not_found;
    o->error_body = answer_error_body;
    o->app = a;
    o->loop_start = loop_start;
    o->loop_stop = loop_stop;
    o->gate = gate;
    o->access = answered;
    o->cors_expose = DZ_S("X-Metadata, X-Chapters, X-Ip-Country, RateLimit-Limit, "
                          "RateLimit-Remaining, RateLimit-Reset, Retry-After");
}

void dz_api_set_server(struct dz_api *a, struct dz_http_server *s)
{
    a->server = s;
}

void dz_api_publish(struct dz_api *a, struct dz_view *take_view)
{
    pthread_mutex_lock(&a->lock);
    struct dz_view *old = a->view;
    a->view = take_view;
    atomic_store_explicit(&a->newest, take_view->serial, memory_order_release);
    for (size_t i = 0; i < a->loops_n; i++)
        if (a->loops[i]->loop)
            post_view(a->loops[i], NULL);
    pthread_mutex_unlock(&a->lock);
    dz_view_unref(&old);
}
