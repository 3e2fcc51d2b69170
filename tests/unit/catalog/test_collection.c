/*
 * test_collection: declarations of collections: what is read from them, and what is refused.
 */
#include "catalog/collection_int.h"
#include "catalog/test_collections.h"

static void a_declaration_is_read(void **state)
{
    (void)state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *c = declared(PERFVOD);
    assert_int_equal(c->fields_n, 12);
    assert_int_equal(c->columns_n, 9);
    assert_int_equal(c->key, 0);
    const struct dz_collection_field *group = &c->fields[dz_collection_field(c, DZ_S("group"))];
    const struct dz_collection_field *club = &c->fields[dz_collection_field(c, DZ_S("l4cClubId"))];
    assert_true(group->type == DZ_COLLECTION_ENUM && group->of == &c->enums[0]);
    assert_int_equal(group->column, club->column);
    assert_true(dz_str_eq(dz_collection_enum_name(group->of, 3), DZ_S("GNZ48")));
    assert_int_equal(dz_collection_enum_name(group->of, 9).n, 0);
    const struct dz_collection_field *url = &c->fields[dz_collection_field(c, DZ_S("l4cUrl"))];
    assert_int_equal(url->column, DZ_NPOS);
    assert_int_equal(url->template_n, 2);
    assert_true(dz_str_eq(url->template_text[1], DZ_S("/id/")));
    assert_int_equal(url->template_text[2].n, 0);
    assert_int_equal(c->fields[11].first_of_n, 3);
    assert_int_equal(c->unique_n, 1);
    assert_int_equal(c->queries_n, 2);
    assert_true(dz_str_eq(c->queries[0].one, DZ_S("id")));
    assert_int_equal(c->queries[0].range_field, DZ_NPOS);
    assert_true(c->queries[1].exclusive && c->queries[1].order.n == 3);
    assert_true(dz_str_eq(c->fields[c->queries[1].range_field].name, DZ_S("startTime")));
    assert_int_equal(dz_collection_field(c, DZ_S("none")), DZ_NPOS);
    struct dz_collection *same = dz_collection_ref(c);
    dz_collection_unref(&same);
    assert_null(same);
}

static void its_table_and_indexes_follow(void **state)
{
    (void)state;
    static const struct dz_collection_dialect d = {"BIGINT", "DOUBLE PRECISION", "TEXT", ""};
    DZ_AUTO(dz_collection_unref) struct dz_collection *c = declared(PERFVOD);
    DZ_AUTO(dz_buf_done) struct dz_buf sql;
    struct dz_collection_index x;
    dz_buf_init(&sql, DZ_COLLECTION_SQL_MAX);
    dz_buf_init(&x.name, DZ_COLLECTION_SQL_MAX);
    dz_buf_init(&x.sql, DZ_COLLECTION_SQL_MAX);
    dz_collection_sql_create(c, &d, &sql);
    assert_true(dz_str_starts(c->table, DZ_S("c_live_48_cn_perfvod_")));
    assert_non_null(strstr(dz_buf_cstr(&sql),
                           "(\"canon_id\" TEXT NOT NULL PRIMARY KEY, \"l4c_club_id\" BIGINT NOT "
                           "NULL, \"l4c_id\" BIGINT NOT NULL, \"title\" TEXT NOT NULL, "
                           "\"subtitle\" TEXT, \"start_time\" BIGINT NOT NULL, \"sd_stream\" TEXT, "
                           "\"hd_stream\" TEXT, \"fhd_stream\" TEXT)"));
    assert_true(dz_collection_sql_index(c, 0, &x));
    assert_true(x.unique);
    assert_non_null(strstr(dz_buf_cstr(&x.sql), "(\"l4c_id\")"));
    assert_true(
        dz_collection_sql_index(c, 1, &x)); /* sorts, to the last row, without a step more */
    assert_false(x.unique);
    assert_non_null(
        strstr(dz_buf_cstr(&x.sql), "(\"start_time\", \"l4c_club_id\", \"l4c_id\", \"canon_id\")"));
    assert_false(dz_collection_sql_index(c, 2, &x));
    dz_buf_done(&x.name);
    dz_buf_done(&x.sql);
}

