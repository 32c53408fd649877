/* Chance that can be had again: numbers made from a seed and what they are for. */
#ifndef TESTS_SIM_CHANCE_H
#define TESTS_SIM_CHANCE_H

#include <stdint.h>

/* A number fixed by the seed and two texts (either may be ""). */
uint64_t chance_of(uint64_t seed, const char *first, const char *second);

/* The number's `stream`: from 0 up to 1, and from -1 to 1. */
double chance_share(uint64_t number, unsigned stream);
double chance_signed(uint64_t number, unsigned stream);

#endif
