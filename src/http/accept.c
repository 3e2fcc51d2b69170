/*
 * accept: addresses, listening sockets and the making of connections.
 *
 * In: address texts of the settings. Out: non-blocking sockets, a set a lane, whose connections
 * become dz_http_conn. A TCP address gets one listener for each lane (SO_REUSEPORT), so that the
 * kernel deals out connections; a UNIX socket, or one that was passed to the process (passed.c), is
 * one listener that all lanes watch. "https://" in front makes the connections TLS. The first
 * listener is bound without SO_REUSEPORT: otherwise another server of the same user on that port
 * would go unnoticed.
 *
 * Running out of descriptors must not make a loop spin on a listener that stays ready, nor leave
 * clients waiting: the server's spare descriptor is given up to accept one and to close it. While
 * they are scarce all lanes accept under one lock, so that none takes what another made room for. A
 * worker that opens a file may still be quicker; then the lane rests for a moment and gives up an
 * idle connection to have a spare one again.
 */
#include "http/accept.h"
#include "http/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096
#define ACCEPT_TURN 64 /* connections taken in one go, so that others get their turn */
#define ACCEPT_PAUSE_MS 100
#define ADDRESS_BYTES 128 /* of a printed one; "https://unix:" and a longest path fit */
#define REFUSED_MAX                                                                                \
    64 /* connections of a lane that are only told 503; more are closed without a word */

/* Moves a descriptor out of a DZ_AUTO(dz_closep) variable. */
static int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

struct dz_http_acceptor {
    struct dz_watch watch;
    struct dz_http_lane *lane;
    struct dz_http_listener *listener; /* of the server */
};

/* ---- addresses ------------------------------------------------------------------------------- */

static void add_listener(struct dz_http_server *s, struct dz_http_listener l)
{
    s->listeners = dz_realloc(s->listeners, (s->listeners_n + 1) * sizeof(*s->listeners));
    s->listeners[s->listeners_n++] = l;
}

static enum dz_code resolve(const char *address, struct sockaddr_storage *ret_sa, socklen_t *ret_n,
                            struct dz_err *err)
{
    dz_str text = dz_str_of(address);
    size_t colon = dz_str_rchr(text, ':');
    uint64_t port;
    if (colon == DZ_NPOS || colon == 0 ||
        dz_str_u64(dz_str_sub(text, colon + 1, text.n), 65535, &port, NULL) != DZ_OK)
        return dz_fail(err, DZ_BAD_INPUT,
                       "\"%s\" is not host:port, [v6]:port, unix:/path or systemd:NAME", address);
    dz_str host = dz_str_sub(text, 0, colon);
    if (host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = dz_str_sub(host, 1, host.n - 1);
    else if (dz_str_chr(host, ':') != DZ_NPOS)
        return dz_fail(err, DZ_BAD_INPUT, "\"%s\": an IPv6 address stands in brackets, [::1]:8080",
                       address);
    DZ_AUTO(dz_freep) char *name = dz_str_dup(host);
    char service[8];
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *found;
    int bad = getaddrinfo(name, service, &hints, &found);
    if (bad != 0)
        return dz_fail(err, DZ_BAD_INPUT, "\"%s\" cannot be resolved: %s", address,
                       gai_strerror(bad));
    memcpy(ret_sa, found->ai_addr, found->ai_addrlen);
    *ret_n = found->ai_addrlen;
    freeaddrinfo(found);
    return DZ_OK;
}

/* As the settings write it. */
static void print_address(const struct dz_http_listener *l, char *ret_address)
{
    struct sockaddr_storage sa = {0};
    socklen_t n = sizeof(sa);
    char ip[INET6_ADDRSTRLEN] = "";
    const char *scheme = l->tls ? "https://" : "";
    ret_address[0] = '\0';
    if (getsockname(l->fd, (struct sockaddr *)&sa, &n) != 0)
        return;
    if (sa.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)&sa;
        inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
        snprintf(ret_address, ADDRESS_BYTES, "%s%s:%u", scheme, ip, ntohs(in->sin_port));
    } else if (sa.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)&sa;
        inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
        snprintf(ret_address, ADDRESS_BYTES, "%s[%s]:%u", scheme, ip, ntohs(in6->sin6_port));
    } else if (sa.ss_family == AF_UNIX) {
        struct sockaddr_un *un = (void *)&sa;
        if (un->sun_path[0] == '\0')
            un->sun_path[0] = '@'; /* no file: a name of the kernel's */
        snprintf(ret_address, ADDRESS_BYTES, "%sunix:%.*s", scheme, (int)sizeof(un->sun_path),
                 un->sun_path);
    }
}

