// Uses the client that openapi-typescript and openapi-fetch make of the document: `client.mjs URL NAME ADMIN PASSWORD`.
// Prints what it saw as JSON.

import createClient from "openapi-fetch";

import type { components, paths } from "./schema.js";

type Event = components["schemas"]["EventView"];

declare const process: { argv: string[] };

const [baseUrl = "", username = "", admin = "", password = ""] = process.argv.slice(2);

/** Returns the data of a response, unless it is an error. */
function ok<T>({ data, error }: { data?: T; error?: components["schemas"]["Problem"] }): T {
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
}

/** Returns whether an event is of a kind. Others may have a kind that was not known when the client was generated. */
function is<K extends string>(event: Event, kind: K): event is Extract<Event, { kind: K }> {
  return event.kind === kind;
}

const anonymous = createClient<paths>({ baseUrl });
const logIn = async (username: string) => {
  const { token } = ok(await anonymous.POST("/authy/login", { body: { username, password } }));
  return createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${token}` } });
};

const email = `${username}@example.org`;
const created = ok(
  await anonymous.POST("/authy/user", { body: { username, email, password, confirm_password: password } }),
);
const me = ok(await (await logIn(username)).GET("/authy/user"));
const administrator = await logIn(admin);
const users = ok(await administrator.GET("/authy/users", { params: { query: { q: username, per_page: 1 } } }));
const path = { public_id: created.public_id };
const user = ok(await administrator.GET("/authy/user/{public_id}", { params: { path } }));

const query = { user: created.public_id, order: "asc" as const, since: "2019-06-11T10:03:09Z" };
const { events, next } = ok(await administrator.GET("/authy/event", { params: { query } }));
const registered = events.find((event) => is(event, "user.registered"));
const role: string | undefined = registered && is(registered, "user.registered") ? registered.detail.role : undefined;

const refused = await anonymous.POST("/authy/login", { body: { username, password: "wrong" } });
const code: components["schemas"]["Problem"]["code"] | undefined = refused.error?.code;

console.log(
  JSON.stringify({
    public_id: created.public_id,
    me: me.username,
    listed: users.users.map((user) => user.public_id),
    validated: user.validated,
    kinds: events.map((event) => event.kind),
    role,
    next,
    status: refused.response.status,
    code,
    detail: refused.error?.detail,
  }),
);
