/*
 * cursor: the one way parsers walk over text, with line and column for their errors.
 *
 * In: a borrowed slice. Out: its bytes one after the other, and where we are. The cursor is a value
 * on the caller's stack; a copy of it is a way back. A line ends with LF; the column counts bytes.
 */
#include "base/base_int.h"

void dz_cursor_init(struct dz_cursor *c, dz_str s)
{
    *c = (struct dz_cursor){.s = s, .line = 1, .column = 1};
}

bool dz_cursor_end(const struct dz_cursor *c)
{
    return c->at >= c->s.n;
}

int dz_cursor_peek(const struct dz_cursor *c)
{
    return c->at < c->s.n ? (unsigned char)c->s.p[c->at] : -1;
}

int dz_cursor_next(struct dz_cursor *c)
{
    if (c->at >= c->s.n)
        return -1;
    unsigned char byte = (unsigned char)c->s.p[c->at++];
    if (byte == '\n') {
        c->line++;
        c->column = 1;
    } else {
        c->column++;
    }
    return byte;
}

static void step(struct dz_cursor *c, size_t n)
{
    while (n-- > 0)
        dz_cursor_next(c);
}

bool dz_cursor_take(struct dz_cursor *c, dz_str literal)
{
    if (!dz_str_starts(dz_str_sub(c->s, c->at, c->s.n), literal))
        return false;
    step(c, literal.n);
    return true;
}

dz_str dz_cursor_until(struct dz_cursor *c, char stop)
{
    dz_str rest = dz_str_sub(c->s, c->at, c->s.n);
    size_t n = dz_str_chr(rest, stop);
    rest.n = n == DZ_NPOS ? rest.n : n;
    step(c, rest.n);
    return rest;
}
