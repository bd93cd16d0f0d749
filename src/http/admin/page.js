// The admin page: it calls the routes below /admin/api and shows the results. Texts are inserted as
// text nodes, never as HTML, because callers and servers choose the names of tools, groups and
// reasons.

const root = document.body.dataset.root;
const main = document.getElementById("main");
const by = (id) => document.getElementById(id);

// --- requests ---------------------------------------------------------------------------------

/** A refused request: the message and the HTTP status. */
class Refused extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

let pending = 0;
function busy(change) {
  pending += change;
  document.body.classList.toggle("busy", pending > 0);
}

/** Sends one request, with the given key if there is one. Browsers add the cookies of this host themselves. */
async function request(method, path, body, key) {
  const headers = { accept: "application/json, text/csv" };
  if (key) headers.authorization = `Bearer ${key}`;
  if (method !== "GET") headers["content-type"] = "application/json";
  busy(+1);
  try {
    // This is longer than any bridge may take to start.
    const signal = AbortSignal.timeout(180_000);
    const sent = { method, headers, signal, cache: "no-store", body: body === undefined ? undefined : JSON.stringify(body) };
    const answer = await fetch(`${root}${path}`, sent).catch((error) => {
      throw new Refused(`mcp-bridge does not answer (${error.message}).`, 0);
    });
    if (answer.ok) return answer;
    const told = await answer.json().catch(() => ({}));
    const detail = typeof told.detail === "string" ? told.detail : told.detail?.message;
    throw new Refused(detail ?? `${answer.status} ${answer.statusText}`, answer.status);
  } finally {
    busy(-1);
  }
}

/** Repeats a request until an administrator is signed in, or until the user cancels. */
async function ask(method, path, body) {
  for (;;) {
    try {
      return await request(method, path, body, sessionStorage.getItem("key"));
    } catch (error) {
      const isIdentity = error.status === 401 || (error.status === 403 && path.startsWith("/admin/"));
      if (!isIdentity || !(await signIn(error))) throw error;
    }
  }
}

const api = async (method, path, body) => (await ask(method, `/admin/api${path}`, body)).json();
const get = (path) => api("GET", path);

// --- signing in -------------------------------------------------------------------------------

const dialog = by("sign-in");
let asked = null;

/** Asks for a key until one is accepted (true) or the user cancels (false). Only one dialog opens at a time. */
function signIn(reason) {
  const hasProof = sessionStorage.getItem("key") || reason?.status === 403;
  asked ??= new Promise((resolve) => {
    by("sign-in-error").textContent = hasProof ? sentence(reason?.message ?? "") : "";
    dialog.showModal();
    dialog.addEventListener("close", () => {
      asked = null;
      resolve(dialog.returnValue === "in");
    }, { once: true });
  });
  return asked;
}

dialog.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = dialog.querySelector("input");
  const button = dialog.querySelector("button.main");
  const key = input.value.trim().replace(/^Bearer\s+/i, "");
  button.disabled = true;
  by("sign-in-error").textContent = "";
  try {
    await request("GET", "/admin/api/me", undefined, key);
    sessionStorage.setItem("key", key);
    input.value = "";
    dialog.close("in");
    main.focus({ preventScroll: true });
    greet();
  } catch (error) {
    by("sign-in-error").textContent = sentence(error.message);
    input.select();
  } finally {
    button.disabled = false;
  }
});
by("sign-in-cancel").addEventListener("click", () => dialog.close("out"));
dialog.addEventListener("cancel", () => { dialog.returnValue = "out"; });

by("identity").addEventListener("click", async () => {
  if (sessionStorage.getItem("key")) {
    sessionStorage.removeItem("key");
    location.reload();
  } else if (await signIn()) {
    show();
  }
});

const PROOFS = {
  api_key: "API key", session: "session of Open WebUI", session_key: "key of Open WebUI",
  signed_header: "signed header", forwarded_headers: "on behalf (API key)", gateway: "gateway",
  oidc: "OpenID", loopback: "this machine", anonymous: "no proof", operator: "command line", none: "no proof",
};
const proofOf = (word) => PROOFS[word] ?? word;

/** Shows who is signed in. It does not ask for a key. */
async function greet() {
  const key = sessionStorage.getItem("key");
  const button = by("identity");
  button.textContent = key ? "Forget key" : "Use a key";
  button.hidden = false;
  const me = await request("GET", "/admin/api/me", undefined, key).then((it) => it.json()).catch(() => null);
  by("who").textContent = me ? `${me.id} · ${proofOf(me.proof)}${me.workspace === "default" ? "" : ` · ${me.workspace}`}` : "";
}

// --- building ---------------------------------------------------------------------------------

/** Makes an element: `h("td", {class: "time"}, "text", child)`. `on` holds event listeners. */
function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat(9).filter((child) => child != null && child !== false));
  return element;
}

