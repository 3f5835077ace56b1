import type { components, paths } from "./api.js";

const { TODO_URL: url, TODO_EMAIL: email, TODO_PASSWORD: password } = process.env;
type Login = paths["/api/auth/login"]["post"]["responses"]["200"]["content"]["application/json"];
const body = JSON.stringify({ email, password });
const headers = { "Content-Type": "application/json" };
const login: Login = await (await fetch(`${url}/api/auth/login`, { method: "POST", headers, body })).json();
const Authorization = `Bearer ${login.access_token}`;
const address = `${url}/api/${login.user.id}/tasks?url_user_id=${login.user.id}`;
const tasks: components["schemas"]["TaskResponse"][] = await (await fetch(address, { headers: { Authorization } })).json();
for (const task of tasks) console.log(task.title.toUpperCase(), task.id + 0, task.tags.join());
