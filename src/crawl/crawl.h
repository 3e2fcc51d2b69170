/*
 * crawl: the back role, its supervisor, and the bus between processes that share a data folder.
 *
 * The bus is a UNIX stream socket, data_dir/run/front.sock, with length-prefixed JSON messages (4
 * bytes big-endian, then at most 1 MiB of one JSON object with a "type"). The front listens; the
 * back and commands such as `dozo import` connect. Losing it loses nothing: the catalog's change
 * counter is polled as well.
 *
 * Messages: {"type":"hello","role":"back","pid":1,"version":"0.1.0"}, {"type":"changed"} (look at
 * the catalog now),
 * {"type":"ping","n":1} answered by {"type":"pong","n":1}, {"type":"stop"} (front to back when the
 * front closes the bus: a supervised back finishes and exits, one of its own waits for the next
 * front). Other types are passed over.
 */
#pragma once

#include "catalog/catalog.h"
#include "conf/conf.h"
#include "loop/loop.h"
#include "store/store.h"

/* ---- the bus, front side --------------------------------------------------------------------- */

struct dz_bus;
struct dz_bus_hooks {
    void (*changed)(void *arg); /* somebody changed the catalog; loop thread */
    void *arg;
};
/* Listens on data_dir/run/front.sock (mode 0600, a stale one is replaced; DZ_CONFLICT when another
 * front answers there or holds run/bus.lock). At most 64 clients of our own user or root, 1 MiB a
 * message, 10 s for a message. Owned by the loop's thread. */
DZ_MUST enum dz_code dz_bus_open(struct dz_loop *l, const char *data_dir,
                                 const struct dz_bus_hooks *hooks, struct dz_bus **ret_b,
                                 struct dz_err *err);
void dz_bus_close(struct dz_bus **b);         /* removes the socket file */
bool dz_bus_has_back(const struct dz_bus *b); /* a back has said hello and answers pings */

/* ---- the bus, other side --------------------------------------------------------------------- */

/* Tells a running front to look at the catalog; quiet when there is none. Blocks for at most 200
 * ms. */
void dz_bus_tell_changed(const char *data_dir);

/* ---- the back and its supervisor ------------------------------------------------------------- */

struct dz_back; /* the supervisor's handle, on the front's control loop */
struct dz_back_stats {
    bool running;
    int pid;
    uint64_t starts, deaths;
    int64_t next_start_in_ms; /* -1: running or stopped */
};
/* Starts `self serve --role back --config FILE` as a child (PR_SET_PDEATHSIG, its log on our
 * stderr) and starts it again when it ends, after 1 s, 2 s, 4 s … 60 s; a child that lived for a
 * minute starts the count anew. argv is copied, NULL-terminated; argv[0] is the path to execute.
 * DZ_UNAVAILABLE when it cannot be executed at all. The kernel ends the child with the *thread*
 * that started it: the loop must run on one that lives as long as the process. Closes inherited
 * descriptors above 2 in the child. */
DZ_MUST enum dz_code dz_back_supervise(struct dz_loop *l, char *const *argv, struct dz_back **ret_b,
                                       struct dz_err *err);
void dz_back_stats_of(const struct dz_back *b, struct dz_back_stats *ret_stats);
void dz_back_signal(struct dz_back *b, int signal); /* SIGHUP is passed on so */
/* SIGTERM, then waits up to wait_ms, then SIGKILL. Blocking. */
void dz_back_stop(struct dz_back **b, int64_t wait_ms);

/* The whole back role until SIGTERM or, when it was supervised, the front goes: takes
 * data_dir/run/back.lock, connects to the bus (retrying), and keeps house: stale temporaries of the
 * store are swept at start and every hour. Returns the process's exit status. */
int dz_back_main(struct dz_conf *conf, const char *config_path);

/* An exclusive flock on data_dir/run/NAME.lock holding our pid; DZ_CONFLICT names the other's pid.
 * The caller keeps *ret_fd. */
DZ_MUST enum dz_code dz_role_lock(const char *data_dir, const char *name, int *ret_fd,
                                  struct dz_err *err);
