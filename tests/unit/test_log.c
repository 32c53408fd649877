/* Log lines: each is one JSON object and one write, whatever its values hold and whichever thread writes it.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "shared/log.h"

enum { LINE_BYTES_MAX = 16384 };

/* What log.c reads of its clocks, in nanoseconds; 0: the real one. */
static int64_t realtime_ns, monotonic_ns;

int clock_gettime(clockid_t clock, struct timespec *now) {
    int64_t clock_ns = clock == CLOCK_REALTIME ? realtime_ns : clock == CLOCK_MONOTONIC ? monotonic_ns : 0;
    if (!clock_ns)
        return (int)syscall(SYS_clock_gettime, clock, now);
    now->tv_sec = clock_ns / 1000000000;
    now->tv_nsec = clock_ns % 1000000000;
    return 0;
}

/* Standard error while a test writes: a socket that keeps each write apart as a record. */
static int records[2], standard_error;
static char line[LINE_BYTES_MAX + 2];

static void capture(void) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, records), 0);
    standard_error = dup(STDERR_FILENO);
    assert_true(standard_error >= 0);
    assert_int_equal(dup2(records[1], STDERR_FILENO), STDERR_FILENO);
}

static void release(void) {
    assert_int_equal(dup2(standard_error, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(close(standard_error) | close(records[0]) | close(records[1]), 0);
}

/* Ends the capture; the one line that was written, as a tree. */
static cJSON *captured(void) {
    ssize_t length = recv(records[0], line, sizeof line - 1, MSG_DONTWAIT);
    char more;
    ssize_t second = recv(records[0], &more, 1, MSG_DONTWAIT);
    release();
    assert_in_range(length, 1, LINE_BYTES_MAX);
    assert_int_equal(second, -1);
    line[length] = '\0';
    for (ssize_t i = 0; i < length - 1; i++) /* cJSON would take control characters */
        assert_true((unsigned char)line[i] >= 0x20);
    assert_int_equal(line[length - 1], '\n');
    cJSON *tree = cJSON_ParseWithOpts(line, NULL, 0);
    assert_non_null(tree);
    return tree;
}

static void assert_nothing_written(void) {
    char byte;
    ssize_t length = recv(records[0], &byte, 1, MSG_DONTWAIT);
    release();
    assert_int_equal(length, -1);
}

static void assert_text(const cJSON *tree, const char *name, const char *expected) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, name));
    assert_non_null(text);
    assert_string_equal(text, expected);
}

static void assert_logged(const char *value, const char *expected) {
    capture();
    log_info("value_logged", log_string("value", value));
    cJSON *tree = captured();
    assert_text(tree, "value", expected);
    cJSON_Delete(tree);
}

/* First of all tests: nobody has called log_open. */
static void before_log_open_lines_say_moru(void **state) {
    (void)state;
    capture();
    log_info("early", log_bool("ok", true));
    cJSON *tree = captured();
    assert_text(tree, "service", "moru");
    cJSON_Delete(tree);
    capture();
    log_debug("early", log_bool("ok", true));
    assert_nothing_written();
}

static void a_line_is_its_head_and_its_fields(void **state) {
    (void)state;
    log_open("gateway", LOG_INFO);
    realtime_ns = 1700000000007999999;
    capture();
    log_warn("prompt_read", log_request("an-id", "a-trace"), log_integer("version", -3),
        log_double("score", 0.874), log_bool("passed", false), log_bool("known", true));
    cJSON_Delete(captured());
    realtime_ns = 0;
    assert_string_equal(line,
        "{\"ts\":\"2023-11-14T22:13:20.007Z\",\"level\":\"warn\",\"service\":\"gateway\",\"event\":\"prompt_"
        "read\","
        "\"request_id\":\"an-id\",\"trace_id\":\"a-trace\",\"version\":-3,\"score\":0.874,\"passed\":false,"
        "\"known\":true}\n");
}

static void lines_below_the_level_are_dropped(void **state) {
    (void)state;
    static const char *const NAMES[] = {"debug", "info", "warn", "error"};
    for (int lowest = LOG_DEBUG; lowest <= LOG_ERROR; lowest++) {
        log_open("worker", (enum log_level)lowest);
        for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
            capture();
            log_write(
                (enum log_level)level, "happened", (const struct log_field[]){log_bool("ok", true), {0}});
            if (level < lowest) {
                assert_nothing_written();
                continue;
            }
            cJSON *tree = captured();
            assert_text(tree, "level", NAMES[level]);
            assert_text(tree, "service", "worker");
            cJSON_Delete(tree);
        }
    }
    log_open("gateway", LOG_INFO);
}

