/* exchange.c - see exchange.h. */
#include "modelsim/exchange.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "modelsim/player.h"

enum stage {
    STAGE_RECEIVING,
    STAGE_DELAYED, /* nothing has been sent */
    STAGE_SENDING, /* we are asked for bytes */
    STAGE_RAW,     /* we write to the socket ourselves */
    STAGE_OVER,
};

struct exchange {
    struct timer timer; /* first, so that a timer is its exchange */
    struct channel *channel;
    enum stage stage;
    bool is_suspended;
    bool is_settled; /* its outcome has been counted */
    bool is_too_large;
    struct buf body;
    bool has_answer;
    struct answer answer;
    struct player player;
};

struct exchange *
exchange_new(struct channel *channel)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));

    if (exchange == NULL)
        return NULL;
    exchange->channel = channel;
    buf_init(&exchange->body, EXCHANGE_BODY_BYTES);
    return exchange;
}

void
exchange_free(struct exchange *exchange)
{
    timers_clear(exchange->channel->timers, &exchange->timer);
    if (exchange->has_answer)
        script_close(&exchange->answer.script);
    buf_close(&exchange->body);
    free(exchange);
}

bool
exchange_is_receiving(const struct exchange *exchange)
{
    return exchange->stage == STAGE_RECEIVING;
}

const struct script *
exchange_script(const struct exchange *exchange)
{
    return &exchange->answer.script;
}

static void
settle(struct exchange *exchange, enum outcome outcome)
{
    if (exchange->is_settled || !exchange->has_answer)
        return;
    exchange->is_settled = true;
    provider_done(exchange->channel->provider, &exchange->answer, outcome);
}

/* ---- waiting ----------------------------------------------------------- */

static void
suspend(struct exchange *exchange)
{
    if (exchange->is_suspended)
        return;
    exchange->is_suspended = true;
    exchange->channel->suspend(exchange->channel->connection);
}

void
exchange_wake(struct exchange *exchange)
{
    timers_clear(exchange->channel->timers, &exchange->timer);
    if (!exchange->is_suspended)
        return;
    exchange->is_suspended = false;
    exchange->channel->resume(exchange->channel->connection);
}

/* Without memory for a timer the exchange is over. */
static void
wait_until(struct exchange *exchange, int64_t due_mono_ms)
{
    suspend(exchange);
    if (timers_set(exchange->channel->timers, &exchange->timer, due_mono_ms,
                   NULL) == -1) {
        exchange->stage = STAGE_OVER;
        exchange_wake(exchange);
    }
}

/* ---- writing to the socket itself -------------------------------------- */

static void
end_raw(struct exchange *exchange, enum outcome outcome)
{
    settle(exchange, outcome);
    exchange->stage = STAGE_OVER;
    exchange_wake(exchange);
}

/* A socket that is full ends it: whoever does not read a drip has left. */
static void
send_raw(struct exchange *exchange)
{
    struct player *player = &exchange->player;
    struct player_piece piece;
    enum player_move move;

    while ((move = player_next(player, clock_mono_ms(), SIZE_MAX, &piece)) ==
           PLAYER_SENDS)
        if (send(exchange->channel->fd, piece.bytes, piece.len,
                 MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)piece.len) {
            end_raw(exchange, OUTCOME_ABORTED);
            return;
        }
    if (move == PLAYER_WAITS)
        wait_until(exchange, player->due_mono_ms);
    else
        end_raw(exchange, OUTCOME_COMPLETED);
}

static void
start_raw(struct exchange *exchange)
{
    struct script *script = &exchange->answer.script;

    exchange->stage = STAGE_RAW;
    suspend(exchange);
    script_prepend_head(script);
    if (script_failed(script)) {
        end_raw(exchange, OUTCOME_BROKEN);
        return;
    }
    player_start(&exchange->player, script, clock_mono_ms());
    send_raw(exchange);
}

/* connect(2) to nowhere dissolves the connection, which Linux tells the peer
 * by a reset.  What was sent before has left: the peer is near. */
static void
reset_peer(int fd)
{
    const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

    if (connect(fd, &nowhere, sizeof(nowhere)) == -1)
        shutdown(fd, SHUT_RDWR);
}

/* ---- the request ------------------------------------------------------- */

