/*
 * suite_catalog_collections: collections, the same cases against each driver.
 */
#include "catalog/test_collections.h"
#include "catalog_fixture.h"

/* ---- helpers -----------------------------------------------------------------------------------
 */

static struct dz_collection_ensured ensure(struct fixture *f, const struct dz_collection *coll)
{
    struct dz_collection_ensured e;
    must(dz_catalog_collection_ensure(f->c, coll, &e, err));
    return e;
}

static const char *ensure_refused(struct fixture *f, const char *text)
{
    struct dz_collection_ensured e;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = declared(text);
    return refused(dz_catalog_collection_ensure(f->c, coll, &e, err), DZ_CONFLICT);
}

static enum dz_put_result put(struct fixture *f, const struct dz_collection *coll,
                              json_t *take_record, bool replace)
{
    json_t *list = list_of(take_record);
    enum dz_put_result r;
    must(dz_catalog_collection_put(f->c, coll, list, replace, &r, NULL, err));
    json_decref(list);
    return r;
}

static const char *put_refused(struct fixture *f, const struct dz_collection *coll,
                               json_t *take_list, enum dz_code code)
{
    enum dz_put_result r[8];
    json_t *clash = NULL;
    const char *text =
        refused(dz_catalog_collection_put(f->c, coll, take_list, false, r, &clash, err), code);
    assert_null(clash);
    json_decref(take_list);
    return text;
}

static void show_value(struct dz_buf *b, const struct dz_collection_value *v)
{
    if (v->kind == DZ_VALUE_NULL)
        dz_buf_put(b, DZ_S("-"));
    else if (v->kind == DZ_VALUE_TEXT)
        dz_buf_put(b, v->s);
    else if (v->kind == DZ_VALUE_INT)
        dz_buf_putf(b, "%lld", (long long)v->n);
    else
        dz_buf_putf(b, "%g", v->x);
}

struct shown {
    const struct dz_collection *coll;
    const char *fields; /* names with a blank between them */
    struct dz_buf out;
    size_t rows, stop_at;
};

/* "id=1 title=t; id=2 …"; a row that is not there is "none". */
static enum dz_code show_row(void *arg, size_t at, const struct dz_collection_value *v,
                             struct dz_err *err)
{
    struct shown *s = arg;
    if (s->stop_at && at == s->stop_at)
        return dz_fail(err, DZ_CANCELLED, "enough");
    assert_int_equal(at, s->rows);
    dz_buf_put(&s->out, s->rows++ ? DZ_S("; ") : DZ_S(""));
    if (!v) {
        dz_buf_put(&s->out, DZ_S("none"));
        return DZ_OK;
    }
    bool first = true;
    for (dz_str rest = dz_str_of(s->fields); rest.n > 0;) {
        size_t blank = dz_str_chr(rest, ' ');
        size_t i = dz_collection_field(s->coll, dz_str_sub(rest, 0, blank));
        assert_true(i != DZ_NPOS);
        dz_buf_put(&s->out, first ? DZ_S("") : DZ_S(" "));
        show_value(&s->out, &v[i]);
        first = false;
        rest = dz_str_after(rest, blank);
    }
    return DZ_OK;
}

static void assert_rows(struct fixture *f, const struct dz_collection *coll,
                        const struct dz_collection_ask *ask, const char *fields, const char *want)
{
    struct shown s = {.coll = coll, .fields = fields};
    dz_buf_init(&s.out, DZ_MIB);
    must(dz_catalog_collection_rows(f->c, coll, ask, show_row, &s, err));
    assert_string_equal(dz_buf_cstr(&s.out), want);
    dz_buf_done(&s.out);
}

static void assert_all(struct fixture *f, const struct dz_collection *coll, const char *fields,
                       const char *want)
{
    const struct dz_collection_ask ask = {0};
    assert_rows(f, coll, &ask, fields, want);
}

static size_t field(const struct dz_collection *coll, const char *name)
{
    size_t i = dz_collection_field(coll, dz_str_of(name));
    assert_true(i != DZ_NPOS);
    return i;
}

static struct dz_collection_value number(int64_t n)
{
    return (struct dz_collection_value){.kind = DZ_VALUE_INT, .n = n};
}

