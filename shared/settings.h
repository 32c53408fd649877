/* Settings: each is one row of a table, read from the environment, checked, and explained by --help. */
#ifndef SHARED_SETTINGS_H
#define SHARED_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

enum setting_type {
    SETTING_STRING,  /* const char *; "" allowed unless min is 1 */
    SETTING_SECRET,  /* the same, never printed */
    SETTING_INTEGER, /* int64_t within min…max */
    SETTING_DOUBLE,  /* double within min…max */
    SETTING_CHOICE,  /* const char *, one of choices */
};

/* A table ends with a row whose name is NULL. */
struct setting {
    const char *name; /* the environment variable */
    enum setting_type type;
    void *value;                /* where to store it, of the type above */
    const char *otherwise;      /* default, as text; NULL: it must be set */
    double min, max;            /* integers and doubles; strings: min 1 forbids "" */
    const char *const *choices; /* NULL-terminated */
    const char *help;           /* one sentence */
};

struct program {
    const char *name;              /* "moru-gateway" */
    const char *service;           /* "gateway", as in logs and metrics */
    const char *purpose;           /* one sentence for --help */
    struct setting *const *tables; /* NULL-terminated list of tables */
};

/* Handles --help, --version and --describe (a Markdown table of the settings and metrics), then reads all
 * settings. An error is one line on standard error that names the variable, and exit code 2; both end the
 * process. Opens the log. */
void settings_load(const struct program *program, int argc, char **argv);

extern const char MORU_VERSION[];

#endif
