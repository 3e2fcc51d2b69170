/*
 * mongodb_lib: libmongoc, loaded when a MongoDB store is opened and not before.
 *
 * Linked in, it would prepare itself at the start of every command (some 8 ms), leave a file of
 * counters in /dev/shm for each process that is killed, and write a warning to stderr when that
 * place is full. Its functions are called by their own names, which lead through a table here.
 */
#pragma once

/* The system's headers first: ours poison what they use. */
#include <mongoc/mongoc.h>

#include "base/base.h"

#define MONGODB_CALLS(X)                                                                           \
    X(mongoc_apm_callbacks_destroy)                                                                \
    X(mongoc_apm_callbacks_new)                                                                    \
    X(mongoc_apm_server_heartbeat_failed_get_context)                                              \
    X(mongoc_apm_server_heartbeat_failed_get_error)                                                \
    X(mongoc_apm_server_heartbeat_succeeded_get_context)                                           \
    X(mongoc_apm_set_server_heartbeat_failed_cb)                                                   \
    X(mongoc_apm_set_server_heartbeat_succeeded_cb)                                                \
    X(mongoc_apm_set_topology_changed_cb)                                                          \
    X(mongoc_apm_topology_changed_get_context)                                                     \
    X(mongoc_apm_topology_changed_get_new_description)                                             \
    X(mongoc_client_command_simple)                                                                \
    X(mongoc_client_get_collection)                                                                \
    X(mongoc_client_pool_destroy)                                                                  \
    X(mongoc_client_pool_new_with_error)                                                           \
    X(mongoc_client_pool_pop)                                                                      \
    X(mongoc_client_pool_push)                                                                     \
    X(mongoc_client_pool_set_apm_callbacks)                                                        \
    X(mongoc_client_pool_set_error_api)                                                            \
    X(mongoc_collection_delete_one)                                                                \
    X(mongoc_collection_destroy)                                                                   \
    X(mongoc_collection_find_with_opts)                                                            \
    X(mongoc_collection_insert_many)                                                               \
    X(mongoc_collection_set_read_prefs)                                                            \
    X(mongoc_collection_set_write_concern)                                                         \
    X(mongoc_collection_update_one)                                                                \
    X(mongoc_cursor_destroy)                                                                       \
    X(mongoc_cursor_error)                                                                         \
    X(mongoc_cursor_next)                                                                          \
    X(mongoc_log_set_handler)                                                                      \
    X(mongoc_read_prefs_destroy)                                                                   \
    X(mongoc_read_prefs_new)                                                                       \
    X(mongoc_topology_description_has_writable_server)                                             \
    X(mongoc_uri_destroy)                                                                          \
    X(mongoc_uri_get_appname)                                                                      \
    X(mongoc_uri_get_hosts)                                                                        \
    X(mongoc_uri_get_option_as_int32)                                                              \
    X(mongoc_uri_new_with_error)                                                                   \
    X(mongoc_uri_set_appname)                                                                      \
    X(mongoc_uri_set_option_as_bool)                                                               \
    X(mongoc_uri_set_option_as_int32)                                                              \
    X(mongoc_write_concern_destroy)                                                                \
    X(mongoc_write_concern_new)                                                                    \
    X(mongoc_write_concern_set_journal)                                                            \
    X(mongoc_write_concern_set_wmajority)

struct mongodb_lib {
#define MONGODB_MEMBER(f) __typeof__(f) *f;
    MONGODB_CALLS(MONGODB_MEMBER)
#undef MONGODB_MEMBER
};
extern struct mongodb_lib mongodb_lib; /* filled in by mongodb_lib_load */

/* Once a process however often it is called; any thread. DZ_UNSUPPORTED: the library is not
 * installed, or another one. */
DZ_MUST enum dz_code mongodb_lib_load(struct dz_err *err);
