/*
 * mongodb_calls: the names of libmongoc's functions as places in the table of mongodb_lib.h.
 */
#pragma once

#include "store/mongodb_lib.h"

#define mongoc_apm_callbacks_destroy mongodb_lib.mongoc_apm_callbacks_destroy
#define mongoc_apm_callbacks_new mongodb_lib.mongoc_apm_callbacks_new
#define mongoc_apm_server_heartbeat_failed_get_context                                             \
    mongodb_lib.mongoc_apm_server_heartbeat_failed_get_context
#define mongoc_apm_server_heartbeat_failed_get_error                                               \
    mongodb_lib.mongoc_apm_server_heartbeat_failed_get_error
#define mongoc_apm_server_heartbeat_succeeded_get_context                                          \
    mongodb_lib.mongoc_apm_server_heartbeat_succeeded_get_context
#define mongoc_apm_set_server_heartbeat_failed_cb                                                  \
    mongodb_lib.mongoc_apm_set_server_heartbeat_failed_cb
#define mongoc_apm_set_server_heartbeat_succeeded_cb                                               \
    mongodb_lib.mongoc_apm_set_server_heartbeat_succeeded_cb
#define mongoc_apm_set_topology_changed_cb mongodb_lib.mongoc_apm_set_topology_changed_cb
#define mongoc_apm_topology_changed_get_context mongodb_lib.mongoc_apm_topology_changed_get_context
#define mongoc_apm_topology_changed_get_new_description                                            \
    mongodb_lib.mongoc_apm_topology_changed_get_new_description
#define mongoc_client_command_simple mongodb_lib.mongoc_client_command_simple
#define mongoc_client_get_collection mongodb_lib.mongoc_client_get_collection
#define mongoc_client_pool_destroy mongodb_lib.mongoc_client_pool_destroy
#define mongoc_client_pool_new_with_error mongodb_lib.mongoc_client_pool_new_with_error
#define mongoc_client_pool_pop mongodb_lib.mongoc_client_pool_pop
#define mongoc_client_pool_push mongodb_lib.mongoc_client_pool_push
#define mongoc_client_pool_set_apm_callbacks mongodb_lib.mongoc_client_pool_set_apm_callbacks
#define mongoc_client_pool_set_error_api mongodb_lib.mongoc_client_pool_set_error_api
#define mongoc_collection_delete_one mongodb_lib.mongoc_collection_delete_one
#define mongoc_collection_destroy mongodb_lib.mongoc_collection_destroy
#define mongoc_collection_find_with_opts mongodb_lib.mongoc_collection_find_with_opts
#define mongoc_collection_insert_many mongodb_lib.mongoc_collection_insert_many
#define mongoc_collection_set_read_prefs mongodb_lib.mongoc_collection_set_read_prefs
#define mongoc_collection_set_write_concern mongodb_lib.mongoc_collection_set_write_concern
#define mongoc_collection_update_one mongodb_lib.mongoc_collection_update_one
#define mongoc_cursor_destroy mongodb_lib.mongoc_cursor_destroy
#define mongoc_cursor_error mongodb_lib.mongoc_cursor_error
#define mongoc_cursor_next mongodb_lib.mongoc_cursor_next
#define mongoc_log_set_handler mongodb_lib.mongoc_log_set_handler
#define mongoc_read_prefs_destroy mongodb_lib.mongoc_read_prefs_destroy
#define mongoc_read_prefs_new mongodb_lib.mongoc_read_prefs_new
#define mongoc_topology_description_has_writable_server                                            \
    mongodb_lib.mongoc_topology_description_has_writable_server
#define mongoc_uri_destroy mongodb_lib.mongoc_uri_destroy
#define mongoc_uri_get_appname mongodb_lib.mongoc_uri_get_appname
#define mongoc_uri_get_hosts mongodb_lib.mongoc_uri_get_hosts
#define mongoc_uri_get_option_as_int32 mongodb_lib.mongoc_uri_get_option_as_int32
#define mongoc_uri_new_with_error mongodb_lib.mongoc_uri_new_with_error
#define mongoc_uri_set_appname mongodb_lib.mongoc_uri_set_appname
#define mongoc_uri_set_option_as_bool mongodb_lib.mongoc_uri_set_option_as_bool
#define mongoc_uri_set_option_as_int32 mongodb_lib.mongoc_uri_set_option_as_int32
#define mongoc_write_concern_destroy mongodb_lib.mongoc_write_concern_destroy
#define mongoc_write_concern_new mongodb_lib.mongoc_write_concern_new
#define mongoc_write_concern_set_journal mongodb_lib.mongoc_write_concern_set_journal
#define mongoc_write_concern_set_wmajority mongodb_lib.mongoc_write_concern_set_wmajority
