// The application's collections: made, found, changed, refused, imported, removed.

import { equal, has, ok, refused } from "../check.js";

const OWN = "owner = @request.auth.id";
const CODE_INDEX = "create unique index `idx_books_code` on `books` (`code`) where `code` != ''";

export async function collections(day) {
    const { root } = day;

    const scaffolds = await root.collections.getScaffolds();
    equal("a scaffold for each type", Object.keys(scaffolds).sort(), ["auth", "base", "view"]);
    equal("a scaffold has no id", scaffolds.base.id, "");
    equal("the fields of an auth scaffold", scaffolds.auth.fields.map((field) => field.name), [
        "id",
        "password",
        "tokenKey",
        "email",
        "emailVisibility",
        "verified",
    ]);

    const members = await root.collections.create({
        name: "members",
        type: "auth",
        fields: [
            { name: "nick", type: "text", required: true, max: 20 },
            { name: "role", type: "select", values: ["reader", "writer"], maxSelect: 1 },
        ],
        indexes: ["CREATE UNIQUE INDEX idx_members_nick ON members (nick COLLATE NOCASE)"],
        listRule: "@request.auth.id != ''",
        viewRule: "@request.auth.id != ''",
        createRule: "",
        updateRule: "id = @request.auth.id",
        deleteRule: "id = @request.auth.id",
        passwordAuth: { enabled: true, identityFields: ["email", "nick"] },
        authToken: { duration: 3600 },
    });
    ok("the id of a collection", /^pbc_\d+$/.test(members.id), members.id);
    equal("an auth collection's indexes", members.indexes.length, 3);
    equal("an auth collection's own options", members.authToken, { duration: 3600 });
    equal("who may identify with what", members.passwordAuth.identityFields, ["email", "nick"]);
    equal("system fields come first", members.fields[0].name, "id");

    const shelves = await root.collections.create({
        name: "shelves",
        type: "base",
        fields: [
            { name: "title", type: "text", required: true, min: 2, max: 50 },
            { name: "owner", type: "relation", collectionId: members.id, maxSelect: 1, cascadeDelete: true },
        ],
        listRule: "",
        viewRule: "",
        createRule: `@request.auth.id != '' && ${OWN}`,
        updateRule: OWN,
        deleteRule: OWN,
    });
    equal("rules are kept as they are written", shelves.updateRule, OWN);
    equal("a collection has no dates that nobody asked for", shelves.fields.map((field) => field.name), [
        "id",
        "title",
        "owner",
    ]);

    const books = await root.collections.create({
        name: "books",
        type: "base",
        fields: everyField(members.id, shelves.id),
        indexes: [CODE_INDEX],
        listRule: "",
        viewRule: "",
        createRule: "@request.auth.role = 'writer'",
        updateRule: `shelf.${OWN}`,
        deleteRule: `shelf.${OWN}`,
    });
    equal("every field has its type", books.fields.map((field) => field.type), [
        "text",
        ...everyField(members.id, shelves.id).map((field) => field.type),
    ]);
    equal("an index is kept as it is written", books.indexes, [CODE_INDEX]);

    has("found by name", await root.collections.getOne("books"), { id: books.id, name: "books" });
    has("found by id", await root.collections.getOne(books.id), { id: books.id, name: "books" });
    has("found by a filter", await root.collections.getFirstListItem("name = 'members'"), { id: members.id });
    const page = await root.collections.getList(1, 2, { sort: "-name", filter: "system = false" });
    equal("a page of collections", [page.page, page.perPage, page.items.length], [1, 2, 2]);
    await refused("no such collection", root.collections.getOne("nowhere"), 404);

    await refused("a name twice", root.collections.create({ name: "BOOKS", type: "base" }), 400, {
        name: "validation_collection_name_exists",
    });
    await refused("a name with a point", root.collections.create({ name: "a.b", type: "base" }), 400, {
        name: "validation_match_invalid",
    });
    await refused("a rule that cannot be", root.collections.create({ name: "bad", listRule: "nothing = 1" }), 400, {
        listRule: "validation_invalid_rule",
    });
    await refused(
        "a field twice",
        root.collections.create({ name: "bad", fields: [{ id: "a1", name: "a", type: "text" }, { id: "a2", name: "a", type: "bool" }] }),
        400,
        { "fields.2.name": "validation_duplicated_field_name" },
    );
    await refused(
        "a select without values",
        root.collections.create({ name: "bad", fields: [{ name: "a", type: "select" }] }),
        400,
        { "fields.1.values": "validation_required" },
    );
    await refused("the type stays", root.collections.update("shelves", { type: "auth" }), 400);
    await refused("a view that is no view", root.collections.create({ name: "bad", type: "view", viewQuery: "select 1" }), 400, {
        fields: "validation_missing_primary_key",
        viewQuery: "validation_invalid_view_query",
    });
    await refused("a system collection stays", root.collections.delete("_superusers"), 400);

    const titles = await root.collections.create({
        name: "titles",
        type: "view",
        viewQuery: "SELECT b.id, b.title, s.title AS place, count(b.id) AS copies FROM books b LEFT JOIN shelves s ON s.id = b.shelf GROUP BY b.id",
        listRule: "",
    });
    equal("a view's fields are inferred", titles.fields.map((field) => [field.name, field.type]), [
        ["id", "text"],
        ["title", "text"],
        ["place", "text"],
        ["copies", "number"],
    ]);
    const tried = await root.collections.dryRunViewQuery("SELECT id, title FROM shelves");
    equal("a view is tried without being made", tried.fields.map((field) => field.name), ["id", "title"]);

    // A field under another name keeps its data, a new one gets its zero value.
    const before = await root.collection("shelves").create({ title: "to be renamed" });
    const renamed = await root.collections.update("shelves", {
        fields: [
            ...shelves.fields.map((field) => (field.name === "title" ? { ...field, name: "label" } : field)),
            { name: "height", type: "number" },
        ],
    });
    equal("a renamed field keeps its id", renamed.fields[1].id, shelves.fields[1].id);
    has("and its data", await root.collection("shelves").getOne(before.id), { label: "to be renamed", height: 0 });
    has("a view of it follows", await root.collection("titles").getList(1, 1), { totalItems: 0 });
    await root.collections.update("shelves", { fields: shelves.fields });
    has("and back", await root.collection("shelves").getOne(before.id), { title: "to be renamed" });

    // Import.
    const imported = {
        name: "notes",
        type: "base",
        fields: [
            { name: "text", type: "text" },
            { name: "created", type: "autodate", onCreate: true },
            { name: "updated", type: "autodate", onCreate: true, onUpdate: true },
        ],
        listRule: "",
    };
    equal("an import", await root.collections.import([imported]), true);
    const notes = await root.collections.getOne("notes");
    equal("what was imported", notes.fields.map((field) => field.name), ["id", "text", "created", "updated"]);
    await root.collections.import([{ ...notes, listRule: null, viewRule: "" }]);
    has("an import over what is there", await root.collections.getOne("notes"), { id: notes.id, listRule: null, viewRule: "" });
    await refused("an import of nothing", root.collections.import([]), 400, { collections: "validation_required" });
    await refused("an import that cannot be", root.collections.import([{ name: "worse", listRule: "nothing = 1" }]), 400, {
        collections: "validation_collections_import_failure",
    });

    // Truncate, delete.
    await root.collection("notes").create({ text: "one" });
    await root.collection("notes").create({ text: "two" });
    equal("two notes", (await root.collection("notes").getFullList()).length, 2);
    equal("truncated", await root.collections.truncate("notes"), true);
    equal("no notes", (await root.collection("notes").getFullList()).length, 0);
    await refused("a view cannot be truncated", root.collections.truncate("titles"), 400);
    await refused("members are referred to", root.collections.delete("members"), 400);
    equal("notes go", await root.collections.delete("notes"), true);
    await refused("notes are gone", root.collection("notes").getList(), 404);
    await root.collection("shelves").delete(before.id);

    day.members = members;
    day.books = books;
}