static void any_text_is_escaped(void **state) {
    (void)state;
    char all[128];
    for (int i = 1; i < 128; i++)
        all[i - 1] = (char)i;
    all[127] = '\0';
    assert_logged(all, all);
    assert_logged("", "");
    assert_logged("\",\"level\":\"error\"}\n{\"", "\",\"level\":\"error\"}\n{\"");
    assert_logged(
        "moru \xeb\xaa\xa8\xeb\xa3\xa8 \xf0\x9f\x94\xa8", "moru \xeb\xaa\xa8\xeb\xa3\xa8 \xf0\x9f\x94\xa8");
}

static void what_is_no_utf8_is_replaced(void **state) {
    (void)state;
#define REPLACED "\xef\xbf\xbd"
    assert_logged("a\xff"
                  "b",
        "a" REPLACED "b");
    assert_logged("\xc0\xaf", REPLACED REPLACED);
    assert_logged("\xed\xa0\x80", REPLACED REPLACED REPLACED);
    assert_logged("\xf4\x90\x80\x80", REPLACED REPLACED REPLACED REPLACED);
    assert_logged("end \xe2\x82", "end " REPLACED REPLACED);
}

static void long_values_are_cut_between_characters(void **state) {
    (void)state;
    char value[3001], expected[3001];
    memset(value, 'x', 3000);
    value[3000] = '\0';
    memset(expected, 'x', 2000);
    strcpy(expected + 2000, "…");
    assert_logged(value, expected);
    value[2001] = '\0';
    assert_logged(value, expected);
    value[2000] = '\0';
    assert_logged(value, value);
    /* A character of two bytes that begins at the last byte there is room for. */
    strcpy(value + 1999, "\xc3\xa9");
    strcpy(expected + 1999, "…");
    assert_logged(value, expected);
}

static void fields_without_a_value(void **state) {
    (void)state;
    capture();
    log_info("odd", log_string("none", NULL), log_double("nan", NAN), log_double("infinite", INFINITY),
        log_integer("lowest", INT64_MIN), log_integer("highest", INT64_MAX), log_string("last", "here"));
    cJSON *tree = captured();
    assert_null(cJSON_GetObjectItemCaseSensitive(tree, "none"));
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(tree, "nan")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(tree, "infinite")));
    assert_non_null(strstr(line, "\"lowest\":-9223372036854775808,\"highest\":9223372036854775807"));
    assert_text(tree, "last", "here");
    cJSON_Delete(tree);
}

static void a_short_field_follows_long_ones(void **state) {
    (void)state;
    char value[2001];
    memset(value, 'x', 2000);
    value[2000] = '\0';
    capture();
    log_info("long", log_string("a", value), log_string("b", value), log_string("c", value),
        log_string("d", value), log_string("e", value), log_request("an-id", "a-trace"));
    cJSON *tree = captured();
    assert_text(tree, "e", value);
    assert_text(tree, "request_id", "an-id");
    assert_text(tree, "trace_id", "a-trace");
    cJSON_Delete(tree);
}

/* Every length of the last field that still fits, and those that do not: the line stays JSON and within its
 * bound. */
static void a_full_line_stays_whole(void **state) {
    (void)state;
    char escaped[2001], value[2001];
    memset(escaped, 1, 2000);
    escaped[2000] = '\0';
    for (size_t length = 1800; length <= 2000; length++) {
        memset(value, '"', length);
        value[length] = '\0';
        capture();
        log_info("full", log_string("a", escaped), log_string("b", value), log_string("c", value),
            log_integer("d", 1234567), log_bool("e", false), log_string("f", "x"));
        cJSON *tree = captured();
        assert_text(tree, "a", escaped);
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "b"));
        assert_non_null(text);
        assert_int_equal(text[0], '"');
        cJSON_Delete(tree);
    }
    capture();
    log_info("full", log_string("a", escaped), log_string("b", escaped), log_string("c", escaped));
    cJSON *tree = captured();
    assert_non_null(strstr(line, "…\"}\n"));
    cJSON_Delete(tree);
}

enum { THREADS = 4, LINES = 200 };

static void *write_lines(void *number) {
    char value[1500];
    memset(value, 'a' + *(int *)number, sizeof value);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < LINES; i++)
        log_info("from_thread", log_integer("thread", *(int *)number), log_string("value", value));
    return NULL;
}

