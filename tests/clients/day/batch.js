// Several writes in one transaction.

import { equal, has, refused } from "../check.js";

export async function batch(day) {
    const { root, anna } = day;
    const books = anna.collection("books");

    const early = anna.createBatch();
    early.collection("books").create({ title: "Early" });
    await refused("batches are off at first", early.send(), 403);
    has("they are switched on", (await root.settings.update({ batch: { enabled: true, maxRequests: 5 } })).batch, {
        enabled: true,
        maxRequests: 5,
    });

    const gone = await books.create({ title: "Gone soon", shelf: day.shelf.id });
    const upsert = "upsert000000001";
    const work = anna.createBatch();
    work.collection("books").create({ title: "In a batch", tags: ["new"] }, { fields: "id,title", expand: "shelf" });
    work.collection("books").update(day.book, { "pages+": 1 });
    work.collection("books").upsert({ id: upsert, title: "Made", shelf: day.shelf.id });
    work.collection("books").upsert({ id: upsert, title: "Made again" });
    work.collection("books").delete(gone.id);
    const results = await work.send();
    equal("each has its status", results.map((result) => result.status), [200, 200, 200, 200, 204]);
    equal("in parts, when asked for", Object.keys(results[0].body).sort(), ["id", "title"]);
    equal("a change", results[1].body.pages, 301);
    equal("made, then changed", [results[2].body.title, results[3].body.title], ["Made", "Made again"]);
    has("as others see it", await books.getOne(upsert), { title: "Made again", shelf: day.shelf.id });
    await refused("taken away", books.getOne(gone.id), 404);

    const bad = anna.createBatch();
    bad.collection("books").create({ title: "Rolled back" });
    bad.collection("books").create({ title: "", pages: 9000 });
    await refused("one that fails", bad.send(), 400, {
        "requests.1.response.data.pages": "validation_max_number_constraint",
        "requests.1.response.data.title": "validation_required",
    });
    equal("takes the others with it", (await books.getList(1, 1, { filter: "title = 'Rolled back'" })).totalItems, 0);

    const much = anna.createBatch();
    for (let at = 0; at < 6; at += 1) {
        much.collection("books").create({ title: `Much ${at}` });
    }
    await refused("too many at once", much.send(), 400, { requests: "validation_length_too_long" });
    const strange = day.client().createBatch();
    strange.collection("books").create({ title: "By a guest" });
    await refused("a guest may no more in a batch", strange.send(), 400);
    await refused("an empty one", anna.createBatch().send(), 400, { requests: "validation_required" });
}
