/* The settings of tries, and their begin and end with the process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/log.h"
#include "shared/model/tries_private.h"

struct tries_configuration tries_configuration;

/* The URL up to its query, without user and password, which a log must not show. */
static void url_for_log(const char *url, char *text, size_t bytes) {
    const char *scheme = strstr(url, "://");
    size_t prefix = scheme ? (size_t)(scheme - url) + 3 : 0;
    const char *host = url + prefix;
    size_t length = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', length);
    if (at)
        host = at + 1;
    snprintf(text, bytes, "%.*s%.*s", (int)prefix, url, (int)strcspn(host, "?#"), host);
}

static void before_scrape(void *context) {
    struct tries **tries = context;
    if (*tries)
        upstreams_measure(*tries);
}

/* A scrape may come after the calls were closed, when only this remains. */
static struct tries *measured;
static bool measuring;

static void open_next(struct tries *tries) {
    const struct model_target *target = &tries->targets.items[tries->count];
    char url[512];
    upstream_open(&tries->upstreams[tries->count++], tries, target);
    url_for_log(target->base_url, url, sizeof url);
    log_info("model_chosen", log_string("target", target->name),
        log_string("provider", target->provider->name),
        log_string("model", *target->model ? target->model : NULL),
        log_string("base_url", *url ? url : NULL));
}

struct tries *tries_open(uv_loop_t *loop) {
    struct tries *tries = calloc(1, sizeof *tries);
    const char *error;
    if (!tries)
        abort();
    tries->loop = loop;
    tries->arena = arena_create(0);
    if (!model_targets_read(tries->arena, &model_configuration, &tries->targets, &error))
        model_refuse("%s", error);
    if (tries_configuration.concurrency_min > tries_configuration.concurrency_max)
        model_refuse("LLM_CONCURRENCY_MIN: must not be greater than LLM_CONCURRENCY_MAX");
    uv_timer_init(loop, &tries->soon);
    uv_timer_init(loop, &tries->sweep);
    tries->soon.data = tries->sweep.data = tries;
    while (tries->count < tries->targets.count)
        open_next(tries);
    if (!measuring)
        metrics_before_scrape(before_scrape, &measured);
    measuring = true;
    measured = tries;
    return tries;
}

const struct model_target *tries_first(const struct tries *tries) {
    return &tries->targets.items[0];
}

bool tries_cost(const struct tries *tries) {
    for (int i = 0; i < tries->targets.count; i++)
        if (tries->upstreams[i].adapter != &model_mock)
            return true;
    return false;
}

const char *tries_role(struct tries *tries, const char *setting, const char *entry) {
    const char *error;
    if (!*entry)
        return NULL;
    int index =
        model_targets_add(tries->arena, &model_configuration, &tries->targets, setting, entry, &error);
    if (index < 0)
        model_refuse("%s", error);
    if (index == tries->count)
        open_next(tries);
    tries->main = index;
    return tries->targets.items[index].name;
}

const char *tries_names(const struct tries *tries) {
    return model_targets_names(tries->arena, &tries->targets);
}

bool tries_knows(const struct tries *tries, const char *name) {
    return model_targets_find(&tries->targets, name) >= 0;
}

void tries_observe(
    struct tries *tries, void (*ended)(void *context, const struct model_try *attempt), void *context) {
    if (tries->observer_count == OBSERVERS_MAX)
        abort();
    tries->observers[tries->observer_count].ended = ended;
    tries->observers[tries->observer_count++].context = context;
}

void tries_set_gate(struct tries *tries, const struct model_gate *gate) {
    tries->gate = gate ? *gate : (struct model_gate){0};
}

const char *tries_away(const struct tries *tries) {
    return tries->away[NOBODY_WAITS].count >= TRIES_AWAY_MIN && tries_main_away(tries)
               ? "the model is away: only what somebody waits for is begun"
               : NULL;
}

void tries_on_back(struct tries *tries, void (*back)(void *context), void *context) {
    tries->back = back;
    tries->back_context = context;
}

static void free_timer(uv_handle_t *handle) {
    free(handle);
}

static void drop(struct call *call) {
    if (call->under_way) {
        call->upstream->adapter->cancel(call->upstream->opened, call->under_way);
        const struct model_answer answer = {.status = MODEL_RETRY,
            .error_kind = MODEL_ERROR_CANCELLED,
            .text = "",
            .error = "the process ended",
            .retry_after_ms = -1,
            .model = call->upstream->target->name};
        call_tell(call, &answer);
    }
    if (call->timer)
        uv_close((uv_handle_t *)call->timer, free_timer);
    call_free(call);
}

static void drop_all(struct call_list *list) {
    while (list->first)
        drop(list->first);
}

/* Before any try is told to have ended: money that it gives back must begin no other. */
static void forget_asked(struct tries *tries) {
    for (struct call *call = tries->trying.first; call; call = call->next) {
        if (call->pass.asked)
            tries->gate.forget(tries->gate.context, &call->pass);
        call->pass.asked = false;
    }
}

static void on_closed(uv_handle_t *handle) {
    struct tries *tries = handle->data;
    if (--tries->open_handles)
        return;
    arena_destroy(&tries->arena);
    free(tries);
}

static void close_timer(struct tries *tries, uv_timer_t *timer) {
    tries->open_handles++;
    timer->data = tries;
    uv_close((uv_handle_t *)timer, on_closed);
}

void tries_close(struct tries **closing) {
    struct tries *tries = *closing;
    *closing = measured = NULL;
    tries->back = NULL;
    forget_asked(tries);
    drop_all(&tries->trying);
    drop_all(&tries->backing_off);
    drop_all(&tries->ending);
    for (int patience = 0; patience < PATIENCES; patience++) {
        drop_all(&tries->away[patience]);
        for (int i = 0; i < tries->count; i++)
            drop_all(&tries->upstreams[i].waiting[patience]);
    }
    for (int i = 0; i < tries->count; i++) {
        struct upstream *upstream = &tries->upstreams[i];
        upstream->adapter->close(upstream->opened);
        close_timer(tries, &upstream->timer);
    }
    close_timer(tries, &tries->soon);
    close_timer(tries, &tries->sweep);
}
