/* Health, readiness and metrics, the same for every process. */
#include "shared/operations.h"

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/http_server.h"
#include "shared/json.h"
#include "shared/metrics.h"
#include "shared/settings.h"

static const char *operations_service = "moru";
static const struct dependency *dependencies;

void operations_open(const char *service, const struct dependency *table) {
    operations_service = service;
    dependencies = table;
}

static void respond(struct http_request *request, struct buffer *text) {
    http_respond(request, 200, "application/json", text->data, text->length);
}

void operations_health(struct http_request *request, void *context) {
    (void)context;
    struct buffer text = buffer_in(http_arena(request));
    buffer_string(&text, "{\"status\":\"ok\",\"service\":");
    json_write_string(&text, operations_service);
    buffer_string(&text, ",\"version\":");
    json_write_string(&text, MORU_VERSION);
    buffer_byte(&text, '}');
    respond(request, &text);
}

static void answer_not_ready(struct http_request *request, const char *name, const char *why) {
    http_add_header(request, "Retry-After", "1");
    http_problem(
        request, 503, arena_format(http_arena(request), "Not ready: %s: %s.", name, why), NULL, NULL);
}

void operations_ready(struct http_request *request, void *context) {
    (void)context;
    struct buffer checks = buffer_in(http_arena(request)), text = buffer_in(http_arena(request));
    bool degraded = false;
    for (const struct dependency *dependency = dependencies; dependency->name; dependency++) {
        const char *why = dependency->broken(dependency->context);
        if (why && dependency->required) {
            answer_not_ready(request, dependency->name, why);
            return;
        }
        degraded = degraded || why;
        if (checks.length)
            buffer_byte(&checks, ',');
        json_write_string(&checks, dependency->name);
        buffer_byte(&checks, ':');
        json_write_string(&checks, why ? why : "ok");
    }
    buffer_format(
        &text, "{\"status\":\"%s\",\"checks\":{%s}}", degraded ? "degraded" : "ready", buffer_text(&checks));
    respond(request, &text);
}

void operations_metrics(struct http_request *request, void *context) {
    (void)context;
    struct buffer text = buffer_in(http_arena(request));
    metrics_write(&text);
    http_respond(request, 200, "text/plain; version=0.0.4; charset=utf-8", buffer_text(&text), text.length);
}