/* The fixture of contracts/kvm48.md 5, without its texts. */
static struct dz_collection *with_vods(struct fixture *f)
{
    struct dz_collection *coll = declared(PERFVOD);
    assert_true(ensure(f, coll).created);
    json_t *list = json_array();
    json_array_append_new(list, vod("324479006241787906", 1, 2777, 1555843500));
    json_array_append_new(list, vod("326091353251188736", 1, 2774, 1555836300));
    json_array_append_new(list, vod("324479006245982208", 1, 2772, 1555825500));
    json_array_append_new(list, vod("324918581187645440", 2, 2775, 1555845900));
    json_array_append_new(list, vod("324479006241787904", 3, 2773, 1555826400));
    enum dz_put_result r[5];
    must(dz_catalog_collection_put(f->c, coll, list, false, r, NULL, err));
    for (size_t i = 0; i < DZ_LEN(r); i++)
        assert_int_equal(r[i], DZ_PUT_NEW);
    json_decref(list);
    return coll;
}

/* ---- tables ------------------------------------------------------------------------------------
 */

static void a_table_is_made_once(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = declared(PERFVOD);
    struct dz_collection_rec *v;
    uint64_t rev, later;
    size_t n;
    must(dz_catalog_collections(f->c, f->a, &v, &n, err));
    assert_int_equal(n, 0);
    must(dz_catalog_collections_rev(f->c, &rev, err));
    struct dz_collection_ensured e = ensure(f, coll);
    assert_true(e.created && e.changed);
    assert_string_equal(e.note, "");
    must(dz_catalog_collections_rev(f->c, &later, err));
    assert_true(later > rev);
    e = ensure(f, coll);
    assert_false(e.created || e.changed);
    must(dz_catalog_collections_rev(f->c, &rev, err));
    assert_int_equal(rev, later);
    must(dz_catalog_collections(f->c, f->a, &v, &n, err));
    assert_int_equal(n, 1);
    assert_str(v[0].source, "live.48.cn");
    assert_str(v[0].name, "PerfVOD");
    assert_true(dz_str_eq(v[0].declaration, coll->declaration));
    DZ_AUTO(dz_collection_unref) struct dz_collection *again = NULL;
    must(dz_collection_parse(v[0].source, v[0].declaration, &again, err));
    assert_true(dz_str_eq(again->table, coll->table));
    assert_all(f, again, "id", "");
    sound(f);
}

static void what_was_never_ensured_is_not_found(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = declared(PERFVOD);
    const struct dz_collection_ask ask = {0};
    struct shown s = {.coll = coll};
    const dz_str id = DZ_S("1");
    bool seen;
    const char *text =
        refused(dz_catalog_collection_rows(f->c, coll, &ask, show_row, &s, err), DZ_NOT_FOUND);
    assert_non_null(strstr(text, "no collection PerfVOD of live.48.cn"));
    refused(dz_catalog_collection_seen(f->c, coll, coll->key, &id, 1, &seen, err), DZ_NOT_FOUND);
    put_refused(f, coll, list_of(vod("1", 1, 1, 1)), DZ_NOT_FOUND);
}

#define MORE_FIELDS                                                                                \
    ", {'name': 'views', 'type': 'Int', 'not_null': true}, {'name': 'rating', 'type': 'Float'}, "  \
    "{'name': 'tags', 'type': 'String', 'list': true, 'not_null': true}, {'name': 'live', "        \
    "'type': 'Boolean'}, {'name': 'label', 'type': 'ID', 'template': '{group}: {title} {views} "   \
    "{live}'}"

static void fields_that_come_later_are_added(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = with_vods(f);
    DZ_AUTO(dz_collection_unref)
    struct dz_collection *more = declared(PERFVOD_WITH(MORE_FIELDS, PERFVOD_QUERIES));
    struct dz_collection_ensured e = ensure(f, more);
    assert_true(e.changed && !e.created);
    assert_non_null(strstr(e.note, "views, tags"));
    const dz_str key = DZ_S("324918581187645440");
    const struct dz_collection_ask one = {.by_keys = true, .keys = &key, .keys_n = 1};
    assert_rows(f, more, &one, "l4cId views rating tags live label", "2775 0 - [] - -");
    put(f, more,
        json_of("{'id': 'x', 'group': 'SHY48', 'l4cId': 9, 'title': 'a \\u00e9 title', "
                "'startTime': 5, 'views': -9223372036854775808, 'rating': 0.1, 'tags': ['a', null,"
                " 'b\\\"'], 'live': true}"),
        false);
    const dz_str x = DZ_S("x");
    const struct dz_collection_ask other = {.by_keys = true, .keys = &x, .keys_n = 1};
    assert_rows(f, more, &other, "l4cClubId views rating tags live label",
                "4 -9223372036854775808 0.1 [\"a\",null,\"b\\\"\"] 1 "
                "4: a é title -9223372036854775808 true");
    /* The older declaration goes on reading, and what it writes has the new columns empty, too. */
    assert_rows(f, coll, &other, "group title bestStream", "4 a é title -");
    sound(f);
    if (f->which->where != IN_FILE)
        return; /* no copies are taken */
    char path[256];
    snprintf(path, sizeof(path), "%s/dozo.db.before-PerfVOD-2", f->folder);
    assert_int_equal(access(path, F_OK), 0);
    struct dz_catalog *copy = NULL;
    must(dz_catalog_open(f->which->driver, f->folder, path, &copy, err));
    struct dz_collection_rec *v;
    size_t n;
    must(dz_catalog_collections(copy, f->a, &v, &n, err));
    assert_true(n == 1 && dz_str_eq(v[0].declaration, coll->declaration));
    dz_catalog_close(&copy);
}

