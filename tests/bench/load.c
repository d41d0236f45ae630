/*
 * load - keep N callers busy with one request and say how long they waited.
 *
 *     load PORT PATH CALLERS SECONDS [BODY]
 *
 * Each caller holds one kept HTTP/1.1 connection to 127.0.0.1 and asks again
 * as soon as it has its answer; after SECONDS it asks no more.  With BODY, text
 * that is posted as JSON, the answer must be an event stream that holds `final`
 * and ends in `done`; without, it is a GET.  Prints one JSON object; times are
 * microseconds, from the first byte sent.  One thread, so that the load takes
 * little from what it measures.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/str.h"

#define MAX_CALLERS     4096
#define MAX_SECONDS     600
#define MAX_SAMPLES     4000000
#define MAX_REQUEST     65536
#define MAX_HEAD        8192
#define MAX_ERRORS      1000
#define READ_BYTES      65536
#define EVENT_LINE      24
#define LAST_ANSWERS_MS 60000 /* after SECONDS */

enum stage {
    HEAD,       /* up to the empty line */
    LENGTH,     /* `left` bytes of body */
    CHUNK_SIZE, /* a line in hexadecimal */
    CHUNK,      /* `left` bytes */
    CHUNK_END,  /* its CR LF */
    WHOLE,
};

struct caller {
    int fd; /* -1 while it does not ask */
    enum stage stage;
    char head[MAX_HEAD];
    size_t head_len;
    size_t left;
    char line[EVENT_LINE]; /* how the present line of the body begins */
    size_t line_len;
    bool is_ok;   /* status 200 */
    bool is_last; /* the server closes this connection afterwards */
    int64_t began_us;
    int64_t final_us; /* 0: not yet */
    int64_t done_us;
};

struct samples {
    int64_t *us;
    size_t count;
};

struct load {
    struct sockaddr_in address;
    char request[MAX_REQUEST];
    size_t request_len;
    bool wants_events;
    int epoll_fd;
    struct caller *callers;
    size_t caller_count;
    size_t asking; /* callers with a request under way */
    int64_t began_us;
    int64_t ask_until_us;
    int64_t ended_us;
    size_t error_count;
    struct samples total;
    struct samples receipt; /* from `final` to `done` */
};

static ATTR_NORETURN void
fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void
note(struct samples *samples, int64_t us)
{
    if (samples->count < MAX_SAMPLES)
        samples->us[samples->count++] = us;
}

/* ---- asking -------------------------------------------------------------- */

static void
open_connection(struct load *load, struct caller *caller)
{
    struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = caller } };
    const int on = 1;

    caller->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (caller->fd == -1)
        fail("socket");
    if (connect(caller->fd, (const struct sockaddr *)&load->address,
                sizeof(load->address)) == -1)
        fail("connect");
    if (setsockopt(caller->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ==
            -1 ||
        fcntl(caller->fd, F_SETFL, O_NONBLOCK) == -1 ||
        epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, caller->fd, &event) == -1)
        fail("connection");
}

static void
close_connection(struct caller *caller)
{
    close(caller->fd);
    caller->fd = -1;
}

static void
ask(struct load *load, struct caller *caller)
{
    if (caller->fd == -1)
        open_connection(load, caller);
    caller->stage = HEAD;
    caller->head_len = 0;
    caller->line_len = 0;
    caller->final_us = 0;
    caller->done_us = 0;
    caller->began_us = clock_mono_us();
    if (send(caller->fd, load->request, load->request_len, MSG_NOSIGNAL) !=
        (ssize_t)load->request_len)
        fail("send");
    load->asking++;
}

static void
ask_or_rest(struct load *load, struct caller *caller)
{
    load->asking--;
    load->ended_us = clock_mono_us();
    if (load->error_count > MAX_ERRORS) {
        errno = EPROTO;
        fail("too many answers are wrong");
    }
    if (load->ended_us < load->ask_until_us)
        ask(load, caller);
    else if (caller->fd != -1)
        close_connection(caller);
}

