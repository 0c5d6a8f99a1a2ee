// The operator's side: settings, logs, jobs.

import { equal, has, ok, refused } from "../check.js";

export async function server(day) {
    const { root, anna } = day;

    const settings = await root.settings.getAll();
    ok("settings by subject", ["meta", "logs", "batch", "rateLimits", "trustedProxy", "smtp", "s3", "backups"].every((key) => key in settings), Object.keys(settings));
    await refused("not for members", anna.settings.getAll(), 403);
    const changed = await root.settings.update({ meta: { appName: "Library", appURL: "https://library.example" }, logs: { minLevel: 0, maxDays: 3 } });
    has("changed", changed.meta, { appName: "Library", appURL: "https://library.example", senderName: settings.meta.senderName });
    has("and kept", (await root.settings.getAll()).logs, { minLevel: 0, maxDays: 3 });
    await root.settings.update({ smtp: { password: "hidden away" } });
    ok("a secret is not shown again", !JSON.stringify(await root.settings.getAll()).includes("hidden away"));
    await refused("a setting that cannot be", root.settings.update({ meta: { appName: "", appURL: "nothing" } }), 400, {
        "meta.appName": "validation_required",
        "meta.appURL": "validation_is_url",
    });
    equal("changes nothing", (await root.settings.getAll()).meta.appName, "Library");

    await root.settings.update({ rateLimits: { enabled: true, rules: [{ label: "stock:list", maxRequests: 2, duration: 60, audience: "" }] } });
    const guest = day.client();
    await guest.collection("stock").getList(1, 1);
    await guest.collection("stock").getList(1, 1);
    await refused("too many in a while", guest.collection("stock").getList(1, 1), 429);
    await root.settings.update({ rateLimits: { enabled: false } });
    ok("and no longer", (await guest.collection("stock").getList(1, 1)).totalItems === 25);

    // Logs are written in batches, so what has just happened may take some seconds.
    await refused("something to be logged", guest.send("/api/nothing-here", {}), 404);
    const filter = "data.url ~ 'nothing-here'";
    let logs;
    const end = Date.now() + 20_000;
    do {
        logs = await root.logs.getList(1, 5, { filter, sort: "-created" });
    } while (logs.totalItems === 0 && Date.now() < end && (await new Promise((resolve) => setTimeout(resolve, 200, true))));
    equal("it is logged", logs.totalItems, 1);
    has("with what was asked", logs.items[0].data, { method: "GET", status: 404, type: "request" });
    has("a single entry", await root.logs.getOne(logs.items[0].id), { id: logs.items[0].id, message: logs.items[0].message });
    equal("counted by the hour", (await root.logs.getStats({ filter })).map((hour) => hour.total), [1]);
    await refused("no such entry", root.logs.getOne("missing00000000"), 404);
    await refused("logs are not for members", anna.logs.getList(), 403);

    const jobs = await root.crons.getFullList();
    ok("jobs of the system", jobs.some((job) => job.id === "__pbLogsCleanup__" && job.expression === "0 */6 * * *"), jobs);
    equal("one is run", await root.crons.run("__pbLogsCleanup__"), true);
    await refused("another is not there", root.crons.run("nothing"), 404);
    await refused("jobs are not for members", anna.crons.getFullList(), 403);
}
