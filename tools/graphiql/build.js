// Bundles page.js with what it imports into the folder that is named, and writes down whose work that is.
const esbuild = require("esbuild");
const fs = require("node:fs");
const path = require("node:path");

const [, , source, out] = process.argv;
const modules = path.join(process.cwd(), "node_modules");

const result = esbuild.buildSync({
  entryPoints: { graphiql: path.join(source, "page.js") },
  outdir: out,
  nodePaths: [modules],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  charset: "utf8",
  legalComments: "none",
  loader: { ".woff2": "dataurl", ".woff": "dataurl" },
  define: { "process.env.NODE_ENV": '"production"' },
  metafile: true,
  logLevel: "warning",
});

const packages = new Map();
for (const input of Object.keys(result.metafile.inputs)) {
  const at = input.lastIndexOf("node_modules/");
  if (at < 0) continue;
  const parts = input.slice(at + 13).split("/");
  const name = parts.slice(0, parts[0].startsWith("@") ? 2 : 1).join("/");
  packages.set(name, path.join(modules, "..", input.slice(input.indexOf("node_modules/"), at + 13) + name));
}

let text = "Packages in graphiql.js and graphiql.css, made by tools/graphiql.sh.\n";
for (const name of [...packages.keys()].sort()) {
  const folder = packages.get(name);
  const about = JSON.parse(fs.readFileSync(path.join(folder, "package.json")));
  const file = fs.readdirSync(folder).find((f) => /^licen[cs]e/i.test(f));
  text += `\n---- ${name} ${about.version} (${about.license})\n\n`;
  text += file ? fs.readFileSync(path.join(folder, file), "utf8").replace(/\r/g, "").trim() + "\n" : "The package has no text of it.\n";
}
fs.writeFileSync(path.join(out, "LICENCES.txt"), text);
