/* A sorted list of runs of finished offsets, its two encodings, and what stands in their head. */
#include "workers/positions.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"

enum {
    VERSION = 3,
    FORM_BITS = 1, /* bit i: offset lowest + i is finished */
    FORM_RUNS = 2, /* varints: unfinished, finished, unfinished, … from lowest on */
    /* Version 1 had version, form and lowest; then came starts, and from lowest on begun and alone + 1; then
     * the writer, and in starts whether one of them is its own. */
    FIRST_HEAD_BYTES = 1 + 1 + 8,
    SECOND_HEAD_BYTES = FIRST_HEAD_BYTES + 1 + 4 + 4,
    HEAD_BYTES = SECOND_HEAD_BYTES + 8,
    OWN_START = 0x80,
    CHECKSUM_BYTES = 4,
    BYTES_MAX = POSITIONS_METADATA_MAX / 4 * 3,
    PAYLOAD_MAX = BYTES_MAX - HEAD_BYTES - CHECKSUM_BYTES,
};

struct span {
    int64_t start, end; /* [start, end) */
};

struct positions {
    int64_t lowest;
    int64_t next; /* above every offset begun so far */
    size_t unfinished;
    int starts;             /* restored: at the lowest offset of then */
    int64_t started_lowest; /* that offset */
    int64_t begun;          /* every job that ever worked here is below */
    int64_t begun_restored; /* begun as it was restored */
    int64_t alone;          /* restored; -1: none */
    uint64_t writer;        /* restored; 0: not told */
    bool own_start;         /* one of starts counts for the case that the writer ends */
    struct span *spans;     /* ascending, apart from each other, all above lowest */
    size_t count, capacity;
};

struct positions *positions_create(int64_t lowest) {
    struct positions *positions = calloc(1, sizeof *positions);
    if (!positions)
        abort();
    positions->lowest = positions->next = lowest;
    positions->begun = positions->begun_restored = positions->started_lowest = lowest;
    positions->alone = -1;
    return positions;
}

int64_t positions_lowest(const struct positions *positions) {
    return positions->lowest;
}

size_t positions_unfinished(const struct positions *positions) {
    return positions->unfinished;
}

