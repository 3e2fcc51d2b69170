/*
 * The bus with real sockets on one loop: hello, ping, pong, changed; who does not keep to the rules
 * is let go and nobody else notices; sockets that are stale, taken, or deep in the file tree.
 */
#include "test.h"

#include "crawl/crawl_int.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "scratch.h"

static struct dz_loop *loop;
static struct dz_bus *bus;
static unsigned changes;

static void on_changed(void *arg)
{
    assert_ptr_equal(arg, &changes);
    changes++;
}

static int job_words;

static void on_jobs(void *arg)
{
    assert_ptr_equal(arg, &changes);
    job_words++;
}

static const struct dz_bus_hooks hooks = {.changed = on_changed, .jobs = on_jobs, .arg = &changes};

static int open_bus(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    dz_log_init(2, DZ_ERROR, DZ_LOG_TEXT);
    changes = 0;
    must(dz_loop_new(&loop, err));
    must(dz_bus_open(loop, scratch_dir, &hooks, &bus, err));
    return 0;
}

static int close_bus(void **state)
{
    dz_bus_close(&bus);
    dz_loop_free(&loop);
    return scratch_remove(state);
}

static int client(void)
{
    int fd;
    must(dz_place_connect(scratch_dir, BUS_SOCKET, 100, &fd, err));
    return fd;
}

static void say(int fd, const char *bytes, size_t n)
{
    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

static void say_buf(int fd, struct dz_buf *b)
{
    say(fd, b->p, b->n);
    dz_buf_clear(b);
}

/* Turns the loop until a whole message is there. */
static struct dz_wire_msg hear(int fd)
{
    struct dz_wire_in in DZ_AUTO(dz_wire_in_done);
    dz_wire_in_init(&in, WIRE_MESSAGE_MAX);
    struct dz_wire_msg m;
    while (dz_wire_in_take(&in, &m, NULL) != DZ_OK) {
        char c;
        ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);
        assert_int_not_equal(n, 0);
        if (n == 1)
            dz_wire_in_put(&in, (dz_str){&c, 1});
        else
            dz_loop_turn(loop, 10);
    }
    return m;
}

/* Turns the loop until the bus has closed its end. */
static void wait_for_goodbye(int fd)
{
    char c;
    ssize_t n;
    while ((n = recv(fd, &c, 1, MSG_DONTWAIT)) != 0) {
        if (n < 0 && errno == ECONNRESET)
            return;
        dz_loop_turn(loop, 10);
    }
}

static void hello_makes_a_back(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_KIB);
    bus->ping_ms = 1;
    int other = client();
    int back = client();
    assert_false(dz_bus_has_back(bus));
    dz_wire_put_hello(&b, "command", 1);
    say_buf(other, &b);
    dz_wire_put_hello(&b, "back", 1);
    say_buf(back, &b);
    for (int64_t i = 1; i < 4; i++) {
        struct dz_wire_msg m = hear(back);
        assert_int_equal(m.type, WIRE_PING);
        assert_int_equal(m.n, i);
        assert_true(dz_bus_has_back(bus));
        dz_wire_put_pong(&b, m.n);
        say_buf(back, &b);
    }
    assert_int_equal(bus->door.guests_n, 2);
    close(back);
    while (dz_bus_has_back(bus))
        dz_loop_turn(loop, -1);
    assert_int_equal(bus->door.guests_n, 1);
    assert_int_equal(bus->door.dropped, 0);
    close(other);
}

static void back_that_does_not_answer_is_dropped(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_KIB);
    bus->ping_ms = bus->pong_ms = 1;
    int back = client();
    dz_wire_put_hello(&b, "back", 1);
    dz_wire_put_pong(&b, 99); /* an answer to nothing does not count */
    say_buf(back, &b);
    assert_int_equal(hear(back).type, WIRE_PING);
    wait_for_goodbye(back);
    assert_false(dz_bus_has_back(bus));
    assert_int_equal(bus->door.dropped, 1);
    close(back);
}

static void ping_is_answered(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_KIB);
    int fd = client();
    dz_wire_put_ping(&b, -5);
    say_buf(fd, &b);
    struct dz_wire_msg m = hear(fd);
    assert_int_equal(m.type, WIRE_PONG);
    assert_int_equal(m.n, -5);
    close(fd);
}

static void tell_changed_arrives(void **state)
{
    (void)state;
    dz_bus_tell_changed(scratch_dir);
    dz_bus_tell_changed(scratch_dir);
    while (changes < 2)
        dz_loop_turn(loop, -1);
    while (bus->door.guests_n > 0)
        dz_loop_turn(loop, -1);
    assert_int_equal(bus->door.dropped, 0);
}