/* Words of a declaration that differ make another one. */
static void other_changes_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char base[] =
        "{'name': 'C', 'key': 'id', 'enums': [{'name': 'E', 'values': [['A', 1], ['B', 2]]}], "
        "'fields': [{'name': 'id', 'type': 'ID', 'not_null': true}, {'name': 'n', 'type': 'Int'}, "
        "{'name': 'e', 'type': 'E', 'not_null': true}, {'name': 's', 'type': 'String'}, "
        "{'name': 'l', 'type': 'String', 'list': true}]}";
    static const struct {
        const char *from, *to, *words;
    } cases[] = {
        {"'name': 'n', 'type': 'Int'", "'name': 'n', 'type': 'Float'", "field n: the type"},
        {"'name': 'n', 'type': 'Int'", "'name': 'n', 'type': 'Boolean'", "field n: its type"},
        {"'name': 'n', 'type': 'Int'", "'name': 'n', 'type': 'Int', 'column': 'm'",
         "field n (column n) is gone"},
        {"'name': 'n', 'type': 'Int'", "'name': 'm', 'type': 'Int'", "field n (column n) is gone"},
        {"'name': 'n', 'type': 'Int'", "'name': 'n', 'type': 'Int', 'not_null': true",
         "field n: column n may be null"},
        {"'type': 'E', 'not_null': true", "'type': 'E'", "field e: column e is never null"},
        {"'type': 'E', 'not_null': true", "'type': 'Int', 'not_null': true", "field e: its type"},
        {"'name': 's', 'type': 'String'", "'name': 's', 'type': 'String', 'list': true",
         "field s: the type"},
        {"'list': true", "'list': true, 'items_not_null': true",
         "field l: its lists may have nulls"},
        {"['B', 2]", "['B', 3]", "enum E: B is stored as 2"},
    };
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = declared(base);
    ensure(f, coll);
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        DZ_AUTO(dz_buf_done) struct dz_buf b;
        dz_buf_init(&b, 64 * DZ_KIB);
        const char *at = strstr(base, cases[i].from);
        dz_buf_put(&b, (dz_str){base, (size_t)(at - base)});
        dz_buf_putf(&b, "%s%s", cases[i].to, at + strlen(cases[i].from));
        const char *text = ensure_refused(f, dz_buf_cstr(&b));
        assert_non_null(strstr(text, "live.48.cn: collection C: "));
        if (!strstr(text, cases[i].words))
            fail_msg("\"%s\", want \"%s\"", text, cases[i].words);
    }
    assert_false(ensure(f, coll).changed); /* nothing of it was kept */
}

static void another_key_is_refused(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref)
    struct dz_collection *coll = declared(
        "{'name': 'C', 'key': 'a', 'fields': [{'name': 'a', 'type': 'ID', 'not_null': true}, "
        "{'name': 'b', 'type': 'Int', 'not_null': true}]}");
    ensure(f, coll);
    const char *text = ensure_refused(
        f, "{'name': 'C', 'key': 'b', 'fields': [{'name': 'a', 'type': 'ID', 'not_null': true}, "
           "{'name': 'b', 'type': 'Int', 'not_null': true}]}");
    assert_non_null(strstr(text, "field a is the key"));
}

