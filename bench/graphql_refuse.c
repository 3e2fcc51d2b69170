/*
 * graphql_refuse: what it costs to refuse documents that are made to cost much.
 *
 * In: nothing; the documents are those of tests/unit/graphql/hostile.h, over the schema of the unit
 * tests and with the default limits. Out: one JSON line: how many there are, and of the worst its
 * name, size and CPU time; of each document the least of some runs counts, as what disturbs a run
 * only ever adds to it. Run by bench/graphql.py.
 */
#include "hostile.h"
#include "world.h"

#include <stdio.h>
#include <time.h>

#define ROUNDS 9

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double refuse_us(struct dz_gql_schema *schema, dz_str text)
{
    struct dz_gql_limits limits = dz_gql_limits_default();
    double least_us = 1e12;
    for (int i = 0; i < ROUNDS; i++) {
        struct dz_gql_errors errors DZ_AUTO(dz_gql_errors_done);
        struct dz_gql_doc *doc DZ_AUTO(dz_gql_doc_unref) = NULL;
        double began_us = cpu_us();
        dz_gql_errors_init(&errors, limits.errors_max);
        dz_assert(dz_gql_prepare(schema, text, &limits, &doc, &errors) != DZ_OK);
        double took_us = cpu_us() - began_us;
        least_us = took_us < least_us ? took_us : least_us;
    }
    return least_us;
}

int main(int argc, char **argv)
{
    struct world world;
    struct dz_gql_schema *schema = world_schema(&world);
    struct dz_buf text;
    const struct hostile *worst = hostile;
    double worst_us = 0;
    size_t worst_bytes = 0;
    dz_buf_init(&text, DZ_MIB);
    for (size_t i = 0; i < DZ_LEN(hostile); i++) {
        hostile_put(&hostile[i], &text);
        double us = refuse_us(schema, dz_buf_str(&text));
        if (argc > 1 && strcmp(argv[1], "--each") == 0)
            printf("%8.1f µs %7zu bytes  %s\n", us, text.n, hostile[i].name);
        if (us > worst_us) {
            worst = &hostile[i];
            worst_us = us;
            worst_bytes = text.n;
        }
    }
    printf("{\"documents\": %zu, \"worst\": \"%s\", \"bytes\": %zu, \"cpu_us\": %.1f}\n",
           DZ_LEN(hostile), worst->name, worst_bytes, worst_us);
    dz_buf_done(&text);
    dz_gql_schema_unref(&schema);
    return 0;
}
