// A record with a field of every type: written, read, modified, refused.

import { equal, has, ok, refused } from "../check.js";

export async function fields(day) {
    const { root, anna } = day;
    const shelf = await anna.collection("shelves").create({ title: "Hall", owner: day.annaId });
    equal("a shelf of one's own", shelf.owner, day.annaId);
    const books = anna.collection("books");

    const full = {
        title: "A Field Guide",
        code: "guide-1",
        summary: "<p>All <b>fields</b></p>",
        pages: 321,
        price: 12.75,
        lent: true,
        contact: "shop@example.com",
        site: "https://example.com/guide?x=1",
        bought: "2026-02-03 04:05:06.789Z",
        kind: "manual",
        tags: ["old", "red"],
        shelf: shelf.id,
        readers: [day.annaId, day.benId],
        extra: { a: [1, 2.5, null, true, { b: "ü" }] },
        found: { lon: 13.4, lat: 52.5 },
    };
    const book = await books.create({ ...full, lock: "4711", secret: "unseen" });
    has("what went in comes out", book, full);
    ok("an id", /^[a-z0-9]{15}$/.test(book.id), book.id);
    ok("dates come by themselves", /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z$/.test(book.created) && book.created === book.updated, book);
    has("where it belongs", book, { collectionId: day.books.id, collectionName: "books" });
    ok("hidden fields stay hidden", !("secret" in book), book);
    equal("and cannot be written", (await root.collection("books").getOne(book.id)).secret, "");
    equal("but by a superuser", (await root.collection("books").update(book.id, { secret: "unseen" })).secret, "unseen");
    ok("a password is not shown", ![full, book].some((record) => record.lock === "4711"), book);
    has("it is read as it was answered", await books.getOne(book.id), full);

    const bare = await books.create({ title: "Bare" });
    has("zero values", bare, {
        summary: "",
        pages: 0,
        price: 0,
        lent: false,
        contact: "",
        site: "",
        bought: "",
        kind: "",
        tags: [],
        shelf: "",
        readers: [],
        extra: null,
        found: { lon: 0, lat: 0 },
    });
    ok("an empty text is generated", /^[a-z]{5}-[0-9]{5}$/.test(bare.code), bare.code);

    const id = "abcdefghij12345";
    equal("an id of one's own", (await books.create({ id, title: "Own" })).id, id);
    await refused("an id twice", books.create({ id, title: "Own" }), 400, { id: "validation_not_unique" });

    // What is no value of its type.
    const bad = async (what, body, codes) => refused(what, books.create({ title: "Bad", ...body }), 400, codes);
    await bad("no title", { title: "" }, { title: "validation_required" });
    await bad("too long", { title: "x".repeat(101) }, { title: "validation_max_text_constraint" });
    await bad("not the pattern", { code: "Nope" }, { code: "validation_invalid_format" });
    await bad("a code twice", { code: "guide-1" }, { code: "validation_not_unique" });
    await bad("too many pages", { pages: 5001 }, { pages: "validation_max_number_constraint" });
    await bad("half a page", { pages: 1.5 }, { pages: "validation_only_int_constraint" });
    await bad("no address", { contact: "nobody" }, { contact: "validation_is_email" });
    await bad("a domain that is excepted", { contact: "a@spam.example" }, { contact: "validation_email_domain_not_allowed" });
    await bad("no URL", { site: "example" }, { site: "validation_invalid_url" });
    await bad("no such kind", { kind: "film" }, { kind: "validation_invalid_value" });
    await bad("too many tags", { tags: ["old", "new", "red", "blue"] }, { tags: "validation_too_many_values" });
    await bad("no such shelf", { shelf: "missing00000000" }, { shelf: "validation_missing_rel_records" });
    await bad("off the globe", { found: { lon: 200, lat: 1 } }, { found: "validation_invalid_longitude" });
    await bad("several at once", { title: "", pages: 6000, kind: "x" }, {
        title: "validation_required",
        pages: "validation_max_number_constraint",
        kind: "validation_invalid_value",
    });

    // Modifiers.
    const change = async (body) => books.update(book.id, body);
    equal("more pages", (await change({ "pages+": 9 })).pages, 330);
    equal("fewer pages", (await change({ "pages-": 30 })).pages, 300);
    equal("a tag behind", (await change({ "tags+": "blue" })).tags, ["old", "red", "blue"]);
    equal("tags away", (await change({ "tags-": ["old", "red"] })).tags, ["blue"]);
    equal("a tag before", (await change({ "+tags": "new" })).tags, ["new", "blue"]);
    equal("a reader away", (await change({ "readers-": day.annaId })).readers, [day.benId]);
    equal("a reader before", (await change({ "+readers": day.annaId })).readers, [day.annaId, day.benId]);
    ok("a code generated behind a prefix", /^no[a-z]{5}-[0-9]{5}$/.test((await change({ "code:autogenerate": "no" })).code));
    equal("a date of another form", (await change({ bought: "2026-03-04T05:06:07+02:00" })).bought, "2026-03-04 03:06:07.000Z");
    equal("no date", (await change({ bought: null })).bought, "");
    equal("a number as text", (await change({ price: "3.5" })).price, 3.5);
    equal("JSON as text", (await change({ extra: '{"c":[]}' })).extra, { c: [] });
    equal("a text as JSON", (await change({ extra: "plain" })).extra, "plain");
    equal("what no field has is left out", "nothing" in (await change({ nothing: 1 })), false);
    const after = await change({ created: "2001-01-01 00:00:00.000Z", lent: false });
    equal("a date of making stays", after.created, book.created);
    ok("a date of change moves", after.updated > book.updated, [after.updated, book.updated]);
    await refused("a change that cannot be", change({ pages: 5001, title: null }), 400, {
        pages: "validation_max_number_constraint",
        title: "validation_required",
    });
    equal("changes nothing", (await books.getOne(book.id)).pages, 300);

    // As a form.
    const form = new FormData();
    form.append("title", "From a form");
    form.append("pages", "77");
    form.append("lent", "true");
    form.append("tags", "old");
    form.append("tags", "blue");
    form.append("extra", '{"n":1}');
    form.append("@jsonPayload", JSON.stringify({ price: 1.25, found: { lon: 1, lat: 2 } }));
    has("a form", await books.create(form), {
        title: "From a form",
        pages: 77,
        lent: true,
        tags: ["old", "blue"],
        extra: { n: 1 },
        price: 1.25,
        found: { lon: 1, lat: 2 },
    });

    day.shelf = shelf;
    day.book = book.id;
}
