/*
 * test_multipart: forms in pieces: each body is fed whole, byte by byte and cut in two at every
 * place, and must tell the same each time.
 */
#include "http/http.h"
#include "test.h"

/* What was told, as a line a part: "name|filename|type|content;". */
struct told {
    struct dz_buf b;
    int pieces, fail_at;
};

static enum dz_code on_begin(void *arg, const struct dz_multipart_part *p, struct dz_err *err)
{
    struct told *t = arg;
    (void)err;
    dz_buf_put(&t->b, p->name);
    dz_buf_putc(&t->b, '|');
    dz_buf_put(&t->b, p->has_filename ? p->filename : DZ_S("-"));
    dz_buf_putc(&t->b, '|');
    dz_buf_put(&t->b, p->content_type);
    dz_buf_putc(&t->b, '|');
    return DZ_OK;
}

static enum dz_code on_data(void *arg, dz_str bytes, struct dz_err *err)
{
    struct told *t = arg;
    assert_true(bytes.n > 0);
    if (++t->pieces == t->fail_at)
        return dz_fail(err, DZ_TOO_LARGE, "enough");
    dz_buf_put(&t->b, bytes);
    return DZ_OK;
}

static enum dz_code on_end(void *arg, struct dz_err *err)
{
    struct told *t = arg;
    (void)err;
    dz_buf_put(&t->b, DZ_S(";"));
    return DZ_OK;
}

#define TYPE DZ_S("multipart/form-data; boundary=b")

/* One reading in pieces that end at `cut` (0: every byte is one). The words of a failure follow
 * what was told before. */
static void read_cut(dz_str type, dz_str body, size_t cut, struct told *t)
{
    DZ_AUTO(dz_multipart_free) struct dz_multipart *m = NULL;
    const struct dz_multipart_reader reader = {on_begin, on_data, on_end, t};
    struct dz_err err = {0};
    dz_buf_init(&t->b, DZ_MIB);
    enum dz_code code = dz_multipart_new(type, &reader, &m, &err);
    if (code == DZ_OK && cut > 0) {
        code = dz_multipart_feed(m, dz_str_sub(body, 0, cut), &err);
        if (code == DZ_OK)
            code = dz_multipart_feed(m, dz_str_sub(body, cut, body.n), &err);
    }
    for (size_t i = 0; code == DZ_OK && cut == 0 && i < body.n; i++)
        code = dz_multipart_feed(m, dz_str_sub(body, i, i + 1), &err);
    if (code == DZ_OK)
        code = dz_multipart_end(m, &err);
    if (code != DZ_OK) {
        dz_buf_put(&t->b, DZ_S("!"));
        dz_buf_put(&t->b, dz_str_of(err.text));
    }
}

static void expect_typed(dz_str type, dz_str body, const char *want)
{
    for (size_t cut = 0; cut <= body.n; cut++) {
        struct told t = {.pieces = 0};
        read_cut(type, body, cut, &t);
        if (strcmp(dz_buf_cstr(&t.b), want) != 0)
            fail_msg("cut at %zu: \"%s\", want \"%s\"", cut, dz_buf_cstr(&t.b), want);
        dz_buf_done(&t.b);
    }
}

#define EXPECT(body, want) expect_typed(TYPE, DZ_S(body), want)
#define PART "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n"

static void parts(void **state)
{
    (void)state;
    EXPECT(PART "Content-Type: image/png\r\n\r\nbytes\r\n--b--\r\n", "file|a.png|image/png|bytes;");
    EXPECT(PART "\r\n\r\n--b--", "file|a.png||;");
    EXPECT(PART "\r\n--b--", "file|a.png||;"); /* RFC 2046: a part without a body */
    EXPECT("--b\r\ncontent-disposition:form-data;name=x\r\n\r\n1\r\n" PART
           "\r\n2\r\n3\r\n--b--\r\nepilogue\r\n--b\r\n\r\n",
           "x|-||1;file|a.png||2\r\n3;");
    EXPECT("preamble\r\n--bb\r\n" PART "\r\nx\r\n--b--", "file|a.png||x;");
    EXPECT("--b \t \r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--", "a|-||x;");
    EXPECT("--b\r\n\r\nnameless\r\n--b--", "|-||nameless;");
    EXPECT("--b--", "");
}

static void names(void **state)
{
    (void)state;
    EXPECT("--b\r\nContent-Disposition: form-data; name=\"a\\\"b\\\\c;d\"; filename=\"\"\r\n\r\n"
           "\r\n--b--",
           "a\"b\\c;d|||;");
    EXPECT("--b\r\nContent-Disposition: form-data; filename=x.y ; name = file\r\n\r\n\r\n--b--",
           "file|x.y||;");
    EXPECT(
        "--b\r\nContent-Disposition: FORM-DATA; Name=file; filename*=UTF-8''%41\r\n\r\n\r\n--b--",
        "file|||;");
    EXPECT("--b\r\nX-Other: y\r\nContent-Transfer-Encoding: Binary\r\nContent-Type:   weird\r\n"
           "Content-Disposition: form-data; name=file\r\n\r\n\r\n--b--",
           "file|-|weird|;");
    EXPECT("--b\r\nContent-Disposition: form-data; name=\"file\"; "
           "filename=\"C:\\a\\\"\r\n\r\n\r\n--b--",
           "file|C:\\a\\||;");
}

