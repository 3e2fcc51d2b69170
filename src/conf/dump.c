/*
 * dump: settings back into text, as YAML that loads to the same settings or as JSON of the same
 * names, and the comparison of two settings.
 *
 * One walk over the rows feeds one of two writers. Texts leave YAML in double quotes with
 * everything escaped that a reader could stumble over. Secrets leave as "***", also the password
 * inside a URI and headers and options whose names say that they are secret; dumps with such a
 * value load, but not to the same settings. Usable from any thread.
 */
#include "conf/conf_int.h"

struct writer {
    struct dz_buf *yaml; /* or */
    struct dz_json *json;
    unsigned depth;
    bool inside_item; /* the next key stands behind "- " */
};

/* ---- secrets --------------------------------------------------------------------------------- */

static bool has_nocase(dz_str s, dz_str needle)
{
    for (size_t i = 0; i + needle.n <= s.n; i++)
        if (dz_str_eq_nocase(dz_str_sub(s, i, i + needle.n), needle))
            return true;
    return false;
}

bool conf_hides(dz_str name)
{
    static const char *const words[] = {"auth",   "cookie",   "token", "secret",
                                        "passwd", "password", "key"};
    for (size_t i = 0; i < DZ_LEN(words); i++)
        if (has_nocase(name, dz_str_of(words[i])))
            return true;
    return false;
}

static bool is_port(dz_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

/* Where the part with host and password ends. A password in which a slash was not written %2F goes
 * on behind it, up to the @. */
static size_t authority_end(dz_str rest)
{
    size_t end = 0;
    while (end < rest.n && !strchr("/?#", rest.p[end]))
        end++;
    dz_str head = dz_str_sub(rest, 0, end);
    size_t at = dz_str_rchr(rest, '@'), colon = dz_str_chr(head, ':');
    bool goes_on = at != DZ_NPOS && at > end && dz_str_chr(head, '@') == DZ_NPOS &&
                   colon != DZ_NPOS && !is_port(dz_str_after(head, colon));
    while (goes_on && at < rest.n && !strchr("/?#", rest.p[at]))
        at++;
    return goes_on ? at : end;
}

void conf_put_masked(struct dz_buf *out, dz_str text)
{
    size_t scheme = dz_str_find(text, DZ_S("://"));
    if (scheme == DZ_NPOS) {
        dz_buf_put(out, text);
        return;
    }
    dz_str head = dz_str_sub(text, 0, scheme + 3), rest = dz_str_sub(text, scheme + 3, text.n);
    size_t end = authority_end(rest);
    dz_str authority = dz_str_sub(rest, 0, end);
    dz_buf_put(out, head);
    size_t at = dz_str_rchr(authority, '@');
    size_t colon = at == DZ_NPOS ? DZ_NPOS : dz_str_chr(dz_str_sub(authority, 0, at), ':');
    if (colon != DZ_NPOS) {
        dz_buf_put(out, dz_str_sub(authority, 0, colon + 1));
        dz_buf_put(out, DZ_S("***"));
        authority = dz_str_sub(authority, at, authority.n);
    }
    dz_buf_put(out, authority);
    rest = dz_str_sub(rest, end, rest.n);
    size_t query = dz_str_chr(rest, '?');
    if (query == DZ_NPOS) {
        dz_buf_put(out, rest);
        return;
    }
    dz_buf_put(out, dz_str_sub(rest, 0, query + 1));
    rest = dz_str_sub(rest, query + 1, rest.n);
    while (rest.n) { /* ?password=… and the like */
        size_t next = dz_str_chr(rest, '&');
        dz_str item = dz_str_sub(rest, 0, next);
        size_t equals = dz_str_chr(item, '=');
        bool hide = equals != DZ_NPOS && conf_hides(dz_str_sub(item, 0, equals));
        dz_buf_put(out, hide ? dz_str_sub(item, 0, equals + 1) : item);
        if (hide)
            dz_buf_put(out, DZ_S("***"));
        if (next == DZ_NPOS)
            return;
        dz_buf_putc(out, '&');
        rest = dz_str_sub(rest, next + 1, rest.n);
    }
}

/* ---- writers --------------------------------------------------------------------------------- */

/* Code points that YAML forbids or folds; s is well formed. Returns the length, *ret_cp the code
 * point. */
static size_t decode(dz_str s, uint32_t *ret_cp)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    uint32_t cp = n == 1 ? c : c & (0x7Fu >> n);
    for (size_t i = 1; i < n && i < s.n; i++)
        cp = cp << 6 | ((unsigned char)s.p[i] & 0x3F);
    *ret_cp = cp;
    return n;
}

