/* What the files of tries.h share. */
#ifndef SHARED_MODEL_TRIES_PRIVATE_H
#define SHARED_MODEL_TRIES_PRIVATE_H

#include "shared/metrics.h"
#include "shared/model/breaker.h"
#include "shared/model/concurrency.h"
#include "shared/model/rate.h"
#include "shared/model/tries.h"

enum { OBSERVERS_MAX = 4, FAILURE_BYTES = 600 };

/* Who is served first: index of the lists that wait. */
enum patience { SOMEBODY_WAITS, NOBODY_WAITS, PATIENCES };

struct call_list {
    struct call *first, *last;
    size_t count;
};

struct model_pass {
    bool asked; /* the gate has not answered so far */
};

/* One call; always in exactly one list, which says what it waits for. */
struct call {
    struct model_pass pass; /* first: a pass is its call */
    struct call *previous, *next;
    struct call_list *list;
    struct tries *tries;
    struct model_request request; /* its strings follow the struct */
    struct model_budget own;      /* when the request brought none */
    model_done done;
    void *context;
    int first;                           /* index of the upstream it is for */
    unsigned barred;                     /* bit set of upstreams that will not serve it */
    unsigned char failures[TARGETS_MAX]; /* of its tries, each upstream */
    int tried;                           /* of this call */
    int away_tries;                      /* those that failed as a model that is away does */
    uint64_t away_from_ms;               /* when the first of these ended; 0: none */
    /* The try under way. */
    struct upstream *upstream;
    struct model_call *under_way;
    unsigned epoch;    /* of the breaker, as it began */
    uint64_t began_ms; /* by uv_now */
    uint64_t began;    /* by uv_hrtime */
    int64_t began_ns;
    double tokens; /* taken from the rate */
    /* Waiting. */
    uint64_t waiting_since_ms; /* 0: it does not wait for an upstream */
    uint64_t away_since_ms;    /* 0: it has not waited for one that is away */
    uv_timer_t *timer;         /* of the back-off */
    /* How it ended, or the last try failed. */
    enum model_status status;
    enum model_error error_kind;
    int64_t retry_after_ms;
    const char *failed_model;
    char failure[FAILURE_BYTES];
};

/* A target with what is known of it and who waits for it. */
struct upstream {
    struct tries *tries;
    const struct model_target *target;
    const struct model_adapter *adapter;
    void *opened; /* what its open returned */
    struct breaker breaker;
    struct concurrency concurrency;
    struct rate requests, tokens;
    uint64_t paused_until_ms; /* it said when to come again */
    int64_t in_flight;
    struct call_list waiting[PATIENCES];
    uv_timer_t timer;            /* rates, pauses and probes */
    enum breaker_state told;     /* what has followed from the breaker's state so far */
    char failure[FAILURE_BYTES]; /* the last one that was the breaker's matter */
};

struct tries {
    uv_loop_t *loop;
    struct arena *arena;          /* of the targets */
    struct model_targets targets; /* as many as upstreams */
    struct upstream upstreams[TARGETS_MAX];
    int count;
    int main; /* index of the one that serves who names none: of the role, or the first */
    struct call_list trying, backing_off, ending, away[PATIENCES];
    uv_timer_t soon;  /* ends what is in ending */
    uv_timer_t sweep; /* ends who has waited too long, while somebody waits */
    struct model_gate gate;
    struct {
        void (*ended)(void *context, const struct model_try *attempt);
        void *context;
    } observers[OBSERVERS_MAX];
    int observer_count;
    void (*back)(void *context);
    void *back_context;
    int open_handles; /* that are being closed */
};

/* call_copy.c */
/* A call with copies of all that the request points to. */
struct call *call_create(struct tries *tries, const struct model_request *request);
/* Takes it from its list into another (NULL: into none). */
void call_move(struct call *call, struct call_list *list);
/* Takes it from its list and frees it. */
void call_free(struct call *call);

/* upstream.c */
void upstream_open(struct upstream *upstream, struct tries *tries, const struct model_target *target);
int upstream_index(const struct upstream *upstream);
/* It is neither away nor paused. */
bool upstream_serves(const struct upstream *upstream, uint64_t now_ms);
/* Begins the call's try, or has it wait for its place. */
void upstream_admit(struct upstream *upstream, struct call *call);
/* The call takes a place for a try; it gives it back with upstream_ended or, when the try was not made, with
 * upstream_give_back. */
void upstream_take(struct upstream *upstream, struct call *call);
void upstream_give_back(struct upstream *upstream, struct call *call);
/* Counts the try that begins. */
void upstream_count(struct upstream *upstream, const struct call *call);
/* Learns from the try that has ended, then begins those of others. */
void upstream_ended(struct upstream *upstream, struct call *call, const struct model_answer *answer);
void upstream_pump(struct upstream *upstream);
/* Opens its breaker. */
void upstream_trip(struct upstream *upstream);
/* Has the call find out whether it is back. */
void upstream_probe(struct upstream *upstream, struct call *call);
/* Sees to its next probe, if anybody waits for it. */
void upstream_arm(struct upstream *upstream);
/* Sets the gauges of all. */
void upstreams_measure(struct tries *tries);

/* tries.c */
/* Finds the upstream for the call's next try, or what it has to wait for. */
void call_dispatch(struct call *call);
/* Makes a try of it there. */
void call_try(struct call *call, struct upstream *upstream);
/* Tells the observers how its try ended. */
void call_tell(const struct call *call, const struct model_answer *answer);
/* Has it wait in the list, of an upstream or of those that are away. */
void call_wait(struct call *call, struct call_list *list);
/* All of the list choose anew. */
void tries_redispatch(struct tries *tries, struct call_list *list);
/* Neither the main model nor one of its fallbacks serves. */
bool tries_main_away(const struct tries *tries);
/* The upstream is one that may serve the call. */
bool call_may_use(const struct call *call, const struct upstream *upstream);
enum breaker_outcome breaker_outcome_of(const struct model_answer *answer);
/* A copy that ends within the bytes, and not inside a character. */
void model_copy_error(char copy[FAILURE_BYTES], const char *error);
uint64_t tries_now(const struct tries *tries);

#endif
