/*
 * upload_in: POST /upload, a form with a file, from its head to the reply.
 *
 * On the loop: the key is looked at, then the body is copied, piece by piece, into a buffer of a
 * bounded size. A worker parses what is there and writes the file's part to the store; it runs for
 * as long as there is something to do and not while the client is slow. When the form is whole the
 * library makes the file last, together with others (library/uploads.c), and tells the loop by
 * message. Of several fields called "file" the last one wins. Loop and worker never have the same
 * buffer; whatever else a worker touches is its own until its step is done.
 */
#include "api/upload_int.h"

#define HOLD_BYTES ((size_t)256 * 1024) /* of a body, before the client is held back */
#define FORM_BYTES (1 * DZ_MIB)         /* of a body, besides the file */
#define TYPE_MAX 255

struct upload_in {
    atomic_uint refs; /* the loop's; while the file is kept: the library's and the worker's */
    struct dz_http_sink sink;
    struct dz_http_req *r;
    struct api_loop *loop;
    struct dz_api *api;
    struct dz_conf *conf;
    struct dz_buf next; /* the loop fills it */
    bool paused, working, ended, broken;
    int end_status;    /* of a body that will never be whole */
    struct dz_msg msg; /* a step has ended, or, broken: to be answered outside of the sink */

    struct dz_work work; /* a step */
    struct dz_buf now;
    struct dz_multipart *form;
    struct dz_upload *file;
    char *mime;                       /* of file; NULL: not declared */
    bool any, in_file, last, keeping; /* any: bytes came */
    enum dz_code code;
    struct dz_err err;

    struct dz_msg kept_msg;
    bool kept; /* told by kept_msg; then code and id are final */
    enum dz_code kept_code;
    struct dz_err kept_err;
    char id[DZ_TEXT_MAX];
    size_t id_n;
    char who[64]; /* the key's name; "": it has none */
};

static void unref(struct upload_in *u)
{
    if (atomic_fetch_sub(&u->refs, 1) > 1)
        return;
    dz_upload_drop(&u->file);
    dz_multipart_free(&u->form);
    dz_buf_done(&u->next);
    dz_buf_done(&u->now);
    dz_conf_unref(&u->conf);
    free(u->mime);
    free(u);
}

/* ---- the reply --------------------------------------------------------------------------------
 */

/* What follows the slash of a type, up to another one or its parameters. */
static dz_str extension(const struct upload_in *u)
{
    dz_str mime = dz_str_of(u->mime);
    dz_str ext = dz_str_after(mime, dz_str_chr(mime, '/'));
    ext = dz_str_sub(ext, 0, dz_str_chr(ext, '/'));
    ext = dz_str_trim(dz_str_sub(ext, 0, dz_str_chr(ext, ';')));
    return ext.n > 0 ? ext : dz_str_of(u->conf->uploads.fallback_ext);
}

static void reply_kept(struct upload_in *u)
{
    upload_log(u->r->id, "kept", (dz_str){u->id, u->id_n}, dz_str_of(u->who));
    struct dz_buf b;
    struct dz_json j;
    dz_buf_init(&b, 16 * DZ_KIB);
    dz_json_init(&j, &b, DZ_JSON_COMPACT, false);
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("status"));
    dz_json_int(&j, 200);
    dz_json_key(&j, DZ_S("file_id"));
    dz_json_str(&j, (dz_str){u->id, u->id_n});
    dz_json_key(&j, DZ_S("file_ext"));
    dz_json_str(&j, extension(u));
    dz_json_end(&j);
    dz_http_reply_text(u->r, 200, DZ_S("application/json"), NO_STORE, dz_buf_str(&b));
    dz_buf_done(&b);
}

static void reply_failed(struct dz_http_req *r, enum dz_code code, const struct dz_err *err)
{
    static struct dz_log_gate gate;
    if (code == DZ_NOT_FOUND)
        upload_say(r, 400, DZ_S("No 'file' given."));
    else if (code == DZ_BAD_INPUT)
        upload_say(r, 400, dz_str_of(err->text));
    else if (code == DZ_TOO_LARGE)
        dz_http_reply_error(r, 413, "the file is too big");
    else if (code == DZ_UNAVAILABLE) {
        /* The sender hears only that it was not kept, whoever runs this why. */
        if (dz_log_gate_pass(&gate, 10000))
            dz_log_err(&(struct dz_log_ctx){.room = "api", .what = "upload", .id = r->id}, DZ_WARN,
                       err, "an upload was not kept");
        answer_later(r);
    } else {
        /* What a database does not let its own role do is no fault of the sender's. */
        answer_error(r, code == DZ_FORBIDDEN ? DZ_IO : code, err);
    }
}

