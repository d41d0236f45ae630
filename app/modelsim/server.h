/*
 * server - sockets and time: plays the provider's scripts to thousands of
 * clients in one thread.
 *
 *     server = server_new(&options, provider, &err);   listens
 *     server_run(server, stop_fd, &err);               until stop_fd is
 * readable server_free(server);                             NULL is fine
 *
 * A request that waits costs a suspended connection and one timer.  Each
 * connection is watched for its client's leaving all the while; a client that
 * closes or half-closes is taken to have left.  The provider is borrowed.
 */
#ifndef MODELSIM_SERVER_H
#define MODELSIM_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "modelsim/provider.h"

struct server_options {
    const char *address; /* IPv4, dotted */
    uint16_t port;       /* 0: the kernel chooses */
    size_t max_connections;
};

struct server;
struct server *server_new(const struct server_options *options,
                          struct provider *provider,
                          struct err *err) ATTR_MUST_CHECK;
void server_free(struct server *server);

uint16_t server_port(const struct server *server);

/* 0 when asked to stop; -1 when waiting fails. */
int server_run(struct server *server, int stop_fd,
               struct err *err) ATTR_MUST_CHECK;

#endif
