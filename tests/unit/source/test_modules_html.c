/*
 * test_modules_html: html, date and image of sources, snippet by snippet.
 */
#include "modules.h"

#define PAGE                                                                                       \
    "local d = html.parse([[<!DOCTYPE html><title>T</title><div id=a class='x y'>one <b>two</b>"   \
    " three<a href='../p?q=1 2#f'>L</a></div><p><img src='//img.example.org/i.png'>"               \
    "<i data-k='&quot;v&quot;'></i></p>]], 'https://example.org/s/t/') "

static void documents(void **state)
{
    (void)state;
    static const struct snippet v[] = {
        {PAGE "return d:one('#a'):text()", "one two threeL"},
        {PAGE "return d:one('#a'):own_text()", "one  three"},
        {PAGE "return d:one('.x'):attr('class')", "x y"},
        {PAGE "return d:one('.x'):attr('nope')", "null"},
        {PAGE "return d:one('i'):attr('data-k')", "\"v\""},
        {PAGE "return d:one('.nope')", "null"},
        {PAGE "return #d:select('.nope')", "0"},
        {PAGE "return d:one('b'):html()", "<b>two</b>"},
        {PAGE "return d:one('b'):parent():name() .. d:one('b'):next():name()", "diva"},
        {PAGE "return d:one('a'):prev():name()", "b"},
        {PAGE "return d:one('b'):prev() == nil and d:one('a'):next() == nil", "true"},
        {PAGE "return d:root():parent() == nil", "true"},
        {PAGE "return #d:one('#a'):children()", "2"},
        {PAGE "return d:root():name() .. d:one('title'):text()", "htmlT"},
        {PAGE "return d:one('#a') == d:select('div')[1]", "true"},
        {PAGE "return d:one('#a') == d:one('b')", "false"},
        {PAGE "return d:one('p'):one('img'):attr('src')", "//img.example.org/i.png"},
        {PAGE "return #d:one('p'):select('b')", "0"},
        {PAGE "return d:one('a'):url('href')", "https://example.org/s/p?q=1%202#f"},
        {PAGE "return d:one('img'):url('src')", "https://img.example.org/i.png"},
        {PAGE "return d:one('b'):url('href')", "null"},
        {PAGE "return d:xpath('count(//div) + 1')", "2"},
        {PAGE "return d:xpath('string(//a/@href)')", "../p?q=1 2#f"},
        {PAGE "return d:xpath('//b')[1]:text()", "two"},
        {PAGE "return #d:xpath('//nope')", "0"},
        {PAGE "return d:one('p'):xpath('./img')[1]:name()", "img"},
        {PAGE "return d:text():sub(1, 1)", "T"},
        {"return html.parse('<base href=/b/><a href=c>'):one('a'):url('href')", "null"},
        {"return html.parse('<base href=/b/><a href=c>', 'http://h/x'):one('a'):url('href')",
         "http://h/b/c"},
        {"local d = html.parse('<base href=http://o/b/><a href=c>') d:one('a'):url('href') "
         "return d:one('a'):url('href')",
         "http://o/b/c"},
        {"return html.parse('<a href=\" http://o/x \">'):one('a'):url('href')", "http://o/x"},
        {"return html.parse('<a href=\"http://[x\">', 'http://h/'):one('a'):url('href')", "null"},
        {"return html.parse('<p>\\u{e9}\\u{3042}'):one('p'):text()", "\xC3\xA9\xE3\x81\x82"},
        {"return html.xml('<a><b c=\"1\"/><b/></a>'):select('a > b')[1]:attr('c')", "1"},
        {"return html.xml('<a x=\"1\"/>'):root():html()", "<a x=\"1\"/>"},
        {"return html.xml('<a>')", "! html.xml: line 1:"},
        {"return html.xml('<!DOCTYPE a><a/>')", "! a DOCTYPE is not read here"},
        {"return html.parse('')", "! html.parse: the page is empty"},
        {"return html.parse(nil)", "! html.parse: argument 1 must be a text, not nothing"},
        {"return html.parse('a', 'b')", "! html.parse: argument 2: the address does not start"},
        {PAGE "return d:select('a[')", "! html:select: "},
        {PAGE "return d:select()", "! html:select: argument 1 must be a text, not nothing"},
        {PAGE "return d.select('a', 'b')", "! html:select: call it with ':' on a document or"},
        {PAGE "return d:xpath('//[')", "! html:xpath: the XPath expression is not valid"},
        {PAGE "return d:xpath('//a\\0')", "! html:xpath: the expression holds a NUL"},
        {PAGE "return d:one('a'):attr({})", "! html:attr: argument 1 must be a text, not table"},
        {PAGE "return json.encode(d)", "! json.encode: a userdata cannot become JSON"},
        {PAGE "return d:one('a').nope == nil", "true"},
        {"return html.parse(('<i></i>'):rep(1000000))", "! uses more than 64 MiB of memory"},
    };
    RUN(v);
}

