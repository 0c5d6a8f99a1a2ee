// Who may do what: guest, reader, writer, owner, superuser.

import { equal, has, ok, refused } from "../check.js";

export async function rules(day) {
    const { root, anna, ben } = day;
    const guest = day.client();

    await refused("a guest makes no shelf", guest.collection("shelves").create({ title: "Mine" }), 400, {});
    await refused("nor one for another", ben.collection("shelves").create({ title: "Hers", owner: day.annaId }), 400, {});
    await refused("a reader makes no book", ben.collection("books").create({ title: "By Ben" }), 400, {});
    await refused("a reader changes none", ben.collection("books").update(day.book, { title: "By Ben" }), 404);
    await refused("nor takes one away", ben.collection("books").delete(day.book), 404);
    has("a guest reads them", await guest.collection("books").getOne(day.book), { id: day.book });
    await refused("a book that is not there", guest.collection("books").getOne("missing00000000"), 404);
    await refused("an empty id is refused by the SDK itself", guest.collection("books").getOne(""), 404);
    await refused("a collection that is not there", guest.collection("nowhere").getList(), 404);

    await root.collections.create({
        name: "drawers",
        fields: [
            { name: "text", type: "text" },
            { name: "step", type: "number" },
            { name: "locked", type: "bool" },
        ],
        createRule: "@request.body.locked:isset = false && text != ''",
        viewRule: "@request.headers.x_key = 'open' || @request.query.key = 'open'",
        updateRule: "@request.body.text:changed = false && @request.body.step > step",
        deleteRule: "locked = false",
    });
    const own = guest.collection("drawers");
    await refused("a rule on what the request brings", own.create({ text: "a", locked: false }), 400, {});
    await refused("a rule on what the record would be", own.create({ text: "" }), 400, {});
    await refused("no list rule: superusers only", own.getList(), 403);
    // Whoever may create gets the record back, whatever the view rule says.
    const drawer = await own.create({ text: "a" });
    has("what the rule lets through", drawer, { text: "a", step: 0, locked: false });
    await refused("a rule on a header", own.getOne(drawer.id), 404);
    has("with the header", await own.getOne(drawer.id, { headers: { "X-Key": "open" } }), { text: "a" });
    has("with the query", await own.getOne(drawer.id, { query: { key: "open" } }), { text: "a" });
    await refused("a step back", own.update(drawer.id, { step: -1 }), 404);
    await refused("another text", own.update(drawer.id, { step: 1, text: "b" }), 404);
    has("the same text, a step on", await own.update(drawer.id, { step: 1, text: "a" }), { step: 1 });
    await root.collection("drawers").update(drawer.id, { locked: true });
    await refused("locked", own.delete(drawer.id), 404);
    await root.collection("drawers").update(drawer.id, { locked: false });
    equal("unlocked", await own.delete(drawer.id), true);

    await root.collections.update("drawers", { deleteRule: null, viewRule: "", createRule: null });
    await refused("closed to all but superusers", own.create({ text: "a" }), 403);
    await refused("for members, too", anna.collection("drawers").create({ text: "a" }), 403);

    // Only who may write gets in: authRule.
    await root.collections.update("members", { authRule: "verified = true" });
    await refused("a rule on signing in", guest.collection("members").authWithPassword("ben", "another password"), 403);
    ok("who is verified", (await guest.collection("members").authWithPassword("hanna@example.com", "a long password")).token !== "");
    await root.collections.update("members", { authRule: "", manageRule: "@request.auth.role = 'writer' && @request.auth.collectionName = 'members'", updateRule: "@request.auth.id != ''" });
    await anna.collection("members").authWithPassword("hanna@example.com", "a long password");
    await ben.collection("members").authWithPassword("ben", "another password");
    has("who manages may verify", await anna.collection("members").update(day.benId, { verified: true }), { verified: true });
    await refused("who does not, not", ben.collection("members").update(day.annaId, { verified: false }), 400, {
        verified: "validation_values_mismatch",
    });
    await root.collections.update("members", { manageRule: null, updateRule: "id = @request.auth.id" });
    // A change of `authRule` or by another to `verified` may have ended the tokens.
    await ben.collection("members").authWithPassword("ben", "another password");
}
