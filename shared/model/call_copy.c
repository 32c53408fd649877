/* A call in one piece of memory with what its request points to, and the list that it is in. */
#include <stdlib.h>
#include <string.h>

#include "shared/model/tries_private.h"
#include "shared/trace.h"

struct strings {
    char *at;
};

static size_t bytes_of(const char *string) {
    return string ? strlen(string) + 1 : 0;
}

static const char *keep(struct strings *strings, const char *string) {
    if (!string)
        return NULL;
    size_t bytes = strlen(string) + 1;
    char *copy = memcpy(strings->at, string, bytes);
    strings->at += bytes;
    return copy;
}

static const char *or_empty(const char *string) {
    return string ? string : "";
}

struct call *call_create(struct tries *tries, const struct model_request *request) {
    const char *purpose = or_empty(request->purpose), *id = or_empty(request->request_id),
               *task_type = or_empty(request->task_type);
    size_t bytes = bytes_of(request->system) + bytes_of(request->user) + bytes_of(request->model) +
                   bytes_of(purpose) + bytes_of(id) + bytes_of(task_type) + bytes_of(request->tenant);
    size_t trace_bytes = request->trace ? sizeof *request->trace : 0;
    struct call *call = malloc(sizeof *call + trace_bytes + bytes);
    if (!call)
        abort();
    memset(call, 0, sizeof *call);
    call->tries = tries;
    call->request = *request;
    if (request->trace)
        call->request.trace = memcpy(call + 1, request->trace, trace_bytes);
    struct strings strings = {(char *)(call + 1) + trace_bytes};
    call->request.system = keep(&strings, request->system);
    call->request.user = keep(&strings, request->user);
    call->request.model = keep(&strings, request->model);
    call->request.purpose = keep(&strings, purpose);
    call->request.request_id = keep(&strings, id);
    call->request.task_type = keep(&strings, task_type);
    call->request.tenant = keep(&strings, request->tenant);
    if (!call->request.budget)
        call->request.budget = &call->own;
    return call;
}

void call_free(struct call *call) {
    call_move(call, NULL);
    free(call);
}

static void unlink_call(struct call *call) {
    struct call_list *list = call->list;
    *(call->previous ? &call->previous->next : &list->first) = call->next;
    *(call->next ? &call->next->previous : &list->last) = call->previous;
    list->count--;
}

void call_move(struct call *call, struct call_list *list) {
    struct call_list *before = call->list;
    if (before)
        unlink_call(call);
    call->list = list;
    call->next = NULL;
    if (list) {
        call->previous = list->last;
        *(list->last ? &list->last->next : &list->first) = call;
        list->last = call;
        list->count++;
    }
    struct tries *tries = call->tries;
    if (before == &tries->away[NOBODY_WAITS] && before->count == TRIES_AWAY_MIN - 1 && tries->back)
        tries->back(tries->back_context);
}
