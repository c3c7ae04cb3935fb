// Answers one request to itself, and ends.
const http = require('node:http');
const { version } = require('./package.json');
const greet = require('greet');
const server = http.createServer((_, response) => response.end(greet(`${process.env.NODE_ENV} ${version}`)));
server.listen(3000, '127.0.0.1', () => {
  http.get('http://127.0.0.1:3000/', (answer) => {
    answer.pipe(process.stdout);
    answer.on('end', () => server.close());
  });
});
