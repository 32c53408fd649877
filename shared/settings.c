/* Settings read from the environment by their tables' rows; --help and --describe are written from the same
 * rows. */
#include "shared/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/log.h"
#include "shared/metrics.h"

const char MORU_VERSION[] = "0.1.0";

static const char *log_level;
static const char *const LOG_LEVELS[] = {"debug", "info", "warn", "error", NULL};

static struct setting log_settings[] = {
    {.name = "LOG_LEVEL",
        .type = SETTING_CHOICE,
        .value = &log_level,
        .otherwise = "info",
        .choices = LOG_LEVELS,
        .help = "The lowest level of log lines that are written."},
    {0},
};

/* Bad start-up: one line that names the variable, and exit code 2. */
__attribute__((format(printf, 3, 4), noreturn)) static void refuse(
    const struct program *program, const struct setting *setting, const char *format, ...) {
    char reason[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    for (char *at = reason; *at; at++)
        if (iscntrl((unsigned char)*at)) /* a value with a line feed in it */
            *at = '?';
    fprintf(stderr, "%s: %s: %s\n", program->name, setting->name, reason);
    exit(2);
}

static void read_string(const struct program *program, const struct setting *setting, const char *text) {
    if (setting->min >= 1 && !*text)
        refuse(program, setting, "must not be empty");
    char *copy = strdup(text);
    if (!copy)
        abort();
    *(const char **)setting->value = copy;
}

/* strtoll and strtod also take leading space, "+1" and "0x1p3", which in a setting are mistakes. */
static bool has_only(const char *text, const char *characters) {
    return *text && strspn(text, characters) == strlen(text);
}

static void read_integer(const struct program *program, const struct setting *setting, const char *text) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || !has_only(text, "-0123456789") || *end || (double)value < setting->min ||
        (double)value > setting->max)
        refuse(program, setting, "'%.40s' is not an integer between %.0f and %.0f", text, setting->min,
            setting->max);
    *(int64_t *)setting->value = value;
}

static void read_double(const struct program *program, const struct setting *setting, const char *text) {
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (errno || !has_only(text, "+-.0123456789eE") || *text == '+' || *end || value < setting->min ||
        value > setting->max)
        refuse(
            program, setting, "'%.40s' is not a number between %g and %g", text, setting->min, setting->max);
    *(double *)setting->value = value;
}

static const char *join_choices(const struct setting *setting, char *text, size_t bytes) {
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; setting->choices[i] && length < bytes; i++)
        length += (size_t)snprintf(text + length, bytes - length, "%s%s", i ? ", " : "", setting->choices[i]);
    return text;
}

static void read_choice(const struct program *program, const struct setting *setting, const char *text) {
    char choices[256];
    for (int i = 0; setting->choices[i]; i++)
        if (strcmp(setting->choices[i], text) == 0) {
            *(const char **)setting->value = setting->choices[i];
            return;
        }
    refuse(
        program, setting, "'%.40s' is not one of %s", text, join_choices(setting, choices, sizeof choices));
}

static void read_setting(const struct program *program, const struct setting *setting) {
    const char *text = getenv(setting->name);
    if (!text)
        text = setting->otherwise;
    if (!text)
        refuse(program, setting, "must be set: %s", setting->help);
    switch (setting->type) {
    case SETTING_STRING:
    case SETTING_SECRET:
        read_string(program, setting, text);
        return;
    case SETTING_INTEGER:
        read_integer(program, setting, text);
        return;
    case SETTING_DOUBLE:
        read_double(program, setting, text);
        return;
    case SETTING_CHOICE:
        read_choice(program, setting, text);
        return;
    }
}

typedef void (*visit_setting)(const struct program *program, const struct setting *setting);

/* next_table, unless NULL, is called before each table but the first. */
static void for_each(const struct program *program, visit_setting visit, void (*next_table)(void)) {
    for (int table = 0; program->tables[table]; table++) {
        for (const struct setting *setting = program->tables[table]; setting->name; setting++)
            visit(program, setting);
        if (next_table)
            next_table();
    }
    visit(program, &log_settings[0]);
}

