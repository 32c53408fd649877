/* The mock model as an analyst: says why outputs failed, from what it is shown and nothing else. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/model/mock/evidence.h"

enum { CHECKS_MAX = 16, NAME_BYTES_MAX = 48, LIST_MAX = 12, QUOTE_BYTES_MAX = 200 };

/* Strings in the order in which they were found, none twice. */
struct list {
    struct arena *arena;
    const char *items[LIST_MAX];
    size_t count;
};

static void add(struct list *list, const char *text) {
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0)
            return;
    if (list->count < LIST_MAX)
        list->items[list->count++] = text;
}

static const char *cut(struct arena *arena, const char *text) {
    size_t length = strlen(text);
    if (length <= QUOTE_BYTES_MAX)
        return text;
    length = QUOTE_BYTES_MAX;
    while (length && ((unsigned char)text[length] & 0xC0) == 0x80)
        length--;
    return arena_format(arena, "%.*s ...", (int)length, text);
}

/* Checks by name, and how many failures they failed in. */
struct checks {
    struct {
        char name[NAME_BYTES_MAX];
        int count;
    } items[CHECKS_MAX];
    size_t count;
};

static void count_check(struct checks *checks, const char *name, size_t length) {
    size_t i = 0;
    if (length >= NAME_BYTES_MAX || !memchr(name, '_', length) || memmem(name, length, "passed", 6))
        return;
    while (i < checks->count &&
           (strlen(checks->items[i].name) != length || memcmp(checks->items[i].name, name, length) != 0))
        i++;
    if (i == CHECKS_MAX)
        return;
    if (i == checks->count) {
        memcpy(checks->items[checks->count++].name, name, length);
        checks->items[i].name[length] = '\0';
    }
    checks->items[i].count++;
}

/* Names before a false, "has_code": false, in JSON or any list like it. */
static void count_checks(struct checks *checks, const char *detail) {
    for (const char *at = detail; (at = strstr(at, "false")) != NULL; at += 5) {
        const char *end = at;
        while (end > detail && strchr("\"': =\t\n", end[-1]))
            end--;
        const char *start = end;
        while (start > detail && (isalnum((unsigned char)start[-1]) || start[-1] == '_'))
            start--;
        if (end < at)
            count_check(checks, start, (size_t)(end - start));
    }
}

/* template with words for its @. */
static const char *fill(struct arena *arena, const char *template, const char *words) {
    size_t before = strcspn(template, "@");
    return arena_format(arena, "%.*s%s%s", (int)before, template, words, template + before + 1);
}

/* What a check's name says, where @ is the rest of the name in words; the last row is for all others. */
static const struct {
    const char *prefix, *pattern, *suggestion;
} NAMES[] = {
    {"has_", "The output has no @", "Give @ in each answer."},
    {"no_", "The output has @", "Never include @."},
    {"is_", "The output is not @", "Keep each answer @."},
    {"", "The output does not have @", "Mind @ in each answer."},
};

static void explain_check(struct list *patterns, struct list *suggestions, const char *name, int count) {
    struct arena *arena = patterns->arena;
    size_t row = 0;
    while (strncmp(name, NAMES[row].prefix, strlen(NAMES[row].prefix)) != 0)
        row++;
    char *words = arena_string(arena, name + strlen(NAMES[row].prefix));
    for (char *c = words; *c; c++)
        *c = *c == '_' ? ' ' : *c;
    add(patterns, arena_format(arena, "%s (%d times)", fill(arena, NAMES[row].pattern, words), count));
    add(suggestions, fill(arena, NAMES[row].suggestion, words));
}

static void explain_checks(
    struct list *patterns, struct list *suggestions, const struct mock_evidence *evidence) {
    struct checks checks = {.count = 0};
    for (size_t i = 0; i < evidence->failure_count; i++)
        if (evidence->failures[i].parts[PART_DETAIL])
            count_checks(&checks, evidence->failures[i].parts[PART_DETAIL]);
    for (size_t i = 0; i < checks.count; i++)
        explain_check(patterns, suggestions, checks.items[i].name, checks.items[i].count);
}

/* The text of "reasoning": "…" in a detail, or NULL. */
static const char *reasoning_in(struct arena *arena, const char *detail) {
    struct json_errors errors = {0};
    const char *at = strstr(detail, "\"reasoning\"");
    at = at ? strchr(at + strlen("\"reasoning\""), '"') : NULL;
    const char *end = at ? at + 1 : NULL;
    while (end && *end && *end != '"')
        end += *end == '\\' && end[1] ? 2 : 1;
    if (!end || !*end)
        return NULL;
    const cJSON *string = json_parse(arena, at, (size_t)(end - at) + 1, &errors);
    return cJSON_IsString(string) ? string->valuestring : NULL;
}

static void quote_judge(struct list *patterns, const struct mock_evidence *evidence) {
    for (size_t i = 0; i < evidence->failure_count; i++) {
        const struct mock_failure *failure = &evidence->failures[i];
        const char *reasoning = failure->parts[PART_REASONING];
        if (!reasoning && failure->parts[PART_DETAIL])
            reasoning = reasoning_in(patterns->arena, failure->parts[PART_DETAIL]);
        if (reasoning && *reasoning)
            add(patterns,
                arena_format(patterns->arena, "The judge says: %s", cut(patterns->arena, reasoning)));
    }
}

static bool is_blank(const char *text) {
    return text[strspn(text, " \t\r\n")] == '\0';
}

