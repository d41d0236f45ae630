/*
 * load - many callers on one thread, and what each of them waited for.
 *
 *     load [option ...] PORT PATH
 *
 * Each caller holds one kept HTTP/1.1 connection to 127.0.0.1.  The loop is
 * closed, where a caller asks again as soon as it has its answer, or, with
 * --rate, open: questions come due evenly, whatever became of those before, and
 * a wait counts from when it was due.  Prints one JSON object; times are
 * microseconds.
 *
 * One thread that waits in epoll: it takes little from what it measures, and
 * says itself (cpu_seconds) how much.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "bench/answer.h"
#include "bench/plan.h"
#include "bench/samples.h"

#define MAX_REQUEST     (1024 * 1024)
#define MAX_ERRORS      1000
#define READ_BYTES      65536
#define SIP_EVERY_US    100000
#define LAST_ANSWERS_US 60000000 /* after the last question */

struct caller {
    int fd; /* -1: no connection */
    bool is_asking;
    int64_t due_us;  /* when it should have asked */
    int64_t wake_us; /* to begin, leave or sip; 0: nothing planned */
    struct answer answer;
};

struct load {
    const struct plan *plan;
    struct sockaddr_in address;
    char *request;
    size_t request_len;
    int epoll_fd;
    struct caller *callers;
    size_t asking; /* callers with a question under way */
    size_t waking; /* callers with something planned */
    struct caller **resting;
    size_t resting_count;
    int64_t began_us, until_us, ended_us, next_due_us;
    size_t answers, errors, left;
    FILE *each;
    struct samples total, receipt;
    struct samples came[ANSWER_EVENT_COUNT];  /* since it was due */
    struct samples added[ANSWER_EVENT_COUNT]; /* since the provider sent it */
};

static ATTR_NORETURN void
fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void
plan_wake(struct load *load, struct caller *caller, int64_t wake_us)
{
    if ((caller->wake_us != 0) != (wake_us != 0))
        load->waking += wake_us != 0 ? 1 : (size_t)-1;
    caller->wake_us = wake_us;
}

/* ---- asking -------------------------------------------------------------- */

static void
watch(const struct load *load, struct caller *caller, int operation)
{
    struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = caller } };

    if (epoll_ctl(load->epoll_fd, operation, caller->fd, &event) == -1)
        fail("epoll_ctl");
}

