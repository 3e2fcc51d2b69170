/* cursor: steps, places, literals. */
#include "test.h"

static void knows_where_it_is(void **state)
{
    (void)state;
    struct dz_cursor c;
    dz_cursor_init(&c, DZ_S("ab\ncd\xff"));
    assert_true(c.line == 1 && c.column == 1);
    assert_int_equal(dz_cursor_peek(&c), 'a');
    assert_int_equal(dz_cursor_next(&c), 'a');
    assert_true(c.line == 1 && c.column == 2);
    assert_int_equal(dz_cursor_next(&c), 'b');
    assert_int_equal(dz_cursor_next(&c), '\n');
    assert_true(c.line == 2 && c.column == 1);
    struct dz_cursor back = c;
    assert_false(dz_cursor_take(&c, DZ_S("ce")));
    assert_true(c.at == back.at && c.column == 1);
    assert_true(dz_cursor_take(&c, DZ_S("cd")));
    assert_true(c.line == 2 && c.column == 3);
    assert_int_equal(dz_cursor_next(&c), 0xff);
    assert_true(dz_cursor_end(&c));
    assert_int_equal(dz_cursor_peek(&c), -1);
    assert_int_equal(dz_cursor_next(&c), -1);
    assert_false(dz_cursor_take(&c, DZ_S("x")));
    assert_true(dz_cursor_take(&c, DZ_S("")));
    assert_int_equal(dz_cursor_peek(&back), 'c');
}

static void cuts_pieces(void **state)
{
    (void)state;
    struct dz_cursor c;
    dz_cursor_init(&c, DZ_S("key=va\nlue"));
    assert_true(dz_str_eq(dz_cursor_until(&c, '='), DZ_S("key")));
    assert_int_equal(dz_cursor_peek(&c), '=');
    assert_int_equal(dz_cursor_until(&c, '=').n, 0);
    dz_cursor_next(&c);
    assert_true(dz_str_eq(dz_cursor_until(&c, '='), DZ_S("va\nlue")));
    assert_true(dz_cursor_end(&c) && c.line == 2 && c.column == 4);
    assert_int_equal(dz_cursor_until(&c, '=').n, 0);
    dz_cursor_init(&c, (dz_str){NULL, 0});
    assert_true(dz_cursor_end(&c));
    assert_int_equal(dz_cursor_until(&c, 'x').n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_where_it_is),
        cmocka_unit_test(cuts_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
