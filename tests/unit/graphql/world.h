/*
 * world: a small schema with every kind of type, and its data: some people and their pets.
 *
 * For unit tests, the fuzz target and the program that is compared with another implementation
 * (tests/e2e/graphql_js/world.js has the same data). Some values are wrong on purpose: people 3 and
 * 4, dog d2 and cat c2 have what their types forbid. context is a struct world.
 */
#pragma once

#include "graphql/graphql.h"

struct world {
    int64_t counter; /* of the mutation */
    struct dz_gql_type *person, *dog, *cat;
    unsigned resolved, prepared, opened, done; /* calls */
    bool asks_name, asks_deep;                 /* what `people` was told about its selection */
};

struct being {
    char kind; /* p, d, c */
    const char *id, *name;
    int age; /* -1: null; of a dog whether it barks, of a cat its meows */
    double height;
    int group;
    const char *friends[4], *best, *pet;
};

static const struct being beings[] = {
    {'p', "1", "Ada", 36, 1.65, 1, {"2", "3"}, "2", "d1"},
    {'p', "2", "B\xc3\xa9la \"x\"\n", -1, 1.8, 2, {"1"}, NULL, "c1"},
    {'p', "3", "\xe5\xb1\xb1\xf0\x9f\x98\x80", 20, -1, 9, {NULL}, "1", NULL},
    {'p', "4", NULL, 0, 1.5, 3, {"1", "2", "3"}, "4", "d2"},
    {'d', "d1", "Rex", 1, 0, 0, {NULL}, "1", NULL},
    {'d', "d2", NULL, -1, 0, 0, {NULL}, NULL, NULL},
    {'c', "c1", "Tom", 3, 0, 0, {NULL}, "2", NULL},
    {'c', "c2", "Kit", -1, 0, 0, {NULL}, NULL, NULL},
};

static inline const struct being *world_find(dz_str id)
{
    for (size_t i = 0; i < DZ_LEN(beings); i++)
        if (dz_str_eq(dz_str_of(beings[i].id), id))
            return &beings[i];
    return NULL;
}

static inline void world_put(const struct dz_gql_call *call, const struct being *b,
                             struct dz_gql_out *ret)
{
    const struct world *w = call->context;
    if (b)
        dz_gql_object(ret, (void *)b,
                      b->kind == 'p'   ? w->person
                      : b->kind == 'd' ? w->dog
                                       : w->cat);
    else
        dz_gql_null(ret);
}

static inline void world_text(struct dz_gql_out *ret, const char *s)
{
    if (s)
        dz_gql_str(ret, dz_str_of(s));
    else
        dz_gql_null(ret);
}

/* ---- lists: an array of beings in the arena -------------------------------------------------- */

struct world_list {
    struct world *world;
    const struct being *items[16];
};

static inline enum dz_code world_next(struct dz_gql_rows *rows, struct dz_gql_out *ret,
                                      struct dz_err *err)
{
    (void)err;
    const struct world_list *list = rows->state;
    if (rows->at == rows->n) {
        dz_gql_end(ret);
        return DZ_OK;
    }
    struct dz_gql_call call = {.context = list->world};
    world_put(&call, list->items[rows->at++], ret);
    return DZ_OK;
}

static inline void world_done(struct dz_gql_rows *rows)
{
    ((struct world_list *)rows->state)->world->done++;
}

static inline struct world_list *world_list(const struct dz_gql_call *call, struct dz_gql_out *ret)
{
    struct world_list *list = dz_arena_alloc(call->arena, sizeof(*list));
    list->world = call->context;
    list->world->opened++;
    dz_gql_rows(ret, (struct dz_gql_rows){.next = world_next, .done = world_done, .state = list});
    return list;
}

static inline void world_add(struct world_list *list, struct dz_gql_out *ret, const struct being *b)
{
    if (ret->rows.n < DZ_LEN(list->items))
        list->items[ret->rows.n++] = b;
}