static bool is_plain(uint32_t cp)
{
    if (cp < 0x20 || (cp >= 0x7F && cp <= 0xA0) || cp == '"' || cp == '\\')
        return false;
    return cp != 0x2028 && cp != 0x2029 && cp != 0xFEFF && cp != 0xFFFE && cp != 0xFFFF;
}

void dz_conf_put_quoted(struct dz_buf *out, dz_str s)
{
    dz_buf_putc(out, '"');
    while (s.n) {
        uint32_t cp;
        size_t n = decode(s, &cp);
        if (is_plain(cp))
            dz_buf_put(out, dz_str_sub(s, 0, n));
        else if (cp == '"' || cp == '\\')
            dz_buf_putf(out, "\\%c", (char)cp);
        else if (cp == '\n')
            dz_buf_put(out, DZ_S("\\n"));
        else
            dz_buf_putf(out, "\\u%04X", (unsigned)cp);
        s = dz_str_sub(s, n, s.n);
    }
    dz_buf_putc(out, '"');
}

static void indent(struct writer *w)
{
    unsigned blanks = 2 * w->depth;
    if (w->inside_item) {
        for (unsigned i = 0; i + 2 < blanks; i++)
            dz_buf_putc(w->yaml, ' ');
        dz_buf_put(w->yaml, DZ_S("- "));
        w->inside_item = false;
        return;
    }
    for (unsigned i = 0; i < blanks; i++)
        dz_buf_putc(w->yaml, ' ');
}

static bool is_bare(dz_str key)
{
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool other = (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
        if (!letter && (i == 0 || !other))
            return false;
    }
    return key.n > 0;
}

static void put_key(struct writer *w, dz_str key)
{
    if (w->json) {
        dz_json_key(w->json, key);
        return;
    }
    indent(w);
    if (is_bare(key))
        dz_buf_put(w->yaml, key);
    else
        dz_conf_put_quoted(w->yaml, key);
    dz_buf_putc(w->yaml, ':');
}

static void open_section(struct writer *w, dz_str key)
{
    put_key(w, key);
    w->depth++;
    if (w->json)
        dz_json_object(w->json);
    else
        dz_buf_putc(w->yaml, '\n');
}

static void close_section(struct writer *w)
{
    w->depth--;
    if (w->json)
        dz_json_end(w->json);
}

static void put_text(struct writer *w, dz_str key, dz_str text)
{
    put_key(w, key);
    if (w->json) {
        dz_json_str(w->json, text);
        return;
    }
    dz_buf_putc(w->yaml, ' ');
    dz_conf_put_quoted(w->yaml, text);
    dz_buf_putc(w->yaml, '\n');
}

/* Numbers, durations, booleans and words: nothing in them needs quotes. As JSON a text, where it is
 * no JSON value. */
static void put_plain(struct writer *w, dz_str key, dz_str text, bool json_value)
{
    put_key(w, key);
    if (w->json) {
        if (json_value)
            dz_json_raw(w->json, text);
        else
            dz_json_str(w->json, text);
        return;
    }
    dz_buf_putc(w->yaml, ' ');
    dz_buf_put(w->yaml, text);
    dz_buf_putc(w->yaml, '\n');
}

static void put_list(struct writer *w, dz_str key, const struct dz_strs *list)
{
    put_key(w, key);
    if (w->json)
        dz_json_array(w->json);
    else
        dz_buf_put(w->yaml, DZ_S(" ["));
    for (size_t i = 0; i < list->n; i++) {
        if (w->json) {
            dz_json_str(w->json, dz_str_of(list->v[i]));
            continue;
        }
        if (i)
            dz_buf_put(w->yaml, DZ_S(", "));
        dz_conf_put_quoted(w->yaml, dz_str_of(list->v[i]));
    }
    if (w->json)
        dz_json_end(w->json);
    else
        dz_buf_put(w->yaml, DZ_S("]\n"));
}