static void words_queries_and_unique_tuples_may_change(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = with_vods(f);
    /* No order any more, another filter; then titles are to be unique, which they are not. */
    DZ_AUTO(dz_collection_unref)
    struct dz_collection *other =
        declared(PERFVOD_WITH("", "[{'name': 'byTitle', 'filter': ['title']}, {'name': 'late', "
                                  "'range': {'field': 'l4cId', 'from': 'a', 'to': 'b'}}]"));
    assert_true(ensure(f, other).changed);
    assert_all(f, other, "l4cId", "2773; 2777; 2772; 2775; 2774");
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, 64 * DZ_KIB);
    const char *at = strstr(PERFVOD, "[['l4cId']]");
    dz_buf_put(&b, (dz_str){PERFVOD, (size_t)(at - PERFVOD)});
    dz_buf_putf(&b, "[['l4cId'], ['title']]%s", at + strlen("[['l4cId']]"));
    assert_non_null(strstr(ensure_refused(f, dz_buf_cstr(&b)), "rows that are there break it"));
    assert_true(ensure(f, coll).changed);
    sound(f);
}

static void names_may_be_words_of_sql(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref)
    struct dz_collection *coll = declared(
        "{'name': 'Select', 'key': 'table', 'fields': ["
        "{'name': 'table', 'type': 'Int', 'not_null': true, 'column': 'group'}, "
        "{'name': 'select', 'type': 'String', 'not_null': true, 'column': 'order'}, "
        "{'name': 'where', 'type': 'String', 'column': 'rowid'}, "
        "{'name': 'null', 'type': 'Float', 'column': 'primary'}], 'unique': [['select']], "
        "'queries': [{'name': 'q', 'range': {'field': 'table', 'from': 'from', 'to': 'to'}, "
        "'filter': ['where'], 'order': ['select']}]}");
    ensure(f, coll);
    assert_int_equal(put(f, coll,
                         json_of("{'table': -7, 'select': 'a\\u0022; DROP TABLE collection; --', "
                                 "'where': null, 'null': 3}"),
                         false),
                     DZ_PUT_NEW);
    assert_int_equal(put(f, coll, json_of("{'table': 8, 'select': 'it\\u0027s'}"), false),
                     DZ_PUT_NEW);
    const struct dz_collection_bound where = {field(coll, "where"), {.kind = DZ_VALUE_NULL}};
    const struct dz_collection_bound from = {field(coll, "table"), number(-7)};
    const size_t order = field(coll, "select");
    const struct dz_collection_ask ask = {
        .from = &from, .filters = &where, .filters_n = 1, .order = &order, .order_n = 1};
    assert_rows(f, coll, &ask, "table select null",
                "-7 a\"; DROP TABLE collection; -- 3; 8 it's -");
    const dz_str keys[] = {DZ_S("8"),
                           DZ_S("08"),
                           DZ_S("-7"),
                           DZ_S("x"),
                           DZ_S(""),
                           {NULL, 0},
                           DZ_S("9223372036854775808")};
    const struct dz_collection_ask by_key = {.by_keys = true, .keys = keys, .keys_n = DZ_LEN(keys)};
    assert_rows(f, coll, &by_key, "table", "8; none; -7; none; none; none; none");
    sound(f);
}

static void collections_of_two_sources_are_two(void **state)
{
    struct fixture *f = *state;
    static const char text[] =
        "{\"name\":\"C\",\"key\":\"id\",\"fields\":[{\"name\":\"id\",\"type\":\"ID\","
        "\"not_null\":true}]}";
    static const char *const sources[] = {"a.b", "a_b", "a-b", "A.b"};
    for (size_t i = 0; i < DZ_LEN(sources); i++) {
        DZ_AUTO(dz_collection_unref) struct dz_collection *coll = NULL;
        must(dz_collection_parse(dz_str_of(sources[i]), dz_str_of(text), &coll, err));
        assert_true(ensure(f, coll).created);
        put(f, coll, json_of("{'id': 'x'}"), false);
        assert_all(f, coll, "id", "x");
    }
}

/* ---- records -----------------------------------------------------------------------------------
 */