/* A list of texts or numbers written in a string: "a,b,~" where ~ is null; numbers where n is 1. */
static inline enum dz_code world_next_word(struct dz_gql_rows *rows, struct dz_gql_out *ret,
                                           struct dz_err *err)
{
    (void)err;
    const char *at = (const char *)rows->state + rows->at;
    if (*at == '\0') {
        dz_gql_end(ret);
        return DZ_OK;
    }
    size_t n = strcspn(at, ",");
    rows->at += n + (at[n] == ',');
    if (*at == '~')
        dz_gql_null(ret);
    else if (rows->n)
        dz_gql_int(ret, strtol(at, NULL, 10));
    else
        dz_gql_str(ret, (dz_str){at, n});
    return DZ_OK;
}

/* Rows of numbers: "1,2;3,~;!;" where a row of "!" is null. */
static inline enum dz_code world_next_row(struct dz_gql_rows *rows, struct dz_gql_out *ret,
                                          struct dz_err *err)
{
    (void)err;
    static const char *const table[] = {"1,2", "3,~", NULL, ""};
    if (rows->at == DZ_LEN(table)) {
        dz_gql_end(ret);
        return DZ_OK;
    }
    const char *row = table[rows->at++];
    dz_gql_null(ret);
    if (row)
        dz_gql_rows(ret,
                    (struct dz_gql_rows){.next = world_next_word, .state = (void *)row, .n = 1});
    return DZ_OK;
}

static inline void world_words(struct dz_gql_out *ret, const char *words)
{
    dz_gql_rows(ret, (struct dz_gql_rows){.next = world_next_word, .state = (void *)words});
}

/* ---- beings ---------------------------------------------------------------------------------- */

enum world_field {
    W_ID,
    W_NAME,
    W_AGE,
    W_HEIGHT,
    W_GROUP,
    W_STRICT,
    W_BROKEN,
    W_FRIENDS,
    W_BEST,
    W_PET,
    W_TAGS,
    W_MATRIX,
    W_SINCE,
    W_BARKS,
    W_TOYS,
};

static inline void world_friends(const struct dz_gql_call *call, const struct being *b,
                                 struct dz_gql_out *ret)
{
    struct world_list *list = world_list(call, ret);
    int64_t first = dz_gql_given(&call->args[0]) ? call->args[0].i : 10;
    bool on = !dz_gql_given(&call->args[1]);
    for (size_t i = 0; i < DZ_LEN(b->friends) && b->friends[i]; i++) {
        dz_str id = dz_str_of(b->friends[i]);
        if (on && first-- > 0)
            world_add(list, ret, world_find(id));
        on |= dz_gql_given(&call->args[1]) && dz_str_eq(call->args[1].text, id);
    }
}

static inline enum dz_code world_being(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                       struct dz_err *err)
{
    const struct being *b = call->object;
    ((struct world *)call->context)->resolved++;
    dz_gql_null(ret);
    switch ((enum world_field)(uintptr_t)call->data) {
    case W_ID:
        world_text(ret, b->id);
        break;
    case W_NAME:
        world_text(ret, b->name);
        break;
    case W_AGE:
        if (b->age >= 0)
            dz_gql_int(ret, b->age);
        break;
    case W_BARKS:
        if (b->age >= 0)
            dz_gql_bool(ret, b->age);
        break;
    case W_HEIGHT:
        if (b->height >= 0)
            dz_gql_float(ret, b->height);
        break;
    case W_GROUP:
        dz_gql_int(ret, b->group);
        break;
    case W_STRICT:
        if (b->group != 9)
            dz_gql_str(ret, DZ_S("strict"));
        break;
    case W_BROKEN:
        return dz_fail(err, DZ_UNAVAILABLE, "It is broken.");
    case W_FRIENDS:
        world_friends(call, b, ret);
        break;
    case W_BEST:
        world_put(call, world_find(dz_str_of(b->best)), ret);
        break;
    case W_PET:
        if (!dz_gql_given(&call->args[0]) || dz_str_eq(call->args[0].text, DZ_S("Rex")))
            world_put(call, world_find(dz_str_of(b->pet)), ret);
        break;
    case W_TAGS:
        world_words(ret, b->group == 3 ? "a,~" : "a,b");
        break;
    case W_MATRIX:
        dz_gql_rows(ret, (struct dz_gql_rows){.next = world_next_row});
        break;
    case W_SINCE:
        dz_gql_str(ret, DZ_S("2019-04-29"));
        break;
    case W_TOYS:
        if (b->name)
            world_words(ret, "ball,~,bone");
        break;
    }
    return DZ_OK;
}