const sentence = (text) => text && text[0].toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
const words = (text) => (text ?? "").split(",").map((word) => word.trim()).filter(Boolean);
const soft = (text) => h("span", { class: "soft" }, text);
const dot = (color) => h("span", { class: `dot ${color}`, "aria-hidden": "true" });
const heading = (title, text) => [h("h2", {}, title), h("p", { class: "lead" }, text)];
const note = (kind, ...parts) => h("div", { class: `note ${kind}` }, parts);
const link = (page, query, ...text) => h("a", { href: hash(page, query) }, text);
const suggestions = (id, values) => h("datalist", { id }, [...new Set(values)].map((value) => h("option", { value })));

function hash(page, query = {}) {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return `#${page}${text && `?${text}`}`;
}

/** Makes a table. A cell is a text, a node, or a list of both. `["number", …]` in `heads` sets the class of a column. */
function table(caption, heads, rows, empty) {
  if (!rows.length) return h("div", { class: "scroll empty" }, empty);
  const columns = heads.map((head) => (Array.isArray(head) ? { kind: head[0], head: head[1] } : { head }));
  const row = (cells) => h("tr", {}, cells.map((cell, at) =>
    h("td", { class: columns[at].kind, "data-head": columns[at].head }, h("div", { class: "cell" }, cell))));
  return h("div", { class: "scroll" }, h("table", {},
    h("caption", { class: "sr" }, caption),
    h("thead", {}, h("tr", {}, columns.map(({ kind, head }) =>
      h("th", { scope: "col", class: kind }, head || h("span", { class: "sr" }, "Actions"))))),
    h("tbody", {}, rows.map(row))));
}

/** Makes a form in one row. Errors are shown below it. The button is disabled until the request ends. */
function form(fields, button, work, { more, kind = "main" } = {}) {
  const error = h("p", { class: "error", role: "alert" });
  const submit = h("button", { class: kind }, button);
  return h("form", { class: "row", on: { submit: async (event) => {
    event.preventDefault();
    error.textContent = "";
    submit.disabled = true;
    try {
      await work(Object.fromEntries(new FormData(event.target)));
    } catch (problem) {
      error.textContent = sentence(problem.message);
    } finally {
      submit.disabled = false;
    }
  } } }, h("div", { class: "fields" }, fields, submit, more), error);
}

const field = (label, name, attributes = {}) => h("label", {}, label, h("input", { name, autocomplete: "off", ...attributes }));
const tick = (label, name) => h("label", { class: "check" }, h("input", { type: "checkbox", name }), label);
const choice = (label, name, options, chosen) => h("label", {}, label, h("select", { name },
  options.map(([value, text]) => h("option", { value, selected: value === chosen }, text))));

/** Makes a button for an action. Errors are shown as a notice. */
function button(text, label, work, attributes = {}) {
  return h("button", { type: "button", "aria-label": label, title: label, "data-focus": label, ...attributes, on: { click: async (event) => {
    const self = event.currentTarget;
    self.disabled = true;
    try {
      await work();
    } catch (error) {
      say(sentence(error.message), { isBad: true });
    } finally {
      self.disabled = false;
    }
  } } }, text);
}

const cross = (label, work) => button("×", label, work);

/** Shows a notice for a few seconds. An error stays until the user closes it. */
function say(text, { isBad = false, undo } = {}) {
  const toast = by("toast");
  const close = by("toast-button");
  toast.classList.toggle("bad", isBad);
  by("toast-text").textContent = text;
  close.hidden = !isBad && !undo;
  close.textContent = undo ? "Undo" : "Close";
  close.onclick = async () => {
    toast.hidden = true;
    if (undo) await undo().catch((error) => say(sentence(error.message), { isBad: true }));
  };
  toast.hidden = false;
  clearTimeout(say.timer);
  if (!isBad) say.timer = setTimeout(() => { toast.hidden = true; }, undo ? 10_000 : 5_000);
}

/** After a change: shows a notice and reloads the page's data. */
async function done(text, options) {
  say(text, options);
  await show();
}

/** After a change that may be a mistake: shows its warnings until the user closes them. */
async function told(text, { warnings = [] }) {
  if (!warnings.length) return done(text);
  await done(`${text}. ${warnings.map(sentence).join(" ")}`, { isBad: true });
}

/** Downloads a file. */
function download(name, parts, type) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

// --- times ------------------------------------------------------------------------------------

const UNITS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30], ["month", 12], ["year", Infinity]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

function ago(date) {
  let amount = (date - Date.now()) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(Math.round(amount)) < size) return relative.format(Math.round(amount), unit);
    amount /= size;
  }
}

/** Shows `2026-11-20 22:05:01` in UTC and how long ago that was. The tooltip shows the full time. */
function time(text) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return String(text);
  const shown = date.toISOString().replace("T", " ").slice(0, 19);
  return [h("time", { datetime: text, title: `${text}\n${date.toLocaleString()} here` }, shown), h("small", {}, ago(date))];
}

