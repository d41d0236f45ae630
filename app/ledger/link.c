/* link.c - see link.h. */
#include "ledger/link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "sys/fd.h"

#define KEEP_BYTES 4096 /* of a buffer while nothing is in it */

struct link *
link_new_take(int fd, struct err *err)
{
    struct link *link = calloc(1, sizeof(*link));

    if (link == NULL || fd_set_nonblock(fd, err) == -1) {
        err_set(err, ERR_NOMEM, "connection");
        fd_close(&fd);
        free(link);
        return NULL;
    }
    link->fd = fd;
    buf_init(&link->in, FRAME_MAX_BYTES + LINK_READ_BYTES);
    buf_init(&link->out, LINK_MAX_OUT_BYTES);
    return link;
}

void
link_free(struct link *link)
{
    if (link == NULL)
        return;
    fd_close(&link->fd);
    buf_close(&link->in);
    buf_close(&link->out);
    free(link);
}

bool
link_is_gone(const struct link *link)
{
    return link->gone;
}

static bool
has_whole_frame(const struct link *link)
{
    struct frame frame;

    /* A bad one counts: whoever looks will see. */
    return link_look(link, &frame, NULL) != FRAME_MORE;
}

void
link_read(struct link *link, char *scratch)
{
    while (!link->gone && !has_whole_frame(link)) {
        const ssize_t len = recv(link->fd, scratch, LINK_READ_BYTES, 0);

        if (len > 0) {
            if (buf_append(&link->in, scratch, (size_t)len) != BUF_OK)
                link->gone = true;
        } else if (len == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        } else if (len == 0 || errno != EINTR) {
            link->gone = true;
        }
    }
}

enum frame_status
link_look(const struct link *link, struct frame *frame, struct err *err)
{
    return frame_look(link->in.bytes, link->in.len, frame, err);
}

void
link_pass(struct link *link, const struct frame *frame)
{
    buf_consume(&link->in, frame->whole_len);
    if (link->in.len == 0)
        buf_shrink(&link->in, KEEP_BYTES);
}

void
link_flush(struct link *link)
{
    while (!link->gone && link->out.len > 0) {
        const ssize_t len =
            send(link->fd, link->out.bytes, link->out.len, MSG_NOSIGNAL);

        if (len >= 0)
            buf_consume(&link->out, (size_t)len);
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        else if (errno != EINTR)
            link->gone = true;
    }
}

void
link_receipt(struct link *link, enum entry_kind kind, const struct uuid *run_id,
             const struct entry_receipt *receipt)
{
    if (frame_append_receipt(&link->out, kind, run_id, receipt, NULL) == -1)
        link->gone = true;
    link_flush(link);
}

void
link_refusal(struct link *link, enum entry_kind kind, const struct uuid *run_id,
             const char *reason)
{
    if (frame_append_refusal(&link->out, kind, run_id, reason, NULL) == -1)
        link->gone = true;
    link_flush(link);
}

void
link_taken(struct link *link, enum entry_kind kind, const struct uuid *run_id,
           const struct entry_holder *holder)
{
    if (frame_append_taken(&link->out, kind, run_id, holder, NULL) == -1)
        link->gone = true;
    link_flush(link);
}