/* ---- the query ------------------------------------------------------------------------------- */

enum world_query {
    Q_VERSION,
    Q_PERSON,
    Q_PEOPLE,
    Q_PERSONS,
    Q_NODE,
    Q_NAMED,
    Q_THINGS,
    Q_SELF,
    Q_FAILS,
    Q_ECHO,
    Q_BIG,
    Q_ADD,
};

static inline void world_people(const struct dz_gql_call *call, struct dz_gql_out *ret)
{
    struct world *w = call->context;
    const struct dz_gql_value *group = dz_gql_arg(call, "group");
    int64_t first = dz_gql_given(&call->args[1]) ? call->args[1].i : 3;
    struct world_list *list = world_list(call, ret);
    for (size_t i = 0; i < 4; i++)
        if ((!dz_gql_given(group) || beings[i].group == group->i) && first-- > 0)
            world_add(list, ret, &beings[i]);
    w->asks_name = dz_gql_asks(call, "name");
    w->asks_deep = dz_gql_asks(call, "friends.best.id");
}

static inline void world_things(const struct dz_gql_call *call, struct dz_gql_out *ret)
{
    struct world_list *list = world_list(call, ret);
    for (uint32_t k = 0; dz_gql_given(&call->args[0]) && k < call->args[0].n; k++)
        for (size_t i = 0; i < DZ_LEN(beings); i++)
            if (call->args[0].items[k].text.n > 0 &&
                call->args[0].items[k].text.p[0] == beings[i].kind)
                world_add(list, ret, &beings[i]);
}

/* JSON without blanks and without quotes around keys, which other languages can write the same. */
static inline void world_show(struct dz_buf *out, const struct dz_gql_value *v)
{
    struct dz_json j;
    dz_json_init(&j, out, DZ_JSON_COMPACT, false);
    switch (v->kind) {
    case DZ_GQL_BOOL:
        dz_json_bool(&j, v->b);
        break;
    case DZ_GQL_INT:
        dz_json_int(&j, v->i);
        break;
    case DZ_GQL_FLOAT:
        if (v->f > -1e15 && v->f < 1e15 && v->f == (double)(int64_t)v->f)
            dz_json_int(&j, (int64_t)v->f);
        else
            dz_json_real(&j, v->f);
        break;
    case DZ_GQL_STRING:
    case DZ_GQL_ENUM:
        dz_json_str(&j, v->text);
        break;
    case DZ_GQL_LIST:
        dz_buf_putc(out, '[');
        for (uint32_t i = 0; i < v->n; i++) {
            dz_buf_put(out, i ? DZ_S(",") : DZ_S(""));
            world_show(out, &v->items[i]);
        }
        dz_buf_putc(out, ']');
        break;
    case DZ_GQL_OBJECT:
        dz_buf_putc(out, '{');
        for (uint32_t i = 0; i < v->n; i++) {
            dz_buf_put(out, i ? DZ_S(",") : DZ_S(""));
            dz_buf_put(out, v->members[i].name);
            dz_buf_putc(out, ':');
            world_show(out, &v->members[i].value);
        }
        dz_buf_putc(out, '}');
        break;
    default:
        dz_json_null(&j);
    }
}

static inline void world_echo(const struct dz_gql_call *call, struct dz_gql_out *ret)
{
    static const char *const names[] = {"int",   "float", "string", "boolean", "id",
                                        "group", "ints",  "strict", "filter",  "any"};
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, DZ_MIB);
    for (size_t i = 0; i < DZ_LEN(names); i++) {
        const struct dz_gql_value *v = dz_gql_arg(call, names[i]);
        if (v->kind == DZ_GQL_ABSENT)
            continue;
        dz_buf_putf(&out, "%s%s=", out.n ? " " : "", names[i]);
        world_show(&out, v);
    }
    dz_gql_str(ret, dz_arena_str(call->arena, dz_buf_str(&out)));
}