static void records_are_stored_and_found_again(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = with_vods(f);
    const dz_str ids[] = {DZ_S("324479006245982208"), DZ_S("0"), DZ_S("324918581187645440"),
                          DZ_S("324479006245982208")};
    const struct dz_collection_ask ask = {.by_keys = true, .keys = ids, .keys_n = DZ_LEN(ids)};
    assert_rows(f, coll, &ask, "l4cId l4cUrl group subtitle sdStream bestStream",
                "2772 https://live.48.cn/Index/invedio/club/1/id/2772 1  - http://h/hd.m3u8; none; "
                "2775 https://live.48.cn/Index/invedio/club/2/id/2775 2  - http://h/hd.m3u8; "
                "2772 https://live.48.cn/Index/invedio/club/1/id/2772 1  - http://h/hd.m3u8");
    const struct dz_collection_ask none = {.by_keys = true};
    assert_rows(f, coll, &none, "id", "");
    bool seen[4];
    must(dz_catalog_collection_seen(f->c, coll, coll->key, ids, 4, seen, err));
    assert_true(seen[0] && !seen[1] && seen[2] && seen[3]);
    const dz_str numbers[] = {DZ_S("2775"), DZ_S("2776"), DZ_S("02775"), DZ_S("27 75")};
    must(dz_catalog_collection_seen(f->c, coll, field(coll, "l4cId"), numbers, 4, seen, err));
    assert_true(seen[0] && !seen[1] && !seen[2] && !seen[3]);
    refused(dz_catalog_collection_seen(f->c, coll, field(coll, "l4cUrl"), ids, 1, seen, err),
            DZ_BAD_INPUT);
}

static void many_records_come_in_the_order_asked(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = declared(PERFVOD);
    DZ_AUTO(dz_buf_done) struct dz_buf want;
    enum dz_put_result r[MANY_THERE];
    bool seen[MANY_ASKED];
    json_t *list = json_array();
    ensure(f, coll);
    for (size_t i = 0; i < MANY_THERE; i++)
        json_array_append_new(list, vod(nth_name(f, i).p, 1, (int)i, 1555843500));
    must(dz_catalog_collection_put(f->c, coll, list, false, r, NULL, err));
    json_decref(list);
    dz_buf_init(&want, DZ_MIB);
    for (size_t i = 0; i < MANY_ASKED; i++) {
        dz_buf_put(&want, i ? DZ_S("; ") : DZ_S(""));
        if (asked_at(i) < MANY_THERE)
            dz_buf_putf(&want, "%zu", asked_at(i));
        else
            dz_buf_put(&want, DZ_S("none"));
    }
    const dz_str *asked = asked_names(f);
    const struct dz_collection_ask ask = {.by_keys = true, .keys = asked, .keys_n = MANY_ASKED};
    assert_rows(f, coll, &ask, "l4cId", dz_buf_cstr(&want));
    must(dz_catalog_collection_seen(f->c, coll, coll->key, asked, MANY_ASKED, seen, err));
    for (size_t i = 0; i < MANY_ASKED; i++)
        assert_int_equal(seen[i], asked_at(i) < MANY_THERE);
}

static void the_same_again_changes_nothing(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = with_vods(f);
    struct dz_collection_rec *before, *after;
    size_t n;
    must(dz_catalog_collections(f->c, f->a, &before, &n, err));
    assert_int_equal(put(f, coll, vod("324918581187645440", 2, 2775, 1555845900), false),
                     DZ_PUT_SAME);
    /* Under another number, as the site sometimes has them; and with less to say. */
    assert_int_equal(put(f, coll, vod("324918581187645440", 2, 9999, 1555845900), false),
                     DZ_PUT_SAME);
    json_t *less = vod("324918581187645440", 2, 2775, 1555845900);
    json_object_set_new(less, "hdStream", json_null());
    assert_int_equal(put(f, coll, less, false), DZ_PUT_SAME);
    must(dz_catalog_collections(f->c, f->a, &after, &n, err));
    assert_int_equal(before[0].rows_rev, after[0].rows_rev);
    assert_int_equal(put(f, coll, vod("new", 2, 1, 1), false), DZ_PUT_NEW);
    must(dz_catalog_collections(f->c, f->a, &after, &n, err));
    assert_true(after[0].rows_rev > before[0].rows_rev);
}