const took = (micros) => (micros < 100 ? `${micros} µs` : micros < 1e6 ? `${(micros / 1000).toFixed(1)} ms` : `${(micros / 1e6).toFixed(1)} s`);
const size = (bytes) => (bytes < 1024 ? `${bytes} B` : bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`);

// --- bridges ----------------------------------------------------------------------------------

const LIGHT = { needs_login: "warn", ready: "good", idle: "good", starting: "warn", backing_off: "warn", failed: "bad", disabled: "" };
const STATUS = { needs_login: "needs a login", backing_off: "down", disabled: "off" };
const pages = {};

pages.bridges = async () => {
  const [{ bridges }, plan] = await Promise.all([get("/bridges"), get("/plan")]);
  const restless = bridges.some((it) => it.status === "starting" || it.status === "backing_off");
  return {
    again: restless ? 3_000 : 15_000,
    parts: [
      heading("Bridges", "Each bridge connects to one server and runs independently of the others."),
      planned(plan),
      table("Bridges", ["Bridge", "Status", ["number", "Tools"], ["act", ""]], bridges.map(bridgeRow),
        "No bridges are configured. Add one to bridges.toml; mcp-bridge reloads the file when it changes."),
    ],
  };
};

function bridgeRow(it) {
  const from = it.transport?.command ?? it.transport?.origin;
  const said = [it.exit && `The server ended: ${it.exit}`, ...it.stderr].filter(Boolean);
  return [
    [h("strong", {}, it.name), from && h("small", {}, h("code", {}, from), it.transport.user && soft(` as user ${it.transport.user}`)), (it.title ?? it.server?.name) && (it.title ?? it.server.name) !== it.name && h("small", {}, it.title ?? it.server.name)],
    [
      dot(LIGHT[it.status] ?? ""), STATUS[it.status] ?? it.status,
      it.retry_after != null && soft(`, tries again in ${plural(it.retry_after, "second")}`),
      it.reason && h("small", {}, it.reason),
      it.failures > 1 && h("small", {}, `${it.failures} attempts in a row failed`),
      it.warnings.length > 0 && unfold(`${it.name} warnings`, plural(it.warnings.length, "warning"), it.warnings.join("\n")),
      said.length > 0 && unfold(`${it.name} said`, "last output of the server", said.join("\n")),
    ],
    it.enabled ? String(it.tools) : "",
    [it.login === "shared" && connectButton(it), it.enabled && button("Restart", `Restart ${it.name}`, async () => {
      const { status, bridge } = await api("POST", `/bridges/${encodeURIComponent(it.name)}/restart`);
      const told = { restarted: "is up again", starting: "is still starting", failed: `did not start: ${bridge.reason ?? bridge.status}` };
      await done(`${it.name} ${told[status]}`, { isBad: status === "failed" });
    })],
  ];
}

/** A button that opens the page where an administrator connects the shared account. */
const connectButton = (it) => button("Connect", `Connect an account for ${it.name}`, async () => {
  // The window opens before the request, because browsers block windows that open later.
  const page = window.open("", "_blank");
  try {
    const answer = await ask("POST", `/oauth/${encodeURIComponent(it.name)}/connect`);
    const { connect_url } = await answer.json();
    if (!page) return void await done(`Open this page to connect ${it.name}: ${connect_url}`);
    page.opener = null;
    page.location = connect_url;
  } catch (error) {
    page?.close();
    throw error;
  }
});

const unfold = (key, title, text) => h("details", { "data-open": key }, h("summary", { "data-focus": key }, title), h("pre", {}, text));

/** Shows what the configuration on disk would change. */
function planned(plan) {
  if (!plan.valid) {
    const isWarning = (text) => /^[^\n]*: warning: /.test(text);
    plan.problems.sort((a, b) => isWarning(a) - isWarning(b));
    return note("bad", h("p", {}, "The configuration on disk has errors, so it was not applied. mcp-bridge keeps running with the previous one."), h("pre", {}, plan.problems.join("\n\n")));
  }
  const parts = [];
  for (const key of ["start", "stop", "restart"]) if (plan[key].length) parts.push(`${key} ${plan[key].join(", ")}`);
  const waiting = plan.after_restart;
  const now = plan.sections.filter((it) => !waiting.some((name) => name.split(/[. ]/)[0] === it));
  if (now.length) parts.push(`change [${now.join("], [")}]`);
  return [
    parts.length > 0 && note("", h("p", {}, `The configuration on disk has changed. Applying it would ${parts.join("; ")}.`),
      h("p", { class: "buttons" }, button("Apply", "Apply the configuration on disk", async () => {
        await ask("POST", "/refresh");
        await done("The configuration is applied");
      }))),
    waiting.length > 0 && note("", `Changes to ${waiting.join(", ")} take effect when mcp-bridge restarts.`),
    plan.warnings.length > 0 && note("", unfold("plan warnings", `${plural(plan.warnings.length, "warning")} about the configuration`, plan.warnings.join("\n\n"))),
  ];
}

// --- access -----------------------------------------------------------------------------------

pages.access = async () => {
  const [{ groups }, { grants }, { servers }, me] = await Promise.all([get("/groups"), get("/grants"), get("/servers"), get("/me")]);
  const known = new Set(servers.map((it) => it.id));
  const rows = groups.map((it) => [
    [h("strong", {}, it.group_name), h("small", {}, link("people", { find: it.group_name }, plural(it.user_count, "member")))],
    grants.filter((grant) => grant.group === it.group_name).map((grant) => grantTag(grant, grants, known)),
    button("Delete", `Delete ${it.group_name}`, async () => {
      if (!confirm(`Delete the group ${it.group_name} with its ${plural(it.user_count, "member")} and all it may use?`)) return;
      await api("DELETE", `/groups/${encodeURIComponent(it.group_name)}`);
      await done(`${it.group_name} is deleted`);
    }),
  ]);
  return [
    heading("Access", "What the members of each group may use. A change takes effect with the next call, on every replica."),
    !me.enforced && note("bad", "These grants are not enforced: the configuration has no access rules, so every caller may call everything. To enforce them, add a section [access.groups] to bridges.toml."),
    suggestions("servers", servers.map((it) => it.id)), suggestions("groups", groups.map((it) => it.group_name)),
    form([
      field("Group", "group", { list: "groups", required: true }), field("Bridge", "bridge", { list: "servers", required: true }),
      field("Tools", "tools", { placeholder: "all, or get_*, list_*" }), tick("only tools that change nothing", "read_only"),
    ], "Grant", async (it) => {
      const tools = words(it.tools);
      const made = await api("POST", "/grants", { group: it.group, bridge: it.bridge, tools: tools.length ? tools : undefined, read_only: it.read_only === "on" });
      await told(`${it.group} may use ${it.bridge}${made.matches ? `; ${made.matches}` : ""}`, made);
    }),
    table("Groups and what they may use", ["Group", "May use", ["act", ""]], rows, "No group may use anything yet. Add a grant above; this creates the group."),
    grants.some((it) => !known.has(it.bridge)) && h("p", { class: "soft" }, "A dashed outline means that no bridge with that name is configured."),
  ];
};

function limits(grant) {
  const parts = [...grant.tools, ...(grant.read_only ? ["read only"] : [])];
  return parts.length ? `${grant.bridge}: ${parts.join(", ")}` : grant.bridge;
}

function grantTag(grant, grants, known) {
  const { group, bridge, tools, read_only } = grant;
  const isKnown = known.has(bridge);
  const isOnly = grants.filter((it) => it.group === group && it.bridge === bridge).length === 1;
  const revoke = async () => {
    await api("DELETE", "/grants", { group, bridge, tools, read_only });
    const said = isOnly ? `${group} may no longer use ${bridge}` : `Revoked ${limits(grant)} from ${group}; the group keeps its other grants for ${bridge}`;
    await done(said, { undo: async () => {
      await api("POST", "/grants", { group, bridge, tools: tools.length ? tools : undefined, read_only });
      await done(`${group} may use ${limits(grant)} again`);
    } });
  };
  return h("span", { class: isKnown ? "tag" : "tag warn", title: isKnown ? null : `No bridge ${bridge} is configured` },
    limits(grant), cross(`Revoke ${limits(grant)} from ${group}`, revoke));
}

// --- people -----------------------------------------------------------------------------------

/** The largest number of rows that are shown. */
const ROWS_MAX = 300;

pages.people = async (query) => {
  const [{ users }, { groups }] = await Promise.all([get("/users"), get("/groups")]);
  const find = query.get("find") ?? "";
  const isFound = (text) => text.toLowerCase().includes(find.toLowerCase());
  const found = users.filter((it) => isFound(it.email) || it.groups.some(isFound));
  const note = found.length > ROWS_MAX && h("p", { class: "soft" }, `Showing ${ROWS_MAX} of ${found.length.toLocaleString("en")}. Search to find others.`);
  return [
    heading("People", "Users listed here get only these groups. All other users keep their groups from Open WebUI or their token."),
    suggestions("groups", groups.map((it) => it.group_name)), suggestions("emails", users.slice(0, 1000).map((it) => it.email)),
    form([field("E-mail", "email", { type: "email", list: "emails", required: true }), field("Group", "group_name", { list: "groups", required: true })],
      "Add", async (it) => {
        const made = await api("POST", "/users/groups", it);
        await told(made.changed ? `${it.email} is now in ${it.group_name}` : `${it.email} was already in ${it.group_name}`, made);
      }),
    users.length > 0 && form([field("Search", "find", { type: "search", value: find, placeholder: "e-mail or group" })], "Search", (it) => go("people", it), { kind: null }),
    table("People and their groups", ["E-mail", "Groups", "Administrator", "Changed"], found.slice(0, ROWS_MAX).map(personRow),
      users.length ? "No users match your search." : "No users are in a group yet."),
    note,
  ];
};

function personRow(it) {
  const leave = (group) => async () => {
    const member = { email: it.email, group_name: group };
    await api("DELETE", "/users/groups", member);
    await done(`${it.email} is no longer in ${group}`, { undo: async () => {
      await api("POST", "/users/groups", member);
      await done(`${it.email} is in ${group} again`);
    } });
  };
  const administer = async (event) => {
    const isAdmin = event.target.checked;
    const isSure = confirm(isAdmin ? `Make ${it.email} an administrator?` : `Remove ${it.email} as an administrator?`);
    try {
      if (!isSure) return;
      await api(isAdmin ? "POST" : "DELETE", "/admins", { email: it.email });
      say(isAdmin ? `${it.email} is now an administrator` : `${it.email} is no longer an administrator`);
    } catch (error) {
      say(sentence(error.message), { isBad: true });
    } finally {
      await show();
    }
  };
  return [
    [h("strong", {}, it.email), h("small", {}, link("calls", { caller: it.email }, "calls"))],
    it.groups.length ? it.groups.map((group) => h("span", { class: "tag" }, group, cross(`Remove ${it.email} from ${group}`, leave(group)))) : soft("none"),
    h("input", { type: "checkbox", checked: it.is_admin, "aria-label": `${it.email} is an administrator`, "data-focus": `admin ${it.email}`, on: { change: administer } }),
    it.updated_at ? time(stamp(it.updated_at)) : "",
  ];
}

/** Converts a time from the tables, `2026-11-20 22:05:01` in UTC, with or without a time zone. */
const stamp = (text) => (/(Z|[+-]\d\d(:?\d\d)?)$/.test(text) ? text.replace(/([+-]\d\d)$/, "$1:00") : `${text}Z`).replace(" ", "T");

// --- keys -------------------------------------------------------------------------------------

let fresh = null;

pages.keys = async () => {
  const { keys } = await get("/keys");
  const rows = keys.map((it) => [
    [h("strong", {}, it.name), it.forwards && h("small", {}, "may act on behalf of users")],
    it.groups.length ? it.groups.map((group) => h("span", { class: "tag" }, group)) : soft("none"),
    it.expires_at ? time(it.expires_at) : "never",
    it.source === "file" ? soft("in bridges.toml") : button("Revoke", `Revoke ${it.name}`, async () => {
      if (!confirm(`Revoke the key ${it.name}? The next request with this key is refused.`)) return;
      await api("DELETE", "/keys", { name: it.name });
      if (fresh?.name === it.name) fresh = null;
      await done(`${it.name} is revoked`);
    }),
  ]);
  return [
    heading("Keys", "API keys for programs. A key has groups of its own. Its text is shown once, and only its hash is stored."),
    form([
      field("Name", "name", { required: true, maxlength: 255 }), field("Groups", "groups", { placeholder: "developers, all-tools" }),
      choice("Expires", "days", [["30", "in 30 days"], ["90", "in 90 days"], ["365", "in a year"], ["", "never"]], "90"),
      tick("may act on behalf of users", "forwards"),
    ], "Create key", makeKey),
    fresh && freshKey(),
    table("Keys", ["Name", "Groups", "Expires", ["act", ""]], rows, "No keys yet."),
  ];
};

async function makeKey(it) {
  const ends = it.days ? new Date(Date.now() + it.days * 86_400_000).toISOString() : undefined;
  const made = await api("POST", "/keys", { name: it.name, groups: words(it.groups), forwards: it.forwards === "on", expires_at: ends });
  fresh = { name: it.name, text: made.text };
  await told(`Created the key ${it.name}`, made);
}

/** Shows a new key until the user closes it. */
function freshKey() {
  const { name, text } = fresh;
  return note("good",
    h("p", {}, `This is the key ${name}. Copy it now; it is not shown again.`),
    h("p", {}, h("code", { class: "key", tabindex: "0" }, text)),
    h("p", { class: "buttons" },
      button("Copy", `Copy the key ${name}`, async () => {
        if (!navigator.clipboard) throw new Error("the browser allows copying only over HTTPS; select the text and copy it yourself");
        await navigator.clipboard.writeText(text);
        say("Copied");
      }),
      button("Done", `Hide the key ${name}`, async () => {
        fresh = null;
        await show();
      })));
}

// --- credentials ------------------------------------------------------------------------------

pages.credentials = async () => {
  const [{ keys }, { endpoints }, { groups }, { servers }, { accounts }] =
    await Promise.all(["/tenant-keys", "/endpoints", "/groups", "/servers", "/accounts"].map(get));
  const who = [field("Group", "tenant_id", { list: "groups", required: true }), field("Bridge", "server_id", { list: "servers", required: true })];
  return [
    heading("Credentials", "Credentials that a group uses at a server instead of the shared ones. A key replaces a variable in the bridge's configuration. It is stored encrypted and not shown again."),
    suggestions("groups", groups.map((it) => it.group_name)), suggestions("servers", servers.map((it) => it.id)),
    h("h3", {}, "Keys of groups"),
    form([
      who, field("Variable", "key_name", { placeholder: "GITHUB_TOKEN", spellcheck: "false", required: true }),
      field("Value", "key_value", { type: "password", autocomplete: "new-password", spellcheck: "false", required: true }),
    ], "Store", async (it) => {
      const made = await api("POST", "/tenant-keys", it);
      await told(`${it.tenant_id} now calls ${it.server_id} with its own ${it.key_name}`, made);
    }),
    table("Keys of groups", ["Group", "Bridge", "Variable", "Since", ["act", ""]], keys.map(groupKeyRow), "No group has a key of its own."),
    h("h3", {}, "Endpoints of groups"),
    form([who.map((it) => it.cloneNode(true)), field("Endpoint", "endpoint_url", { type: "url", placeholder: "address for the group's calls", required: true })], "Store", async (it) => {
      const made = await api("POST", "/endpoints", it);
      await told(`${it.tenant_id} calls ${it.server_id} at ${made.endpoint_url}`, made);
    }),
    table("Endpoints of groups", ["Group", "Bridge", "Endpoint", ["act", ""]], endpoints.map(endpointRow), "No group has an endpoint of its own."),
    h("h3", {}, "Accounts"),
    table("Accounts", ["Bridge", "Account", "Since", ["act", ""]], accounts.map(accountRow), "No accounts are connected yet. Connect shared accounts under Bridges."),
  ];
};

/** The group, and the reason if its calls are refused. */
const ofGroup = ({ tenant_id, problem }) => [h("strong", {}, tenant_id), problem && h("small", {}, dot("bad"), `Refused: ${problem}`)];

function groupKeyRow(it) {
  const { tenant_id, server_id, key_name } = it;
  return [ofGroup(it), server_id, h("code", {}, key_name), it.updated_at ? time(stamp(it.updated_at)) : "",
    button("Remove", `Remove ${key_name} of ${tenant_id} for ${server_id}`, async () => {
      if (!confirm(`Remove ${key_name} of ${tenant_id}? Its members will then call ${server_id} with the shared credentials.`)) return;
      await api("DELETE", "/tenant-keys", { tenant_id, server_id, key_name });
      await done(`Removed ${key_name} of ${tenant_id} for ${server_id}`);
    })];
}

function accountRow({ bridge, subject, updated_at }) {
  const whose = subject ? subject.replace(/^(user|key):/, "") : "all callers";
  return [h("strong", {}, bridge), whose, time(new Date(updated_at / 1000).toISOString()),
    button("Disconnect", `Disconnect ${whose} from ${bridge}`, async () => {
      if (!confirm(`Disconnect ${whose} from ${bridge}? To use it again, an account has to be connected again.`)) return;
      await api("DELETE", "/accounts", { bridge, subject });
      await done(`${whose} is disconnected from ${bridge}`);
    })];
}

function endpointRow(it) {
  const { tenant_id, server_id, endpoint_url } = it;
  return [ofGroup(it), server_id, h("code", {}, endpoint_url),
    button("Remove", `Remove the endpoint of ${tenant_id} for ${server_id}`, async () => {
      await api("DELETE", "/endpoints", { tenant_id, server_id });
      await done(`${tenant_id} now calls ${server_id} at the configured address`, { undo: async () => {
        await api("POST", "/endpoints", { tenant_id, server_id, endpoint_url });
        await done(`${tenant_id} calls ${server_id} at ${endpoint_url} again`);
      } });
    })];
}

// --- calls ------------------------------------------------------------------------------------

const OUTCOMES = ["ok", "forbidden", "unauthorized", "tool_error", "rate_limited", "timeout", "cancelled", "interrupted", "started"];
const FILTERS = ["caller", "bridge", "tool", "outcome", "since", "until", "request_id"];
/** Calls on a page, calls in each request of a download, and the most requests of a download. */
const [PAGE, CHUNK, CHUNKS_MAX] = [50, 5_000, 20];

pages.calls = async (query) => {
  const filter = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]).filter(([, value]) => value));
  const { servers } = await get("/servers");
  const parts = [
    heading("Calls", "Every call, allowed or refused, the newest first. Times are UTC."),
    suggestions("servers", servers.map((it) => it.id)), suggestions("outcomes", OUTCOMES),
    form([
      field("Caller", "caller", { value: filter.caller, class: "short" }), field("Bridge", "bridge", { value: filter.bridge, list: "servers", class: "short" }),
      field("Tool", "tool", { value: filter.tool, class: "short" }), field("Outcome", "outcome", { value: filter.outcome, list: "outcomes", placeholder: "any", class: "short" }),
      field("Since", "since", { value: filter.since, placeholder: "2h, 7days", class: "short" }),
      field("Until", "until", { value: filter.until, placeholder: "now", class: "short" }),
      field("Request", "request_id", { value: filter.request_id, class: "short" }),
    ], "Show", (it) => go("calls", it), { more: [
      button("CSV", "Download these calls as CSV", () => exportCalls(filter)),
      Object.keys(filter).length > 0 && link("calls", {}, "All"),
    ] }),
  ];
  return [...parts, await attempt(() => listCalls(filter, query.get("cursor")))];
};

async function listCalls(filter, cursor) {
  const { calls, next } = await get(`/calls?${new URLSearchParams({ limit: PAGE, ...filter, ...(cursor ? { cursor } : {}) })}`);
  const isFiltered = Object.keys(filter).length > 0;
  return [
    table("Calls", ["When", "Who", "What", "Outcome", ["number", "Duration"]], calls.map((it) => callRow(it, filter)),
      cursor ? "No older calls." : isFiltered ? "No calls match these filters." : "No calls yet."),
    (cursor || next) && h("p", { class: "buttons" },
      cursor && link("calls", filter, "Newest"), next && link("calls", { ...filter, cursor: next }, "Older")),
  ];
}

function callRow(it, filter) {
  const color = it.outcome === "ok" ? "good" : it.outcome === "started" ? "warn" : "bad";
  const isRefused = it.outcome === "forbidden" && it.caller?.includes("@");
  const more = {
    Request: it.request_id, Rule: it.rule, Groups: (it.groups ?? []).join(", ") || "none", Status: it.status || "", From: it.peer,
    Sizes: `${size(it.request_bytes)} in, ${size(it.response_bytes)} out`, Workspace: it.workspace, Arguments: it.arguments,
    Requests: it.count > 1 ? it.count : "",
  };
  return [
    time(it.time),
    [it.caller ? link("calls", { ...filter, caller: it.caller }, it.caller) : soft("not identified"), h("small", {}, proofOf(it.proof))],
    [
      `${it.bridge}/${it.tool}`,
      h("details", { "data-open": it.id }, h("summary", { "data-focus": it.id }, it.rule || "details"),
        h("dl", {}, Object.entries(more).filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]))),
    ],
    [dot(color), it.outcome, isRefused && h("small", {}, link("explain", { user: it.caller, bridge: it.bridge, tool: it.tool }, "why?"))],
    it.outcome === "started" ? "" : took(it.duration_us),
  ];
}

/** Downloads all calls that match a filter as one file. */
async function exportCalls(filter) {
  const parts = [];
  let cursor = null;
  do {
    const asked = new URLSearchParams({ ...filter, format: "csv", limit: CHUNK, ...(cursor ? { cursor } : {}) });
    const answer = await ask("GET", `/admin/api/calls?${asked}`);
    const text = await answer.text();
    // Only the first page keeps its header line.
    parts.push(parts.length ? text.slice(text.indexOf("\n") + 1) : text);
    cursor = answer.headers.get("x-next-cursor");
  } while (cursor && parts.length < CHUNKS_MAX);
  download("calls.csv", parts, "text/csv");
  const isCut = cursor ? `; the file ends after ${(CHUNK * CHUNKS_MAX).toLocaleString("en")}, \`mcp-bridge audit query\` has no limit` : "";
  say(`Downloaded calls.csv${isCut}`);
}

