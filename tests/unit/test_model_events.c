/* Server-sent events are the same however their bytes are cut:
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation */
#include "shared/model/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/arena.h"

struct taken {
    struct buffer text; /* each event in brackets */
    int left;           /* how many are wanted; negative: all */
};

static bool take(void *context, const char *data, size_t length) {
    struct taken *taken = context;
    assert_int_equal(strlen(data), length);
    buffer_format(&taken->text, "[%s]", data);
    return --taken->left != 0;
}

/* The events of a stream that comes in pieces of this many bytes. */
static void check(const char *stream, size_t piece, const char *events) {
    struct arena *arena = arena_create(0);
    struct taken taken = {.text = buffer_in(arena), .left = -1};
    struct events reader = events_in(arena, take, &taken);
    size_t length = strlen(stream);
    for (size_t at = 0; at < length; at += piece) {
        /* A copy of its own, so that a sanitizer sees what is read past its end. */
        size_t bytes = length - at < piece ? length - at : piece;
        char *copy = test_malloc(bytes);
        memcpy(copy, stream + at, bytes);
        assert_true(events_feed(&reader, copy, bytes));
        test_free(copy);
    }
    assert_string_equal(buffer_text(&taken.text), events);
    arena_destroy(&arena);
}

static void reads_events_in_any_pieces(void **state) {
    (void)state;
    static const struct {
        const char *stream, *events;
    } streams[] = {
        {"data: a\n\ndata: b\n\n", "[a][b]"},
        {"data: a\r\n\r\ndata: b\r\n\r\n", "[a][b]"},
        {"data: a\r\rdata: b\r\r", "[a][b]"},
        {"\xEF\xBB\xBF"
         "data: a\n\n",
            "[a]"},
        {": a comment\n\nevent: x\nid: 7\nretry: 10\ndata: a\n\n", "[a]"},
        {"data: a\ndata: b\n\n", "[a\nb]"},
        {"data:a\n\ndata:  b\n\n", "[a][ b]"},
        {"data\n\ndata:\n\n", "[][]"},
        {"\n\n\nevent: x\n\n", ""},
        {"database: x\n\n", ""},
        {"data: a\n\ndata: not whole\n", "[a]"},
        {"data: a\n\ndata: not whole", "[a]"},
    };
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        for (size_t piece = 1; piece < 12; piece++)
            check(streams[i].stream, piece, streams[i].events);
}

static void stops_where_it_is_told(void **state) {
    (void)state;
    static const char STREAM[] = "data: a\n\ndata: b\n\ndata: c\n\n";
    struct arena *arena = arena_create(0);
    struct taken taken = {.text = buffer_in(arena), .left = 2};
    struct events reader = events_in(arena, take, &taken);
    assert_false(events_feed(&reader, STREAM, sizeof STREAM - 1));
    assert_string_equal(buffer_text(&taken.text), "[a][b]");
    arena_destroy(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_events_in_any_pieces),
        cmocka_unit_test(stops_where_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
