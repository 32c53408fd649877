/* JSON Schema as providers take it: each knows a part of it, and some write it in their own way. */
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/json.h"
#include "shared/model/protocol.h"

static bool is_one_of(const char *name, const char *const *names) {
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

/* Structured outputs take some limits, but not all of them from all models; what comes is checked anyway.
 * Gemini's Schema: https://ai.google.dev/api/caching#Schema. */
static bool is_kept(const char *keyword, enum schema_dialect dialect) {
    static const char *const ANNOTATIONS[] = {"$schema", "$id", "$comment", "title", NULL};
    static const char *const STRICT[] = {
        "type", "description", "enum", "anyOf", "properties", "required", "items", NULL};
    static const char *const GEMINI[] = {"type", "description", "enum", "anyOf", "properties", "required",
        "items", "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength", NULL};
    if (dialect == SCHEMA_PLAIN)
        return !is_one_of(keyword, ANNOTATIONS);
    return is_one_of(keyword, dialect == SCHEMA_STRICT ? STRICT : GEMINI);
}

static void write_node(struct buffer *buffer, const cJSON *node, enum schema_dialect dialect);

static void write_properties(struct buffer *buffer, const cJSON *properties, enum schema_dialect dialect) {
    const char *separator = "{";
    for (const cJSON *property = properties->child; property; property = property->next, separator = ",") {
        buffer_string(buffer, separator);
        json_write_string(buffer, property->string);
        buffer_byte(buffer, ':');
        write_node(buffer, property, dialect);
    }
    buffer_string(buffer, properties->child ? "}" : "{}");
}

static void write_list(struct buffer *buffer, const cJSON *nodes, enum schema_dialect dialect) {
    const char *separator = "[";
    for (const cJSON *node = nodes->child; node; node = node->next, separator = ",") {
        buffer_string(buffer, separator);
        write_node(buffer, node, dialect);
    }
    buffer_string(buffer, nodes->child ? "]" : "[]");
}

/* Gemini has types in capitals, one each, and a member of its own for null. */
static void write_gemini_type(struct buffer *buffer, const cJSON *type) {
    bool nullable = false;
    const char *name = cJSON_IsString(type) ? type->valuestring : "";
    for (const cJSON *item = cJSON_IsArray(type) ? type->child : NULL; item; item = item->next) {
        const char *text = cJSON_IsString(item) ? item->valuestring : "";
        nullable |= strcmp(text, "null") == 0;
        name = strcmp(text, "null") == 0 ? name : text;
    }
    buffer_byte(buffer, '"');
    for (; *name; name++)
        buffer_byte(buffer, (char)(*name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name));
    buffer_string(buffer, nullable ? "\",\"nullable\":true" : "\"");
}

/* Gemini 2.0 writes members in the order of their names unless it is told another. */
static void write_order(struct buffer *buffer, const cJSON *properties) {
    const char *separator = ",\"propertyOrdering\":[";
    for (const cJSON *property = properties->child; property; property = property->next, separator = ",") {
        buffer_string(buffer, separator);
        json_write_string(buffer, property->string);
    }
    if (properties->child)
        buffer_byte(buffer, ']');
}

static void write_value(struct buffer *buffer, const cJSON *keyword, enum schema_dialect dialect) {
    const char *name = keyword->string;
    if (strcmp(name, "properties") == 0 && cJSON_IsObject(keyword))
        write_properties(buffer, keyword, dialect);
    else if (strcmp(name, "items") == 0 && cJSON_IsObject(keyword))
        write_node(buffer, keyword, dialect);
    else if (strcmp(name, "anyOf") == 0 && cJSON_IsArray(keyword))
        write_list(buffer, keyword, dialect);
    else if (strcmp(name, "type") == 0 && dialect == SCHEMA_GEMINI)
        write_gemini_type(buffer, keyword);
    else
        buffer_string(buffer, json_print(buffer->arena, keyword));
}

static void write_node(struct buffer *buffer, const cJSON *node, enum schema_dialect dialect) {
    const cJSON *properties = cJSON_GetObjectItemCaseSensitive(node, "properties");
    const char *separator = "";
    buffer_byte(buffer, '{');
    for (const cJSON *keyword = node->child; keyword; keyword = keyword->next) {
        if (!is_kept(keyword->string, dialect))
            continue;
        buffer_string(buffer, separator);
        separator = ",";
        json_write_string(buffer, keyword->string);
        buffer_byte(buffer, ':');
        write_value(buffer, keyword, dialect);
    }
    if (properties && dialect == SCHEMA_STRICT)
        buffer_string(buffer, ",\"additionalProperties\":false");
    if (properties && dialect == SCHEMA_GEMINI)
        write_order(buffer, properties);
    buffer_byte(buffer, '}');
}

static const cJSON *parse(struct arena *arena, const char *schema) {
    struct json_errors errors = {0};
    const cJSON *root = json_parse(arena, schema, strlen(schema), &errors);
    if (!cJSON_IsObject(root))
        abort(); /* schemas are our own */
    return root;
}

void schema_write(struct buffer *buffer, const char *schema, enum schema_dialect dialect) {
    write_node(buffer, parse(buffer->arena, schema), dialect);
}

static bool is_required(const cJSON *node, const char *name) {
    const cJSON *required = cJSON_GetObjectItemCaseSensitive(node, "required");
    for (const cJSON *item = cJSON_IsArray(required) ? required->child : NULL; item; item = item->next)
        if (cJSON_IsString(item) && strcmp(item->valuestring, name) == 0)
            return true;
    return false;
}

static bool is_strict(const cJSON *node) {
    const cJSON *properties = cJSON_GetObjectItemCaseSensitive(node, "properties");
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(node, "items");
    const cJSON *any = cJSON_GetObjectItemCaseSensitive(node, "anyOf");
    const char *type = reading_string(node, "type");
    /* An object that may hold anything cannot be closed. */
    if (type && strcmp(type, "object") == 0 && !properties)
        return false;
    for (const cJSON *property = properties ? properties->child : NULL; property; property = property->next)
        if (!is_required(node, property->string) || !is_strict(property))
            return false;
    for (const cJSON *one = any ? any->child : NULL; one; one = one->next)
        if (!is_strict(one))
            return false;
    return !items || is_strict(items);
}

bool schema_may_be_strict(const char *schema) {
    struct arena *arena = arena_create(0);
    bool strict = is_strict(parse(arena, schema));
    arena_destroy(&arena);
    return strict;
}
