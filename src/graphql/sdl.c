/*
 * sdl: a schema in the type system language (section 3), for documentation and for other tools.
 *
 * In: a finished schema. Out: text that builds the same schema again, resolvers aside; what every
 * schema has is left out. Any thread.
 */
#include "graphql/graphql_int.h"

static void indent(struct dz_buf *out, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        dz_buf_put(out, DZ_S("  "));
}

/* Whether a block string says exactly this: no blanks at the ends, no control characters. */
static bool fits_block(dz_str s)
{
    if (s.n == 0 || s.p[0] == ' ' || s.p[0] == '\n' || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\n')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\n') || s.p[i] == '\\')
            return false;
    return dz_str_is_utf8(s);
}

static void put_description(struct dz_buf *out, dz_str s, unsigned depth)
{
    if (!s.p)
        return;
    indent(out, depth);
    if (!fits_block(s)) {
        gql_put_string(out, s);
        dz_buf_putc(out, '\n');
        return;
    }
    dz_buf_put(out, DZ_S("\"\"\"\n"));
    for (size_t i = 0; i < s.n; i++) {
        if ((i == 0 || s.p[i - 1] == '\n') && s.p[i] != '\n')
            indent(out, depth);
        if (dz_str_starts(dz_str_sub(s, i, s.n), DZ_S("\"\"\""))) {
            dz_buf_put(out, DZ_S("\\\"\"\""));
            i += 2;
        } else {
            dz_buf_putc(out, s.p[i]);
        }
    }
    dz_buf_putc(out, '\n');
    indent(out, depth);
    dz_buf_put(out, DZ_S("\"\"\"\n"));
}

static void put_deprecated(struct dz_buf *out, dz_str reason)
{
    if (!reason.p)
        return;
    dz_buf_put(out, DZ_S(" @deprecated"));
    if (dz_str_eq(reason, DZ_S("No longer supported")))
        return;
    dz_buf_put(out, DZ_S("(reason: "));
    gql_put_string(out, reason);
    dz_buf_putc(out, ')');
}

static void put_input(struct dz_buf *out, const struct dz_gql_input *i)
{
    dz_buf_put(out, i->name);
    dz_buf_put(out, DZ_S(": "));
    gql_put_ref(out, i->ref);
    if (i->fallback.kind != DZ_GQL_ABSENT) {
        dz_buf_put(out, DZ_S(" = "));
        gql_put_value(out, &i->fallback);
    }
    put_deprecated(out, i->deprecated);
}

/* On one line where no argument is described. */
static void put_args(struct dz_buf *out, const struct gql_inputs *args, unsigned depth)
{
    if (!args->first)
        return;
    bool described = false;
    for (const struct dz_gql_input *i = args->first; i; i = i->next)
        described |= i->description.p != NULL;
    dz_buf_put(out, described ? DZ_S("(\n") : DZ_S("("));
    for (const struct dz_gql_input *i = args->first; i; i = i->next) {
        if (described) {
            put_description(out, i->description, depth + 1);
            indent(out, depth + 1);
        } else if (i != args->first) {
            dz_buf_put(out, DZ_S(", "));
        }
        put_input(out, i);
        if (described)
            dz_buf_putc(out, '\n');
    }
    if (described)
        indent(out, depth);
    dz_buf_putc(out, ')');
}

static void put_names(struct dz_buf *out, const char *before, const struct gql_name *names,
                      const char *between)
{
    for (const struct gql_name *n = names; n; n = n->next) {
        dz_buf_put(out, dz_str_of(n == names ? before : between));
        dz_buf_put(out, n->name);
    }
}

static void put_fields(struct dz_buf *out, const struct dz_gql_type *t)
{
    put_names(out, " implements ", t->interfaces, " & ");
    dz_buf_put(out, DZ_S(" {\n"));
    for (const struct dz_gql_field *f = t->fields; f; f = f->next) {
        put_description(out, f->description, 1);
        indent(out, 1);
        dz_buf_put(out, f->name);
        put_args(out, &f->args, 1);
        dz_buf_put(out, DZ_S(": "));
        gql_put_ref(out, f->ref);
        put_deprecated(out, f->deprecated);
        dz_buf_putc(out, '\n');
    }
    dz_buf_put(out, DZ_S("}\n"));
}

