// The evening: what the day has made goes.

import { equal, has, ok, refused } from "../check.js";

export async function cleanUp(day) {
    const { root, anna } = day;
    equal("an account goes", await anna.collection("members").delete(day.annaId), true);
    await refused("with its shelves", root.collection("shelves").getOne(day.shelf.id), 404);
    ok("and their books", (await root.collection("books").getList(1, 1, { filter: "shelf != ''" })).totalItems === 0);
    ok("signed out by the SDK", !anna.authStore.isValid);
    await refused("what is referred to stays", root.collections.delete("books"), 400);
    const kept = (await root.collections.getFullList()).filter((collection) => collection.system || ["users", "coredns_records"].includes(collection.name));
    await root.collections.import(kept, true);
    equal("an import that removes the others", (await root.collections.getFullList({ filter: "system = false", sort: "name" })).map((collection) => collection.name), kept.filter((collection) => !collection.system).map((collection) => collection.name).sort());
    has("settings stay", (await root.settings.getAll()).meta, { appName: "Library" });
    root.authStore.clear();
    await refused("signed out", root.collections.getFullList(), 401);
}
