/* The HTTP server's bodies that come in pieces, and its answers that are sent in parts. */
#include "tests/unit/http_exchange.h"

enum { BYTES_MAX = 1 << 20, CUT_OFF_AFTER = 64 << 20, READ_AHEAD = 16384 };

static struct sink {
    struct http_request *request;
    size_t bytes, pieces;
    char first[64];
    bool ended, left;
    size_t pause_at; /* pauses the upload once this many bytes have come; 0: never */
    int refusal;     /* begin answers with it; 0: it does not */
} sink;

static void on_left(void *context) {
    ((struct sink *)context)->left = true;
}

static void *begin(struct http_request *request, void *context) {
    (void)context;
    sink.request = request;
    if (sink.refusal) {
        http_problem(request, sink.refusal, "Not now.", NULL, NULL);
        return NULL;
    }
    http_on_leave(request, on_left, &sink);
    return &sink;
}

static void piece(void *upload, const char *bytes, size_t length) {
    assert_ptr_equal(upload, &sink);
    assert_true(length > 0);
    for (size_t i = 0; i < length && sink.bytes + i < sizeof sink.first - 1; i++)
        sink.first[sink.bytes + i] = bytes[i];
    sink.bytes += length;
    sink.pieces++;
    if (sink.pause_at && sink.bytes >= sink.pause_at)
        http_pause(sink.request);
}

static void end(void *upload) {
    char text[40];
    assert_ptr_equal(upload, &sink);
    sink.ended = true;
    snprintf(text, sizeof text, "%zu bytes", sink.bytes);
    http_respond(sink.request, 200, "text/plain", text, strlen(text));
}

static const struct http_upload upload = {
    .content_type = "text/lines", .bytes_max = BYTES_MAX, .begin = begin, .piece = piece, .end = end};

/* An answer of parts that are given on demand, or, where hold is set, by the test. */
static struct source {
    struct http_request *request;
    int parts, sent, asked;
    size_t part_bytes;
    bool hold, broken, left;
} source;

static void give_part(void) {
    char *bytes = malloc(source.part_bytes);
    assert_non_null(bytes);
    memset(bytes, 'a' + source.sent % 26, source.part_bytes);
    source.sent++;
    http_send_part(source.request, bytes, source.part_bytes);
    free(bytes);
}

static void more(void *context) {
    assert_ptr_equal(context, &source);
    source.asked++;
    if (source.hold)
        return;
    if (source.sent < source.parts)
        give_part();
    else
        http_end_parts(source.request, source.broken);
}

static void on_source_left(void *context) {
    ((struct source *)context)->left = true;
}

static void stream(struct http_request *request, void *context) {
    (void)context;
    source.request = request;
    http_on_leave(request, on_source_left, &source);
    http_respond_parts(request, 200, "text/parts", more, &source);
}

static void hello(struct http_request *request, void *context) {
    (void)context;
    http_respond(request, 200, "text/plain", "hello", 5);
}

static const struct http_route routes[] = {
    {"POST", "/things:many", .upload = &upload}, {"GET", "/stream", stream}, {"GET", "/hello", hello}, {0}};

