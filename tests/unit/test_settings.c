/* Settings: what a process takes from its environment, what it refuses and how it says so, and its --help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/log.h"
#include "shared/metrics.h"
#include "shared/settings.h"

static int64_t port;
static double ratio;
static const char *name, *key, *mode, *token;
static const char *const MODES[] = {"slow", "steady", NULL};

static struct setting listen_settings[] = {
    {.name = "LISTEN_PORT",
        .type = SETTING_INTEGER,
        .value = &port,
        .otherwise = "8000",
        .min = 0,
        .max = 65535,
        .help = "The port to listen on"},
    {.name = "RATIO",
        .type = SETTING_DOUBLE,
        .value = &ratio,
        .otherwise = "0.5",
        .min = -1,
        .max = 2.5,
        .help = "A share."},
    {.name = "MODE",
        .type = SETTING_CHOICE,
        .value = &mode,
        .otherwise = "steady",
        .choices = MODES,
        .help = "How to go on."},
    {0},
};
static struct setting key_settings[] = {
    {.name = "KEY", .type = SETTING_SECRET, .value = &key, .min = 1, .help = "What opens the door."},
    {.name = "TOKEN",
        .type = SETTING_SECRET,
        .value = &token,
        .otherwise = "default-token",
        .help = "A token."},
    {.name = "NAME", .type = SETTING_STRING, .value = &name, .otherwise = "", .help = "A name, or none."},
    {0},
};
static struct setting *const TABLES[] = {listen_settings, key_settings, NULL};
static const struct program PROGRAM = {
    .name = "moru-gateway", .service = "gateway", .purpose = "Takes requests.", .tables = TABLES};
static struct metric metrics[] = {
    {.name = "test_total", .type = METRIC_COUNTER, .help = "Things.", .labels = {"kind"}},
    {0},
};

static char output[16384], errors[16384];

static void read_all(int end, char *text, size_t bytes) {
    size_t length = 0;
    ssize_t got;
    while ((got = read(end, text + length, bytes - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    assert_int_equal(close(end), 0);
}

/* What the process does once it has its settings. */
static void show_settings(void) {
    printf("port=%lld ratio=%g mode=%s key=%s token=%s name=%s\n", (long long)port, ratio, mode, key, token,
        name);
    log_info("started", log_bool("ok", true));
    log_error("failed", log_bool("ok", false));
}

/* Runs a process that loads its settings; environment: "A=1" strings up to a NULL; argument may be NULL. Its
 * exit code; output and errors have what it wrote. */
