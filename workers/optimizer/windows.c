/* Windows over the verdicts of each prompt: counts in buckets of time, and the failures themselves. */
#include "workers/optimizer/windows.h"

#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/request_id.h"

enum { TABLE = 1024, PROMPTS_MAX = 10000, BUCKETS = 60, CONTENTS_MAX = 50, IDS_MAX = 256, MINUTE_MS = 60000 };
/* The analyst sees less of a text; inputs are rehearsed and so stay whole. */
enum { TEXT_BYTES_MAX = 8192, DETAIL_BYTES_MAX = 65536 };

/* What one sixtieth of the window saw. */
struct bucket {
    int64_t number; /* of the time since 1970, in buckets; another number: empty */
    int64_t failures;
    struct scores scores;
};

/* A failure, newest first in its list; the contents of the newest are kept, of the others the id alone. */
struct kept {
    struct kept *next;
    int64_t at_ms;
    struct arena *arena; /* NULL: without contents */
    struct failure failure;
    char request_id[UUID_TEXT_BYTES];
};

struct window {
    struct window *next;
    char *task_type;
    int64_t prompt_id, prompt_version, crossed_at_ms;
    int partition;
    struct bucket buckets[BUCKETS];
    struct kept *kept;
    int kept_count;
};

struct windows {
    struct window *table[TABLE];
    int count;
};

struct windows *windows_open(void) {
    struct windows *windows = calloc(1, sizeof *windows);
    if (!windows)
        abort();
    return windows;
}

static void free_kept(struct kept *kept) {
    if (kept->arena)
        arena_destroy(&kept->arena);
    free(kept);
}

static void free_window(struct window *window) {
    while (window->kept) {
        struct kept *next = window->kept->next;
        free_kept(window->kept);
        window->kept = next;
    }
    free(window->task_type);
    free(window);
}

/* Frees the windows that goes says so of. */
static void drop(
    struct windows *windows, bool (*goes)(const struct window *window, int64_t value), int64_t value) {
    for (int i = 0; i < TABLE; i++)
        for (struct window **link = &windows->table[i]; *link;) {
            struct window *window = *link;
            if (!goes(window, value)) {
                link = &window->next;
                continue;
            }
            *link = window->next;
            free_window(window);
            windows->count--;
        }
}

static bool any(const struct window *window, int64_t value) {
    (void)window;
    (void)value;
    return true;
}

void windows_close(struct windows **windows) {
    drop(*windows, any, 0);
    free(*windows);
    *windows = NULL;
}

static bool is_of_partition(const struct window *window, int64_t partition) {
    return window->partition == partition;
}

void windows_drop_partition(struct windows *windows, int partition) {
    drop(windows, is_of_partition, partition);
}

static bool is_of_prompt(const struct window *window, int64_t prompt_id) {
    return window->prompt_id == prompt_id;
}

void windows_drop_prompt(struct windows *windows, int64_t prompt_id) {
    drop(windows, is_of_prompt, prompt_id);
}

static int64_t span_ms(void) {
    return optimizer_settings.lookback_minutes * MINUTE_MS / BUCKETS;
}

/* Whether a bucket of this number has left the window. */
static bool is_past(int64_t number, int64_t now_ms) {
    return number <= now_ms / span_ms() - BUCKETS;
}

static bool is_old(const struct window *window, int64_t now_ms) {
    for (int i = 0; i < BUCKETS; i++)
        if (window->buckets[i].scores.count && !is_past(window->buckets[i].number, now_ms))
            return false;
    return true;
}

/* Failures leave with the bucket that counts them. */
static void forget_past(struct window *window, int64_t now_ms) {
    for (struct kept **link = &window->kept; *link;) {
        struct kept *kept = *link;
        if (!is_past(kept->at_ms / span_ms(), now_ms)) {
            link = &kept->next;
            continue;
        }
        *link = kept->next;
        free_kept(kept);
        window->kept_count--;
    }
}

void windows_expire(struct windows *windows, int64_t now_ms) {
    drop(windows, is_old, now_ms);
    for (int i = 0; i < TABLE; i++)
        for (struct window *window = windows->table[i]; window; window = window->next)
            forget_past(window, now_ms);
}

static struct window **find(struct windows *windows, int64_t prompt_id) {
    struct window **link = &windows->table[(uint64_t)prompt_id % TABLE];
    while (*link && (*link)->prompt_id != prompt_id)
        link = &(*link)->next;
    return link;
}

/* Past the bound of prompts none is added: NULL. */
static struct window *window_of(struct windows *windows, const struct verdict *verdict) {
    struct window **link = find(windows, verdict->prompt_id);
    if (*link || windows->count == PROMPTS_MAX)
        return *link;
    struct window *window = calloc(1, sizeof *window);
    if (!window || !(window->task_type = strdup(verdict->task_type)))
        abort();
    window->prompt_id = verdict->prompt_id;
    window->prompt_version = verdict->prompt_version;
    *link = window;
    windows->count++;
    return window;
}

static bool is_known(const struct window *window, const char *request_id) {
    for (const struct kept *kept = window->kept; kept; kept = kept->next)
        if (strcmp(kept->request_id, request_id) == 0)
            return true;
    return false;
}

