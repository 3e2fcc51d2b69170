/* html: elements below an element, their texts, XPath, charsets, hostile documents; what selectors
 * find is in test_selector.c. */
#include "doc.h"

static void selects_below_an_element(void **state)
{
    (void)state;
    DZ_AUTO(dz_doc_free) struct dz_doc *d = page();
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    DZ_AUTO(dz_buf_done) struct dz_buf ids;
    dz_buf_init(&ids, DZ_MIB);
    struct dz_nodes nodes;
    assert_int_equal(dz_doc_select(d, NULL, DZ_S("#volumes"), a, &nodes, NULL), DZ_OK);
    assert_int_equal(nodes.n, 1);
    select_ids(d, nodes.v[0], "*", &ids);
    assert_true(dz_str_starts(dz_buf_str(&ids), DZ_S("v1 v2 cover v3")));
    select_ids(d, nodes.v[0], "ul", &ids); /* not the element itself */
    assert_int_equal(ids.n, 0);
    select_ids(d, nodes.v[0], "#shelf li:first-child", &ids); /* judged in the whole page */
    assert_true(dz_str_eq(dz_buf_str(&ids), DZ_S("v1")));

    struct dz_node *li = dz_node_child(nodes.v[0]);
    assert_true(dz_str_eq(dz_node_name(li), DZ_S("li")));
    assert_null(dz_node_prev(li));
    assert_ptr_equal(dz_node_prev(dz_node_next(li)), li);
    assert_ptr_equal(dz_node_parent(li), nodes.v[0]);
    assert_null(dz_node_child(li));
    assert_null(dz_node_parent(dz_doc_root(d)));
}

static void reads_elements(void **state)
{
    (void)state;
    static const char text[] = "<p class=x data-a='1&amp;2'>one <b>two <i>three</i></b> &eacute;"
                               "<script>if (a < b) c()</script></p>";
    DZ_AUTO(dz_doc_free) struct dz_doc *d = NULL;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    DZ_AUTO(dz_buf_done) struct dz_buf out;
    dz_buf_init(&out, DZ_MIB);
    assert_int_equal(dz_doc_html(DZ_S(text), (dz_str){0}, DZ_DOC_TREE_MAX, &d, NULL), DZ_OK);
    struct dz_nodes nodes;
    assert_int_equal(dz_doc_select(d, NULL, DZ_S("p.x"), a, &nodes, NULL), DZ_OK);
    assert_int_equal(nodes.n, 1);
    dz_node_text(nodes.v[0], true, &out);
    assert_true(dz_str_eq(dz_buf_str(&out), DZ_S("one  \xC3\xA9")));
    dz_buf_clear(&out);
    dz_node_text(nodes.v[0], false, &out);
    assert_true(dz_str_eq(dz_buf_str(&out), DZ_S("one two three \xC3\xA9if (a < b) c()")));
    dz_str value;
    assert_true(dz_node_attr(nodes.v[0], DZ_S("data-a"), a, &value));
    assert_true(dz_str_eq(value, DZ_S("1&2")));
    assert_false(dz_node_attr(nodes.v[0], DZ_S("data-b"), a, &value));
    dz_buf_clear(&out);
    dz_node_html(d, dz_node_child(nodes.v[0]), &out);
    assert_true(dz_str_starts(dz_buf_str(&out), DZ_S("<b>two <i>three</i></b>")));
}

static void evaluates_xpath(void **state)
{
    (void)state;
    DZ_AUTO(dz_doc_free) struct dz_doc *d = page();
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_nodes nodes;
    dz_str text;
    struct dz_err err;
    assert_int_equal(dz_doc_xpath(d, NULL, DZ_S("//li[@class]"), a, &nodes, &text, &err), DZ_OK);
    assert_int_equal(nodes.n, 2);
    assert_null(text.p);
    struct dz_node *li = nodes.v[0];
    assert_int_equal(dz_doc_xpath(d, NULL, DZ_S("count(//li)"), a, &nodes, &text, &err), DZ_OK);
    assert_true(dz_str_eq(text, DZ_S("7")));
    assert_int_equal(dz_doc_xpath(d, li, DZ_S("../@class"), a, &nodes, &text, &err), DZ_OK);
    assert_true(dz_str_eq(text, DZ_S("grid wide dark")));
    assert_int_equal(nodes.n, 0);
    assert_int_equal(dz_doc_xpath(d, li, DZ_S("//nothing"), a, &nodes, &text, &err), DZ_OK);
    assert_int_equal(nodes.n, 0);
    assert_null(text.p);
    static const char *bad[] = {"//[", "", "nofunction()", "//li[", "$x", "ns:a", "1 +"};
    for (size_t i = 0; i < DZ_LEN(bad); i++)
        assert_int_equal(dz_doc_xpath(d, NULL, dz_str_of(bad[i]), a, &nodes, &text, &err),
                         DZ_BAD_INPUT);
}