static void nearly_boundaries(void **state)
{
    (void)state;
    EXPECT(PART "\r\n\r\n--\r\n-b\r\n--bx\r\n--b-\r\n--b x\r\n--b\rx\r\n--b\n\r\n--b--",
           "file|a.png||\r\n--\r\n-b\r\n--bx\r\n--b-\r\n--b x\r\n--b\rx\r\n--b\n;");
    EXPECT(PART "\r\n\r\r\n\n--b\n\r\n--b\r\r\n--b--", "file|a.png||\r\r\n\n--b\n\r\n--b\r;");
    EXPECT(PART "\r\n\r\n--b\r\r\r\n--b--", "file|a.png||\r\n--b\r\r;");
    EXPECT(PART "\r\n--b--", "file|a.png||;");
    EXPECT(PART "\r\n--bx\r\n--b--", "file|a.png||--bx;");
    expect_typed(DZ_S("multipart/form-data; boundary=\"a b:c\""),
                 DZ_S("--a b:c\r\n\r\nx\r\n--a b:\r\n--a b:c--"), "|-||x\r\n--a b:;");
    expect_typed(DZ_S("Multipart/Form-Data ;charset=utf-8; BOUNDARY=----W"),
                 DZ_S("------W\r\n\r\nx\r\n------W--"), "|-||x;");
}

static void refused(void **state)
{
    (void)state;
    EXPECT("", "!the body has no parts");
    EXPECT("garbage", "!the body has no parts");
    EXPECT("--b\nContent-Disposition: form-data; name=a\n\nx\n--b--\n", "!the body has no parts");
    EXPECT(PART "\r\nx", "file|a.png||x!the body ends inside a part");
    EXPECT("--b\r\n\r\nx\r\n--b", "|-||x!the body ends inside a part");
    EXPECT("--b\r\n\r\nx\r\n--b\r\n", "|-||x;!the body ends inside a part");
    EXPECT("--b\r\nno field\r\n\r\n\r\n--b--", "!a header field of a part is malformed");
    EXPECT("--b\r\nA: b\r\n folded\r\n\r\n\r\n--b--", "!a header field of a part is malformed");
    EXPECT("--b\r\nA: b\nC: d\r\n\r\n\r\n--b--", "!a header field of a part is malformed");
    EXPECT("--b\r\nContent-Disposition: attachment; name=file\r\n\r\n\r\n--b--",
           "!a part is not form-data");
    EXPECT("--b\r\nContent-Disposition: form-data; name=\"file\r\n\r\n\r\n--b--",
           "!Content-Disposition of a part is malformed");
    EXPECT("--b\r\nContent-Disposition: form-data; name=\"a\"b\r\n\r\n\r\n--b--",
           "!Content-Disposition of a part is malformed");
    EXPECT("--b\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n--b--",
           "!Content-Transfer-Encoding of a part is not supported");
    static const char *const types[] = {
        "multipart/form-data",
        "multipart/form-data; boundary=", "multipart/form-data; boundary=\"b",
        "multipart/form-data; boundary=\"b \"", "multipart/form-data; boundary b"};
    for (size_t i = 0; i < DZ_LEN(types); i++)
        expect_typed(dz_str_of(types[i]), DZ_S("--b--"), "!Missing boundary in multipart.");
}

static void limits(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    dz_buf_put(&b, DZ_S("--b\r\nA: "));
    for (int i = 0; i < 8192; i++)
        dz_buf_putc(&b, 'x');
    struct told t = {.pieces = 0};
    read_cut(TYPE, dz_buf_str(&b), 1, &t); /* also without any end of the line */
    assert_string_equal(dz_buf_cstr(&t.b), "!header fields of a part are too long");
    dz_buf_done(&t.b);

    for (int n = 1000; n <= 1001; n++) {
        dz_buf_clear(&b);
        for (int i = 0; i < n; i++)
            dz_buf_put(&b, DZ_S("--b\r\n\r\n\r\n"));
        dz_buf_put(&b, DZ_S("--b--"));
        read_cut(TYPE, dz_buf_str(&b), 1, &t);
        assert_int_equal(dz_str_find(dz_buf_str(&t.b), DZ_S("!more than 1000 parts")) != DZ_NPOS,
                         n > 1000);
        dz_buf_done(&t.b);
    }
}

static void a_reader_may_end_it(void **state)
{
    (void)state;
    struct told t = {.fail_at = 1};
    read_cut(TYPE, DZ_S(PART "\r\nbytes\r\n--b--"), 1, &t);
    assert_string_equal(dz_buf_cstr(&t.b), "file|a.png||!enough");
    dz_buf_done(&t.b);
}

/* Content goes on in pieces as large as they came in. */
static void content_is_not_chopped(void **state)
{
    (void)state;
    DZ_AUTO(dz_buf_done) struct dz_buf b;
    dz_buf_init(&b, DZ_MIB);
    dz_buf_put(&b, DZ_S(PART "\r\n"));
    for (int i = 0; i < 50000; i++)
        dz_buf_put(&b, DZ_S("\r\n--"));
    dz_buf_put(&b, DZ_S("\r\n--b--"));
    struct told t = {.pieces = 0};
    read_cut(TYPE, dz_buf_str(&b), 100000, &t);
    assert_true(t.pieces < 8);
    dz_buf_done(&t.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),
        cmocka_unit_test(names),
        cmocka_unit_test(nearly_boundaries),
        cmocka_unit_test(refused),
        cmocka_unit_test(limits),
        cmocka_unit_test(a_reader_may_end_it),
        cmocka_unit_test(content_is_not_chopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
