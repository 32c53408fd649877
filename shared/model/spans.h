/* A CLIENT span for each try of a model call. */
#ifndef SHARED_MODEL_SPANS_H
#define SHARED_MODEL_SPANS_H

struct model;

/* Has the model's tries recorded as spans, if anybody takes spans; after spans_open. */
void model_spans_open(struct model *model);

#endif
