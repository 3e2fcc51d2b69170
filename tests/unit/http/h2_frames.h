/*
 * h2_frames: HTTP/2 frames written by hand, and what the server says to them in short words.
 */
#pragma once

#include "rig.h"

#include "http/http_int.h"

/* ---- frames by hand -------------------------------------------------------------------------- */

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum { DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, UPDATE, CONTINUATION };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8, PRIORITIZED = 0x20 };

static void put_frame(struct dz_buf *b, int type, int flags, uint32_t id, dz_str payload)
{
    for (int shift = 16; shift >= 0; shift -= 8)
        dz_buf_putc(b, (char)(payload.n >> shift));
    dz_buf_putc(b, (char)type);
    dz_buf_putc(b, (char)flags);
    for (int shift = 24; shift >= 0; shift -= 8)
        dz_buf_putc(b, (char)(id >> shift));
    dz_buf_put(b, payload);
}

/* Literal fields without indexing: "name\0value\0" texts, two NULs at the end. */
static __attribute__((unused)) void put_fields(struct dz_buf *b, const char *fields)
{
    while (*fields) {
        const char *value = fields + strlen(fields) + 1;
        assert_true(strlen(fields) < 127 && strlen(value) < 127);
        dz_buf_putc(b, 0);
        dz_buf_putc(b, (char)strlen(fields));
        dz_buf_put(b, dz_str_of(fields));
        dz_buf_putc(b, (char)strlen(value));
        dz_buf_put(b, dz_str_of(value));
        fields = value + strlen(value) + 1;
    }
}

static __attribute__((unused)) void put_headers(struct dz_buf *b, uint32_t id, int flags,
                                                const char *fields)
{
    DZ_AUTO(dz_buf_done) struct dz_buf block;
    dz_buf_init(&block, 1 << 20);
    put_fields(&block, fields);
    put_frame(b, HEADERS, flags, id, dz_buf_str(&block));
}

#define PSEUDO(method, path) ":method\0" method "\0:scheme\0https\0:path\0" path "\0"
#define GET_HELLO PSEUDO("GET", "/hello") ":authority\0a\0"
#define POST_ECHO PSEUDO("POST", "/echo") ":authority\0a\0"
#define ENDS (END_STREAM | END_HEADERS)

static __attribute__((unused)) void put_start(struct dz_buf *b)
{
    dz_buf_put(b, DZ_S(PREFACE));
    put_frame(b, SETTINGS, 0, 0, (dz_str){0});
    put_frame(b, SETTINGS, ACK, 0, (dz_str){0}); /* the server's stand first in its output */
}

#define START (dz_buf_clear(&b), put_start(&b))
#define SEND(...) put_frame(&b, __VA_ARGS__)

static uint32_t number(dz_str s, size_t at)
{
    uint32_t n = 0;
    for (size_t i = 0; i < 4; i++)
        n = n << 8 | (unsigned char)s.p[at + i];
    return n;
}

/* Next frame of the server's output; its payload stays valid as long as out. */
struct frame {
    unsigned type, flags;
    uint32_t id;
    dz_str payload;
};
static bool next_frame(dz_str *out, struct frame *f)
{
    if (out->n < 9)
        return false;
    size_t n = number(*out, 0) >> 8;
    f->type = (unsigned char)out->p[3];
    f->flags = (unsigned char)out->p[4];
    f->id = number(*out, 5) & 0x7FFFFFFF;
    assert_true(n <= 16384 && out->n >= 9 + n);
    f->payload = dz_str_sub(*out, 9, 9 + n);
    *out = dz_str_sub(*out, 9 + n, out->n);
    return true;
}

/* What the server said, in short: "H1 D1. R3:8 G1" — headers, data (a dot: the end), reset, goaway
 * with the code. SETTINGS, WINDOW_UPDATE and PING are left out. */
static __attribute__((unused)) const char *told(dz_str out)
{
    static struct dz_buf text;
    dz_buf_done(&text);
    dz_buf_init(&text, 1 << 20);
    struct frame f;
    while (next_frame(&out, &f)) {
        const char *dot = f.flags & END_STREAM ? "." : "";
        if (text.n > 0 &&
            (f.type == DATA || f.type == HEADERS || f.type == RST || f.type == GOAWAY))
            dz_buf_putc(&text, ' ');
        if (f.type == DATA)
            dz_buf_putf(&text, "D%u%s", f.id, dot);
        else if (f.type == HEADERS)
            dz_buf_putf(&text, "H%u%s", f.id, dot);
        else if (f.type == RST)
            dz_buf_putf(&text, "R%u:%u", f.id, number(f.payload, 0));
        else if (f.type == GOAWAY)
            dz_buf_putf(&text, "G%u", number(f.payload, 4));
    }
    static char copy[4096];
    size_t n = text.n < sizeof(copy) - 1 ? text.n : sizeof(copy) - 1;
    if (n > 0)
        memcpy(copy, text.p, n);
    copy[n] = 0;
    dz_buf_done(&text);
    return copy;
}

static struct dz_http_test_conn *open_h2(void)
{
    return dz_http_test_open_h2(rig.server, rig.loop);
}

static unsigned wrong;

/* At once and byte by byte. All cases are looked at before a test fails. */
static __attribute__((unused)) void expect(const char *clause, dz_str bytes, const char *want)
{
    for (size_t step = bytes.n; step > 0; step = step > 1 && bytes.n < 3000 ? 1 : 0) {
        struct dz_http_test_conn *t = open_h2();
        for (size_t at = 0; at < bytes.n && !dz_http_test_closed(t); at += step)
            dz_http_test_push(t, dz_str_sub(bytes, at, at + step), false);
        dz_http_test_feed(t, (dz_str){0}, false); /* late replies */
        const char *got = told(dz_http_test_output(t));
        if (strcmp(got, want) != 0 || (strchr(want, 'G') && !dz_http_test_closed(t))) {
            print_error("%s in steps of %zu: \"%s\", want \"%s\"\n", clause, step, got, want);
            wrong++;
        }
        dz_http_test_free(&t);
    }
}

static __attribute__((unused)) void assert_none_wrong(void)
{
    unsigned n = wrong;
    wrong = 0;
    assert_int_equal(n, 0);
}