/* "integer, 0 to 65535", "one of debug, info", … */
static const char *range_of(const struct setting *setting, char *text, size_t bytes) {
    char choices[200];
    switch (setting->type) {
    case SETTING_INTEGER:
        snprintf(text, bytes, "integer, %.0f to %.0f", setting->min, setting->max);
        break;
    case SETTING_DOUBLE:
        snprintf(text, bytes, "number, %g to %g", setting->min, setting->max);
        break;
    case SETTING_CHOICE:
        snprintf(text, bytes, "one of %s", join_choices(setting, choices, sizeof choices));
        break;
    case SETTING_SECRET:
        snprintf(text, bytes, "secret text");
        break;
    case SETTING_STRING:
        snprintf(text, bytes, "text");
        break;
    }
    return text;
}

/* A secret's default is a secret too. quote: what stands on both sides of a value. */
static const char *default_of(const struct setting *setting, const char *quote, char *text, size_t bytes) {
    if (!setting->otherwise)
        return "must be set";
    if (!*setting->otherwise)
        return "empty";
    if (setting->type == SETTING_SECRET)
        return "not shown";
    snprintf(text, bytes, "%s%s%s", quote, setting->otherwise, quote);
    return text;
}

/* The full stop of a help text that has none. */
static const char *stop_of(const char *sentence) {
    size_t length = strlen(sentence);
    return length && sentence[length - 1] == '.' ? "" : ".";
}

static void help_setting(const struct program *program, const struct setting *setting) {
    char range[256], otherwise[256];
    (void)program;
    printf("  %-28s %s%s\n  %-28s %s; ", setting->name, setting->help, stop_of(setting->help), "",
        range_of(setting, range, sizeof range));
    printf("%s%s\n", setting->otherwise ? "default: " : "",
        default_of(setting, "", otherwise, sizeof otherwise));
}

static void blank_line(void) {
    putchar('\n');
}

static void help(const struct program *program) {
    printf("%s: %s\n\nusage: %s [--help | --version | --describe]\n\n"
           "All settings are environment variables:\n\n",
        program->name, program->purpose, program->name);
    for_each(program, help_setting, blank_line);
    printf("\n--describe prints the settings and metrics as Markdown tables.\n");
}

static void describe_setting(const struct program *program, const struct setting *setting) {
    char range[256], otherwise[256];
    (void)program;
    printf("| `%s` | %s | %s | %s%s |\n", setting->name, range_of(setting, range, sizeof range),
        default_of(setting, "`", otherwise, sizeof otherwise), setting->help, stop_of(setting->help));
}

static void describe(const struct program *program) {
    struct arena *arena = arena_create(0);
    struct buffer metrics = buffer_in(arena);
    metrics_describe(&metrics);
    printf("## %s\n\n%s\n\n| setting | type | default | what it does |\n| --- | --- | --- | --- |\n",
        program->name, program->purpose);
    for_each(program, describe_setting, NULL);
    printf("\n%s\n", buffer_text(&metrics));
    arena_destroy(&arena);
}

static void handle_arguments(const struct program *program, int argc, char **argv) {
    if (argc < 2)
        return;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        help(program);
    } else if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("%s %s\n", program->name, MORU_VERSION);
    } else if (argc == 2 && strcmp(argv[1], "--describe") == 0) {
        describe(program);
    } else {
        fprintf(stderr, "%s: unknown argument '%.60s': settings are environment variables, see %s --help\n",
            program->name, argv[1], program->name);
        exit(2);
    }
    exit(fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1);
}

void settings_load(const struct program *program, int argc, char **argv) {
    handle_arguments(program, argc, argv);
    for_each(program, read_setting, NULL);
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++)
        if (strcmp(LOG_LEVELS[level], log_level) == 0)
            log_open(program->service, (enum log_level)level);
}
