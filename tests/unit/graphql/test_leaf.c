/* leaf: every kind of value for every kind of type; objects and lists of the wrong kind; one
 * document run by several threads at once. */
#include "test.h"

#include "graphql/graphql.h"

#include <math.h>
#include <pthread.h>

/* What all fields give; rows that end at once, and how often they were told so. */
static struct dz_gql_out given;
static unsigned told;

static enum dz_code next_none(struct dz_gql_rows *rows, struct dz_gql_out *ret, struct dz_err *err)
{
    (void)rows;
    (void)err;
    dz_gql_end(ret);
    return DZ_OK;
}

static enum dz_code next_fails(struct dz_gql_rows *rows, struct dz_gql_out *ret, struct dz_err *err)
{
    if (rows->at++ == 2)
        return dz_fail(err, DZ_IO, "the disk is gone");
    dz_gql_int(ret, (int64_t)rows->at);
    return DZ_OK;
}

static void done(struct dz_gql_rows *rows)
{
    (void)rows;
    told++;
}

static enum dz_code resolve(const struct dz_gql_call *call, struct dz_gql_out *ret,
                            struct dz_err *err)
{
    (void)call;
    (void)err;
    *ret = given;
    return DZ_OK;
}

static struct dz_gql_schema *schema;
static const struct dz_gql_type *thing;