/* The base with one text replaced is refused with these words. */
static const char base[] =
    "{'name': 'C', 'key': 'id', 'description': 'd', 'enums': [{'name': 'E', 'values': [['A', 1], "
    "['B', 2]]}], 'fields': [{'name': 'id', 'type': 'ID', 'not_null': true}, {'name': 'n', "
    "'type': 'Int', 'not_null': true}, {'name': 'e', 'type': 'E', 'enum': 'E'}, {'name': 's', "
    "'type': 'String', 'list': true}, {'name': 't', 'type': 'String', 'template': 'x{n}'}, "
    "{'name': 'f', 'type': 'Float'}, {'name': 'o', 'type': 'Float', 'first_of': ['f']}], "
    "'unique': [['n', 'id']], 'queries': [{'name': 'one', 'one': 'id'}, {'name': 'all', 'many': "
    "'ids', 'range': {'field': 'n', 'from': 'a', 'to': 'b'}, 'filter': ['e'], 'order': ['n']}]}";

static const struct {
    const char *from, *to, *words;
} refusals[] = {
    {"{'name': 'C'", "['name', 'C'", "the declaration is no JSON"},
    {"'name': 'C',", "", "a collection: name \"\" is no name"},
    {"'name': 'C'", "'name': 'C d'", "\"C d\" is no name"},
    {"'name': 'C'", "'name': '__C'", "\"__C\" is no name"},
    {"'name': 'C'", "'name': 'Int'", "collection Int: the name is taken"},
    {"'description': 'd'", "'description': 5", "description is no text"},
    {"'description': 'd'", "'descriptoin': 'd'", "\"descriptoin\" is nothing that can be"},
    {"'key': 'id'", "'key': 'x'", "key: there is no field \"x\""},
    {"'key': 'id'", "'key': 'e'", "key: field e is not one of String!, ID!, Int!"},
    {"'key': 'id'", "'key': 't'", "key: field t has no column"},
    {"'name': 'E'", "'name': 'C'", "enum C: the name is taken"},
    {"['B', 2]", "['B', 1]", "enum E: value 2: B (1) is there twice"},
    {"['B', 2]", "['A', 2]", "enum E: value 2: A (2) is there twice"},
    {"['B', 2]", "['true', 2]", "true cannot be a value"},
    {"['B', 2]", "['B']", "value 2: is no pair of a name and a number"},
    {"[['A', 1], ['B', 2]]", "[]", "enum E: has no values"},
    {"'type': 'Int'", "'type': 'int'", "field n: type int is neither String, ID"},
    {"'enum': 'E'", "'enum': 'F'", "field e: enum F is not its type"},
    {"'name': 'n', 't", "'name': 'id', 't", "field id: is there twice"},
    {"'not_null': true}, {'name': 'n'", "'not_null': 1}, {'name': 'n'", "neither true nor false"},
    {"'type': 'Int'", "'type': 'Int', 'column': 'a-b'", "column \"a-b\" is no name"},
    {"'type': 'Int'", "'type': 'Int', 'column': 'ID'", "columns id and ID differ only in capitals"},
    {"'type': 'Int'", "'type': 'Int', 'column': 'id'", "column id holds something else"},
    {"'template': 'x{n}'", "'template': 'x{n'", "field t: template: { and } do not fit"},
    {"'template': 'x{n}'", "'template': 'x}{n}'", "field t: template: { and } do not fit"},
    {"'template': 'x{n}'", "'template': '{m}'", "template: there is no field \"m\""},
    {"'template': 'x{n}'", "'template': '{t}'", "template: field t has no column"},
    {"'template': 'x{n}'", "'template': '{s}'", "template: field s is a list"},
    {"'template': 'x{n}'", "'template': 'x', 'column': 't'", "more than one of column, first_of"},
    {"'first_of': ['f']", "'first_of': ['f', 'n']", "first_of: field n is of another type"},
    {"'first_of': ['f']", "'first_of': []", "first_of is empty"},
    {"'type': 'Int'", "'type': 'Int', 'items_not_null': true", "items_not_null: it is no list"},
    {"[['n', 'id']]", "[['e']]", "unique: field e may be null"},
    {"[['n', 'id']]", "[['n', 'n']]", "unique: a field is there twice"},
    {"[['n', 'id']]", "[[]]", "unique: a tuple is no list"},
    {"[['n', 'id']]", "'n'", "unique is no array"},
    {"'field': 'n'", "'field': 'f'", "query all: range: field: field f may be null"},
    {"'from': 'a', ", "", "query all: range: from \"\" is no name"},
    {"'to': 'b'", "'to': 'a'", "query all: two arguments are named a"},
    {"'many': 'ids'", "'many': 'e'", "query all: two arguments are named e"},
    {"'filter': ['e']", "'filter': ['s']", "query all: filter: field s is a list"},
    {"'order': ['n']", "'order': ['f']", "query all: order: field f may be null"},
    {"'one': 'id'", "'one': 'id', 'many': 'ids'", "query one: one goes alone"},
    {", 'one': 'id'", "", "query one: has none of one, many"},
    {"'name': 'all'", "'name': 'one'", "query one: is there twice"},
};

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *good = declared(base);
    for (size_t i = 0; i < DZ_LEN(refusals); i++) {
        DZ_AUTO(dz_buf_done) struct dz_buf b;
        struct dz_collection *c = NULL;
        dz_buf_init(&b, 64 * DZ_KIB);
        const char *at = strstr(base, refusals[i].from);
        if (!at)
            fail_msg("%s is not in the base", refusals[i].from);
        dz_buf_put(&b, (dz_str){base, (size_t)(at - base)});
        dz_buf_putf(&b, "%s%s", refusals[i].to, at + strlen(refusals[i].from));
        DZ_AUTO(dz_freep) char *json = with_quotes(dz_buf_cstr(&b));
        const char *text =
            refused(dz_collection_parse(DZ_S("x.org"), dz_str_of(json), &c, err), DZ_BAD_INPUT);
        if (!strstr(text, refusals[i].words) || strncmp(text, "x.org: ", 7) != 0)
            fail_msg("\"%s\", want \"%s\"", text, refusals[i].words);
        assert_null(c);
    }
}

