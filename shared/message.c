/* Reads and writes structs as JSON objects by the tables that are generated from schemas/. */
#include "shared/message.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/json.h"

enum { SCRATCH_BYTES = 16384 };

struct decoder {
    struct arena *arena;
    struct json_errors *errors;
    bool good; /* errors holds only the first ones, so it cannot tell */
};

static void *at(void *structure, size_t offset) {
    return (char *)structure + offset;
}

static const void *const_at(const void *structure, size_t offset) {
    return (const char *)structure + offset;
}

static void wrong(struct decoder *decoder, const struct json_place *place, const char *detail) {
    decoder->good = false;
    json_error_add(decoder->errors, decoder->arena, json_pointer(decoder->arena, place), "%s", detail);
}

/* limit is a whole number for all but MESSAGE_NUMBER, and written as one. */
static void out_of_range(
    struct decoder *decoder, const struct json_place *place, const char *what, double limit) {
    struct buffer detail = buffer_in(decoder->arena);
    buffer_string(&detail, what);
    buffer_byte(&detail, ' ');
    if (limit == floor(limit) && fabs(limit) < 1e16)
        json_write_integer(&detail, (int64_t)limit);
    else
        json_write_double(&detail, limit);
    wrong(decoder, place, buffer_text(&detail));
}

static bool in_range(struct decoder *decoder, const struct json_place *place,
    const struct message_field *field, double value, const char *too_small, const char *too_large) {
    if (value < field->minimum)
        out_of_range(decoder, place, too_small, field->minimum);
    else if (value > field->maximum)
        out_of_range(decoder, place, too_large, field->maximum);
    else
        return true;
    return false;
}

static bool is_hexadecimal(char c, bool upper) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (upper && c >= 'A' && c <= 'F');
}

static bool is_uuid(const char *text) {
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !is_hexadecimal(text[i], true))
            return false;
    }
    return text[36] == '\0';
}

static bool is_hex(const char *text) {
    while (is_hexadecimal(*text, false))
        text++;
    return *text == '\0';
}

static bool holds_no_controls(const char *text) {
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < 0x20 || *c == 0x7F || (*c == 0xC2 && c[1] < 0xA0)) /* U+0080…U+009F begin with C2 */
            return false;
    return true;
}

/* NULL when text has the format. */
static const char *format_error(enum message_format format, const char *text) {
    switch (format) {
    case MESSAGE_UUID:
        return is_uuid(text) ? NULL : "must be a UUID";
    case MESSAGE_HEX:
        return is_hex(text) ? NULL : "must be lower-case hexadecimal digits";
    case MESSAGE_NO_CONTROLS:
        return holds_no_controls(text) ? NULL : "must not hold control characters";
    case MESSAGE_ANY_TEXT:
        break;
    }
    return NULL;
}

static void decode_string(struct decoder *decoder, const struct json_place *place,
    const struct message_field *field, const cJSON *json, void *out) {
    if (!cJSON_IsString(json)) {
        wrong(decoder, place, "must be a string");
        return;
    }
    /* A text of the wrong length has no format either; one error says enough. */
    const char *error = format_error(field->format, json->valuestring);
    if (!in_range(decoder, place, field, (double)json_code_points(json->valuestring),
            "must have at least this many characters:", "must have at most this many characters:"))
        return;
    if (error)
        wrong(decoder, place, error);
    else
        *(const char **)at(out, field->offset) = arena_string(decoder->arena, json->valuestring);
}

static void decode_number(struct decoder *decoder, const struct json_place *place,
    const struct message_field *field, const cJSON *json, void *out) {
    double value = json->valuedouble;
    bool integer = field->type == MESSAGE_INTEGER;
    if (!cJSON_IsNumber(json) || !isfinite(value) || (integer && value != floor(value)))
        wrong(decoder, place, integer ? "must be an integer" : "must be a number");
    else if (!in_range(decoder, place, field, value, "must be at least", "must be at most"))
        return;
    else if (integer)
        *(int64_t *)at(out, field->offset) = (int64_t)value;
    else
        *(double *)at(out, field->offset) = value;
}