static inline enum dz_code world_query(const struct dz_gql_call *call, struct dz_gql_out *ret,
                                       struct dz_err *err)
{
    struct world *w = call->context;
    struct world_list *list;
    dz_gql_null(ret);
    switch ((enum world_query)(uintptr_t)call->data) {
    case Q_VERSION:
        dz_gql_str(ret, DZ_S("20190429.1"));
        break;
    case Q_PERSON:
    case Q_NODE:
        world_put(call, world_find(call->args[0].text), ret);
        break;
    case Q_PEOPLE:
        world_people(call, ret);
        break;
    case Q_PERSONS:
        if (!dz_gql_given(&call->args[0]))
            return dz_fail(err, DZ_BAD_INPUT, "'ids' must be specified.");
        list = world_list(call, ret);
        for (uint32_t i = 0; i < call->args[0].n; i++)
            world_add(list, ret, world_find(call->args[0].items[i].text));
        break;
    case Q_NAMED:
        list = world_list(call, ret);
        for (size_t i = 0; i < DZ_LEN(beings); i++)
            world_add(list, ret, &beings[i]);
        break;
    case Q_THINGS:
        world_things(call, ret);
        break;
    case Q_SELF:
        dz_gql_object(ret, NULL, NULL);
        break;
    case Q_FAILS:
        return dz_fail(err, DZ_NOT_FOUND, "It fails.");
    case Q_ECHO:
        world_echo(call, ret);
        break;
    case Q_BIG:
        dz_gql_int(ret, 3000000000);
        break;
    case Q_ADD:
        w->counter += call->args[0].i;
        dz_gql_int(ret, w->counter);
        break;
    }
    return DZ_OK;
}

static inline void world_prepare(const struct dz_gql_call *call)
{
    ((struct world *)call->context)->prepared++;
}

/* ---- the schema ------------------------------------------------------------------------------ */

static inline enum dz_code world_date(struct dz_arena *a, const struct dz_gql_value *in,
                                      struct dz_gql_value *ret_v, struct dz_err *err)
{
    (void)a;
    if (in->kind != DZ_GQL_STRING || in->text.n != 10)
        return dz_fail(err, DZ_BAD_INPUT, "a date has ten characters");
    *ret_v = *in;
    return DZ_OK;
}

struct world_row {
    const char *name, *type;
    unsigned data;
};

static inline void world_fields(struct dz_gql_type *t, dz_gql_resolve_fn resolve,
                                const struct world_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dz_gql_add_field(t, rows[i].name, rows[i].type, resolve, (void *)(uintptr_t)rows[i].data,
                         NULL);
}

static inline void world_persons(struct dz_gql_builder *b, struct world *w)
{
    static const struct world_row rows[] = {
        {"id", "ID!", W_ID},
        {"name", "String", W_NAME},
        {"age", "Int", W_AGE},
        {"height", "Float", W_HEIGHT},
        {"group", "Group!", W_GROUP},
        {"strict", "String!", W_STRICT},
        {"broken", "String", W_BROKEN},
        {"brokenStrict", "String!", W_BROKEN},
        {"best", "Person", W_BEST},
        {"tags", "[String!]!", W_TAGS},
        {"matrix", "[[Int]]", W_MATRIX},
        {"since", "Date", W_SINCE},
    };
    struct dz_gql_type *t = w->person = dz_gql_add_object(b, "Person", "Somebody.");
    dz_gql_implements(t, "Node");
    dz_gql_implements(t, "Named");
    world_fields(t, world_being, rows, DZ_LEN(rows));
    struct dz_gql_field *f = dz_gql_add_field(t, "friends", "[Person!]", world_being,
                                              (void *)W_FRIENDS, "Whom they like.");
    dz_gql_add_arg(f, "first", "Int", "10", "How many.");
    dz_gql_add_arg(f, "after", "ID", NULL, NULL);
    f = dz_gql_add_field(t, "pet", "Pet", world_being, (void *)W_PET, NULL);
    dz_gql_add_arg(f, "named", "String", NULL, NULL);
    f = dz_gql_add_field(t, "oldName", "String", world_being, (void *)W_NAME, NULL);
    dz_gql_deprecate_field(f, "Use `name`.");
}

