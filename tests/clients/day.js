// An application's day through the official SDK, from the first sign-in to the last clean-up, against
// a fresh server: pocketdns, or PocketBase to compare with (which has no DNS, and whose events may
// overtake each other: it sends each from a goroutine of its own, so run it again when two of the
// checks under `realtime` have changed places).
//
//   URL=http://127.0.0.1:8090 EMAIL=root@example.com PASSWORD=1234567890 DNS=127.0.0.1:1053 node day.js
//
// Without DNS, the part about it is left out, and said to be.

import { EventSource } from "eventsource";
import PocketBase from "pocketbase";

import { close, part } from "./check.js";
import { batch } from "./day/batch.js";
import { cleanUp } from "./day/clean-up.js";
import { collections } from "./day/collections.js";
import { dns } from "./day/dns.js";
import { fields } from "./day/fields.js";
import { lists } from "./day/lists.js";
import { opening } from "./day/opening.js";
import { realtime } from "./day/realtime.js";
import { relations } from "./day/relations.js";
import { rules } from "./day/rules.js";
import { server } from "./day/server.js";
import { users } from "./day/users.js";

// Node has none of its own.
globalThis.EventSource = EventSource;

const { URL: url, EMAIL: email, PASSWORD: password, DNS: address } = process.env;
if (!url || !email || !password) {
    console.error("URL, EMAIL and PASSWORD say which server, and who is its superuser");
    process.exit(2);
}

/** What the parts share: a client for each person, and what earlier parts have made. */
const day = {
    email,
    password,
    dns: address,
    /** A client of a new guest. */
    client() {
        const client = new PocketBase(url);
        client.autoCancellation(false);
        return client;
    },
};
day.root = day.client();

await part("opening", () => opening(day));
await part("collections", () => collections(day));
await part("users", () => users(day));
await part("fields", () => fields(day));
await part("rules", () => rules(day));
await part("lists", () => lists(day));
await part("relations", () => relations(day));
await part("batch", () => batch(day));
await part("realtime", () => realtime(day));
await part("server", () => server(day));
if (address) {
    await part("dns", () => dns(day));
} else {
    console.log("dns: left out, no DNS in the environment");
}
await part("clean-up", () => cleanUp(day));
close();
