/* moru-sim: a model that answers to its prompt, behind an OpenAI-style API. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"
#include "shared/http_private.h"
#include "shared/http_server.h"
#include "tests/sim/calls.h"
#include "tests/sim/control.h"
#include "tests/sim/settings.h"

enum { DIES_AFTER_MS = 10, PEM_BYTES_MAX = 65536 };

struct sim {
    uv_loop_t loop;
    uv_signal_t signals[2];
    uv_timer_t death;           /* when it dies, and when it comes back */
    struct http_server *server; /* NULL while it is dead */
    struct sim_model *model;
    struct calls *calls;
};

static void completions(struct http_request *http, void *context) {
    calls_take(((struct sim *)context)->calls, http);
}

static void models(struct http_request *http, void *context) {
    static const char BODY[] =
        "{\"object\":\"list\",\"data\":[{\"id\":\"moru-sim\",\"object\":\"model\",\"owned_by\":\"moru\"}]}";
    (void)context;
    http_respond(http, 200, "application/json", BODY, strlen(BODY));
}

static void health(struct http_request *http, void *context) {
    static const char BODY[] = "{\"status\":\"ok\",\"service\":\"sim\"}";
    (void)context;
    http_respond(http, 200, "application/json", BODY, strlen(BODY));
}

static void stats(struct http_request *http, void *context) {
    struct buffer body = buffer_in(http_arena(http));
    calls_write_stats(((struct sim *)context)->calls, &body);
    http_respond(http, 200, "application/json", body.data, body.length);
}

static void on_death(uv_timer_t *timer);

/* A moment later: not inside a handler, and after the answer. */
static void die_if_told(struct sim *sim) {
    if (sim_settings.dead_ms)
        uv_timer_start(&sim->death, on_death, DIES_AFTER_MS, 0);
}

static void control(struct http_request *http, void *context) {
    if (control_take(http))
        die_if_told(context);
}

static const struct http_route routes[] = {
    {"POST", "/v1/chat/completions", completions},
    {"GET", "/v1/models", models},
    {"GET", "/health", health},
    {"GET", "/stats", stats},
    {"POST", "/control", control},
    {0},
};

/* Thousands of calls may wait at once, and a judge is shown whole outputs. */
static void widen_limits(void) {
    for (struct setting *setting = http_server_settings; setting->name; setting++) {
        if (strcmp(setting->name, "HTTP_CONNECTIONS_MAX") == 0)
            setting->otherwise = "20000";
        if (strcmp(setting->name, "HTTP_BODY_BYTES_MAX") == 0)
            setting->otherwise = "33554432";
    }
}

/* SIM_PORT comes before LISTEN_PORT. */
static bool choose_port(void) {
    const char *port = getenv("SIM_PORT");
    return !port || !*port || strcmp(port, "0") == 0 || setenv("LISTEN_PORT", port, 1) == 0;
}

static void come_back(uv_timer_t *timer) {
    struct sim *sim = timer->data;
    sim->server = http_server_open(&sim->loop, routes, sim);
    if (!sim->server)
        uv_timer_start(timer, come_back, DIES_AFTER_MS, 0);
}

static void on_death(uv_timer_t *timer) {
    struct sim *sim = timer->data;
    uv_timer_start(timer, come_back, (uint64_t)sim_settings.dead_ms, 0);
    sim_settings.dead_ms = 0;
    http_server_close(&sim->server);
}

static void on_signal(uv_signal_t *handle, int number) {
    struct sim *sim = handle->data;
    (void)number;
    http_server_close(&sim->server);
    if (!uv_is_closing((uv_handle_t *)&sim->death))
        uv_close((uv_handle_t *)&sim->death, NULL);
    for (int i = 0; i < 2; i++)
        if (!uv_is_closing((uv_handle_t *)&sim->signals[i]))
            uv_close((uv_handle_t *)&sim->signals[i], NULL);
}

/* The text of a file; NULL, said on standard error, when it cannot be read. */
static const char *read_pem(const char *path) {
    static char texts[2][PEM_BYTES_MAX];
    static int used;
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(texts[used], 1, PEM_BYTES_MAX - 1, file) : 0;
    if (file)
        (void)fclose(file);
    if (!length)
        fprintf(stderr, "cannot read %s\n", path);
    return length ? texts[used++] : NULL;
}

static bool choose_tls(void) {
    if (!*sim_settings.tls_certificate)
        return true;
    http_settings.tls_certificate = read_pem(sim_settings.tls_certificate);
    http_settings.tls_key = read_pem(sim_settings.tls_key);
    return http_settings.tls_certificate && http_settings.tls_key;
}

static bool serve(struct sim *sim) {
    struct sim_options options = sim_settings_options();
    int numbers[] = {SIGTERM, SIGINT};
    sim->model = sim_model_open(&options);
    sim->calls = calls_open(&sim->loop, sim->model);
    sim->server = choose_tls() ? http_server_open(&sim->loop, routes, sim) : NULL;
    if (!sim->server)
        return false;
    http_settings.port = http_server_port(sim->server);
    uv_timer_init(&sim->loop, &sim->death);
    sim->death.data = sim;
    die_if_told(sim);
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&sim->loop, &sim->signals[i]);
        sim->signals[i].data = sim;
        uv_signal_start(&sim->signals[i], on_signal, numbers[i]);
    }
    printf("%d\n", http_server_port(sim->server));
    return fflush(stdout) == 0;
}

int main(int argc, char **argv) {
    static struct setting *const tables[] = {sim_setting_rows, http_server_settings, NULL};
    static const struct program program = {
        .name = "moru-sim",
        .service = "sim",
        .purpose = "A model that answers to its prompt, for tests and benchmarks.",
        .tables = tables,
    };
    struct sim sim = {0};
    widen_limits();
    if (!choose_port())
        return 1;
    settings_load(&program, argc, argv);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || uv_loop_init(&sim.loop) != 0)
        return 1;
    bool served = serve(&sim);
    if (served)
        uv_run(&sim.loop, UV_RUN_DEFAULT);
    calls_close(&sim.calls);
    sim_model_close(&sim.model);
    return served && uv_loop_close(&sim.loop) == 0 ? 0 : 1;
}