static inline void world_pets(struct dz_gql_builder *b, struct world *w)
{
    static const struct world_row dog[] = {
        {"id", "ID!", W_ID},         {"name", "String", W_NAME},   {"barks", "Boolean!", W_BARKS},
        {"owner", "Person", W_BEST}, {"toys", "[String]", W_TOYS},
    };
    static const struct world_row cat[] = {
        {"id", "ID!", W_ID},
        {"name", "String", W_NAME},
        {"meows", "Int", W_AGE},
        {"owner", "Person!", W_BEST},
    };
    w->dog = dz_gql_add_object(b, "Dog", NULL);
    dz_gql_implements(w->dog, "Node");
    dz_gql_implements(w->dog, "Named");
    world_fields(w->dog, world_being, dog, DZ_LEN(dog));
    w->cat = dz_gql_add_object(b, "Cat", "It has \"quotes\".\nAnd two lines.");
    dz_gql_implements(w->cat, "Named");
    dz_gql_implements(w->cat, "Node");
    world_fields(w->cat, world_being, cat, DZ_LEN(cat));
    struct dz_gql_type *t = dz_gql_add_union(b, "Pet", "What people keep.");
    dz_gql_add_union_member(t, "Dog");
    dz_gql_add_union_member(t, "Cat");
    t = dz_gql_add_union(b, "Thing", NULL);
    dz_gql_add_union_member(t, "Person");
    dz_gql_add_union_member(t, "Dog");
    dz_gql_add_union_member(t, "Cat");
}

static inline void world_small(struct dz_gql_builder *b)
{
    dz_gql_add_scalar(b, "Date", "A day.", "https://www.rfc-editor.org/rfc/rfc3339", world_date);
    dz_gql_add_scalar(b, "Any", NULL, NULL, NULL);
    struct dz_gql_type *t = dz_gql_add_enum(b, "Group", "Who belongs where.");
    dz_gql_add_choice(t, "SNH48", 1, "Shanghai");
    dz_gql_add_choice(t, "BEJ48", 2, NULL);
    dz_gql_add_choice(t, "GNZ48", 3, NULL);
    dz_gql_deprecate_choice(dz_gql_add_choice(t, "OLD", 4, NULL), NULL);

    t = dz_gql_add_interface(b, "Node", "What has an id.");
    dz_gql_add_field(t, "id", "ID!", NULL, NULL, NULL);
    t = dz_gql_add_interface(b, "Named", NULL);
    dz_gql_implements(t, "Node");
    dz_gql_add_field(t, "id", "ID!", NULL, NULL, NULL);
    dz_gql_add_field(t, "name", "String", NULL, NULL, NULL);

    t = dz_gql_add_input(b, "Range", NULL);
    dz_gql_add_input_field(t, "from", "Int!", NULL, "The first.");
    dz_gql_add_input_field(t, "to", "Int", "10", NULL);
    t = dz_gql_add_input(b, "Filter", "What to look for.");
    dz_gql_add_input_field(t, "name", "String", NULL, NULL);
    dz_gql_add_input_field(t, "groups", "[Group!]", "[SNH48]", NULL);
    dz_gql_add_input_field(t, "range", "Range", NULL, NULL);
    dz_gql_add_input_field(t, "ranges", "[Range!]", NULL, NULL);
    dz_gql_add_input_field(t, "not", "Filter", NULL, NULL);
    dz_gql_add_input_field(t, "any", "Any", NULL, NULL);
    dz_gql_add_input_field(t, "weight", "Float!", "1.5", NULL);
    dz_gql_deprecate_input(dz_gql_add_input_field(t, "old", "String", NULL, NULL),
                           "It is \"old\".");

    struct dz_gql_directive *d =
        dz_gql_add_directive(b, "tag",
                             DZ_GQL_ON_QUERY | DZ_GQL_ON_FIELD | DZ_GQL_ON_FRAGMENT_SPREAD |
                                 DZ_GQL_ON_INLINE_FRAGMENT | DZ_GQL_ON_FRAGMENT_DEFINITION,
                             true, "Does nothing.");
    dz_gql_add_directive_arg(d, "name", "String!", NULL, NULL);
    dz_gql_add_directive_arg(d, "n", "Int", "0", NULL);
    dz_gql_add_directive(b, "once", DZ_GQL_ON_FIELD | DZ_GQL_ON_VARIABLE_DEFINITION, false, NULL);
}

