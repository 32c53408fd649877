/* Decodes and encodes the messages of schemas/ by tables of their fields; the tables are generated from the
 * schemas. */
#ifndef SHARED_MESSAGE_H
#define SHARED_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

struct arena;
struct buffer;
struct json_errors;

/* What stands in the struct is said for each type. Absent and null values leave zeros. */
enum message_type {
    MESSAGE_STRING,  /* const char * */
    MESSAGE_INTEGER, /* int64_t */
    MESSAGE_NUMBER,  /* double, finite */
    MESSAGE_BOOLEAN, /* bool */
    MESSAGE_ENUM,    /* an enum that counts from 0 */
    MESSAGE_JSON,    /* const char *: any object, as compact JSON text */
    MESSAGE_STRUCT,  /* the struct of another message */
    MESSAGE_ARRAY,   /* const pointer to structs of another message; has_offset is that of a size_t count */
    MESSAGE_STRINGS, /* const char *const *; has_offset as in MESSAGE_ARRAY */
};

enum message_format {
    MESSAGE_ANY_TEXT,
    MESSAGE_UUID,        /* 8-4-4-4-12 hexadecimal digits */
    MESSAGE_HEX,         /* lower-case hexadecimal digits */
    MESSAGE_NO_CONTROLS, /* no U+0000…U+001F, U+007F…U+009F */
};

#define MESSAGE_NONE ((size_t)-1)

/* One row for each member of the JSON object. */
struct message_field {
    const char *name; /* NULL ends the table */
    enum message_type type;
    enum message_format format; /* MESSAGE_STRING */
    bool required, nullable;
    size_t offset;            /* in the struct */
    size_t has_offset;        /* of bool has_<name>; MESSAGE_NONE: a zero is no absence, or NULL is one */
    double minimum, maximum;  /* value; of strings code points, of arrays elements */
    const char *const *names; /* MESSAGE_ENUM: NULL-terminated */
    const struct message *message; /* MESSAGE_STRUCT and MESSAGE_ARRAY */
};

enum { MESSAGE_FIELDS_MAX = 64 };

struct message {
    size_t size; /* of the struct */
    const struct message_field *fields;
    /* Of the const char * that keeps members which are no fields, as the text of a JSON object, NULL when
     * there are none. MESSAGE_NONE: they are errors. */
    size_t unknown_offset;
};

/* Checks bytes (borrowed) against the table and fills *out, a struct of message->size bytes; what it points
 * at is in arena. False with all errors in errors, at most JSON_ERRORS_MAX; then *out is not to be used. */
bool message_decode(const struct message *message, struct arena *arena, const char *bytes, size_t length,
    void *out, struct json_errors *errors);

/* The same for a value that json_parse made; it is borrowed for the call. */
bool message_decode_json(const struct message *message, struct arena *arena, const cJSON *json, void *out,
    struct json_errors *errors);

/* Appends in (borrowed) as compact JSON. A required string, object or array that is NULL but not nullable is
 * a bug and aborts; limits are not checked. Unknown members follow the fields, but for those whose name is a
 * field's. */
void message_encode(const struct message *message, struct buffer *buffer, const void *in);

/* The name of value; a value that is none is a bug and aborts. */
const char *message_enum_name(const char *const *names, int count, int value);

/* False when name is none of names or NULL; *value is then as it was. */
bool message_enum_parse(const char *const *names, const char *name, int *value);

#endif
