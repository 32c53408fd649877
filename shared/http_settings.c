/* The settings of the HTTP server. */
#include <stddef.h>

#include "shared/http_private.h"
#include "shared/http_server.h"

struct http_settings http_settings;

struct setting http_server_settings[] = {
    {.name = "LISTEN_ADDRESS",
        .type = SETTING_STRING,
        .value = &http_settings.address,
        .otherwise = "127.0.0.1",
        .min = 1,
        .help = "Address to serve HTTP on; 0.0.0.0 or :: for all"},
    {.name = "LISTEN_PORT",
        .type = SETTING_INTEGER,
        .value = &http_settings.port,
        .otherwise = "0",
        .min = 0,
        .max = 65535,
        .help = "Port to serve HTTP on; 0 takes a free one and logs it"},
    {.name = "HTTP_BODY_BYTES_MAX",
        .type = SETTING_INTEGER,
        .value = &http_settings.body_bytes_max,
        .otherwise = "2097152",
        .min = 1024,
        .max = 268435456,
        .help = "Longest body of a request, in bytes"},
    {.name = "HTTP_CONNECTIONS_MAX",
        .type = SETTING_INTEGER,
        .value = &http_settings.connections_max,
        .otherwise = "10000",
        .min = 1,
        .max = 1000000,
        .help = "Most connections at once; lowered to what the limit of open files allows"},
    {.name = "HTTP_IDLE_TIMEOUT_MS",
        .type = SETTING_INTEGER,
        .value = &http_settings.idle_timeout_ms,
        .otherwise = "120000",
        .min = 1000,
        .max = 3600000,
        .help = "How long a connection may be idle, in milliseconds, rounded up to seconds"},
    {0},
};

void http_server_default_port(const char *port) {
    for (struct setting *setting = http_server_settings; setting->name; setting++)
        if (setting->value == &http_settings.port)
            setting->otherwise = port;
}

int64_t http_body_bytes_max(void) {
    return http_settings.body_bytes_max;
}