/* Answers, once; u is the library's alone afterwards, or nobody's. */
static void finish(struct upload_in *u)
{
    if (u->kept && u->kept_code == DZ_OK)
        reply_kept(u);
    else if (u->kept)
        reply_failed(u->r, u->kept_code, &u->kept_err);
    else if (u->code != DZ_OK)
        reply_failed(u->r, u->code, &u->err);
    else
        dz_http_reply_error(u->r, u->end_status, NULL);
    unref(u);
}

/* ---- the worker's side ------------------------------------------------------------------------
 */

static enum dz_code part_begins(void *arg, const struct dz_multipart_part *p, struct dz_err *err)
{
    struct upload_in *u = arg;
    u->in_file = false;
    if (!dz_str_eq(p->name, DZ_S("file")))
        return DZ_OK;
    dz_upload_drop(&u->file);
    dz_freep(&u->mime);
    if (!p->has_filename) /* a plain value is no file */
        return DZ_OK;
    if (p->content_type.n > TYPE_MAX)
        return dz_fail(err, DZ_BAD_INPUT, "The type of the file is too long.");
    if (p->content_type.n > 0 && dz_str_is_utf8(p->content_type))
        u->mime = dz_str_dup(p->content_type);
    u->in_file = true;
    u->file = dz_upload_new(u->api->library, dz_str_of(u->mime));
    return DZ_OK;
}

static enum dz_code part_goes_on(void *arg, dz_str bytes, struct dz_err *err)
{
    struct upload_in *u = arg;
    if (!u->in_file)
        return DZ_OK;
    uint64_t max = u->conf->uploads.max_bytes;
    if (bytes.n > max - dz_upload_bytes(u->file))
        return dz_fail(err, DZ_TOO_LARGE, "a file has more than %llu bytes",
                       (unsigned long long)max);
    return dz_upload_add(u->file, bytes, err);
}

static enum dz_code part_ends(void *arg, struct dz_err *err)
{
    struct upload_in *u = arg;
    (void)err;
    u->in_file = false;
    return DZ_OK;
}

static void kept_arrives(struct dz_loop *l, struct dz_msg *m)
{
    struct upload_in *u = dz_container(m, struct upload_in, kept_msg);
    (void)l;
    u->kept = true;
    finish(u);
    unref(u);
}

static void kept_drops(struct dz_msg *m)
{
    unref(dz_container(m, struct upload_in, kept_msg));
}

static void on_kept(void *arg, enum dz_code code, const struct dz_upload_rec *rec,
                    const struct dz_err *err)
{
    struct upload_in *u = arg;
    u->kept_code = code;
    if (code == DZ_OK) {
        u->id_n = rec->id.n;
        memcpy(u->id, rec->id.p, rec->id.n);
    } else {
        u->kept_err = *err;
    }
    u->kept_msg.fn = kept_arrives;
    u->kept_msg.drop = kept_drops;
    if (!api_post(u->loop, &u->kept_msg))
        unref(u);
}

static void keep(struct upload_in *u)
{
    struct dz_upload_wish wish = {
        .name_length = u->conf->uploads.name_length, .done = on_kept, .arg = u};
    u->keeping = true;
    atomic_fetch_add(&u->refs, 2);
    dz_upload_keep(&u->file, &wish);
}

static void step_run(struct dz_work *work)
{
    struct upload_in *u = dz_container(work, struct upload_in, work);
    u->any |= u->now.n > 0;
    u->code = dz_multipart_feed(u->form, dz_buf_str(&u->now), &u->err);
    dz_buf_clear(&u->now);
    if (u->code == DZ_OK && u->last && u->any)
        u->code = dz_multipart_end(u->form, &u->err);
    if (u->code == DZ_OK && u->last && !u->file)
        u->code = dz_fail(&u->err, DZ_NOT_FOUND, "no file");
    if (u->code != DZ_OK)
        dz_upload_drop(&u->file);
    else if (u->last)
        keep(u);
}

/* ---- the loop's side --------------------------------------------------------------------------
 */

