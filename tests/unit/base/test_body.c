/* body: counted bytes and files, shared by threads. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static void holds_bytes(void **state)
{
    (void)state;
    struct dz_body *b = dz_body_new(3);
    assert_int_equal(b->n, 3);
    assert_int_equal(b->head_n, 0);
    memcpy(b->p, "abc", 3);
    struct dz_body *other = dz_body_ref(b);
    assert_ptr_equal(other, b);
    dz_body_unref(&b);
    assert_null(b);
    assert_memory_equal(other->p, "abc", 3);
    dz_body_unref(&other);
    dz_body_unref(&other);
}

static void refuses_what_cannot_be_had(void **state)
{
    (void)state;
    struct dz_body *b = NULL;
    struct dz_err err = {0};
    assert_int_equal(dz_body_try(SIZE_MAX - 4, &b, &err), DZ_FULL);
    assert_null(b);
    must(dz_body_try(0, &b, err));
    assert_int_equal(b->n, 0);
    dz_body_unref(&b);
}

static void *use_and_drop(void *p)
{
    struct dz_body *mine = p;
    for (int i = 0; i < 20000; i++) {
        struct dz_body *again = dz_body_ref(mine);
        if (again->p[i % 64] != 'x')
            abort();
        dz_body_unref(&again);
    }
    dz_body_unref(&mine);
    return NULL;
}

static void is_shared_by_threads(void **state)
{
    (void)state;
    struct dz_body *b = dz_body_new(64);
    memset(b->p, 'x', 64);
    pthread_t threads[4];
    for (size_t i = 0; i < DZ_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_and_drop, dz_body_ref(b)), 0);
    dz_body_unref(&b);
    for (size_t i = 0; i < DZ_LEN(threads); i++)
        pthread_join(threads[i], NULL);
}

static void closes_files(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct dz_file *f = dz_file_new(fd, 42);
    struct dz_file *other = dz_file_ref(f);
    dz_file_unref(&f);
    assert_null(f);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    assert_true(other->bytes == 42);
    dz_file_unref(&other);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(errno, EBADF);
    dz_file_unref(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_bytes),
        cmocka_unit_test(refuses_what_cannot_be_had),
        cmocka_unit_test(is_shared_by_threads),
        cmocka_unit_test(closes_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
