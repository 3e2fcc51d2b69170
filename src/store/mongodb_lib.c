/*
 * mongodb_lib: loads libmongoc.
 *
 * In: nothing. Out: the table of its functions, for the rest of the process, or why there is none.
 * The library prepares itself while it is loaded; its counters stay out of /dev/shm, where nobody
 * would read them. It is never unloaded: its threads may run until the end.
 */
#include "store/mongodb_lib.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

#define LIBRARY "libmongoc-1.0.so.0"

struct mongodb_lib mongodb_lib;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char why[512];

static void find(void *library, const char *name, void **to)
{
    *to = dlsym(library, name);
    if (!*to && !why[0])
        (void)snprintf(why, sizeof(why), "%s", dlerror());
}

static void load(void)
{
    (void)setenv("MONGOC_DISABLE_SHM", "1", 0);
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        (void)snprintf(why, sizeof(why), "%s", dlerror());
        return;
    }
#define MONGODB_FIND(f) find(library, #f, (void **)&mongodb_lib.f);
    MONGODB_CALLS(MONGODB_FIND)
#undef MONGODB_FIND
}

enum dz_code mongodb_lib_load(struct dz_err *err)
{
    pthread_once(&once, load);
    return why[0] ? dz_fail(err, DZ_UNSUPPORTED,
                            "the driver mongodb needs libmongoc (Debian: libmongoc-1.0-0): %s", why)
                  : DZ_OK;
}
