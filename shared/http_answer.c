/* Answers: a response of libmicrohttpd's, with its headers, of a whole body or of parts. */
#include <assert.h>
#include <stdlib.h>

#include "shared/arena.h"
#include "shared/http_daemon.h"
#include "shared/http_server.h"
#include "shared/log.h"

enum { PART_BYTES = 16384 }; /* of an answer in parts, that libmicrohttpd asks for at once */

static void add_response_header(struct http_request *request, const char *name, const char *value) {
    /* Refused are values with line ends: better an answer without the header than one that can be split. */
    if (MHD_add_response_header(request->response, name, value) != MHD_YES)
        log_error("http_header_refused", log_string("name", name));
}

/* Takes request->response for the answer. */
static void answer(struct http_request *request, int status, const char *content_type) {
    struct http_server *server = request->server;
    assert(request->state == REQUEST_HANDLING || request->state == REQUEST_WAITING);
    if (!request->response)
        abort();
    request->status = status;
    add_response_header(request, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    for (const struct header_line *line = request->headers; line; line = line->next)
        add_response_header(request, line->name, line->value);
    if (server->stopped)
        add_response_header(request, MHD_HTTP_HEADER_CONNECTION, "close");
    if (server->answered)
        server->answered(server->answered_context, http_method_label(request),
            request->route ? request->route->path : "", status,
            (double)(uv_hrtime() - request->whole_at) / 1e9);
    http_set_busy(request);
    request->state = REQUEST_ANSWERED;
}

void http_respond(
    struct http_request *request, int status, const char *content_type, const char *body, size_t length) {
    /* The request's arena outlives its answer. */
    request->response = MHD_create_response_from_buffer(
        length, arena_copy(request->arena, body, length), MHD_RESPMEM_PERSISTENT);
    request->left = NULL;
    answer(request, status, content_type);
}

static ssize_t read_parts(void *context, uint64_t position, char *out, size_t room) {
    struct http_request *request = context;
    (void)position;
    if (request->state == REQUEST_DROPPED)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t taken = http_parts_take(request, out, room);
    if (taken)
        return (ssize_t)taken;
    if (request->parts.ended)
        return request->parts.broken ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    http_set_idle(request);
    return 0;
}

void http_respond_parts(struct http_request *request, int status, const char *content_type,
    void (*more)(void *context), void *context) {
    request->parts = (struct answer_parts){.more = more, .context = context};
    request->response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PART_BYTES, read_parts, request, NULL);
    answer(request, status, content_type);
}

enum MHD_Result http_queue_response(struct http_request *request) {
    enum MHD_Result queued =
        MHD_queue_response(request->connection->mhd, (unsigned)request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    if (request->parts.more)
        request->state = REQUEST_SENDING_PARTS;
    return queued;
}

const char *http_title(int status) {
    return MHD_get_reason_phrase_for((unsigned)status);
}
