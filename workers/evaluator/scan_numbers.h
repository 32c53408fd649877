/* Card and social security numbers in a text. */
#ifndef WORKERS_EVALUATOR_SCAN_NUMBERS_H
#define WORKERS_EVALUATOR_SCAN_NUMBERS_H

#include "workers/evaluator/scan_text.h"

/* Reads the digits and their separators at *at, which begin no word and no number before them (begin is where
 * the whole text begins). Moves *at behind them; true when a card number or a US social security number is
 * among them. */
bool number_is_sensitive(const char *begin, const char **at, const char *end);

#endif
