/* Keys that can be told by their format: private keys, and the tokens of known providers. */
#ifndef WORKERS_EVALUATOR_SCAN_KEYS_H
#define WORKERS_EVALUATOR_SCAN_KEYS_H

#include "workers/evaluator/scan_text.h"

/* True when a provider's key begins at at, where a word of whole begins. */
bool key_begins(struct text whole, const char *at);

/* True when rest, at a '-', begins with the header of a private key that has a body. */
bool private_key_begins(struct text rest);

/* True when value is nothing but signs that stand for a secret ("xxxx", "****") or asks for it ("your-key").
 */
bool value_is_placeholder(struct text value);

#endif
