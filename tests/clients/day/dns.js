// DNS records are records: made through the SDK, answered in the next datagram.

import { createSocket } from "node:dgram";

import { equal, has, inTime, ok, refused } from "../check.js";

const ZONE = "library.example";
const TYPES = { A: 1, TXT: 16 };

export async function dns(day) {
    const { root } = day;
    const records = root.collection("coredns_records");
    const ask = (name, type = "A") => query(day.dns, name, type);
    const address = (name, ip) => ({ zone: `${ZONE}.`, name, record_type: "A", ttl: 60, content: { ip } });

    equal("not a zone of ours", (await ask(`www.${ZONE}`)).rcode, "REFUSED");
    const made = await records.create(address("www", "192.0.2.1"));
    has("a DNS record", made, { zone: `${ZONE}.`, name: `www.${ZONE}.`, ttl: 60, content: { ip: "192.0.2.1" } });
    has("answered at once", await ask(`www.${ZONE}`), { rcode: "NOERROR", authoritative: true, data: ["192.0.2.1"] });
    await records.update(made.id, { content: { ip: "192.0.2.2" } });
    equal("a change", (await ask(`www.${ZONE}`)).data, ["192.0.2.2"]);
    equal("another type", (await ask(`www.${ZONE}`, "TXT")).data, []);

    const heard = [];
    let wake = () => {};
    await records.subscribe("*", (event) => {
        heard.push(`${event.action} ${event.record.name}`);
        wake();
    });
    for (let at = 0; at < 50; at += 1) {
        const record = await records.create(address(`host${at}`, `192.0.2.${at}`));
        const { data } = await ask(`host${at}.${ZONE}`);
        if (data[0] !== `192.0.2.${at}`) {
            equal(`host${at} is answered right after it was made`, data, [`192.0.2.${at}`]);
        }
        if (at % 2 === 1) {
            await records.delete(record.id);
            const { rcode } = await ask(`host${at}.${ZONE}`);
            if (rcode !== "NXDOMAIN") equal(`host${at} is gone right after it was deleted`, rcode, "NXDOMAIN");
        }
    }
    has("half of them stay", await records.getList(1, 1, { filter: "name ~ 'host%'" }), { totalItems: 25 });
    await inTime(
        "75 events",
        new Promise((resolve) => {
            wake = () => heard.length >= 75 && resolve();
            wake();
        }),
    );
    equal("heard in order", heard.slice(0, 4), [
        `create host0.${ZONE}.`,
        `create host1.${ZONE}.`,
        `delete host1.${ZONE}.`,
        `create host2.${ZONE}.`,
    ]);
    await records.unsubscribe();

    const work = root.createBatch();
    work.collection("coredns_records").create(address("b1", "192.0.2.101"));
    work.collection("coredns_records").delete(made.id);
    await work.send();
    equal("a batch: made", (await ask(`b1.${ZONE}`)).data, ["192.0.2.101"]);
    equal("a batch: gone", (await ask(`www.${ZONE}`)).rcode, "NXDOMAIN");
    const bad = root.createBatch();
    bad.collection("coredns_records").create(address("b2", "192.0.2.102"));
    bad.collection("coredns_records").create(address("b3", "no address"));
    await refused("a batch that fails", bad.send(), 400);
    equal("leaves nothing", (await ask(`b2.${ZONE}`)).rcode, "NXDOMAIN");

    await refused("no address", records.create(address("x", "300.1.1.1")), 400);
    await refused("not for guests", day.client().collection("coredns_records").getList(), 403);
    await refused("nor members", day.anna.collection("coredns_records").create(address("x", "192.0.2.9")), 403);
    const text = { zone: `${ZONE}.`, name: "@", record_type: "TXT", ttl: 60, content: { text: "open till eight" } };
    await records.create(text);
    ok("a text", (await ask(ZONE, "TXT")).data[0].includes("open till eight"));
    await root.collections.truncate("coredns_records");
    ok("a truncated collection answers nothing", (await ask(`b1.${ZONE}`)).data.length === 0);
}

/** Asks over UDP, without recursion; the answers' addresses or raw text. */
async function query(server, name, type) {
    const [host, port] = [server.slice(0, server.lastIndexOf(":")), Number(server.slice(server.lastIndexOf(":") + 1))];
    const id = Math.floor(Math.random() * 65536);
    const labels = name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
    const question = Buffer.concat([...labels, Buffer.from([0, 0, TYPES[type], 0, 1])]);
    const head = Buffer.from([id >> 8, id & 255, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    const socket = createSocket("udp4");
    try {
        const reply = inTime(
            `DNS ${name} ${type}`,
            new Promise((resolve, reject) => {
                socket.on("error", reject);
                socket.on("message", (message) => message.readUInt16BE(0) === id && resolve(message));
            }),
        );
        socket.send(Buffer.concat([head, question]), port, host);
        return read(await reply, 12 + question.length);
    } finally {
        socket.close();
    }
}

const RCODES = { 0: "NOERROR", 3: "NXDOMAIN", 5: "REFUSED" };

/** `at` is where the answers begin. */
function read(message, at) {
    const data = [];
    for (let left = message.readUInt16BE(6); left > 0; left -= 1) {
        // The owner: labels, or a pointer that ends it.
        while (message[at] !== 0 && message[at] < 192) at += message[at] + 1;
        at += message[at] === 0 ? 1 : 2;
        const type = message.readUInt16BE(at);
        const length = message.readUInt16BE(at + 8);
        const rdata = message.subarray(at + 10, at + 10 + length);
        data.push(type === TYPES.A ? rdata.join(".") : rdata.toString("latin1"));
        at += 10 + length;
    }
    const code = message[3] & 15;
    return { rcode: RCODES[code] ?? code, authoritative: (message[2] & 4) !== 0, data };
}
