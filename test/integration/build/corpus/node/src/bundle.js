// Copies a file, marked.
const { readFileSync } = require('node:fs');
process.stdout.write(`// bundled\n${readFileSync(process.argv[2], 'utf8')}`);
