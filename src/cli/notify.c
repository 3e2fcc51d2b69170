/*
 * notify: tells a service manager how the server is (sd_notify(3)), without its library.
 *
 * In: the socket that NOTIFY_SOCKET names. Out: one datagram a state. Who did not ask gets nothing,
 * and a manager that does not listen is no reason to fail. Blocking at most as long as a datagram
 * takes; the main thread.
 */
#include "cli/cli_int.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void dz_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof(un.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(un.sun_path, path, n);
    if (path[0] == '@')
        un.sun_path[0] = '\0'; /* a name of the kernel's, no file */
    DZ_AUTO(dz_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t un_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&un, un_n) < 0)
        dz_log(&(struct dz_log_ctx){.room = "serve"}, DZ_DEBUG, "NOTIFY_SOCKET: nobody listens");
}