/* Documents that nobody holds make room for others; elements hold theirs. */
static void lives(void **state)
{
    (void)state;
    static const struct snippet v[] = {
        {"local page = '<p>' .. ('x'):rep(2^20) for i = 1, 80 do html.parse(page) end "
         "return 'good'",
         "good"},
        {"local n = {} for i = 1, 100 do n[i] = html.parse('<p id=p' .. i .. '>t'):one('p') end "
         "for i = 1, 20 do html.parse('<p>' .. ('x'):rep(2^20)) end "
         "local s = 0 for i = 1, 100 do assert(n[i]:attr('id') == 'p' .. i) end return n[7]:text()",
         "t"},
        {"local d = html.parse(('<i></i>'):rep(20000)) return #d:select('i')", "20000"},
        /* The last one: the budget of a run is used up for good. */
        {"local t = {} for i = 1, 10 do t[i] = html.parse(('<p>x'):rep(50000)) end return 1",
         "! uses more than 64 MiB of memory"},
    };
    RUN(v);
}

static void dates(void **state)
{
    (void)state;
    static const struct snippet v[] = {
        {"return date.iso(0)", "1970-01-01T00:00:00Z"},
        {"return date.iso(1795252835.9)", "2026-11-21T09:20:35Z"},
        {"return date.iso(1e20)", "! date.iso: the year lies outside"},
        {"return date.iso(0/0)", "! date.iso: the year lies outside"},
        {"return date.iso('x')", "! date.iso: argument 1 must be a number of seconds, not a text"},
        {"return date.iso(date.parse('2026-11-21T09:20:35Z'))", "2026-11-21T09:20:35Z"},
        {"return date.iso(date.parse('2026-11-21'))", "2026-11-21T00:00:00Z"},
        {"return date.iso(date.parse(' 2026-11-21 09:20 '))", "2026-11-21T09:20:00Z"},
        {"return date.iso(date.parse('2026-11-21T09:20:35.123456+09:00'))", "2026-11-21T00:20:35Z"},
        {"return date.iso(date.parse('20261121T092035-0130'))", "2026-11-21T10:50:35Z"},
        {"return date.iso(date.parse('2026-11-21 09:20 +05'))", "2026-11-21T04:20:00Z"},
        {"return date.iso(date.parse('2026-11-21', nil, {tz = '+09:00'}))", "2026-11-20T15:00:00Z"},
        {"return date.iso(date.parse('2026-11-21', nil, {tz = 'JST'}))", "2026-11-20T15:00:00Z"},
        {"return date.iso(date.parse('2026-11-21', nil, {tz = -3600}))", "2026-11-21T01:00:00Z"},
        {"return date.iso(date.parse('Sat, 21 Nov 2026 09:20:35 +0000'))", "2026-11-21T09:20:35Z"},
        {"return date.iso(date.parse('21 Nov 2026 09:20 EST'))", "2026-11-21T14:20:00Z"},
        {"return date.iso(date.parse('Sun, 06 Nov 1994 08:49:37 GMT'))", "1994-11-06T08:49:37Z"},
        {"return date.iso(date.parse('November 3, 2025', '%B %d, %Y'))", "2025-11-03T00:00:00Z"},
        {"return date.iso(date.parse('sept. 3rd 2025', '%b %drd %Y'))", "2025-09-03T00:00:00Z"},
        {"return date.iso(date.parse('3 mAy 99', '%d %b %y'))", "1999-05-03T00:00:00Z"},
        {"return date.iso(date.parse('12/31/68 11:59 p.m.', '%D %I:%M %p'))",
         "2068-12-31T23:59:00Z"},
        {"return date.iso(date.parse('2025-01-02 12:30 AM', '%F %I:%M %p'))",
         "2025-01-02T00:30:00Z"},
        {"return date.iso(date.parse('Wednesday 2025-060', '%A %Y-%j'))", "2025-03-01T00:00:00Z"},
        {"return date.iso(date.parse('2024-02-29 23:59:60', '%F %T'))", "2024-03-01T00:00:00Z"},
        {"return date.iso(date.parse('2024\\u{5e74}2\\u{6708}3\\u{65e5}', "
         "'%Y\\u{5e74}%m\\u{6708}%d\\u{65e5}', {tz = '+09:00'}))",
         "2024-02-02T15:00:00Z"},
        {"return date.parse('1700000000', '%s')", "1700000000"},
        {"return date.iso(date.parse('0001-01-01'))", "0001-01-01T00:00:00Z"},
        {"return date.iso(date.parse('9999-12-31T23:59:59Z'))", "9999-12-31T23:59:59Z"},
        {"return date.iso(date.parse('100% 2020', '100%% %Y'))", "2020-01-01T00:00:00Z"},
        {"return math.type(date.parse('2020-01-01'))", "integer"},
        {"return date.parse('2025-02-29')",
         "! date.parse: \"2025-02-29\": a day that the calendar"},
        {"return date.parse('2025-366', '%Y-%j')", "! a day that the calendar has"},
        {"return date.parse('2025-13-01')", "! a month was expected at character 6"},
        {"return date.parse('Nox 3', '%b %d')",
         "! the name of a month was expected at character 1"},
        {"return date.parse('3 days ago')", "! date.parse: \"3 days ago\": the name of a month"},
        {"return date.parse('yesterday')", "! a date as of ISO 8601 or RFC 5322 was expected"},
        {"return date.parse('')", "! date.parse"},
        {"return date.parse('2020-01-01x')", "! was expected at character 11"},
        {"return date.parse('2020', '%Q')", "! the format holds a directive that is not known"},
        {"return date.parse('2020-', '%Y')", "! the end of the text was expected at character 5"},
        {"return date.parse('20', '%Y')", "! a year of four digits was expected"},
        {"return date.parse('x', 'y')", "! the same character as in the format was expected"},
        {"return date.parse('2020-01-01', nil, {tz = 'Asia/Tokyo'})",
         "! date.parse: tz must be an offset such as"},
        {"return date.parse('2020-01-01', nil, {tz = 1e9 // 1 | 0})", "! tz is more than a day"},
        {"return date.parse('2020-01-01', nil, 'x')", "! date.parse: argument 3 must be a table"},
        {"return date.parse('2020-01-01', {})", "! date.parse: argument 2 must be a text"},
    };
    RUN(v);
}

