"""LevelDB by plyvel. Takes the database's path; reads changes from stdin, then prints all entries.

Lines are `+ KEY VALUE`, `- KEY`, `.` to write what came before as one batch, `*` to compact; bytes in hexadecimal.
"""

import sys

import plyvel


def main():
    db = plyvel.DB(
        sys.argv[1],
        create_if_missing=True,
        paranoid_checks=True,
        compression=None,
        bloom_filter_bits=10,
        write_buffer_size=64 << 10,
        max_file_size=1 << 20,
    )
    batch = db.write_batch()
    for line in sys.stdin:
        what, *words = line.split()
        words = [bytes.fromhex(word[1:]) for word in words]
        if what == "+":
            batch.put(*words)
        elif what == "-":
            batch.delete(*words)
        elif what == ".":
            batch.write()
            batch = db.write_batch()
        elif what == "*":
            db.compact_range()
    out = []
    for key, value in db.iterator(verify_checksums=True):
        assert db.get(key, verify_checksums=True) == value, key
        out.append(f"x{key.hex()} x{value.hex()}\n")
    sys.stdout.write("".join(out))
    db.close()


main()
