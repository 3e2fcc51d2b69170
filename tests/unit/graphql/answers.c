/*
 * answers: the test schema as a program, for the comparison with another implementation.
 *
 * In: with the argument "sdl" nothing; else a line of JSON for each request on standard input, with
 * the members query, variables and operationName. Out: the schema as text, or one line of JSON for
 * each request. Ends with 1 when a line is no such request.
 */
#include "ask.h"

static int print_schema(void)
{
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_MIB);
    dz_gql_schema_print(schema, &b);
    return fputs(dz_buf_cstr(&b), stdout) < 0;
}

static int answer_line(const char *line)
{
    const char *query, *operation = NULL;
    json_t *variables = NULL, *j = json_loads(line, 0, NULL);
    if (!j || json_unpack(j, "{s:s, s?o, s?s}", "query", &query, "variables", &variables,
                          "operationName", &operation) != 0) {
        fprintf(stderr, "no request: %s", line);
        json_decref(j);
        return 1;
    }
    char *text = variables ? json_dumps(variables, JSON_ENCODE_ANY) : NULL;
    struct dz_gql_run run = {.operation = dz_str_of(operation)};
    world.counter = 0;
    puts(ask_run(query, text, run, 1));
    free(text);
    json_decref(j);
    return 0;
}

int main(int argc, char **argv)
{
    ask_setup(NULL);
    char *line = NULL;
    size_t cap = 0;
    int failed = 0;
    if (argc > 1 && strcmp(argv[1], "sdl") == 0)
        failed = print_schema();
    else
        while (!failed && getline(&line, &cap, stdin) > 0)
            failed = answer_line(line);
    free(line);
    ask_teardown(NULL);
    return failed;
}
