/*
 * floor - what the machine does when a program does no more than it must.
 *
 *     floor hello SOCKET WORKERS
 *     floor calls SOCKET WORKERS PORT           two calls to a provider
 *     floor shape SOCKET WORKERS PORT PLACE     the whole shape of a query
 *     floor commit PLACE SECONDS RUNS           commits of so many runs
 *
 * The first three are FastCGI servers of several processes; they say "ready"
 * when each has what it needs, and serve until a signal ends them.  The shape:
 * a POST, two calls, a commit of the record and four flushed pieces of an event
 * stream.  Everything an error could need is left out.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <fcgiapp.h>
#include <jansson.h>

#include "base/clock.h"
#include "base/str.h"
#include "bench/calls.h"
#include "bench/store.h"

#define BACKLOG        4096
#define MAX_WORKERS    1024
#define QUESTION_BYTES 65536

static const char hello_head[] = "Content-Type: text/plain\r\n\r\n";
static const char stream_head[] = "Content-Type: text/event-stream\r\n"
                                  "Cache-Control: no-cache\r\n\r\n: ok\n\n";

static int
usage(void)
{
    fputs("usage: floor hello SOCKET WORKERS\n"
          "       floor calls SOCKET WORKERS PORT\n"
          "       floor shape SOCKET WORKERS PORT PLACE\n"
          "       floor commit PLACE SECONDS RUNS\n",
          stderr);
    return 2;
}

/* ---- one request --------------------------------------------------------- */

/* What was asked, from the body; owned. */
static json_t *
read_query(FCGX_Request *request, const char **question)
{
    static char body[QUESTION_BYTES];
    const int len = FCGX_GetStr(body, sizeof(body), request->in);
    json_t *query = json_loadb(body, (size_t)len, 0, NULL);

    if (query == NULL || json_unpack(query, "{s:s}", "query", question) == -1) {
        fputs("floor: a body is no query\n", stderr);
        exit(1);
    }
    return query;
}

static void
say(FCGX_Request *request, const char *event, json_t *data)
{
    char *text = json_dumps(data, JSON_COMPACT);

    FCGX_FPrintF(request->out, "event: %s\ndata: ", event);
    FCGX_PutS(text, request->out);
    FCGX_PutS("\n\n", request->out);
    free(text);
    json_decref(data);
}

static void
on_answer_counted(void *arg, int which, const char *text)
{
    size_t *len = arg;

    (void)which;
    *len += strlen(text);
}

static void
on_answer_said(void *arg, int which, const char *text)
{
    FCGX_Request *request = arg;

    say(request, which == 0 ? "preliminary" : "final",
        json_pack("{s:{s:s}}", "response", "content", text));
    FCGX_FFlush(request->out);
}

static void
serve_hello(FCGX_Request *request, struct store *store)
{
    (void)store;
    FCGX_PutS(hello_head, request->out);
    FCGX_PutS("Hello.\n", request->out);
}

static void
serve_calls(FCGX_Request *request, struct store *store)
{
    const char *question;
    json_t *query = read_query(request, &question);
    size_t len = 0;

    (void)store;
    calls_make(question, &len);
    FCGX_PutS(hello_head, request->out);
    FCGX_FPrintF(request->out, "%d\n", (int)len);
    json_decref(query);
}

static void
serve_shape(FCGX_Request *request, struct store *store)
{
    const char *question;
    json_t *query = read_query(request, &question);

    FCGX_PutS(stream_head, request->out);
    FCGX_FFlush(request->out);
    calls_make(question, request);
    store_commit(store, 1);
    say(request, "done",
        json_pack("{s:s,s:{s:s}}", "status", "ok", "audit", "state",
                  "committed"));
    json_decref(query);
}

/* ---- processes ----------------------------------------------------------- */

struct kind {
    const char *name;
    void (*serve)(FCGX_Request *request, struct store *store);
    calls_on_answer on_answer; /* NULL: nobody is called */
    bool has_store;
};

static const struct kind kinds[] = {
    { "hello", serve_hello, NULL, false },
    { "calls", serve_calls, on_answer_counted, false },
    { "shape", serve_shape, on_answer_said, true },
};

/* Detached, so that libfcgi does not wait for the web server to close first. */
static void
work(const struct kind *kind, int listen_fd, int ready_fd, uint16_t port,
     const char *place)
{
    struct store *store = kind->has_store ? store_open(place) : NULL;
    FCGX_Request request;

    if (kind->on_answer != NULL)
        calls_open(port, kind->on_answer);
    FCGX_Init();
    FCGX_InitRequest(&request, listen_fd, 0);
    if (write(ready_fd, "", 1) != 1)
        _exit(1);
    close(ready_fd);
    while (FCGX_Accept_r(&request) == 0) {
        kind->serve(&request, store);
        FCGX_Detach(&request);
        FCGX_Finish_r(&request);
    }
    _exit(1);
}

/* A byte from each of them; its end comes early when one has failed. */
static void
wait_until_ready(int ready_fd, int64_t workers)
{
    char byte;

    for (; workers > 0; workers--)
        if (read(ready_fd, &byte, 1) != 1) {
            fputs("floor: a worker has failed\n", stderr);
            exit(1);
        }
    puts("ready");
    fflush(stdout);
}

static int
serve(const struct kind *kind, char **argv, int argc)
{
    int64_t workers, port = 0;
    int listen_fd, ready_fds[2];

    if (argc != 2 + (kind->on_answer != NULL) + kind->has_store ||
        str_to_int(argv[1], 1, MAX_WORKERS, &workers) == -1 ||
        (argc > 2 && str_to_int(argv[2], 1, 65535, &port) == -1))
        return usage();
    listen_fd = FCGX_OpenSocket(argv[0], BACKLOG);
    if (pipe(ready_fds) == -1)
        return 1;
    for (int64_t i = 0; i < workers; i++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            work(kind, listen_fd, ready_fds[1], (uint16_t)port, argv[argc - 1]);
        }
    close(ready_fds[1]);
    wait_until_ready(ready_fds[0], workers);
    for (;;)
        pause();
}

static int
commit(char **argv, int argc)
{
    int64_t seconds, runs, until_mono_us, began_mono_us;
    size_t count = 0;
    struct store *store;

    if (argc != 3 || str_to_int(argv[1], 1, 60, &seconds) == -1 ||
        str_to_int(argv[2], 1, 1000, &runs) == -1)
        return usage();
    store = store_open(argv[0]);
    began_mono_us = clock_mono_us();
    until_mono_us = began_mono_us + seconds * 1000000;
    for (; clock_mono_us() < until_mono_us; count++)
        store_commit(store, (size_t)runs);
    printf("{\"runs_per_commit\":%lld,\"commits_per_second\":%.1f}\n",
           (long long)runs,
           (double)count * 1e6 / (double)(clock_mono_us() - began_mono_us));
    return 0;
}

int
main(int argc, char **argv)
{
    if (argc < 2)
        return usage();
    if (strcmp(argv[1], "commit") == 0)
        return commit(argv + 2, argc - 2);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            return serve(&kinds[i], argv + 2, argc - 2);
    return usage();
}
