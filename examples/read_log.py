#!/usr/bin/env python3
"""Prints the samples in a write-ahead log, one JSON object a line, and at the end what it has read.

Written from docs/format/log.md alone; needs nothing but Python 3. Stop the server, then:
    python3 read_log.py /var/lib/noetl-metrics/log
"""
import json, os, re, struct, sys

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF

class Fields:
    """Reads fields one after the other."""
    def __init__(self, data):
        self.data, self.at = data, 0
    def take(self, count):
        self.at += count
        assert self.at <= len(self.data), "a field leads out of its record"
        return self.data[self.at - count:self.at]
    def get(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))
    def text(self, length="B"):
        return self.take(*self.get(length)).decode()

def record(data, at, identity):
    """The record at an offset as (position, unsynced, rows, payload, length); None if not sound."""
    if at + 32 > len(data):
        return None
    crc, size, segment, position, unsynced, rows = struct.unpack_from("<IIQQII", data, at)
    length = (32 + size + 7) // 8 * 8
    if segment != identity or at + length > len(data) or crc32c(data[at + 4:at + length]) != crc:
        return None
    return position, unsynced, rows, data[at + 32:at + 32 + size], length

def segments(directory):
    names = sorted(name for name in os.listdir(directory) if re.fullmatch(r"\d{16}\.log", name))
    for name in names:
        with open(os.path.join(directory, name), "rb") as file:
            data = file.read()
        magic, version, _, _, identity, number, first, _, crc = struct.unpack_from("<8sII16sQQQII", data)
        assert magic == b"NOETLLOG" and crc32c(data[:60]) == crc and version == 1, name + ": header"
        assert number == int(name[:16]), name + ": number"
        yield name, data, identity, first

def payloads(directory):
    """The records of the log in order, as (position, rows, payload)."""
    found = list(segments(directory))
    position = found[0][3] if found else 0
    for (name, data, identity, first), follows in zip(found, found[1:] + [None]):
        assert first == position, f"{name}: starts at {first} and not at {position}"
        at = 4096
        while follows is None or position < follows[3]:
            due = record(data, at, identity)
            if due is None or due[0] != position:
                break
            yield position, due[2], due[3]
            position, at = position + max(due[2], 1), at + due[4]
        if follows:
            assert position == follows[3], f"{name}: damaged at byte {at}"
        else:  # The end, unless a record further on had seen the log synced beyond it.
            mark, look = struct.pack("<Q", identity), at
            while (look := data.find(mark, look + 8)) >= 0:
                later = record(data, look - 8, identity) if look % 8 == 0 else None
                assert not later or later[0] - later[1] <= position, f"{name}: damaged at byte {at}"

def series(fields, component):
    fields = Fields(fields.take(*fields.get("I")))
    name = fields.text("H")
    labels = {fields.text("H"): fields.text("H") for _ in range(*fields.get("B"))}
    (kind,), help_text, unit = fields.get("B"), fields.text("H"), fields.text()
    return {"component_type": component[0], "component": component[1], "metric": name, "labels": labels,
            "type": ("counter", "gauge", "histogram", "summary")[kind - 1], "help": help_text, "unit": unit}

def main(directory):
    slots, count = {}, dict.fromkeys(("reports", "rows", "values", "keys", "lost"), 0)
    for position, rows, payload in payloads(directory):
        fields, count["reports"] = Fields(payload), count["reports"] + 1
        while fields.at < len(payload):
            (tag,) = fields.get("B")
            if tag == 1:  # a component
                fields.get("qq"), fields.text(), fields.text()
            elif tag == 2:  # a series
                group, slot = fields.get("qB")
                slots[group, slot] = series(fields, (fields.text(), fields.text()))
            elif tag in (3, 4):  # a row
                group, timestamp, received_at, present = fields.get("qqqQ")
                taken = [slot for slot in range(64) if present >> slot & 1]
                values = fields.get(f"{len(taken)}d")
                offsets = fields.get(f"{len(taken)}I") if tag == 4 else [0] * len(taken)
                for slot, value, offset in zip(taken, values, offsets):
                    known = slots.get((group, slot), {"group": group, "slot": slot})
                    print(json.dumps({**known, "timestamp_us": timestamp + offset, "value": value}))
                count["rows"], count["values"] = count["rows"] + 1, count["values"] + len(taken)
            elif tag == 5:  # a key
                fields.get("q"), fields.take(16), fields.take(*fields.get("B")), fields.take(*fields.get("I"))
                count["keys"] += 1
            elif tag == 16:  # a hole
                _, start, end = fields.get("qQQ")
                count["lost"], count["reports"] = count["lost"] + end - start, count["reports"] - 1
            else:
                sys.exit(f"position {position}: no entry has the tag {tag}")
    print(json.dumps({"read": count}))

if __name__ == "__main__":
    main(sys.argv[1])