static void refuses_bad_selectors(void **state)
{
    (void)state;
    static const struct {
        const char *css, *words;
    } rows[] = {
        {"", "character 1"},
        {"a,", "character 3"},
        {"a >", "character 4"},
        {"> a", "character 1"},
        {"a[", "character 3"},
        {"a[b", "character 4"},
        {"a[b=", "character 5"},
        {"a[b='c", "does not end"},
        {"a[b%=c]", "missing"},
        {"a:", "character 3"},
        {"a:nope", "pseudo-class"},
        {"a:nope(1)", "pseudo-class"},
        {"a::before", "elements"},
        {"a:not(", "character 7"},
        {"a:not(b", ") is missing"},
        {":nth-child(", "2n+1"},
        {":nth-child()", "2n+1"},
        {":nth-child(2n+)", "2n+1"},
        {":nth-child(n2)", "2n+1"},
        {":nth-child(1 2 n)", "2n"},
        {"*:first-of-type", "name"},
        {"*:nth-of-type(1)", "name"},
        {"a b)", "character 4"},
        {"a..b", "character 3"},
        {"a#", "character 3"},
        {"a $ b", "character 3"},
        {":contains(", "character 11"},
        {"\\", "escapes"},
        {"a{}", "character 2"},
        {"[a='\x01']", "no document"},
        {"[a='\xFF']", "no document"},
        {"a,,b", "character 3"},
    };
    DZ_AUTO(dz_buf_done) struct dz_buf out;
    dz_buf_init(&out, DZ_MIB);
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        struct dz_err err = {0};
        if (dz_css_to_xpath(dz_str_of(rows[i].css), true, &out, &err) != DZ_BAD_INPUT ||
            !strstr(err.text, rows[i].words))
            fail_msg("%s: %s, not %s", rows[i].css, err.text, rows[i].words);
    }
    char deep[2000] = "a";
    for (int i = 0; i < 100; i++)
        memcpy(deep + 1 + 5 * (size_t)i, ":not(", 6);
    assert_int_equal(dz_css_to_xpath(dz_str_of(deep), true, &out, NULL), DZ_BAD_INPUT);
    DZ_AUTO(dz_freep) char *longer = dz_alloc(DZ_SELECTOR_MAX + 1);
    memset(longer, 'a', DZ_SELECTOR_MAX + 1);
    assert_int_equal(dz_css_to_xpath((dz_str){longer, DZ_SELECTOR_MAX + 1}, true, &out, NULL),
                     DZ_TOO_LARGE);
    assert_int_equal(out.n, 0);
}

/* Names and texts that could leave their place in the expression. */
static void escapes(void **state)
{
    (void)state;
    static const char html[] = "<p id=\"it's\">a</p><p id='\"q\"'>b</p><p id=\"a'b&quot;c\">c</p>"
                               "<p id=1x>d</p><p class='x:y 2z'>e</p><p>f</p>";
    static const struct {
        const char *css, *text;
    } rows[] = {
        {"[id=\"it's\"]", "a"},
        {"[id='\"q\"']", "b"},
        {"[id='a\\'b\"c']", "c"},
        {"#\\31 x", "d"},
        {"#1x", "d"},
        {".x\\:y", "e"},
        {".\\32 z", "e"},
        {"p:contains('f')", "f"},
        {"p:contains(\"a']\")", ""},
        {"[id*=\"'b\\22 \"]", "c"},
        {"p\\:p", ""},
    };
    DZ_AUTO(dz_doc_free) struct dz_doc *d = NULL;
    assert_int_equal(dz_doc_html(DZ_S(html), (dz_str){0}, DZ_DOC_TREE_MAX, &d, NULL), DZ_OK);
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
        DZ_AUTO(dz_buf_done) struct dz_buf text;
        dz_buf_init(&text, DZ_MIB);
        struct dz_nodes nodes;
        struct dz_err err;
        if (dz_doc_select(d, NULL, dz_str_of(rows[i].css), a, &nodes, &err) != DZ_OK)
            fail_msg("%s: %s", rows[i].css, err.text);
        for (size_t k = 0; k < nodes.n; k++)
            dz_node_text(nodes.v[k], false, &text);
        if (!dz_str_eq(dz_buf_str(&text), dz_str_of(rows[i].text)))
            fail_msg("%s: found \"%s\"", rows[i].css, dz_buf_cstr(&text));
    }
}

