// Relations: along them, back along them, and what happens when one end goes.

import { equal, has, ok, refused } from "../check.js";

export async function relations(day) {
    const { root, anna } = day;
    const guest = day.client();
    const books = anna.collection("books");
    for (const title of ["First", "Second", "Third"]) {
        await books.create({ title, shelf: day.shelf.id, readers: [day.annaId, day.benId] });
    }

    const one = await books.getFirstListItem("title = 'First'", { expand: "shelf.owner,readers" });
    equal("along a relation", one.expand.shelf.title, "Hall");
    equal("along two", one.expand.shelf.expand.owner.nick, "Hanna");
    equal("along one to several", one.expand.readers.map((member) => member.nick), ["Hanna", "ben"]);
    const other = one.expand.readers.find((member) => member.id === day.benId);
    equal("a shown address is shown there, too", other.email, "ben@example.com");
    const shut = await guest.collection("books").getOne(one.id, { expand: "shelf,readers" });
    ok("what a guest may not see is not expanded", shut.expand.shelf.title === "Hall" && !("readers" in shut.expand), shut.expand);

    const shelf = await anna.collection("shelves").getOne(day.shelf.id, { expand: "books_via_shelf" });
    equal("back along it", shelf.expand.books_via_shelf.map((book) => book.title).sort(), [
        "A Field Guide",
        "First",
        "Second",
        "Third",
    ]);
    const member = await anna.collection("members").getOne(day.annaId, { expand: "shelves_via_owner.books_via_shelf" });
    equal("back along two", member.expand.shelves_via_owner[0].expand.books_via_shelf.length, 4);
    equal("in parts", await books.getOne(one.id, { expand: "shelf.owner", fields: "title,expand.shelf.title,expand.shelf.expand.owner.nick" }), {
        title: "First",
        expand: { shelf: { title: "Hall", expand: { owner: { nick: "Hanna" } } } },
    });
    equal("what is no relation is not expanded", "expand" in (await books.getOne(one.id, { expand: "title,nothing" })), false);
    equal("expanded as it is made", (await books.create({ title: "Fourth", shelf: day.shelf.id }, { expand: "shelf" })).expand.shelf.id, day.shelf.id);

    const titles = async (filter, client = anna) =>
        (await client.collection("books").getFullList({ filter, sort: "title" })).map((book) => book.title);
    equal("a filter along them", await titles("shelf.owner.nick = 'Hanna' && title ~ 'ir'"), ["First", "Third"]);
    equal("all at the other ends", await titles("readers.nick = 'ben'"), []);
    equal("any at the other ends", await titles("readers.nick ?= 'ben'"), ["A Field Guide", "First", "Second", "Third"]);
    equal("how many there are", await titles("readers:length = 2 && title != 'First'"), ["A Field Guide", "Second", "Third"]);
    const owners = await anna.collection("members").getFullList({ filter: "shelves_via_owner.title ?= 'Hall'" });
    equal("a filter back along one", owners.map((found) => found.id), [day.annaId]);
    const sorted = await books.getFullList({ filter: "shelf != ''", sort: "-shelf.title,-title", fields: "title" });
    equal("an order along one", sorted.map((book) => book.title), ["Third", "Second", "Fourth", "First", "A Field Guide"]);
    equal("a view joins them", (await guest.collection("titles").getFirstListItem("title = 'First'")).place, "Hall");
    has("counted by it", await guest.collection("titles").getList(1, 1, { filter: "place = 'Hall'" }), { totalItems: 5 });
    await refused("a view is not written", root.collection("titles").create({ title: "x" }), 400);

    // One end goes.
    await root.collections.create({
        name: "loans",
        fields: [
            { name: "book", type: "relation", collectionId: day.books.id, maxSelect: 1, required: true },
            { name: "others", type: "relation", collectionId: day.books.id, maxSelect: 9 },
        ],
        listRule: "",
        viewRule: "",
    });
    const [first, second, third] = await Promise.all(
        ["First", "Second", "Third"].map((title) => books.getFirstListItem(guest.filter("title = {:title}", { title }))),
    );
    const loan = await root.collection("loans").create({ book: first.id, others: [second.id, third.id] });
    await refused("what is needed stays", books.delete(first.id), 400);
    equal("what is not, goes", await books.delete(second.id), true);
    has("and is forgotten", await guest.collection("loans").getOne(loan.id), { book: first.id, others: [third.id] });
    await root.collection("loans").delete(loan.id);

    const attic = await anna.collection("shelves").create({ title: "Attic", owner: day.annaId });
    const old = await books.create({ title: "Old", shelf: attic.id });
    equal("a shelf goes", await anna.collection("shelves").delete(attic.id), true);
    await refused("with its books", books.getOne(old.id), 404);
}
