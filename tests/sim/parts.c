/* Finds headings by the words in them; what follows a heading is its part. */
#include "tests/sim/parts.h"

#include <ctype.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"
#include "tests/sim/words.h"

enum { HEADING_BYTES_MAX = 90, HEADING_WORDS_MAX = 12 };

static const struct {
    enum part_kind kind;
    const char *words;
} LABELS[] = {
    {PART_ANALYSIS,
        "analysis|pattern|patterns|failure_patterns|cause|causes|suggestion|suggestions|findings"},
    {PART_DETAIL, "detail|details|score|scores|reasoning|judgement|evaluation|verdict"},
    {PART_OUTPUT, "output|outputs|answer"},
    {PART_PROMPT, "prompt|prompts"},
    {PART_INPUT, "input|inputs|request"},
    {PART_FAILURE, "failure|failures|failed"},
};

/* Without white space at its ends; "(empty)" is how people write nothing. */
static const char *trimmed(struct arena *arena, const char *from, const char *to) {
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    if (to - from == 7 && strncmp(from, "(empty)", 7) == 0)
        to = from;
    return arena_copy(arena, from, (size_t)(to - from));
}

static enum part_kind kind_of(struct arena *arena, const char *from, const char *to) {
    char *label = arena_copy(arena, from, (size_t)(to - from));
    for (char *c = label; *c; c++)
        *c = *c == '_' || *c == '-' || *c == ',' ? ' ' : *c;
    struct words words = words_read(arena, label);
    if (!words.count || words.count > HEADING_WORDS_MAX)
        return PART_OTHER;
    /* A sentence about a prompt is no heading. */
    if (pattern_find(&words, 0, words.count, "does|do|not|must|should") != PATTERN_ABSENT)
        return PART_OTHER;
    for (size_t i = 0; i < sizeof LABELS / sizeof *LABELS; i++)
        if (pattern_find(&words, 0, words.count, LABELS[i].words) != PATTERN_ABSENT)
            return LABELS[i].kind;
    return PART_OTHER;
}

/* A line such as "Active prompt (version 3):", "## Output", "<input>", "--- failure 2 ---". *content is where
 * its part begins; a closing tag ends a part and begins none. */
static bool read_heading(struct arena *arena, const char *line, enum part_kind *kind, const char **content) {
    size_t length = strcspn(line, "\n"), marks = strspn(line, "#=<[- \"*");
    const char *end = line + length, *label = line + marks;
    const char *stop = memchr(line, ':', length < HEADING_BYTES_MAX ? length : HEADING_BYTES_MAX);
    bool marked = marks && strchr("#=<[", line[strspn(line, "- *")]) != NULL;
    marked |= marks >= 3 && strncmp(line, "---", 3) == 0;
    bool item = strncmp(line, "- ", 2) == 0 || strncmp(line, "* ", 2) == 0;
    if (item || (!marked && !stop))
        return false;
    if (!marked && !isupper((unsigned char)*label) && !strchr("\"*", line[0]))
        return false;
    const char *label_end = marked && !stop ? end : stop;
    if (label_end - label > HEADING_BYTES_MAX)
        return false;
    *kind = kind_of(arena, label, label_end);
    if (*kind == PART_OTHER)
        return false;
    if (*label == '/')
        *kind = PART_OTHER;
    *content = label_end < end ? label_end + 1 : end;
    return true;
}

static void add(struct parts *parts, struct arena *arena, enum part_kind kind) {
    size_t bytes = parts->count * sizeof *parts->items;
    parts->items = arena_grow(arena, parts->items, bytes, bytes + sizeof *parts->items);
    parts->items[parts->count++] = (struct part){.kind = kind};
}

/* All strings inside a JSON value, one a line. */
static void write_strings(struct buffer *text, const cJSON *value) {
    const cJSON *child;
    if (cJSON_IsString(value))
        buffer_format(text, "%s\n", value->valuestring);
    if (cJSON_IsArray(value) || cJSON_IsObject(value))
        cJSON_ArrayForEach(child, value) write_strings(text, child);
}

