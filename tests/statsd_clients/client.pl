# What tests/statsd.rs expects of Debian's libnet-statsd-perl.
use strict;
use warnings;
use Net::Statsd;

$Net::Statsd::HOST = "127.0.0.1";
$Net::Statsd::PORT = shift;
Net::Statsd::increment("pl.hits") for 1 .. 20;
Net::Statsd::update_stats("pl.hits", 5);
Net::Statsd::gauge("pl.level", 6);
Net::Statsd::timing("pl.wait", 35);