static void there_are_limits(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    struct dz_collection *c = NULL;
    dz_buf_init(&b, 2 * DZ_MIB);
    dz_buf_put(&b, DZ_S("{\"name\":\"C\",\"key\":\"f0\",\"fields\":["));
    for (unsigned i = 0; i <= DZ_COLLECTION_FIELDS_MAX; i++)
        dz_buf_putf(&b, "%s{\"name\":\"f%u\",\"type\":\"ID\",\"not_null\":true}", i ? "," : "", i);
    dz_buf_put(&b, DZ_S("]}"));
    assert_non_null(
        strstr(refused(dz_collection_parse(DZ_S("x"), dz_buf_str(&b), &c, err), DZ_TOO_LARGE),
               "fields: 201 of them, at most 200"));
    dz_buf_clear(&b);
    for (unsigned i = 0; i <= DZ_COLLECTION_JSON_MAX; i++)
        dz_buf_putc(&b, ' ');
    refused(dz_collection_parse(DZ_S("x"), dz_buf_str(&b), &c, err), DZ_TOO_LARGE);
    /* The largest that there can be, near enough. */
    dz_buf_clear(&b);
    dz_buf_put(&b, DZ_S("{\"name\":\"C\",\"key\":\"f0\",\"fields\":["));
    for (unsigned i = 0; i < DZ_COLLECTION_FIELDS_MAX; i++) {
        dz_buf_putf(&b, "%s{\"name\":\"f%u\",\"type\":\"ID\",\"not_null\":true", i ? "," : "", i);
        if (i > 0)
            dz_buf_put(&b, DZ_S(",\"template\":\""));
        for (unsigned k = 0; i > 0 && k < 1000; k++)
            dz_buf_put(&b, DZ_S("{f0}"));
        dz_buf_put(&b, i > 0 ? DZ_S("\"}") : DZ_S("}"));
    }
    dz_buf_put(&b, DZ_S("]}"));
    assert_true(b.n < DZ_COLLECTION_JSON_MAX);
    must(dz_collection_parse(DZ_S("x"), dz_buf_str(&b), &c, err));
    dz_collection_unref(&c);
    refused(dz_collection_parse(DZ_S(""), DZ_S("{}"), &c, err), DZ_BAD_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_declaration_is_read),
        cmocka_unit_test(its_table_and_indexes_follow),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(there_are_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
