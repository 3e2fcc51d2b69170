/*
 * form: the parts of a multipart/form-data body (RFC 7578, RFC 2046 5.1).
 *
 * In: the Content-Type and the whole body. Out: one part after another, as slices of the body, so
 * nothing is copied or allocated. Every part has a name; one that came as a file has a file name,
 * which may be empty. Names are as sent: what a sender has put in for a quotation mark ("%22", or a
 * backslash before it) stays. Limits: PARTS_MAX parts, HEAD_MAX bytes in the head of one. Any
 * thread.
 */
#include "http/http_int.h"

#define PARTS_MAX 1000u
#define HEAD_MAX 8192u
#define LINES_MAX 32u

static enum dz_code bad(struct dz_err *err, const char *words)
{
    return dz_fail(err, DZ_BAD_INPUT, "The form cannot be read: %s.", words);
}

/* Takes a parameter off "; name=value; …"; false: there are no more, or it is none. A quoted value
 * comes without its quotation marks. */
static bool next_param(dz_str *rest, dz_str *ret_name, dz_str *ret_value)
{
    size_t semi = dz_str_chr(*rest, ';');
    dz_str s = dz_str_trim(dz_str_after(*rest, semi));
    size_t eq = dz_str_chr(s, '='), end = 0;
    if (semi == DZ_NPOS || eq == DZ_NPOS)
        return false;
    *ret_name = dz_str_trim(dz_str_sub(s, 0, eq));
    dz_str value = dz_str_after(s, eq);
    if (value.n > 0 && value.p[0] == '"') {
        end = 1;
        while (end < value.n && value.p[end] != '"')
            end += value.p[end] == '\\' ? 2 : 1;
        if (end >= value.n)
            return false;
        *ret_value = dz_str_sub(value, 1, end);
        *rest = dz_str_sub(value, end + 1, value.n);
        return true;
    }
    end = dz_str_chr(value, ';');
    *ret_value = dz_str_trim(dz_str_sub(value, 0, end));
    *rest = end == DZ_NPOS ? (dz_str){NULL, 0} : dz_str_sub(value, end, value.n);
    return true;
}

/* The next delimiter line from `at` on: where its line break before it begins, and what follows its
 * boundary. False: there is none. */
static bool find_delimiter(const struct dz_http_form *f, size_t at, size_t *ret_from,
                           size_t *ret_behind)
{
    for (;;) {
        dz_str rest = dz_str_sub(f->body, at, f->body.n);
        size_t found = dz_str_find(rest, f->boundary);
        if (found == DZ_NPOS)
            return false;
        size_t dashes = at + found; /* of "--boundary" when these stand before it */
        at = dashes + f->boundary.n;
        if (dashes < 2 || memcmp(f->body.p + dashes - 2, "--", 2) != 0)
            continue;
        dashes -= 2;
        bool begins = dashes == 0;
        bool has_line = dashes >= 2 && memcmp(f->body.p + dashes - 2, "\r\n", 2) == 0;
        if (!begins && !has_line)
            continue;
        *ret_from = begins ? 0 : dashes - 2;
        *ret_behind = at;
        return true;
    }
}

/* Behind a boundary: steps to the next part, or over the end. */
static enum dz_code step_over(struct dz_http_form *f, size_t behind, struct dz_err *err)
{
    dz_str rest = dz_str_sub(f->body, behind, f->body.n);
    if (dz_str_starts(rest, DZ_S("--"))) {
        f->ended = true;
        return DZ_OK;
    }
    size_t blanks = 0;
    while (blanks < rest.n && (rest.p[blanks] == ' ' || rest.p[blanks] == '\t'))
        blanks++;
    if (!dz_str_starts(dz_str_sub(rest, blanks, rest.n), DZ_S("\r\n")))
        return bad(err, "no line break behind the boundary");
    f->at = behind + blanks + 2;
    return DZ_OK;
}

enum dz_code dz_http_form_begin(dz_str content_type, dz_str body, struct dz_http_form *ret_form,
                                struct dz_err *err)
{
    struct dz_http_form f = {.body = body};
    dz_str name, value;
    size_t from, behind;
    while (f.boundary.n == 0 && next_param(&content_type, &name, &value))
        if (dz_str_eq_nocase(name, DZ_S("boundary")))
            f.boundary = value;
    if (f.boundary.n == 0 || f.boundary.n > 70)
        return bad(err, "no boundary of 1 to 70 characters");
    if (!find_delimiter(&f, 0, &from, &behind))
        return bad(err, "the boundary does not occur");
    DZ_TRY(step_over(&f, behind, err));
    *ret_form = f;
    return DZ_OK;
}

static enum dz_code read_disposition(dz_str value, struct dz_http_form_part *part,
                                     struct dz_err *err)
{
    dz_str kind = dz_str_trim(dz_str_sub(value, 0, dz_str_chr(value, ';'))), name, text;
    if (!dz_str_eq_nocase(kind, DZ_S("form-data")))
        return bad(err, "a part is no form-data");
    while (next_param(&value, &name, &text)) {
        if (dz_str_eq_nocase(name, DZ_S("name")))
            part->name = text;
        else if (dz_str_eq_nocase(name, DZ_S("filename")))
            part->filename = (dz_str){text.p ? text.p : "", text.n};
    }
    return DZ_OK;
}

static enum dz_code read_head(dz_str head, struct dz_http_form_part *part, struct dz_err *err)
{
    for (unsigned lines = 0; head.n > 0; lines++) {
        size_t end = dz_str_find(head, DZ_S("\r\n"));
        dz_str line = dz_str_sub(head, 0, end);
        size_t colon = dz_str_chr(line, ':');
        head = dz_str_sub(head, line.n + 2, head.n);
        if (colon == DZ_NPOS || lines == LINES_MAX)
            return bad(err, "the head of a part is none");
        dz_str name = dz_str_sub(line, 0, colon), value = dz_str_trim(dz_str_after(line, colon));
        if (dz_str_eq_nocase(name, DZ_S("content-disposition")))
            DZ_TRY(read_disposition(value, part, err));
        else if (dz_str_eq_nocase(name, DZ_S("content-type")))
            part->type = value;
    }
    return part->name.p ? DZ_OK : bad(err, "a part has no name");
}

enum dz_code dz_http_form_next(struct dz_http_form *f, struct dz_http_form_part *ret_part,
                               struct dz_err *err)
{
    struct dz_http_form_part part = {0};
    size_t from, behind;
    if (f->ended)
        return dz_fail(err, DZ_NOT_FOUND, "the form has no more parts");
    if (f->parts_n++ == PARTS_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "The form has more than %u parts.", PARTS_MAX);
    dz_str rest = dz_str_sub(f->body, f->at, f->body.n);
    dz_str window = dz_str_sub(rest, 0, HEAD_MAX);
    size_t head_n = dz_str_find(window, DZ_S("\r\n\r\n"));
    if (head_n == DZ_NPOS)
        return bad(err, "the head of a part does not end");
    DZ_TRY(read_head(dz_str_sub(rest, 0, head_n), &part, err));
    /* The line break before a delimiter belongs to it; of a part without bytes it is the one that
     * ends the head. */
    if (!find_delimiter(f, f->at + head_n + 2, &from, &behind))
        return bad(err, "a part does not end");
    size_t begin = f->at + head_n + 4;
    part.bytes = dz_str_sub(f->body, begin, from);
    if (from < begin)
        part.bytes = (dz_str){f->body.p + begin, 0};
    DZ_TRY(step_over(f, behind, err));
    *ret_part = part;
    return DZ_OK;
}
