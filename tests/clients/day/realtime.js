// Who listens hears what he may see, in order, and nothing else.

import { equal, has, inTime, ok, refused } from "../check.js";

/** What a subscription has heard and nobody has asked for yet. */
class Heard {
    #events = [];
    #waiting = [];

    /** The callback to subscribe with. */
    take = (event) => {
        const first = this.#waiting.shift();
        if (first) first(event);
        else this.#events.push(event);
    };

    async next(what) {
        const event = this.#events.shift() ?? (await inTime(what, new Promise((resolve) => this.#waiting.push(resolve))));
        return [event.action, event.record.text ?? event.record.title, event.record];
    }

    async said(what, action, text) {
        const [seen, said, record] = await this.next(what);
        equal(what, [seen, said], [action, text]);
        return record;
    }

    get left() {
        return this.#events.length;
    }
}

export async function realtime(day) {
    const { root, anna, ben } = day;
    const guest = day.client();
    const members = day.members.id;
    await root.collections.create({
        name: "messages",
        fields: [
            { name: "text", type: "text" },
            { name: "from", type: "relation", collectionId: members, maxSelect: 1 },
            { name: "to", type: "relation", collectionId: members, maxSelect: 1 },
            { name: "loud", type: "number" },
            { name: "inner", type: "text", hidden: true },
        ],
        listRule: "to = '' || to = @request.auth.id || from = @request.auth.id",
        viewRule: "to = '' || to = @request.auth.id || from = @request.auth.id",
        createRule: "from = @request.auth.id",
        updateRule: "from = @request.auth.id",
        deleteRule: "from = @request.auth.id",
    });
    const everybody = new Heard();
    const forBen = new Heard();
    const loud = new Heard();
    const all = new Heard();
    await guest.collection("messages").subscribe("*", everybody.take);
    ok("connected", guest.realtime.isConnected && guest.realtime.clientId !== "", guest.realtime.clientId);
    await ben.collection("messages").subscribe("*", forBen.take, { expand: "from", fields: "id,text,to,expand.from.nick" });
    await anna.collection("messages").subscribe("*", loud.take, { filter: "loud > 5" });
    await root.collection("messages").subscribe("*", all.take);

    const say = (body) => anna.collection("messages").create({ from: day.annaId, ...body });
    const first = await say({ text: "hello all", loud: 9 });
    has("a guest hears it", await everybody.said("hello", "create", "hello all"), { id: first.id, collectionName: "messages", loud: 9 });
    const heard = await forBen.said("hello to Ben", "create", "hello all");
    equal("in the parts he asked for", heard, { id: first.id, text: "hello all", to: "", expand: { from: { nick: "Hanna" } } });
    ok("without what is hidden", !("inner" in (await loud.said("loud enough", "create", "hello all"))));
    ok("which a superuser sees", "inner" in (await all.said("the superuser, too", "create", "hello all")));

    // Proof that something was not heard: what comes next is heard first.
    const secret = await say({ text: "to Ben only", to: day.benId, loud: 1 });
    const whisper = await say({ text: "aside", loud: 1 });
    await forBen.said("for Ben", "create", "to Ben only");
    await forBen.said("and the next", "create", "aside");
    await everybody.said("not for a guest", "create", "aside");
    await all.said("all for a superuser", "create", "to Ben only");
    await all.said("in order", "create", "aside");

    await anna.collection("messages").update(whisper.id, { text: "ASIDE", loud: 7 });
    await loud.said("loud after a change", "update", "ASIDE");
    await everybody.said("a change", "update", "ASIDE");
    await forBen.said("a change for Ben", "update", "ASIDE");
    await all.said("a change for the superuser", "update", "ASIDE");

    await anna.collection("messages").delete(secret.id);
    await anna.collection("messages").delete(whisper.id);
    equal("gone", (await forBen.said("gone for Ben", "delete", "to Ben only")).id, secret.id);
    await forBen.said("and the other", "delete", "ASIDE");
    await everybody.said("gone for a guest", "delete", "ASIDE");
    await loud.said("gone for who filters", "delete", "ASIDE");

    // One record; two subscriptions on one connection.
    const single = new Heard();
    const stop = await guest.collection("messages").subscribe(first.id, single.take);
    await anna.collection("messages").update(first.id, { text: "hello you" });
    await single.said("a record of its own", "update", "hello you");
    await everybody.said("and among all", "update", "hello you");
    await stop();
    await anna.collection("messages").update(first.id, { text: "hello again" });
    await everybody.said("still among all", "update", "hello again");
    equal("no longer by itself", single.left, 0);

    // A rule that changes is a rule at once; a batch is heard in its order.
    const many = anna.createBatch();
    many.collection("messages").create({ text: "b1", from: day.annaId });
    many.collection("messages").create({ text: "b2", from: day.annaId });
    many.collection("messages").update(first.id, { text: "b3" });
    await many.send();
    await everybody.said("a batch", "create", "b1");
    await everybody.said("its second", "create", "b2");
    await everybody.said("its third", "update", "b3");

    // Signed in later, on the same connection.
    const late = day.client();
    const later = new Heard();
    await late.collection("messages").subscribe("*", later.take);
    await late.collection("members").authWithPassword("ben", "another password");
    const again = new Heard();
    await late.collection("messages").subscribe(first.id, again.take);
    await say({ text: "now to Ben", to: day.benId });
    await later.said("who has signed in hears more", "create", "now to Ben");

    const shelves = new Heard();
    await guest.collection("shelves").subscribe("*", shelves.take);
    const shelf = await anna.collection("shelves").create({ title: "Cellar", owner: day.annaId });
    await shelves.said("another collection", "create", "Cellar");
    await anna.collection("books").create({ title: "Damp", shelf: shelf.id });
    const books = new Heard();
    await guest.collection("books").subscribe("*", books.take);
    await anna.collection("shelves").delete(shelf.id);
    const fallen = await Promise.all([shelves.next("a shelf goes"), books.next("with its books")]);
    equal("what goes along is heard of", fallen.map(([action, title]) => [action, title]), [
        ["delete", "Cellar"],
        ["delete", "Damp"],
    ]);

    await guest.collection("shelves").unsubscribe();
    await guest.collection("books").unsubscribe("*");
    const before = everybody.left;
    await guest.collection("messages").unsubscribe("*");
    await say({ text: "to nobody" });
    await later.said("others hear it", "create", "to nobody");
    equal("who left does not", everybody.left, before);
    ok("without subscriptions there is no connection", !guest.realtime.isConnected);
    await refused("no subscriptions for a stranger", root.send("/api/realtime", { method: "POST", body: { clientId: "unknown", subscriptions: [] } }), 404);
    for (const client of [ben, anna, root, late]) {
        await client.realtime.unsubscribe();
    }
}
