/* What the gateway counts. */
#include "gateway/gateway.h"

struct metric gateway_metrics[] = {
    {.name = "agent_requests_total",
        .type = METRIC_COUNTER,
        .help = "Requests, by outcome: succeeded, failed, timeout, rejected, unavailable, left.",
        .labels = {"service", "task_type", "status"}},
    {.name = "agent_request_duration_seconds",
        .type = METRIC_HISTOGRAM,
        .help = "Time from a request's last byte to its answer.",
        .labels = {"service", "task_type"}},
    {.name = "agent_requests_waiting", .type = METRIC_GAUGE, .help = "Callers that wait for an answer."},
    {.name = "agent_kafka_round_trip_seconds",
        .type = METRIC_HISTOGRAM,
        .help = "From handing a record to the producer to its acknowledgement.",
        .labels = {"service"}},
    {.name = "agent_http_requests_total",
        .type = METRIC_COUNTER,
        .help = "HTTP answers, by route and status.",
        .labels = {"method", "route", "status"}},
    {0},
};

void count_request(const struct gateway *gateway, const char *task_type, const char *status, double seconds) {
    const char *label = task_type && task_types_seen(gateway->task_types, task_type) ? task_type : "unknown";
    metric_count(&gateway_metrics[0], 1, "gateway", label, status);
    metric_observe(&gateway_metrics[1], seconds, "gateway", label);
}
