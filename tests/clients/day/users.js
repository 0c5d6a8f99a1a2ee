// People sign up, sign in, change what is theirs, and are signed out.

import { equal, has, ok, refused } from "../check.js";

const PASSWORD = "a long password";

export async function users(day) {
    const { root } = day;
    const guest = day.client();
    const members = guest.collection("members");

    const methods = await members.listAuthMethods();
    equal("ways to sign in", [methods.password.enabled, methods.password.identityFields], [true, ["email", "nick"]]);
    equal("ways that are off", [methods.oauth2.enabled, methods.mfa.enabled, methods.otp.enabled], [false, false, false]);

    const anna = await members.create({
        email: "anna@example.com",
        password: PASSWORD,
        passwordConfirm: PASSWORD,
        nick: "Anna",
        role: "writer",
    });
    has("a guest signs up", anna, { nick: "Anna", role: "writer", verified: false, collectionName: "members" });
    ok("an address is nobody else's business", !("email" in anna) && !("password" in anna), anna);
    const ben = await members.create({
        email: "ben@example.com",
        emailVisibility: true,
        password: PASSWORD,
        passwordConfirm: PASSWORD,
        nick: "ben",
        role: "reader",
    });
    equal("who shows it is seen", ben.email, "ben@example.com");

    const again = { email: "Anna@example.com", password: PASSWORD, passwordConfirm: PASSWORD, nick: "other" };
    await refused("an address twice", members.create({ ...again, email: "anna@example.com" }), 400, {
        email: "validation_not_unique",
    });
    await refused("a nick twice, in other letters", members.create({ ...again, email: "x@example.com", nick: "ANNA" }), 400, {
        nick: "validation_not_unique",
    });
    await refused("a short password", members.create({ ...again, email: "x@example.com", password: "short", passwordConfirm: "short" }), 400, {
        password: "validation_min_text_constraint",
    });
    await refused("a password mistyped", members.create({ ...again, email: "x@example.com", passwordConfirm: "something else" }), 400, {
        passwordConfirm: "validation_values_mismatch",
    });
    await refused("no nick and no address", members.create({ password: PASSWORD, passwordConfirm: PASSWORD }), 400, {
        email: "validation_required",
        nick: "validation_required",
    });
    await refused("verified by oneself", members.create({ ...again, email: "x@example.com", verified: true }), 400, {
        verified: "validation_values_mismatch",
    });

    day.anna = day.client();
    day.ben = day.client();
    const auth = await day.anna.collection("members").authWithPassword("anna@example.com", PASSWORD);
    has("Anna signs in by address", auth.record, { id: anna.id, email: "anna@example.com" });
    ok("with a valid token", day.anna.authStore.isValid && !day.anna.authStore.isSuperuser);
    has("Ben signs in by nick", (await day.ben.collection("members").authWithPassword("BEN", PASSWORD)).record, { id: ben.id });
    await refused("a wrong password", members.authWithPassword("anna@example.com", "wrong password"), 400, {});
    await refused("nobody", members.authWithPassword("nobody@example.com", PASSWORD), 400, {});
    await refused("members are no superusers", day.anna.collections.getFullList(), 403);
    await refused("and are not in another collection", day.anna.collection("users").authRefresh(), 403);

    const refreshed = await day.anna.collection("members").authRefresh({ expand: "shelves_via_owner", fields: "token,record.nick" });
    equal("refreshed, in part", refreshed.record, { nick: "Anna" });
    await day.anna.collection("members").authRefresh();
    await refused("a guest has nothing to refresh", members.authRefresh(), 401);

    const seen = await day.ben.collection("members").getOne(anna.id);
    ok("Ben sees Anna without her address", seen.nick === "Anna" && !("email" in seen), seen);
    equal("a superuser sees it", (await root.collection("members").getOne(anna.id)).email, "anna@example.com");
    equal("a guest lists nobody", (await members.getList()).totalItems, 0);
    equal("a member lists all", (await day.ben.collection("members").getList()).totalItems, 2);
    equal("who hides the address is not found by it", (await day.ben.collection("members").getList(1, 10, { filter: "email ~ 'example.com'" })).totalItems, 1);

    await refused("Ben does not change Anna", day.ben.collection("members").update(anna.id, { nick: "Hanna" }), 404);
    const renamed = await day.anna.collection("members").update(anna.id, { nick: "Hanna" });
    equal("Anna does", renamed.nick, "Hanna");
    equal("her store follows", day.anna.authStore.record.nick, "Hanna");
    await refused("an address is not changed like that", day.anna.collection("members").update(anna.id, { email: "new@example.com" }), 400, {
        email: "validation_values_mismatch",
    });

    const change = { password: "another password", passwordConfirm: "another password" };
    await refused("a new password needs the old", day.ben.collection("members").update(ben.id, change), 400, {
        oldPassword: "validation_required",
    });
    await refused("the right one", day.ben.collection("members").update(ben.id, { ...change, oldPassword: "wrong" }), 400, {
        oldPassword: "validation_invalid_old_password",
    });
    const token = day.ben.authStore.token;
    await day.ben.collection("members").update(ben.id, { ...change, oldPassword: PASSWORD });
    day.ben.authStore.save(token, ben);
    await refused("a new password ends old tokens", day.ben.collection("members").authRefresh(), 401);
    await refused("and the old password", members.authWithPassword("ben", PASSWORD), 400);
    await day.ben.collection("members").authWithPassword("ben", "another password");
    ok("the new one signs in", day.ben.authStore.isValid);

    const instead = await root.collection("members").impersonate(ben.id, 600);
    ok("a superuser as Ben", instead.authStore.isValid && instead.authStore.record.id === ben.id);
    equal("does what Ben may", (await instead.collection("members").getOne(ben.id)).email, "ben@example.com");
    await refused("and no more", instead.collections.getFullList(), 403);
    const asked = await instead.collection("members").authRefresh();
    equal("and not for longer", asked.token, instead.authStore.token);
    await refused("nobody else impersonates", day.anna.collection("members").impersonate(ben.id, 600), 403);

    await root.collection("members").update(anna.id, { verified: true, email: "hanna@example.com" });
    has("a superuser changes all of it", await root.collection("members").getOne(anna.id), { verified: true, email: "hanna@example.com" });
    await refused("which ended her tokens", day.anna.collection("members").authRefresh(), 401);
    await day.anna.collection("members").authWithPassword("hanna@example.com", PASSWORD);

    // The collection that is there from the start.
    const standard = await guest.collection("users").create({
        email: "carl@example.com",
        password: PASSWORD,
        passwordConfirm: PASSWORD,
        name: "Carl",
    });
    const carl = day.client();
    await carl.collection("users").authWithPassword("carl@example.com", PASSWORD);
    equal("a user sees oneself only", (await carl.collection("users").getFullList()).map((user) => user.id), [standard.id]);
    equal("an account is closed", await carl.collection("users").delete(standard.id), true);
    await refused("and its token with it", carl.collection("users").authRefresh(), 401);
    const file = await day.anna.files.getToken();
    ok("a token for files", file.split(".").length === 3, file);

    day.annaId = anna.id;
    day.benId = ben.id;
}
