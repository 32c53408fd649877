/* What may befall a call, and the chance by which one meets it. */
#ifndef TESTS_SIM_FATES_H
#define TESTS_SIM_FATES_H

#include <stdint.h>

enum fate {
    FATE_ANSWERED,
    FATE_ERROR,        /* SIM_ERROR_STATUS */
    FATE_RATE_LIMITED, /* 429, at once */
    FATE_HANGS,        /* never answered */
    FATE_SLOW,         /* answered SIM_SLOW_MS later than others */
    FATE_CUT,          /* the connection closes before the headers */
    FATE_CUT_BODY,     /* it breaks within the body */
    FATE_HALF_JSON,    /* a whole answer whose JSON is half; a stream that ends without [DONE] */
    FATE_REFUSED,      /* message.refusal in the place of a content */
    FATE_FILTERED,     /* finish_reason content_filter */
    FATE_EMPTY,        /* content "" */
    FATE_LENGTH,       /* half the text, finish_reason length */
    FATE_CONTEXT,      /* 400, context_length_exceeded */
    FATES
};

extern const char *const FATE_NAMES[FATES];

/* Drawn by the shares in sim_settings; the same chance under the same shares gives the same fate. */
enum fate fate_draw(uint64_t chance);

#endif