static int run(const char *argument, const char *const *environment) {
    int out[2], err[2], status;
    char *arguments[] = {"moru-gateway", (char *)argument, NULL};
    assert_int_equal(pipe(out) | pipe(err), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (dup2(out[1], STDOUT_FILENO) < 0 || dup2(err[1], STDERR_FILENO) < 0 || clearenv() != 0)
            _exit(100);
        for (; *environment; environment++)
            if (putenv((char *)*environment) != 0)
                _exit(100);
        settings_load(&PROGRAM, argument ? 2 : 1, arguments);
        show_settings();
        exit(0);
    }
    assert_int_equal(close(out[1]) | close(err[1]), 0);
    read_all(out[0], output, sizeof output);
    read_all(err[0], errors, sizeof errors);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define ENVIRONMENT(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void assert_refused(const char *variable, const char *message) {
    assert_int_equal(run(NULL, ENVIRONMENT("KEY=k", variable)), 2);
    assert_string_equal(output, "");
    assert_string_equal(errors, message);
}

static void defaults_stand_where_nothing_is_set(void **state) {
    (void)state;
    assert_int_equal(run(NULL, ENVIRONMENT("KEY=k")), 0);
    assert_string_equal(output, "port=8000 ratio=0.5 mode=steady key=k token=default-token name=\n");
}

static void the_environment_wins(void **state) {
    (void)state;
    assert_int_equal(run(NULL, ENVIRONMENT("KEY=a key", "LISTEN_PORT=0", "RATIO=-1e0", "MODE=slow",
                                   "TOKEN=", "NAME= moru ")),
        0);
    assert_string_equal(output, "port=0 ratio=-1 mode=slow key=a key token= name= moru \n");
    assert_int_equal(run(NULL, ENVIRONMENT("KEY=k", "LISTEN_PORT=65535", "RATIO=2.5")), 0);
    assert_non_null(strstr(output, "port=65535 ratio=2.5 "));
}

static void only_whole_integers_within_the_range_are_taken(void **state) {
    (void)state;
    static const char *const BAD[] = {"", "abc", " 5", "5 ", "+5", "0x10", "5.0", "1e3", "--5", "5-", "-",
        "-1", "65536", "99999999999999999999", "-99999999999999999999"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char variable[64], message[200];
        snprintf(variable, sizeof variable, "LISTEN_PORT=%s", BAD[i]);
        snprintf(message, sizeof message,
            "moru-gateway: LISTEN_PORT: '%s' is not an integer between 0 and 65535\n", BAD[i]);
        assert_refused(variable, message);
    }
}

static void only_numbers_within_the_range_are_taken(void **state) {
    (void)state;
    static const char *const BAD[] = {"", "abc", "nan", "inf", "-inf", "0x1p1", " 1", "1 ", "+1", "1e",
        "1.5x", "1,5", "1e999", "2.6", "-1.1"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char variable[64], message[200];
        snprintf(variable, sizeof variable, "RATIO=%s", BAD[i]);
        snprintf(message, sizeof message, "moru-gateway: RATIO: '%s' is not a number between -1 and 2.5\n",
            BAD[i]);
        assert_refused(variable, message);
    }
}

static void only_listed_choices_are_taken(void **state) {
    (void)state;
    assert_refused("MODE=fast", "moru-gateway: MODE: 'fast' is not one of slow, steady\n");
    assert_refused("MODE=", "moru-gateway: MODE: '' is not one of slow, steady\n");
    assert_refused("MODE=Slow", "moru-gateway: MODE: 'Slow' is not one of slow, steady\n");
}

static void what_is_required_must_be_there(void **state) {
    (void)state;
    assert_int_equal(run(NULL, ENVIRONMENT("NAME=n")), 2);
    assert_string_equal(errors, "moru-gateway: KEY: must be set: What opens the door.\n");
    assert_int_equal(run(NULL, ENVIRONMENT("KEY=")), 2);
    assert_string_equal(errors, "moru-gateway: KEY: must not be empty\n");
}

static void an_error_is_one_line_and_no_longer_than_needed(void **state) {
    (void)state;
    assert_refused("MODE=a\nmoru-gateway: \x1b[31mb",
        "moru-gateway: MODE: 'a?moru-gateway: ?[31mb' is not one of slow, steady\n");
    char variable[3000] = "MODE=";
    memset(variable + 5, 'x', sizeof variable - 6);
    variable[sizeof variable - 1] = '\0';
    assert_refused(variable,
        "moru-gateway: MODE: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is not one of slow, steady\n");
}

static void the_log_opens_with_its_level_and_service(void **state) {
    (void)state;
    assert_int_equal(run(NULL, ENVIRONMENT("KEY=k")), 0);
    assert_non_null(strstr(errors, "\"level\":\"info\",\"service\":\"gateway\",\"event\":\"started\""));
    assert_int_equal(run(NULL, ENVIRONMENT("KEY=k", "LOG_LEVEL=error")), 0);
    assert_null(strstr(errors, "started"));
    assert_non_null(strstr(errors, "\"level\":\"error\",\"service\":\"gateway\",\"event\":\"failed\""));
    assert_refused(
        "LOG_LEVEL=loud", "moru-gateway: LOG_LEVEL: 'loud' is not one of debug, info, warn, error\n");
}

static void help_explains_every_setting_and_needs_none(void **state) {
    (void)state;
    static const char *const PARTS[] = {"moru-gateway: Takes requests.\n", "--help", "--version",
        "--describe", "  LISTEN_PORT ", " The port to listen on.\n", " integer, 0 to 65535; default: 8000\n",
        "  RATIO ", " A share.\n", " number, -1 to 2.5; default: 0.5\n",
        " one of slow, steady; default: steady\n", "  KEY ", " secret text; must be set\n",
        " secret text; default: not shown\n", " text; default: empty\n", "  LOG_LEVEL ",
        " one of debug, info, warn, error; default: info\n"};
    assert_int_equal(run("--help", ENVIRONMENT("LISTEN_PORT=abc", "TOKEN=my-own-token")), 0);
    assert_string_equal(errors, "");
    for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++)
        if (!strstr(output, PARTS[i]))
            fail_msg("no '%s' in:\n%s", PARTS[i], output);
    assert_null(strstr(output, "-token"));
    assert_null(strstr(output, ".."));
    assert_non_null(strstr(output, "steady\n\n  KEY ")); /* a blank line between tables */
}

static void version_is_one_line(void **state) {
    (void)state;
    assert_int_equal(run("--version", ENVIRONMENT()), 0);
    assert_string_equal(output, "moru-gateway 0.1.0\n");
    assert_string_equal(errors, "");
    assert_string_equal(MORU_VERSION, "0.1.0");
}

static void describe_prints_tables_of_settings_and_metrics(void **state) {
    (void)state;
    static const char *const LINES[] = {"## moru-gateway\n", "\nTakes requests.\n",
        "\n| `LISTEN_PORT` | integer, 0 to 65535 | `8000` | The port to listen on. |\n",
        "\n| `RATIO` | number, -1 to 2.5 | `0.5` | A share. |\n",
        "\n| `MODE` | one of slow, steady | `steady` | How to go on. |\n",
        "\n| `KEY` | secret text | must be set | What opens the door. |\n",
        "\n| `TOKEN` | secret text | not shown | A token. |\n",
        "\n| `NAME` | text | empty | A name, or none. |\n",
        "\n| `LOG_LEVEL` | one of debug, info, warn, error | `info` | ",
        "\n| `test_total` | counter | `kind` | Things. |\n"};
    assert_int_equal(run("--describe", ENVIRONMENT()), 0);
    assert_string_equal(errors, "");
    for (size_t i = 0; i < sizeof LINES / sizeof *LINES; i++)
        if (!strstr(output, LINES[i]))
            fail_msg("no '%s' in:\n%s", LINES[i], output);
}

static void other_arguments_are_refused(void **state) {
    (void)state;
    static const char *const BAD[] = {"--port", "8000", "-h", "--helpme", ""};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char start[100];
        snprintf(start, sizeof start, "moru-gateway: unknown argument '%s'", BAD[i]);
        assert_int_equal(run(BAD[i], ENVIRONMENT("KEY=k")), 2);
        assert_string_equal(output, "");
        assert_memory_equal(errors, start, strlen(start));
        assert_non_null(strstr(errors, "moru-gateway --help"));
        assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_stand_where_nothing_is_set),
        cmocka_unit_test(the_environment_wins),
        cmocka_unit_test(only_whole_integers_within_the_range_are_taken),
        cmocka_unit_test(only_numbers_within_the_range_are_taken),
        cmocka_unit_test(only_listed_choices_are_taken),
        cmocka_unit_test(what_is_required_must_be_there),
        cmocka_unit_test(an_error_is_one_line_and_no_longer_than_needed),
        cmocka_unit_test(the_log_opens_with_its_level_and_service),
        cmocka_unit_test(help_explains_every_setting_and_needs_none),
        cmocka_unit_test(version_is_one_line),
        cmocka_unit_test(describe_prints_tables_of_settings_and_metrics),
        cmocka_unit_test(other_arguments_are_refused),
    };
    metrics_add_table(metrics);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
