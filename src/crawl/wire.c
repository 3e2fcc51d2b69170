/*
 * wire: messages of the bus to bytes and back.
 *
 * In: bytes as they come from a socket, in any pieces. Out: whole messages, one a call, or the
 * reason why the stream cannot be read on; and the other way, framed JSON appended to a buffer. A
 * frame is its length in four bytes, big-endian, then that many bytes of one JSON object with a
 * text member "type". No descriptor, no clock, no log; the owner is whoever owns the struct. A type
 * that this version does not know is a message of its own kind, not a fault, so that a newer peer
 * may say more.
 */
#include <jansson.h>
#include <unistd.h>

#include "crawl/crawl_int.h"

void dz_wire_in_init(struct dz_wire_in *in, size_t message_max)
{
    *in = (struct dz_wire_in){.message_max = message_max};
    /* One message and what may come behind it in the same read. */
    dz_buf_init(&in->bytes, WIRE_HEAD_BYTES + message_max + 64 * DZ_KIB);
}

void dz_wire_in_done(struct dz_wire_in *in)
{
    dz_buf_done(&in->bytes);
    in->at = 0;
}

void dz_wire_in_put(struct dz_wire_in *in, dz_str bytes)
{
    if (in->at > 0) {
        size_t left = in->bytes.n - in->at;
        memmove(in->bytes.p, in->bytes.p + in->at, left);
        in->bytes.n = left;
        in->at = 0;
    }
    dz_buf_put(&in->bytes, bytes);
}

bool dz_wire_in_is_empty(const struct dz_wire_in *in)
{
    return in->at == in->bytes.n;
}

static const struct {
    const char *name;
    enum dz_wire_type type;
} types[] = {
    {"hello", WIRE_HELLO}, {"changed", WIRE_CHANGED}, {"jobs", WIRE_JOBS},
    {"ping", WIRE_PING},   {"pong", WIRE_PONG},       {"stop", WIRE_STOP},
};

static enum dz_wire_type type_of(const char *name)
{
    for (size_t i = 0; i < DZ_LEN(types); i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].type;
    return WIRE_OTHER;
}

static enum dz_code copy_text(const json_t *object, const char *key, char *dst, size_t cap,
                              struct dz_err *err)
{
    const char *text = json_string_value(json_object_get(object, key));
    size_t n = text ? strlen(text) : 0;
    if (!text || n >= cap)
        return dz_fail(err, DZ_PARSE, "message \"hello\": \"%s\" is missing, no text, or too long",
                       key);
    memcpy(dst, text, n + 1);
    return DZ_OK;
}

static enum dz_code read_object(const json_t *object, struct dz_wire_msg *ret_msg,
                                struct dz_err *err)
{
    const char *name = json_string_value(json_object_get(object, "type"));
    if (!name)
        return dz_fail(err, DZ_PARSE, "a message is no object with a text \"type\"");
    struct dz_wire_msg m = {.type = type_of(name)};
    if (m.type == WIRE_HELLO) {
        DZ_TRY(copy_text(object, "role", m.role, sizeof(m.role), err));
        DZ_TRY(copy_text(object, "version", m.version, sizeof(m.version), err));
    }
    if (m.type == WIRE_PING || m.type == WIRE_PONG) {
        const json_t *n = json_object_get(object, "n");
        if (!json_is_integer(n))
            return dz_fail(err, DZ_PARSE, "message \"%s\": \"n\" is missing or no whole number",
                           name);
        m.n = json_integer_value(n);
    }
    *ret_msg = m;
    return DZ_OK;
}

static enum dz_code read_json(dz_str text, struct dz_wire_msg *ret_msg, struct dz_err *err)
{
    json_error_t fault;
    json_t *object = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &fault);
    if (!object)
        return dz_fail(err, DZ_PARSE, "a message is not JSON: %s", fault.text);
    enum dz_code code = read_object(object, ret_msg, err);
    json_decref(object);
    return code;
}