/* Outputs that are empty, all the same, or a text that the prompt gives. */
static void compare_outputs(struct list *patterns, const struct mock_evidence *evidence) {
    size_t shown = 0, empty = 0, same = 0, repeated = 0;
    const char *first = NULL;
    for (size_t i = 0; i < evidence->failure_count; i++) {
        const char *output = evidence->failures[i].parts[PART_OUTPUT];
        if (!output)
            continue;
        first = first ? first : output;
        shown++;
        empty += is_blank(output);
        same += strcmp(output, first) == 0;
        repeated +=
            !is_blank(output) && evidence->prompt_count && strcasestr(evidence->prompts[0], output) != NULL;
    }
    struct arena *arena = patterns->arena;
    if (empty)
        add(patterns, arena_format(arena, "%zu of %zu outputs are empty", empty, shown));
    if (shown > 1 && same == shown && !empty)
        add(patterns, arena_format(arena, "All %zu outputs are the same, whatever was asked", shown));
    if (repeated)
        add(patterns, arena_format(arena, "%zu of %zu outputs repeat words of the prompt", repeated, shown));
}

/* For each harm what the prompt does, and what a better one says instead; NULL: the wish says it. */
static const struct {
    const char *cause, *suggestion;
} EXPLANATIONS[HARMS] = {
    [HARM_FIXED] = {"The prompt orders one fixed text", "Let each answer follow from the request."},
    [HARM_SILENCE] = {"The prompt orders empty answers", "Give a full answer to each request."},
    [HARM_REFUSAL] = {"The prompt orders refusals", "Give a full answer to each request."},
    [HARM_ECHO] = {"The prompt orders the input to be repeated", "Let each answer follow from the request."},
    [HARM_IGNORES] = {"The prompt orders requests or rules to be ignored", "Do what the user asks for."},
    [HARM_VERSE] = {"The prompt orders verse or a voice that nobody asked for", "Use plain words."},
    [HARM_FORBIDS] = {"The prompt forbids what the inputs ask for", NULL},
    [HARM_LANGUAGE] = {"The prompt orders another programming language than the inputs ask for", NULL},
    [HARM_SPEECH] = {"The prompt orders another language than that of the inputs",
        "Use the language of the request."},
    [HARM_DANGER] = {"The prompt orders something harmful", "Be polite, correct and harmless."},
    [HARM_ASTRAY] = {"The prompt leads away from what the inputs ask for", "Keep to what the user asks for."},
};

static void read_prompt(
    struct list *causes, struct list *suggestions, const char *prompt, const struct mock_wish *wish) {
    struct arena *arena = causes->arena;
    struct mock_orders orders = mock_read_orders(arena, prompt, wish);
    bool wanted = false;
    for (size_t i = 0; i < orders.count; i++) {
        const struct mock_order *order = &orders.items[i];
        wanted |= order->harm == HARM_NONE && order->product == wish->product;
        if (order->harm == HARM_NONE)
            continue;
        add(causes, arena_format(arena, "%s: \"%s\"", EXPLANATIONS[order->harm].cause, order->text));
        if (EXPLANATIONS[order->harm].suggestion)
            add(suggestions, EXPLANATIONS[order->harm].suggestion);
    }
    if (!orders.count)
        add(causes, "The prompt is empty");
    else if (!wanted)
        add(causes, "The prompt does not say what the inputs ask for");
}

/* What a prompt has to ask for. */
static const char *demand(struct arena *arena, const struct mock_wish *wish) {
    switch (wish->product) {
    case PRODUCT_CODE:
        if (wish->language && !wish->languages)
            return arena_format(
                arena, "Write the code that is asked for, in %s.", mock_language_name(wish->language));
        return "Write the code that is asked for, in the programming language of the request.";
    case PRODUCT_SUMMARY:
        return "Summarise the text of the user.";
    case PRODUCT_TRANSLATION:
        return "Translate the text of the user.";
    case PRODUCT_VERSE:
        return "Write the verse that is asked for.";
    case PRODUCT_PROSE:
        return arena_format(arena, "Write the %s that the user asks for.", wish->noun ? wish->noun : "text");
    default:
        return "Do what the user asks for, and answer in full.";
    }
}

static void write_list(
    struct buffer *answer, const char *name, const struct list *list, const char *otherwise) {
    json_write_string(answer, name);
    buffer_string(answer, ":[");
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            buffer_byte(answer, ',');
        json_write_string(answer, list->items[i]);
    }
    if (!list->count)
        json_write_string(answer, otherwise);
    buffer_byte(answer, ']');
}

void mock_write_analysis(struct buffer *answer, const char *user) {
    struct arena *arena = answer->arena;
    struct mock_evidence *evidence = arena_alloc(arena, sizeof *evidence);
    struct list patterns = {.arena = arena}, causes = {.arena = arena}, suggestions = {.arena = arena};
    mock_read_evidence(arena, user, evidence);
    struct mock_wish wish = mock_read_wish(arena, evidence);
    compare_outputs(&patterns, evidence);
    add(&suggestions, demand(arena, &wish));
    explain_checks(&patterns, &suggestions, evidence);
    quote_judge(&patterns, evidence);
    if (evidence->prompt_count)
        read_prompt(&causes, &suggestions, evidence->prompts[0], &wish);
    buffer_byte(answer, '{');
    write_list(answer, "failure_patterns", &patterns, "The outputs do not answer the inputs");
    buffer_byte(answer, ',');
    write_list(answer, "root_causes", &causes, "The prompt does not ask for what the checks look for");
    buffer_byte(answer, ',');
    write_list(answer, "improvement_suggestions", &suggestions, "Do what the user asks for.");
    buffer_byte(answer, '}');
}
