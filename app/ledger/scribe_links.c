/* scribe_links.c - see scribe.h: the connections of the clerks. */
#include "ledger/scribe_inner.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/fd.h"
#include "sys/log.h"
#include "sys/sock.h"

#define EVENT_COUNT     256
#define ACCEPT_PAUSE_MS 1000

static int
watch(struct scribe *scribe, int op, int fd, uint32_t events, void *what)
{
    struct epoll_event event = { .events = events, .data.ptr = what };

    return epoll_ctl(scribe->epoll_fd, op, fd, &event);
}

/* Ourselves and root: the socket's folder may be open to others. */
static bool
may_talk(int fd)
{
    uid_t uid;
    struct err err = { 0 };

    if (sock_peer_uid(fd, &uid, &err) == -1) {
        log_warn("scribe_peer_unknown", "reason=%s", err.text);
        return false;
    }
    if (uid == geteuid() || uid == 0)
        return true;
    log_warn("scribe_peer_refused", "uid=%u", (unsigned)uid);
    return false;
}

void
scribe_set_pending(struct scribe *scribe, struct link *link, bool pending)
{
    if (link->pending == pending)
        return;
    link->pending = pending;
    scribe->pending_count += pending ? 1 : (size_t)-1;
}

void
scribe_close_link(struct scribe *scribe, struct link *link)
{
    struct link *last = scribe->links[--scribe->link_count];

    scribe_set_pending(scribe, link, false);
    desk_link_gone(link);
    last->place = link->place;
    scribe->links[last->place] = last;
    link_free(link); /* closing the descriptor ends epoll's watch */
}

static void
add_link(struct scribe *scribe, int fd)
{
    struct err err = { 0 };
    struct link *link;

    if (!may_talk(fd) || scribe->link_count == SCRIBE_MAX_LINKS) {
        if (scribe->link_count == SCRIBE_MAX_LINKS)
            log_warn("scribe_full", "connections=%d", SCRIBE_MAX_LINKS);
        fd_close(&fd);
        return;
    }
    link = link_new_take(fd, &err);
    if (link == NULL) {
        log_error("scribe_accept_failed", "reason=%s", err.text);
        return;
    }
    if (watch(scribe, EPOLL_CTL_ADD, link->fd, EPOLLIN, link) == -1) {
        log_error("scribe_accept_failed", "reason=epoll");
        link_free(link);
        return;
    }
    link->place = scribe->link_count;
    scribe->links[scribe->link_count++] = link;
}

/* Out of descriptors or memory, and the caller stays at the door: looking again
 * at once would spin. */
static void
pause_accepting(struct scribe *scribe)
{
    log_error("scribe_accept_failed", "reason=%s", strerror(errno));
    watch(scribe, EPOLL_CTL_DEL, scribe->config->listen_fd, 0, NULL);
    scribe->accept_mono_ms = clock_mono_ms() + ACCEPT_PAUSE_MS;
}

void
scribe_resume_accepting(struct scribe *scribe)
{
    if (scribe->accept_mono_ms == 0 || clock_mono_ms() < scribe->accept_mono_ms)
        return;
    scribe->accept_mono_ms = 0;
    watch(scribe, EPOLL_CTL_ADD, scribe->config->listen_fd, EPOLLIN, scribe);
}

static void
accept_links(struct scribe *scribe)
{
    int fd;

    while ((fd = sock_accept(scribe->config->listen_fd)) != -1)
        add_link(scribe, fd);
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        pause_accepting(scribe);
}

static void
read_link(struct scribe *scribe, struct link *link)
{
    struct frame frame;

    link_read(link, scribe->scratch);
    if (link_look(link, &frame, NULL) != FRAME_MORE)
        scribe_set_pending(scribe, link, true);
    else if (link_is_gone(link))
        scribe_close_link(scribe, link);
}

/* epoll says when there is room again for answers that did not fit. */
void
scribe_watch_room(struct scribe *scribe, struct link *link)
{
    const bool wanted = link->out.len > 0;
    const uint32_t events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN;

    if (link->watching == wanted)
        return;
    if (watch(scribe, EPOLL_CTL_MOD, link->fd, events, link) == -1)
        link->gone = true;
    link->watching = wanted;
}

int
scribe_wait_and_read(struct scribe *scribe, int timeout_ms)
{
    struct epoll_event events[EVENT_COUNT];
    bool listener_ready = false;
    int event_count;

    /* The links of records that wait stay readable, and hung up when their
     * clerks have left: waiting on them would spin. */
    if (scribe->stalled) {
        fd_wait(child_fd(scribe->child), POLLIN, clock_mono_ms() + timeout_ms);
        timeout_ms = 0;
    }
    event_count = epoll_wait(scribe->epoll_fd, events, EVENT_COUNT, timeout_ms);

    if (event_count == -1)
        return errno == EINTR ? 0 : -1;
    for (int i = 0; i < event_count; i++) {
        struct link *link = events[i].data.ptr;

        if (events[i].data.ptr == scribe) {
            listener_ready = true;
        } else if (events[i].data.ptr != scribe->child) {
            if ((events[i].events & EPOLLOUT) != 0)
                link_flush(link);
            if (!link->pending)
                read_link(scribe, link);
        }
    }
    if (listener_ready) /* last: a new link may be where a closed one was */
        accept_links(scribe);
    return event_count;
}

int
scribe_open_epoll(struct scribe *scribe, struct err *err)
{
    scribe->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (scribe->epoll_fd == -1)
        return err_set_errno(err, ERR_SYSTEM, "epoll_create1");
    if (watch(scribe, EPOLL_CTL_ADD, scribe->config->listen_fd, EPOLLIN,
              scribe) == -1 ||
        watch(scribe, EPOLL_CTL_ADD, child_fd(scribe->child), EPOLLIN,
              scribe->child) == -1)
        return err_set_errno(err, ERR_SYSTEM, "epoll_ctl");
    return 0;
}
