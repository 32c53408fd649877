/* FNV-1a over the texts, and splitmix64 to draw numbers from it. */
#include "tests/sim/chance.h"

static uint64_t hash(uint64_t value, const char *text) {
    for (; *text; text++)
        value = (value ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return value * UINT64_C(0x100000001b3);
}

static uint64_t mix(uint64_t value) {
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

uint64_t chance_of(uint64_t seed, const char *first, const char *second) {
    return mix(hash(hash(UINT64_C(0xcbf29ce484222325) ^ mix(seed), first), second));
}

double chance_share(uint64_t number, unsigned stream) {
    return (double)(mix(number + stream * UINT64_C(0x632be59bd9b4e019)) >> 11) * 0x1p-53;
}

double chance_signed(uint64_t number, unsigned stream) {
    return 2 * chance_share(number, stream) - 1;
}
