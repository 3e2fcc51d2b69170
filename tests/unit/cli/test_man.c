/*
 * The manual page and --help agree: each command has its section, and each section has the same
 * options with the same values, no more and no less.
 */
#include "test.h"

#include "cli/cli_int.h"

#include <stdlib.h>

static const struct dz_command *const commands[] = {
    &dz_cmd_serve,  &dz_cmd_import,   &dz_cmd_crawl,  &dz_cmd_download,
    &dz_cmd_jobs,   &dz_cmd_sources,  &dz_cmd_check,  &dz_cmd_migrate,
    &dz_cmd_config, &dz_cmd_password, &dz_cmd_source, &dz_cmd_version,
};
static struct dz_buf page;

/* From ".Ss NAME" to the next section. */
static dz_str section_of(const char *name)
{
    char head[64];
    int n = snprintf(head, sizeof(head), "\n.Ss %s\n", name);
    size_t at = dz_str_find(dz_buf_str(&page), (dz_str){head, (size_t)n});
    if (at == DZ_NPOS)
        fail_msg("the manual page has no section \"%s\"", name);
    dz_str rest = dz_str_sub(dz_buf_str(&page), at + (size_t)n - 1, page.n);
    size_t next = dz_str_find(rest, DZ_S("\n.S"));
    return dz_str_sub(rest, 0, next == DZ_NPOS ? rest.n : next + 1);
}

static size_t count(dz_str text, dz_str needle)
{
    size_t n = 0, at;
    while ((at = dz_str_find(text, needle)) != DZ_NPOS) {
        n++;
        text = dz_str_sub(text, at + needle.n, text.n);
    }
    return n;
}

static void every_option_is_in_the_manual(void **state)
{
    (void)state;
    for (size_t i = 0; i < DZ_LEN(commands); i++) {
        const struct dz_command *c = commands[i];
        dz_str section = section_of(c->name);
        size_t rows = 0;
        for (const struct dz_option *o = c->options; o->name; o++, rows++) {
            char item[128], letter[16] = "";
            if (o->letter)
                snprintf(letter, sizeof(letter), "%c , Fl ", o->letter);
            int n = snprintf(item, sizeof(item), "\n.It Fl %s-%s%s%s\n", letter, o->name,
                             o->value ? " Ar " : "", o->value ? o->value : "");
            if (dz_str_find(section, (dz_str){item, (size_t)n}) == DZ_NPOS)
                fail_msg("section \"%s\" of the manual page lacks --%s", c->name, o->name);
        }
        assert_true(rows < DZ_OPTIONS_MAX);
        assert_int_equal(count(section, DZ_S("\n.It Fl ")), rows);
    }
    assert_int_equal(count(dz_buf_str(&page), DZ_S("\n.Ss ")), DZ_LEN(commands));
}

static void every_command_explains_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < DZ_LEN(commands); i++) {
        const struct dz_command *c = commands[i];
        struct dz_buf help DZ_AUTO(dz_buf_done);
        dz_buf_init(&help, DZ_MIB);
        dz_help_put(c, &help);
        assert_true(dz_str_starts(dz_str_of(c->usage), dz_str_of(c->name)));
        assert_true(c->summary && c->summary[0] && !strchr(c->summary, '\n'));
        struct dz_cursor at;
        dz_cursor_init(&at, dz_buf_str(&help));
        while (!dz_cursor_end(&at)) {
            dz_str text = dz_cursor_until(&at, '\n');
            struct dz_buf plain DZ_AUTO(dz_buf_done);
            dz_buf_init(&plain, DZ_KIB * 64);
            if (dz_text_put(&plain, text, SIZE_MAX) > 80)
                fail_msg("help of %s is wider than 80 columns: %.*s", c->name, DZ_STR_FMT(text));
            dz_cursor_next(&at);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_is_in_the_manual),
        cmocka_unit_test(every_command_explains_itself),
    };
    dz_buf_init(&page, DZ_MIB);
    struct dz_err err;
    if (argc != 2 || dz_file_read(argv[1], &page, &err) != DZ_OK) {
        fprintf(stderr, "usage: test_cli_man docs/dozo.1\n");
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dz_buf_done(&page);
    return failed;
}