static void decode_boolean(struct decoder *decoder, const struct json_place *place,
    const struct message_field *field, const cJSON *json, void *out) {
    if (cJSON_IsBool(json))
        *(bool *)at(out, field->offset) = cJSON_IsTrue(json);
    else
        wrong(decoder, place, "must be true or false");
}

static void decode_enum(struct decoder *decoder, const struct json_place *place,
    const struct message_field *field, const cJSON *json, void *out) {
    int value;
    if (cJSON_IsString(json) && message_enum_parse(field->names, json->valuestring, &value)) {
        memcpy(at(out, field->offset), &value, sizeof value);
        return;
    }
    struct buffer detail = buffer_in(decoder->arena);
    buffer_string(&detail, "must be one of");
    for (const char *const *name = field->names; *name; name++)
        buffer_format(&detail, "%s %s", name == field->names ? "" : ",", *name);
    wrong(decoder, place, buffer_text(&detail));
}

static void decode_object(struct decoder *decoder, const struct json_place *place,
    const struct message *message, const cJSON *json, void *out);

/* False with an error when it is no array, or one of a wrong length. */
static bool count_elements(struct decoder *decoder, const struct json_place *place,
    const struct message_field *field, const cJSON *json, size_t *count) {
    if (!cJSON_IsArray(json)) {
        wrong(decoder, place, "must be an array");
        return false;
    }
    *count = 0;
    for (const cJSON *element = json->child; element; element = element->next)
        ++*count;
    return in_range(decoder, place, field, (double)*count,
        "must have at least this many elements:", "must have at most this many elements:");
}

static void decode_strings(struct decoder *decoder, const struct json_place *place,
    const struct message_field *field, const cJSON *json, void *out) {
    size_t count;
    if (!count_elements(decoder, place, field, json, &count))
        return;
    const char **elements = arena_alloc(decoder->arena, count * sizeof *elements);
    struct json_place inside = {.parent = place};
    for (const cJSON *element = json->child; element; element = element->next, inside.index++) {
        if (cJSON_IsString(element))
            elements[inside.index] = arena_string(decoder->arena, element->valuestring);
        else
            wrong(decoder, &inside, "must be a string");
    }
    *(const char *const **)at(out, field->offset) = elements;
    *(size_t *)at(out, field->has_offset) = count;
}

static void decode_array(struct decoder *decoder, const struct json_place *place,
    const struct message_field *field, const cJSON *json, void *out) {
    size_t count, size = field->message->size;
    if (!count_elements(decoder, place, field, json, &count))
        return;
    char *elements = arena_alloc(decoder->arena, count * size);
    struct json_place inside = {.parent = place};
    for (const cJSON *element = json->child; element; element = element->next, inside.index++)
        decode_object(decoder, &inside, field->message, element, elements + inside.index * size);
    *(const void **)at(out, field->offset) = elements;
    *(size_t *)at(out, field->has_offset) = count;
}

static void decode_value(struct decoder *decoder, const struct json_place *place,
    const struct message_field *field, const cJSON *json, void *out) {
    switch (field->type) {
    case MESSAGE_STRING:
        decode_string(decoder, place, field, json, out);
        break;
    case MESSAGE_INTEGER:
    case MESSAGE_NUMBER:
        decode_number(decoder, place, field, json, out);
        break;
    case MESSAGE_BOOLEAN:
        decode_boolean(decoder, place, field, json, out);
        break;
    case MESSAGE_ENUM:
        decode_enum(decoder, place, field, json, out);
        break;
    case MESSAGE_JSON:
        if (cJSON_IsObject(json))
            *(const char **)at(out, field->offset) = json_print(decoder->arena, json);
        else
            wrong(decoder, place, "must be an object");
        break;
    case MESSAGE_STRUCT:
        decode_object(decoder, place, field->message, json, at(out, field->offset));
        break;
    case MESSAGE_ARRAY:
        decode_array(decoder, place, field, json, out);
        break;
    case MESSAGE_STRINGS:
        decode_strings(decoder, place, field, json, out);
        break;
    }
}

static bool is_array(const struct message_field *field) {
    return field->type == MESSAGE_ARRAY || field->type == MESSAGE_STRINGS;
}

