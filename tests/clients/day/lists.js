// Lists: pages, filters, order, parts of records.

import { equal, has, ok, refused } from "../check.js";

export async function lists(day) {
    const { root } = day;
    const guest = day.client();
    await root.collections.create({
        name: "stock",
        fields: [
            { name: "name", type: "text" },
            { name: "count", type: "number" },
            { name: "tags", type: "select", values: ["a", "b", "c"], maxSelect: 3 },
            { name: "at", type: "date" },
            { name: "data", type: "json" },
            { name: "place", type: "geoPoint" },
            { name: "text", type: "editor" },
        ],
        indexes: ["CREATE INDEX idx_stock_count ON stock (count, name)"],
        listRule: "",
        viewRule: "",
    });
    const stock = root.collection("stock");
    for (let at = 0; at < 25; at += 1) {
        await stock.create({
            name: `item ${String(at).padStart(2, "0")}`,
            count: at % 10,
            tags: ["a", "b", "c"].slice(0, at % 4),
            at: new Date(Date.UTC(2026, 0, 1 + at)),
            data: { half: at / 2, list: [at, { deep: `d${at}` }], odd: at % 2 === 1 },
            place: { lon: at, lat: 0 },
            text: at === 0 ? `<p>It's ${"word ".repeat(20)}</p>` : "",
        });
    }
    const open = guest.collection("stock");
    const names = async (filter, options = {}) =>
        (await open.getFullList({ filter, sort: "name", ...options })).map((item) => Number(item.name.slice(5)));

    const page = await open.getList(2, 10, { sort: "name" });
    has("a page", page, { page: 2, perPage: 10, totalItems: 25, totalPages: 3 });
    equal("its first", page.items[0].name, "item 10");
    has("without totals", await open.getList(1, 10, { skipTotal: true }), { totalItems: -1, totalPages: -1 });
    equal("the last page", (await open.getList(3, 10)).items.length, 5);
    equal("a page behind the last", (await open.getList(9, 10)).items, []);
    equal("all, in batches", (await open.getFullList({ batch: 7, sort: "name" })).length, 25);
    equal("downwards", (await open.getList(1, 3, { sort: "-count,name" })).items.map((item) => item.name), ["item 09", "item 19", "item 08"]);
    equal("in the order of making", (await open.getList(1, 2, { sort: "@rowid" })).items.map((item) => item.name), ["item 00", "item 01"]);
    equal("in any order", (await open.getList(1, 50, { sort: "@random" })).items.length, 25);

    has("the first", await open.getFirstListItem("count = 3", { sort: "-name" }), { name: "item 23" });
    await refused("no first", open.getFirstListItem("count = 99"), 404);

    equal("equal", await names("count = 3"), [3, 13, 23]);
    equal("between", await names("count >= 4 && count < 5 || name = 'item 00'"), [0, 4, 14, 24]);
    equal("in brackets", await names("(count = 1 || count = 2) && name ~ 'item 1'"), [11, 12]);
    equal("like", await names("name ~ '%5'"), [5, 15]);
    equal("unlike", await names("name !~ 'item 0' && name !~ 'item 1'"), [20, 21, 22, 23, 24]);
    equal("any of several", await names("tags:each ?= 'c' && count < 4"), [3, 11, 23]);
    equal("each of several", await names("tags:each = 'a'"), [1, 5, 9, 13, 17, 21]);
    equal("how many", await names("tags:length = 2 && count < 5"), [2, 10, 14, 22]);
    equal("in small letters", await names("name:lower = 'item 07'"), [7]);
    equal("within JSON", await names("data.half > 11 && data.odd = true"), [23]);
    equal("deep within JSON", await names("data.list.1.deep = 'd6'"), [6]);
    equal("within a place", await names("place.lon > 22"), [23, 24]);
    equal("near", await names("geoDistance(place.lon, place.lat, 5, 0) < 120"), [4, 5, 6]);
    equal("of a month", await names("strftime('%d', at) = '05'"), [4]);
    equal("a remark", await names("count = 9 // all of them\n&& name != 'item 09'"), [19]);
    equal("before now", await names("at < '2026-01-03'"), [0, 1]);
    equal("macros", (await names("at < @now && @year >= 2026 && @yesterday < @todayStart && @tomorrow > @now")).length, 25);

    const sure = (text, values) => names(guest.filter(text, values));
    equal("a number for a place", await sure("count = {:count}", { count: 8 }), [8, 18]);
    equal("a text for a place", await sure("name = {:name}", { name: "item 02" }), [2]);
    equal("a quote for a place", await sure("name = {:name}", { name: "it's \\' || 1=1" }), []);
    equal("a date for a place", await sure("at = {:at}", { at: new Date(Date.UTC(2026, 0, 9)) }), [8]);
    equal("true and null for a place", await sure("data.odd = {:odd} && data.none = {:none} && count = 1", { odd: true, none: null }), [1, 11, 21]);

    equal("some fields", (await open.getList(1, 1, { sort: "name", fields: "name,count" })).items, [{ name: "item 00", count: 0 }]);
    equal("and of JSON", (await open.getOne((await open.getFirstListItem("count = 7", { sort: "name" })).id, { fields: "data.half" })), { data: { half: 3.5 } });
    equal("an excerpt", (await open.getFirstListItem("name = 'item 00'", { fields: "text:excerpt(14,true)" })).text, "It's word word...");

    await refused("a filter that is none", open.getList(1, 1, { filter: "count = " }), 400);
    await refused("of a field that is none", open.getList(1, 1, { filter: "missing = 1" }), 400);
    await refused("an order that is none", open.getList(1, 1, { sort: "missing" }), 400);
    await refused("a page that is none", open.getList("x", 1), 400);
    await refused("what guests do not look into", open.getList(1, 1, { filter: "@collection.members.nick = 'ben'" }), 403);
    await refused("nor sort by", open.getList(1, 1, { sort: "@request.auth.id" }), 403);
    await refused("a hidden field", guest.collection("books").getList(1, 1, { filter: "secret = 'unseen'" }), 400);
    equal("a superuser looks anywhere", (await stock.getList(1, 1, { filter: "@collection.members.nick ?= 'ben'" })).totalItems, 25);
    ok("no filter finds all", (await names("")).length === 25);
}