static inline void world_roots(struct dz_gql_builder *b)
{
    static const struct world_row rows[] = {
        {"version", "String!", Q_VERSION},
        {"named", "[Named!]!", Q_NAMED},
        {"self", "Query!", Q_SELF},
        {"maybe", "Query", Q_SELF},
        {"fails", "String", Q_FAILS},
        {"failsStrict", "String!", Q_FAILS},
        {"big", "Int", Q_BIG},
    };
    struct dz_gql_type *t = dz_gql_add_object(b, "Query", "Where to begin.");
    world_fields(t, world_query, rows, DZ_LEN(rows));
    struct dz_gql_field *f =
        dz_gql_add_field(t, "person", "Person", world_query, (void *)Q_PERSON, "One of them.");
    dz_gql_add_arg(f, "id", "ID!", NULL, NULL);
    dz_gql_field_prepare(f, world_prepare);
    f = dz_gql_add_field(t, "people", "[Person]", world_query, (void *)Q_PEOPLE, NULL);
    dz_gql_add_arg(f, "group", "Group", NULL, NULL);
    dz_gql_add_arg(f, "first", "Int", "3", NULL);
    f = dz_gql_add_field(t, "persons", "[Person]", world_query, (void *)Q_PERSONS, NULL);
    dz_gql_add_arg(f, "ids", "[String]", NULL, NULL);
    f = dz_gql_add_field(t, "node", "Node", world_query, (void *)Q_NODE, NULL);
    dz_gql_add_arg(f, "id", "ID!", NULL, NULL);
    f = dz_gql_add_field(t, "things", "[Thing!]", world_query, (void *)Q_THINGS, NULL);
    dz_gql_add_arg(f, "kinds", "[String!]", "[\"person\", \"dog\"]", NULL);
    f = dz_gql_add_field(t, "echo", "String", world_query, (void *)Q_ECHO, NULL);
    static const char *const args[][3] = {
        {"int", "Int", NULL},         {"float", "Float", NULL},     {"string", "String", NULL},
        {"boolean", "Boolean", NULL}, {"id", "ID", NULL},           {"group", "Group", NULL},
        {"ints", "[Int]", NULL},      {"strict", "[Int!]!", "[1]"}, {"filter", "Filter", NULL},
        {"any", "Any", NULL},         {"date", "Date", NULL},
    };
    for (size_t i = 0; i < DZ_LEN(args); i++)
        dz_gql_add_arg(f, args[i][0], args[i][1], args[i][2], NULL);
    f = dz_gql_add_field(t, "required", "String", world_query, (void *)Q_VERSION, NULL);
    dz_gql_add_arg(f, "a", "Int!", NULL, NULL);
    dz_gql_add_arg(f, "b", "[String!]!", NULL, NULL);

    t = dz_gql_add_object(b, "Mutation", NULL);
    f = dz_gql_add_field(t, "add", "Int!", world_query, (void *)Q_ADD, NULL);
    dz_gql_add_arg(f, "n", "Int!", NULL, NULL);
    dz_gql_add_field(t, "fail", "Int", world_query, (void *)Q_FAILS, NULL);
    t = dz_gql_add_object(b, "Subscription", NULL);
    dz_gql_add_field(t, "tick", "Int", world_query, (void *)Q_BIG, NULL);
    dz_gql_add_field(t, "tock", "Int", world_query, (void *)Q_BIG, NULL);
}

/* w's counts are reset and its types set. */
static inline struct dz_gql_schema *world_schema(struct world *w)
{
    struct dz_gql_schema *s = NULL;
    struct dz_err err = {0};
    struct dz_gql_builder *b = dz_gql_builder_new();
    *w = (struct world){0};
    world_roots(b);
    world_persons(b, w);
    world_pets(b, w);
    world_small(b);
    dz_gql_old_directive_fields(b);
    if (dz_gql_schema_finish(&b, &s, &err) != DZ_OK)
        dz_panic(__FILE__, __LINE__, "the schema of the tests: %s", err.text);
    return s;
}