/* Lets go of contents and ids past their bounds. */
static void trim(struct window *window) {
    int number = 0;
    for (struct kept **link = &window->kept; *link; number++) {
        struct kept *kept = *link;
        if (number >= IDS_MAX) {
            *link = kept->next;
            free_kept(kept);
            window->kept_count--;
            continue;
        }
        if (number >= CONTENTS_MAX && kept->arena) {
            arena_destroy(&kept->arena);
            kept->failure = (struct failure){0};
        }
        link = &kept->next;
    }
}

/* Cut at a character's border; NULL gives NULL. */
static const char *copy_cut(struct arena *arena, const char *text) {
    size_t length = text ? strnlen(text, TEXT_BYTES_MAX + 1) : 0;
    if (length > TEXT_BYTES_MAX)
        for (length = TEXT_BYTES_MAX; length && ((unsigned char)text[length] & 0xC0) == 0x80;)
            length--;
    return text ? arena_copy(arena, text, length) : NULL;
}

/* JSON is whole or not there. */
static const char *copy_detail(struct arena *arena, const char *detail) {
    bool fits = detail && strnlen(detail, DETAIL_BYTES_MAX + 1) <= DETAIL_BYTES_MAX;
    return arena_string(arena, fits ? detail : "{}");
}

static void keep(struct window *window, const struct verdict *verdict, int64_t at_ms) {
    struct kept *kept = calloc(1, sizeof *kept);
    if (!kept)
        abort();
    struct arena *arena = kept->arena = arena_create(0);
    memcpy(kept->request_id, verdict->request_id, UUID_TEXT_BYTES);
    kept->at_ms = at_ms;
    kept->failure = (struct failure){.request_id = kept->request_id,
        .user_input = arena_string(arena, verdict->user_input ? verdict->user_input : ""),
        .refined_input = copy_cut(arena, verdict->refined_input),
        .output = copy_cut(arena, verdict->output ? verdict->output : ""),
        .score = verdict->score,
        .detail = copy_detail(arena, verdict->detail)};
    kept->next = window->kept;
    window->kept = kept;
    if (++window->kept_count > CONTENTS_MAX)
        trim(window);
}

static void count(struct window *window, const struct verdict *verdict, int64_t at_ms) {
    int64_t number = at_ms / span_ms();
    struct bucket *bucket = &window->buckets[number % BUCKETS];
    if (bucket->number != number)
        *bucket = (struct bucket){.number = number};
    bucket->failures += verdict->request_id != NULL;
    bucket->scores.count += verdict->request_id ? 1 : verdict->passed;
    bucket->scores.sum += verdict->score_sum;
    bucket->scores.squares += verdict->score_squares;
}

static struct window_state state_of(const struct window *window, int64_t now_ms) {
    struct window_state state = {.task_type = window->task_type,
        .prompt_id = window->prompt_id,
        .prompt_version = window->prompt_version};
    for (int i = 0; i < BUCKETS; i++) {
        const struct bucket *bucket = &window->buckets[i];
        if (is_past(bucket->number, now_ms))
            continue;
        state.failures += bucket->failures;
        state.scores.count += bucket->scores.count;
        state.scores.sum += bucket->scores.sum;
        state.scores.squares += bucket->scores.squares;
    }
    state.crossed = state.failures >= optimizer_settings.failure_threshold &&
                    (double)state.failures >= optimizer_settings.failure_share * (double)state.scores.count;
    state.crossed_at_ms = state.crossed ? window->crossed_at_ms : 0;
    return state;
}

void windows_add(struct windows *windows, int partition, const struct verdict *verdict, int64_t now_ms,
    struct window_state *state) {
    struct window *window = window_of(windows, verdict);
    *state = (struct window_state){.task_type = verdict->task_type, .prompt_id = verdict->prompt_id};
    if (!window)
        return;
    /* A clock that is ahead would put it into the place of a bucket that still counts. */
    int64_t at_ms = verdict->evaluated_at < now_ms ? verdict->evaluated_at : now_ms;
    window->partition = partition;
    forget_past(window, now_ms);
    bool crossed_before = state_of(window, now_ms).crossed;
    bool again = verdict->request_id && is_known(window, verdict->request_id);
    if (!is_past(at_ms / span_ms(), now_ms) && !again) {
        count(window, verdict, at_ms);
        if (verdict->request_id)
            keep(window, verdict, at_ms);
    }
    *state = state_of(window, now_ms);
    if (!state->crossed)
        window->crossed_at_ms = 0;
    else if (!crossed_before)
        window->crossed_at_ms = state->crossed_at_ms = at_ms;
}

void windows_each(struct windows *windows, int64_t now_ms,
    void (*show)(void *context, const struct window_state *state), void *context) {
    for (int i = 0; i < TABLE; i++)
        for (const struct window *window = windows->table[i], *next; window; window = next) {
            next = window->next;
            struct window_state state = state_of(window, now_ms);
            show(context, &state);
        }
}

int windows_failures(struct windows *windows, int64_t prompt_id, struct failure *failures, int max) {
    const struct window *window = *find(windows, prompt_id);
    int count_kept = 0;
    for (const struct kept *kept = window ? window->kept : NULL; kept && kept->arena && count_kept < max;
         kept = kept->next)
        failures[count_kept++] = kept->failure;
    for (int i = 0; i < count_kept / 2; i++) {
        struct failure swapped = failures[i];
        failures[i] = failures[count_kept - 1 - i];
        failures[count_kept - 1 - i] = swapped;
    }
    return count_kept;
}
