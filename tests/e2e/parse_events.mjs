// Reads a stream of server-sent events from standard input, in pieces of the
// given number of bytes, and prints what eventsource-parser makes of it.
import { createParser } from "eventsource-parser";
import { readFileSync } from "node:fs";

const pieceBytes = Number(process.argv[2]);
const bytes = readFileSync(0);
const events = [];
const errors = [];
const parser = createParser({
    onEvent: ({ event, id, data }) => events.push({ event, id, data }),
    onError: (error) => errors.push(String(error)),
});
const decoder = new TextDecoder();

for (let at = 0; at < bytes.length; at += pieceBytes)
    parser.feed(decoder.decode(bytes.subarray(at, at + pieceBytes), {
        stream: true,
    }));
process.stdout.write(JSON.stringify({ events, errors }));