function everyField(members, shelves) {
    return [
        { name: "title", type: "text", required: true, max: 100 },
        { name: "code", type: "text", pattern: "^[a-z]+-[0-9]+$", autogeneratePattern: "[a-z]{5}-[0-9]{5}" },
        { name: "summary", type: "editor" },
        { name: "pages", type: "number", min: 1, max: 5000, onlyInt: true },
        { name: "price", type: "number" },
        { name: "lent", type: "bool" },
        { name: "contact", type: "email", exceptDomains: ["spam.example"] },
        { name: "site", type: "url" },
        { name: "bought", type: "date" },
        { name: "kind", type: "select", values: ["novel", "poems", "manual"], maxSelect: 1 },
        { name: "tags", type: "select", values: ["old", "new", "red", "blue"], maxSelect: 3 },
        { name: "shelf", type: "relation", collectionId: shelves, maxSelect: 1, cascadeDelete: true },
        { name: "readers", type: "relation", collectionId: members, maxSelect: 5 },
        { name: "extra", type: "json" },
        { name: "lock", type: "password", min: 4 },
        { name: "found", type: "geoPoint" },
        { name: "secret", type: "text", hidden: true },
        { name: "created", type: "autodate", onCreate: true },
        { name: "updated", type: "autodate", onCreate: true, onUpdate: true },
    ];
}