static void jobs_are_told_apart(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_KIB);
    dz_wire_put_jobs(&b);
    int fd = client();
    say(fd, b.p, b.n);
    while (job_words < 1)
        dz_loop_turn(loop, -1);
    assert_int_equal(changes, 0);
    close(fd);
}

static void split_messages_arrive_once(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_KIB);
    dz_wire_put_changed(&b);
    dz_wire_put_changed(&b);
    int fd = client();
    for (size_t i = 0; i < b.n; i++) {
        say(fd, b.p + i, 1);
        dz_loop_turn(loop, 0);
        dz_loop_turn(loop, 0);
    }
    while (changes < 2)
        dz_loop_turn(loop, -1);
    assert_int_equal(changes, 2);
    close(fd);
}

static void garbage_is_dropped_alone(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_KIB);
    int good = client();
    static const struct {
        const char *p;
        size_t n;
    } texts[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"\0\0\0\2{]", 6},
        {"\0\0\0\4null", 8},
        {"\x7f\xff\xff\xff", 4},
    };
    for (size_t i = 0; i < DZ_LEN(texts); i++) {
        int fd = client();
        say(fd, texts[i].p, texts[i].n);
        wait_for_goodbye(fd);
        close(fd);
        assert_int_equal(bus->door.dropped, i + 1);
    }
    int cut = client();
    say(cut, "\0\0\0\x09{", 5);
    close(cut);
    while (bus->door.dropped < DZ_LEN(texts) + 1)
        dz_loop_turn(loop, -1);
    dz_wire_put_changed(&b);
    say_buf(good, &b);
    while (changes == 0)
        dz_loop_turn(loop, -1);
    close(good);
}

static void unfinished_message_ends_the_connection(void **state)
{
    (void)state;
    bus->frame_timeout_ms = 30;
    int silent = client();
    int slow = client();
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_KIB);
    dz_wire_put_changed(&b);
    dz_wire_put_changed(&b);
    say(slow, b.p, b.n - 1); /* one whole, one that lacks a byte */
    while (changes < 1)
        dz_loop_turn(loop, -1);
    wait_for_goodbye(slow);
    wait_for_goodbye(silent);
    assert_int_equal(changes, 1);
    assert_int_equal(bus->door.dropped, 2);
    close(slow);
    close(silent);
}

static void a_trickle_does_not_buy_time(void **state)
{
    (void)state;
    bus->frame_timeout_ms = 30;
    int fd = client();
    say(fd, "\0\x08\0\0", 4);
    while (bus->door.dropped == 0) {
        (void)!send(fd, " ", 1, MSG_NOSIGNAL);
        dz_loop_turn(loop, 5);
    }
    close(fd);
}

static void quiet_between_messages_is_fine(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_KIB);
    bus->frame_timeout_ms = 20;
    int polite = client();
    dz_wire_put_changed(&b);
    say_buf(polite, &b);
    while (changes < 1)
        dz_loop_turn(loop, -1);
    int silent = client(); /* its end shows that the time has passed */
    wait_for_goodbye(silent);
    assert_int_equal(bus->door.guests_n, 1);
    close(polite);
    close(silent);
}

static void peer_that_does_not_read_is_dropped(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_MIB);
    while (b.n < 32 * DZ_KIB)
        dz_wire_put_ping(&b, INT64_MAX);
    int fd = client();
    dz_str left = dz_buf_str(&b);
    while (bus->door.dropped == 0) {
        ssize_t n = send(fd, left.p, left.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        left = dz_str_sub(left, n > 0 ? (size_t)n : 0, left.n);
        if (left.n == 0)
            left = dz_buf_str(&b);
        dz_loop_turn(loop, 0);
    }
    assert_int_equal(bus->door.guests_n, 0);
    close(fd);
}

static void clients_are_counted(void **state)
{
    (void)state;
    int fds[BUS_CLIENTS_MAX];
    for (size_t i = 0; i < DZ_LEN(fds); i++)
        fds[i] = client();
    while (bus->door.guests_n < BUS_CLIENTS_MAX)
        dz_loop_turn(loop, -1);
    int one_more = client();
    wait_for_goodbye(one_more);
    assert_int_equal(bus->door.guests_n, BUS_CLIENTS_MAX);
    close(one_more);
    for (size_t i = 0; i < DZ_LEN(fds); i++)
        close(fds[i]);
    while (bus->door.guests_n > 0)
        dz_loop_turn(loop, -1);
    int again = client();
    while (bus->door.guests_n == 0)
        dz_loop_turn(loop, -1);
    close(again);
}

/* ---- the socket ------------------------------------------------------------------------------ */

static void socket_path(char dst[128])
{
    snprintf(dst, 128, "%s/run/front.sock", scratch_dir);
}