static int setup(void **state)
{
    (void)state;
    struct dz_gql_builder *b = dz_gql_builder_new();
    struct dz_gql_type *t = dz_gql_add_object(b, "Query", NULL);
    static const char *const fields[][2] = {
        {"i", "Int"},  {"f", "Float"}, {"s", "String"}, {"b", "Boolean"}, {"id", "ID"},
        {"e", "Enum"}, {"c", "Any"},   {"o", "Thing"},  {"u", "Either"},  {"l", "[Int]"},
    };
    for (size_t i = 0; i < DZ_LEN(fields); i++)
        dz_gql_add_field(t, fields[i][0], fields[i][1], resolve, NULL, NULL);
    dz_gql_add_scalar(b, "Any", NULL, NULL, NULL);
    t = dz_gql_add_enum(b, "Enum", NULL);
    dz_gql_add_choice(t, "ONE", 1, NULL);
    dz_gql_add_choice(t, "TWO", 2, NULL);
    t = dz_gql_add_object(b, "Thing", NULL);
    dz_gql_add_field(t, "i", "Int", resolve, NULL, NULL);
    thing = t;
    t = dz_gql_add_union(b, "Either", NULL);
    dz_gql_add_union_member(t, "Thing");
    must(dz_gql_schema_finish(&b, &schema, err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dz_gql_schema_unref(&schema);
    return 0;
}

static struct dz_gql_doc *prepare(const char *text)
{
    struct dz_gql_limits limits = dz_gql_limits_default();
    struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
    struct dz_gql_doc *doc = NULL;
    dz_gql_errors_init(&errors, 5);
    if (dz_gql_prepare(schema, dz_str_of(text), &limits, &doc, &errors) != DZ_OK)
        dz_panic(__FILE__, __LINE__, "%s: %.*s", text, DZ_STR_FMT(dz_gql_errors_first(&errors)));
    return doc;
}

static void run(struct dz_gql_doc *doc, struct dz_buf *out)
{
    struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
    struct dz_gql_exec *x DZ_AUTO(dz_gql_exec_end) = NULL;
    struct dz_gql_run r = {0};
    dz_gql_errors_init(&errors, 5);
    dz_assert(dz_gql_exec_begin(doc, &r, &x, &errors) == DZ_OK);
    while (dz_gql_exec_step(x, 1, 0))
        ;
    dz_gql_exec_take(x, out);
}

/* want: the value, or the message of the error. */
static void gives(const char *field, struct dz_gql_out o, const char *want)
{
    char text[32];
    snprintf(text, sizeof(text), "{%s}", field);
    struct dz_gql_doc *doc DZ_AUTO(dz_gql_doc_unref) = prepare(text);
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, 1000);
    given = o;
    run(doc, &out);
    dz_str got = dz_buf_str(&out);
    if (dz_str_find(got, dz_str_of(want)) == DZ_NPOS)
        fail_msg("%s: %s is not in %.*s", field, want, DZ_STR_FMT(got));
    assert_int_equal(dz_str_starts(got, DZ_S("{\"data\"")), want[0] == ':');
}

static struct dz_gql_out num(int64_t i)
{
    struct dz_gql_out o;
    dz_gql_int(&o, i);
    return o;
}

static struct dz_gql_out real(double f)
{
    struct dz_gql_out o;
    dz_gql_float(&o, f);
    return o;
}

static struct dz_gql_out text(const char *s)
{
    struct dz_gql_out o;
    dz_gql_str(&o, dz_str_of(s));
    return o;
}

static struct dz_gql_out yes(void)
{
    struct dz_gql_out o;
    dz_gql_bool(&o, true);
    return o;
}

static struct dz_gql_out json(const char *s)
{
    struct dz_gql_out o;
    dz_gql_json(&o, dz_str_of(s));
    return o;
}

static struct dz_gql_out object(const struct dz_gql_type *t)
{
    struct dz_gql_out o;
    dz_gql_object(&o, NULL, t);
    return o;
}

static struct dz_gql_out list(enum dz_code (*next)(struct dz_gql_rows *, struct dz_gql_out *,
                                                   struct dz_err *))
{
    struct dz_gql_out o;
    dz_gql_rows(&o, (struct dz_gql_rows){.next = next, .done = done});
    return o;
}

static void scalars(void **state)
{
    (void)state;
    gives("i", num(-2147483648), ":-2147483648}");
    gives("i", num(2147483648), "Int cannot represent non 32-bit signed integer value: 2147483648");
    gives("i", real(5), ":5}");
    gives("i", real(5.5), "Int cannot represent non-integer value: 5.5");
    gives("i", real(1e10), "Int cannot represent non-integer value: 10000000000");
    gives("i", real((double)NAN), "Int cannot represent non-integer value: null");
    gives("i", yes(), ":1}");
    gives("i", text("5"), "Int cannot represent non-integer value: \\\"5\\\"");
    gives("f", num(3), ":3}");
    gives("f", real(0.1), ":0.1}");
    gives("f", yes(), ":1}");
    gives("f", real((double)INFINITY), "Float cannot represent non numeric value: Infinity");
    gives("f", text("x"), "Float cannot represent non numeric value: \\\"x\\\"");
    gives("s", text("a\"b\x01"), ":\"a\\\"b\\u0001\"}");
    gives("s", num(-7), ":\"-7\"}");
    gives("s", real(1.5), ":\"1.5\"}");
    gives("s", yes(), ":\"true\"}");
    gives("s", json("[]"), "String cannot represent value: raw JSON");
    gives("s", object(NULL), "String cannot represent value: an object");
    gives("b", yes(), ":true}");
    gives("b", num(0), ":false}");
    gives("b", real(0.5), ":true}");
    gives("b", text("true"), "Boolean cannot represent a non boolean value: \\\"true\\\"");
    gives("id", text("x"), ":\"x\"}");
    gives("id", num(12), ":\"12\"}");
    gives("id", real(1), "ID cannot represent value: 1");
}

static void enums_and_custom_scalars(void **state)
{
    (void)state;
    gives("e", num(2), ":\"TWO\"}");
    gives("e", text("ONE"), ":\"ONE\"}");
    gives("e", num(9), "\"9 is not a valid Enum\"");
    gives("e", text("NINE"), "\\\"NINE\\\" is not a valid Enum");
    gives("e", yes(), "true is not a valid Enum");
    gives("c", num(5000000000), ":5000000000}");
    gives("c", real(1.25), ":1.25}");
    gives("c", text("x"), ":\"x\"}");
    gives("c", yes(), ":true}");
    gives("c", json("{\"a\":[1]}"), ":{\"a\":[1]}}");
    gives("c", object(NULL), "Any cannot represent value: an object");
}

static void objects_and_lists(void **state)
{
    (void)state;
    gives("o{__typename}", object(NULL), ":{\"__typename\":\"Thing\"}}");
    gives("o{__typename}", num(1),
          "Expected an object of type \\\"Thing\\\" for field \\\"Query.o\\\".");
    gives("u{__typename}", object(thing), ":{\"__typename\":\"Thing\"}}");
    gives("u{__typename}", object(NULL),
          "Abstract type \\\"Either\\\" must resolve to an Object type at runtime for field "
          "\\\"Query.u\\\".");
    gives("u{__typename}", object(dz_gql_schema_type(schema, "Query")), "Abstract type");
    gives("u{__typename}", object(dz_gql_schema_type(schema, "Either")), "Abstract type");
    gives("l", list(next_none), ":[]}");
    gives("l", num(1), "Expected Iterable, but did not find one for field \\\"Query.l\\\".");
    gives("l", list(next_fails),
          "the disk is gone\",\"locations\":[{\"line\":1,\"column\":2}],"
          "\"path\":[\"l\",2]}],\"data\":{\"l\":null}}");
    told = 0;
    gives("i", list(next_none), "Int cannot represent non-integer value: a list");
    gives("o{__typename}", list(next_none), "Expected an object of type");
    gives("c", list(next_none), "Any cannot represent value: a list");
    assert_int_equal(told, 3);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *run_often(void *doc)
{
    for (int i = 0; i < 200; i++) {
        struct dz_gql_doc *mine DZ_AUTO(dz_gql_doc_unref) = dz_gql_doc_ref(doc);
        struct dz_buf out DZ_AUTO(dz_buf_done);
        dz_buf_init(&out, 1000);
        run(mine, &out);
        if (!dz_str_eq(dz_buf_str(&out),
                       DZ_S("{\"data\":{\"o\":{\"a\":\"Thing\",\"b\":\"Thing\"}}}")))
            return doc;
        struct dz_gql_doc *own DZ_AUTO(dz_gql_doc_unref) = prepare("{i __schema{types{name}}}");
        if (dz_gql_doc_bytes(own) == 0)
            return doc;
    }
    return NULL;
}

static void documents_are_shared(void **state)
{
    (void)state;
    struct dz_gql_doc *doc DZ_AUTO(dz_gql_doc_unref) =
        prepare("{o{...F} ...G} fragment F on Thing{a:__typename} "
                "fragment G on Query{o{b:__typename}}");
    given = object(NULL);
    pthread_t threads[4];
    for (size_t i = 0; i < DZ_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_often, doc), 0);
    for (size_t i = 0; i < DZ_LEN(threads); i++) {
        void *bad;
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars),
        cmocka_unit_test(enums_and_custom_scalars),
        cmocka_unit_test(objects_and_lists),
        cmocka_unit_test(documents_are_shared),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
