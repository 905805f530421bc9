"""What tests/statsd.rs expects of Debian's python3-statsd, by UDP and by TCP."""

import random
import sys

import statsd

# The library samples by this; so that nothing is left to chance, everything is sent.
random.random = lambda: 0.0

client = statsd.StatsClient("127.0.0.1", int(sys.argv[1]), prefix="py")
for _ in range(100):
    client.incr("hits")
client.decr("hits", 20)
client.incr("sampled", 3, rate=0.5)
client.gauge("level", 50)
client.gauge("level", -7, delta=True)
client.gauge("level", 2, delta=True)
for milliseconds in (10, 20, 30, 40):
    client.timing("wait", milliseconds)
for who in "abcab":
    client.set("who", who)
with client.pipeline() as pipeline:
    for _ in range(50):
        pipeline.incr("piped")

stream = statsd.TCPStatsClient("127.0.0.1", int(sys.argv[2]), prefix="py")
for _ in range(10):
    stream.incr("streamed")
stream.close()
