# Annotations that Rust reads besides those of proxy.capnp. None of them changes what travels.

@0xda3c67f1905be284;

annotation secret @0xc81f5a2e937d4b06 (field, param) :Void;
# The value is never written to a log: its place says how much there was. For passphrases, keys, and whatever may
# contain one.