static void put_pairs(struct writer *w, dz_str key, const struct dz_pairs *pairs, bool hide)
{
    if (!w->json && pairs->n == 0) {
        put_plain(w, key, DZ_S("{}"), false);
        return;
    }
    open_section(w, key);
    for (size_t i = 0; i < pairs->n; i++) {
        dz_str name = dz_str_of(pairs->v[i].name);
        bool secret = hide && conf_hides(name);
        put_text(w, name, secret ? DZ_S("***") : dz_str_of(pairs->v[i].text));
    }
    close_section(w);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void put_shown(struct writer *w, const struct conf_row *row, dz_str text)
{
    if ((row->flags & CONF_SECRET) && text.n) {
        put_text(w, conf_row_key(row), DZ_S("***"));
        return;
    }
    if (!(row->flags & CONF_URI)) {
        put_text(w, conf_row_key(row), text);
        return;
    }
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 2 * CONF_TEXT_BYTES_MAX);
    conf_put_masked(&b, text);
    put_text(w, conf_row_key(row), dz_buf_str(&b));
}

static const char *word_of(const struct conf_row *row, int value)
{
    for (const struct conf_word *word = row->words; word->text; word++)
        if (word->value == value)
            return word->text;
    return "";
}

/* Numbers, booleans and words of a row as text; true: it is also a JSON value. */
static bool put_scalar(struct dz_buf *b, const struct conf_row *row, const char *field)
{
    uint32_t n32;
    uint64_t n;
    int64_t ms;
    int word;
    switch (row->type) {
    case CONF_BOOL:
        dz_buf_put(b, *(const bool *)field ? DZ_S("true") : DZ_S("false"));
        return true;
    case CONF_U32:
        memcpy(&n32, field, sizeof n32);
        dz_buf_put_u64(b, n32);
        return true;
    case CONF_DURATION:
        memcpy(&ms, field, sizeof ms);
        conf_put_duration(b, ms);
        return false;
    case CONF_WORD:
        memcpy(&word, field, sizeof word);
        dz_buf_put(b, dz_str_of(word_of(row, word)));
        return false;
    default:
        memcpy(&n, field, sizeof n);
        if (row->type == CONF_COUNT && n != DZ_CONF_UNLIMITED) {
            dz_buf_put_u64(b, n);
            return true;
        }
        conf_put_size(b, n);
        return false;
    }
}

static void put_shelves(struct writer *w, const struct dz_conf *c);

static void put_row(struct writer *w, const struct conf_row *row, const void *base)
{
    const char *field = (const char *)base + row->offset;
    char *text;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 64);
    switch (row->type) {
    case CONF_TEXT:
        memcpy(&text, field, sizeof text);
        put_shown(w, row, dz_str_of(text));
        return;
    case CONF_LIST:
        put_list(w, conf_row_key(row), (const struct dz_strs *)field);
        return;
    case CONF_PAIRS:
        put_pairs(w, conf_row_key(row), (const struct dz_pairs *)field, false);
        return;
    case CONF_SHELVES:
        put_shelves(w, base);
        return;
    default: {
        bool json = put_scalar(&b, row, field);
        put_plain(w, conf_row_key(row), dz_buf_str(&b), json);
        return;
    }
    }
}

static void put_shelves(struct writer *w, const struct dz_conf *c)
{
    if (!w->json && c->shelves_n == 0) {
        put_plain(w, DZ_S("shelves"), DZ_S("[]"), false);
        return;
    }
    put_key(w, DZ_S("shelves"));
    if (w->json)
        dz_json_array(w->json);
    else
        dz_buf_putc(w->yaml, '\n');
    w->depth += 2;
    for (size_t i = 0; i < c->shelves_n; i++) {
        if (w->json)
            dz_json_object(w->json);
        w->inside_item = true;
        for (size_t r = 0; r < conf_rows_n; r++)
            if (conf_rows[r].where == CONF_SHELF)
                put_row(w, &conf_rows[r], &c->shelves[i]);
        if (w->json)
            dz_json_end(w->json);
    }
    w->inside_item = false;
    w->depth -= 2;
    if (w->json)
        dz_json_end(w->json);
}

