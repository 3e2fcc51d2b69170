/*
 * graphql_library_int: what the types of the library share: values that are made for a row, Relay
 * connections, and fields that are given as a table.
 *
 * No type contains itself, so a request writes one connection of a kind at a time: each has one
 * place in struct graph_library and nothing is allocated for a row. Resolvers only; the thread is
 * that of the step.
 */
#pragma once

#include "api/graphql_int.h"

enum graph_kind {
    GRAPH_SERIES,
    GRAPH_CHAPTERS,
    GRAPH_PAGES,
    GRAPH_JOBS,
    GRAPH_SOURCES,
    GRAPH_KINDS
};

static inline struct graph_library *graph_lib(const struct dz_gql_call *call)
{
    return &((struct graph_ctx *)call->context)->library;
}

static inline const struct dz_view *graph_view(const struct dz_gql_call *call)
{
    return ((const struct graph_ctx *)call->context)->view;
}

/* A text that is made for a row: one at a time is being written. */
void graph_give_printed(struct dz_gql_out *ret, char *text, size_t room, const char *fmt, ...)
    DZ_PRINTF(4, 5);
void graph_give_text(struct dz_gql_out *ret, dz_str s); /* null for an empty one */
void graph_give_time(struct graph_library *lib, struct dz_gql_out *ret, int64_t s);
void graph_give_number(struct graph_library *lib, struct dz_gql_out *ret, int64_t n);

/* The part of a list of n that `first` and `after` say. DZ_BAD_INPUT: they are wrong. */
enum dz_code graph_give_connection(const struct dz_gql_call *call, enum graph_kind k, size_t n,
                                   struct dz_gql_out *ret, struct dz_err *err);
void graph_add_page_args(struct dz_gql_field *f);
void graph_add_connection(struct dz_gql_builder *b, enum graph_kind k, const char *connection,
                          const char *edge, const char *edges, const char *node);
void graph_add_page_info(struct dz_gql_builder *b);

/* Fields of an object type; the data of each is its place in v, as a const int *. */
struct graph_says {
    const char *name, *type, *says;
};
void graph_add_fields(struct dz_gql_type *t, const struct graph_says *v, size_t n,
                      dz_gql_resolve_fn resolve);

/* Of fields that look at every series. */
void graph_prepare_scan(const struct dz_gql_call *call);

/* Jobs and sources (graphql_work.c). */
void graph_add_work(struct dz_gql_builder *b, struct dz_gql_type *query);