static void
answered(struct load *load, struct caller *caller)
{
    const int64_t now_us = clock_mono_us();
    const bool is_right =
        caller->is_ok && (!load->wants_events ||
                          (caller->final_us != 0 && caller->done_us != 0));

    if (is_right)
        note(&load->total, now_us - caller->began_us);
    else
        load->error_count++;
    if (is_right && load->wants_events)
        note(&load->receipt, caller->done_us - caller->final_us);
    if (caller->is_last)
        close_connection(caller);
    ask_or_rest(load, caller);
}

static void
lost(struct load *load, struct caller *caller)
{
    load->error_count++;
    close_connection(caller);
    ask_or_rest(load, caller);
}

/* ---- reading an answer --------------------------------------------------- */

static bool
line_is(const struct caller *caller, const char *text)
{
    return caller->line_len == strlen(text) &&
           memcmp(caller->line, text, caller->line_len) == 0;
}

/* Both times are those of the event's first line: a receipt is as long as an
 * answer is not. */
static void
look_at_line(struct caller *caller)
{
    if (line_is(caller, "event: final"))
        caller->final_us = clock_mono_us();
    else if (line_is(caller, "event: done"))
        caller->done_us = clock_mono_us();
}

static void
take_body(struct caller *caller, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n') {
            look_at_line(caller);
            caller->line_len = 0;
        } else if (caller->line_len < EVENT_LINE) {
            caller->line[caller->line_len++] = bytes[i];
        }
    }
}

static void
end_head(struct caller *caller)
{
    const char *length;

    caller->head[caller->head_len] = '\0';
    caller->is_ok = str_starts_with(caller->head, "HTTP/1.1 200 ");
    caller->is_last = strcasestr(caller->head, "\r\nconnection: close") != NULL;
    length = strcasestr(caller->head, "\r\ncontent-length:");
    caller->left = length != NULL ? strtoul(length + 17, NULL, 10) : 0;
    caller->head_len = 0;
    if (length == NULL)
        caller->stage = CHUNK_SIZE;
    else
        caller->stage = caller->left > 0 ? LENGTH : WHOLE;
}

static void
end_chunk_size(struct caller *caller)
{
    caller->head[caller->head_len] = '\0';
    caller->left = strtoul(caller->head, NULL, 16);
    caller->stage = caller->left > 0 ? CHUNK : CHUNK_END;
}

/* Collects one byte; true when what was collected ends so. */
static bool
collect(struct caller *caller, char byte, const char *end)
{
    const size_t end_len = strlen(end);

    if (caller->head_len == MAX_HEAD - 1) {
        errno = EMSGSIZE;
        fail("head of an answer");
    }
    caller->head[caller->head_len++] = byte;
    return caller->head_len >= end_len &&
           memcmp(caller->head + caller->head_len - end_len, end, end_len) == 0;
}

/* The last chunk is empty: its CR LF ends the answer. */
static void
take_line_end(struct caller *caller, char byte)
{
    const bool was_last = strtoul(caller->head, NULL, 16) == 0;

    if (byte != '\n')
        return;
    caller->head_len = 0;
    caller->stage = was_last ? WHOLE : CHUNK_SIZE;
}

static size_t
take_left(struct caller *caller, const char *bytes, size_t len)
{
    const size_t taken = len < caller->left ? len : caller->left;

    take_body(caller, bytes, taken);
    caller->left -= taken;
    if (caller->left == 0)
        caller->stage = caller->stage == LENGTH ? WHOLE : CHUNK_END;
    return taken;
}

/* Returns how many bytes it took. */
static size_t
take(struct caller *caller, const char *bytes, size_t len)
{
    switch (caller->stage) {
    case HEAD:
        if (collect(caller, bytes[0], "\r\n\r\n"))
            end_head(caller);
        return 1;
    case CHUNK_SIZE:
        if (collect(caller, bytes[0], "\r\n"))
            end_chunk_size(caller);
        return 1;
    case CHUNK_END:
        take_line_end(caller, bytes[0]);
        return 1;
    case LENGTH:
    case CHUNK:
        return take_left(caller, bytes, len);
    case WHOLE:
        break;
    }
    return len;
}

static void
read_answer(struct load *load, struct caller *caller)
{
    static char bytes[READ_BYTES];
    const ssize_t len = recv(caller->fd, bytes, sizeof(bytes), 0);
    size_t at = 0;

    if (len == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) {
        lost(load, caller);
        return;
    }
    while (at < (size_t)len && caller->stage != WHOLE)
        at += take(caller, bytes + at, (size_t)len - at);
    if (caller->stage == WHOLE)
        answered(load, caller);
}

