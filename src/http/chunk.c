/*
 * chunk: the chunked transfer coding of RFC 9112 7.1, fed in any pieces.
 *
 * In: body bytes as they come. Out: the decoded bytes appended to a buffer whose max is the body
 * limit. Extensions and trailer fields are checked for form, bounded and thrown away: nothing here
 * uses them, and a trailer that named Content-Length or Host must never be taken for a header. Any
 * thread; the state is the caller's.
 */
#include "http/http_int.h"

enum {
    SIZE,
    BLANK,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE,
    NAME,
    VALUE,
    VALUE_LF,
    LAST_LF,
    DONE
};

void dz_http_chunked_init(struct dz_http_chunked *c, uint32_t trailer_max)
{
    *c = (struct dz_http_chunked){.state = SIZE, .trailer_max = trailer_max};
}

static bool refuse(struct dz_http_chunked *c, int status, const char *why)
{
    c->status = status;
    c->why = why;
    return false;
}

static int hex_digit(unsigned char b)
{
    if (b >= '0' && b <= '9')
        return b - '0';
    b |= 0x20;
    return b >= 'a' && b <= 'f' ? b - 'a' + 10 : -1;
}

static bool is_text(unsigned char b)
{
    return b == '\t' || (b >= 0x20 && b != 0x7F);
}

/* The size line: 1*HEXDIG, then blanks only before ';', then anything printable. */
static bool step_size(struct dz_http_chunked *c, unsigned char b)
{
    int digit = hex_digit(b);
    if (c->state == SIZE && digit >= 0) {
        if (++c->digits > 15)
            return refuse(c, 400, "a chunk size is too big");
        c->left = c->left << 4 | (unsigned)digit;
        return true;
    }
    if (c->state == SIZE && c->digits == 0)
        return refuse(c, 400, "a chunk does not start with a hexadecimal size");
    if (c->state != EXTENSION && b == ';') {
        c->state = EXTENSION;
    } else if (b == '\r' && c->state != BLANK) {
        c->state = SIZE_LF;
        return true;
    } else if (c->state == EXTENSION ? !is_text(b) : b != ' ' && b != '\t') {
        return refuse(c, 400, "a chunk size line is not valid");
    } else if (c->state == SIZE) {
        c->state = BLANK;
    }
    if (++c->extension > HTTP_CHUNK_EXTENSION_MAX)
        return refuse(c, 400, "chunk extensions are too long");
    return true;
}

static bool step_trailer(struct dz_http_chunked *c, unsigned char b)
{
    if (++c->trailer > c->trailer_max)
        return refuse(c, 431, "the trailer fields are too long");
    switch (c->state) {
    case LINE:
        if (b == '\r') {
            c->state = LAST_LF;
            return true;
        }
        c->state = NAME;
        if (b == ':')
            break;
        __attribute__((fallthrough));
    case NAME:
        if (b == ':')
            c->state = VALUE;
        else if (!dz_http_is_token((dz_str){(const char *)&b, 1}))
            break;
        return true;
    case VALUE:
        if (b == '\r')
            c->state = VALUE_LF;
        else if (!is_text(b))
            break;
        return true;
    default:
        break;
    }
    return refuse(c, 400, "a trailer field is not valid");
}

static bool step(struct dz_http_chunked *c, unsigned char b)
{
    switch (c->state) {
    case SIZE:
    case BLANK:
    case EXTENSION:
        return step_size(c, b);
    case SIZE_LF:
        c->state = c->left ? DATA : LINE;
        break;
    case DATA_CR:
        if (b != '\r')
            return refuse(c, 400, "a chunk is longer than its size");
        c->state = DATA_LF;
        return true;
    case DATA_LF:
        c->state = SIZE;
        c->digits = 0;
        break;
    case VALUE_LF:
        c->state = LINE;
        break;
    case LAST_LF:
        c->state = DONE;
        break;
    default:
        return step_trailer(c, b);
    }
    return b == '\n' || refuse(c, 400, "a carriage return stands alone in a chunked body");
}

enum dz_http_parsed dz_http_chunked_feed(struct dz_http_chunked *c, dz_str in, struct dz_buf *out,
                                         size_t *ret_used)
{
    size_t at = 0;
    while (at < in.n && c->state != DONE) {
        if (c->state != DATA) {
            if (!step(c, (unsigned char)in.p[at++]))
                return HTTP_BAD;
            if (c->state == DATA && c->left > out->max - out->n) {
                refuse(c, 413, "the body is too big");
                return HTTP_BAD;
            }
            continue;
        }
        size_t n = in.n - at < c->left ? in.n - at : (size_t)c->left;
        dz_buf_put(out, dz_str_sub(in, at, at + n));
        at += n;
        c->left -= n;
        if (c->left == 0)
            c->state = DATA_CR;
    }
    *ret_used = at;
    return c->state == DONE ? HTTP_WHOLE : HTTP_MORE;
}
