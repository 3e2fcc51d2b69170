/* comicinfo: fields, encodings, tolerance, and what is refused. */
#include "test.h"

#include "media/media.h"

static struct dz_arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = dz_arena_new(8 * DZ_MIB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dz_arena_free(&arena);
    return 0;
}

static struct dz_comicinfo parse(dz_str xml)
{
    struct dz_comicinfo info;
    must(dz_comicinfo_parse(xml, arena, &info, err));
    return info;
}

static void refuses(dz_str xml, enum dz_code code, const char *words)
{
    struct dz_comicinfo info;
    struct dz_err err = {0};
    enum dz_code got = dz_comicinfo_parse(xml, arena, &info, &err);
    if (got != code || strstr(err.text, words) == NULL)
        fail_msg("wanted %s \"%s\", got %s \"%s\"", dz_code_name(code), words, dz_code_name(got),
                 err.text);
}

#define assert_text(s, literal)                                                                    \
    do {                                                                                           \
        if (!dz_str_eq(s, DZ_S(literal)))                                                          \
            fail_msg("%s is \"%.*s\", not \"%s\"", #s, DZ_STR_FMT(s), literal);                    \
    } while (0)

static void reads_all_fields(void **state)
{
    (void)state;
    struct dz_comicinfo c = parse(
        DZ_S("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
             "<ComicInfo xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:x=\"1\">\n"
             "  <Title> The End &amp; more </Title><Series>進撃</Series><Number>10.5</Number>\n"
             "  <Count>12</Count><Volume>2</Volume><Summary><![CDATA[a <b> c]]></Summary>\n"
             "  <Year>2019</Year><Month>02</Month><Day> 3 </Day><Writer>W</Writer>\n"
             "  <Penciller>P</Penciller><Translator>T</Translator><Genre>G</Genre>\n"
             "  <Tags>a, b</Tags><Web>https://example.org/?a=1&amp;b=2</Web>\n"
             "  <PageCount>24</PageCount><LanguageISO>ja</LanguageISO>\n"
             "  <Manga>YesAndRightToLeft</Manga><AgeRating>Teen</AgeRating>\n"
             "  <Pages><Page Image=\"0\"/><Title>not this</Title></Pages><Unknown>x</Unknown>\n"
             "</ComicInfo>"));
    assert_text(c.title, "The End & more");
    assert_text(c.series, "進撃");
    assert_text(c.number, "10.5");
    assert_text(c.summary, "a <b> c");
    assert_text(c.writer, "W");
    assert_text(c.penciller, "P");
    assert_text(c.translator, "T");
    assert_text(c.genre, "G");
    assert_text(c.tags, "a, b");
    assert_text(c.web, "https://example.org/?a=1&b=2");
    assert_text(c.language, "ja");
    assert_text(c.manga, "YesAndRightToLeft");
    assert_text(c.age_rating, "Teen");
    assert_int_equal(c.count, 12);
    assert_int_equal(c.volume, 2);
    assert_int_equal(c.year, 2019);
    assert_int_equal(c.month, 2);
    assert_int_equal(c.day, 3);
    assert_int_equal(c.page_count, 24);
}

static void tolerates(void **state)
{
    (void)state;
    struct dz_comicinfo c =
        parse(DZ_S("\n\n<?xml version=\"1.0\"?><ComicInfo><Volume>-1</Volume><Count>abc</Count>"
                   "<Year></Year><Month>3.5</Month><Number>1AU</Number><Title/>"
                   "<Title>second</Title><Title>third</Title>"
                   "<PageCount>99999999999999999999</PageCount></ComicInfo>"));
    assert_int_equal(c.volume, -1);
    assert_int_equal(c.count, -1);
    assert_int_equal(c.year, -1);
    assert_int_equal(c.month, -1);
    assert_int_equal(c.day, -1);
    assert_int_equal(c.page_count, -1);
    assert_text(c.number, "1AU");
    assert_text(c.title, "second");
    assert_int_equal(c.series.n, 0);

    c = parse(DZ_S("<comicinfo><SERIES>x<b>y</b>z</SERIES></comicinfo>"));
    assert_text(c.series, "xyz");
    c = parse(DZ_S("<x:ComicInfo><x:Series>undeclared prefix</x:Series></x:ComicInfo>"));
    assert_text(c.series, "undeclared prefix");
    c = parse(DZ_S("<ComicInfo/>"));
    assert_int_equal(c.title.n, 0);
}

static void reads_encodings(void **state)
{
    (void)state;
    struct dz_comicinfo c =
        parse(DZ_S("\xef\xbb\xbf<ComicInfo><Series>caf\xc3\xa9</Series></ComicInfo>"));
    assert_text(c.series, "café");
    c = parse(DZ_S("<?xml version='1.0' encoding='ISO-8859-1'?>"
                   "<ComicInfo><Series>caf\xe9</Series></ComicInfo>"));
    assert_text(c.series, "café");
    c = parse(DZ_S("<?xml version='1.0' encoding='Shift_JIS'?>"
                   "<ComicInfo><Series>\x93\xfa\x96{</Series></ComicInfo>"));
    assert_text(c.series, "日本");

    static const char text[] = "<?xml version='1.0' encoding='UTF-16'?>\n"
                               "<ComicInfo><Series>Wide</Series></ComicInfo>";
    char wide[2 * sizeof(text)] = "\xff\xfe";
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        wide[2 + 2 * i] = text[i];
    c = parse((dz_str){wide, 2 * sizeof(text)});
    assert_text(c.series, "Wide");
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    refuses(DZ_S(""), DZ_PARSE, "empty");
    refuses(DZ_S(" \n "), DZ_PARSE, "empty");
    refuses(DZ_S("hello"), DZ_PARSE, "line 1");
    refuses(DZ_S("<ComicInfo>\n<Series>\n</ComicInfo>"), DZ_PARSE, "line 3");
    refuses(DZ_S("<ComicInfo><Series>x</Series>"), DZ_PARSE, "line 1");
    refuses(DZ_S("<html></html>"), DZ_PARSE, "the root is <html>");
    refuses(DZ_S("<ComicInfo><Series>a & b</Series></ComicInfo>"), DZ_PARSE, "line 1");
    refuses(DZ_S("<ComicInfo><Series>&nbsp;</Series></ComicInfo>"), DZ_PARSE, "nbsp");
    refuses(DZ_S("<ComicInfo><Series>caf\xe9</Series></ComicInfo>"), DZ_PARSE, "UTF-8");
    refuses(DZ_S("<?xml version='1.0' encoding='Shift_JIS'?>\n"
                 "<ComicInfo><Series>\xff\xff</Series></ComicInfo>"),
            DZ_PARSE, "conversion failed");
}

static void refuses_doctype(void **state)
{
    (void)state;
    refuses(DZ_S("<?xml version=\"1.0\"?>\n<!DOCTYPE ComicInfo [<!ENTITY a \"b\">]>\n"
                 "<ComicInfo><Series>&a;</Series></ComicInfo>"),
            DZ_PARSE, "line 2: a DOCTYPE is not allowed");
    refuses(DZ_S("<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><ComicInfo/>"), DZ_PARSE, "DOCTYPE");
    refuses(DZ_S("<!DOCTYPE l [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;\">"
                 "<!ENTITY % c SYSTEM \"http://127.0.0.1:1/\"> %c;]>"
                 "<ComicInfo><Series>&b;</Series></ComicInfo>"),
            DZ_PARSE, "DOCTYPE");
}

static void keeps_limits(void **state)
{
    (void)state;
    struct dz_buf b;
    dz_buf_init(&b, 2 * DZ_MIB);
    dz_buf_put(&b, DZ_S("<ComicInfo><Summary>"));
    while (b.n < 1024 * 1024 - 100)
        dz_buf_put(&b, DZ_S("long text "));
    dz_buf_put(&b, DZ_S("</Summary></ComicInfo>"));
    struct dz_comicinfo c = parse(dz_buf_str(&b));
    assert_in_range(c.summary.n, 1000 * 1000, 1024 * 1024);

    struct dz_arena *small = dz_arena_new(64 * 1024);
    struct dz_err err = {0};
    assert_int_equal(dz_comicinfo_parse(dz_buf_str(&b), small, &c, &err), DZ_TOO_LARGE);
    assert_non_null(strstr(err.text, "Summary"));
    dz_arena_free(&small);

    while (b.n <= 1024 * 1024)
        dz_buf_put(&b, DZ_S("          "));
    refuses(dz_buf_str(&b), DZ_TOO_LARGE, "at most 1048576");

    dz_buf_clear(&b);
    dz_buf_put(&b, DZ_S("<ComicInfo>"));
    for (int i = 0; i < 100000; i++)
        dz_buf_put(&b, DZ_S("<a>"));
    refuses(dz_buf_str(&b), DZ_PARSE, "line 1");
    dz_buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_all_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(tolerates, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_encodings, setup, teardown),
        cmocka_unit_test_setup_teardown(says_what_is_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_doctype, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_limits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
