/*
 * place: a folder of its own for a test, and helpers that look into the files store's layout behind
 * its back.
 */
#pragma once

#include "test.h"

#include "store/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char dir[64];
    struct dz_store *s;
};

static inline int place_remove_entry(const char *path, const struct stat *st, int flag,
                                     struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static inline void place_make(struct place *p)
{
    memcpy(p->dir, "/tmp/dozo-store-XXXXXX", 23);
    assert_non_null(mkdtemp(p->dir));
}

static inline void place_remove(struct place *p)
{
    nftw(p->dir, place_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline int place_setup(void **state)
{
    struct place *p = dz_new(struct place);
    place_make(p);
    must(dz_store_open("files", p->dir, "", &p->s, err));
    *state = p;
    return 0;
}

static inline int place_teardown(void **state)
{
    struct place *p = *state;
    dz_store_close(&p->s);
    place_remove(p);
    free(p);
    return 0;
}

/* A path below the folder, in one of a few buffers that take turns. */
static inline const char *place_path(const struct place *p, const char *below)
{
    static char paths[4][256];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, 256, "%s/%s", p->dir, below);
    return path;
}

static inline const char *place_blob(const struct place *p, const struct dz_sha256 *sha)
{
    char below[80] = "blobs/";
    dz_hex(sha->b, 1, below + 6);
    below[8] = '/';
    dz_hex(sha->b + 1, 31, below + 9);
    below[71] = '\0';
    return place_path(p, below);
}

static inline size_t place_count(const struct place *p, const char *below)
{
    size_t n = 0;
    DIR *dir = opendir(place_path(p, below));
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            n++;
    closedir(dir);
    return n;
}

static inline void place_file(const struct place *p, const char *below, const char *text)
{
    int fd = open(place_path(p, below), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static inline void place_age(const char *path, int64_t age_s)
{
    struct timespec then = {(time_t)(dz_now_ms() / 1000 - age_s), 0};
    struct timespec times[2] = {then, then};
    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static inline enum dz_code place_verify_one(void *arg, const struct dz_blob_stat *b,
                                            struct dz_err *err)
{
    struct place *p = arg;
    return dz_store_verify(p->s, &b->sha, err);
}