// --- changes ----------------------------------------------------------------------------------

pages.changes = async (query) => {
  const filter = Object.fromEntries(["actor", "since", "until"].map((name) => [name, query.get(name) ?? ""]).filter(([, value]) => value));
  const limit = Number(query.get("limit")) || 100;
  const parts = [
    heading("Changes", "What administrators did, the newest first. Times are UTC."),
    form([
      field("Who", "actor", { value: filter.actor }), field("Since", "since", { value: filter.since, placeholder: "24h, 2026-11-20" }),
      field("Until", "until", { value: filter.until, placeholder: "now" }),
    ], "Show", (it) => go("changes", it), { more: Object.keys(filter).length > 0 && link("changes", {}, "All") }),
  ];
  return [...parts, await attempt(async () => {
    const { changes } = await get(`/changes?${new URLSearchParams({ ...filter, limit })}`);
    const rows = changes.map((it) => [time(it.time), [it.actor, h("small", {}, proofOf(it.proof))], it.action.replaceAll("_", " "), it.target]);
    return [
      table("Changes", ["When", "Who", "Action", "Target"], rows, Object.keys(filter).length ? "No changes match these filters." : "No changes yet."),
      changes.length === limit && limit < 5_000 && h("p", { class: "buttons" }, link("changes", { ...filter, limit: Math.min(limit * 5, 5_000) }, "More")),
    ];
  })];
};

