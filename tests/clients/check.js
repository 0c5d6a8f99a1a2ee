// Counting checks. A check that fails is printed and counted; the day goes on, and ends badly.

import { inspect, isDeepStrictEqual } from "node:util";
import { ClientResponseError } from "pocketbase";

/** How long an answer or an event may take on a busy machine, in milliseconds. */
const PATIENCE = 20_000;

let done = 0;
const failures = [];

function count(holds, what, detail) {
    done += 1;
    if (!holds) {
        failures.push(what);
        console.error(`FAILED: ${what}\n    ${detail.replaceAll("\n", "\n    ")}`);
    }
}

const show = (value) => inspect(value, { depth: 8, breakLength: 110, maxArrayLength: 20 });

export function ok(what, holds, seen = holds) {
    count(holds === true, what, `saw ${show(seen)}`);
}

/** Plain equality of values; of records and lists, too. */
export function equal(what, actual, expected) {
    const [a, e] = [plain(actual), plain(expected)];
    count(isDeepStrictEqual(a, e), what, `saw  ${show(a)}\nwant ${show(e)}`);
}

/** The named keys of `actual`, and no word about the others. */
export function has(what, actual, expected) {
    const part = Object.fromEntries(Object.keys(expected).map((key) => [key, actual?.[key]]));
    equal(what, part, expected);
}

/**
 * The promise is refused with this status and, when given, these codes of fields.
 * A nested place is written with points: `requests.1.response.data.title`.
 */
export async function refused(what, promise, status, codes) {
    let error;
    try {
        const answer = await promise;
        return count(false, what, `was not refused: ${show(answer)}`);
    } catch (thrown) {
        error = thrown;
    }
    if (!(error instanceof ClientResponseError)) {
        throw error;
    }
    const seen = { status: error.status };
    const want = { status };
    if (codes) {
        seen.codes = Object.fromEntries(codesOf(error.response?.data ?? {}));
        want.codes = codes;
    }
    count(isDeepStrictEqual(seen, want), what, `saw  ${show(seen)}\nwant ${show(want)}\n${error.response?.message}`);
}

function codesOf(data, place = "") {
    return Object.entries(data).flatMap(([key, value]) => {
        const here = place + key;
        if (value === null || typeof value !== "object") return [];
        if (typeof value.code === "string" && !("response" in value)) return [[here, value.code]];
        return codesOf(value, `${here}.`);
    });
}

function plain(value) {
    return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

/** Fails when `promise` needs longer than anything here may take. */
export function inTime(what, promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what}: nothing came in ${PATIENCE} ms`)), PATIENCE);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Runs one part of the day; what it throws is a failure like a check's. */
export async function part(name, run) {
    const before = done;
    try {
        await run();
    } catch (error) {
        const detail = error instanceof ClientResponseError ? show(error.response) : "";
        count(false, `${name}: broke off`, `${error.stack}\n${error.url ?? ""} ${detail}`);
    }
    console.log(`${name}: ${done - before} checks`);
}

/** Says how it went; the exit code does too. */
export function close() {
    console.log(`${done} checks, ${failures.length} failed`);
    process.exitCode = failures.length > 0 ? 1 : 0;
}
