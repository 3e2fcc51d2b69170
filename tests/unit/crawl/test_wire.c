/*
 * Messages of the bus: every split of a stream gives the same messages; limits and garbage are
 * named; what is written reads back.
 */
#include "test.h"

#include "crawl/crawl_int.h"

static dz_str framed(struct dz_buf *b, const char *json)
{
    size_t n = strlen(json);
    dz_buf_clear(b);
    for (int i = 3; i >= 0; i--)
        dz_buf_putc(b, (char)(n >> (8 * i) & 0xff));
    dz_buf_put(b, dz_str_of(json));
    return dz_buf_str(b);
}

static void every_split_gives_the_same(void **state)
{
    (void)state;
    struct dz_buf stream DZ_AUTO(dz_buf_done);
    dz_buf_init(&stream, DZ_MIB);
    dz_wire_put_hello(&stream, "back", 42);
    dz_wire_put_changed(&stream);
    dz_wire_put_jobs(&stream);
    dz_wire_put_ping(&stream, INT64_MIN);
    dz_wire_put_pong(&stream, 7);
    dz_wire_put_stop(&stream);
    const enum dz_wire_type expected[] = {WIRE_HELLO, WIRE_CHANGED, WIRE_JOBS,
                                          WIRE_PING,  WIRE_PONG,    WIRE_STOP};
    dz_str all = dz_buf_str(&stream);
    for (size_t first = 0; first <= all.n; first++) {
        for (size_t step = 1; step < 6; step++) {
            struct dz_wire_in in DZ_AUTO(dz_wire_in_done);
            dz_wire_in_init(&in, WIRE_MESSAGE_MAX);
            struct dz_wire_msg got[8];
            size_t got_n = 0;
            for (size_t at = 0; at < all.n;) {
                size_t to = at == 0 && first > 0 ? first : at + step;
                dz_wire_in_put(&in, dz_str_sub(all, at, to));
                at = to;
                while (dz_wire_in_take(&in, &got[got_n], NULL) == DZ_OK)
                    got_n++;
            }
            assert_int_equal(got_n, DZ_LEN(expected));
            for (size_t i = 0; i < got_n; i++)
                assert_int_equal(got[i].type, expected[i]);
            assert_string_equal(got[0].role, "back");
            assert_string_equal(got[0].version, DZ_VERSION);
            assert_true(got[3].n == INT64_MIN);
            assert_int_equal(got[4].n, 7);
            assert_true(dz_wire_in_is_empty(&in));
        }
    }
}

static enum dz_code take_one(dz_str bytes, struct dz_wire_msg *ret_msg, struct dz_err *err)
{
    struct dz_wire_in in DZ_AUTO(dz_wire_in_done);
    dz_wire_in_init(&in, WIRE_MESSAGE_MAX);
    dz_wire_in_put(&in, bytes);
    return dz_wire_in_take(&in, ret_msg, err);
}

static void length_is_bounded(void **state)
{
    (void)state;
    struct dz_wire_msg m;
    struct dz_err err = {0};
    assert_int_equal(take_one((dz_str){"\x00\x10\x00\x01", 4}, &m, &err), DZ_TOO_LARGE);
    assert_non_null(strstr(err.text, "1048577"));
    assert_int_equal(take_one((dz_str){"\xff\xff\xff\xff", 4}, &m, &err), DZ_TOO_LARGE);
    assert_int_equal(take_one((dz_str){"\x00\x10\x00\x00", 4}, &m, &err), DZ_UNAVAILABLE);
}

static void largest_message_is_taken(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 2 * DZ_MIB);
    dz_buf_put(&b, (dz_str){"\x00\x10\x00\x00", 4});
    dz_buf_put(&b, DZ_S("{\"type\":\"changed\""));
    while (b.n < WIRE_HEAD_BYTES + WIRE_MESSAGE_MAX - 1)
        dz_buf_putc(&b, ' ');
    dz_buf_putc(&b, '}');
    struct dz_wire_in in DZ_AUTO(dz_wire_in_done);
    dz_wire_in_init(&in, WIRE_MESSAGE_MAX);
    struct dz_wire_msg m;
    dz_str left = dz_buf_str(&b);
    while (left.n > 1) {
        size_t n = left.n - 1 < 60000 ? left.n - 1 : 60000;
        dz_wire_in_put(&in, dz_str_sub(left, 0, n));
        assert_int_equal(dz_wire_in_take(&in, &m, NULL), DZ_UNAVAILABLE);
        left = dz_str_sub(left, n, left.n);
    }
    dz_wire_in_put(&in, left);
    must(dz_wire_in_take(&in, &m, err));
    assert_int_equal(m.type, WIRE_CHANGED);
    assert_true(dz_wire_in_is_empty(&in));
}

static void garbage_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "null",
        "[]",
        "\"changed\"",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"changed\"",
        "{\"type\":\"changed\"} x",
        "{\"type\":\"changed\",\"type\":\"stop\"}",
        "{\"type\":\"ping\"}",
        "{\"type\":\"ping\",\"n\":1.5}",
        "{\"type\":\"ping\",\"n\":99999999999999999999}",
        "{\"type\":\"hello\",\"role\":\"back\"}",
        "{\"type\":\"hello\",\"role\":\"0123456789abcdef\",\"version\":\"1\"}",
        "{\"type\":\"\xff\"}",
    };
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_MIB);
    for (size_t i = 0; i < DZ_LEN(texts); i++) {
        struct dz_wire_msg m;
        struct dz_err err = {0};
        assert_int_equal(take_one(framed(&b, texts[i]), &m, &err), DZ_PARSE);
        assert_true(err.text[0] != '\0');
    }
}

static void unknown_types_and_members_pass(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_MIB);
    struct dz_wire_msg m;
    must(take_one(framed(&b, "{\"type\":\"progress\",\"job\":{\"id\":1}}"), &m, err));
    assert_int_equal(m.type, WIRE_OTHER);
    must(take_one(framed(&b, "{\"type\":\"pong\",\"n\":3,\"more\":[1,2]}"), &m, err));
    assert_int_equal(m.type, WIRE_PONG);
    assert_int_equal(m.n, 3);
}

static void a_full_buffer_stays_framed(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, 40);
    dz_wire_put_changed(&b);
    dz_wire_put_ping(&b, 1);
    assert_true(b.full);
    struct dz_wire_msg m;
    must(take_one(dz_buf_str(&b), &m, err));
    assert_int_equal(m.type, WIRE_CHANGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_gives_the_same),
        cmocka_unit_test(length_is_bounded),
        cmocka_unit_test(largest_message_is_taken),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(unknown_types_and_members_pass),
        cmocka_unit_test(a_full_buffer_stays_framed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