static void
open_connection(struct load *load, struct caller *caller)
{
    const int on = 1;

    caller->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (caller->fd == -1)
        fail("socket");
    if (connect(caller->fd, (const struct sockaddr *)&load->address,
                sizeof(load->address)) == -1)
        fail("connect");
    if (setsockopt(caller->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ==
            -1 ||
        fcntl(caller->fd, F_SETFL, O_NONBLOCK) == -1)
        fail("connection");
    if (load->plan->sip_bytes == 0)
        watch(load, caller, EPOLL_CTL_ADD);
}

static void
close_connection(struct caller *caller)
{
    close(caller->fd);
    caller->fd = -1;
}

static void
ask(struct load *load, struct caller *caller, int64_t due_us)
{
    const struct plan *plan = load->plan;

    if (caller->fd == -1)
        open_connection(load, caller);
    answer_begin(&caller->answer);
    caller->due_us = due_us;
    caller->is_asking = true;
    load->asking++;
    if (send(caller->fd, load->request, load->request_len, MSG_NOSIGNAL) !=
        (ssize_t)load->request_len)
        fail("send");
    if (plan->leave_after_ms > 0)
        plan_wake(load, caller, due_us + plan->leave_after_ms * 1000);
    else if (plan->sip_bytes > 0)
        plan_wake(load, caller, clock_mono_us() + SIP_EVERY_US);
}

static void
rest(struct load *load, struct caller *caller, int64_t now_us)
{
    caller->is_asking = false;
    load->asking--;
    load->ended_us = now_us;
    plan_wake(load, caller, 0);
    if (load->errors > MAX_ERRORS) {
        errno = EPROTO;
        fail("too many answers are wrong");
    }
    if (load->plan->rate > 0)
        load->resting[load->resting_count++] = caller;
    else if (now_us < load->until_us)
        ask(load, caller, now_us);
}

/* The open loop: whoever is due asks now, if a caller is free. */
static void
ask_whoever_is_due(struct load *load, int64_t now_us)
{
    while (load->resting_count > 0 && load->next_due_us <= now_us &&
           load->next_due_us < load->until_us) {
        ask(load, load->resting[--load->resting_count], load->next_due_us);
        load->next_due_us += 1000000 / load->plan->rate;
    }
}

/* ---- answers ------------------------------------------------------------- */

static bool
wants_events(const struct plan *plan)
{
    return plan->post != NULL && !plan->is_plain;
}

static void
note_events(struct load *load, const struct caller *caller)
{
    const struct answer *answer = &caller->answer;

    for (int i = 0; i < ANSWER_EVENT_COUNT; i++) {
        if (answer->at_us[i] == 0)
            continue;
        samples_note(&load->came[i], answer->at_us[i] - caller->due_us);
        if (answer->sent_us[i] != 0)
            samples_note(&load->added[i],
                         answer->at_us[i] - answer->sent_us[i]);
    }
    samples_note(&load->receipt,
                 answer->at_us[ANSWER_DONE] - answer->at_us[ANSWER_FINAL]);
}

/* When it was due, then for each event when it came and when its provider had
 * sent it, all in microseconds of the same clock. */
static void
write_each(const struct load *load, const struct caller *caller)
{
    fprintf(load->each, "%lld", (long long)caller->due_us);
    for (int i = 0; i < ANSWER_EVENT_COUNT; i++)
        fprintf(load->each, ",%lld,%lld", (long long)caller->answer.at_us[i],
                (long long)caller->answer.sent_us[i]);
    fputc('\n', load->each);
}

static bool
is_right(const struct load *load, const struct answer *answer)
{
    return answer->status == 200 &&
           (!wants_events(load->plan) ||
            (answer->at_us[ANSWER_FINAL] != 0 && answer->is_committed &&
             answer->at_us[ANSWER_ERROR] == 0));
}

static void
answered(struct load *load, struct caller *caller, int64_t now_us)
{
    if (!is_right(load, &caller->answer)) {
        load->errors++;
    } else {
        load->answers++;
        samples_note(&load->total, now_us - caller->due_us);
        if (wants_events(load->plan))
            note_events(load, caller);
    }
    if (load->each != NULL)
        write_each(load, caller);
    if (caller->answer.is_last)
        close_connection(caller);
    rest(load, caller, now_us);
}

static void
lost(struct load *load, struct caller *caller, int64_t now_us)
{
    load->errors++;
    close_connection(caller);
    rest(load, caller, now_us);
}

static void
read_answer(struct load *load, struct caller *caller, size_t max_bytes)
{
    static char bytes[READ_BYTES];
    const ssize_t len = recv(caller->fd, bytes, max_bytes, 0);
    const int64_t now_us = clock_mono_us();

    if (len == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0 || !caller->is_asking) {
        if (caller->is_asking)
            lost(load, caller, now_us);
        else
            close_connection(caller);
        return;
    }
    answer_take(&caller->answer, bytes, (size_t)len, now_us);
    if (answer_is_whole(&caller->answer))
        answered(load, caller, now_us);
    else if (answer_is_bad(&caller->answer))
        lost(load, caller, now_us);
}

/* ---- what is planned for a time ------------------------------------------ */

static void
wake(struct load *load, struct caller *caller, int64_t now_us)
{
    if (!caller->is_asking) {
        plan_wake(load, caller, 0);
        ask(load, caller, now_us);
    } else if (load->plan->leave_after_ms > 0) {
        load->left++;
        close_connection(caller);
        rest(load, caller, now_us);
    } else {
        plan_wake(load, caller, now_us + SIP_EVERY_US);
        read_answer(load, caller, (size_t)load->plan->sip_bytes);
    }
}

/* Returns when the next one is due. */
static int64_t
wake_whoever_is_due(struct load *load, int64_t now_us)
{
    int64_t next_us = INT64_MAX;

    for (int64_t i = 0; load->waking > 0 && i < load->plan->callers; i++) {
        struct caller *caller = &load->callers[i];

        if (caller->wake_us != 0 && caller->wake_us <= now_us)
            wake(load, caller, now_us);
        if (caller->wake_us != 0 && caller->wake_us < next_us)
            next_us = caller->wake_us;
    }
    return next_us;
}

/* ---- the run ------------------------------------------------------------- */

static bool
is_over(const struct load *load)
{
    const bool asks_more =
        load->plan->rate > 0 && load->next_due_us < load->until_us;

    return load->asking == 0 && load->waking == 0 && !asks_more;
}

/* Does what is due now; returns how long nothing else will be. */
static int64_t
work(struct load *load)
{
    const int64_t now_us = clock_mono_us();
    int64_t next_us = wake_whoever_is_due(load, now_us);

    if (now_us > load->until_us + LAST_ANSWERS_US) {
        errno = ETIMEDOUT;
        fail("last answers");
    }
    if (load->plan->rate > 0) {
        ask_whoever_is_due(load, now_us);
        if (load->resting_count > 0 && load->next_due_us < next_us)
            next_us = load->next_due_us;
    }
    if (next_us > now_us + 1000000)
        return 1000000;
    return next_us > now_us ? next_us - now_us : 0;
}

static void
run(struct load *load)
{
    struct epoll_event events[256];

    while (!is_over(load)) {
        const int64_t wait_us = work(load);
        const struct timespec wait = { .tv_sec = wait_us / 1000000,
                                       .tv_nsec = wait_us % 1000000 * 1000 };
        const int count = epoll_pwait2(load->epoll_fd, events,
                                       ARRAY_LEN(events), &wait, NULL);

        for (int i = 0; i < count; i++)
            read_answer(load, events[i].data.ptr, READ_BYTES);
    }
}

/* The closed loop's callers begin along the ramp, the open loop's rest. */
static void
begin(struct load *load)
{
    const struct plan *plan = load->plan;

    load->began_us = clock_mono_us();
    load->next_due_us = load->began_us;
    load->until_us = load->began_us + plan->seconds * 1000000;
    for (int64_t i = 0; i < plan->callers; i++) {
        struct caller *caller = &load->callers[i];

        caller->fd = -1;
        if (plan->rate > 0)
            load->resting[load->resting_count++] = caller;
        else
            plan_wake(load, caller,
                      load->began_us +
                          plan->ramp_ms * 1000 * i / plan->callers);
    }
}

/* ---- the result ---------------------------------------------------------- */

static void
print_events(const char *suffix, struct samples samples[ANSWER_EVENT_COUNT])
{
    for (int i = 0; i < ANSWER_EVENT_COUNT; i++) {
        char name[64];

        snprintf(name, sizeof(name), "%s_%s",
                 answer_event_name((enum answer_event)i), suffix);
        samples_print(name, &samples[i]);
    }
}

static double
cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void
print_result(struct load *load)
{
    const double seconds = (double)(load->ended_us - load->began_us) / 1e6;

    printf("{\"callers\":%lld,\"answers\":%zu,\"errors\":%zu,\"left\":%zu,"
           "\"seconds\":%.3f,\"per_second\":%.1f,\"cpu_seconds\":%.3f",
           (long long)load->plan->callers, load->answers, load->errors,
           load->left, seconds, (double)load->answers / seconds, cpu_seconds());
    samples_print("total_us", &load->total);
    samples_print("final_to_done_us", &load->receipt);
    print_events("came_us", load->came);
    print_events("added_us", load->added);
    puts("}");
}

/* ---- the beginning ------------------------------------------------------- */

static void
write_request(struct load *load)
{
    const struct plan *plan = load->plan;
    const char *header = plan->header != NULL ? plan->header : "Accept: */*";
    FILE *out = open_memstream(&load->request, &load->request_len);

    if (out == NULL)
        fail("request");
    fprintf(out, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
            plan->post != NULL ? "POST" : "GET", plan->path, header);
    if (plan->post != NULL)
        fprintf(out,
                "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                strlen(plan->post));
    fprintf(out, "\r\n%s", plan->post != NULL ? plan->post : "");
    if (fclose(out) != 0 || load->request_len > MAX_REQUEST)
        fail("request");
}

static void
prepare(struct load *load)
{
    const struct plan *plan = load->plan;

    load->address = (struct sockaddr_in){ .sin_family = AF_INET,
                                          .sin_port = htons(plan->port) };
    load->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    write_request(load);
    load->callers = calloc((size_t)plan->callers, sizeof(*load->callers));
    load->resting = calloc((size_t)plan->callers, sizeof(*load->resting));
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (load->callers == NULL || load->resting == NULL || load->epoll_fd == -1)
        fail("start");
    if (plan->each != NULL && (load->each = fopen(plan->each, "w")) == NULL)
        fail(plan->each);
    samples_init(&load->total);
    samples_init(&load->receipt);
    for (int i = 0; i < ANSWER_EVENT_COUNT; i++) {
        samples_init(&load->came[i]);
        samples_init(&load->added[i]);
    }
}

int
main(int argc, char **argv)
{
    struct plan plan;
    struct load load = { .plan = &plan };

    if (plan_parse(&plan, argc, argv) == -1) {
        fputs(plan_usage, stderr);
        return 2;
    }
    prepare(&load);
    begin(&load);
    run(&load);
    print_result(&load);
    if (load.each != NULL && fclose(load.each) != 0)
        fail(plan.each);
    return 0;
}