static void reads_charsets(void **state)
{
    (void)state;
    static const struct {
        const char *html, *charset, *title;
    } rows[] = {
        {"<title>\xC3\xA9</title>", "", "\xC3\xA9"},
        {"<title>\xE9</title>", "", "\xC3\xA9"},
        {"<title>\xE9\x80</title>", "iso-8859-1", "\xC3\xA9\xE2\x82\xAC"},
        {"<meta charset='shift_jis'><title>\x93\xFA</title>", "", "\xE6\x97\xA5"},
        {"<meta http-equiv=content-type content='text/html; "
         "charset=EUC-JP'><title>\xC6\xFC</title>",
         "", "\xE6\x97\xA5"},
        {"<meta charset='shift_jis'><title>\xC3\xA9</title>", "utf-8", "\xC3\xA9"},
        {"\xEF\xBB\xBF<title>\xC3\xA9</title>", "iso-8859-1", "\xC3\xA9"},
    };
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        DZ_AUTO(dz_doc_free) struct dz_doc *d = NULL;
        DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
        DZ_AUTO(dz_buf_done) struct dz_buf text;
        dz_buf_init(&text, DZ_MIB);
        struct dz_nodes nodes;
        assert_int_equal(dz_doc_html(dz_str_of(rows[i].html), dz_str_of(rows[i].charset),
                                     DZ_DOC_TREE_MAX, &d, NULL),
                         DZ_OK);
        assert_int_equal(dz_doc_select(d, NULL, DZ_S("title"), a, &nodes, NULL), DZ_OK);
        assert_int_equal(nodes.n, 1);
        dz_node_text(nodes.v[0], false, &text);
        if (!dz_str_eq(dz_buf_str(&text), dz_str_of(rows[i].title)))
            fail_msg("row %zu: \"%s\"", i, dz_buf_cstr(&text));
    }
    struct dz_doc *none = NULL;
    struct dz_err err;
    assert_int_equal(dz_doc_html(DZ_S("<p>"), DZ_S("klingon"), DZ_DOC_TREE_MAX, &none, &err),
                     DZ_PARSE);
    assert_non_null(strstr(err.text, "klingon"));
    assert_int_equal(dz_doc_html(DZ_S(" \n"), (dz_str){0}, DZ_DOC_TREE_MAX, &none, &err), DZ_PARSE);
}

static void reads_xml(void **state)
{
    (void)state;
    static const char feed[] = "<?xml version='1.0'?><feed xmlns='http://www.w3.org/2005/Atom' "
                               "xmlns:m='urn:m'><entry><m:Count>3</m:Count></entry></feed>";
    DZ_AUTO(dz_doc_free) struct dz_doc *d = NULL;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(DZ_MIB);
    struct dz_nodes nodes;
    dz_str text;
    assert_int_equal(dz_doc_xml(DZ_S(feed), DZ_DOC_TREE_MAX, &d, NULL), DZ_OK);
    assert_int_equal(dz_doc_select(d, NULL, DZ_S("feed > entry Count"), a, &nodes, NULL), DZ_OK);
    assert_int_equal(nodes.n, 1);
    assert_int_equal(dz_doc_select(d, NULL, DZ_S("m|Count"), a, &nodes, NULL), DZ_OK);
    assert_int_equal(nodes.n, 1);
    assert_int_equal(dz_doc_select(d, NULL, DZ_S("count"), a, &nodes, NULL), DZ_OK);
    assert_int_equal(nodes.n, 0);
    assert_int_equal(dz_doc_xpath(d, NULL, DZ_S("string(//m:Count)"), a, &nodes, &text, NULL),
                     DZ_OK);
    assert_true(dz_str_eq(text, DZ_S("3")));

    static const char *bad[] = {
        "<a>",
        "<a></b>",
        "x",
        "<a/><b/>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        "<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]><a>&b;</a>",
    };
    for (size_t i = 0; i < DZ_LEN(bad); i++) {
        struct dz_doc *none = NULL;
        struct dz_err err;
        assert_int_equal(dz_doc_xml(dz_str_of(bad[i]), DZ_DOC_TREE_MAX, &none, &err), DZ_PARSE);
        assert_non_null(strstr(err.text, "line 1"));
        assert_null(none);
    }
}

