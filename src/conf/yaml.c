/*
 * yaml: settings text → a tree whose nodes know their lines.
 *
 * libyaml's event API, bounded: bytes, depth, nodes, keys of a mapping, items of a list. Aliases
 * (and with them merge keys and "billion laughs"), tags, a second document, a key twice, NUL and
 * bytes that are not UTF-8 are refused. Everything returned lives in the caller's arena; libyaml's
 * own memory is gone when the call returns. Any thread. The odd thing: libyaml's problem texts are
 * about its grammar, so the common slips get words of our own.
 */
#include <yaml.h>

#include "conf/conf_int.h"

struct level {
    struct conf_node *node, *last;
    dz_str key; /* read and waiting for its value */
    uint32_t key_line;
    bool has_key;
};

struct build {
    struct dz_arena *a;
    struct level stack[CONF_DEPTH_MAX];
    unsigned depth, documents;
    size_t nodes;
    struct conf_node *root;
};

static uint32_t line_at(dz_str text, size_t offset)
{
    uint32_t line = 1;
    for (size_t i = 0; i < offset && i < text.n; i++)
        line += text.p[i] == '\n';
    return line;
}

static dz_str line_text(dz_str text, uint32_t line)
{
    while (line > 1) {
        size_t end = dz_str_chr(text, '\n');
        if (end == DZ_NPOS)
            return (dz_str){0};
        text = dz_str_sub(text, end + 1, text.n);
        line--;
    }
    size_t end = dz_str_chr(text, '\n');
    return dz_str_sub(text, 0, end == DZ_NPOS ? text.n : end);
}

/* One walk, as asking of each prefix whether it is UTF-8 would take the square of the time. */
static size_t bad_utf8_at(dz_str s)
{
    size_t from = 0;
    while (from < s.n) {
        size_t to = from + 1;
        while (to < s.n && to - from < 4 && ((unsigned char)s.p[to] & 0xC0) == 0x80)
            to++;
        if (!dz_str_is_utf8(dz_str_sub(s, from, to)))
            return from;
        from = to;
    }
    return from;
}

static enum dz_code check_bytes(dz_str yaml, uint32_t *ret_line, struct dz_err *err)
{
    *ret_line = 0;
    if (yaml.n > CONF_FILE_BYTES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "larger than 1MiB, which settings may not be");
    size_t nul = dz_str_chr(yaml, '\0');
    if (nul != DZ_NPOS) {
        *ret_line = line_at(yaml, nul);
        return dz_fail(err, DZ_BAD_INPUT,
                       "a NUL byte; settings are plain UTF-8 text (was the file saved as UTF-16?)");
    }
    if (!dz_str_is_utf8(yaml)) {
        *ret_line = line_at(yaml, bad_utf8_at(yaml));
        return dz_fail(err, DZ_BAD_INPUT, "a byte that is not UTF-8; save the file as UTF-8");
    }
    return DZ_OK;
}

static enum dz_code parser_problem(const yaml_parser_t *p, dz_str yaml, uint32_t *ret_line,
                                   struct dz_err *err)
{
    if (p->error == YAML_READER_ERROR) {
        *ret_line = line_at(yaml, p->problem_offset);
        return dz_fail(err, DZ_BAD_INPUT, "a control character (0x%02x), which YAML does not allow",
                       (unsigned)p->problem_value);
    }
    uint32_t line = (uint32_t)p->problem_mark.line + 1;
    const char *problem = p->problem ? p->problem : "out of memory";
    dz_str words = dz_str_of(problem);
    *ret_line = line;
    dz_str text = line_text(yaml, line);
    size_t blanks = 0;
    while (blanks < text.n && (text.p[blanks] == ' ' || text.p[blanks] == '\t'))
        blanks++;
    if (dz_str_chr(dz_str_sub(text, 0, blanks), '\t') != DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT, "a tab in the indentation; YAML takes only spaces there");
    if (dz_str_starts(words, DZ_S("mapping values are not allowed")))
        return dz_fail(err, DZ_BAD_INPUT,
                       "a \": \" where none can be; a text that has one needs quotes, and keys of "
                       "one section the same indentation");
    const char *hint = "";
    if (dz_str_starts(words, DZ_S("did not find expected ',' or")))
        hint = "; is a comma, a bracket or a quote missing?";
    else if (dz_str_starts(words, DZ_S("could not find expected ':'")))
        hint = "; a key needs a colon and a blank behind it";
    else if (dz_str_starts(words, DZ_S("found character that cannot start any token")))
        return dz_fail(err, DZ_BAD_INPUT,
                       "a text that begins with @, %% or a backtick; put it in quotes");
    else if (dz_str_find(words, DZ_S("unexpected end of stream")) != DZ_NPOS)
        hint = "; is a closing quote missing?";
    else if (dz_str_starts(words, DZ_S("did not find expected key")) ||
             dz_str_starts(words, DZ_S("did not find expected <document start>")) ||
             dz_str_starts(words, DZ_S("did not find expected '-' indicator")))
        hint = "; does the indentation fit the lines above? (a text that begins with a bracket or "
               "a quote must be in quotes as a whole)";
    if (p->context && p->context_mark.line + 1 != line)
        return dz_fail(err, DZ_BAD_INPUT, "not YAML: %s %s that began on line %zu%s", problem,
                       p->context, p->context_mark.line + 1, hint);
    return dz_fail(err, DZ_BAD_INPUT, "not YAML: %s%s%s%s", problem, p->context ? " " : "",
                   p->context ? p->context : "", hint);
}

