/* UTF-8 as RFC 3629 defines it. */
#ifndef SHARED_UTF8_H
#define SHARED_UTF8_H

#include <stddef.h>

/* Bytes of the sequence at the start of bytes, of which left (at least 1) are there: 1 to 4. 0 when it is
 * none; overlong forms, surrogates and what is past U+10FFFF are none. */
size_t utf8_sequence(const unsigned char *bytes, size_t left);

#endif