/* ---- the run ------------------------------------------------------------- */

static void
run(struct load *load)
{
    const int64_t give_up_mono_ms = load->ask_until_us / 1000 + LAST_ANSWERS_MS;
    struct epoll_event events[256];

    for (size_t i = 0; i < load->caller_count; i++)
        ask(load, &load->callers[i]);
    while (load->asking > 0) {
        const int count = epoll_wait(load->epoll_fd, events, ARRAY_LEN(events),
                                     clock_left_ms(give_up_mono_ms));

        if (count == 0) {
            errno = ETIMEDOUT;
            fail("last answers");
        }
        for (int i = 0; i < count; i++)
            read_answer(load, events[i].data.ptr);
    }
}

static int
compare(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a;
    const int64_t right = *(const int64_t *)b;

    return left < right ? -1 : left > right;
}

/* The smallest sample that so many of a thousand do not exceed. */
static long long
quantile(const struct samples *samples, size_t per_mille)
{
    const size_t rank = (samples->count * per_mille + 999) / 1000;

    return samples->count > 0 ? (long long)samples->us[rank - 1] : 0;
}

static void
print_samples(const char *name, struct samples *samples)
{
    qsort(samples->us, samples->count, sizeof(samples->us[0]), compare);
    printf(",\"%s\":{\"p50\":%lld,\"p95\":%lld,\"p99\":%lld,\"max\":%lld}",
           name, quantile(samples, 500), quantile(samples, 950),
           quantile(samples, 990), quantile(samples, 1000));
}

static void
print_result(struct load *load)
{
    const double seconds = (double)(load->ended_us - load->began_us) / 1e6;

    printf("{\"callers\":%zu,\"answers\":%zu,\"errors\":%zu,"
           "\"seconds\":%.3f,\"per_second\":%.1f",
           load->caller_count, load->total.count, load->error_count, seconds,
           (double)load->total.count / seconds);
    print_samples("total_us", &load->total);
    if (load->wants_events)
        print_samples("final_to_done_us", &load->receipt);
    puts("}");
}

static void
write_request(struct load *load, const char *path, const char *body)
{
    int len;

    if (body == NULL)
        len = snprintf(load->request, sizeof(load->request),
                       "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    else
        len = snprintf(load->request, sizeof(load->request),
                       "POST %s HTTP/1.1\r\nHost: localhost\r\n"
                       "Content-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       path, strlen(body), body);
    if (len < 0 || (size_t)len >= sizeof(load->request)) {
        errno = EMSGSIZE;
        fail("request");
    }
    load->request_len = (size_t)len;
    load->wants_events = body != NULL;
}

static int64_t *
room_for_samples(void)
{
    int64_t *us = calloc(MAX_SAMPLES, sizeof(*us));

    if (us == NULL)
        fail("samples");
    return us;
}

int
main(int argc, char **argv)
{
    static struct load load;
    int64_t port, callers, seconds;

    if (argc < 5 || argc > 6 || str_to_int(argv[1], 1, 65535, &port) == -1 ||
        str_to_int(argv[3], 1, MAX_CALLERS, &callers) == -1 ||
        str_to_int(argv[4], 1, MAX_SECONDS, &seconds) == -1) {
        fputs("usage: load PORT PATH CALLERS SECONDS [BODY]\n", stderr);
        return 2;
    }
    load.address = (struct sockaddr_in){ .sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)port) };
    load.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    write_request(&load, argv[2], argc == 6 ? argv[5] : NULL);
    load.caller_count = (size_t)callers;
    load.callers = calloc(load.caller_count, sizeof(*load.callers));
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (load.callers == NULL || load.epoll_fd == -1)
        fail("start");
    for (size_t i = 0; i < load.caller_count; i++)
        load.callers[i].fd = -1;
    load.total.us = room_for_samples();
    load.receipt.us = room_for_samples();
    load.began_us = clock_mono_us();
    load.ask_until_us = load.began_us + seconds * 1000000;
    run(&load);
    print_result(&load);
    return 0;
}
