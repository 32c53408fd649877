/* Counters, gauges and histograms, declared in tables and read as Prometheus text. For the loop thread
 * only. */
#ifndef SHARED_METRICS_H
#define SHARED_METRICS_H

#include <stdint.h>

struct buffer;

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
enum { METRIC_LABELS_MAX = 4, METRIC_SERIES_MAX = 2000 };

/* One row of a table. A table ends with a row whose name is NULL. */
struct metric {
    const char *name;
    enum metric_type type;
    const char *help;
    const char *labels[METRIC_LABELS_MAX]; /* names; NULL ends them early */
    const double *buckets; /* histograms: upper bounds, ascending, 0-terminated; NULL: METRIC_SECONDS */
    struct metric_series *series; /* owned by metrics.c */
    int series_count;
};

/* From 0.5 ms to 120 s. */
extern const double METRIC_SECONDS[];

/* Adds a table, which lives as long as the process. Call once a table, before the first scrape. */
void metrics_add_table(struct metric *table);

/* Label values follow in the order of the row's labels, one each, none NULL: metric_count(&row, 1,
 * "generator", "ok"). They are copied. Past METRIC_SERIES_MAX series a row's further label values are counted
 * under "other". */
void metric_count(struct metric *metric, double add, ...);
void metric_set(struct metric *metric, double value, ...);
void metric_observe(struct metric *metric, double value, ...);

/* Functions that bring gauges up to date just before each scrape. */
void metrics_before_scrape(void (*update)(void *context), void *context);

/* All tables in the Prometheus text format 0.0.4. */
void metrics_write(struct buffer *buffer);

/* A Markdown table of all rows, for the docs. */
void metrics_describe(struct buffer *buffer);

#endif
