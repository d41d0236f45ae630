/*
 * player - where one script stands, and what comes next.
 *
 *     player_start(&player, &script, now);
 *     switch (player_next(&player, now, max, &piece)) ...
 *
 * Pure: the caller owns clock and socket.  The script is borrowed.
 */
#ifndef MODELSIM_PLAYER_H
#define MODELSIM_PLAYER_H

#include <stddef.h>
#include <stdint.h>

#include "modelsim/script.h"

enum player_move {
    PLAYER_SENDS, /* piece holds bytes; they count as sent */
    PLAYER_WAITS, /* until due_mono_ms */
    PLAYER_HANGS, /* until the client goes */
    PLAYER_ENDS,
    PLAYER_CUTS,
    PLAYER_RESETS,
};

struct player {
    const struct script *script;
    size_t step;
    size_t offset; /* of the next byte */
    int64_t due_mono_ms;
};

/* Borrowed from the script. */
struct player_piece {
    const char *bytes;
    size_t len;
};

void player_start(struct player *player, const struct script *script,
                  int64_t now_mono_ms);
enum player_move player_next(struct player *player, int64_t now_mono_ms,
                             size_t max_bytes, struct player_piece *piece);

#endif