static void decode_field(struct decoder *decoder, const struct json_place *place,
    const struct message_field *field, const cJSON *json, void *out) {
    if (cJSON_IsNull(json) && field->nullable)
        return;
    decode_value(decoder, place, field, json, out);
    if (field->has_offset != MESSAGE_NONE && !is_array(field))
        *(bool *)at(out, field->has_offset) = true;
}

static const struct message_field *find_field(const struct message *message, const char *name) {
    const struct message_field *field = message->fields;
    while (field->name && strcmp(field->name, name) != 0)
        field++;
    return field->name ? field : NULL;
}

/* Members mostly come in the order of the fields, which is the one they are written in: looks from the field
 * on that follows the last one found. */
static const struct message_field *find_next_field(
    const struct message *message, const struct message_field *next, const char *name) {
    while (next->name && strcmp(next->name, name) != 0)
        next++;
    return next->name ? next : find_field(message, name);
}

/* Appends a member to an object's text that is not closed yet. */
static void append_member(struct buffer *object, const cJSON *member, struct arena *arena) {
    buffer_byte(object, object->length ? ',' : '{');
    json_write_string(object, member->string);
    buffer_byte(object, ':');
    buffer_string(object, json_print(arena, member));
}

static void decode_object(struct decoder *decoder, const struct json_place *place,
    const struct message *message, const cJSON *json, void *out) {
    memset(out, 0, message->size);
    if (!cJSON_IsObject(json)) {
        wrong(decoder, place, "must be an object");
        return;
    }
    uint64_t seen = 0;
    const struct message_field *next = message->fields;
    bool strict = message->unknown_offset == MESSAGE_NONE;
    struct buffer unknown = buffer_in(decoder->arena);
    for (const cJSON *member = json->child; member; member = member->next) {
        struct json_place inside = {.parent = place, .name = member->string};
        const struct message_field *field = find_next_field(message, next, member->string);
        if (field) {
            next = field + 1;
            seen |= UINT64_C(1) << (field - message->fields);
            decode_field(decoder, &inside, field, member, out);
        } else if (strict) {
            wrong(decoder, &inside, "is not known here");
        } else {
            append_member(&unknown, member, decoder->arena);
        }
    }
    for (const struct message_field *field = message->fields; field->name; field++)
        if (field->required && !(seen >> (field - message->fields) & 1))
            wrong(decoder, &(struct json_place){.parent = place, .name = field->name}, "is missing");
    if (unknown.length) {
        buffer_byte(&unknown, '}');
        *(const char **)at(out, message->unknown_offset) = unknown.data;
    }
}

bool message_decode_json(const struct message *message, struct arena *arena, const cJSON *json, void *out,
    struct json_errors *errors) {
    struct decoder decoder = {.arena = arena, .errors = errors, .good = true};
    decode_object(&decoder, NULL, message, json, out);
    return decoder.good;
}

bool message_decode(const struct message *message, struct arena *arena, const char *bytes, size_t length,
    void *out, struct json_errors *errors) {
    /* The tree is many times larger than the struct, which may live long: it gets an arena of its own, whose
     * first chunk is kept for the next tree. */
    static struct arena *scratch;
    struct json_errors syntax = {0};
    if (!scratch)
        scratch = arena_create(SCRATCH_BYTES);
    const cJSON *json = json_parse(scratch, bytes, length, &syntax);
    bool good = json && message_decode_json(message, arena, json, out, errors);
    for (size_t i = 0; i < syntax.count; i++)
        json_error_add(errors, arena, syntax.items[i].pointer, "%s", syntax.items[i].detail);
    arena_reset(scratch);
    return good;
}

static bool is_absent(const struct message_field *field, const void *in) {
    bool is_pointer = field->type == MESSAGE_STRING || field->type == MESSAGE_JSON || is_array(field);
    if (is_pointer)
        return !*(const void *const *)const_at(in, field->offset);
    return field->has_offset != MESSAGE_NONE && !*(const bool *)const_at(in, field->has_offset);
}