static int set_up(void **state) {
    (void)state;
    sink = (struct sink){0};
    source = (struct source){0};
    http_settings = (struct http_settings){
        .address = "127.0.0.1", .body_bytes_max = 1024, .connections_max = 1000, .idle_timeout_ms = 60000};
    start_server(routes, NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    stop_server();
    return 0;
}

#define HEAD "POST /things:many HTTP/1.1\r\nContent-Type: text/lines\r\n"

static void send_zeros(struct client *client, size_t length) {
    char *zeros = calloc(1, length);
    assert_non_null(zeros);
    assert_true(client_send_bytes(client, zeros, length));
    free(zeros);
}

static void pieces_come_before_the_body_is_whole(void **state) {
    (void)state;
    struct client client = client_open();
    client_send(&client, HEAD "Content-Length: 8\r\n\r\nabc");
    wait_for(sink.bytes == 3);
    assert_false(sink.ended);
    assert_int_equal(http_server_pending(server), 1);
    client_send(&client, "defgh");
    char *answer = client_answer(&client);
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
    assert_non_null(strstr(answer, "\r\n\r\n8 bytes"));
    assert_string_equal(sink.first, "abcdefgh");
    free(answer);
    client_send(&client, "GET /hello HTTP/1.1\r\n\r\n");
    free(client_answer(&client));
    client_close(&client);
    assert_false(sink.left);
    wait_for(http_server_pending(server) == 0);
}

static void chunked_uploads_are_taken_past_the_limit_of_whole_bodies(void **state) {
    (void)state;
    expect(HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "200", "5 bytes");
    assert_string_equal(sink.first, "abcde");
    sink = (struct sink){0};
    struct client client = client_open();
    char head[200];
    snprintf(head, sizeof head, HEAD "Content-Length: %d\r\n\r\n", BYTES_MAX);
    client_send(&client, head);
    send_zeros(&client, BYTES_MAX);
    char *answer = client_answer(&client);
    assert_non_null(strstr(answer, "1048576 bytes"));
    free(answer);
    client_close(&client);
}

static void empty_uploads_have_no_piece(void **state) {
    (void)state;
    expect(HEAD "Content-Length: 0\r\n\r\n", "200", "0 bytes");
    assert_int_equal(sink.pieces, 0);
}

static void heads_of_uploads_are_checked(void **state) {
    (void)state;
    expect(HEAD "Content-Length: 1048577\r\n\r\n", "413", "at most 1048576 bytes");
    expect("POST /things:many HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        "415", "Content-Type: text/lines.");
    expect("GET /things:many HTTP/1.1\r\n\r\n", "405", "\r\nAllow: POST\r\n");
    assert_null(sink.request);
}

static void begin_may_answer_before_the_body_comes(void **state) {
    (void)state;
    sink.refusal = 503;
    struct client client = client_open();
    client_send(&client, HEAD "Content-Length: 1000\r\n\r\n");
    char *answer = client_answer(&client);
    assert_non_null(strstr(answer, "HTTP/1.1 503 "));
    assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
    free(answer);
    client_wait_end(&client);
    client_close(&client);
    assert_int_equal(sink.pieces, 0);
    assert_false(sink.ended);
    expect(HEAD "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n", "503", "Not now.");
    wait_for(http_server_pending(server) == 0);
}

static void endless_uploads_are_cut_off(void **state) {
    (void)state;
    struct client client = client_open();
    char *chunk = malloc(65536 + 16);
    assert_non_null(chunk);
    memcpy(chunk, "10000\r\n", 7);
    memset(chunk + 7, 'x', 65536);
    memcpy(chunk + 7 + 65536, "\r\n", 2);
    client_send(&client, HEAD "Transfer-Encoding: chunked\r\n\r\n");
    bool taken = true;
    for (size_t sent = 0; sent < 2 * (size_t)CUT_OFF_AFTER && taken; sent += 65536)
        taken = client_send_bytes(&client, chunk, 7 + 65536 + 2);
    free(chunk);
    client_wait_end(&client);
    assert_in_range(sink.bytes, CUT_OFF_AFTER, BYTES_MAX + CUT_OFF_AFTER);
    assert_true(sink.left);
    assert_false(sink.ended);
    client_close(&client);
}

/* Sends until the server takes no more: what fits between the two sockets is bounded. */
static size_t send_until_full(struct client *client, size_t most) {
    static const char zeros[65536];
    size_t sent = 0;
    for (int idle = 0; sent < most && idle < 2000;) {
        ssize_t got = send(client->fd, zeros, most - sent < sizeof zeros ? most - sent : sizeof zeros,
            MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += got > 0 ? (size_t)got : 0;
        idle = got > 0 ? 0 : idle + 1;
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    return sent;
}

static void a_paused_upload_pushes_back(void **state) {
    (void)state;
    struct client client = client_open();
    int small = 65536;
    assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    char head[200];
    snprintf(head, sizeof head, HEAD "Content-Length: %d\r\n\r\n", BYTES_MAX);
    client_send(&client, head);
    sink.pause_at = 1;
    size_t sent = send_until_full(&client, BYTES_MAX / 4);
    assert_in_range(sink.bytes, 1, READ_AHEAD);
    size_t at_first = sink.bytes;
    sink.pause_at = BYTES_MAX / 8;
    http_resume(sink.request);
    wait_for(sink.bytes >= sink.pause_at);
    assert_true(sink.bytes > at_first);
    assert_in_range(sink.bytes, BYTES_MAX / 8, BYTES_MAX / 8 + READ_AHEAD);
    sink.pause_at = 0;
    http_resume(sink.request);
    send_zeros(&client, BYTES_MAX - sent);
    char *answer = client_answer(&client);
    assert_non_null(strstr(answer, "1048576 bytes"));
    free(answer);
    client_close(&client);
}

static void an_upload_paused_at_its_end_is_ended(void **state) {
    (void)state;
    sink.pause_at = 5;
    struct client client = client_open();
    client_send(&client, HEAD "Content-Length: 5\r\n\r\nabcde");
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    wait_for(sink.bytes == 5);
    char *answer = client_answer(&client);
    assert_non_null(strstr(answer, "5 bytes"));
    free(answer);
    client_close(&client);
}

static void who_cuts_an_upload_has_left(void **state) {
    (void)state;
    struct client client = client_open();
    client_send(&client, HEAD "Content-Length: 5\r\n\r\nabc");
    wait_for(sink.bytes == 3);
    client_close(&client);
    wait_for(sink.left);
    assert_false(sink.ended);
    assert_int_equal(http_server_pending(server), 0);
    sink = (struct sink){.pause_at = 1};
    client = client_open();
    client_send(&client, HEAD "Content-Length: 5\r\n\r\nabc");
    wait_for(sink.bytes == 3);
    client_reset(&client);
    http_resume(sink.request);
    wait_for(sink.left);
    assert_false(sink.ended);
}

static void the_server_ends_with_uploads_under_way(void **state) {
    (void)state;
    struct client one = client_open(), other = client_open();
    client_send(&one, HEAD "Content-Length: 5\r\n\r\nabc");
    wait_for(sink.bytes == 3);
    stop_server();
    assert_true(sink.left);
    start_server(routes, NULL);
    client_close(&other);
    other = client_open();
    sink = (struct sink){.pause_at = 1};
    client_send(&other, HEAD "Content-Length: 5\r\n\r\nabc");
    wait_for(sink.bytes == 3);
    for (int i = 0; i < 5; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    stop_server();
    assert_true(sink.left);
    client_close(&one);
    client_close(&other);
    start_server(routes, NULL);
}

/* What a chunked answer holds, NUL-terminated; the caller frees it. Ends with the last chunk, or, broken,
 * with the connection. */
static char *read_chunked(struct client *client, bool broken) {
    wait_for((client_read(client), client->ended) || (!broken && strstr(client->text, "\r\n0\r\n\r\n")));
    assert_non_null(strstr(client->text, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(client->text, "\r\nTransfer-Encoding: chunked\r\n"));
    char *body = calloc(1, client->length + 1), *to = body;
    assert_non_null(body);
    const char *from = strstr(client->text, "\r\n\r\n") + 4, *text_end = client->text + client->length;
    while (from < text_end) {
        char *digits_end;
        size_t size = strtoul(from, &digits_end, 16);
        assert_int_equal(digits_end[0], '\r');
        assert_true(digits_end + 2 + size <= text_end);
        memcpy(to, digits_end + 2, size);
        to += size;
        from = digits_end + 2 + size + 2;
        if (!size)
            break;
    }
    return body;
}

static void parts_are_asked_for_one_by_one(void **state) {
    (void)state;
    source = (struct source){.parts = 3, .part_bytes = 4};
    struct client client = client_open();
    client_send(&client, "GET /stream HTTP/1.1\r\n\r\n");
    char *body = read_chunked(&client, false);
    assert_string_equal(body, "aaaabbbbcccc");
    assert_non_null(strstr(client.text, "\r\nContent-Type: text/parts\r\n"));
    assert_int_equal(source.asked, 4);
    free(body);
    client.length = 0;
    client.text[0] = '\0';
    client_send(&client, "GET /hello HTTP/1.1\r\n\r\n");
    char *answer = client_answer(&client);
    assert_non_null(strstr(answer, "hello"));
    free(answer);
    client_close(&client);
    assert_false(source.left);
}

static void parts_may_come_later_and_be_large(void **state) {
    (void)state;
    source = (struct source){.parts = 2, .part_bytes = 300000, .hold = true};
    struct client client = client_open();
    client_send(&client, "GET /stream HTTP/1.1\r\n\r\n");
    wait_for(source.asked == 1);
    for (int i = 0; i < 10; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    give_part();
    wait_for((client_read(&client), source.asked == 2));
    give_part();
    wait_for((client_read(&client), source.asked == 3));
    http_end_parts(source.request, false);
    char *body = read_chunked(&client, false);
    assert_int_equal(strlen(body), 600000);
    assert_int_equal(strspn(body, "a"), 300000);
    assert_int_equal(strspn(body + 300000, "b"), 300000);
    free(body);
    client_close(&client);
}

static void no_parts_are_an_empty_body(void **state) {
    (void)state;
    struct client client = client_open();
    client_send(&client, "GET /stream HTTP/1.1\r\n\r\n");
    wait_for((client_read(&client), strstr(client.text, "\r\n\r\n0\r\n\r\n") != NULL));
    client_close(&client);
    assert_int_equal(source.asked, 1);
}

static void a_broken_answer_is_cut(void **state) {
    (void)state;
    source = (struct source){.parts = 1, .part_bytes = 4, .broken = true};
    struct client client = client_open();
    client_send(&client, "GET /stream HTTP/1.1\r\n\r\n");
    char *body = read_chunked(&client, true);
    assert_string_equal(body, "aaaa");
    assert_null(strstr(client.text, "\r\n0\r\n"));
    free(body);
    client_close(&client);
}

static void a_slow_reader_is_not_run_ahead_of(void **state) {
    (void)state;
    source = (struct source){.parts = 1000, .part_bytes = 65536};
    struct client client = client_open();
    int small = 65536;
    assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    client_send(&client, "GET /stream HTTP/1.1\r\n\r\n");
    for (int last = -1, still = 0; still < 2000; uv_run(&loop, UV_RUN_NOWAIT)) {
        still = source.sent == last ? still + 1 : 0;
        last = source.sent;
    }
    assert_in_range(source.sent, 1, 500);
    client_reset(&client);
    wait_for(source.left);
    assert_int_equal(http_server_pending(server), 0);
}

static void a_head_of_parts_asks_for_none(void **state) {
    (void)state;
    source.parts = 1;
    struct client client = client_open();
    client_send(&client, "HEAD /stream HTTP/1.1\r\n\r\n");
    char *answer = client_answer_of(&client, true);
    assert_non_null(strstr(answer, "HTTP/1.1 200 OK"));
    free(answer);
    wait_for(source.left);
    assert_int_equal(source.asked, 0);
    client_close(&client);
}

static void the_server_ends_with_an_answer_under_way(void **state) {
    (void)state;
    source = (struct source){.parts = 1, .hold = true};
    struct client client = client_open();
    client_send(&client, "GET /stream HTTP/1.1\r\n\r\n");
    wait_for(source.asked == 1);
    for (int i = 0; i < 5; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    stop_server();
    assert_true(source.left);
    client_close(&client);
    start_server(routes, NULL);
}

int main(void) {
#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SERVER_TEST(pieces_come_before_the_body_is_whole),
        SERVER_TEST(chunked_uploads_are_taken_past_the_limit_of_whole_bodies),
        SERVER_TEST(empty_uploads_have_no_piece),
        SERVER_TEST(heads_of_uploads_are_checked),
        SERVER_TEST(begin_may_answer_before_the_body_comes),
        SERVER_TEST(endless_uploads_are_cut_off),
        SERVER_TEST(a_paused_upload_pushes_back),
        SERVER_TEST(an_upload_paused_at_its_end_is_ended),
        SERVER_TEST(who_cuts_an_upload_has_left),
        SERVER_TEST(the_server_ends_with_uploads_under_way),
        SERVER_TEST(parts_are_asked_for_one_by_one),
        SERVER_TEST(parts_may_come_later_and_be_large),
        SERVER_TEST(no_parts_are_an_empty_body),
        SERVER_TEST(a_broken_answer_is_cut),
        SERVER_TEST(a_slow_reader_is_not_run_ahead_of),
        SERVER_TEST(a_head_of_parts_asks_for_none),
        SERVER_TEST(the_server_ends_with_an_answer_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