/* ---- sources --------------------------------------------------------------------------------- */

/* An option that was a list or pairs, from its lines. */
static void put_lines(struct writer *w, const struct conf_row *row, dz_str text)
{
    size_t most = 1;
    for (size_t i = 0; i < text.n; i++)
        most += text.p[i] == '\n';
    DZ_AUTO(dz_freep) char *copy = dz_str_dup(text);
    DZ_AUTO(dz_freep) char **items = dz_alloc(most * sizeof *items);
    DZ_AUTO(dz_freep) struct dz_pair *pairs = dz_alloc(most * sizeof *pairs);
    size_t n = 0;
    for (char *at = copy; text.n && at; n++) {
        char *end = strchr(at, '\n');
        if (end)
            *end++ = '\0';
        items[n] = at;
        char *colon = row->type == CONF_PAIRS ? strstr(at, ": ") : NULL;
        pairs[n] = (struct dz_pair){at, colon ? colon + 2 : ""};
        if (colon)
            *colon = '\0';
        at = end;
    }
    if (row->type == CONF_LIST)
        put_list(w, conf_row_key(row), &(struct dz_strs){items, n});
    else
        put_pairs(w, conf_row_key(row), &(struct dz_pairs){pairs, n}, true);
}

static void put_source(struct writer *w, const struct dz_conf_source *s)
{
    open_section(w, dz_str_of(s->id));
    put_plain(w, DZ_S("enabled"), s->enabled ? DZ_S("true") : DZ_S("false"), true);
    for (size_t i = 0; i < s->options.n; i++) {
        dz_str name = dz_str_of(s->options.v[i].name), text = dz_str_of(s->options.v[i].text);
        const struct conf_row *row = conf_row_source(s->id, name);
        if (!row)
            put_text(w, name, conf_hides(name) && text.n ? DZ_S("***") : text);
        else if (row->type == CONF_LIST || row->type == CONF_PAIRS)
            put_lines(w, row, text);
        else if (row->type == CONF_TEXT)
            put_shown(w, row, text);
        else
            put_plain(w, name, text, row->type == CONF_BOOL || row->type == CONF_U32);
    }
    close_section(w);
}

/* ---- the walk -------------------------------------------------------------------------------- */

/* Closes and opens sections so that what follows stands in `want`; `now` is where the last row
 * stood. */
static void move_to(struct writer *w, dz_str now, dz_str want)
{
    while (now.n && !(dz_str_starts(want, now) && (want.n == now.n || want.p[now.n] == '.'))) {
        close_section(w);
        size_t dot = dz_str_rchr(now, '.');
        now = dz_str_sub(now, 0, dot == DZ_NPOS ? 0 : dot);
    }
    while (now.n < want.n) {
        size_t from = now.n ? now.n + 1 : 0;
        size_t dot = dz_str_chr(dz_str_sub(want, from, want.n), '.');
        size_t end = dot == DZ_NPOS ? want.n : from + dot;
        open_section(w, dz_str_sub(want, from, end));
        now = dz_str_sub(want, 0, end);
    }
}

static void put_conf(struct writer *w, const struct dz_conf *c)
{
    dz_str now = {0};
    for (size_t i = 0; i < conf_rows_n; i++) {
        const struct conf_row *row = &conf_rows[i];
        if (row->where != CONF_TOP)
            continue;
        dz_str name = dz_str_of(row->name);
        size_t dot = dz_str_rchr(name, '.');
        dz_str section = dz_str_sub(name, 0, dot == DZ_NPOS ? 0 : dot);
        move_to(w, now, section);
        now = section;
        put_row(w, row, c);
    }
    move_to(w, now, DZ_S("sources")); /* the last section of the table */
    for (size_t i = 0; i < c->sources.n; i++)
        put_source(w, &c->sources.v[i]);
    close_section(w);
}

void dz_conf_dump(const struct dz_conf *c, struct dz_buf *out)
{
    struct writer w = {.yaml = out};
    put_conf(&w, c);
}