static void put_choices(struct dz_buf *out, const struct dz_gql_type *t)
{
    dz_buf_put(out, DZ_S(" {\n"));
    for (const struct dz_gql_choice *c = t->choices; c; c = c->next) {
        put_description(out, c->description, 1);
        indent(out, 1);
        dz_buf_put(out, c->name);
        put_deprecated(out, c->deprecated);
        dz_buf_putc(out, '\n');
    }
    dz_buf_put(out, DZ_S("}\n"));
}

static void put_inputs(struct dz_buf *out, const struct dz_gql_type *t)
{
    dz_buf_put(out, DZ_S(" {\n"));
    for (const struct dz_gql_input *i = t->inputs.first; i; i = i->next) {
        put_description(out, i->description, 1);
        indent(out, 1);
        put_input(out, i);
        dz_buf_putc(out, '\n');
    }
    dz_buf_put(out, DZ_S("}\n"));
}

static void put_type(struct dz_buf *out, const struct dz_gql_type *t)
{
    static const char *const words[] = {
        [GQL_SCALAR] = "scalar ", [GQL_OBJECT] = "type ", [GQL_INTERFACE] = "interface ",
        [GQL_UNION] = "union ",   [GQL_ENUM] = "enum ",   [GQL_INPUT] = "input ",
    };
    put_description(out, t->description, 0);
    dz_buf_put(out, dz_str_of(words[t->kind]));
    dz_buf_put(out, t->name);
    switch (t->kind) {
    case GQL_OBJECT:
    case GQL_INTERFACE:
        put_fields(out, t);
        break;
    case GQL_ENUM:
        put_choices(out, t);
        break;
    case GQL_INPUT:
        put_inputs(out, t);
        break;
    case GQL_UNION:
        put_names(out, " = ", t->members, " | ");
        dz_buf_putc(out, '\n');
        break;
    case GQL_SCALAR:
        if (t->specified_by.p) {
            dz_buf_put(out, DZ_S(" @specifiedBy(url: "));
            gql_put_string(out, t->specified_by);
            dz_buf_putc(out, ')');
        }
        dz_buf_putc(out, '\n');
        break;
    }
}

static void put_directive(struct dz_buf *out, const struct dz_gql_directive *d)
{
    put_description(out, d->description, 0);
    dz_buf_put(out, DZ_S("directive @"));
    dz_buf_put(out, d->name);
    put_args(out, &d->args, 0);
    dz_buf_put(out, d->repeatable ? DZ_S(" repeatable on") : DZ_S(" on"));
    const char *between = " ";
    for (size_t i = 0; i < GQL_PLACES; i++) {
        if (!(d->places >> i & 1))
            continue;
        dz_buf_put(out, dz_str_of(between));
        dz_buf_put(out, dz_str_of(gql_place_names[i]));
        between = " | ";
    }
    dz_buf_putc(out, '\n');
}

static void put_roots(struct dz_buf *out, const struct dz_gql_schema *s)
{
    static const char *const words[] = {"query", "mutation", "subscription"};
    static const char *const usual[] = {"Query", "Mutation", "Subscription"};
    bool needed = s->description.p != NULL;
    for (size_t i = 0; i < DZ_LEN(words); i++) {
        bool has_usual = dz_gql_schema_type(s, usual[i]) != NULL;
        needed |= s->roots[i] ? !dz_str_eq(s->roots[i]->name, dz_str_of(usual[i])) : has_usual;
    }
    if (!needed)
        return;
    put_description(out, s->description, 0);
    dz_buf_put(out, DZ_S("schema {\n"));
    for (size_t i = 0; i < DZ_LEN(words); i++) {
        if (!s->roots[i])
            continue;
        indent(out, 1);
        dz_buf_put(out, dz_str_of(words[i]));
        dz_buf_put(out, DZ_S(": "));
        dz_buf_put(out, s->roots[i]->name);
        dz_buf_putc(out, '\n');
    }
    dz_buf_put(out, DZ_S("}\n"));
}

void dz_gql_schema_print(const struct dz_gql_schema *s, struct dz_buf *out)
{
    size_t begin = out->n;
    put_roots(out, s);
    for (const struct dz_gql_directive *d = s->directives; d; d = d->next) {
        if (d->built_in)
            continue;
        dz_buf_put(out, out->n > begin ? DZ_S("\n") : DZ_S(""));
        put_directive(out, d);
    }
    for (const struct dz_gql_type *t = s->types; t; t = t->next) {
        if (t->built_in)
            continue;
        dz_buf_put(out, out->n > begin ? DZ_S("\n") : DZ_S(""));
        put_type(out, t);
    }
}
