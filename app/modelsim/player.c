/* player.c - see player.h. */
#include "modelsim/player.h"

#include <assert.h>
#include <stdbool.h>

void
player_start(struct player *player, const struct script *script,
             int64_t now_mono_ms)
{
    *player = (struct player){ .script = script, .due_mono_ms = now_mono_ms };
    if (script->step_count > 0)
        player->due_mono_ms += script->steps[0].wait_ms;
}

static size_t
step_begin(const struct script *script, size_t step)
{
    return step == 0 ? 0 : script->steps[step - 1].end;
}

/* Due times add up from the start, so that a late timer delays one step and
 * not all that follow. */
static void
enter_step(struct player *player, size_t step)
{
    player->step = step;
    player->offset = step_begin(player->script, step);
    player->due_mono_ms += player->script->steps[step].wait_ms;
}

static enum player_move
end_of(const struct script *script)
{
    switch (script->end) {
    case SCRIPT_CUTS:
        return PLAYER_CUTS;
    case SCRIPT_RESETS:
        return PLAYER_RESETS;
    case SCRIPT_HANGS:
        return PLAYER_HANGS;
    case SCRIPT_ENDS:
    case SCRIPT_REPEATS:
        break;
    }
    return PLAYER_ENDS;
}

static void
take_piece(struct player *player, size_t max_bytes, struct player_piece *piece)
{
    const struct script *script = player->script;
    size_t len = script->steps[player->step].end - player->offset;

    if (len > max_bytes)
        len = max_bytes;
    if (script->piece_bytes > 0 && len > script->piece_bytes)
        len = script->piece_bytes;
    *piece = (struct player_piece){
        .bytes = script->bytes.bytes + player->offset,
        .len = len,
    };
    player->offset += len;
    player->due_mono_ms += script->piece_ms;
}

enum player_move
player_next(struct player *player, int64_t now_mono_ms, size_t max_bytes,
            struct player_piece *piece)
{
    const struct script *script = player->script;

    assert(max_bytes > 0);
    while (player->step < script->step_count) {
        if (now_mono_ms < player->due_mono_ms)
            return PLAYER_WAITS;
        if (player->offset < script->steps[player->step].end) {
            take_piece(player, max_bytes, piece);
            return PLAYER_SENDS;
        }
        if (player->step + 1 < script->step_count)
            enter_step(player, player->step + 1);
        else if (script->end == SCRIPT_REPEATS)
            enter_step(player, player->step);
        else
            return end_of(script);
    }
    return end_of(script);
}
