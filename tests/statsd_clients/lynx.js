// What tests/statsd.rs expects of Debian's node-lynx.
const Lynx = require("lynx");

const client = new Lynx("127.0.0.1", Number(process.argv[2]), { scope: "js" });
for (let i = 0; i < 40; i++) client.increment("hits");
client.count("hits", 12);
client.gauge("level", 9);
client.timing("wait", 25);
client.set("who", "x");
client.send({ many: "1|c", more: "5|g" });
// The library does not say when all is sent; an idle socket keeps nobody waiting.
client.socket && client.socket.unref && client.socket.unref();
