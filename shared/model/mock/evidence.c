/* Puts the sections of what the optimizer shows, or the members of its JSON, into one struct. */
#include "shared/model/mock/evidence.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/model/mock/sections.h"

enum { USER_BYTES_MAX = 400000 };

struct gathering {
    struct arena *arena;
    struct mock_evidence *evidence;
};

static void trim(const char **text, size_t *length) {
    while (*length && isspace((unsigned char)**text)) {
        ++*text;
        --*length;
    }
    while (*length && isspace((unsigned char)(*text)[*length - 1]))
        --*length;
}

static bool cut_around(const char **text, size_t *length, const char *mark) {
    size_t size = strlen(mark);
    if (*length < 2 * size || memcmp(*text, mark, size) != 0 ||
        memcmp(*text + *length - size, mark, size) != 0)
        return false;
    *text += size;
    *length -= 2 * size;
    return true;
}

/* The text itself: without white space, quotes or a fence around it; a JSON string is decoded. */
static const char *clean(struct arena *arena, const char *text, size_t length) {
    struct json_errors errors = {0};
    trim(&text, &length);
    if (length >= 2 && *text == '"' && text[length - 1] == '"') {
        const cJSON *string = json_parse(arena, text, length, &errors);
        if (cJSON_IsString(string))
            return string->valuestring;
    }
    if (cut_around(&text, &length, "\"\"\"") || cut_around(&text, &length, "'''"))
        trim(&text, &length);
    static const char *const nothing[] = {"(empty)", "(none)", "none", "null", "empty"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        if (length == strlen(nothing[i]) && strncasecmp(text, nothing[i], length) == 0)
            return "";
    return arena_copy(arena, text, length);
}

static void put_part(struct gathering *gathering, enum mock_part part, const char *text) {
    struct mock_evidence *evidence = gathering->evidence;
    struct mock_failure *newest =
        evidence->failure_count ? &evidence->failures[evidence->failure_count - 1] : NULL;
    bool next = !newest || evidence->closed || (part == PART_OUTPUT && newest->parts[part]) ||
                (part == PART_INPUT && (newest->parts[part] || newest->parts[PART_OUTPUT]));
    if (next) {
        if (evidence->failure_count == MOCK_FAILURES_MAX)
            return;
        newest = &evidence->failures[evidence->failure_count++];
        evidence->closed = false;
    }
    const char *before = newest->parts[part];
    newest->parts[part] = before ? arena_format(gathering->arena, "%s\n%s", before, text) : text;
}

static void put_prompt(struct mock_evidence *evidence, const char *text, bool good) {
    if (evidence->prompt_count == MOCK_PROMPTS_MAX)
        return;
    evidence->good[evidence->prompt_count] = good;
    evidence->prompts[evidence->prompt_count++] = text;
}

static void put_finding(struct mock_findings *findings, const char *text) {
    if (findings->count < MOCK_FINDINGS_MAX && *text)
        findings->items[findings->count++] = text;
}

/* "- ", "* ", "2. ": its length; 0: none here. */
static size_t list_mark(const char *line) {
    size_t indent = strspn(line, " \t"), digits = strspn(line + indent, "0123456789");
    const char *at = line + indent + digits;
    bool mark = digits ? strchr(".)", *at) && *at : strchr("-*", *at) && *at;
    return mark && at[1] == ' ' ? indent + digits + 2 : 0;
}

typedef void (*list_item)(struct gathering *gathering, void *context, const char *text);

/* Each item of a list; a text that is none is one item. False for the latter. */
static bool read_list(struct gathering *gathering, const char *text, list_item item, void *context) {
    bool list = list_mark(text) > 0;
    for (const char *at = text, *end; *at && list; at = *end ? end + 1 : end) {
        end = at + strcspn(at, "\n");
        size_t mark = list_mark(at);
        while (*end && !list_mark(end + 1))
            end += 1 + strcspn(end + 1, "\n");
        item(gathering, context, clean(gathering->arena, at + mark, (size_t)(end - at) - mark));
    }
    if (!list && *text)
        item(gathering, context, text);
    return list;
}

static void take_finding(struct gathering *gathering, void *context, const char *text) {
    (void)gathering;
    put_finding(context, text);
}

static void take_input(struct gathering *gathering, void *context, const char *text) {
    (void)context;
    put_part(gathering, PART_INPUT, text);
}

static struct mock_findings *findings_of(struct mock_evidence *evidence, enum mock_label label) {
    return label == LABEL_PATTERNS ? &evidence->patterns
           : label == LABEL_CAUSES ? &evidence->causes
                                   : &evidence->suggestions;
}

/* The first JSON value in text, or NULL. */
static cJSON *find_json(struct arena *arena, const char *text, char opening, char closing) {
    struct json_errors errors = {0};
    const char *first = strchr(text, opening), *last = strrchr(text, closing);
    return first && last > first ? json_parse(arena, first, (size_t)(last - first) + 1, &errors) : NULL;
}

static void take_member(struct gathering *gathering, enum mock_label label, const cJSON *value);

static void take_members(struct gathering *gathering, const cJSON *object) {
    for (const cJSON *member = object->child; member; member = member->next)
        if (member->string)
            take_member(gathering, mock_read_label(member->string, strlen(member->string)), member);
}

static void put_text(struct gathering *gathering, enum mock_label label, const char *text) {
    switch (label) {
    case LABEL_TASK:
        gathering->evidence->task_type = text;
        break;
    case LABEL_ORDER:
        gathering->evidence->order = text;
        break;
    case LABEL_PROMPT:
    case LABEL_GOOD_PROMPT:
        put_prompt(gathering->evidence, text, label == LABEL_GOOD_PROMPT);
        break;
    case LABEL_INPUT:
        read_list(gathering, text, take_input, NULL);
        break;
    case LABEL_OUTPUT:
        put_part(gathering, PART_OUTPUT, text);
        break;
    case LABEL_DETAIL:
        put_part(gathering, PART_DETAIL, text);
        break;
    case LABEL_REASONING:
        put_part(gathering, PART_REASONING, text);
        break;
    case LABEL_PATTERNS:
    case LABEL_CAUSES:
    case LABEL_SUGGESTIONS:
        read_list(gathering, text, take_finding, findings_of(gathering->evidence, label));
        break;
    default:
        break;
    }
}

static void take_member(struct gathering *gathering, enum mock_label label, const cJSON *value) {
    if (label == LABEL_DETAIL) {
        put_part(gathering, PART_DETAIL, json_print(gathering->arena, value));
    } else if (cJSON_IsString(value)) {
        put_text(gathering, label, value->valuestring);
    } else if (cJSON_IsObject(value) && (label == LABEL_PROMPT || label == LABEL_GOOD_PROMPT)) {
        const cJSON *content = cJSON_GetObjectItem(value, "content");
        if (cJSON_IsString(content))
            put_text(gathering, label, content->valuestring);
    } else if (cJSON_IsObject(value)) {
        take_members(gathering, value);
    } else if (cJSON_IsArray(value)) {
        for (const cJSON *item = value->child; item; item = item->next) {
            gathering->evidence->closed |= label == LABEL_FAILURE;
            take_member(gathering, label, item);
        }
    }
}

static void take_section(void *context, enum mock_label label, const char *text, size_t length);

/* An analysis may be lists under labels of their own. */
static void take_inner_section(void *context, enum mock_label label, const char *text, size_t length) {
    if (label > LABEL_ANALYSIS)
        take_section(context, label, text, length);
}

static void take_section(void *context, enum mock_label label, const char *text, size_t length) {
    struct gathering *gathering = context;
    if (label == LABEL_FAILURE) {
        gathering->evidence->closed = true;
        return;
    }
    /* What was not there is shown as "none": no prompt. */
    trim(&text, &length);
    bool prompt = label == LABEL_PROMPT || label == LABEL_GOOD_PROMPT;
    if (prompt && length && length <= 6 && (strncasecmp(text, "(none)", length) == 0 || *text == '-'))
        return;
    const char *cleaned = clean(gathering->arena, text, length);
    const cJSON *json = NULL;
    if (label == LABEL_ANALYSIS)
        json = find_json(gathering->arena, cleaned, '{', '}');
    else if (label > LABEL_ANALYSIS && *cleaned == '[')
        json = find_json(gathering->arena, cleaned, '[', ']');
    if (json && label == LABEL_ANALYSIS)
        take_members(gathering, json);
    else if (json)
        take_member(gathering, label, json);
    else if (label == LABEL_ANALYSIS)
        mock_read_sections(cleaned, take_inner_section, gathering);
    else
        put_text(gathering, label, cleaned);
}

void mock_read_evidence(struct arena *arena, const char *user, struct mock_evidence *evidence) {
    struct gathering gathering = {.arena = arena, .evidence = evidence};
    *evidence = (struct mock_evidence){0};
    if (strnlen(user, USER_BYTES_MAX) == USER_BYTES_MAX)
        user = arena_copy(arena, user, USER_BYTES_MAX);
    const cJSON *document = user[strspn(user, " \t\r\n")] == '{' ? find_json(arena, user, '{', '}') : NULL;
    if (document)
        take_members(&gathering, document);
    else
        mock_read_sections(user, take_section, &gathering);
}
