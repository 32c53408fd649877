/* Finds each member's row in the table of settings, and checks it as a start would. */
#include "tests/sim/control.h"

#include <ctype.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/http_server.h"
#include "shared/json.h"
#include "tests/sim/settings.h"

/* What is taken up only at the start. */
static const char *const FIXED[] = {
    "port", "seed", "noise", "analyst", "author", "harm_after", "tls_cert", "tls_key", NULL};

static bool is_fixed(const char *name) {
    for (const char *const *fixed = FIXED; *fixed; fixed++)
        if (strcmp(*fixed, name) == 0)
            return true;
    return false;
}

/* "SIM_ERROR_SHARE" and "error_share". */
static bool is_named(const char *variable, const char *name) {
    for (variable += strlen("SIM_"); *variable && tolower((unsigned char)*variable) == *name; variable++)
        name++;
    return !*variable && !*name;
}

static const struct setting *find(const char *name) {
    for (const struct setting *row = sim_setting_rows; row->name && !is_fixed(name); row++)
        if (is_named(row->name, name))
            return row;
    return NULL;
}

static const char *choice(const struct setting *row, const cJSON *item) {
    for (const char *const *word = row->choices; word && *word; word++)
        if (cJSON_IsString(item) && strcmp(*word, item->valuestring) == 0)
            return *word;
    return NULL;
}

static bool fits(const struct setting *row, const cJSON *item) {
    if (row->type == SETTING_CHOICE)
        return choice(row, item);
    double value = cJSON_IsNumber(item) ? item->valuedouble : -2;
    return value >= row->min && value <= row->max &&
           (row->type == SETTING_DOUBLE || value == (double)(int64_t)value);
}

static void set(const struct setting *row, const cJSON *item) {
    if (row->type == SETTING_CHOICE)
        *(const char **)row->value = choice(row, item);
    else if (row->type == SETTING_DOUBLE)
        *(double *)row->value = item->valuedouble;
    else
        *(int64_t *)row->value = (int64_t)item->valuedouble;
}

bool control_take(struct http_request *http) {
    size_t length;
    const char *body = http_body(http, &length);
    struct json_errors errors = {0};
    const cJSON *root = json_parse(http_arena(http), body, length, &errors), *item;
    if (!cJSON_IsObject(root)) {
        http_problem(http, 400, "Send a JSON object of settings.", NULL, &errors);
        return false;
    }
    cJSON_ArrayForEach(item, root) {
        const struct setting *row = find(item->string);
        if (!row || !fits(row, item))
            json_error_add(&errors, http_arena(http), arena_format(http_arena(http), "/%s", item->string),
                row ? "not a value of this setting" : "no setting that can be changed while it runs");
    }
    if (errors.count) {
        http_problem(http, 400, "Nothing was changed; see errors.", NULL, &errors);
        return false;
    }
    cJSON_ArrayForEach(item, root) set(find(item->string), item);
    http_respond(http, 200, "application/json", "{}", 2);
    return true;
}
