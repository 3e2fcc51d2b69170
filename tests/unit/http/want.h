/*
 * want: what a case of conform.h wants, read from its words, and the bytes that it sends.
 */
#pragma once

#include "rig.h"

#include "conform.h"

#define ANSWERS_MAX 1100

struct wanted {
    size_t n;
    int status[ANSWERS_MAX];
    bool head[ANSWERS_MAX];
    bool closes, waits;
};

static void read_want(const char *text, struct wanted *w)
{
    *w = (struct wanted){0};
    dz_str rest = dz_str_of(text);
    while (rest.n > 0) {
        size_t end = dz_str_chr(rest, ' ');
        dz_str word = dz_str_sub(rest, 0, end);
        rest = end == DZ_NPOS ? (dz_str){0} : dz_str_sub(rest, end + 1, rest.n);
        if (word.n == 1 && (word.p[0] == '!' || word.p[0] == '~')) {
            w->closes = word.p[0] == '!';
            w->waits = word.p[0] == '~';
            continue;
        }
        uint64_t status, times = 1;
        must(dz_str_u64(dz_str_sub(word, 0, 3), 599, &status, err));
        word = dz_str_sub(word, 3, word.n);
        bool head = dz_str_starts(word, DZ_S("h"));
        word = dz_str_sub(word, head, word.n);
        if (dz_str_starts(word, DZ_S("x")))
            must(dz_str_u64(dz_str_sub(word, 1, word.n), ANSWERS_MAX, &times, err));
        for (; times > 0; times--) {
            w->status[w->n] = (int)status;
            w->head[w->n++] = head;
        }
    }
}

static void request_of(const struct http_case *c, struct dz_buf *b)
{
    dz_buf_init(b, 1 << 20);
    dz_buf_put(b, c->request);
    for (size_t i = 0; i < c->times; i++)
        dz_buf_put(b, c->again);
    dz_buf_put(b, c->tail);
}
