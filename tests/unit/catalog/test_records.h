/*
 * test_records: records, folders and child processes for the tests of the catalog.
 *
 * Made on the caller's stack or in static memory; a folder made here is removed by drop_folder.
 */
#pragma once

#include "catalog/catalog.h"
#include "test.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A call that must be refused with the code `want`; gives the error's words. */
#define refused(expr, want)                                                                        \
    ({                                                                                             \
        static struct dz_err refused_err;                                                          \
        struct dz_err *err = &refused_err;                                                         \
        *err = (struct dz_err){0};                                                                 \
        enum dz_code refused_code = (expr);                                                        \
        if (refused_code != (want))                                                                \
            fail_msg("%s: %s (%s), want %s", #expr, dz_code_name(refused_code), err->text,         \
                     dz_code_name(want));                                                          \
        (const char *)refused_err.text;                                                            \
    })

__attribute__((unused)) static void make_folder(char path[64])
{
    memcpy(path, "/tmp/dozo-catalog-XXXXXX", 25);
    assert_non_null(mkdtemp(path));
}

__attribute__((unused)) static void drop_folder(const char *path)
{
    DIR *d = opendir(path);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) {
        char name[512];
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        unlink(name);
    }
    closedir(d);
    rmdir(path);
}

/* The digest of a number: as good as that of a picture. */
__attribute__((unused)) static struct dz_blob_rec blob_of(uint64_t n)
{
    return (struct dz_blob_rec){
        .sha = dz_sha256_of((dz_str){(const char *)&n, sizeof(n)}),
        .bytes = 1000 + n,
        .width = 800,
        .height = 1200,
        .mime = DZ_S("image/jpeg"),
    };
}

/* n pages from 1, with blobs first, first + 1 …; at most 64. */
__attribute__((unused)) static const struct dz_page_rec *pages_of(struct dz_page_rec v[64],
                                                                  size_t n, uint64_t first)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (struct dz_page_rec){
            .number = (uint32_t)i + 1,
            .mtime_s = 1700000000,
            .blob = blob_of(first + i),
            .name = DZ_S("p.jpg"),
        };
    return v;
}

__attribute__((unused)) static struct dz_series_rec series_of(const char *source_id)
{
    return (struct dz_series_rec){
        .source = DZ_S("local"),
        .source_id = dz_str_of(source_id),
        .title = dz_str_of(source_id),
    };
}

__attribute__((unused)) static struct dz_chapter_rec chapter_of(const char *key, double sort,
                                                                const struct dz_page_rec *pages,
                                                                size_t n)
{
    return (struct dz_chapter_rec){
        .source_id = dz_str_of(key),
        .key = dz_str_of(key),
        .sort = sort,
        .number = dz_str_of(key),
        .page_count = (uint32_t)n,
        .pages = pages,
        .pages_n = n,
    };
}

/* One series with one chapter a batch; returns the series' id. */
__attribute__((unused)) static int64_t put_one(struct dz_catalog *c, const char *series,
                                               const char *key, double sort, size_t pages,
                                               uint64_t first_blob)
{
    struct dz_page_rec v[64];
    struct dz_batch *b = NULL;
    int64_t id, chapter_id;
    bool changed;
    struct dz_series_rec s = series_of(series);
    struct dz_chapter_rec ch = chapter_of(key, sort, pages_of(v, pages, first_blob), pages);
    must(dz_batch_begin(c, &b, err));
    must(dz_batch_series(b, &s, &id, err));
    must(dz_batch_chapter(b, id, &ch, &chapter_id, &changed, err));
    must(dz_batch_commit(&b, NULL, err));
    return id;
}

/* Runs this test binary again as `argv0 mode folder` with one more variable; returns its wait
 * status. */
__attribute__((unused)) static pid_t start_self(const char *mode, const char *folder,
                                                const char *name, const char *value)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (name)
            setenv(name, value, 1);
        execl("/proc/self/exe", "self", mode, folder, (char *)NULL);
        _exit(126);
    }
    return pid;
}

__attribute__((unused)) static int wait_for(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}