void
exchange_receive(struct exchange *exchange, const char *bytes, size_t len)
{
    if (!exchange->is_too_large &&
        buf_append(&exchange->body, bytes, len) != BUF_OK)
        exchange->is_too_large = true;
}

static enum exchange_step
start_answer(struct exchange *exchange)
{
    const struct script *script = &exchange->answer.script;

    if (script->drips_headers) {
        start_raw(exchange);
        return EXCHANGE_WAITS;
    }
    exchange->stage = STAGE_SENDING;
    player_start(&exchange->player, script, clock_mono_ms());
    return EXCHANGE_ANSWERS;
}

enum exchange_step
exchange_begin(struct exchange *exchange, struct http_request *request)
{
    const struct script *script = &exchange->answer.script;

    exchange->stage = STAGE_DELAYED;
    if (exchange->is_too_large)
        return EXCHANGE_REFUSES;
    request->body = buf_cstr(&exchange->body);
    request->body_len = exchange->body.len;
    request->roles_seen = &exchange->channel->roles_seen;
    provider_answer(exchange->channel->provider, request, &exchange->answer);
    exchange->has_answer = true;
    buf_close(&exchange->body);
    if (exchange->channel->client_left) {
        settle(exchange, OUTCOME_ABORTED);
        return EXCHANGE_CLOSES;
    }
    if (script->status != 0 && script->delay_ms == 0)
        return start_answer(exchange);
    if (script->status == 0)
        suspend(exchange);
    else
        wait_until(exchange, clock_mono_ms() + script->delay_ms);
    return EXCHANGE_WAITS;
}

enum exchange_step
exchange_go_on(struct exchange *exchange)
{
    if (exchange->channel->client_left || exchange->stage != STAGE_DELAYED)
        return EXCHANGE_CLOSES;
    return start_answer(exchange);
}

void
exchange_on_timer(struct timer *timer)
{
    struct exchange *exchange = (struct exchange *)(void *)timer;

    if (exchange->stage == STAGE_RAW)
        send_raw(exchange);
    else
        exchange_wake(exchange);
}

/* ---- the answer -------------------------------------------------------- */

/* Whoever measures what lies between us and them needs to know when this went
 * out.  The stamp is as long as its mark, so that no length changes. */
static void
stamp(char *bytes, size_t len)
{
    static const char mark[] = "{{sent_mono_us}}";
    char *at = memmem(bytes, len, mark, strlen(mark));
    char digits[sizeof(mark)];

    if (at == NULL)
        return;
    snprintf(digits, sizeof(digits), "%0*" PRId64, (int)strlen(mark),
             clock_mono_us());
    memcpy(at, digits, strlen(mark));
}

enum exchange_part
exchange_read(struct exchange *exchange, char *bytes, size_t max_bytes,
              size_t *len)
{
    struct player *player = &exchange->player;
    struct player_piece piece;

    if (exchange->channel->client_left || exchange->stage == STAGE_OVER)
        return EXCHANGE_BREAK;
    switch (player_next(player, clock_mono_ms(), max_bytes, &piece)) {
    case PLAYER_SENDS:
        memcpy(bytes, piece.bytes, piece.len);
        stamp(bytes, piece.len);
        *len = piece.len;
        return EXCHANGE_BYTES;
    case PLAYER_WAITS:
        wait_until(exchange, player->due_mono_ms);
        return EXCHANGE_NOT_YET;
    case PLAYER_HANGS:
        suspend(exchange);
        return EXCHANGE_NOT_YET;
    case PLAYER_RESETS:
        reset_peer(exchange->channel->fd);
        settle(exchange, OUTCOME_BROKEN);
        return EXCHANGE_BREAK;
    case PLAYER_CUTS:
        settle(exchange, OUTCOME_BROKEN);
        return EXCHANGE_BREAK;
    case PLAYER_ENDS:
        break;
    }
    settle(exchange, OUTCOME_COMPLETED);
    return EXCHANGE_ALL;
}

/* ---- the end ----------------------------------------------------------- */

void
exchange_leave(struct exchange *exchange)
{
    settle(exchange, OUTCOME_ABORTED);
    exchange_wake(exchange);
}

void
exchange_end(struct exchange *exchange, bool went_well)
{
    settle(exchange, went_well ? OUTCOME_COMPLETED : OUTCOME_ABORTED);
}
