/* Writes what was extracted from a text, as JSON or as lines. */
#include <ctype.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/json.h"
#include "tests/sim/outputs.h"

enum { FIELDS_MAX = 8, SOURCE_WORDS = 4 };

struct field {
    const char *name;
    const char *value; /* NULL: the text does not say */
    const char *unit;
    const char *source;
};

static const char *word_at(struct arena *arena, const char *at) {
    size_t length = strcspn(at, " \n\t,;");
    while (length > 1 && strchr(".!?:", at[length - 1]))
        length--;
    return arena_copy(arena, at, length);
}

/* The words of text that begin at `at`, without what a quotation may not hold. */
static const char *source_at(struct arena *arena, const char *at) {
    const char *end = at;
    for (int words = 0; words < SOURCE_WORDS && *end && !strchr("\"\n", *end); words++) {
        end += strspn(end, " ");
        end += strcspn(end, " \"\n");
    }
    return arena_copy(arena, at, (size_t)(end - at));
}

/* The number that stands in text, with its unit. */
static void find_amount(struct arena *arena, const char *text, struct field *field) {
    for (const char *at = text; *at; at++) {
        if (!isdigit((unsigned char)*at) || (at > text && at[-1] != ' '))
            continue;
        size_t digits = strspn(at, "0123456789.");
        while (digits > 1 && at[digits - 1] == '.')
            digits--;
        field->value = arena_copy(arena, at, digits);
        field->unit = at[digits] == ' ' ? word_at(arena, at + digits + 1) : "";
        field->source = source_at(arena, at);
        if (!strchr(field->source, ' '))
            field->source = source_at(arena, text);
        return;
    }
}

/* A name: two words with capitals. */
static void find_name(struct arena *arena, const char *text, struct field *field) {
    for (const char *at = text; (at = strchr(at, ' ')); at++) {
        const char *next = strchr(at + 1, ' ');
        if (!isupper((unsigned char)at[1]) || !next || !isupper((unsigned char)next[1]))
            continue;
        field->value = arena_format(arena, "%s %s", word_at(arena, at + 1), word_at(arena, next + 1));
        field->source = source_at(arena, at + 1);
        return;
    }
    if (*text) {
        field->value = word_at(arena, text);
        field->source = source_at(arena, text);
    }
}

/* "the name, the weight and the phone number from" → name, weight, phone_number. */
static size_t read_fields(struct arena *arena, const struct task *task, struct field *fields) {
    size_t count = 0, i = 0;
    struct buffer name = buffer_in(arena);
    while (i < task->words.count && !word_in(task->words.items[i].text, "extract*|out"))
        i++;
    for (i++; i < task->words.count && count < FIELDS_MAX; i++) {
        const struct word *word = &task->words.items[i];
        bool ends = word->comma || word_in(word->text, "and|from|under|with");
        if (ends && name.length) {
            fields[count++].name = buffer_text(&name);
            name = buffer_in(arena);
        }
        if (word_in(word->text, "from|under|with|add"))
            return count;
        if (!word_in(word->text, "and|the|a|an"))
            buffer_format(&name, "%s%s", name.length ? "_" : "", word->text);
    }
    if (name.length && count < FIELDS_MAX)
        fields[count++].name = buffer_text(&name);
    return count;
}

/* The name goes to the first field, the amount to the first that may hold one. An amount that nobody asked
 * for and a field for what else there is are given, too, so that units and nulls always have a place. */
static size_t fill(struct arena *arena, const struct task *task, struct field *fields) {
    size_t count = read_fields(arena, task, fields), amount = 1;
    if (!count)
        fields[count++].name = "result";
    find_name(arena, task->material, &fields[0]);
    while (amount < count && strpbrk(fields[amount].name, "_"))
        amount++;
    if (amount >= count)
        fields[amount = count++].name = "amount";
    find_amount(arena, task->material, &fields[amount]);
    fields[count++].name = "remarks";
    return count;
}

static void write_json_field(struct buffer *output, const struct field *field, ability_set shown) {
    buffer_string(output, "  ");
    json_write_string(output, field->name);
    buffer_string(output, ": {\"value\": ");
    if (field->value)
        json_write_string(output, field->value);
    else
        buffer_string(output, shown & ABILITY(NULLS) ? "null" : "\"not sure\"");
    if (field->unit && (shown & ABILITY(UNITS))) {
        buffer_string(output, ", \"unit\": ");
        json_write_string(output, field->unit);
    }
    if (field->source && (shown & ABILITY(CITATION))) {
        buffer_string(output, ", \"source\": ");
        json_write_string(output, field->source);
    }
    buffer_byte(output, '}');
}

static void write_json(struct buffer *output, const struct field *fields, size_t count, ability_set shown) {
    buffer_string(output, "{\n");
    if (shown & ABILITY(TITLE))
        buffer_string(output, "  \"title\": \"Extracted fields\",\n");
    for (size_t i = 0; i < count; i++) {
        write_json_field(output, &fields[i], shown);
        buffer_string(output, i + 1 < count || (shown & ABILITY(CONCLUSION)) ? ",\n" : "\n");
    }
    if (shown & ABILITY(CONCLUSION))
        buffer_format(output, "  \"summary\": \"%zu fields\"\n", count);
    buffer_string(output, "}\n");
}

static void write_lines(struct buffer *output, const struct field *fields, size_t count, ability_set shown) {
    if (shown & ABILITY(TITLE))
        buffer_string(output, "# Extracted fields\n\n");
    for (size_t i = 0; i < count; i++) {
        const struct field *field = &fields[i];
        const char *missing = shown & ABILITY(NULLS) ? "null" : "not sure";
        buffer_format(output, "%s: %s", field->name, field->value ? field->value : missing);
        if (field->unit && (shown & ABILITY(UNITS)))
            buffer_format(output, " (unit %s)", field->unit);
        if (field->source && (shown & ABILITY(CITATION)))
            buffer_format(output, ", from \"%s\"", field->source);
        buffer_byte(output, '\n');
    }
    if (shown & ABILITY(CONCLUSION))
        buffer_format(output, "\nOverall, there are %zu fields.\n", count);
}

void output_write_fields(struct buffer *output, const struct task *task, ability_set shown) {
    struct field fields[FIELDS_MAX + 2] = {0};
    size_t count = fill(output->arena, task, fields);
    if (!(shown & ABILITY(NO_PREAMBLE)))
        buffer_string(output, "Sure, here is what I could find in the text for you:\n\n");
    if (shown & ABILITY(JSON))
        write_json(output, fields, count, shown);
    else
        write_lines(output, fields, count, shown);
}