// --- explain ----------------------------------------------------------------------------------

const ORIGINS = { table: "the database of mcp-bridge", open_webui: "Open WebUI", default: "every caller has it", proof: "the caller's credentials" };

pages.explain = async (query) => {
  const question = Object.fromEntries(["user", "bridge", "tool"].map((name) => [name, query.get(name) ?? ""]).filter(([, value]) => value));
  const [{ servers }, { users }] = await Promise.all([get("/servers"), get("/users").catch(() => ({ users: [] }))]);
  return [
    heading("Explain", "Whether a user may use a bridge or a tool, and which rule decides. Groups that arrive with a request (gateway, OIDC) are not shown."),
    suggestions("servers", servers.map((it) => it.id)), suggestions("emails", users.slice(0, 1000).map((it) => it.email)),
    form([
      field("E-mail", "user", { type: "email", value: question.user, list: "emails", required: true }),
      field("Bridge", "bridge", { value: question.bridge, list: "servers", required: true }),
      field("Tool", "tool", { value: question.tool, placeholder: "any" }),
    ], "Explain", (it) => go("explain", it)),
    question.user && question.bridge && (await attempt(() => explained(question))),
  ];
};

/** Turns a rule into a sentence. */
function ruled(rule) {
  const [word, ...rest] = rule.split(" ");
  const group = rest.join(" ");
  const told = {
    grant: `the group ${group} may use the whole bridge`, narrowed_grant: `the group ${group} may use this part of the bridge`,
    admin_group: `members of ${group} may use everything`, open: "every caller with an identity may call everything here",
    loopback: "only this machine reaches mcp-bridge", operator: "the operator may do everything",
    no_grant: "none of the user's groups may use this bridge", narrowed: "the user's groups may use other tools of this bridge, but not this one",
  };
  return told[word] ?? rule;
}

