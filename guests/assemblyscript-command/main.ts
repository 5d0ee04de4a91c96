// A CGI program in AssemblyScript: answers with its arguments, its variables and its input.

process.stdout.write("Status: 200 OK\nContent-Type: text/plain\n\n");

for (let i = 0; i < process.argv.length; i++) {
  process.stdout.write(`arg ${i} ${process.argv[i]}\n`);
}

const names = process.env.keys();
for (let i = 0; i < names.length; i++) {
  process.stdout.write(`${names[i]}=${process.env.get(names[i])}\n`);
}

process.stdout.write("input\n");
const buffer = new ArrayBuffer(64 * 1024);
for (;;) {
  const length = process.stdin.read(buffer);
  if (length <= 0) break;
  process.stdout.write(buffer.slice(0, length));
}