static bool set(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

static enum dz_code tcp_listener(const char *address, const struct sockaddr *sa, socklen_t n,
                                 bool first, int *ret_fd, struct dz_err *err)
{
    DZ_AUTO(dz_closep)
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "%s: cannot create a socket", address);
    bool ok = set(fd, SOL_SOCKET, SO_REUSEADDR) &&
              (sa->sa_family != AF_INET6 || set(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
              (first || set(fd, SOL_SOCKET, SO_REUSEPORT));
    /* Accepted sockets inherit it. */
    if (!ok || !set(fd, IPPROTO_TCP, TCP_NODELAY))
        return dz_fail_errno(err, DZ_IO, errno, "%s: cannot set up a socket", address);
    if (bind(fd, sa, n) != 0) {
        if (errno == EADDRINUSE)
            return dz_fail(err, DZ_CONFLICT, "%s is in use", address);
        return dz_fail_errno(err, DZ_IO, errno, "cannot listen on %s", address);
    }
    if (first && !set(fd, SOL_SOCKET, SO_REUSEPORT))
        return dz_fail_errno(err, DZ_IO, errno, "%s: cannot set up a socket", address);
    if (listen(fd, BACKLOG) != 0) {
        if (errno == EADDRINUSE)
            return dz_fail(err, DZ_CONFLICT, "%s is in use", address);
        return dz_fail_errno(err, DZ_IO, errno, "cannot listen on %s", address);
    }
    *ret_fd = take_fd(&fd);
    return DZ_OK;
}

static enum dz_code listen_tcp(struct dz_http_server *s, const char *address, bool tls,
                               unsigned loops, struct dz_err *err)
{
    struct sockaddr_storage sa = {0};
    socklen_t n = 0;
    DZ_TRY(resolve(address, &sa, &n, err));
    for (unsigned i = 0; i < loops; i++) {
        int fd = -1;
        DZ_TRY(tcp_listener(address, (struct sockaddr *)&sa, n, i == 0, &fd, err));
        add_listener(s, (struct dz_http_listener){.fd = fd, .tls = tls, .lane = i});
        socklen_t room = sizeof(sa);
        (void)getsockname(fd, (struct sockaddr *)&sa, &room); /* port 0 has become a port */
    }
    return DZ_OK;
}

/* A socket file that nobody answers behind is left over from a server that died. */
static enum dz_code clear_stale(const struct sockaddr_un *un, struct dz_err *err)
{
    struct stat st;
    if (lstat(un->sun_path, &st) != 0)
        return DZ_OK;
    if (!S_ISSOCK(st.st_mode))
        return dz_fail(err, DZ_CONFLICT, "unix:%s is there already and is not a socket",
                       un->sun_path);
    DZ_AUTO(dz_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 || errno == EAGAIN))
        return dz_fail(err, DZ_CONFLICT, "unix:%s is in use", un->sun_path);
    if (unlink(un->sun_path) != 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot remove the stale socket %s", un->sun_path);
    return DZ_OK;
}

static enum dz_code listen_unix(struct dz_http_server *s, const char *path, bool tls,
                                struct dz_err *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(un.sun_path))
        return dz_fail(err, DZ_BAD_INPUT, "unix:%s: the path of a socket has 1 to %zu bytes", path,
                       sizeof(un.sun_path) - 1);
    memcpy(un.sun_path, path, n);
    DZ_TRY(clear_stale(&un, err));
    DZ_AUTO(dz_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&un, sizeof(un)) != 0 ||
        listen(fd, BACKLOG) != 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot listen on unix:%s", path);
    add_listener(
        s, (struct dz_http_listener){
               .fd = take_fd(&fd), .shared = true, .tls = tls, .unlink_path = dz_strdup(path)});
    return DZ_OK;
}

static enum dz_code listen_passed(struct dz_http_server *s, const char *name, bool tls,
                                  struct dz_err *err)
{
    size_t before = s->listeners_n;
    for (;;) {
        int fd;
        DZ_TRY(dz_http_passed_next(s, name, &fd, err));
        if (fd < 0)
            break;
        add_listener(s, (struct dz_http_listener){.fd = fd, .shared = true, .tls = tls});
    }
    if (s->listeners_n > before)
        return DZ_OK;
    if (s->passed_n == 0)
        return dz_fail(err, DZ_BAD_INPUT,
                       "systemd:%s: no socket was passed to this process; start it by its socket "
                       "unit (systemctl start dozo.socket)",
                       name);
    return dz_fail(err, DZ_BAD_INPUT, "systemd:%s: no socket %s was passed to this process", name,
                   name[0] ? "of that name (FileDescriptorName=) that is not taken already"
                           : "that is not taken already");
}

enum dz_code dz_http_listen(struct dz_http_server *s, const char *address, unsigned loops,
                            char *ret_address, struct dz_err *err)
{
    dz_assert(loops > 0 && !s->started);
    size_t first = s->listeners_n;
    const char *at = address;
    bool tls = dz_str_starts(dz_str_of(at), DZ_S("https://"));
    if (tls)
        at += sizeof("https://") - 1;
    if (tls && !s->tls)
        return dz_fail(err, DZ_BAD_INPUT, "%.120s: https needs a certificate", address);
    if (dz_str_starts(dz_str_of(at), DZ_S("unix:")))
        DZ_TRY(listen_unix(s, at + 5, tls, err));
    else if (dz_str_starts(dz_str_of(at), DZ_S("systemd:")))
        DZ_TRY(listen_passed(s, at + 8, tls, err));
    else
        DZ_TRY(listen_tcp(s, at, tls, loops, err));
    print_address(&s->listeners[first], ret_address);
    return DZ_OK;
}

bool dz_http_listening(const struct dz_http_server *s, size_t i, char *ret_address)
{
    for (size_t at = 0; at < s->listeners_n; at++) {
        const struct dz_http_listener *l = &s->listeners[at];
        if (l->lane > 0)
            continue; /* the same address for another loop */
        if (i-- == 0) {
            print_address(l, ret_address);
            return true;
        }
    }
    return false;
}

bool dz_http_passed_unused(const struct dz_http_server *s, size_t i, char *ret_text)
{
    for (size_t at = 0; at < s->passed_n; at++) {
        const struct dz_http_passed *p = &s->passed[at];
        if (p->fd < 0 || i-- > 0)
            continue;
        char address[ADDRESS_BYTES];
        print_address(&(struct dz_http_listener){.fd = p->fd}, address);
        snprintf(ret_text, ADDRESS_BYTES, "%.40s (%.80s)", p->name[0] ? p->name : "without a name",
                 address[0] ? address : "no socket");
        return true;
    }
    return false;
}

void dz_http_listeners_close(struct dz_http_server *s)
{
    for (size_t i = 0; i < s->listeners_n; i++) {
        dz_closep(&s->listeners[i].fd);
        if (s->listeners[i].unlink_path)
            (void)unlink(s->listeners[i].unlink_path);
        dz_freep(&s->listeners[i].unlink_path);
    }
    s->listeners_n = 0;
    dz_freep(&s->listeners);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void on_connection(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)l;
    dz_http_conn_event(dz_container(w, struct dz_http_conn, watch), events);
}

static void name_peer(struct dz_http_conn *c, const struct sockaddr_storage *sa)
{
    unsigned char address[16] = {[10] = 0xFF, [11] = 0xFF};
    const struct dz_http_trust *trust = c->lane->server->trust;
    if (sa->ss_family == AF_INET) {
        memcpy(address + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    } else if (sa->ss_family == AF_INET6) {
        memcpy(address, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
    } else { /* who may open the socket file is a local proxy */
        memcpy(c->ip, "unix", 4);
        c->ip_n = 4;
        c->trusted = trust->n > 0;
        return;
    }
    static const unsigned char mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    bool v4 = memcmp(address, mapped, sizeof(mapped)) == 0;
    inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? address + 12 : address, c->ip, sizeof(c->ip));
    c->ip_n = (uint8_t)strlen(c->ip);
    c->trusted = dz_http_trusts(trust, address);
}

static void welcome(struct dz_http_lane *lane, int fd, bool tls, const struct sockaddr_storage *sa)
{
    struct dz_http_server *s = lane->server;
    bool full = atomic_fetch_add_explicit(&s->open, 1, memory_order_relaxed) >=
                HTTP_LIMIT(s, max_connections);
    dz_http_count(&lane->counters.total, 1);
    if (full) {
        atomic_fetch_sub_explicit(&s->open, 1, memory_order_relaxed);
        dz_http_count(&lane->counters.refused, 1);
        if (tls || lane->refused_n >= REFUSED_MAX) { /* a 503 is not worth a handshake */
            dz_closep(&fd);
            return;
        }
    }
    struct dz_http_conn *c = dz_http_conn_new(lane, tls ? &dz_http_tls_wire : &dz_http_socket_wire);
    c->refused = full;
    *(full ? &lane->refused_n : &lane->conns_n) += 1;
    atomic_store_explicit(&lane->counters.open, lane->conns_n, memory_order_relaxed);
    name_peer(c, sa);
    bool ok = !tls || dz_http_tls_open(c, fd);
    if (!ok)
        c->wire = &dz_http_socket_wire;
    if (!ok || dz_watch_add(lane->loop, &c->watch, fd, EPOLLIN,
                            tls ? dz_http_tls_event : on_connection, NULL) != DZ_OK) {
        c->watch.fd = fd;
        dz_http_conn_cut(c);
        return;
    }
    dz_http_conn_begin(c);
    if (full)
        dz_http_conn_refuse_full(c);
}

static void resume_accepting(struct dz_loop *l, struct dz_timer *t);
static void on_listener(struct dz_loop *l, struct dz_watch *w, uint32_t events);

static void pause_accepting(struct dz_http_lane *lane)
{
    for (size_t i = 0; i < lane->acceptors_n; i++)
        dz_watch_del(lane->loop, &lane->acceptors[i].watch);
    dz_timer_set(lane->loop, &lane->accept_timer, ACCEPT_PAUSE_MS, resume_accepting);
}

static enum dz_code watch_listeners(struct dz_http_lane *lane, struct dz_err *err)
{
    for (size_t i = 0; i < lane->acceptors_n; i++) {
        struct dz_http_acceptor *a = &lane->acceptors[i];
        if (a->watch.events == 0)
            DZ_TRY(dz_watch_add(lane->loop, &a->watch, a->listener->fd, EPOLLIN | EPOLLEXCLUSIVE,
                                on_listener, err));
    }
    return DZ_OK;
}

/* ---- without descriptors --------------------------------------------------------------------- */

enum dz_code dz_http_spare_open(struct dz_http_server *s, struct dz_err *err)
{
    s->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (s->null_fd < 0)
        return dz_fail_errno(err, DZ_IO, errno, "cannot open /dev/null");
    s->spare_fd = fcntl(s->null_fd, F_DUPFD_CLOEXEC, 0);
    return DZ_OK;
}

/* Whether it waits for a request of which nothing has come, and its descriptor would come back: the
 * limit may have been lowered meanwhile. */
static bool is_spare(struct dz_http_conn *c, const struct rlimit *rl)
{
    return c->state == CONN_READ && c->timed == TIMED_IDLE && !c->busy &&
           (rlim_t)c->watch.fd < rl->rlim_cur && !c->wire->readable(c);
}

/* Under the lock. Ends the oldest connection that nobody uses; from the oldest on, since looking
 * for input is a system call. */
static bool give_up_idle(struct dz_http_lane *lane)
{
    struct rlimit rl;
    struct dz_http_conn *c = lane->conns;
    if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
        return false;
    while (c && c->next)
        c = c->next;
    while (c && !is_spare(c, &rl))
        c = c->prev;
    if (c)
        dz_http_drop(c);
    return c != NULL;
}

static void resume_accepting(struct dz_loop *l, struct dz_timer *t)
{
    (void)l;
    struct dz_http_lane *lane = dz_container(t, struct dz_http_lane, accept_timer);
    struct dz_http_server *s = lane->server;
    pthread_mutex_lock(&s->accept_lock);
    if (s->spare_fd < 0)
        s->spare_fd = fcntl(s->null_fd, F_DUPFD_CLOEXEC, 0);
    if (s->spare_fd < 0 && errno == EMFILE && give_up_idle(lane))
        s->spare_fd = fcntl(s->null_fd, F_DUPFD_CLOEXEC, 0);
    pthread_mutex_unlock(&s->accept_lock);
    if (watch_listeners(lane, NULL) != DZ_OK)
        pause_accepting(lane);
}

/* Under the lock. Takes one connection with the spare descriptor and closes it; the spare one comes
 * into its place in one step, so that nobody gets in between. False: it did not help. errno is what
 * accept said. */
static bool turn_away(struct dz_http_lane *lane, int listener)
{
    struct dz_http_server *s = lane->server;
    if (s->spare_fd < 0) {
        errno = EMFILE;
        return false;
    }
    dz_closep(&s->spare_fd);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    int said = errno;
    if (fd >= 0) {
        dz_http_count(&lane->counters.refused, 1);
        (void)dup3(s->null_fd, fd, O_CLOEXEC);
        s->spare_fd = fd;
    } else {
        s->spare_fd = fcntl(s->null_fd, F_DUPFD_CLOEXEC, 0);
    }
    errno = said;
    return fd >= 0;
}

/* Keeps the place of a connection that was accepted without the lock, when that was the room which
 * another lane had made with the spare descriptor: so it is the spare one again. */
static bool give_back(struct dz_http_lane *lane, int fd)
{
    struct dz_http_server *s = lane->server;
    pthread_mutex_lock(&s->accept_lock);
    bool taken = s->spare_fd < 0;
    if (taken) {
        dz_http_count(&lane->counters.refused, 1);
        (void)dup3(s->null_fd, fd, O_CLOEXEC);
        s->spare_fd = fd;
    }
    pthread_mutex_unlock(&s->accept_lock);
    return taken;
}

static bool is_scarcity(int native)
{
    return native == EMFILE || native == ENFILE;
}

/* One connection, or -1: EAGAIN says that nobody waits, EMFILE and its like that nothing can be
 * done now, anything else that it went wrong with this one only. */
static int accept_one(struct dz_http_lane *lane, int listener, struct sockaddr_storage *ret_sa)
{
    struct dz_http_server *s = lane->server;
    socklen_t n = sizeof(*ret_sa);
    ret_sa->ss_family = AF_UNSPEC;
    bool locked = atomic_load_explicit(&s->scarce, memory_order_relaxed);
    if (locked)
        pthread_mutex_lock(&s->accept_lock);
    int fd = accept4(listener, (struct sockaddr *)ret_sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    bool scarce = fd < 0 && is_scarcity(errno);
    if (!scarce && !locked) {
        if (fd < 0 || !atomic_load(&s->scarce) || !give_back(lane, fd))
            return fd;
        errno = ECONNABORTED;
        return -1;
    }
    int said = errno;
    if (!locked)
        pthread_mutex_lock(&s->accept_lock);
    if (scarce) {
        atomic_store(&s->scarce, true); /* before there is room: see give_back() */
        said = turn_away(lane, listener) ? ECONNABORTED : errno;
    }
    if (scarce || fd >= 0)
        atomic_store_explicit(&s->scarce, scarce, memory_order_relaxed);
    pthread_mutex_unlock(&s->accept_lock);
    errno = said;
    return fd;
}

static void accept_some(struct dz_http_lane *lane, const struct dz_http_listener *listener)
{
    for (unsigned i = 0; i < ACCEPT_TURN; i++) {
        struct sockaddr_storage sa;
        int fd = accept_one(lane, listener->fd, &sa);
        if (fd >= 0) {
            welcome(lane, fd, listener->tls, &sa);
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (is_scarcity(errno) || errno == ENOBUFS || errno == ENOMEM) {
            if (!lane->stopping)
                pause_accepting(lane);
            return;
        }
        /* Anything else is the fate of that one connection: it was reset before we came to it. */
    }
}

static void on_listener(struct dz_loop *l, struct dz_watch *w, uint32_t events)
{
    (void)l;
    (void)events;
    struct dz_http_acceptor *a = dz_container(w, struct dz_http_acceptor, watch);
    accept_some(a->lane, a->listener);
}

enum dz_code dz_http_lane_listen(struct dz_http_lane *lane, unsigned index, unsigned loops,
                                 struct dz_err *err)
{
    struct dz_http_server *s = lane->server;
    lane->acceptors = dz_zalloc((s->listeners_n + 1) * sizeof(*lane->acceptors));
    for (size_t i = 0; i < s->listeners_n; i++)
        if (s->listeners[i].shared || s->listeners[i].lane % loops == index)
            lane->acceptors[lane->acceptors_n++] =
                (struct dz_http_acceptor){.lane = lane, .listener = &s->listeners[i]};
    return watch_listeners(lane, err);
}

void dz_http_lane_deafen(struct dz_http_lane *lane)
{
    dz_timer_stop(lane->loop, &lane->accept_timer);
    for (size_t i = 0; i < lane->acceptors_n; i++) {
        struct dz_http_acceptor *a = &lane->acceptors[i];
        if (a->watch.events != 0)
            accept_some(lane, a->listener);
        dz_watch_del(lane->loop, &a->watch);
        if (!a->listener->shared)
            dz_closep(
                &a->listener->fd); /* clients that come now hear at once that nobody is there */
    }
    lane->acceptors_n = 0;
}
