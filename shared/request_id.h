/* Request ids: UUIDv7 (RFC 9562) whose low 32 bits are a MAC under the deployment's key, so that every
 * gateway knows an id that a gateway issued. */
#ifndef SHARED_REQUEST_ID_H
#define SHARED_REQUEST_ID_H

#include <stdbool.h>

#include "shared/settings.h"

enum { UUID_TEXT_BYTES = 37 }; /* 36 characters and a NUL */

/* REQUEST_ID_KEY (secret). */
extern struct setting request_id_settings[];

/* Writes a new id, greater than any before it from this process. Never repeats within a process; between
 * processes 29 random bits, drawn at start, keep them apart. */
void request_id_create(char text[UUID_TEXT_BYTES]);

/* Writes a UUIDv7 without a MAC, for requests that no gateway is asked about: no key is needed. */
void request_id_unsigned(char text[UUID_TEXT_BYTES]);

/* True when the key of this deployment signed text. */
bool request_id_issued(const char *text);

enum { REQUEST_ID_LINE_MAX = 131071 };

/* The id of a line (0 … REQUEST_ID_LINE_MAX) of a batch, whose id is one of request_id_create's: the same
 * whenever it is asked for, under the same key. Its time is the batch's, and the ids of a batch's lines are
 * in the order of the lines. Two lines of a batch never have the same, nor has a line that of an id from
 * request_id_create; lines of two batches of the same millisecond are kept apart by 24 bits. */
void request_id_of_line(const char *batch_id, unsigned line, char text[UUID_TEXT_BYTES]);

/* True for any UUID in its usual form: 8-4-4-4-12 hexadecimal digits. */
bool uuid_valid(const char *text);

/* A random UUIDv4, for what needs no order. */
void uuid_random(char text[UUID_TEXT_BYTES]);

/* SHA-256 of a C string as 64 hexadecimal digits and a NUL: the hash by which results name a prompt. */
void sha256_hex(const char *string, char hex[65]);

#endif
