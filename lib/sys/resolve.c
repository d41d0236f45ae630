/*
 * resolve.c - see resolve.h.
 */
#include "sys/resolve.h"

#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"

#define MOMENT_NS 1000000
#define MOMENTS   200

struct resolve {
    struct gaicb request; /* the library's while the lookup runs */
    struct addrinfo hints;
    char name[]; /* as long as it is */
};

struct resolve *
resolve_start(const char *name, struct err *err)
{
    const size_t size = strlen(name) + 1;
    struct resolve *resolve = calloc(1, sizeof(*resolve) + size);
    struct gaicb *list[1];
    int code;

    if (resolve == NULL) {
        err_set(err, ERR_NOMEM, "a look-up of %s", name);
        return NULL;
    }
    memcpy(resolve->name, name, size);
    resolve->hints.ai_socktype = SOCK_STREAM;
    resolve->request.ar_name = resolve->name;
    resolve->request.ar_request = &resolve->hints;
    list[0] = &resolve->request;
    code = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
    if (code == 0)
        return resolve;
    err_set(err, ERR_SYSTEM, "cannot look up %s: %s", name, gai_strerror(code));
    free(resolve);
    return NULL;
}

static int
count_addresses(const struct resolve *resolve)
{
    int count = 0;

    for (const struct addrinfo *at = resolve->request.ar_result; at != NULL;
         at = at->ai_next)
        count++;
    return count;
}

int
resolve_wait(struct resolve *resolve, int64_t deadline_mono_ms, struct err *err)
{
    const struct gaicb *const list[] = { &resolve->request };
    int code;

    while ((code = gai_error(&resolve->request)) == EAI_INPROGRESS) {
        const int left_ms = clock_left_ms(deadline_mono_ms);
        const struct timespec left = { .tv_sec = left_ms / 1000,
                                       .tv_nsec = left_ms % 1000 * 1000000L };

        if (left_ms == 0)
            return 0;
        gai_suspend(list, 1, &left);
    }
    if (code != 0)
        return err_set(err, ERR_SYSTEM, "%s: %s", resolve->name,
                       gai_strerror(code));
    return count_addresses(resolve);
}

void
resolve_address(const struct resolve *resolve, size_t index,
                char text[RESOLVE_TEXT_LEN])
{
    const struct addrinfo *at = resolve->request.ar_result;

    while (at != NULL && index-- > 0)
        at = at->ai_next;
    if (at == NULL ||
        getnameinfo(at->ai_addr, at->ai_addrlen, text, RESOLVE_TEXT_LEN, NULL,
                    0, NI_NUMERICHOST) != 0)
        text[0] = '\0';
}

/* A lookup that has its result still belongs to the library's thread for a
 * moment, until that thread has noted it. */
static bool
is_still_theirs(struct resolve *resolve)
{
    static const struct timespec moment = { .tv_nsec = MOMENT_NS };

    for (int i = 0; i < MOMENTS; i++) {
        if (gai_cancel(&resolve->request) != EAI_NOTCANCELED)
            return false;
        if (gai_error(&resolve->request) == EAI_INPROGRESS)
            return true;
        nanosleep(&moment, NULL);
    }
    return true;
}

void
resolve_free(struct resolve *resolve)
{
    if (resolve == NULL)
        return;
    /* The library writes to a lookup that runs: better lost than freed. */
    if (is_still_theirs(resolve))
        return;
    if (resolve->request.ar_result != NULL)
        freeaddrinfo(resolve->request.ar_result);
    free(resolve);
}
