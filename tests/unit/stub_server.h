/* A tiny HTTP server on the test's own loop: it keeps what it was sent and answers with the bytes it is
 * given. */
#ifndef TESTS_UNIT_STUB_SERVER_H
#define TESTS_UNIT_STUB_SERVER_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { STUB_BYTES_MAX = 1 << 20 };

struct stub_server {
    uv_tcp_t listener;
    int port, connections, requests;
    const char *answer; /* whole HTTP answers as they go over the wire; NULL: never answers */
    const char *then;   /* what answer is after the next request; NULL: the same */
    bool cuts;          /* closes the connection after the answer */
    char *request;      /* the last one, with its headers */
};

struct stub_connection {
    uv_tcp_t tcp;
    struct stub_server *server;
    char bytes[STUB_BYTES_MAX];
    size_t length;
};

static void stub_free(uv_handle_t *handle) {
    free(handle->data);
}

static void stub_close(struct stub_connection *connection) {
    if (!uv_is_closing((uv_handle_t *)&connection->tcp))
        uv_close((uv_handle_t *)&connection->tcp, stub_free);
}

static void stub_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    struct stub_connection *connection = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(
        connection->bytes + connection->length, (unsigned)(STUB_BYTES_MAX - 1 - connection->length));
}

static bool stub_is_whole(struct stub_connection *connection) {
    connection->bytes[connection->length] = '\0';
    const char *body = strstr(connection->bytes, "\r\n\r\n"),
               *size = strcasestr(connection->bytes, "\r\ncontent-length:");
    return body && size &&
           connection->length >= (size_t)(body + 4 - connection->bytes) + strtoul(size + 17, NULL, 10);
}

static void stub_written(uv_write_t *write, int status) {
    struct stub_connection *connection = write->data;
    (void)status;
    if (connection->server->cuts)
        stub_close(connection);
    free(write);
}

static void stub_answer(struct stub_connection *connection) {
    struct stub_server *server = connection->server;
    server->requests++;
    free(server->request);
    server->request = strdup(connection->bytes);
    connection->length = 0;
    if (!server->answer)
        return;
    uv_write_t *write = malloc(sizeof *write);
    write->data = connection;
    uv_buf_t bytes = uv_buf_init((char *)(uintptr_t)server->answer, (unsigned)strlen(server->answer));
    uv_write(write, (uv_stream_t *)&connection->tcp, &bytes, 1, stub_written);
    if (server->then) {
        server->answer = server->then;
        server->then = NULL;
    }
}

static void stub_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer) {
    struct stub_connection *connection = stream->data;
    (void)buffer;
    if (length < 0) {
        stub_close(connection);
        return;
    }
    connection->length += (size_t)length;
    if (stub_is_whole(connection))
        stub_answer(connection);
}

static void stub_accept(uv_stream_t *listener, int status) {
    struct stub_server *server = listener->data;
    struct stub_connection *connection = calloc(1, sizeof *connection);
    (void)status;
    connection->server = server;
    connection->tcp.data = connection;
    server->connections++;
    uv_tcp_init(listener->loop, &connection->tcp);
    uv_accept(listener, (uv_stream_t *)&connection->tcp);
    uv_read_start((uv_stream_t *)&connection->tcp, stub_room, stub_read);
}

/* Listens on a free port of this machine. */
static void stub_open(struct stub_server *server, uv_loop_t *loop) {
    struct sockaddr_in address;
    int length = sizeof address;
    *server = (struct stub_server){0};
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_init(loop, &server->listener);
    server->listener.data = server;
    if (uv_tcp_bind(&server->listener, (struct sockaddr *)&address, 0) ||
        uv_listen((uv_stream_t *)&server->listener, 128, stub_accept) ||
        uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &length))
        abort();
    server->port = ntohs(address.sin_port);
}

/* Writes a whole answer; headers end with \r\n each, or are "". To be freed. */
static char *stub_format(int status, const char *headers, const char *body) {
    size_t room = strlen(headers) + strlen(body) + 128;
    char *answer = malloc(room);
    snprintf(answer, room,
        "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers,
        strlen(body), body);
    return answer;
}

/* A stream of events as one chunk, with the chunks' end unless it is cut. To be freed. */
__attribute__((unused)) static char *stub_format_stream(const char *events, bool cut) {
    size_t room = strlen(events) + 160;
    char *answer = malloc(room);
    snprintf(answer, room,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
        "chunked\r\n\r\n%zx\r\n%s\r\n%s",
        strlen(events), events, cut ? "" : "0\r\n\r\n");
    return answer;
}

#endif
