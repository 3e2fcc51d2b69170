/*
 * dies: whether a function ends its process, and what the process said before.
 */
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs fn in a child whose stderr goes into said (NUL-terminated, cut at n). Returns the wait
 * status. */
static inline int run_child(void (*fn)(void), char *said, size_t n)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        fn();
        _exit(0);
    }
    close(ends[1]);
    size_t at = 0;
    char spill[512];
    for (;;) {
        char *to = at + 1 < n ? said + at : spill;
        ssize_t got = read(ends[0], to, at + 1 < n ? n - at - 1 : sizeof(spill));
        if (got <= 0)
            break;
        if (to != spill)
            at += (size_t)got;
    }
    said[at] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* True when fn ends by a panic that says `words`. */
static inline bool panics(void (*fn)(void), const char *words)
{
    static char said[128 * 1024];
    int status = run_child(fn, said, sizeof(said));
    return status != 0 && strstr(said, "dozo: panic at ") && strstr(said, words);
}