/* The first span whose end is not below offset. */
static size_t find(const struct positions *positions, int64_t offset) {
    size_t low = 0, high = positions->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (positions->spans[middle].end < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool positions_finished(const struct positions *positions, int64_t offset) {
    if (offset < positions->lowest)
        return true;
    size_t i = find(positions, offset + 1);
    return i < positions->count && positions->spans[i].start <= offset;
}

static void insert_span(struct positions *positions, size_t at, struct span span) {
    if (positions->count == positions->capacity) {
        positions->capacity = positions->capacity ? positions->capacity * 2 : 16;
        positions->spans = realloc(positions->spans, positions->capacity * sizeof *positions->spans);
        if (!positions->spans)
            abort();
    }
    memmove(&positions->spans[at + 1], &positions->spans[at], (positions->count - at) * sizeof span);
    positions->spans[at] = span;
    positions->count++;
}

static void remove_spans(struct positions *positions, size_t at, size_t count) {
    memmove(&positions->spans[at], &positions->spans[at + count],
        (positions->count - at - count) * sizeof *positions->spans);
    positions->count -= count;
}

/* Adds [start, end), joining what it touches, and moves the lowest offset on. */
static void add(struct positions *positions, int64_t start, int64_t end) {
    if (start >= end)
        return;
    size_t i = find(positions, start), joined = i;
    for (; joined < positions->count && positions->spans[joined].start <= end; joined++) {
        if (positions->spans[joined].start < start)
            start = positions->spans[joined].start;
        if (positions->spans[joined].end > end)
            end = positions->spans[joined].end;
    }
    if (joined > i) {
        positions->spans[i] = (struct span){start, end};
        remove_spans(positions, i + 1, joined - i - 1);
    } else {
        insert_span(positions, i, (struct span){start, end});
    }
    if (positions->spans[0].start <= positions->lowest) {
        positions->lowest = positions->spans[0].end;
        remove_spans(positions, 0, 1);
    }
}

void positions_begin(struct positions *positions, int64_t offset) {
    add(positions, positions->next, offset);
    if (offset >= positions->next)
        positions->next = offset + 1;
    positions->unfinished++;
}

void positions_finish(struct positions *positions, int64_t offset) {
    positions->unfinished--;
    add(positions, offset, offset + 1);
}

int64_t positions_next(const struct positions *positions) {
    return positions->next;
}

void positions_skip(struct positions *positions, int64_t offset) {
    add(positions, positions->next, offset);
    if (offset > positions->next)
        positions->next = offset;
}

void positions_announce(struct positions *positions, int64_t end) {
    if (end > positions->begun)
        positions->begun = end;
}

int positions_starts(const struct positions *positions) {
    if (positions->starts >= POSITIONS_STARTS_MAX)
        return positions->lowest < positions->begun_restored ? positions->starts : 0;
    return positions->lowest == positions->started_lowest ? positions->starts : 0;
}

int64_t positions_killer(const struct positions *positions) {
    return positions->alone;
}

static size_t varint_bytes(uint64_t value) {
    size_t bytes = 1;
    for (; value >= 0x80; value >>= 7)
        bytes++;
    return bytes;
}

bool positions_fit(const struct positions *positions, int64_t offset) {
    uint64_t width = (uint64_t)(offset + 1 - positions->lowest);
    if (width / 8 + 1 <= PAYLOAD_MAX)
        return true;
    /* At worst every job under way, this one too, is a hole between two finished runs. */
    size_t holes = positions->unfinished + 1 + positions->count;
    return 2 * holes * varint_bytes(width) <= PAYLOAD_MAX;
}

static size_t put_varint(unsigned char *out, uint64_t value) {
    size_t bytes = 0;
    for (; value >= 0x80; value >>= 7)
        out[bytes++] = (unsigned char)(value | 0x80);
    out[bytes++] = (unsigned char)value;
    return bytes;
}

static size_t put_runs(const struct positions *positions, unsigned char *out, size_t room) {
    size_t bytes = 0;
    int64_t from = positions->lowest;
    for (size_t i = 0; i < positions->count; i++) {
        if (bytes + 20 > room)
            return 0;
        bytes += put_varint(out + bytes, (uint64_t)(positions->spans[i].start - from));
        bytes += put_varint(out + bytes, (uint64_t)(positions->spans[i].end - positions->spans[i].start));
        from = positions->spans[i].end;
    }
    return bytes;
}

static size_t put_bits(const struct positions *positions, unsigned char *out, size_t room) {
    uint64_t width = (uint64_t)(positions->spans[positions->count - 1].end - positions->lowest);
    size_t bytes = (size_t)(width / 8 + 1);
    if (width / 8 + 1 > room)
        return 0;
    memset(out, 0, bytes);
    for (size_t i = 0; i < positions->count; i++)
        for (int64_t at = positions->spans[i].start; at < positions->spans[i].end; at++) {
            uint64_t bit = (uint64_t)(at - positions->lowest);
            out[bit / 8] |= (unsigned char)(1u << (bit % 8));
        }
    return bytes;
}

static void checksum(const unsigned char *data, size_t length, unsigned char out[CHECKSUM_BYTES]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (EVP_Digest(data, length, digest, NULL, EVP_sha256(), NULL) != 1)
        abort();
    memcpy(out, digest, CHECKSUM_BYTES);
}

static void put_integer(unsigned char *out, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
        out[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get_integer(const unsigned char *data, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)data[i] << (8 * i);
    return value;
}

/* An offset from lowest on in four bytes; 0 for one below, and the most there is for one too far above. */
static void put_distance(unsigned char *out, int64_t distance) {
    put_integer(out, distance < 0 ? 0 : distance > UINT32_MAX ? UINT32_MAX : (uint64_t)distance, 4);
}

static void put_head(
    const struct positions *positions, const struct positions_work *work, unsigned char *out) {
    int starts = positions_starts(positions);
    bool own = work->running && starts < POSITIONS_STARTS_MAX;
    /* While jobs begin one at a time, those that did so before remain the ones to be told apart. */
    int64_t begun =
        positions_starts(positions) >= POSITIONS_STARTS_MAX ? positions->begun_restored : positions->begun;
    out[0] = VERSION;
    put_integer(out + 2, (uint64_t)positions->lowest, 8);
    out[FIRST_HEAD_BYTES] = (unsigned char)(own ? (starts + 1) | OWN_START : starts);
    put_distance(out + FIRST_HEAD_BYTES + 1, begun - positions->lowest);
    put_distance(out + FIRST_HEAD_BYTES + 5, work->alone < 0 ? 0 : work->alone + 1 - positions->lowest);
    put_integer(out + SECOND_HEAD_BYTES, work->writer, 8);
}

static char *to_text(unsigned char *data, size_t bytes, struct arena *arena) {
    checksum(data, bytes, data + bytes);
    bytes += CHECKSUM_BYTES;
    char *text = arena_alloc(arena, bytes / 3 * 4 + 5);
    EVP_EncodeBlock((unsigned char *)text, data, (int)bytes);
    return text;
}

char *positions_encode(
    const struct positions *positions, const struct positions_work *work, struct arena *arena) {
    if (!positions->count && !work->running && !positions_starts(positions))
        return NULL;
    unsigned char bits[BYTES_MAX], runs[BYTES_MAX];
    size_t bit_bytes = positions->count ? put_bits(positions, bits + HEAD_BYTES, PAYLOAD_MAX) : 0;
    size_t run_bytes = put_runs(positions, runs + HEAD_BYTES, PAYLOAD_MAX);
    /* positions_fit keeps a set from fitting neither form; without it its messages would be served once more.
     */
    bool use_runs = !bit_bytes || (run_bytes && run_bytes < bit_bytes);
    unsigned char *data = use_runs ? runs : bits;
    put_head(positions, work, data);
    data[1] = use_runs ? FORM_RUNS : FORM_BITS;
    return to_text(data, HEAD_BYTES + (use_runs ? run_bytes : bit_bytes), arena);
}

static bool restore_runs(struct positions *positions, const unsigned char *data, size_t length) {
    int64_t at = positions->lowest;
    bool finished = false;
    for (size_t i = 0; i < length; finished = !finished) {
        uint64_t value = 0;
        for (int shift = 0;; shift += 7) {
            if (i == length || shift > 42)
                return false;
            value |= (uint64_t)(data[i] & 0x7f) << shift;
            if (!(data[i++] & 0x80))
                break;
        }
        if (finished)
            add(positions, at, at + (int64_t)value);
        at += (int64_t)value;
    }
    return true;
}

static void restore_bits(struct positions *positions, const unsigned char *data, size_t length) {
    int64_t lowest = positions->lowest;
    for (size_t i = 0; i < length * 8; i++)
        if (data[i / 8] & (1u << (i % 8)))
            add(positions, lowest + (int64_t)i, lowest + (int64_t)i + 1);
}

/* 0 for a version that is not known. */
static size_t head_bytes(unsigned char version) {
    static const size_t BYTES[] = {0, FIRST_HEAD_BYTES, SECOND_HEAD_BYTES, HEAD_BYTES};
    return version < sizeof BYTES / sizeof *BYTES ? BYTES[version] : 0;
}

/* The bytes that metadata holds, without its checksum; 0 when it is not ours. */
static size_t from_text(const char *metadata, unsigned char data[BYTES_MAX + 3]) {
    size_t length = strlen(metadata);
    unsigned char expected[CHECKSUM_BYTES];
    if (length > POSITIONS_METADATA_MAX || length % 4 || !length)
        return 0;
    int decoded = EVP_DecodeBlock(data, (const unsigned char *)metadata, (int)length);
    if (decoded < FIRST_HEAD_BYTES + CHECKSUM_BYTES)
        return 0;
    /* EVP_DecodeBlock counts the padding as bytes. */
    size_t bytes = (size_t)decoded - (metadata[length - 1] == '=') - (metadata[length - 2] == '=');
    if (bytes < FIRST_HEAD_BYTES + CHECKSUM_BYTES)
        return 0;
    bytes -= CHECKSUM_BYTES;
    checksum(data, bytes, expected);
    size_t head = head_bytes(data[0]);
    return head && bytes >= head && memcmp(expected, data + bytes, CHECKSUM_BYTES) == 0 ? bytes : 0;
}

static void restore_head(struct positions *positions, const unsigned char *data) {
    int64_t alone = (int64_t)get_integer(data + FIRST_HEAD_BYTES + 5, 4);
    positions->starts = data[FIRST_HEAD_BYTES] & ~OWN_START;
    positions->own_start = data[FIRST_HEAD_BYTES] & OWN_START;
    positions->started_lowest = positions->lowest;
    positions->begun_restored = positions->begun =
        positions->lowest + (int64_t)get_integer(data + FIRST_HEAD_BYTES + 1, 4);
    positions->alone = alone ? positions->lowest + alone - 1 : -1;
    positions->writer = data[0] == VERSION ? get_integer(data + SECOND_HEAD_BYTES, 8) : 0;
}

void positions_forgive(struct positions *positions, uint64_t writer) {
    if (!writer || positions->writer != writer)
        return;
    positions->starts -= positions->own_start;
    positions->own_start = false;
    positions->alone = -1;
}

bool positions_restore(struct positions *positions, const char *metadata) {
    unsigned char data[BYTES_MAX + 3];
    size_t bytes = from_text(metadata, data);
    if (!bytes || (int64_t)get_integer(data + 2, 8) != positions->lowest)
        return false;
    size_t head = head_bytes(data[0]);
    if (head > FIRST_HEAD_BYTES)
        restore_head(positions, data);
    if (data[1] == FORM_RUNS)
        return restore_runs(positions, data + head, bytes - head);
    restore_bits(positions, data + head, bytes - head);
    return true;
}

void positions_destroy(struct positions **positions) {
    if (*positions)
        free((*positions)->spans);
    free(*positions);
    *positions = NULL;
}