static void encode_array(struct buffer *buffer, const struct message_field *field, const void *in) {
    const char *elements = *(const char *const *)const_at(in, field->offset);
    size_t count = *(const size_t *)const_at(in, field->has_offset);
    buffer_byte(buffer, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_byte(buffer, ',');
        message_encode(field->message, buffer, elements + i * field->message->size);
    }
    buffer_byte(buffer, ']');
}

static void encode_strings(struct buffer *buffer, const struct message_field *field, const void *in) {
    const char *const *elements = *(const char *const *const *)const_at(in, field->offset);
    size_t count = *(const size_t *)const_at(in, field->has_offset);
    buffer_byte(buffer, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_byte(buffer, ',');
        json_write_string(buffer, elements[i]);
    }
    buffer_byte(buffer, ']');
}

static void encode_enum(struct buffer *buffer, const struct message_field *field, const void *value) {
    int number, count = 0;
    memcpy(&number, value, sizeof number);
    while (field->names[count])
        count++;
    json_write_string(buffer, message_enum_name(field->names, count, number));
}

static void encode_value(struct buffer *buffer, const struct message_field *field, const void *in) {
    const void *value = const_at(in, field->offset);
    switch (field->type) {
    case MESSAGE_STRING:
        json_write_string(buffer, *(const char *const *)value);
        break;
    case MESSAGE_INTEGER:
        json_write_integer(buffer, *(const int64_t *)value);
        break;
    case MESSAGE_NUMBER:
        json_write_double(buffer, *(const double *)value);
        break;
    case MESSAGE_BOOLEAN:
        buffer_string(buffer, *(const bool *)value ? "true" : "false");
        break;
    case MESSAGE_ENUM:
        encode_enum(buffer, field, value);
        break;
    case MESSAGE_JSON:
        buffer_string(buffer, *(const char *const *)value);
        break;
    case MESSAGE_STRUCT:
        message_encode(field->message, buffer, value);
        break;
    case MESSAGE_ARRAY:
        encode_array(buffer, field, in);
        break;
    case MESSAGE_STRINGS:
        encode_strings(buffer, field, in);
        break;
    }
}

static void encode_field(struct buffer *buffer, const struct message_field *field, const void *in) {
    bool absent = is_absent(field, in);
    if (absent && !field->required)
        return;
    assert(!absent || field->nullable);
    if (buffer->data[buffer->length - 1] != '{')
        buffer_byte(buffer, ',');
    json_write_string(buffer, field->name);
    buffer_byte(buffer, ':');
    if (absent)
        buffer_string(buffer, "null");
    else
        encode_value(buffer, field, in);
}

/* A member that was unknown where it was read may be a field here, since a message is taken over into the
 * next one. */
static void encode_unknown(struct buffer *buffer, const struct message *message, const char *unknown) {
    struct arena *scratch = arena_create(0);
    struct json_errors errors = {0};
    const cJSON *json = json_parse(scratch, unknown, strlen(unknown), &errors);
    assert(cJSON_IsObject(json));
    for (const cJSON *member = json->child; member; member = member->next) {
        if (find_field(message, member->string))
            continue;
        if (buffer->data[buffer->length - 1] != '{')
            buffer_byte(buffer, ',');
        json_write_string(buffer, member->string);
        buffer_byte(buffer, ':');
        buffer_string(buffer, json_print(scratch, member));
    }
    arena_destroy(&scratch);
}

void message_encode(const struct message *message, struct buffer *buffer, const void *in) {
    buffer_byte(buffer, '{');
    for (const struct message_field *field = message->fields; field->name; field++)
        encode_field(buffer, field, in);
    if (message->unknown_offset != MESSAGE_NONE) {
        const char *unknown = *(const char *const *)const_at(in, message->unknown_offset);
        if (unknown)
            encode_unknown(buffer, message, unknown);
    }
    buffer_byte(buffer, '}');
}

const char *message_enum_name(const char *const *names, int count, int value) {
    assert(value >= 0 && value < count);
    return names[value];
}

bool message_enum_parse(const char *const *names, const char *name, int *value) {
    for (int i = 0; name && names[i]; i++) {
        if (strcmp(names[i], name) == 0) {
            *value = i;
            return true;
        }
    }
    return false;
}