static struct conf_node *node_new(struct build *b, enum conf_kind kind, uint32_t line)
{
    struct conf_node *n = dz_arena_alloc(b->a, sizeof *n);
    *n = (struct conf_node){.kind = kind, .line = line};
    return n;
}

/* Hangs the node under the innermost open one; a mapping's first scalar of a pair becomes the key.
 */
static enum dz_code attach(struct build *b, struct conf_node *n, struct dz_err *err)
{
    if (++b->nodes > CONF_NODES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "more than %d values", CONF_NODES_MAX);
    if (b->depth == 0) {
        b->root = n;
        return DZ_OK;
    }
    struct level *top = &b->stack[b->depth - 1];
    if (top->node->kind == CONF_MAP) {
        if (!top->has_key) {
            if (n->kind != CONF_SCALAR)
                return dz_fail(
                    err, DZ_BAD_INPUT,
                    "a list or a section where a key should stand; text with brackets or "
                    "braces needs quotes");
            for (const struct conf_node *c = top->node->first; c; c = c->next)
                if (dz_str_eq(c->key, n->text))
                    return dz_fail(err, DZ_BAD_INPUT,
                                   "the key \"%.*s\" appears twice; the first is on line %u",
                                   n->text.n > 64 ? 64 : (int)n->text.n, n->text.p, c->line);
            top->key = n->text;
            top->key_line = n->line;
            top->has_key = true;
            return DZ_OK;
        }
        n->key = top->key;
        n->line = top->key_line;
        top->has_key = false;
    }
    uint32_t most = top->node->kind == CONF_MAP ? CONF_KEYS_MAX : CONF_ITEMS_MAX;
    if (top->node->n == most)
        return dz_fail(err, DZ_TOO_LARGE, "more than %u entries in one %s", most,
                       top->node->kind == CONF_MAP ? "section" : "list");
    if (top->last)
        top->last->next = n;
    else
        top->node->first = n;
    top->last = n;
    top->node->n++;
    return DZ_OK;
}

static enum dz_code open_node(struct build *b, enum conf_kind kind, uint32_t line,
                              struct dz_err *err)
{
    if (b->depth == CONF_DEPTH_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "nested more than %d deep", CONF_DEPTH_MAX);
    struct conf_node *n = node_new(b, kind, line);
    DZ_TRY(attach(b, n, err));
    b->stack[b->depth++] = (struct level){.node = n};
    return DZ_OK;
}

static enum dz_code take_scalar(struct build *b, const yaml_event_t *e, uint32_t line,
                                struct dz_err *err)
{
    dz_str text = {(const char *)e->data.scalar.value, e->data.scalar.length};
    if (text.n > CONF_TEXT_BYTES_MAX)
        return dz_fail(err, DZ_TOO_LARGE, "a text longer than 64KiB");
    if (dz_str_chr(text, '\0') != DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT, "a text with a NUL character in it");
    struct conf_node *n = node_new(b, CONF_SCALAR, line);
    n->text = dz_arena_str(b->a, text);
    n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return attach(b, n, err);
}

static enum dz_code refuse_tag(const yaml_char_t *tag, struct dz_err *err)
{
    if (!tag)
        return DZ_OK;
    return dz_fail(err, DZ_BAD_INPUT,
                   "a tag (\"!%.40s\"), which settings do not take; a text that begins with \"!\" "
                   "needs quotes",
                   tag[0] == '!' ? (const char *)tag + 1 : (const char *)tag);
}

static enum dz_code take_event(struct build *b, const yaml_event_t *e, uint32_t line,
                               struct dz_err *err)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++b->documents > 1)
            return dz_fail(err, DZ_BAD_INPUT,
                           "a second document (\"---\"); settings are one document");
        return DZ_OK;
    case YAML_ALIAS_EVENT:
        return dz_fail(err, DZ_BAD_INPUT,
                       "an alias (\"*%.40s\"), which settings do not take; a text that begins with "
                       "\"*\" needs quotes",
                       (const char *)e->data.alias.anchor);
    case YAML_SCALAR_EVENT:
        DZ_TRY(refuse_tag(e->data.scalar.tag, err));
        return take_scalar(b, e, line, err);
    case YAML_SEQUENCE_START_EVENT:
        DZ_TRY(refuse_tag(e->data.sequence_start.tag, err));
        return open_node(b, CONF_SEQ, line, err);
    case YAML_MAPPING_START_EVENT:
        DZ_TRY(refuse_tag(e->data.mapping_start.tag, err));
        return open_node(b, CONF_MAP, line, err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return DZ_OK;
    default:
        return DZ_OK;
    }
}

enum dz_code conf_tree_parse(struct dz_arena *a, dz_str yaml, struct conf_node **ret_root,
                             uint32_t *ret_line, struct dz_err *err)
{
    DZ_TRY(check_bytes(yaml, ret_line, err));
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return dz_fail(err, DZ_FULL, "no memory for the YAML parser");
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml.p, yaml.n);
    struct build b = {.a = a};
    enum dz_code code = DZ_OK;
    bool more = true;
    while (more && code == DZ_OK) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            code = parser_problem(&parser, yaml, ret_line, err);
            break;
        }
        more = event.type != YAML_STREAM_END_EVENT;
        *ret_line = (uint32_t)event.start_mark.line + 1;
        code = take_event(&b, &event, *ret_line, err);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (code == DZ_OK)
        *ret_root = b.root;
    return code;
}

bool conf_node_is_null(const struct conf_node *n)
{
    return n->kind == CONF_SCALAR && !n->quoted &&
           (n->text.n == 0 || dz_str_eq(n->text, DZ_S("~")) ||
            dz_str_eq_nocase(n->text, DZ_S("null")));
}
