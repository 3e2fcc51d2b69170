/*
 * answers: the error bodies that all route families share (contracts/komizip.md 2.5, with the
 * drop-in rules 16 and 17 of its section 9: JSON is labelled as JSON, and every 404 says no-store).
 */
#include "api/nagato_int.h"

#define JSON DZ_S("application/json")
#define HTML DZ_S("text/html; charset=utf-8")

void answer_not_found(struct dz_http_req *r)
{
    struct dz_view_host h = dz_view_host_of(view_of(r), r->host);
    if (h.kind == DZ_HOST_NONE && dz_str_starts(r->path, DZ_S("/api/"))) {
        nagato_text(r, 404, 0, DZ_S("Not Found"));
        return;
    }
    if (h.kind == DZ_HOST_NONE && dz_http_wants_html(r)) {
        struct dz_buf page;
        dz_buf_init(&page, 64 * DZ_KIB);
        reader_error_page(&page, 404, DZ_S("There is nothing at this address."));
        struct dz_http_meta m = {
            .status = 404, .content_type = HTML, .cache_control = NO_STORE, .last_modified_s = -1};
        dz_http_reply_buf(r, &m, &page);
        dz_buf_done(&page);
        return;
    }
    dz_http_reply_text(r, 404, JSON, NO_STORE,
                       DZ_S("{\"error\": true, \"description\": \"404: Not Found.\"}"));
}

void answer_cdn_not_found(struct dz_http_req *r)
{
    dz_http_reply_text(r, 404, HTML, NO_STORE, DZ_S("404"));
}

void answer_error(struct dz_http_req *r, enum dz_code code, const struct dz_err *err)
{
    static struct dz_log_gate gate;
    int status = dz_code_http_status(code);
    if (status >= 500 && dz_log_gate_pass(&gate, 1000)) {
        struct dz_log_ctx here = {
            .room = "api", .what = r->route ? r->route->name : "request", .id = r->id};
        dz_log_err(&here, DZ_ERROR, err, "%.*s", (int)(r->target.n > 200 ? 200 : r->target.n),
                   r->target.p);
    }
    if (code == DZ_NOT_FOUND) {
        answer_not_found(r);
        return;
    }
    struct dz_buf body;
    dz_str type;
    dz_buf_init(&body, 4 * DZ_KIB);
    answer_error_body(status, NULL, &body, &type);
    dz_http_reply_text(r, status, type, NO_STORE, dz_buf_str(&body));
    dz_buf_done(&body);
}

/* The words for what the server refuses by itself; `why` names the part of the request that is
 * wrong. */
void answer_error_body(int status, const char *why, struct dz_buf *out, dz_str *ret_content_type)
{
    char text[256];
    int n = snprintf(text, sizeof text, "%d: %s%s%s.", status, dz_http_reason(status),
                     why ? ": " : "", why ? why : "");
    struct dz_json j;
    dz_json_init(&j, out, DZ_JSON_PYTHON, true);
    dz_json_object(&j);
    dz_json_key(&j, DZ_S("error"));
    dz_json_bool(&j, true);
    dz_json_key(&j, DZ_S("description"));
    dz_json_str(&j, (dz_str){text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1});
    dz_json_end(&j);
    *ret_content_type = JSON;
}

void answer_elsewhere(struct dz_http_req *r, dz_str origin, dz_str path)
{
    DZ_AUTO(dz_buf_done) struct dz_buf to;
    dz_buf_init(&to, 64 * DZ_KIB);
    dz_buf_put(&to, origin);
    dz_buf_put(&to, path);
    if (r->query.n > 0) {
        dz_buf_putc(&to, '?');
        dz_buf_put(&to, r->query);
    }
    if (to.full)
        answer_error(r, DZ_BAD_INPUT, NULL);
    else
        dz_http_reply_redirect(r, 307, dz_buf_str(&to), NO_STORE);
}

bool says_json(const struct dz_http_req *r)
{
    dz_str type = dz_http_header(r, DZ_S("content-type"));
    type = dz_str_trim(dz_str_sub(type, 0, dz_str_chr(type, ';')));
    return dz_str_eq_nocase(type, JSON) ||
           (type.n > 17 && dz_str_eq_nocase(dz_str_sub(type, 0, 12), DZ_S("application/")) &&
            dz_str_eq_nocase(dz_str_sub(type, type.n - 5, type.n), DZ_S("+json")));
}

bool answered_for_shelf_host(struct dz_http_req *r)
{
    if (dz_view_host_of(view_of(r), r->host).kind == DZ_HOST_NONE)
        return false;
    handle_image_redirect(r);
    return true;
}
