/* JSON from outside is checked while it becomes a cJSON tree, and JSON of ours is written by these few
 * functions. cJSON's own parser (1.7.15) cuts strings at \u0000, takes invalid UTF-8, duplicate keys and any
 * depth, and rounds integers past 2^53; this one refuses the first four and keeps the digits. */
#ifndef SHARED_JSON_H
#define SHARED_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct buffer;

/* Values are bounded because a tree takes some forty times the bytes of a text of small ones. */
enum { JSON_DEPTH_MAX = 32, JSON_VALUES_MAX = 100000 };

/* Everything that is wrong with a document, as people read it. */
struct json_error {
    const char
        *pointer; /* JSON pointer (RFC 6901) of the place, "" for the whole document; cut when very long */
    const char *detail; /* one sentence without full stop, names no content */
};

enum { JSON_ERRORS_MAX = 16 };

struct json_errors {
    struct json_error items[JSON_ERRORS_MAX];
    size_t count; /* further errors are dropped */
};

/* A place in a document, as a list from the innermost value outwards; NULL is the whole document. */
struct json_place {
    const struct json_place *parent;
    const char *name; /* of the object's member; NULL: an array's element */
    size_t index;     /* of the array's element */
};

/* The JSON pointer of place, in arena. */
const char *json_pointer(struct arena *arena, const struct json_place *place);

/* Adds one error; pointer and detail are copied into arena. */
void json_error_add(struct json_errors *errors, struct arena *arena, const char *pointer, const char *format,
    ...) __attribute__((format(printf, 4, 5)));

/* "what: pointer: detail" of the first error, in arena, without the pointer where it is empty; what says what
 * the document should have been, as "not a request". */
const char *json_first_error(struct arena *arena, const char *what, const struct json_errors *errors);

/* Checks bytes from outside (RFC 8259 syntax, UTF-8, no \u0000, lone surrogates or raw NUL, no duplicate
 * keys, at most JSON_DEPTH_MAX deep and JSON_VALUES_MAX values, nothing after the value) and parses them into
 * arena, which owns the tree: do not call cJSON_Delete on it. NULL with one error in errors when they do not
 * pass. bytes need no NUL. A number's own text stays in valuestring. */
cJSON *json_parse(struct arena *arena, const char *bytes, size_t length, struct json_errors *errors);

/* The tree as compact JSON text, in arena; numbers that json_parse read keep their digits. */
char *json_print(struct arena *arena, const cJSON *item);

/* Appends "string" quoted and escaped; NULL gives null. Bytes that are not UTF-8 become U+FFFD. */
void json_write_string(struct buffer *buffer, const char *string);
void json_write_integer(struct buffer *buffer, int64_t value);
/* The shortest decimal that reads back as the same double; NaN and infinities give null. */
void json_write_double(struct buffer *buffer, double value);

/* length bytes as valid UTF-8 without NUL: each NUL and each invalid byte becomes U+FFFD, and *replaced
 * counts them (replaced may be NULL). Returns a NUL-terminated copy in arena. */
char *json_clean_text(struct arena *arena, const char *bytes, size_t length, size_t *replaced);

/* Code points of valid UTF-8. */
size_t json_code_points(const char *string);

#endif
