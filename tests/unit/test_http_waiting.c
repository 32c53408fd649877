/* Answers of the HTTP server that come later, and clients that leave meanwhile. */
#include "tests/unit/http_exchange.h"

enum { HELD_MAX = 64 };

static struct http_request *held[HELD_MAX];
static size_t held_count, left_count;

static void hello(struct http_request *request, void *context) {
    (void)context;
    http_respond(request, 200, "text/plain", "hello", 5);
}

static void on_left(void *context) {
    assert_ptr_equal(context, held);
    left_count++;
}

static void hold(struct http_request *request, void *context) {
    (void)context;
    assert_true(held_count < HELD_MAX);
    held[held_count++] = request;
    http_on_leave(request, on_left, held);
}

static const struct http_route routes[] = {
    {"GET", "/hello", hello}, {"GET", "/hold", hold}, {"POST", "/hold", hold}, {0}};

static int set_up(void **state) {
    (void)state;
    held_count = left_count = 0;
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

static void answer_held(void) {
    size_t count = held_count;
    held_count = 0;
    for (size_t i = 0; i < count; i++)
        http_respond(held[i], 200, "text/plain", "later", 5);
}

static void answers_may_come_later(void **state) {
    (void)state;
    struct client clients[HELD_MAX];
    for (int i = 0; i < HELD_MAX; i++) {
        clients[i] = client_open();
        client_send(
            &clients[i], i % 2 ? "POST /hold HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: "
                                 "2\r\n\r\n{}"
                               : "GET /hold HTTP/1.1\r\n\r\n");
    }
    wait_for(held_count == HELD_MAX);
    assert_int_equal(http_server_pending(server), HELD_MAX);
    answer_held();
    for (int i = 0; i < HELD_MAX; i++) {
        char *answer = client_answer(&clients[i]);
        assert_non_null(strstr(answer, "\r\n\r\nlater"));
        free(answer);
    }
    assert_int_equal(http_server_pending(server), 0);
    for (int i = 0; i < HELD_MAX; i++)
        client_close(&clients[i]);
    assert_int_equal(left_count, 0);
}

static void pipelined_requests_are_answered_in_order(void **state) {
    (void)state;
    struct client client = client_open();
    client_send(&client, "GET /hold HTTP/1.1\r\n\r\nGET /hello HTTP/1.1\r\n\r\nGET /hold HTTP/1.1\r\n\r\n");
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    static const char *const BODIES[] = {"later", "hello", "later"};
    for (int i = 0; i < 3; i++) {
        if (i != 1) {
            wait_for(held_count == 1);
            answer_held();
        }
        char *answer = client_answer(&client);
        assert_string_equal(strstr(answer, "\r\n\r\n") + 4, BODIES[i]);
        free(answer);
    }
    client_wait_end(&client);
    client_close(&client);
}

static void half_closed_client_is_served_and_closed(void **state) {
    (void)state;
    static const char *const REQUESTS[] = {"GET /hello HTTP/1.1\r\n\r\n", "GET /hold HTTP/1.1\r\n\r\n"};
    /* libmicrohttpd looks at its oldest connection first of all, which must be another one. */
    struct client oldest = client_open();
    client_send(&oldest, "GET /hello HTTP/1.1\r\n\r\n");
    free(client_answer(&oldest));
    for (int i = 0; i < 2; i++) {
        struct client client = client_open();
        assert_int_equal(send(client.fd, REQUESTS[i], strlen(REQUESTS[i]), 0), strlen(REQUESTS[i]));
        assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
        wait_for(i == 0 || held_count == 1);
        for (int turns = 0; turns < 10; turns++)
            turn(uv_hrtime());
        answer_held();
        free(client_answer(&client));
        client_wait_end(&client);
        client_close(&client);
    }
    client_close(&oldest);
    assert_int_equal(left_count, 0);
}

static void reset_client_leaves_once(void **state) {
    (void)state;
    struct client leaver = client_open(), other = client_open();
    client_send(&leaver, "GET /hold HTTP/1.1\r\n\r\n");
    wait_for(held_count == 1);
    client_send(&other, "GET /hold HTTP/1.1\r\n\r\n");
    wait_for(held_count == 2);
    client_reset(&leaver);
    wait_for(left_count == 1 && http_server_pending(server) == 1);
    held[0] = held[1];
    held_count = 1;
    answer_held();
    free(client_answer(&other));
    client_close(&other);
    expect("GET /hello HTTP/1.1\r\n\r\n", "200", "hello");
    assert_int_equal(left_count, 1);
}

static void without_callback_a_leaver_may_still_be_answered(void **state) {
    (void)state;
    struct client client = client_open();
    client_send(&client, "GET /hold HTTP/1.1\r\n\r\n");
    wait_for(held_count == 1);
    http_on_leave(held[0], NULL, NULL);
    client_reset(&client);
    expect("GET /hello HTTP/1.1\r\n\r\n", "200", "hello");
    assert_int_equal(http_server_pending(server), 1);
    answer_held();
    wait_for(http_server_pending(server) == 0);
    assert_int_equal(left_count, 0);
}

static void stopping_serves_what_has_come(void **state) {
    (void)state;
    struct client client = client_open();
    client_send(&client, "GET /hold HTTP/1.1\r\n\r\n");
    wait_for(held_count == 1);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)http_server_port(server));
    http_server_stop_accepting(server);
    int refused = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(refused, (struct sockaddr *)&address, sizeof address), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(refused);
    answer_held();
    char *answer = client_answer(&client);
    assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
    free(answer);
    client_wait_end(&client);
    client_close(&client);
}

static void closing_drops_who_waits(void **state) {
    struct client client = client_open();
    client_send(&client, "GET /hold HTTP/1.1\r\n\r\n");
    wait_for(held_count == 1);
    http_server_close(&server);
    assert_int_equal(left_count, 1);
    client_wait_end(&client);
    assert_int_equal(client.length, 0);
    client_close(&client);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    set_up(state);
}

static void connections_past_the_limit_wait(void **state) {
    (void)state;
    stop_server();
    http_settings.connections_max = 2;
    start_server(routes, NULL);
    struct client clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = client_open();
        client_send(&clients[i], "GET /hold HTTP/1.1\r\n\r\n");
    }
    wait_for(held_count == 2);
    for (int turns = 0; turns < 100; turns++)
        turn(uv_hrtime());
    assert_int_equal(held_count, 2);
    client_reset(&clients[0]);
    client_reset(&clients[1]);
    wait_for(left_count == 2 && held_count == 3);
    held[0] = held[2];
    held_count = 1;
    answer_held();
    free(client_answer(&clients[2]));
    client_close(&clients[2]);
}

int main(void) {
#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SERVER_TEST(answers_may_come_later),
        SERVER_TEST(pipelined_requests_are_answered_in_order),
        SERVER_TEST(half_closed_client_is_served_and_closed),
        SERVER_TEST(reset_client_leaves_once),
        SERVER_TEST(without_callback_a_leaver_may_still_be_answered),
        SERVER_TEST(stopping_serves_what_has_come),
        SERVER_TEST(closing_drops_who_waits),
        SERVER_TEST(connections_past_the_limit_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
