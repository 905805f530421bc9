# What tests/statsd.rs expects of Debian's ruby-statsd.
require "statsd"

client = Statsd.new("127.0.0.1", Integer(ARGV[0]))
client.namespace = "rb"
30.times { client.increment("hits") }
client.count("hits", 5)
client.gauge("level", 3)
client.timing("wait", 15)
client.set("who", "z")
client.batch { |batch| 20.times { batch.increment("batched") } }