/* A page that makes a selection costly is refused, and the process goes on. */
static void stops_costly_selections(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf html;
    dz_buf_init(&html, 16 * DZ_MIB);
    for (int i = 0; i < 60000; i++)
        dz_buf_put(&html, DZ_S("<i></i>"));
    DZ_AUTO(dz_doc_free) struct dz_doc *d = NULL;
    DZ_AUTO(dz_arena_free) struct dz_arena *a = dz_arena_new(16 * DZ_MIB);
    struct dz_nodes nodes;
    struct dz_err err;
    assert_int_equal(dz_doc_html(dz_buf_str(&html), (dz_str){0}, DZ_DOC_TREE_MAX, &d, NULL), DZ_OK);
    assert_int_equal(dz_doc_select(d, NULL, DZ_S("i"), a, &nodes, &err), DZ_OK);
    assert_int_equal(nodes.n, 60000);
    assert_int_equal(dz_doc_select(d, NULL, DZ_S("i:nth-last-child(2n+1)"), a, &nodes, &err),
                     DZ_TOO_LARGE);
    assert_non_null(strstr(err.text, "too many steps"));

    /* A text that an expression makes is judged by the arena that it shall lie in. */
    DZ_AUTO(dz_arena_free) struct dz_arena *small = dz_arena_new(2048);
    dz_str text;
    assert_int_equal(
        dz_doc_xpath(d, NULL, DZ_S("string-length(name(//i))"), small, &nodes, &text, &err), DZ_OK);
    dz_buf_clear(&html);
    dz_buf_put(&html, DZ_S("concat('"));
    for (int i = 0; i < 3000; i++)
        dz_buf_putc(&html, 'x');
    dz_buf_put(&html, DZ_S("', 'y')"));
    assert_int_equal(dz_doc_xpath(d, NULL, dz_buf_str(&html), small, &nodes, &text, &err),
                     DZ_TOO_LARGE);

    dz_buf_clear(&html);
    for (int i = 0; i < 100000; i++)
        dz_buf_put(&html, DZ_S("<b>"));
    struct dz_doc *deep = NULL; /* the parser's own limit of depth, and no stack used up */
    assert_int_equal(dz_doc_html(dz_buf_str(&html), (dz_str){0}, DZ_DOC_TREE_MAX, &deep, &err),
                     DZ_OK);
    assert_int_equal(dz_doc_select(deep, NULL, DZ_S("b b b"), a, &nodes, &err), DZ_OK);
    dz_buf_clear(&html);
    dz_node_text(dz_doc_root(deep), false, &html);
    dz_doc_free(&deep);
}

/* The parser compares each attribute of a tag with each: a quarter of a megabyte took ten seconds.
 */
static void refuses_endless_tags(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, DZ_MIB);
    struct dz_doc *d = NULL;
    struct dz_err err = {0};
    for (int xml = 0; xml < 2; xml++) {
        for (int n = 80; n <= 8000; n *= 100) {
            dz_buf_clear(&text);
            dz_buf_put(&text, DZ_S("<a"));
            for (int i = 0; i < n; i++)
                dz_buf_putf(&text, " a%d=\"v\"", i);
            dz_buf_put(&text, DZ_S(">x</a>"));
            dz_str s = dz_buf_str(&text);
            enum dz_code code = xml ? dz_doc_xml(s, DZ_DOC_TREE_MAX, &d, &err)
                                    : dz_doc_html(s, (dz_str){0}, DZ_DOC_TREE_MAX, &d, &err);
            assert_int_equal(code, n == 80 ? DZ_OK : DZ_TOO_LARGE);
            dz_doc_free(&d);
        }
        assert_non_null(strstr(err.text, "too many attributes"));
    }
    dz_buf_clear(&text); /* a long value is no long tag */
    dz_buf_put(&text, DZ_S("<img src='data:,"));
    for (int i = 0; i < 500000; i++)
        dz_buf_putc(&text, 'x');
    dz_buf_put(&text, DZ_S("'>"));
    assert_int_equal(dz_doc_html(dz_buf_str(&text), (dz_str){0}, DZ_DOC_TREE_MAX, &d, &err), DZ_OK);
    dz_doc_free(&d);
}

