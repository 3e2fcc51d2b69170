// Runs every audit against the address of the first argument; prints a line of JSON for each.
const { serverAudits } = require("graphql-http");

(async () => {
  for (const audit of serverAudits({ url: process.argv[2] })) {
    const { status, reason } = await audit.fn();
    console.log(JSON.stringify({ id: audit.id, name: audit.name, status, reason }));
  }
})();
