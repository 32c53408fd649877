/* Points in time as callers write them: RFC 3339 and Unix milliseconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/timestamp.h"

static void reads_rfc_3339_and_unix_milliseconds(void **state) {
    static const struct {
        const char *text;
        int64_t microseconds;
    } SAMPLES[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1969-12-31T23:59:59.5Z", -500000},
        {"2026-11-21T09:30:00Z", 1795253400000000},
        {"2026-11-21t09:30:00z", 1795253400000000},
        {"2026-11-21 09:30:00Z", 1795253400000000},
        {"2026-11-21T10:30:00+01:00", 1795253400000000},
        {"2026-11-21T10:30:00 01:00", 1795253400000000},
        {"2026-11-21T03:59:00.25-05:31", 1795253400250000},
        {"2026-11-21T09:30:00.123456789Z", 1795253400123456},
        {"2024-02-29T00:00:00Z", 1709164800000000},
        {"2016-12-31T23:59:60Z", 1483228800000000},
        {"9999-12-31T23:59:59.999Z", 253402300799999000},
        {"0", 0},
        {"1795253400123", 1795253400123000},
        {"253402300799999", 253402300799999000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof SAMPLES / sizeof *SAMPLES; i++) {
        int64_t microseconds = -1;
        if (!timestamp_read(SAMPLES[i].text, &microseconds) || microseconds != SAMPLES[i].microseconds)
            fail_msg("%s: %lld", SAMPLES[i].text, (long long)microseconds);
    }
}

static void refuses_everything_else(void **state) {
    static const char *const SAMPLES[] = {
        "",
        " ",
        "-1",
        "1.5",
        "1e3",
        "253402300800000",
        "99999999999999999999999999",
        "2026-11-21",
        "2026-11-21T09:30:00",
        "2026-11-21T09:30Z",
        "2026-11-21T09:30:00.Z",
        "2026-11-21T09:30:00Zx",
        "2026-11-21T09:30:00+0100",
        "2026-11-21T09:30:00+01:60",
        "2026-11-21T24:00:00Z",
        "2026-11-21T09:61:00Z",
        "2026-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "26-01-01T00:00:00Z",
        "yesterday",
    };
    (void)state;
    for (size_t i = 0; i < sizeof SAMPLES / sizeof *SAMPLES; i++) {
        int64_t microseconds;
        if (timestamp_read(SAMPLES[i], &microseconds))
            fail_msg("%s is taken as %lld", SAMPLES[i], (long long)microseconds);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_rfc_3339_and_unix_milliseconds),
        cmocka_unit_test(refuses_everything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