/* A message that is a JSON object, with words before and behind it perhaps: its members are the parts. */
static bool read_object(struct arena *arena, const char *text, struct parts *parts) {
    const char *first = strchr(text, '{'), *last = strrchr(text, '}');
    struct json_errors errors = {0};
    bool prompt = false;
    if (!first || !last || last < first)
        return false;
    const cJSON *root = json_parse(arena, first, (size_t)(last - first) + 1, &errors), *member;
    cJSON_ArrayForEach(member, root) {
        struct buffer strings = buffer_in(arena);
        write_strings(&strings, member);
        add(parts, arena, kind_of(arena, member->string, member->string + strlen(member->string)));
        parts->items[parts->count - 1].text = buffer_text(&strings);
        prompt |= parts->items[parts->count - 1].kind == PART_PROMPT;
    }
    return prompt;
}

/* "<input>", the text and "</input>": whatever stands between the tags is that part. Returns what is behind
 * it, or NULL where there is no such section. */
static const char *read_section(struct arena *arena, const char *line, struct parts *parts) {
    size_t length = strspn(line + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-");
    if (*line != '<' || !length || line[1 + length] != '>')
        return NULL;
    const char *name = line + 1, *content = name + length + 1;
    const char *closing = arena_format(arena, "</%.*s>", (int)length, name);
    const char *end = strstr(content, closing);
    if (!end)
        return NULL;
    add(parts, arena, kind_of(arena, name, name + length));
    parts->items[parts->count - 1].text = trimmed(arena, content, end);
    return end + strlen(closing);
}

struct parts parts_read(struct arena *arena, const char *text) {
    struct parts parts = {0};
    if (read_object(arena, text, &parts))
        return parts;
    parts = (struct parts){0};
    const char *content = text, *line = text, *behind;
    enum part_kind kind = PART_OTHER, next;
    while (*line) {
        const char *next_content = NULL;
        struct parts section = {0};
        behind = read_section(arena, line, &section);
        if (behind || read_heading(arena, line, &next, &next_content)) {
            add(&parts, arena, kind);
            parts.items[parts.count - 1].text = trimmed(arena, content, line);
            kind = behind ? PART_OTHER : next;
            content = behind ? behind : next_content;
        }
        if (behind) {
            add(&parts, arena, section.items[0].kind);
            parts.items[parts.count - 1].text = section.items[0].text;
        }
        line = behind ? behind : line;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    add(&parts, arena, kind);
    parts.items[parts.count - 1].text = trimmed(arena, content, content + strlen(content));
    return parts;
}

const char *parts_find(const struct parts *parts, enum part_kind kind) {
    for (size_t i = 0; i < parts->count; i++)
        if (parts->items[i].kind == kind)
            return parts->items[i].text;
    return NULL;
}

bool parts_of_judgement(struct arena *arena, const char *text, const char **input, const char **output) {
    const char *end = text + strlen(text), *content, *again;
    const char *input_from = NULL, *input_to = NULL;
    enum part_kind kind;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (!read_heading(arena, line, &kind, &content))
            continue;
        if (input_from && !input_to)
            input_to = line;
        if (kind == PART_INPUT && !input_from)
            input_from = content;
        if (kind != PART_OUTPUT || !input_from)
            continue;
        /* Asked again, it is told so behind the output. */
        again = strstr(content, "\nYour last answer was not");
        *input = trimmed(arena, input_from, input_to);
        *output = trimmed(arena, content, again ? again : end);
        return true;
    }
    return false;
}

const char *parts_reasonings(struct arena *arena, const char *text) {
    struct buffer found = buffer_in(arena);
    for (const char *at = text; (at = strcasestr(at, "reasoning"));) {
        at += strlen("reasoning");
        const char *value = at + strspn(at, "s\\\": ");
        if (value == at || *value == '\n')
            continue;
        size_t length = strcspn(value, "\"\\\n");
        buffer_append(&found, value, length);
        buffer_byte(&found, '\n');
        at = value + length;
    }
    return buffer_text(&found);
}
