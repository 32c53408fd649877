/* Does an answer give away a secret: a key, a card or social security number, a password? */
#ifndef WORKERS_EVALUATOR_SCAN_SECRETS_H
#define WORKERS_EVALUATOR_SCAN_SECRETS_H

#include <stdbool.h>

/* False when output holds a private key, a key in a known provider's format, a card number (issuer and Luhn
 * digit), a US social security number, credentials in a URL, or a literal that is assigned to a secret.
 * Obvious placeholders
 * ("your-api-key", "<token>", "xxxx", "changeme") are no secrets. */
bool scan_no_sensitive_data(const char *output);

#endif
