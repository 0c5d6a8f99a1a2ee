// The operator signs in.

import { equal, has, ok, refused } from "../check.js";

export async function opening(day) {
    const { root } = day;
    const guest = day.client();

    has("health for a guest", await guest.health.check(), { code: 200, data: {} });
    await refused("a guest sees no settings", guest.settings.getAll(), 401);
    await refused("a guest sees no collections", guest.collections.getFullList(), 401);

    const superusers = guest.collection("_superusers");
    await refused("a wrong password", superusers.authWithPassword(day.email, "wrong-password"), 400, {});
    await refused("no identity", superusers.authWithPassword("", ""), 400, {
        identity: "validation_required",
        password: "validation_required",
    });
    ok("who failed is not signed in", !guest.authStore.isValid);

    const signedIn = await root.collection("_superusers").authWithPassword(day.email, day.password);
    has("the superuser's record", signedIn.record, {
        email: day.email,
        verified: true,
        collectionName: "_superusers",
        collectionId: "pbc_3142635823",
    });
    ok("its password and token key stay inside", !("password" in signedIn.record || "tokenKey" in signedIn.record));
    ok("the SDK takes the token for valid", root.authStore.isValid && root.authStore.isSuperuser);

    const refreshed = await root.collection("_superusers").authRefresh();
    ok("a refreshed token", refreshed.token.split(".").length === 3, refreshed.token);
    equal("the refreshed record", refreshed.record.id, signedIn.record.id);

    const health = await root.health.check();
    equal("health for a superuser", Object.keys(health.data).sort(), [
        "canBackup",
        "possibleProxyHeader",
        "realIP",
    ]);
    equal("where the superuser calls from", health.data.realIP, "127.0.0.1");
}
