/* What operators ask every process over HTTP: GET /health, /ready, /metrics, /metrics/. */
#ifndef SHARED_OPERATIONS_H
#define SHARED_OPERATIONS_H

#include <stdbool.h>

struct http_request;

/* One thing a process depends on, told by the process itself. */
struct dependency {
    const char *name;                     /* "kafka", "postgres"; NULL ends the table */
    bool required;                        /* not ready without it; else only degraded */
    const char *(*broken)(void *context); /* NULL while it works, else why not, as people read it */
    void *context;
};

/* dependencies: borrowed for the life of the process. */
void operations_open(const char *service, const struct dependency *dependencies);

/* Handlers for a route table: OPERATIONS_ROUTES in it adds the four routes. */
void operations_health(struct http_request *request, void *context);
/* 200 {"status":"ready"|"degraded","checks":{"kafka":"ok","postgres":"…why not…"}}; problem 503 with the
 * reason and Retry-After when a required one is broken. */
void operations_ready(struct http_request *request, void *context);
void operations_metrics(struct http_request *request, void *context);

#define OPERATIONS_ROUTES                                                                                    \
    {"GET", "/health", operations_health}, {"GET", "/ready", operations_ready},                              \
        {"GET", "/metrics", operations_metrics}, {                                                           \
        "GET", "/metrics/", operations_metrics                                                               \
    }

#endif