static void pictures(void **state)
{
    (void)state;
    static const struct snippet v[] = {
        {"local i = image.info(picture) return {i.type, i.ext, i.width > 0, i.height > 0, "
         "i.exif('Nonsense') == nil, #i.exif('ImageUniqueID') > 100}",
         "[\"image/jpeg\",\"jpg\",true,true,true,true]"},
        {"local i = image.info(picture) return i.exif(('x'):rep(65))",
         "! exif: argument 1 is no name of a tag"},
        {"return image.info(picture:sub(1, -20))", "! image.info: "},
        {"return image.info('')", "! image.info: empty file"},
        {"return image.info('<html>')", "! image.info: not an image"},
        {"return image.info()", "! image.info: argument 1 must be a text, not nothing"},
    };
    struct dz_source_run *r;
    struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    must(dz_file_read(DATA_DIR "/shuffled.jpg", &b, err));
    must(src_state_new(NULL, NULL, NULL, "t", &r, err));
    lua_pushlstring(r->L, b.p, b.n);
    lua_setglobal(r->L, "picture");
    run_snippets_in(r, v, DZ_LEN(v));
    src_state_free(&r);
    dz_buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents),
        cmocka_unit_test(lives),
        cmocka_unit_test(dates),
        cmocka_unit_test(pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