static void second_front_is_refused(void **state)
{
    (void)state;
    struct dz_bus *second = NULL;
    struct dz_err err = {0};
    assert_int_equal(dz_bus_open(loop, scratch_dir, &hooks, &second, &err), DZ_CONFLICT);
    assert_null(second);
    char pid[32];
    snprintf(pid, sizeof(pid), "pid %d", (int)getpid());
    assert_non_null(strstr(err.text, pid));
    dz_bus_tell_changed(scratch_dir); /* the first one is unharmed */
    while (changes == 0)
        dz_loop_turn(loop, -1);
}

static void front_without_lock_is_found_by_its_answer(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/run/bus.lock", scratch_dir);
    assert_int_equal(unlink(path), 0);
    struct dz_bus *second = NULL;
    struct dz_err err = {0};
    assert_int_equal(dz_bus_open(loop, scratch_dir, &hooks, &second, &err), DZ_CONFLICT);
    assert_non_null(strstr(err.text, "front.sock"));
}

static void stale_socket_is_replaced(void **state)
{
    (void)state;
    char path[128];
    socket_path(path);
    dz_bus_close(&bus);
    assert_int_not_equal(access(path, F_OK), 0);
    int dir_fd, fd;
    must(dz_place_run_dir(scratch_dir, &dir_fd, err));
    must(dz_place_listen(scratch_dir, dir_fd, BUS_SOCKET, &fd, err));
    close(fd); /* a killed front leaves the name behind */
    close(dir_fd);
    assert_int_equal(access(path, F_OK), 0);
    dz_bus_tell_changed(scratch_dir); /* quiet */
    must(dz_bus_open(loop, scratch_dir, &hooks, &bus, err));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    dz_bus_tell_changed(scratch_dir);
    while (changes == 0)
        dz_loop_turn(loop, -1);
}

static void file_in_the_way_is_left_alone(void **state)
{
    (void)state;
    char path[128];
    socket_path(path);
    dz_bus_close(&bus);
    must(dz_file_write_atomic(path, DZ_S("precious"), 0600, err));
    struct dz_err err = {0};
    assert_int_equal(dz_bus_open(loop, scratch_dir, &hooks, &bus, &err), DZ_BAD_INPUT);
    assert_non_null(strstr(err.text, "front.sock"));
    assert_int_equal(access(path, F_OK), 0);
}

static void deep_data_folder_works(void **state)
{
    (void)state;
    struct dz_buf deep DZ_AUTO(dz_buf_done);
    dz_buf_init(&deep, DZ_KIB);
    dz_buf_putf(&deep, "%s", scratch_dir);
    for (int i = 0; i < 10; i++)
        dz_buf_put(&deep, DZ_S("/a-folder-with-a-long-name"));
    const char *dir = dz_buf_cstr(&deep);
    struct dz_bus *far = NULL;
    must(dz_bus_open(loop, dir, &hooks, &far, err));
    dz_bus_tell_changed(dir);
    while (changes == 0)
        dz_loop_turn(loop, -1);
    dz_bus_close(&far);
}

static void nobody_there_is_quiet(void **state)
{
    (void)state;
    dz_bus_close(&bus);
    dz_bus_tell_changed(scratch_dir);
    dz_bus_tell_changed("/nonexistent");
}

static void close_tells_backs_to_stop(void **state)
{
    (void)state;
    struct dz_buf b DZ_AUTO(dz_buf_done);
    dz_buf_init(&b, DZ_KIB);
    int back = client();
    dz_wire_put_hello(&b, "back", 1);
    say_buf(back, &b);
    while (!dz_bus_has_back(bus))
        dz_loop_turn(loop, -1);
    dz_bus_close(&bus);
    assert_int_equal(hear(back).type, WIRE_STOP);
    close(back);
}

int main(void)
{
#define with_bus(test) cmocka_unit_test_setup_teardown(test, open_bus, close_bus)
    const struct CMUnitTest tests[] = {
        with_bus(hello_makes_a_back),
        with_bus(back_that_does_not_answer_is_dropped),
        with_bus(ping_is_answered),
        with_bus(tell_changed_arrives),
        with_bus(jobs_are_told_apart),
        with_bus(split_messages_arrive_once),
        with_bus(garbage_is_dropped_alone),
        with_bus(unfinished_message_ends_the_connection),
        with_bus(a_trickle_does_not_buy_time),
        with_bus(quiet_between_messages_is_fine),
        with_bus(peer_that_does_not_read_is_dropped),
        with_bus(clients_are_counted),
        with_bus(second_front_is_refused),
        with_bus(front_without_lock_is_found_by_its_answer),
        with_bus(stale_socket_is_replaced),
        with_bus(file_in_the_way_is_left_alone),
        with_bus(deep_data_folder_works),
        with_bus(nobody_there_is_quiet),
        with_bus(close_tells_backs_to_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