/* What a byte of a page becomes is measured: 4 of them are an attribute of 100 and more. */
static void measures_trees(void **state)
{
    (void)state;
    static const struct {
        const char *begin, *middle, *end;
        bool xml;
    } rows[] = {
        {"", "<p ab ac ad ae af ag ah ai aj ak al am an ao ap aq ar as at au av aw ax ay az>", "",
         false},
        {"", "<i></i>", "", false},
        {"", "<!-->", "", false},
        {"", "a<b>c</b>", "", false},
        {"<r>", "<i/>", "</r>", true},
        {"<r>", "<i a='' b='' c='' d=''/>", "</r>", true},
        {"<r>", "a<!---->", "</r>", true},
        {"<r>", "<?a?>", "</r>", true},
        {"<r>", "<i xmlns:a='b' xmlns:c='d'/>", "</r>", true},
    };
    const size_t few = 4 * DZ_MIB;
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 16 * DZ_MIB);
    for (size_t i = 0; i < DZ_LEN(rows); i++) {
        struct dz_doc *d = NULL;
        struct dz_err err = {0};
        repeat(&text, rows[i].middle, 1000);
        DZ_AUTO(dz_buf_done) struct dz_buf all;
        dz_buf_init(&all, 16 * DZ_MIB);
        dz_buf_putf(&all, "%s%s%s", rows[i].begin, dz_buf_cstr(&text), rows[i].end);
        dz_str s = dz_buf_str(&all);
        enum dz_code code = rows[i].xml ? dz_doc_xml(s, DZ_DOC_TREE_MAX, &d, &err)
                                        : dz_doc_html(s, (dz_str){0}, DZ_DOC_TREE_MAX, &d, &err);
        assert_int_equal(code, DZ_OK);
        assert_true(dz_doc_bytes(d) > s.n);
        dz_doc_free(&d);
        repeat(&text, rows[i].middle, 4 * DZ_MIB / strlen(rows[i].middle));
        dz_buf_clear(&all);
        dz_buf_putf(&all, "%s%s%s", rows[i].begin, dz_buf_cstr(&text), rows[i].end);
        s = dz_buf_str(&all);
        code =
            rows[i].xml ? dz_doc_xml(s, few, &d, &err) : dz_doc_html(s, (dz_str){0}, few, &d, &err);
        if (code != DZ_FULL)
            fail_msg("%s: %d %s", rows[i].middle, (int)code, err.text);
        assert_non_null(strstr(err.text, "4096 KiB"));
        assert_null(d);
    }
}

/* Names that are all different are looked up one after another by the library. */
static void stops_long_readings(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf text;
    dz_buf_init(&text, 32 * DZ_MIB);
    dz_buf_put(&text, DZ_S("<r>"));
    for (unsigned i = 0; i < 2000000; i++)
        dz_buf_putf(&text, "<n%x/>", i);
    dz_buf_put(&text, DZ_S("</r>"));
    struct dz_doc *d = NULL;
    struct dz_err err = {0};
    assert_int_equal(dz_doc_xml(dz_buf_str(&text), DZ_DOC_TREE_MAX, &d, &err), DZ_TOO_LARGE);
    assert_non_null(strstr(err.text, "too long"));
    assert_null(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selects_below_an_element),
        cmocka_unit_test(reads_elements),
        cmocka_unit_test(evaluates_xpath),
        cmocka_unit_test(escapes),
        cmocka_unit_test(refuses_bad_selectors),
        cmocka_unit_test(reads_charsets),
        cmocka_unit_test(reads_xml),
        cmocka_unit_test(stops_costly_selections),
        cmocka_unit_test(refuses_endless_tags),
        cmocka_unit_test(measures_trees),
        cmocka_unit_test(stops_long_readings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
