/* Series of each metric in a hash table keyed by their label values, and the text that Prometheus reads. */
#include "shared/metrics.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/utf8.h"

enum { BUCKETS_MAX = 32, TABLES_MAX = 16, UPDATES_MAX = 8, SLOTS = 256 };

const double METRIC_SECONDS[] = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 0};

struct series {
    struct series *next;
    char *labels[METRIC_LABELS_MAX];
    double value;      /* counters and gauges; histograms: the sum */
    uint64_t counts[]; /* histograms only: BUCKETS_MAX + 1, not cumulated */
};

struct metric_series {
    struct series *slots[SLOTS];
    struct series *last; /* found, and so likely to be looked for again; or NULL */
};

static struct metric *tables[TABLES_MAX];
static int table_count;
static struct {
    void (*update)(void *context);
    void *context;
} updates[UPDATES_MAX];
static int update_count;

void metrics_add_table(struct metric *table) {
    if (table_count == TABLES_MAX)
        abort();
    tables[table_count++] = table;
}

void metrics_before_scrape(void (*update)(void *context), void *context) {
    if (update_count == UPDATES_MAX)
        abort();
    updates[update_count].update = update;
    updates[update_count++].context = context;
}

static int label_count(const struct metric *metric) {
    int count = 0;
    while (count < METRIC_LABELS_MAX && metric->labels[count])
        count++;
    return count;
}

static const double *bounds_of(const struct metric *metric) {
    return metric->buckets ? metric->buckets : METRIC_SECONDS;
}

static size_t slot_of(const char *const *labels, int count) {
    uint64_t hash = 14695981039346656037u;
    for (int i = 0; i < count; i++)
        for (const char *at = labels[i];; at++) {
            hash = (hash ^ (unsigned char)*at) * 1099511628211u;
            if (!*at)
                break;
        }
    return (hash ^ hash >> 32) % SLOTS;
}

static bool same_labels(const struct series *series, const char *const *labels, int count) {
    for (int i = 0; i < count; i++)
        if (strcmp(series->labels[i], labels[i]) != 0)
            return false;
    return true;
}

static struct series *series_create(const struct metric *metric, const char *const *labels, int count) {
    size_t buckets = metric->type == METRIC_HISTOGRAM ? BUCKETS_MAX + 1 : 0;
    struct series *series = calloc(1, sizeof *series + buckets * sizeof *series->counts);
    for (int i = 0; series && i < count; i++)
        if (!(series->labels[i] = strdup(labels[i])))
            abort();
    if (!series)
        abort();
    return series;
}

static struct series *series_of(struct metric *metric, const char *const *labels, int count) {
    if (!metric->series && !(metric->series = calloc(1, sizeof *metric->series)))
        abort();
    struct series *last = metric->series->last;
    if (last && same_labels(last, labels, count))
        return last;
    struct series **slot = &metric->series->slots[slot_of(labels, count)];
    for (struct series *series = *slot; series; series = series->next)
        if (same_labels(series, labels, count))
            return metric->series->last = series;
    static const char *const OTHER[METRIC_LABELS_MAX] = {"other", "other", "other", "other"};
    if (metric->series_count >= METRIC_SERIES_MAX && labels != OTHER)
        return series_of(metric, OTHER, count);
    struct series *series = series_create(metric, labels, count);
    series->next = *slot;
    *slot = series;
    metric->series_count++;
    return series;
}

static struct series *series_from(struct metric *metric, va_list arguments) {
    const char *labels[METRIC_LABELS_MAX];
    int count = label_count(metric);
    for (int i = 0; i < count; i++)
        labels[i] = va_arg(arguments, const char *);
    return series_of(metric, labels, count);
}

void metric_count(struct metric *metric, double add, ...) {
    va_list arguments;
    va_start(arguments, add);
    series_from(metric, arguments)->value += add;
    va_end(arguments);
}

void metric_set(struct metric *metric, double value, ...) {
    va_list arguments;
    va_start(arguments, value);
    series_from(metric, arguments)->value = value;
    va_end(arguments);
}

void metric_observe(struct metric *metric, double value, ...) {
    va_list arguments;
    va_start(arguments, value);
    struct series *series = series_from(metric, arguments);
    va_end(arguments);
    const double *bounds = bounds_of(metric);
    int bucket = 0;
    while (bucket < BUCKETS_MAX && bounds[bucket] != 0 && value > bounds[bucket])
        bucket++;
    series->counts[bucket]++;
    series->value += value;
}