static void a_clash_gives_back_what_is_there(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = with_vods(f);
    json_t *list = json_array(), *clash = NULL;
    json_array_append_new(list, vod("first", 1, 1, 1));
    json_array_append_new(list, vod("324918581187645440", 2, 2775, 7)); /* another start */
    json_array_append_new(list, vod("other", 2, 2777, 1555845900));     /* the number of another */
    json_array_append_new(list, vod("first", 1, 1, 2));                 /* one of this call */
    json_array_append_new(list, vod("last", 1, 2, 1));
    enum dz_put_result r[5];
    must(dz_catalog_collection_put(f->c, coll, list, false, r, &clash, err));
    json_decref(list);
    static const enum dz_put_result want[] = {DZ_PUT_NEW, DZ_PUT_CLASH, DZ_PUT_CLASH, DZ_PUT_CLASH,
                                              DZ_PUT_NEW};
    assert_memory_equal(r, want, sizeof(want));
    assert_int_equal(json_array_size(clash), 5);
    assert_true(json_is_null(json_array_get(clash, 0)) && json_is_null(json_array_get(clash, 4)));
    char *text = json_dumps(json_array_get(clash, 1), JSON_COMPACT);
    assert_string_equal(
        text, "{\"id\":\"324918581187645440\",\"l4cClubId\":2,\"l4cId\":2775,\"group\":\"BEJ48\","
              "\"title\":\"t\",\"subtitle\":\"\",\"startTime\":1555845900,\"sdStream\":null,"
              "\"hdStream\":\"http://h/hd.m3u8\",\"fhdStream\":null}");
    free(text);
    assert_string_equal(json_string_value(json_object_get(json_array_get(clash, 2), "id")),
                        "324479006241787906");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(clash, 3), "startTime")), 1);
    json_decref(clash);
    const struct dz_collection_bound to = {field(coll, "startTime"), number(8)};
    const struct dz_collection_ask early = {.to = &to};
    assert_rows(f, coll, &early, "id", "first; last");
}

static void a_row_is_replaced_when_that_is_asked_for(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = with_vods(f);
    json_t *v = vod("324918581187645440", 5, 2775, 7);
    json_object_set_new(v, "hdStream", json_null());
    json_object_set_new(v, "sdStream", json_string("sd"));
    assert_int_equal(put(f, coll, json_incref(v), true), DZ_PUT_REPLACED);
    assert_int_equal(put(f, coll, json_incref(v), true), DZ_PUT_SAME);
    json_object_del(v, "sdStream"); /* not named: stays */
    assert_int_equal(put(f, coll, v, true), DZ_PUT_SAME);
    assert_int_equal(put(f, coll, vod("324918581187645440", 5, 2777, 7), true), DZ_PUT_CLASH);
    const dz_str key = DZ_S("324918581187645440");
    const struct dz_collection_ask ask = {.by_keys = true, .keys = &key, .keys_n = 1};
    assert_rows(f, coll, &ask, "l4cId group startTime hdStream bestStream", "2775 5 7 - sd");
    sound(f);
}

static void what_is_wrong_with_a_record_is_said(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref)
    struct dz_collection *coll = declared(PERFVOD_WITH(MORE_FIELDS, PERFVOD_QUERIES));
    ensure(f, coll);
    static const struct {
        const char *name, *value, *words;
    } cases[] = {
        {"id", "null", "field id: is null"},
        {"id", "5", "field id: is no text"},
        {"id", "'a\\u0000b'", "zero byte"},
        {"l4cId", "1.5", "field l4cId: is no integer"},
        {"l4cId", "true", "field l4cId: is no integer"},
        {"group", "'SNH'", "field group: \"SNH\" is not a valid Group"},
        {"group", "9", "field group: 9 is not a valid Group"},
        {"group", "'BEJ48'", "another field says something else of column l4c_club_id"},
        {"l4cUrl", "'x'", "field l4cUrl: is derived"},
        {"titel", "'x'", "there is no field \"titel\""},
        {"rating", "'1'", "field rating: is no number"},
        {"live", "1", "field live: is neither true nor false"},
        {"tags", "'a'", "field tags: is no list"},
        {"tags", "['a', 1]", "field tags: item 2: is no text"},
    };
    for (size_t i = 0; i < DZ_LEN(cases); i++) {
        json_t *v = vod("x", 1, 1, 1), *list = list_of(vod("good", 1, 2, 1));
        json_object_set_new(v, "views", json_integer(1));
        json_object_set_new(v, "tags", json_array());
        json_object_set(json_array_get(list, 0), "views", json_object_get(v, "views"));
        json_object_set(json_array_get(list, 0), "tags", json_object_get(v, "tags"));
        DZ_AUTO(dz_freep) char *value = with_quotes(cases[i].value);
        json_object_set_new(v, cases[i].name,
                            json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
        assert_int_equal(dz_collection_check(coll, v, NULL), DZ_BAD_INPUT);
        json_array_append_new(list, v);
        const char *text = put_refused(f, coll, list, DZ_BAD_INPUT);
        if (!strstr(text, cases[i].words) || !strstr(text, "PerfVOD: record 2 of 2: "))
            fail_msg("\"%s\", want \"%s\"", text, cases[i].words);
    }
    json_t *v = vod("x", 1, 1, 1);
    assert_non_null(strstr(put_refused(f, coll, list_of(v), DZ_BAD_INPUT), "field views is miss"));
    put_refused(f, coll, list_of(json_string("x")), DZ_BAD_INPUT);
    put_refused(f, coll, json_object(), DZ_BAD_INPUT);
    assert_all(f, coll, "id", "");
}

