/*
 * tell: one word to a running front from a command that has changed the catalog.
 *
 * In: the data folder. Out: a "changed" message, or nothing at all when nobody listens: the front
 * polls the catalog's change counter as well, so a lost word costs seconds, not data. Blocks for at
 * most 200 ms.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "crawl/crawl_int.h"

#define TELL_STEP_MS 100 /* one for the connection, one for the send */

void dz_bus_tell_changed(const char *data_dir)
{
    DZ_AUTO(dz_closep) int fd = -1;
    if (dz_place_connect(data_dir, BUS_SOCKET, TELL_STEP_MS, &fd, NULL) != DZ_OK)
        return;
    struct dz_buf out DZ_AUTO(dz_buf_done);
    dz_buf_init(&out, LINK_OUT_MAX);
    dz_wire_put_changed(&out);
    /* A fresh socket takes these few bytes whole; what is in its queue is read even after we have
     * closed. */
    (void)!send(fd, out.p, out.n, MSG_NOSIGNAL);
}