static bool is_line_of_one_thread(const char *text, int *counts) {
    cJSON *tree = cJSON_Parse(text);
    const cJSON *thread = cJSON_GetObjectItemCaseSensitive(tree, "thread");
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "value"));
    int number = cJSON_IsNumber(thread) ? thread->valueint : -1;
    bool whole = value && number >= 0 && number < THREADS && strlen(value) == 1499;
    for (size_t i = 0; whole && value[i]; i++)
        whole = value[i] == 'a' + number;
    if (whole)
        counts[number]++;
    cJSON_Delete(tree);
    return whole;
}

static void lines_of_threads_do_not_mix(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    int numbers[THREADS], counts[THREADS] = {0}, broken = 0;
    capture();
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, write_lines, &numbers[i]) != 0)
            abort();
    }
    for (int i = 0; i < THREADS * LINES; i++) {
        ssize_t length = recv(records[0], line, sizeof line - 1, 0);
        line[length > 0 ? length : 0] = '\0';
        broken += !is_line_of_one_thread(line, counts);
    }
    for (int i = 0; i < THREADS; i++)
        if (pthread_join(threads[i], NULL) != 0)
            abort();
    assert_nothing_written();
    assert_int_equal(broken, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(counts[i], LINES);
}

static void a_repeated_line_is_due_once_an_interval(void **state) {
    (void)state;
    uint64_t one = 0, other = 0;
    monotonic_ns = 5000000000;
    assert_true(log_due(&one, 1000));
    assert_false(log_due(&one, 1000));
    monotonic_ns += 999 * 1000000;
    assert_false(log_due(&one, 1000));
    assert_true(log_due(&other, 1000));
    monotonic_ns += 1000000;
    assert_true(log_due(&one, 1000));
    assert_false(log_due(&one, 1000));
    assert_false(log_due(&other, 1000));
    monotonic_ns = 1; /* a machine that has only just started */
    one = 0;
    assert_true(log_due(&one, 1000));
    assert_false(log_due(&one, 1000));
    monotonic_ns = 0;
}

/* The lines of one read from the capture, by their events: "a b". */
static void assert_written(const char *events) {
    char text[LINE_BYTES_MAX + 2], seen[200] = "";
    ssize_t length = recv(records[0], text, sizeof text - 1, MSG_DONTWAIT);
    assert_true(length > 0);
    text[length] = '\0';
    for (char *rest = text, *one; (one = strtok_r(rest, "\n", &rest));) {
        cJSON *tree = cJSON_Parse(one);
        assert_non_null(tree);
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s%s", *seen ? " " : "",
            cJSON_GetStringValue(cJSON_GetObjectItem(tree, "event")));
        cJSON_Delete(tree);
    }
    assert_string_equal(seen, events);
}

static void gather_two(void) {
    log_gather();
    log_info("first", log_integer("n", 1));
    log_info("second", log_integer("n", 2));
}

static void gathered_lines_are_written_at_once_when_flushed(void **state) {
    (void)state;
    capture();
    gather_two();
    char none;
    assert_int_equal(recv(records[0], &none, 1, MSG_DONTWAIT), -1);
    log_flush();
    assert_written("first second");
    log_info("third", log_integer("n", 3));
    log_warn("fourth", log_integer("n", 4));
    assert_written("third fourth");
    log_flush();
    assert_nothing_written();
}

/* In a process of its own, which ends in this way. */
static void assert_kept_at_end(void (*end)(void)) {
    capture();
    pid_t child = fork();
    if (child == 0) {
        gather_two();
        end();
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_written("first second");
    assert_nothing_written();
}

static void end_well(void) {
    exit(0);
}

static void gathered_lines_outlive_the_process(void **state) {
    (void)state;
    assert_kept_at_end(end_well);
    assert_kept_at_end(abort);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_log_open_lines_say_moru),
        cmocka_unit_test(a_line_is_its_head_and_its_fields),
        cmocka_unit_test(lines_below_the_level_are_dropped),
        cmocka_unit_test(any_text_is_escaped),
        cmocka_unit_test(what_is_no_utf8_is_replaced),
        cmocka_unit_test(long_values_are_cut_between_characters),
        cmocka_unit_test(fields_without_a_value),
        cmocka_unit_test(a_short_field_follows_long_ones),
        cmocka_unit_test(a_full_line_stays_whole),
        cmocka_unit_test(lines_of_threads_do_not_mix),
        cmocka_unit_test(a_repeated_line_is_due_once_an_interval),
        cmocka_unit_test(gathered_lines_are_written_at_once_when_flushed),
        cmocka_unit_test(gathered_lines_outlive_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