static void texts_have_limits(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = declared(PERFVOD);
    ensure(f, coll);
    DZ_AUTO(dz_freep) char *big = dz_zalloc(DZ_LONG_TEXT_MAX + 2);
    memset(big, 'x', DZ_LONG_TEXT_MAX + 1);
    json_t *v = vod("x", 1, 1, 1);
    json_object_set_new(v, "title", json_stringn(big, DZ_LONG_TEXT_MAX + 1));
    assert_non_null(strstr(put_refused(f, coll, list_of(v), DZ_TOO_LARGE), "field title"));
    v = vod("x", 1, 1, 1);
    json_object_set_new(v, "id", json_stringn(big, DZ_TEXT_MAX + 1));
    assert_non_null(strstr(put_refused(f, coll, list_of(v), DZ_TOO_LARGE), "field id"));
    v = vod("x", 1, 1, 1);
    json_object_set_new(v, "title", json_stringn(big, DZ_LONG_TEXT_MAX));
    json_object_set_new(v, "id", json_stringn(big, DZ_TEXT_MAX));
    assert_int_equal(put(f, coll, v, false), DZ_PUT_NEW);
    sound(f);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static void ranges_are_ordered_and_filtered(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = with_vods(f);
    const struct dz_collection_query *q = &coll->queries[1];
    struct dz_collection_bound from = {q->range_field, number(1555776000)};
    struct dz_collection_bound to = {q->range_field, number(1555840800)};
    struct dz_collection_bound group = {field(coll, "group"), number(1)};
    struct dz_collection_ask ask = {.from = &from,
                                    .to = &to,
                                    .order = q->order.fields,
                                    .order_n = q->order.n,
                                    .filters = &group,
                                    .filters_n = 1};
    assert_rows(f, coll, &ask, "l4cId", "2772; 2774");
    ask.filters_n = 0;
    assert_rows(f, coll, &ask, "l4cId", "2772; 2773; 2774");
    ask.descending = true;
    assert_rows(f, coll, &ask, "l4cId", "2774; 2773; 2772");
    to.value = from.value;
    assert_rows(f, coll, &ask, "l4cId", "");
    to.value.kind = DZ_VALUE_NULL;
    from.value.n = 1555836300; /* inclusive */
    ask.descending = false;
    assert_rows(f, coll, &ask, "l4cId", "2774; 2777; 2775");
    to.value = number(1555845900); /* exclusive */
    assert_rows(f, coll, &ask, "l4cId", "2774; 2777");
    /* Only what is wanted is filled in. */
    bool wanted[32] = {0};
    wanted[field(coll, "bestStream")] = wanted[field(coll, "l4cUrl")] = true;
    ask.wanted = wanted;
    ask.limit = 1;
    assert_rows(f, coll, &ask, "l4cId hdStream bestStream l4cUrl",
                "- - http://h/hd.m3u8 https://live.48.cn/Index/invedio/club/1/id/2774");
    memset(wanted, 0, sizeof(wanted));
    assert_rows(f, coll, &ask, "id", "-");
}

/* Many rows of one time: the key makes an order of them, and a cursor misses none. */
static void a_cursor_goes_through_all_rows(void **state)
{
    struct fixture *f = *state;
    enum { ROWS = 57, STEP = 10 };
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = declared(PERFVOD);
    ensure(f, coll);
    json_t *list = json_array();
    for (int i = 0; i < ROWS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%02d", (i * 23) % ROWS);
        json_array_append_new(list, vod(id, 1, i, 100 + i / 20));
    }
    enum dz_put_result r[ROWS];
    must(dz_catalog_collection_put(f->c, coll, list, false, r, NULL, err));
    json_decref(list);
    for (int down = 0; down < 2; down++) {
        const size_t order = field(coll, "startTime");
        struct dz_collection_ask ask = {
            .order = &order, .order_n = 1, .limit = STEP, .descending = down};
        struct dz_collection_value after[2];
        struct shown all = {.coll = coll, .fields = "startTime id"}, part = all;
        dz_buf_init(&all.out, DZ_MIB);
        dz_buf_init(&part.out, DZ_MIB);
        ask.limit = 0;
        must(dz_catalog_collection_rows(f->c, coll, &ask, show_row, &all, err));
        assert_int_equal(all.rows, ROWS);
        ask.limit = STEP;
        for (size_t got = 0; got < ROWS;) {
            struct shown step = {.coll = coll, .fields = "startTime id"};
            dz_buf_init(&step.out, DZ_MIB);
            must(dz_catalog_collection_rows(f->c, coll, &ask, show_row, &step, err));
            got += step.rows;
            assert_int_equal(step.rows, got < ROWS ? STEP : ROWS % STEP);
            dz_buf_put(&part.out, part.out.n ? DZ_S("; ") : DZ_S(""));
            dz_buf_put(&part.out, dz_buf_str(&step.out));
            dz_str text = dz_buf_str(&part.out);
            size_t blank = dz_str_rchr(text, ' ');
            after[0] = number((text.p[blank - 1] - '0') + 100);
            after[1] = (struct dz_collection_value){
                .kind = DZ_VALUE_TEXT,
                .s = dz_arena_str(f->a, dz_str_sub(text, blank + 1, text.n))};
            ask.after = after;
            dz_buf_done(&step.out);
        }
        assert_string_equal(dz_buf_cstr(&part.out), dz_buf_cstr(&all.out));
        dz_buf_done(&all.out);
        dz_buf_done(&part.out);
    }
}

static void asks_are_checked(void **state)
{
    struct fixture *f = *state;
    DZ_AUTO(dz_collection_unref) struct dz_collection *coll = with_vods(f);
    struct shown s = {.coll = coll, .fields = "id"};
    const size_t subtitle = field(coll, "subtitle"), url = field(coll, "l4cUrl"), far = 1000;
    const struct dz_collection_bound bound = {subtitle, number(1)};
    const struct dz_collection_value after[] = {{.kind = DZ_VALUE_NULL}};
    const struct dz_collection_ask wrong[] = {
        {.order = &subtitle, .order_n = 1},  {.order = &url, .order_n = 1},
        {.order = &far, .order_n = 1},       {.from = &bound},
        {.filters = &bound, .filters_n = 1}, {.after = after},
    };
    for (size_t i = 0; i < DZ_LEN(wrong); i++)
        refused(dz_catalog_collection_rows(f->c, coll, &wrong[i], show_row, &s, err), DZ_BAD_INPUT);
    const struct dz_collection_ask many = {.by_keys = true, .keys_n = DZ_CALL_RECORDS_MAX + 1};
    refused(dz_catalog_collection_rows(f->c, coll, &many, show_row, &s, err), DZ_TOO_LARGE);
    /* Whoever reads may stop, and read again. */
    const struct dz_collection_ask all = {0};
    s.stop_at = 2;
    dz_buf_init(&s.out, DZ_MIB);
    refused(dz_catalog_collection_rows(f->c, coll, &all, show_row, &s, err), DZ_CANCELLED);
    assert_int_equal(s.rows, 2);
    dz_buf_done(&s.out);
    assert_all(f, coll, "l4cId", "2773; 2777; 2772; 2775; 2774");
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(a_table_is_made_once),
        CASE(what_was_never_ensured_is_not_found),
        CASE(fields_that_come_later_are_added),
        CASE(other_changes_are_refused),
        CASE(another_key_is_refused),
        CASE(words_queries_and_unique_tuples_may_change),
        CASE(names_may_be_words_of_sql),
        CASE(collections_of_two_sources_are_two),
        CASE(records_are_stored_and_found_again),
        CASE(many_records_come_in_the_order_asked),
        CASE(the_same_again_changes_nothing),
        CASE(a_clash_gives_back_what_is_there),
        CASE(a_row_is_replaced_when_that_is_asked_for),
        CASE(what_is_wrong_with_a_record_is_said),
        CASE(texts_have_limits),
        CASE(ranges_are_ordered_and_filtered),
        CASE(a_cursor_goes_through_all_rows),
        CASE(asks_are_checked),
    };
    return run_cases(cases, DZ_LEN(cases));
}
