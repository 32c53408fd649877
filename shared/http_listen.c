/* A listening socket, made by ourselves so that a failure can be told in plain words. */
#include "shared/http_listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/http_server.h"
#include "shared/log.h"

/* Connections that wait to be accepted; the kernel's somaxconn may lower it. */
enum { BACKLOG = 4096, OPEN_FILES_UNKNOWN = 1024 };

static int bind_and_listen(const struct addrinfo *address) {
    int on = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

int http_listen(const char *address, int64_t port) {
    char service[16];
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    snprintf(service, sizeof service, "%lld", (long long)port);
    int error = getaddrinfo(address, service, &hints, &found);
    if (error) {
        log_error("listen_failed", log_string("address", address), log_string("reason", gai_strerror(error)));
        return -1;
    }
    int fd = bind_and_listen(found);
    if (fd < 0)
        log_error("listen_failed", log_string("address", address), log_integer("port", port),
            log_string("reason", strerror(errno)));
    freeaddrinfo(found);
    return fd;
}

int http_listen_port(int fd) {
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&address)->sin6_port);
    /* getsockname has filled it. NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage) */
    return ntohs(((const struct sockaddr_in *)&address)->sin_port);
}

int64_t http_raise_open_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return OPEN_FILES_UNKNOWN;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        limit.rlim_cur = before;
    return limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
}
