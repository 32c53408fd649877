/* Requests that wait, are paused, or have no part to send: their connections are suspended meanwhile. */
#include "shared/http_daemon.h"
#include "shared/http_server.h"

void http_set_idle(struct http_request *request) {
    request->idle = true;
    LIST_INSERT_HEAD(&request->server->unsuspended, request, link);
}

void http_set_busy(struct http_request *request) {
    if (!request->idle)
        return;
    request->idle = false;
    LIST_REMOVE(request, link);
    request->server->run_due = true;
    if (request->suspended)
        MHD_resume_connection(request->connection->mhd);
    request->suspended = false;
}

/* Not done inside the handler: there libmicrohttpd would still take the connection for one to be read, and
 * when it resumes, it would read the end of what a half-closed client sends, and close without the answer. */
void http_suspend_waiting(struct http_server *server) {
    struct http_request *request;
    while ((request = LIST_FIRST(&server->unsuspended))) {
        LIST_REMOVE(request, link);
        LIST_INSERT_HEAD(&server->suspended, request, link);
        request->suspended = true;
        MHD_suspend_connection(request->connection->mhd);
    }
}

void http_drop_now(struct http_request *request) {
    void (*left)(void *context) = request->left;
    http_set_busy(request);
    request->state = REQUEST_DROPPED;
    request->left = NULL;
    if (left)
        left(request->left_context);
}

void http_drop(struct http_request *request) {
    request->left = NULL;
    http_drop_now(request);
}

void http_parts_ready(struct http_request *request) {
    http_set_busy(request);
}

void http_pause(struct http_request *request) {
    if (!request->whole && !request->idle)
        http_set_idle(request);
}

void http_resume(struct http_request *request) {
    if (!request->whole)
        http_set_busy(request);
}
