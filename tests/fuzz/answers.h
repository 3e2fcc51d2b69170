/*
 * answers: a strict reader of what the HTTP server has written, for fuzz targets.
 *
 * In: the bytes that came out of one connection and a note of each answer that the server says it
 * gave, in order. It aborts on anything that is not RFC 9112 or contradicts the notes: a status
 * that differs, a field that is no field, a Content-Length that is not the length, bytes behind the
 * last answer. Out: the same bytes without 100 Continue, which depends on when bytes arrived.
 */
#pragma once

#include "http/http_int.h"

struct note { /* what the server says it has answered */
    int status;
    enum dz_http_method method;
    uint8_t version_minor;
};

struct reader {
    dz_str in; /* not read yet */
    bool cut;  /* the connection was: the last answer may be short, or missing */
};

struct answer_facts {
    bool has_length, chunked, close, date, range, allow, type;
    uint64_t length;
    dz_str boundary;
};

#define CONTINUE_LINE DZ_S("HTTP/1.1 100 Continue\r\n\r\n")

/* The line without its CRLF; false when it is not whole. */
static bool answer_line(struct reader *r, dz_str *ret_line)
{
    size_t end = dz_str_find(r->in, DZ_S("\r\n"));
    if (end == DZ_NPOS) {
        dz_assert(r->cut);
        r->in = (dz_str){0};
        return false;
    }
    *ret_line = dz_str_sub(r->in, 0, end);
    r->in = dz_str_sub(r->in, end + 2, r->in.n);
    return true;
}

static void once(bool *seen)
{
    dz_assert(!*seen);
    *seen = true;
}

static uint64_t answer_number(dz_str s, unsigned base)
{
    uint64_t n = 0;
    dz_assert(s.n > 0 && s.n < 16);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        unsigned digit = c >= 'a' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');
        dz_assert(digit < base);
        n = n * base + digit;
    }
    return n;
}

static void answer_field(dz_str line, struct answer_facts *f)
{
    size_t colon = dz_str_chr(line, ':');
    dz_assert(colon != DZ_NPOS && colon + 1 < line.n && line.p[colon + 1] == ' ');
    dz_str name = dz_str_sub(line, 0, colon), value = dz_str_sub(line, colon + 2, line.n);
    dz_assert(dz_http_is_token(name) && dz_http_is_field_value(value));
    if (dz_str_eq_nocase(name, DZ_S("Content-Length"))) {
        once(&f->has_length);
        f->length = answer_number(value, 10);
    } else if (dz_str_eq_nocase(name, DZ_S("Transfer-Encoding"))) {
        once(&f->chunked);
        dz_assert(dz_str_eq(value, DZ_S("chunked")));
    } else if (dz_str_eq_nocase(name, DZ_S("Connection"))) {
        f->close |= dz_str_eq_nocase(value, DZ_S("close"));
    } else if (dz_str_eq_nocase(name, DZ_S("Date"))) {
        once(&f->date);
    } else if (dz_str_eq_nocase(name, DZ_S("Content-Range"))) {
        once(&f->range);
    } else if (dz_str_eq_nocase(name, DZ_S("Allow"))) {
        once(&f->allow);
    } else if (dz_str_eq_nocase(name, DZ_S("Content-Type"))) {
        once(&f->type);
        dz_str many = DZ_S("multipart/byteranges; boundary=");
        if (dz_str_starts(value, many))
            f->boundary = dz_str_sub(value, many.n, value.n);
    }
}

static bool answer_chunks(struct reader *r)
{
    for (;;) {
        dz_str line;
        if (!answer_line(r, &line))
            return false;
        uint64_t n = answer_number(line, 16);
        if (r->in.n < n + 2) {
            dz_assert(r->cut);
            return false;
        }
        dz_assert(dz_str_eq(dz_str_sub(r->in, n, n + 2), DZ_S("\r\n"))); /* n 0: no trailers */
        r->in = dz_str_sub(r->in, n + 2, r->in.n);
        if (n == 0)
            return true;
    }
}

static void answer_parts(dz_str body, dz_str boundary)
{
    size_t n = 4 + boundary.n;
    dz_assert(body.n > 2 * n + 4 && dz_str_starts(body, DZ_S("\r\n--")));
    dz_assert(dz_str_eq(dz_str_sub(body, 4, n), boundary));
    dz_str end = dz_str_sub(body, body.n - n - 4, body.n);
    dz_assert(dz_str_starts(end, DZ_S("\r\n--")) && dz_str_eq(dz_str_sub(end, 4, n), boundary));
    dz_assert(dz_str_eq(dz_str_sub(end, n, end.n), DZ_S("--\r\n")));
}

/* One answer; false when it is cut off. */
static bool answer_read(struct reader *r, const struct note *note, bool *ret_last)
{
    dz_str line;
    struct answer_facts f = {0};
    if (!answer_line(r, &line))
        return false;
    dz_assert(dz_str_starts(line, DZ_S("HTTP/1.1 ")) && line.n > 13 && line.p[12] == ' ');
    dz_assert(answer_number(dz_str_sub(line, 9, 12), 10) == (uint64_t)note->status);
    do {
        if (!answer_line(r, &line))
            return false;
        if (line.n > 0)
            answer_field(line, &f);
    } while (line.n > 0);
    dz_assert(f.date && !(f.has_length && f.chunked));
    dz_assert(note->status != 405 || f.allow);
    dz_assert(note->status != 416 || f.range);
    dz_assert(note->status != 206 || f.range != (f.boundary.n > 0));
    dz_assert(note->status != 304 || !f.type);
    *ret_last = f.close;
    if (note->method == DZ_HTTP_HEAD || note->status == 304 || note->status == 204)
        return true;
    if (f.chunked) {
        dz_assert(note->version_minor > 0);
        return answer_chunks(r);
    }
    if (!f.has_length) { /* up to the end of the connection */
        dz_assert(f.close);
        r->in = (dz_str){0};
        return true;
    }
    if (r->in.n < f.length) {
        dz_assert(r->cut);
        r->in = (dz_str){0};
        return false;
    }
    if (f.boundary.n > 0)
        answer_parts(dz_str_sub(r->in, 0, f.length), f.boundary);
    r->in = dz_str_sub(r->in, f.length, r->in.n);
    return true;
}

/* Reads all answers; with cut, as many as there are. */
static void answers_check(dz_str out, const struct note *note, size_t notes_n, bool cut,
                          struct dz_buf *ret_plain)
{
    struct reader r = {.in = out, .cut = cut};
    size_t i = 0;
    for (bool last = false; r.in.n > 0; i++) {
        while (dz_str_starts(r.in, CONTINUE_LINE))
            r.in = dz_str_sub(r.in, CONTINUE_LINE.n, r.in.n);
        if (r.in.n == 0 || (cut && dz_str_starts(CONTINUE_LINE, r.in)))
            break;
        dz_assert(i < notes_n && !last);
        const char *from = r.in.p;
        if (!answer_read(&r, &note[i], &last))
            return;
        dz_buf_put(ret_plain, (dz_str){from, (size_t)((r.in.n ? r.in.p : out.p + out.n) - from)});
    }
    dz_assert(cut || i == notes_n);
}