static void broken_arrives(struct dz_loop *l, struct dz_msg *m)
{
    (void)l;
    finish(dz_container(m, struct upload_in, msg));
}

static void broken_drops(struct dz_msg *m)
{
    unref(dz_container(m, struct upload_in, msg));
}

/* It cannot become an upload any more; may be called by the sink, so the answer comes later. */
static void give_up(struct upload_in *u)
{
    u->broken = true;
    u->msg.fn = broken_arrives;
    u->msg.drop = broken_drops;
    dz_loop_post(u->r->loop, &u->msg);
}

static void step_done(struct dz_work *work);

/* Hands what has come to a worker, if that is free; the end with it. */
static void go_on(struct upload_in *u)
{
    if (u->working || u->broken || (u->next.n == 0 && !u->ended))
        return;
    if (u->end_status) {
        give_up(u);
        return;
    }
    struct dz_buf full = u->next;
    u->next = u->now;
    u->now = full;
    u->last = u->ended;
    u->work = (struct dz_work){.run = step_run, .done = step_done};
    u->working = true;
    if (dz_pool_submit(u->api->pool, &u->work, NULL) == DZ_OK)
        return;
    u->working = false;
    u->code = dz_fail(&u->err, DZ_UNAVAILABLE, "the workers have too much to do");
    give_up(u);
}

static void step_arrives(struct dz_loop *l, struct dz_msg *m)
{
    struct upload_in *u = dz_container(m, struct upload_in, msg);
    (void)l;
    u->working = false;
    if (u->code != DZ_OK) {
        finish(u);
        return;
    }
    go_on(u);
    if (u->paused && !u->ended) {
        u->paused = false;
        dz_http_body_more(u->r);
    }
}

/* On the worker, which may have kept the files of others long after this one's reply: its loop may
 * be gone by then, so the step has none as its home. */
static void step_done(struct dz_work *work)
{
    struct upload_in *u = dz_container(work, struct upload_in, work);
    if (u->keeping) {
        unref(u);
        return;
    }
    u->msg.fn = step_arrives;
    u->msg.drop = broken_drops;
    if (!api_post(u->loop, &u->msg))
        unref(u);
}

static bool sink_data(struct dz_http_sink *sink, dz_str bytes)
{
    struct upload_in *u = dz_container(sink, struct upload_in, sink);
    dz_buf_put(&u->next, bytes);
    go_on(u);
    u->paused = u->next.n >= HOLD_BYTES;
    return !u->paused;
}

static void sink_end(struct dz_http_sink *sink, int status, const char *why)
{
    struct upload_in *u = dz_container(sink, struct upload_in, sink);
    (void)why;
    u->ended = true;
    u->end_status = status;
    go_on(u);
}

void handle_upload(struct dz_http_req *r)
{
    if (dz_view_host_of(view_of(r), r->host).kind != DZ_HOST_NONE) {
        answer_not_found(r);
        return;
    }
    dz_str who;
    if (upload_refused(r, DZ_UPLOADS_SEND, &who))
        return;
    dz_str type = dz_http_header(r, DZ_S("content-type"));
    if (!dz_http_is_multipart(type)) {
        upload_say(r, 400, DZ_S("No 'file' given."));
        return;
    }
    struct upload_in *u = dz_new(struct upload_in);
    const struct dz_multipart_reader reader = {part_begins, part_goes_on, part_ends, u};
    atomic_init(&u->refs, 1);
    u->sink = (struct dz_http_sink){sink_data, sink_end};
    u->r = r;
    u->loop = r->loop_app;
    u->api = r->app;
    u->conf = dz_conf_ref(view_of(r)->conf);
    memcpy(u->who, who.n > 0 ? who.p : "", who.n);
    dz_buf_init(&u->next, 4 * HOLD_BYTES);
    dz_buf_init(&u->now, 4 * HOLD_BYTES);
    if (dz_multipart_new(type, &reader, &u->form, NULL) != DZ_OK) {
        dz_http_reply_text(r, 400, DZ_S("text/plain; charset=utf-8"), NO_STORE,
                           DZ_S("Missing boundary in multipart."));
        unref(u);
        return;
    }
    uint64_t max = u->conf->uploads.max_bytes;
    dz_http_defer(r);
    dz_http_read_body(r, &u->sink, max < UINT64_MAX - FORM_BYTES ? max + FORM_BYTES : UINT64_MAX);
}
