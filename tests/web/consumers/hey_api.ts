import { client } from "./todo-client/client.gen.js";
import { listTasks, login } from "./todo-client/index.js";

const { TODO_URL: baseUrl = "", TODO_EMAIL: email = "", TODO_PASSWORD: password = "" } = process.env;
client.setConfig({ baseUrl });
const { data: session } = await login({ body: { email, password }, throwOnError: true });
client.setConfig({ auth: session.access_token });
const user_id = session.user.id;
const { data: tasks } = await listTasks({ path: { user_id }, query: { url_user_id: user_id }, throwOnError: true });
for (const task of tasks) console.log(task.title.toUpperCase(), task.id + 0, task.tags.join());
