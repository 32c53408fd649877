/* Reads rate headers, whose times each provider writes in its own way. */
#include "shared/model/allowance.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/http_client.h"
#include "shared/timestamp.h"

static const int64_t RESET_MAX_MS = INT64_C(24) * 3600 * 1000;

/* The milliseconds in a unit that stands at *at, which moves behind it; 0: there is none. */
static double read_unit(const char **at) {
    static const struct {
        const char *name;
        double ms;
    } UNITS[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    for (size_t i = 0; i < sizeof UNITS / sizeof *UNITS; i++)
        if (strncmp(*at, UNITS[i].name, strlen(UNITS[i].name)) == 0) {
            *at += strlen(UNITS[i].name);
            return UNITS[i].ms;
        }
    return 0;
}

/* "1m30s", or seconds without a unit; -1: neither. */
static double read_duration(const char *text) {
    double sum = 0;
    const char *at = text;
    do {
        char *end;
        if (!isdigit((unsigned char)*at))
            return -1;
        double number = strtod(at, &end), unit;
        if (!*end && at == text)
            return number * 1000;
        at = end;
        if ((unit = read_unit(&at)) == 0)
            return -1;
        sum += number * unit;
    } while (*at);
    return sum;
}

int64_t allowance_reset_ms(const char *text, int64_t now_us) {
    int64_t at_us;
    double ms = read_duration(text);
    if (ms < 0 && strchr(text, '-') && timestamp_read(text, &at_us))
        ms = at_us > now_us ? (double)(at_us - now_us) / 1000 : 0;
    if (!(ms >= 0))
        return -1;
    return ms < (double)RESET_MAX_MS ? (int64_t)ms : RESET_MAX_MS;
}

static void read_one(const struct http_call_answer *http, const char *left_name, const char *reset_name,
    struct model_allowance *allowance) {
    const char *left = left_name ? http_call_header(http, left_name) : NULL;
    const char *reset = reset_name ? http_call_header(http, reset_name) : NULL;
    struct timespec now;
    if (!left || !isdigit((unsigned char)*left))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    *allowance =
        (struct model_allowance){.known = true, .remaining = strtoll(left, NULL, 10), .reset_ms = -1};
    if (reset)
        allowance->reset_ms = allowance_reset_ms(reset, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void allowance_read(
    const struct allowance_headers *names, const struct http_call_answer *http, struct model_answer *answer) {
    read_one(http, names->requests_left, names->requests_reset, &answer->requests_left);
    read_one(http, names->tokens_left, names->tokens_reset, &answer->tokens_left);
}