async function explained(question) {
  const it = await get(`/explain?${new URLSearchParams(question)}`);
  const what = it.tool ? `${it.bridge}/${it.tool}` : it.bridge;
  const rows = it.groups.map((group) => [group.group, ORIGINS[group.from] ?? group.from]);
  return [
    it.allowed === null
      ? note("warn", h("p", { class: "answer" }, "It depends"),
        h("p", {}, `${it.user} may use ${what} if its server declares the tool read-only: ${ruled(it.if_it_reads.rule)}. Otherwise the call is refused: ${ruled(it.rule)}. The server has not listed its tools yet.`))
      : note(it.allowed ? "good" : "bad",
      h("p", { class: "answer" }, it.allowed ? "Yes" : "No", `: ${ruled(it.rule)}`),
      h("p", {}, `${it.user} ${it.allowed ? "may" : "may not"} use ${what}. Rule: `, h("code", {}, it.rule), "."),
      it.is_admin && h("p", {}, "The user is an administrator. This alone does not allow them to call tools."),
      it.bridge_status !== "ready" && h("p", {}, it.bridge_status ? `The bridge is ${STATUS[it.bridge_status] ?? it.bridge_status} now.` : "No bridge with that name is configured.")),
    h("h3", {}, "The user's groups"),
    table("Groups and where they come from", ["Group", "Where it comes from"], rows, "The user is in no group."),
    h("h3", {}, "Groups that may use it"),
    h("p", {}, it.allowing.length ? it.allowing.map((group) => h("span", { class: "tag" }, group)) : soft("none")),
  ];
}

