/*
 * rig: a loop, and runs of sources given as text, for the tests of the room.
 */
#pragma once

#include "test.h"

#include "source/source_int.h"

/* A whole source around the given functions; line 3 is the first of them. */
#define SOURCE(functions)                                                                          \
    "return dozo.source {\n"                                                                       \
    "id = \"test\", name = \"Test\", version = \"1\", api = 1, hosts = { \"example.org\" "         \
    "},\n" functions "}\n"

struct call {
    struct dz_source_run *run;
    struct dz_source *source;
    bool done;
    enum dz_source_kind kind;
    int64_t retry_after_ms;
    char text[512]; /* of the failure */
    char *json;     /* of the value */
    char bytes[64];
    size_t bytes_n;
};

extern struct rig {
    struct dz_loop *loop;
    struct dz_source_env env;
    char log[8192];
    char key[64], kept[4096]; /* the one thing that store holds */
    int64_t kept_until;
} rig;

int rig_open(void **state);
int rig_close(void **state);
struct dz_source *rig_load(const char *text);
/* Begins a call with JSON arguments; rig_wait turns the loop until it is done. */
void rig_start(struct call *c, const char *text, enum dz_source_fn fn, const char *args,
               const struct dz_source_budget *budget);
void rig_again(struct call *c, enum dz_source_fn fn, const char *args);
void rig_wait(struct call *c);
void rig_end(struct call *c);
/* All of the above: the value as JSON equals, or the failure's text contains. */
void rig_gives(const char *text, enum dz_source_fn fn, const char *args, const char *json);
void rig_fails(const char *text, enum dz_source_fn fn, const char *args, enum dz_source_kind kind,
               const char *words);