/* Backslash, quote and newline are escaped, as the text format asks. Prometheus refuses a whole scrape for
 * one byte that is not UTF-8. */
static void write_label(struct buffer *buffer, const char *name, const char *value) {
    const unsigned char *at = (const unsigned char *)value, *end = at + strlen(value);
    buffer_format(buffer, "%s=\"", name);
    while (at < end) {
        size_t bytes = utf8_sequence(at, (size_t)(end - at));
        if (!bytes)
            buffer_string(buffer, "\xef\xbf\xbd");
        else if (*at == '\n')
            buffer_string(buffer, "\\n");
        else if (*at == '\\' || *at == '"')
            buffer_format(buffer, "\\%c", *at);
        else
            buffer_append(buffer, at, bytes);
        at += bytes ? bytes : 1;
    }
    buffer_byte(buffer, '"');
}

/* The shortest that reads back as the same double; counts never have an exponent. */
static void write_number(struct buffer *buffer, double value) {
    char text[40];
    if (isnan(value)) {
        buffer_string(buffer, "NaN");
        return;
    }
    if (isinf(value)) {
        buffer_string(buffer, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof text, "%.17g", value);
    buffer_string(buffer, text);
}

/* bound NULL: no le label. */
static void write_labels(
    struct buffer *buffer, const struct metric *metric, const struct series *series, const char *bound) {
    int count = label_count(metric);
    if (!count && !bound)
        return;
    buffer_byte(buffer, '{');
    for (int i = 0; i < count; i++) {
        if (i)
            buffer_byte(buffer, ',');
        write_label(buffer, metric->labels[i], series->labels[i]);
    }
    if (bound)
        buffer_format(buffer, "%sle=\"%s\"", count ? "," : "", bound);
    buffer_byte(buffer, '}');
}

static void write_sample(struct buffer *buffer, const struct metric *metric, const struct series *series,
    const char *suffix, const char *bound, double value) {
    buffer_format(buffer, "%s%s", metric->name, suffix);
    write_labels(buffer, metric, series, bound);
    buffer_byte(buffer, ' ');
    write_number(buffer, value);
    buffer_byte(buffer, '\n');
}

static void write_histogram(struct buffer *buffer, const struct metric *metric, const struct series *series) {
    const double *bounds = bounds_of(metric);
    uint64_t sum = 0;
    int bucket = 0;
    for (; bucket < BUCKETS_MAX && bounds[bucket] != 0; bucket++) {
        char bound[32];
        sum += series->counts[bucket];
        snprintf(bound, sizeof bound, "%g", bounds[bucket]);
        write_sample(buffer, metric, series, "_bucket", bound, (double)sum);
    }
    sum += series->counts[bucket];
    write_sample(buffer, metric, series, "_bucket", "+Inf", (double)sum);
    write_sample(buffer, metric, series, "_sum", NULL, series->value);
    write_sample(buffer, metric, series, "_count", NULL, (double)sum);
}

static const char *const TYPES[] = {"counter", "gauge", "histogram"};

static void write_metric(struct buffer *buffer, const struct metric *metric) {
    buffer_format(buffer, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
        TYPES[metric->type]);
    if (!metric->series && !label_count(metric) && metric->type != METRIC_HISTOGRAM)
        buffer_format(buffer, "%s 0\n", metric->name);
    for (int slot = 0; metric->series && slot < SLOTS; slot++)
        for (const struct series *series = metric->series->slots[slot]; series; series = series->next)
            if (metric->type == METRIC_HISTOGRAM)
                write_histogram(buffer, metric, series);
            else
                write_sample(buffer, metric, series, "", NULL, series->value);
}

void metrics_write(struct buffer *buffer) {
    for (int i = 0; i < update_count; i++)
        updates[i].update(updates[i].context);
    for (int i = 0; i < table_count; i++)
        for (const struct metric *metric = tables[i]; metric->name; metric++)
            write_metric(buffer, metric);
}

void metrics_describe(struct buffer *buffer) {
    buffer_string(buffer, "| metric | type | labels | what it says |\n| --- | --- | --- | --- |\n");
    for (int i = 0; i < table_count; i++)
        for (const struct metric *metric = tables[i]; metric->name; metric++) {
            buffer_format(buffer, "| `%s` | %s | ", metric->name, TYPES[metric->type]);
            for (int label = 0; label < label_count(metric); label++)
                buffer_format(buffer, "%s`%s`", label ? ", " : "", metric->labels[label]);
            buffer_format(buffer, " | %s |\n", metric->help);
        }
}