// --- navigation -------------------------------------------------------------------------------

/** Loads a part of a page. If it fails, the rest of the page still works. */
const attempt = (work) => work().catch((error) => note("bad", h("p", { role: "alert" }, sentence(error.message))));

function go(page, query) {
  const next = hash(page, query);
  if (location.hash === next) return show();
  location.hash = next;
}

let turn = 0;
let timer = null;

/** Replaces the content of the page. Open details and the focus are kept. */
function replace(parts) {
  const open = [...main.querySelectorAll("details[open]")].map((it) => it.dataset.open);
  const { focus } = document.activeElement?.dataset ?? {};
  const wasInside = main.contains(document.activeElement);
  const name = wasInside && document.activeElement.name;
  main.replaceChildren(...[parts].flat(9).filter((part) => part != null && part !== false));
  for (const it of main.querySelectorAll("details")) it.open = open.includes(it.dataset.open);
  const same = focus ? (it) => it.dataset.focus === focus : (it) => name && it.name === name;
  const next = [...main.querySelectorAll("[data-focus], input, select")].find(same);
  if (wasInside) (next ?? main).focus({ preventScroll: true });
}

/** Shows why a page could not be loaded, with a button to sign in or to try again. */
function failed(error) {
  const isIdentity = error.status === 401 || error.status === 403;
  const isNobody = error.status === 401 && !sessionStorage.getItem("key");
  return note("bad", h("p", { role: "alert" }, isNobody ? "You are not signed in." : sentence(error.message)), h("p", { class: "buttons" },
    button(isIdentity ? "Sign in" : "Try again", "", async () => { if (!isIdentity || (await signIn(error))) await show(); }, { "aria-label": null, title: null })));
}

async function show() {
  const mine = ++turn;
  clearTimeout(timer);
  const [name, query] = location.hash.slice(1).split("?");
  const known = Object.hasOwn(pages, name) ? name : "bridges";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${known}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${known[0].toUpperCase()}${known.slice(1)} · mcp-bridge`;
  let shown;
  try {
    shown = await pages[known](new URLSearchParams(query ?? ""));
  } catch (error) {
    // After an outage the page reloads by itself.
    shown = { parts: failed(error), again: error.status === 0 || error.status >= 500 ? 5_000 : 0 };
  }
  if (mine !== turn) return;
  replace(shown.parts ?? shown);
  if (shown.again) timer = setTimeout(refresh, shown.again);
}

/** Reloads a page at intervals, unless the tab is hidden, a dialog is open, a request is pending or text is selected. */
function refresh() {
  const isReading = !getSelection().isCollapsed;
  if (document.hidden || dialog.open || pending > 0 || isReading) timer = setTimeout(refresh, 3_000);
  else show();
}

addEventListener("hashchange", async () => {
  by("toast").hidden = true;
  if (!location.hash.startsWith("#keys")) fresh = null;
  await show();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
greet();
show();
