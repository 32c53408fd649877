/* For tests: a server on a free port and clients with plain sockets, all on one thread: the loop is turned
 * while a client waits. */
#ifndef TESTS_UNIT_HTTP_EXCHANGE_H
#define TESTS_UNIT_HTTP_EXCHANGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "shared/http_private.h"
#include "shared/http_server.h"

enum { WAIT_S = 20, TEXT_BYTES = 1 << 20 };

static uv_loop_t loop;
static struct http_server *server;

struct client {
    int fd;
    char *text; /* what has come and is not taken yet, NUL-terminated */
    size_t length;
    bool ended; /* the server has closed or reset the connection */
};

/* Turns the loop once; fails the test when it has waited for too long since start. */
static inline void turn(uint64_t start) {
    uv_run(&loop, UV_RUN_NOWAIT);
    if (uv_hrtime() - start > WAIT_S * UINT64_C(1000000000))
        fail_msg("waited for more than %d s", WAIT_S);
}

#define wait_for(condition)                                                                                  \
    for (uint64_t wait_start = uv_hrtime(); !(condition);)                                                   \
    turn(wait_start)

static inline void start_server(const struct http_route *routes, void *context) {
    assert_int_equal(uv_loop_init(&loop), 0);
    server = http_server_open(&loop, routes, context);
    assert_non_null(server);
}

static inline void stop_server(void) {
    http_server_close(&server);
    assert_null(server);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static inline struct client client_open(void) {
    struct client client = {.fd = socket(AF_INET, SOCK_STREAM, 0), .text = calloc(1, TEXT_BYTES)};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)http_server_port(server));
    assert_true(client.fd >= 0 && client.text);
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof address), 0);
    return client;
}

static inline void client_close(struct client *client) {
    if (client->fd >= 0)
        close(client->fd);
    free(client->text);
    *client = (struct client){.fd = -1};
}

static inline void client_reset(struct client *client) {
    struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    client_close(client);
}

static inline void client_read(struct client *client) {
    ssize_t got =
        recv(client->fd, client->text + client->length, TEXT_BYTES - 1 - client->length, MSG_DONTWAIT);
    if (got > 0)
        client->length += (size_t)got;
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        client->ended = true;
    client->text[client->length] = '\0';
}

/* False when the server does not take it any more. */
static inline bool client_send_bytes(struct client *client, const char *bytes, size_t length) {
    uint64_t start = uv_hrtime();
    while (length) {
        ssize_t sent = send(client->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return false;
        bytes += sent > 0 ? sent : 0;
        length -= sent > 0 ? (size_t)sent : 0;
        turn(start);
    }
    return true;
}

static inline void client_send(struct client *client, const char *text) {
    assert_true(client_send_bytes(client, text, strlen(text)));
}

/* The bytes of the first answer in text; 0 while it is not complete. without_body: it answers HEAD. */
static inline size_t answer_bytes(const struct client *client, bool without_body) {
    const char *head_end = strstr(client->text, "\r\n\r\n"),
               *length = strstr(client->text, "Content-Length: ");
    if (!head_end)
        return 0;
    size_t head = (size_t)(head_end + 4 - client->text);
    size_t body = length && length < head_end ? strtoul(length + strlen("Content-Length: "), NULL, 10) : 0;
    if (without_body || strncmp(client->text, "HTTP/1.1 100", 12) == 0)
        body = 0;
    return client->length >= head + body ? head + body : 0;
}

/* The next answer, head and body; the caller frees it. */
static inline char *client_answer_of(struct client *client, bool without_body) {
    size_t bytes;
    wait_for((client_read(client), bytes = answer_bytes(client, without_body)) || client->ended);
    if (!bytes)
        fail_msg("the connection ended without an answer, after: %s", client->text);
    char *answer = strndup(client->text, bytes);
    memmove(client->text, client->text + bytes, client->length - bytes + 1);
    client->length -= bytes;
    return answer;
}

static inline char *client_answer(struct client *client) {
    return client_answer_of(client, false);
}

static inline void client_wait_end(struct client *client) {
    wait_for((client_read(client), client->ended));
}

/* One request on a connection of its own; the caller frees the answer. */
static inline char *ask(const char *request) {
    struct client client = client_open();
    client_send(&client, request);
    char *answer = client_answer(&client);
    client_close(&client);
    return answer;
}

/* Asks, and checks that the answer begins with the status line's start and holds the given text. */
static inline void expect(const char *request, const char *status, const char *text) {
    char line[64], *answer = ask(request);
    snprintf(line, sizeof line, "HTTP/1.1 %s ", status);
    if (strncmp(answer, line, strlen(line)) != 0 || !strstr(answer, text))
        fail_msg("expected %s and %s, but the answer is: %s", status, text, answer);
    free(answer);
}

#endif