void dz_conf_dump_json(const struct dz_conf *c, struct dz_buf *out)
{
    struct dz_json json;
    dz_json_init(&json, out, DZ_JSON_INDENT4, false);
    struct writer w = {.json = &json};
    dz_json_object(&json);
    put_conf(&w, c);
    dz_json_end(&json);
}

/* ---- comparison ------------------------------------------------------------------------------ */

static bool same_strs(const struct dz_strs *a, const struct dz_strs *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = strcmp(a->v[i], b->v[i]) == 0;
    return same;
}

static bool same_pairs(const struct dz_pairs *a, const struct dz_pairs *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = strcmp(a->v[i].name, b->v[i].name) == 0 && strcmp(a->v[i].text, b->v[i].text) == 0;
    return same;
}

static bool same_shelves(const struct dz_conf *a, const struct dz_conf *b);

static bool same_row(const struct conf_row *row, const void *a, const void *b)
{
    const char *fa = (const char *)a + row->offset, *fb = (const char *)b + row->offset;
    char *ta, *tb;
    switch (row->type) {
    case CONF_TEXT:
        memcpy(&ta, fa, sizeof ta);
        memcpy(&tb, fb, sizeof tb);
        return strcmp(ta, tb) == 0;
    case CONF_LIST:
        return same_strs((const struct dz_strs *)fa, (const struct dz_strs *)fb);
    case CONF_PAIRS:
        return same_pairs((const struct dz_pairs *)fa, (const struct dz_pairs *)fb);
    case CONF_SHELVES:
        return same_shelves(a, b);
    case CONF_BOOL:
        return *(const bool *)fa == *(const bool *)fb;
    case CONF_U32:
        return memcmp(fa, fb, sizeof(uint32_t)) == 0;
    case CONF_WORD:
        return memcmp(fa, fb, sizeof(int)) == 0;
    default:
        return memcmp(fa, fb, sizeof(uint64_t)) == 0;
    }
}

static bool same_shelves(const struct dz_conf *a, const struct dz_conf *b)
{
    if (a->shelves_n != b->shelves_n)
        return false;
    for (size_t i = 0; i < a->shelves_n; i++)
        for (size_t r = 0; r < conf_rows_n; r++)
            if (conf_rows[r].where == CONF_SHELF &&
                !same_row(&conf_rows[r], &a->shelves[i], &b->shelves[i]))
                return false;
    return true;
}

static const struct dz_conf_source *source_of(const struct dz_conf *c, const char *id)
{
    for (size_t i = 0; i < c->sources.n; i++)
        if (strcmp(c->sources.v[i].id, id) == 0)
            return &c->sources.v[i];
    return NULL;
}

static void put_name(struct dz_buf *out, const char *prefix, const char *name)
{
    if (out)
        dz_buf_putf(out, "%s%s\n", prefix, name);
}

/* Sources of a that b lacks or has otherwise; with only_missing just the former. */
static void diff_sources(const struct dz_conf *a, const struct dz_conf *b, bool only_missing,
                         struct dz_buf *out)
{
    for (size_t i = 0; i < a->sources.n; i++) {
        const struct dz_conf_source *x = &a->sources.v[i], *y = source_of(b, x->id);
        bool differs = !only_missing && y &&
                       (x->enabled != y->enabled || !same_pairs(&x->options, &y->options));
        if (!y || differs)
            put_name(out, "sources.", x->id);
    }
}

bool dz_conf_diff(const struct dz_conf *a, const struct dz_conf *b, struct dz_buf *ret_changed,
                  struct dz_buf *ret_needs_restart)
{
    bool restart = false;
    for (size_t i = 0; i < conf_rows_n; i++) {
        const struct conf_row *row = &conf_rows[i];
        if (row->where != CONF_TOP || same_row(row, a, b))
            continue;
        put_name(ret_changed, "", row->name);
        if (!(row->flags & CONF_RESTART))
            continue;
        put_name(ret_needs_restart, "", row->name);
        restart = true;
    }
    diff_sources(a, b, false, ret_changed);
    diff_sources(b, a, true, ret_changed);
    return restart;
}