enum dz_code dz_wire_in_take_text(struct dz_wire_in *in, dz_str *ret_json, struct dz_err *err)
{
    size_t there = in->bytes.n - in->at;
    if (there < WIRE_HEAD_BYTES)
        return DZ_UNAVAILABLE;
    const unsigned char *head = (const unsigned char *)in->bytes.p + in->at;
    size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (n > in->message_max)
        return dz_fail(err, DZ_TOO_LARGE, "a message of %zu bytes; at most %zu are allowed", n,
                       in->message_max);
    if (there - WIRE_HEAD_BYTES < n)
        return DZ_UNAVAILABLE;
    *ret_json = (dz_str){(const char *)head + WIRE_HEAD_BYTES, n};
    in->at += WIRE_HEAD_BYTES + n;
    return DZ_OK;
}

enum dz_code dz_wire_in_take(struct dz_wire_in *in, struct dz_wire_msg *ret_msg, struct dz_err *err)
{
    dz_str text;
    DZ_TRY(dz_wire_in_take_text(in, &text, err));
    return read_json(text, ret_msg, err);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* A place for the length. A message that does not fit leaves the buffer full, which dz_link_flush
 * takes for a peer that does not read. */
static size_t open_frame(struct dz_buf *out)
{
    dz_buf_put(out, (dz_str){"\0\0\0\0", WIRE_HEAD_BYTES});
    return out->n - WIRE_HEAD_BYTES;
}

static void close_frame(struct dz_buf *out, size_t head_at)
{
    if (out->full)
        return;
    size_t n = out->n - head_at - WIRE_HEAD_BYTES;
    for (int i = 0; i < WIRE_HEAD_BYTES; i++)
        out->p[head_at + (size_t)i] = (char)(n >> (24 - 8 * i) & 0xff);
}

static int put_piece(const char *piece, size_t n, void *arg)
{
    struct dz_buf *out = arg;
    dz_buf_put(out, (dz_str){piece, n});
    return out->full ? -1 : 0;
}

void dz_wire_put_json(struct dz_buf *out, const json_t *v)
{
    size_t head_at = open_frame(out);
    if (json_dump_callback(v, put_piece, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
        close_frame(out, head_at);
}

/* An object with its type. */
static size_t begin(struct dz_json *j, struct dz_buf *out, dz_str type)
{
    size_t head_at = open_frame(out);
    dz_json_init(j, out, DZ_JSON_COMPACT, true);
    dz_json_object(j);
    dz_json_key(j, DZ_S("type"));
    dz_json_str(j, type);
    return head_at;
}

static void finish(struct dz_json *j, size_t head_at)
{
    dz_json_end(j);
    close_frame(j->out, head_at);
}

static void put_plain(struct dz_buf *out, dz_str type)
{
    struct dz_json j;
    size_t head_at = begin(&j, out, type);
    finish(&j, head_at);
}

static void put_number(struct dz_buf *out, dz_str type, dz_str key, int64_t n)
{
    struct dz_json j;
    size_t head_at = begin(&j, out, type);
    dz_json_key(&j, key);
    dz_json_int(&j, n);
    finish(&j, head_at);
}

void dz_wire_put_hello(struct dz_buf *out, const char *role, int pid)
{
    struct dz_json j;
    size_t head_at = begin(&j, out, DZ_S("hello"));
    dz_json_key(&j, DZ_S("role"));
    dz_json_str(&j, dz_str_of(role));
    dz_json_key(&j, DZ_S("pid"));
    dz_json_int(&j, pid);
    dz_json_key(&j, DZ_S("version"));
    dz_json_str(&j, DZ_S(DZ_VERSION));
    finish(&j, head_at);
}

void dz_wire_put_changed(struct dz_buf *out)
{
    put_plain(out, DZ_S("changed"));
}

void dz_wire_put_jobs(struct dz_buf *out)
{
    put_plain(out, DZ_S("jobs"));
}

void dz_wire_put_stop(struct dz_buf *out)
{
    put_plain(out, DZ_S("stop"));
}

void dz_wire_put_ping(struct dz_buf *out, int64_t n)
{
    put_number(out, DZ_S("ping"), DZ_S("n"), n);
}

void dz_wire_put_pong(struct dz_buf *out, int64_t n)
{
    put_number(out, DZ_S("pong"), DZ_S("n"), n);
}
